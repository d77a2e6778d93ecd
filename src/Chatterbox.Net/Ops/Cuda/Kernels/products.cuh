// What matrix products on any GPU are made of: copies to shared memory that go on by themselves, and a warp's products.
//
// From the host: NORMED, the channels that a norm goes over.
#pragma once

#include "common.cuh"
#include "tiles.cuh"

__device__ inline void copy_later(u32 to, const half* from, bool there)       // 16 bytes; zeros where there is nothing
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

__device__ inline void end_of_stage() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int UNDER_WAY>
__device__ inline void wait_for_stage() { asm volatile("cp.async.wait_group %0;" :: "n"(UNDER_WAY) : "memory"); }

__device__ inline void load_transposed(u32 (&x)[4], u32 address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address) : "memory");
}

// [16, 16] · [16, 8]
__device__ inline void multiply(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
