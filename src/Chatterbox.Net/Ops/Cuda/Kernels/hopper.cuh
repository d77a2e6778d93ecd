// What compute capability 9.0 has for matrix products: copies of whole tiles that report to barriers in shared memory, the
// products of a warpgroup (four warps), and clusters of blocks that see each other's shared memory.
#pragma once

typedef unsigned long long u64;

constexpr int GROUP = 128;                               // threads of a warpgroup

// ---- barriers in shared memory, and copies that report to them -----------------------------------------------------

__device__ inline void prepare(u32 barrier, int arrivals) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory"); }

__device__ inline void arrive(u32 barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory"); }

// Of a barrier's turns, those of one parity come to pass between those of the other.
__device__ inline void wait(u32 barrier, int turn)
{
    u32 passed;
    do asm volatile("{.reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
        : "=r"(passed) : "r"(barrier), "r"(turn & 1) : "memory");
    while (!passed);
}

// Arrives, and tells how much is copied in the turn.
__device__ inline void expect(u32 barrier, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory"); }

__device__ inline void copy(u32 to, const void* from, int bytes, u32 barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :: "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

__device__ inline void write_back(void* to, u32 from, int bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" :: "l"(to), "r"(from), "r"(bytes) : "memory");
}

__device__ inline void end_of_writes() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Until all but so many lots of them have been read from shared memory.
template <int LEFT>
__device__ inline void wait_read() { asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(LEFT) : "memory"); }

__device__ inline void wait_written() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

// What threads have written to shared memory is seen by products and copies.
__device__ inline void show() { asm volatile("fence.proxy.async;" ::: "memory"); }

__device__ inline void barrier(int number, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(number), "r"(threads) : "memory"); }

// ---- a cluster -----------------------------------------------------------------------------------------------------

__device__ inline u32 cluster_rank()
{
    u32 rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ inline u32 remote(u32 address, u32 rank)
{
    u32 there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    return there;
}

// Another block's barrier is told.
__device__ inline void send(u32 there, u32 from, int bytes, u32 barrier_there)
{
    asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :: "r"(there), "r"(from), "r"(bytes), "r"(barrier_there) : "memory");
}

__device__ inline void arrive_remote(u32 barrier) { asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" :: "r"(barrier) : "memory"); }

// The first meeting of a cluster, from which on its blocks are there for each other. Other threads than those that wait
// must have come too, or have ended.
__device__ inline void come() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }

__device__ inline void wait_for_all() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

// ---- products of a warpgroup: [64, 16] · [16, N], into N / 2 numbers a thread --------------------------------------

// A tile's rows are those of the left matrix, or the columns of the right one.
__device__ inline u64 matrix(u32 address) { return (u64)(address >> 4) | (u64)(1024 >> 4) << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62; }

#define R4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define R8(i) R4(i), R4(i + 4)
#define R16(i) R8(i), R8(i + 8)
#define N20 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19"
#define N24 N20 ",%20,%21,%22,%23"
#define N32 N24 ",%24,%25,%26,%27,%28,%29,%30,%31"
#define N36 N32 ",%32,%33,%34,%35"
#define N48 N36 ",%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define PRODUCT(n) "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.f16.f16 "

// d = left · right, with what was there where there is more of it.
#define OF_TILES(n, numbers, list, a, b, c, ...)                                                                          \
    __device__ inline void multiply(float (&d)[numbers], u64 left, u64 right, int more)                                  \
    {                                                                                                                    \
        asm volatile("{.reg .pred p; setp.ne.b32 p, " c ", 0; " PRODUCT(n) list "}, " a ", " b ", p, 1, 1, 0, 0;}"         \
            : __VA_ARGS__ : "l"(left), "l"(right), "r"(more));                                                           \
    }

OF_TILES(40, 20, N20, "%20", "%21", "%22", R16(0), R4(16))
OF_TILES(48, 24, N24, "%24", "%25", "%26", R16(0), R8(16))
OF_TILES(64, 32, N32, "%32", "%33", "%34", R16(0), R16(16))
OF_TILES(72, 36, N36, "%36", "%37", "%38", R16(0), R16(16), R4(32))
OF_TILES(96, 48, N48, "%48", "%49", "%50", R16(0), R16(16), R16(32))

// The left matrix is in the threads, a tile's rows are the rows of the right one: d += left · right.
__device__ inline void multiply_rows(float (&d)[32], const u32 (&left)[4], u32 right)
{
    asm volatile(PRODUCT(64) N32 "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"
        : R16(0), R16(16) : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(matrix(right)));
}

// The compiler may keep nothing of these numbers from before, nor look at them early.
template <int N>
__device__ inline void settle(float (&x)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(x[i]) :: "memory");
}

template <int N>
__device__ inline void begin_products(float (&sums)[N])
{
    settle(sums);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ inline void end_of_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int UNDER_WAY>
__device__ inline void wait_for_products() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(UNDER_WAY) : "memory"); }
