// The watermark's way from samples to what its network reads, and back: a block makes the spectrum of a frame, or a frame
// of a spectrum.
//
// From the host: FFT and HOP, samples of a frame and between two; MARKED, the lowest bins, which carry the mark; THREADS of a
// block.

#include "common.cuh"
#include "tiles.cuh"

constexpr int POINTS = FFT / 2;                          // of the complex transform that does for a real one
constexpr int OVERLAPS = (FFT + HOP - 1) / HOP;          // most frames that a sample lies in
static_assert(POINTS == 4 * THREADS && POINTS == 1024, "five steps of radix 4, four points a thread");

__device__ inline float2 operator+(float2 x, float2 y) { return {x.x + y.x, x.y + y.y}; }
__device__ inline float2 operator-(float2 x, float2 y) { return {x.x - y.x, x.y - y.y}; }
__device__ inline float2 operator*(float2 x, float2 y) { return {x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x}; }
__device__ inline float2 operator*(float x, float2 y) { return {x * y.x, x * y.y}; }
__device__ inline float2 conjugate(float2 x) { return {x.x, -x.y}; }
__device__ inline float2 turned(float2 x) { return {-x.y, x.x}; }                // by a quarter: times i
__device__ inline float norm(float2 x) { return sqrtf(x.x * x.x + x.y * x.y); }

// The Fourier transform of POINTS numbers in shared memory, in place, by five steps of radix 4. In order goes in, and in
// order comes out. `roots` are e^(−2πi·k/FFT).
__device__ inline void transform(float2* x, const float2* roots)
{
    const int t = threadIdx.x;
#pragma unroll
    for (int done = 1; done < POINTS; done *= 4)
    {
        const int within = t % done, turn = within * (FFT / 4 / done);
        const float2 w = roots[turn], square = roots[2 * turn];
        __syncthreads();
        const float2 a = x[t], b = w * x[t + THREADS], c = square * x[t + 2 * THREADS], d = w * square * x[t + 3 * THREADS];
        __syncthreads();
        const float2 even = a + c, odd = a - c, more = b + d, less = turned(d - b);
        float2* const y = x + (t - within) * 4 + within;
        y[0] = even + more;
        y[done] = odd + less;
        y[2 * done] = even - more;
        y[3 * done] = odd - less;
    }

    __syncthreads();
}

struct AnalyseArguments
{
    const float* x;             // [count]
    const float* window;        // [FFT]
    const float2* roots;        // [POINTS]
    float2* spectrum;           // [frames, POINTS]: in the first place the first and the last bin, which are real
    half* magnitude;            // of the lowest bins, for the network, [frames, MARKED]
    float* level;               // all bins' magnitudes together, [frames]
    float* loudest;             // the highest level so far, [1]
    int count;
    float floor, scale, shift;  // magnitude = scale · log₁₀(at least floor) + shift
};

extern "C" __global__ void __launch_bounds__(THREADS) analyse(const __grid_constant__ AnalyseArguments a)
{
    __shared__ float2 x[POINTS];
    __shared__ float sums[THREADS / LANES];
    const int t = threadIdx.x, frame = blockIdx.x;

    // Beyond its ends the signal is mirrored.
    auto sample = [&](int n)
    {
        const int place = abs(frame * HOP - FFT / 2 + n);
        return a.window[n] * a.x[place < a.count ? place : 2 * (a.count - 1) - place];
    };
    for (int n = t; n < POINTS; n += THREADS) x[n] = {sample(2 * n), sample(2 * n + 1)};
    transform(x, a.roots);

    float2* const spectrum = a.spectrum + (long long)frame * POINTS;
    float level = 0;
    auto measure = [&](float magnitude, int k)
    {
        const float scaled = a.scale * log10f(fmaxf(magnitude, a.floor)) + a.shift;
        level += scaled;
        if (k < MARKED) a.magnitude[frame * MARKED + k] = (half)narrow(scaled, 0);
    };
    for (int k = t; k <= POINTS / 2; k += THREADS)
    {
        const float2 z = x[k], mirrored = conjugate(x[(POINTS - k) % POINTS]);
        const float2 even = 0.5f * (z + mirrored), odd = a.roots[k] * (0.5f * turned(mirrored - z));
        const float2 low = even + odd, high = conjugate(even - odd);
        spectrum[k] = k == 0 ? float2{low.x, high.x} : low;
        if (k != 0) spectrum[POINTS - k] = high;
        measure(norm(low), k);
        if (k < POINTS / 2) measure(norm(high), POINTS - k);
    }

    level = warp_sum(level);
    if (t % LANES == 0) sums[t / LANES] = level;
    __syncthreads();
    if (t == 0)
    {
        level = 0;
        for (int i = 0; i < THREADS / LANES; i++) level += sums[i];
        level = fmaxf(level, 0);                         // of silence, it is zero to rounding
        a.level[frame] = level;
        atomicMax((int*)a.loudest, __float_as_int(level));
    }
}

