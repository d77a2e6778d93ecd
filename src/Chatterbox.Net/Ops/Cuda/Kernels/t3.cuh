// What the kernels of T3's steps have in common: the pieces of attention and MLP.
#pragma once
#include "bf16.cuh"

typedef unsigned char u8;

constexpr int HEAD_DIM = HIDDEN / HEADS;
static_assert(HEAD_DIM == 64, "the size of a head that the kernels are made for");

// Joins two parts of a softmax: maxima, sums, weighted values. Powers are of 2.
__device__ inline void merge(float& m, float& l, float (&sum)[VECTOR], float m2, float l2, const float (&sum2)[VECTOR])
{
    float top = fmaxf(m, m2);
    float f = top == -INFINITY ? 0 : exp2f(m - top), f2 = top == -INFINITY ? 0 : exp2f(m2 - top);
    m = top;
    l = fmaf(l, f, __fmul_rn(l2, f2));
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sum[i] = fmaf(sum[i], f, __fmul_rn(sum2[i], f2));
}

__device__ inline float gelu(float x)                    // in its tanh form
{
    return __fmul_rn(__fmul_rn(0.5f, x), __fadd_rn(1, tanhf(__fmul_rn(0.7978845608f, fmaf(__fmul_rn(0.044715f, __fmul_rn(x, x)), x, x)))));
}

// The norm in front of a product is a factor behind it: with scale g, shift b and reciprocal deviation d of a row,
// W·norm(x) = d · (W·(g∘x) − mean · W·g) + W·b. Of an RMS norm only the first term is there.
struct Norm
{
    const float* gain;          // g, [HIDDEN]
    const float* mean_factor;   // W·g for each output; unused by an RMS norm
    const float* shift;         // W·b plus the product's own bias for each output; unused by an RMS norm
    float eps;
};
