// One step of T3 for ROWS rows as one kernel: its blocks stay for all layers and the head. Weights and cache are bf16,
// everything else float32.
//
// What a chain of kernels loses, here goes on side by side: two warps of a block do nothing but bring the weights, and the
// older keys and values, into rings in shared memory, ahead of need and over the borders of stages and layers. The others
// multiply. Each block has 8 outputs of every 8 · BLOCKS, and a share of attention.
//
// Between stages, every block needs what all blocks have made. There is no barrier for that: each number is written to global
// memory with the number of its layer in its two lowest bits, its tag, and who needs it reads it until the tag is right. A
// buffer is written once in a layer, and read by all before anyone can be a layer further: nobody gets past a stage whose
// inputs come from all before all have got there.

#include "t3_attend.cuh"

// The other stages.
struct Block : Attention
{
    using Attention::Attention;

    __device__ __forceinline__ void queries_keys_values(const Layer& w, const u32* x, Tag before, Tag now)
    {
        constexpr int ALL = 3 * OUTPUTS;
        float* sums = next_sums();
        const int row = thread / ALL, i = thread % ALL, output = i / OUTPUTS * HIDDEN + block * OUTPUTS + i % OUTPUTS;
        const bool mine = row < ROWS;
        const Scale scale(w.attention_norm, output, mine);
        Weights<3> weights;
        take(weights);
        Operand operand;
        const Statistics statistics = read_normed(x, before, w.attention_norm, operand);
        float d[3][4] = {};
        multiply(operand, weights, d);
        note(statistics, sums, ALL);
        note(d, sums, 0, ALL);
        meet();
        if (mine) tell(a.qkv + row * 3 * HIDDEN + output, normed(sums, row, i, ALL, scale, w.attention_norm.eps), now);
        give_back(oldest_tile, 3);
    }

    __device__ __forceinline__ void up(const Layer& w, Tag now)
    {
        constexpr int RESULTS = WIDER * OUTPUTS;         // of Llama, a gate and a number make one
        float* sums = next_sums();
        const int row = thread / RESULTS, i = thread % RESULTS, output = block * RESULTS + i;
        const bool mine = row < ROWS;
        const Scale scale(w.mlp_norm, output, mine);
        Weights<WIDER> weights;
        take(weights);
        Operand operand;
        const Statistics statistics = read_normed(a.attended, now, w.mlp_norm, operand);
#pragma unroll
        for (int first = 0; first < UP_TILES; first += WIDER)
        {
            if (first > 0) take(weights);
            float d[WIDER][4] = {};
            multiply(operand, weights, d);
            if (first == 0) note(statistics, sums, UP_OUTPUTS);
            note(d, sums, first * OUTPUTS, UP_OUTPUTS);
            if (first + WIDER < UP_TILES) give_back(oldest_tile, WIDER);
        }

        meet();
        if (mine)
        {
            const float x = normed(sums, row, i, UP_OUTPUTS, scale, w.mlp_norm.eps);
            tell(a.mlp + row * MLP + output, halves(GPT2 ? gelu(x) : gated(x, normed(sums, row, RESULTS + i, UP_OUTPUTS, scale, w.mlp_norm.eps))), now);
        }

        give_back(oldest_tile, WIDER);
    }

    __device__ __forceinline__ void down(const Layer& w, Tag now)
    {
        constexpr int TOGETHER = ROWS <= 2 ? WIDER : 1;  // tiles whose operands are waited for at once
        float* sums = next_sums();
        const float bias = GPT2 && owns ? w.down_bias[own] : 0;
        Weights<WIDER> weights;
        take(weights);
        float d[WIDER][4] = {};
#pragma unroll
        for (int first = 0; first < WIDER; first += TOGETHER)
        {
            uint4 words[TOGETHER * ROWS];
            wait_for(words, now, lane * 4 < SHARE ? (1u << TOGETHER * ROWS) - 1 : 0, [&](int i)
            {
                return a.mlp + i % ROWS * MLP + (first + i / ROWS) * HIDDEN + warp * SHARE + lane * 4;
            });
#pragma unroll
            for (int i = 0; i < TOGETHER; i++) multiply(words + i * ROWS, weights.w[first + i], d);
        }

        note(d, sums);
        meet();
        add(sums, bias, a.fed, now);
        give_back(oldest_tile, WIDER);
    }

    __device__ __forceinline__ void head(const u32* x, Tag before)
    {
        constexpr int GROUP = WIDER, ALL = GROUP * OUTPUTS;     // tiles that are made at once
        Operand operand;
        const Statistics statistics = read_normed(x, before, a.head_norm, operand);
#pragma unroll 1
        for (int first = block; first < HEAD_TILES; first += GROUP * BLOCKS)
        {
            float* sums = next_sums();
            const int row = thread / ALL, i = thread % ALL, output = (first + i / OUTPUTS * BLOCKS) * OUTPUTS + i % OUTPUTS;
            const bool mine = row < ROWS && output < VOCABULARY;
            const Scale scale(a.head_norm, output, mine);
            Weights<GROUP> weights = {};
            const int there = min(GROUP, (HEAD_TILES - first + BLOCKS - 1) / BLOCKS);
            take(weights, there);
            float d[GROUP][4] = {};
            multiply(operand, weights, d);
            note(statistics, sums, ALL);
            note(d, sums, 0, ALL);
            give_back(oldest_tile, there);
            meet();
            if (mine) a.logits[row * VOCABULARY + output] = normed(sums, row, i, ALL, scale, a.head_norm.eps);
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1) step(const __grid_constant__ StepArguments a)
{
    extern __shared__ __align__(128) unsigned char memory[];
    Shared& shared = *(Shared*)memory;
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, block = blockIdx.x;
    for (int i = threadIdx.x; i < LAYERS * (int)(sizeof(Layer) / sizeof(u64)); i += THREADS) ((u64*)shared.layers)[i] = ((const u64*)a.layers)[i];
    if (threadIdx.x < MOST_SLOTS) shared.slots[threadIdx.x].init(WARPS);
    if (threadIdx.x < KEY_SLOTS) shared.key_slots[threadIdx.x].init(WARPS);
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");    // the copies, which are asynchronous, see the barriers
    __syncthreads();

    const Tiles tiles(shared.slots, memory + TILES_AT, warp == WARPS);
    const KeyTiles keys(shared.key_slots, memory + KEYS_AT, warp == WARPS + 1);
    if (warp == WARPS)
    {
        bring_weights(a, tiles, shared.layers, block, lane);
        return;
    }

    const Place place(a, block);
    if (warp == WARPS + 1)
    {
        bring_keys(a, keys, place, lane);
        return;
    }

    Block self(a, shared, place, tiles, keys, block);
    const u32* x = (const u32*)a.x;
    Tag before = {0, 0};
#pragma unroll 1
    for (int layer = 0; layer < LAYERS; layer++)
    {
        const Layer& w = shared.layers[layer];
        const Tag now = {3, ((u32)a.round * LAYERS + layer + 1) & 3};
        self.queries_keys_values(w, x, before, now);
        self.attend(layer, now);
        self.way_out(w, now);
        self.up(w, now);
        self.down(w, now);
        x = a.fed;
        before = now;
    }

    let_next_begin();
    self.head(x, before);
}
