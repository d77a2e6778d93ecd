// The estimator's transformer blocks on compute capability 9.0, each but for the attention one kernel of clusters. Operands are
// fp16, sums, norms and what is added up float32.

#include "estimator.cuh"

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
        load_attended(place, a.attended, frame, here);
        Loader loader = {place, 0};
        loader.load_halves(a.out, HEADS);
        loader.load_each(a.up, HIDDEN, rank * (HIDDEN / CLUSTER), 2, 0, CHANNELS / 64);
        loader.load_each(a.down, CHANNELS, 0, 2, rank * (HIDDEN / CLUSTER / 64), HIDDEN / CLUSTER / 64);
        if (a.qkv_weight) loader.load_each(a.qkv_weight, QKV, rank * (QKV / CLUSTER), 3, 0, CHANNELS / 64);
        return;
    }

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
