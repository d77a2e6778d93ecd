// Numbers in bf16: the upper half of a float.
#pragma once
#include "common.cuh"

typedef unsigned short bf16;

__device__ inline float low(u32 pair) { return __uint_as_float(pair << 16); }
__device__ inline float high(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ inline float widen(bf16 x) { return __uint_as_float((u32)x << 16); }

__device__ inline bf16 narrow(float x)                   // to the nearest, ties to even; what is not a number stays none
{
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(0.0f), "f"(x));
    return (bf16)pair;
}

__device__ inline void unpack(uint4 v, float (&x)[VECTOR])
{
    x[0] = low(v.x); x[1] = high(v.x); x[2] = low(v.y); x[3] = high(v.y);
    x[4] = low(v.z); x[5] = high(v.z); x[6] = low(v.w); x[7] = high(v.w);
}

__device__ inline uint4 pack(const float (&x)[VECTOR])
{
    uint4 v;
    v.x = narrow(x[0]) | (u32)narrow(x[1]) << 16; v.y = narrow(x[2]) | (u32)narrow(x[3]) << 16;
    v.z = narrow(x[4]) | (u32)narrow(x[5]) << 16; v.w = narrow(x[6]) | (u32)narrow(x[7]) << 16;
    return v;
}

__device__ inline float silu(float x) { return x / (1 + __expf(-x)); }
