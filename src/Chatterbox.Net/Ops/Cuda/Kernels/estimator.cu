// The estimator on compute capability 9.0: its convolutions and its transformer blocks, each but for the attention one
// kernel of clusters. Operands are fp16, sums, norms and what is added up float32. The first weights are loaded while the
// kernel in front is still running.
//
// Weights, and what attention reads and writes, lie in tiles of 64 numbers of 64 or more rows (see piece).

#include "estimator.cuh"

// ---- a transformer block behind its attention, up to the next attention --------------------------------------------

struct TransformerArguments
{
    const half* attended;       // [frames / 64, HEADS] tiles
    const half *out, *up, *down;
    const half* qkv_weight;     // of the next block; or null, where it is the stage's last
    const float *out_bias, *gain, *shift, *up_bias, *down_bias;
    const float *next_gain, *next_shift;
    float* x;                   // [frames of all rows, CHANNELS]
    half* qkv;                  // [frames / 64, 3, HEADS] tiles
    half* y;                    // [frames of all rows, ld_y], the same as x; or null
    int ld_y;
    int frames;                 // of all rows
};

__device__ inline float gelu(float x)                    // with erf to 1.5e-7, by Abramowitz and Stegun, 7.1.26
{
    const float z = fabsf(x) * 0.70710678f, t = __fdividef(1, 1 + 0.3275911f * z);
    const float tail = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t * __expf(-z * z);
    return fmaxf(x, 0) - 0.5f * fabsf(x) * tail;
}

__device__ inline void load_attended(const Place& place, const half* attended, int frame, int here)
{
    const int ahead = min(here, 64 - frame % 64);        // in the first tile of 64 frames
    expect(place.given, HEADS * here * 128);
    for (int h = 0; h < HEADS; h++)
    {
        const half* const from = attended + ((long long)(frame / 64) * HEADS + h) * (TILE / 2);
        copy(place.operands + h * CHUNK, from + frame % 64 * 64, ahead * 128, place.given);
        if (ahead < here) copy(place.operands + h * CHUNK + ahead * 128, from + HEADS * (TILE / 2), (here - ahead) * 128, place.given);
    }
}

// A quarter of the hidden channels, from the operands into the chunks behind them.
__device__ inline void make_hidden(Worker& w, const float* bias)
{
#pragma unroll 1
    for (int m = 0; m < 2; m++)
    {
        float hidden[SUMS];
        w.run_chunks(hidden, w.place.operands);
        const int tile = w.group * 2 + m;
#pragma unroll
        for (int r = 0; r < 2; r++)
        {
            const float b = bias[w.rank * (HIDDEN / CLUSTER) + tile * 64 + w.channel + r * 8];
#pragma unroll
            for (int i = 0; i < SUMS; i++)
                if (i / 2 % 2 == r) hidden[i] = gelu(hidden[i] + b);
        }

        w.put(w.place.operands + (4 + tile) * CHUNK, 0, EIGHTS, hidden);
    }

    show();
    w.in_step();
}

// Products with those: each block's part of all channels' sums, which go to the blocks that the channels are of. Added to x.
__device__ inline void add_hidden(Worker& w)
{
    w.wait_for_told();                                   // nothing is on its way from the operands, which are written over
#pragma unroll 1
    for (int m = 0; m < 2; m++)
    {
        float sums[SUMS];
        w.run_chunks(sums, w.place.operands + 4 * CHUNK);
        const int to = w.group * 2 + m;
        const u32 part = w.place.operands + to * CHUNK;
#pragma unroll
        for (int n = 0; n < EIGHTS; n++)
            asm volatile("st.shared.v2.b32 [%0], {%1,%2};"
                :: "r"(part + n * 1024 + w.own / 2), "r"(narrow(sums[n * 4], sums[n * 4 + 1])), "r"(narrow(sums[n * 4 + 2], sums[n * 4 + 3])) : "memory");
        show();
        w.group_in_step();
        if (threadIdx.x % GROUP == 0 && to != w.rank) send(remote(w.place.received + (w.rank - (w.rank > to)) * CHUNK, to), part, CHUNK, remote(w.place.summed, to));
    }

    w.in_step();
    wait(w.place.summed, 0);
#pragma unroll
    for (int i = 0; i < MINE; i++)
    {
        if (i >= w.count) break;
#pragma unroll
        for (int c = 0; c < CLUSTER; c++)
        {
            const u32 part = c == w.rank ? w.place.operands + c * CHUNK : w.place.received + (c - (c > w.rank)) * CHUNK;
            u32 pairs[2];
            asm volatile("ld.shared.v2.b32 {%0,%1}, [%2];" : "=r"(pairs[0]), "=r"(pairs[1]) : "r"(part + (w.first + i) * 1024 + w.own / 2) : "memory");
#pragma unroll
            for (int k = 0; k < 2; k++)
            {
                const float2 pair = widen(pairs[k]);
                w.x[i][k * 2] += pair.x, w.x[i][k * 2 + 1] += pair.y;
            }
        }
    }
}

