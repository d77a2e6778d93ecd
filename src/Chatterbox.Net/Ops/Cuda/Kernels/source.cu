// The vocoder's pitch and source, in float32: F0 is added up over the whole utterance, and what rounding adds up to there
// turns the phases.
//
// From the host: FRAMES, OUTPUTS and CHANNELS, the shapes of a block's share of a convolution and of a chunk of its inputs;
// SINES of the source; THREADS of a block.

#include "common.cuh"

// ---- pitch: convolutions over time, of three taps ------------------------------------------------------------------

// A block makes FRAMES × OUTPUTS results, a thread 4 × 4 of them from half of a chunk's channels; the halves are added up
// at the end. x and y lie as [row, channel, frame], so that a thread's frames and those beside them are one load or two.
constexpr int TAPS = 3, EACH = 4;
constexpr int X_ROW = FRAMES + 8, X_PARTS = 3, WEIGHT_PARTS = CHANNELS * TAPS * OUTPUTS / 4 / THREADS;

struct PitchArguments
{
    const float* x;             // [rows, inputs, frames]
    const float* weight;        // [inputs, taps, outputs]
    const float* bias;          // [outputs]
    float* y;                   // behind the ELU, [rows, outputs, frames]
    int inputs, outputs, frames;
};

extern "C" __global__ void __launch_bounds__(THREADS) pitch_layer(const __grid_constant__ PitchArguments a)
{
    __shared__ __align__(16) float xs[CHANNELS][X_ROW];
    __shared__ __align__(16) float weights[CHANNELS * TAPS * OUTPUTS];
    const int first_frame = blockIdx.x * FRAMES, first_output = blockIdx.y * OUTPUTS;
    const int share = threadIdx.x % (THREADS / 2), half = threadIdx.x / (THREADS / 2);
    const int output = share % 16 * EACH, frame = share / 16 * EACH;
    const float* const x = a.x + (long long)blockIdx.z * a.inputs * a.frames;
    float sums[EACH][EACH] = {};                        // outputs · frames
    float next_x[X_PARTS];
    float4 next_weights[WEIGHT_PARTS];

    auto load = [&](int chunk)
    {
#pragma unroll
        for (int i = 0; i < X_PARTS; i++)
        {
            const int place = threadIdx.x + i * THREADS, channel = place / X_ROW, t = first_frame - 1 + place % X_ROW;
            next_x[i] = channel < CHANNELS && (u32)t < (u32)a.frames ? x[(long long)(chunk * CHANNELS + channel) * a.frames + t] : 0;
        }

#pragma unroll
        for (int i = 0; i < WEIGHT_PARTS; i++)
        {
            const int place = threadIdx.x + i * THREADS, row = place / (OUTPUTS / 4), column = place % (OUTPUTS / 4) * 4;
            next_weights[i] = *(const float4*)(a.weight + (long long)(chunk * CHANNELS * TAPS + row) * a.outputs + first_output + column);
        }
    };

    const int chunks = a.inputs / CHANNELS;
    load(0);
    for (int chunk = 0; chunk < chunks; chunk++)
    {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < X_PARTS; i++)
        {
            const int place = threadIdx.x + i * THREADS;
            if (place < CHANNELS * X_ROW) xs[0][place] = next_x[i];
        }

#pragma unroll
        for (int i = 0; i < WEIGHT_PARTS; i++) *(float4*)(weights + (threadIdx.x + i * THREADS) * 4) = next_weights[i];
        __syncthreads();
        if (chunk + 1 < chunks) load(chunk + 1);
#pragma unroll
        for (int c = 0; c < CHANNELS / 2; c++)
        {
            const int channel = half * (CHANNELS / 2) + c;
            const float4 most = *(const float4*)&xs[channel][frame];
            const float2 rest = *(const float2*)&xs[channel][frame + EACH];
            const float seen[EACH + TAPS - 1] = {most.x, most.y, most.z, most.w, rest.x, rest.y};
#pragma unroll
            for (int tap = 0; tap < TAPS; tap++)
            {
                const float4 w = *(const float4*)(weights + (channel * TAPS + tap) * OUTPUTS + output);
                const float factors[EACH] = {w.x, w.y, w.z, w.w};
#pragma unroll
                for (int o = 0; o < EACH; o++)
#pragma unroll
                    for (int f = 0; f < EACH; f++) sums[o][f] += factors[o] * seen[f + tap];
            }
        }
    }

    __syncthreads();
    float* const other = weights + share * EACH * EACH;
    if (half == 1)
#pragma unroll
        for (int i = 0; i < EACH * EACH; i++) other[i] = sums[i / EACH][i % EACH];
    __syncthreads();
    if (half == 1) return;
