// A resampling FIR filter: each output sample is the product of a row of taps with the inputs around it.
//
// From the host: OUTPUTS of a block, one a thread.

#include "common.cuh"

struct ResampleArguments
{
    const float* x;             // [count]
    const float* rows;          // [up, taps]
    float* y;                   // [length]
    int count, length;
    int made;                   // outputs; those behind them are zero
    int up, down, taps;
};

extern "C" __global__ void __launch_bounds__(OUTPUTS) resample(const __grid_constant__ ResampleArguments a)
{
    // Output m lies at input m·down/up. The block holds the inputs that its outputs depend on.
    extern __shared__ float inputs[];
    const long long first = (long long)blockIdx.x * OUTPUTS, output = first + threadIdx.x;
    const long long start = first * a.down / a.up - a.taps / 2 + 1;
    const int span = (OUTPUTS - 1) * a.down / a.up + 1 + a.taps;
    for (int i = threadIdx.x; i < span; i += OUTPUTS)
    {
        const long long place = start + i;
        inputs[i] = place >= 0 && place < a.count ? a.x[place] : 0;
    }

    __syncthreads();
    if (output >= a.length) return;
    const long long place = output * a.down;
    const float* const x = inputs + (int)(place / a.up - first * a.down / a.up);
    const float* const row = a.rows + place % a.up * a.taps;
    float sum = 0;
    for (int i = 0; i < a.taps; i++) sum += row[i] * x[i];
    a.y[output] = output < a.made ? sum : 0;
}
