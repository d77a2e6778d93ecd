// A step of the flow behind the estimator: guidance, Euler, and the next step's input.
//
// From the host: THREADS of a block.

#include "common.cuh"
#include "tiles.cuh"

struct EulerArguments
{
    const float* velocity;      // [rows or 2·rows, frames, bands]; with guidance, those without conditions behind
    const float* lengths;       // of the steps, [steps]
    int* step;                  // which it is; and blocks that are done with it. The last one counts it up
    float* mel;                 // [rows, frames, bands]
    half* input;                // [rows or 2·rows, frames, ld]: the mel is in front
    float guidance;             // 0: none
    int numbers, bands, ld;     // numbers = rows · frames · bands
};

extern "C" __global__ void __launch_bounds__(THREADS) euler(const __grid_constant__ EulerArguments a)
{
    const int i = blockIdx.x * THREADS + threadIdx.x, step = *a.step;
    if (i < a.numbers)
    {
        float v = a.velocity[i];
        if (a.guidance != 0) v = (1 + a.guidance) * v - a.guidance * a.velocity[a.numbers + i];
        const float x = a.mel[i] + a.lengths[step] * v;
        a.mel[i] = x;
        const long long place = (long long)(i / a.bands) * a.ld + i % a.bands;
        const half narrowed = (half)narrow(x, 0);
        a.input[place] = narrowed;
        if (a.guidance != 0) a.input[(long long)(a.numbers / a.bands) * a.ld + place] = narrowed;
    }

    __syncthreads();                                     // the block has read the step
    if (threadIdx.x == 0 && atomicAdd(a.step + 1, 1) == gridDim.x - 1) a.step[0] = step + 1, a.step[1] = 0;
}