#pragma unroll
    for (int o = 0; o < EACH; o++)
    {
        const int n = first_output + output + o;
        float* const y = a.y + ((long long)blockIdx.z * a.outputs + n) * a.frames;
        const float bias = a.bias[n];
#pragma unroll
        for (int f = 0; f < EACH; f++)
        {
            const int t = first_frame + frame + f;
            const float sum = sums[o][f] + other[o * EACH + f] + bias;
            if (t < a.frames) y[t] = sum > 0 ? sum : expm1f(sum);
        }
    }
}

// The last layer: one number a frame, from all channels.
constexpr int PARTS = THREADS / LANES;

extern "C" __global__ void __launch_bounds__(THREADS) pitch(const __grid_constant__ PitchArguments a)
{
    __shared__ float sums[PARTS][LANES];
    const int lane = threadIdx.x % LANES, part = threadIdx.x / LANES, t = blockIdx.x * LANES + lane;
    const float* const x = a.x + (long long)blockIdx.z * a.inputs * a.frames;
    float sum = 0;
    if (t < a.frames)
        for (int channel = part; channel < a.inputs; channel += PARTS) sum += a.weight[channel] * x[(long long)channel * a.frames + t];
    sums[part][lane] = sum;
    __syncthreads();
    if (part != 0 || t >= a.frames) return;
#pragma unroll
    for (int i = 1; i < PARTS; i++) sum += sums[i][lane];
    a.y[(long long)blockIdx.z * a.frames + t] = fabsf(sum + a.bias[0]);
}

// ---- source: a sine at F0 and one at each overtone, and noise ------------------------------------------------------

struct SourceArguments
{
    const float* f0;            // Hz, [rows, frames]
    const float* phases;        // [rows, SINES]
    const float* noise;         // [rows, SINES, samples]
    const double* cycles;       // before the first frame, [rows, SINES]; or null
    const float* weight;        // [SINES]
    const float* bias;          // [1]
    float* source;              // [rows, samples]
    float rate, threshold, amplitude, voiced_noise;
    int frames, samples;        // of a row; of a frame
};

// Cycles a sample, as torch rounds them.
__device__ inline float cycles_of(float f0, int sine, float rate) { return __fdiv_rn(__fmul_rn(f0, sine + 1), rate); }

// A block makes a frame, in which the pitch is the same. What the sines have turned by then is added up in float64 and
// rounded to float32 before the whole cycles go, as in the reference.
extern "C" __global__ void __launch_bounds__(THREADS) source(const __grid_constant__ SourceArguments a)
{
    __shared__ double sums[THREADS / LANES][SINES];
    const int frame = blockIdx.x, row = blockIdx.y, lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const float* const f0 = a.f0 + (long long)row * a.frames;
    double behind[SINES] = {};
    for (int i = threadIdx.x; i <= frame; i += THREADS)
#pragma unroll
        for (int s = 0; s < SINES; s++) behind[s] += cycles_of(f0[i], s, a.rate);
#pragma unroll
    for (int s = 0; s < SINES; s++)
    {
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset /= 2) behind[s] += __shfl_xor_sync(~0u, behind[s], offset);
        if (lane == 0) sums[warp][s] = behind[s];
    }

    __syncthreads();
    if (threadIdx.x < SINES)
    {
        double sum = 0;
        for (int i = 0; i < THREADS / LANES; i++) sum += sums[i][threadIdx.x];
        sums[0][threadIdx.x] = sum * a.samples + (a.cycles ? a.cycles[row * SINES + threadIdx.x] : 0);
    }

    __syncthreads();
    const float pitch = f0[frame], voiced = pitch > a.threshold ? 1 : 0;
    const float level = voiced != 0 ? a.voiced_noise : a.amplitude / 3;
    const long long samples = (long long)a.frames * a.samples, first = (long long)frame * a.samples;
    for (int i = threadIdx.x; i < a.samples; i += THREADS)
    {
        float sum = a.bias[0];
#pragma unroll
        for (int s = 0; s < SINES; s++)
        {
            const float cycles = (float)(sums[0][s] + (double)cycles_of(pitch, s, a.rate) * (i + 1 - a.samples));
            const float wave = a.amplitude * sinpif(2 * (cycles - floorf(cycles)) + a.phases[row * SINES + s] * 0.318309886f);
            sum += a.weight[s] * (wave * voiced + level * a.noise[((long long)row * SINES + s) * samples + first + i]);
        }

        a.source[row * samples + first + i] = 1 - 2 / (expf(2 * sum) + 1);
    }
}