extern "C" __global__ void CLUSTERS transform(const __grid_constant__ TransformerArguments a)
{
    const Place place(HEADS * CHUNK, (CLUSTER - 1) * CHUNK);
    const int frame = blockIdx.x / CLUSTER * FRAMES, here = min(FRAMES, a.frames - frame);
    if (threadIdx.x >= WORKERS)
    {
        if (threadIdx.x > WORKERS) return;
        const int rank = cluster_rank();
        Loader loader = {place, 0};
        loader.load_halves(a.out, HEADS);
        wait_for_previous();
        load_attended(place, a.attended, frame, here);
        loader.load_each(a.up, HIDDEN, rank * (HIDDEN / CLUSTER), 2, 0, CHANNELS / 64);
        loader.load_each(a.down, CHANNELS, 0, 2, rank * (HIDDEN / CLUSTER / 64), HIDDEN / CLUSTER / 64);
        if (a.qkv_weight) loader.load_each(a.qkv_weight, QKV, rank * (QKV / CLUSTER), 3, 0, CHANNELS / 64);
        return;
    }

    wait_for_previous();
    Worker w(place);
    float* const x = a.x + (long long)frame * CHANNELS;
    float bias[2], down_bias[2], gain[2], shift[2];
    w.of_thread(a.out_bias, bias);
    w.of_thread(a.down_bias, down_bias);
    w.of_thread(a.gain, gain);
    w.of_thread(a.shift, shift);
#pragma unroll
    for (int i = 0; i < MINE; i++)
#pragma unroll
        for (int k = 0; k < 4; k++) w.x[i][k] = w.is_there(i, here) ? *w.place_of(x, i, k) + bias[k / 2] : 0;
    {
        float sums[SUMS] = {};
        wait(place.given, 0);
        w.run_half(sums, HEADS, [&](int t) { return place.operands + t * CHUNK; });
        w.give(sums, place.received);
        w.in_step();
        w.take(w.x, sums, place.received);
    }

    wait_for_all();
    w.spread(0, gain, shift);
    w.tell();
    make_hidden(w, a.up_bias);
    add_hidden(w);
    let_next_begin();
#pragma unroll
    for (int i = 0; i < MINE; i++)
#pragma unroll
        for (int k = 0; k < 4; k++)
        {
            w.x[i][k] += down_bias[k / 2];
            if (w.is_there(i, here)) *w.place_of(x, i, k) = w.x[i][k];
        }

    if (a.y) w.write(a.y + (long long)frame * a.ld_y, a.ld_y, here, place.operands + 4 * CHUNK);
    if (a.qkv_weight)
    {
        w.of_thread(a.next_gain, gain);
        w.of_thread(a.next_shift, shift);
        w.spread(1, gain, shift);
    }

    come();
    if (a.qkv_weight) w.make_qkv(a.qkv, frame, here);
    wait_for_all();                                      // until then others may read what is here
}

// ---- a causal convolution over three frames, and what follows it ---------------------------------------------------

// y = [around +] mish(norm(convolution)) [+ times]; and, if wanted, the first attention's queries, keys and values.
struct ConvolutionArguments
{
    const half* x;              // [frames of all rows, ld_x]
    const half* weight;         // [chunks, TAPS] tiles
    const float* bias;
    const float *gain, *shift;  // null: without norm and Mish
    const float* times;         // [steps, ld_times], added for the step that it is; or null
    const int* step;
    const half* around;         // [frames of all rows, ld_around]; or null. With it, x has CHANNELS at most
    const half* around_weight;  // [chunks] tiles
    const float* around_bias;
    half* y;                    // [frames of all rows, CHANNELS]; or null
    float* wide;                // the same in float32; or null
    const half* qkv_weight;     // or null
    const float *next_gain, *next_shift;
    half* qkv;
    int frames;                 // of a row
    int chunks, ld_x, around_chunks, ld_around, ld_times;
};

constexpr int AROUND = CHANNELS / 64 * SEEN;             // where that lies, behind x

