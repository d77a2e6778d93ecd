// HiFT between its products, and its end.
//
// From the host: SNAKES, the most blocks that share their input, and SNAKE_THREADS of a block; FFT and HOP, samples of a frame
// of the STFT and between two; STFT_FRAMES of a block.

#include "common.cuh"
#include "tiles.cuh"

// ---- the first Snakes of blocks that share their input --------------------------------------------------------------

struct SnakeArguments
{
    const float* x;             // [frames of all rows, channels]
    const float* alphas[SNAKES];// [channels]
    half* y[SNAKES];            // [frames of all rows, channels]; null from the first that is not wanted
    long long numbers;
    int channels;
};

extern "C" __global__ void __launch_bounds__(SNAKE_THREADS) snakes(const __grid_constant__ SnakeArguments a)
{
    const long long i = ((long long)blockIdx.x * SNAKE_THREADS + threadIdx.x) * VECTOR;
    if (i >= a.numbers) return;

    float x[VECTOR], other[VECTOR];
    load(a.x + i, x);
#pragma unroll
    for (int s = 0; s < SNAKES; s++)
        if (a.y[s])
        {
            float y[VECTOR];
            load(a.alphas[s] + i % a.channels, other);
#pragma unroll
            for (int k = 0; k < VECTOR; k++) y[k] = snake(x[k], other[k]);
            store(a.y[s] + i, y);
        }
}

// ---- the end: inverse STFT of 16 samples every 4 ---------------------------------------------------------------------

constexpr int BINS = FFT / 2 + 1;
static_assert(FFT == 16 && HOP == 4, "the table of cosines, and four frames that overlap");

// The smaller of two. What is not a number stays so, other than with fminf: the host must see it.
__device__ inline float at_most(float x, float limit) { return x > limit ? limit : x; }

struct WaveformArguments
{
    const float* x;             // log magnitudes before phases, [rows, frames, ld_x]
    float* samples;             // [rows, (frames − 1)·HOP]
    float max_magnitude, limit;
    int frames, ld_x;
};

extern "C" __global__ void __launch_bounds__(STFT_FRAMES) waveform(const __grid_constant__ WaveformArguments a)
{
    __shared__ float spoken[STFT_FRAMES][FFT + 1];

    // A block makes the samples of all but the last three of its frames: four frames overlap in each sample.
    const int first = blockIdx.x * (STFT_FRAMES - 3), frame = first + threadIdx.x;
    float real[BINS] = {}, imaginary[BINS] = {};
    if (frame < a.frames)
    {
        const float* const x = a.x + ((long long)blockIdx.y * a.frames + frame) * a.ld_x;
#pragma unroll
        for (int k = 0; k < BINS; k++)
        {
            const float magnitude = at_most(expf(x[k]), a.max_magnitude);
            const float phase = sinf(x[BINS + k]);
            real[k] = magnitude * cosf(phase);
            imaginary[k] = magnitude * sinf(phase);
        }
    }

    constexpr float COSINES[FFT] = {
        1, 0.92387953f, 0.70710678f, 0.38268343f, 0, -0.38268343f, -0.70710678f, -0.92387953f,
        -1, -0.92387953f, -0.70710678f, -0.38268343f, 0, 0.38268343f, 0.70710678f, 0.92387953f};
#pragma unroll
    for (int p = 0; p < FFT; p++)
    {
        float x = real[0] + (p % 2 == 0 ? real[BINS - 1] : -real[BINS - 1]);
#pragma unroll
        for (int k = 1; k < BINS - 1; k++) x += 2 * (real[k] * COSINES[k * p % FFT] - imaginary[k] * COSINES[(k * p + 12) % FFT]);
        spoken[threadIdx.x][p] = x / FFT * (0.5f - 0.5f * COSINES[p]);          // under Hann's window
    }

    __syncthreads();
    const int begin = first == 0 ? 0 : (first + 3) * HOP, end = (first + STFT_FRAMES) * HOP;     // from the first frame's first sample on
    for (int sample = begin + threadIdx.x; sample < end; sample += STFT_FRAMES)
    {
        const int place = sample - FFT / 2;
        if (place < 0 || place >= (a.frames - 1) * HOP) continue;
        float sum = 0, window = 0;
        for (int f = max(sample / HOP - 3, 0); f <= min(sample / HOP, a.frames - 1); f++)
        {
            const float w = 0.5f - 0.5f * COSINES[sample - f * HOP];
            sum += spoken[f - first][sample - f * HOP];
            window += w * w;
        }

        a.samples[(long long)blockIdx.y * (a.frames - 1) * HOP + place] = -at_most(-at_most(sum / window, a.limit), a.limit);
    }
}