struct RaiseArguments
{
    float2* spectrum;           // [frames, POINTS], as analyse leaves it; becomes frames under the window, [frames, FFT]
    const float* change;        // of the lowest bins' magnitudes, [frames, MARKED]
    const float* level;         // [frames]
    const float* loudest;       // [1]
    const float* window;        // [FFT]
    const float2* roots;        // [POINTS]
    float floor, most;          // least and most magnitude
    float nepers, faintest;     // of a magnitude of 1; frames below this part of the loudest stay as they are
};

extern "C" __global__ void __launch_bounds__(THREADS) raise(const __grid_constant__ RaiseArguments a)
{
    __shared__ float2 x[POINTS];
    const int t = threadIdx.x, frame = blockIdx.x;
    float2* const spectrum = a.spectrum + (long long)frame * POINTS;
    const bool marked = a.level[frame] > a.faintest * *a.loudest;
    auto raised = [&](float2 bin, int k)
    {
        if (!marked || k >= MARKED) return bin;
        return fminf(expf(a.nepers * a.change[frame * MARKED + k]), a.most / fmaxf(norm(bin), a.floor)) * bin;
    };
    for (int k = t; k <= POINTS / 2; k += THREADS)
    {
        const float2 first = spectrum[k];
        const float2 low = raised(k == 0 ? float2{first.x, 0} : first, k);
        const float2 high = k == 0 ? float2{first.y, 0} : conjugate(spectrum[POINTS - k]);
        const float2 even = 0.5f * (low + high), odd = conjugate(a.roots[k]) * (0.5f * (low - high));
        const float2 z = even + turned(odd), mirrored = conjugate(even - turned(odd));
        x[k] = {z.y, z.x};                               // real and imaginary parts change places: the transform goes back
        if (k != 0) x[POINTS - k] = {mirrored.y, mirrored.x};
    }

    transform(x, a.roots);
    for (int n = t; n < POINTS; n += THREADS)
        spectrum[n] = (1.0f / POINTS) * float2{a.window[2 * n] * x[n].y, a.window[2 * n + 1] * x[n].x};
}

struct OverlapArguments
{
    const float* frames;        // [frames, FFT], under the window
    const float* window;        // [FFT]
    float* y;                   // [(frames − 1)·HOP]
    int count;                  // of frames
};

extern "C" __global__ void __launch_bounds__(HOP) overlap(const __grid_constant__ OverlapArguments a)
{
    const int place = blockIdx.x * HOP + threadIdx.x, last = (place + FFT / 2) / HOP;
    float sum = 0, weight = 0;
#pragma unroll
    for (int i = 0; i < OVERLAPS; i++)
    {
        const int frame = last - i, n = place + FFT / 2 - frame * HOP;
        if (frame < 0 || frame >= a.count || n >= FFT) continue;
        const float w = a.window[n];
        sum += a.frames[(long long)frame * FFT + n];
        weight += w * w;
    }

    a.y[place] = sum / weight;
}