// 64 channels of a row's frames from `first` on; zeros for those that there are none of.
__device__ inline void load_chunk(u32 chunk, const half* row, int ld, int first, int count, int frames)
{
    const int column = threadIdx.x % 8;
    for (int r = threadIdx.x / 8; r < count; r += WORKERS / 8)
    {
        const bool there = first + r >= 0 && first + r < frames;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
            :: "r"(piece(chunk, r, column)), "l"(row + (long long)(there ? first + r : 0) * ld + column * VECTOR), "r"(there ? 16 : 0) : "memory");
    }
}

__device__ inline float mish(float x)                    // x · tanh(ln(1 + eˣ))
{
    const float e = __expf(fminf(x, 20.0f)), n = e * (e + 2);
    return x * __fdividef(n, n + 2);
}

extern "C" __global__ void CLUSTERS convolve(const __grid_constant__ ConvolutionArguments a)
{
    const Place place(MOST_OPERANDS, 0);
    const int tiles = (a.frames + FRAMES - 1) / FRAMES, tile = blockIdx.x / CLUSTER;
    const int first = tile % tiles * FRAMES, here = min(FRAMES, a.frames - first);
    const long long row = (long long)(tile / tiles) * a.frames, frame = row + first;
    if (threadIdx.x >= WORKERS)
    {
        if (threadIdx.x > WORKERS) return;
        Loader loader = {place, 0};
        loader.load_halves(a.weight, a.chunks * TAPS);
        loader.load_halves(a.around_weight, a.around_chunks);
        if (a.qkv_weight) loader.load_each(a.qkv_weight, QKV, cluster_rank() * (QKV / CLUSTER), 3, 0, CHANNELS / 64);
        return;
    }

    wait_for_previous();
    Worker w(place);
    for (int c = 0; c < a.chunks; c++) load_chunk(place.operands + c * SEEN, a.x + row * a.ld_x + c * 64, a.ld_x, first - TAPS + 1, FRAMES + TAPS - 1, a.frames);
    for (int c = 0; c < a.around_chunks; c++) load_chunk(place.operands + AROUND + c * CHUNK, a.around + row * a.ld_around + c * 64, a.ld_around, first, FRAMES, a.frames);
    float bias[2], gain[2], shift[2], more[2] = {}, times[2] = {};
    w.of_thread(a.bias, bias);
    if (a.around) w.of_thread(a.around_bias, more);
    if (a.times) w.of_thread(a.times + (long long)*a.step * a.ld_times, times);
    asm volatile("cp.async.wait_all;" ::: "memory");
    show();
    w.in_step();

    float sums[SUMS] = {}, around_sums[SUMS] = {}, added[MINE][4];
    w.run_half(sums, a.chunks * TAPS, [&](int t) { return place.operands + t / TAPS * SEEN + t % TAPS * 128; });
    if (a.around) w.run_half(around_sums, a.around_chunks, [&](int t) { return place.operands + AROUND + t * CHUNK; });
    w.in_step();                                         // the inputs are written over
    w.give(sums, place.operands);
    if (a.around) w.give(around_sums, place.operands + EIGHTS * 2048);
    w.in_step();
#pragma unroll
    for (int i = 0; i < MINE; i++)
#pragma unroll
        for (int k = 0; k < 4; k++) w.x[i][k] = bias[k / 2], added[i][k] = more[k / 2] + times[k / 2];
    w.take(w.x, sums, place.operands);
    if (a.around) w.take(added, around_sums, place.operands + EIGHTS * 2048);
    let_next_begin();
    wait_for_all();
    if (a.gain)
    {
        w.of_thread(a.gain, gain);
        w.of_thread(a.shift, shift);
        w.norm(w.x, 0, gain, shift);
#pragma unroll
        for (int i = 0; i < MINE; i++)
#pragma unroll
            for (int k = 0; k < 4; k++) w.x[i][k] = mish(w.x[i][k]) + added[i][k];
    }

    if (a.y) w.write(a.y + frame * CHANNELS, CHANNELS, here, place.operands + 2 * EIGHTS * 2048);
    if (a.wide)
#pragma unroll
        for (int i = 0; i < MINE; i++)
#pragma unroll
            for (int k = 0; k < 4; k++)
                if (w.is_there(i, here)) *w.place_of(a.wide + frame * CHANNELS, i, k) = w.x[i][k];
    if (a.qkv_weight)
    {
        w.of_thread(a.next_gain, gain);
        w.of_thread(a.next_shift, shift);
        w.spread(1, gain, shift);
    }

    come();
    if (a.qkv_weight) w.make_qkv(a.qkv, (int)frame, here);
    wait_for_all();                                      // until then others may read what is here
}
