// What the kernels have in common. They include no header of CUDA, since the compiler at run time brings none.
//
// From the host, like what other files name so: LANES of a warp; VECTOR, the numbers that a thread loads at once, which are
// 16 bytes in 16 bits each.
#pragma once

typedef unsigned int u32;

#define INFINITY __uint_as_float(0x7f800000u)

__device__ inline void load(const float* p, float (&x)[VECTOR])
{
    float4 a = *(const float4*)p, b = *(const float4*)(p + 4);
    x[0] = a.x; x[1] = a.y; x[2] = a.z; x[3] = a.w; x[4] = b.x; x[5] = b.y; x[6] = b.z; x[7] = b.w;
}

__device__ inline float warp_sum(float x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(~0u, x, offset);
    return x;
}

// Kernels that overlap: one may begin when all blocks of the one in front of it let it, and waits itself for that one's end.
#if __CUDA_ARCH__ >= 900
__device__ inline void wait_for_previous() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ inline void let_next_begin() { asm volatile("griddepcontrol.launch_dependents;"); }
#else
__device__ inline void wait_for_previous() {}
__device__ inline void let_next_begin() {}
#endif

__device__ inline float snake(float x, float alpha)
{
    const float s = __sinf(x * alpha);
    return x + s * s / (alpha + 1e-9f);
}
