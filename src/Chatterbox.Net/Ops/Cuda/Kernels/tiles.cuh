// Numbers in 16 bits, and tiles of them in shared memory.
#pragma once

typedef unsigned short half;

constexpr int TILE = 64 * 128;                           // bytes of 64 rows of 64 numbers

__device__ inline u32 narrow(float low, float high)      // two numbers as fp16
{
    u32 pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ inline float2 widen(u32 pair)
{
    float2 x;
    asm("{.reg .f16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}" : "=f"(x.x), "=f"(x.y) : "r"(pair));
    return x;
}

__device__ inline void store(half* p, const float (&x)[VECTOR])
{
    uint4 v;
    v.x = narrow(x[0], x[1]); v.y = narrow(x[2], x[3]); v.z = narrow(x[4], x[5]); v.w = narrow(x[6], x[7]);
    *(uint4*)p = v;
}

__device__ inline void store(float* p, const float (&x)[VECTOR])
{
    float4 a, b;
    a.x = x[0]; a.y = x[1]; a.z = x[2]; a.w = x[3]; b.x = x[4]; b.y = x[5]; b.z = x[6]; b.w = x[7];
    *(float4*)p = a;
    *(float4*)(p + 4) = b;
}

__device__ inline u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// A tile in shared memory has rows of 128 bytes; the 16-byte pieces of a row change places by the row's number, so that
// eight rows' same pieces lie in different banks.
__device__ inline u32 piece(u32 tile, int row, int column) { return tile + row * 128 + ((column ^ (row & 7)) << 4); }

__device__ inline void load_matrices(u32 (&x)[4], u32 address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address) : "memory");
}
