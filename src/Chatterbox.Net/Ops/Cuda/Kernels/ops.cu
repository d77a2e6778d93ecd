// Operations of which torch makes several kernels each: over rows of bf16 numbers, a block a row, computed in float32.
//
// From the host: THREADS.

#include "bf16.cuh"

constexpr int WARPS = THREADS / LANES;

struct RmsNormArguments
{
    const bf16* x;              // [rows, size]
    const bf16* gain;           // [size]
    bf16* y;                    // [rows, size]
    int size;
    float eps;
};

extern "C" __global__ void __launch_bounds__(THREADS) rms_norm(const __grid_constant__ RmsNormArguments a)
{
    __shared__ float sums[WARPS];
    const size_t row = (size_t)blockIdx.x * a.size;
    float x[VECTOR], gain[VECTOR], squares = 0;
    for (int i = threadIdx.x * VECTOR; i < a.size; i += THREADS * VECTOR)
    {
        unpack(*(const uint4*)(a.x + row + i), x);
#pragma unroll
        for (int k = 0; k < VECTOR; k++) squares += x[k] * x[k];
    }

    squares = warp_sum(squares);
    if (threadIdx.x % LANES == 0) sums[threadIdx.x / LANES] = squares;
    __syncthreads();
    squares = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) squares += sums[w];
    const float factor = rsqrtf(squares / a.size + a.eps);

    for (int i = threadIdx.x * VECTOR; i < a.size; i += THREADS * VECTOR)
    {
        unpack(*(const uint4*)(a.x + row + i), x);
        unpack(*(const uint4*)(a.gain + i), gain);
#pragma unroll
        for (int k = 0; k < VECTOR; k++) x[k] *= factor * gain[k];
        *(uint4*)(a.y + row + i) = pack(x);
    }
}

struct SiluGateArguments
{
    const bf16* gate;           // [rows, size], rows that far apart
    const bf16* up;
    bf16* y;                    // [rows, size]
    int size, apart;
};

extern "C" __global__ void __launch_bounds__(THREADS) silu_gate(const __grid_constant__ SiluGateArguments a)
{
    const size_t row = (size_t)blockIdx.x * a.apart;
    float gate[VECTOR], up[VECTOR];
    for (int i = threadIdx.x * VECTOR; i < a.size; i += THREADS * VECTOR)
    {
        unpack(*(const uint4*)(a.gate + row + i), gate);
        unpack(*(const uint4*)(a.up + row + i), up);
#pragma unroll
        for (int k = 0; k < VECTOR; k++) up[k] *= silu(gate[k]);
        *(uint4*)(a.y + (size_t)blockIdx.x * a.size + i) = pack(up);
    }
}

struct RotateArguments
{
    const bf16* x;              // [rows, time, size] in heads, time steps that far apart
    const bf16* cosines;        // [time, head]
    const bf16* sines;          // of a head's first half they are negative
    bf16* y;                    // [rows, time, size]
    int time, size, head, apart;
};

extern "C" __global__ void __launch_bounds__(THREADS) rotate(const __grid_constant__ RotateArguments a)
{
    const bf16* row = a.x + (size_t)blockIdx.x * a.apart;
    const int position = blockIdx.x % a.time * a.head;
    float x[VECTOR], other[VECTOR], cosine[VECTOR], sine[VECTOR];
    for (int i = threadIdx.x * VECTOR; i < a.size; i += THREADS * VECTOR)
    {
        const int part = i % a.head;
        unpack(*(const uint4*)(row + i), x);
        unpack(*(const uint4*)(row + (part < a.head / 2 ? i + a.head / 2 : i - a.head / 2)), other);
        unpack(*(const uint4*)(a.cosines + position + part), cosine);
        unpack(*(const uint4*)(a.sines + position + part), sine);
#pragma unroll
        for (int k = 0; k < VECTOR; k++) x[k] = x[k] * cosine[k] + other[k] * sine[k];
        *(uint4*)(a.y + (size_t)blockIdx.x * a.size + i) = pack(x);
    }
}
