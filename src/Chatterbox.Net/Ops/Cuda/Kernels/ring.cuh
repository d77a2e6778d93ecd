// Rings of tiles in shared memory, which one warp fills by asynchronous copies and others read. Compute capability 9.0.
#pragma once
#include "common.cuh"

typedef unsigned long long u64;

// Ends a wait that has no end: a fault in the kernel is then an error and not a GPU that hangs.
struct Patience
{
    u32 tries = 0;

    __device__ void lose_some()
    {
        if (++tries == 1u << 26) asm volatile("trap;");
    }
};

__device__ inline u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

__device__ inline void arrive(u32 barrier) { asm volatile("{.reg .b64 s; mbarrier.arrive.shared::cta.b64 s, [%0];}" :: "r"(barrier) : "memory"); }

__device__ inline void wait(u32 barrier, u32 parity)
{
    Patience patience;
    while (true)
    {
        u32 done;
        asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
            : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
        if (done) break;
        patience.lose_some();
    }
}

struct Slot
{
    u64 full, empty;            // barriers

    __device__ void init(int readers)
    {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(shared_address(&full)), "r"(1) : "memory");
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(shared_address(&empty)), "r"(readers) : "memory");
    }
};

// Where a warp stands in a ring of COUNT slots of BYTES each.
template <int COUNT, int BYTES>
struct Ring
{
    const u32 slots;
    unsigned char* const tiles;
    int slot = 0;
    u32 phase;

    __device__ Ring(const Slot* slots, unsigned char* tiles, bool brings) : slots(shared_address(slots)), tiles(tiles), phase(brings) {}   // all empty

    __device__ unsigned char* tile() const { return tiles + slot * BYTES; }
    __device__ u32 full() const { return slots + slot * sizeof(Slot); }
    __device__ u32 empty() const { return full() + sizeof(u64); }

    __device__ void next()
    {
        if (++slot < COUNT) return;
        slot = 0;
        phase ^= 1;
    }

    // By the warp that brings tiles: the slot is free, and so many bytes will come.
    __device__ void expect(u32 bytes, int lane)
    {
        wait(empty(), phase);
        if (lane == 0) asm volatile("{.reg .b64 s; mbarrier.arrive.expect_tx.shared::cta.b64 s, [%0], %1;}" :: "r"(full()), "r"(bytes) : "memory");
        __syncwarp();
    }

    // Each byte is read once in a step: it need not stay in L2.
    __device__ void bring(int offset, const void* source, u32 bytes, u64 policy)
    {
        asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;"
            :: "r"(shared_address(tile()) + offset), "l"(source), "r"(bytes), "r"(full()), "l"(policy) : "memory");
    }
};

__device__ inline u64 read_once()
{
    u64 policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
