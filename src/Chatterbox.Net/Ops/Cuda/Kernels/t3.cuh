// What the kernels of T3's steps have in common: numbers in bf16, the pieces of attention and MLP.
#pragma once
#include "common.cuh"

typedef unsigned char u8;
typedef unsigned short bf16;

constexpr int HEAD_DIM = HIDDEN / HEADS;
static_assert(HEAD_DIM == 64, "the size of a head that the kernels are made for");

__device__ inline float low(u32 pair) { return __uint_as_float(pair << 16); }
__device__ inline float high(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ inline float widen(bf16 x) { return __uint_as_float((u32)x << 16); }

__device__ inline bf16 narrow(float x)                   // to the nearest, ties to even
{
    u32 bits = __float_as_uint(x);
    return (bf16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
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

// Joins two parts of a softmax: maxima, sums, weighted values. Powers are of 2.
__device__ inline void merge(float& m, float& l, float (&sum)[VECTOR], float m2, float l2, const float (&sum2)[VECTOR])
{
    float top = fmaxf(m, m2);
    float f = top == -INFINITY ? 0 : exp2f(m - top), f2 = top == -INFINITY ? 0 : exp2f(m2 - top);
    m = top;
    l = l * f + l2 * f2;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sum[i] = sum[i] * f + sum2[i] * f2;
}

__device__ inline float silu(float x) { return x / (1 + __expf(-x)); }
__device__ inline float gelu(float x) { return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }

// The norm in front of a product is a factor behind it: with scale g, shift b and reciprocal deviation d of a row,
// W·norm(x) = d · (W·(g∘x) − mean · W·g) + W·b. Of an RMS norm only the first term is there.
struct Norm
{
    const float* gain;          // g, [HIDDEN]
    const float* mean_factor;   // W·g for each output; unused by an RMS norm
    const float* shift;         // W·b plus the product's own bias for each output; unused by an RMS norm
    float eps;
};
