// One step of T3 for the rows of many sequences, as a graph of kernels; t3_order.cuh says in which order they add, and why. Weights
// and cache are bf16, everything else float32. A block of a product loads its weights once and multiplies them with every row; that
// needs nothing of a GPU beyond compute capability 8.0.
//
// Operands of products are kept as the matrix instruction takes them: [row / GROUP, column / CHUNK, high or low half, lane] of 16
// bytes each, a lane having 8 columns of one row.
//
// From the host, beside what t3_order.cuh and t3_batch.cuh take: VOCABULARY; PAGES of a row of the cache; RING of a sequence's tokens;
// GENERATOR, the words of a random generator and how many of them are used up; MOST_PAGES that change at once; THREADS and
// BLOCK_OUTPUTS of a block.

#include "t3_order.cuh"
#include "t3_batch.cuh"

constexpr int TILES = BLOCK_OUTPUTS / OUTPUTS;           // of a block
static_assert(THREADS == WARPS * LANES && THREADS == GROUP * BLOCK_OUTPUTS && TILES == 4, "what the host launches");
constexpr int SUM_PITCH = BLOCK_OUTPUTS + 2;             // so that neighbouring rows lie in other banks

__device__ inline uint4 load_once(const bf16* p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

template <int COLUMNS>
__device__ inline uint4* operand(uint4* x, int group, int chunk, int half) { return x + ((size_t)(group * (COLUMNS / CHUNK) + chunk) * 2 + half) * LANES; }

template <int COLUMNS>
__device__ inline bf16* number(uint4* x, int row, int column, int half)
{
    return (bf16*)(operand<COLUMNS>(x, row / GROUP, column / CHUNK, half) + row % GROUP * 4 + column % CHUNK / VECTOR) + column % VECTOR;
}

template <int COLUMNS>
__device__ inline void store_halves(uint4* x, int row, int column, u32 word)    // what halves made
{
    *number<COLUMNS>(x, row, column, 0) = word >> 16;
    *number<COLUMNS>(x, row, column, 1) = word & LOWS;
}

__device__ inline void multiply_add(float (&d)[4], uint4 highs, uint4 lows, uint4 weights)
{
    multiply_add(d, {highs.x, lows.x, highs.y, lows.y}, weights.x, weights.y);
    multiply_add(d, {highs.z, lows.z, highs.w, lows.w}, weights.z, weights.w);
}

// ---- which sequences are in the steps that follow -----------------------------------------------------------------------------

struct PlanArguments
{
    Batch* target;              // null where only pages change
    bf16** pages;               // [rows of the cache, PAGES]
    int count;                  // of pages that change
    Batch batch;
    u64 page[MOST_PAGES];
    u32 at[MOST_PAGES];
};

extern "C" __global__ void __launch_bounds__(THREADS) plan(const __grid_constant__ PlanArguments a)
{
    if (a.target)
        for (int i = threadIdx.x; i < (int)(sizeof(Batch) / sizeof(u32)); i += THREADS) ((u32*)a.target)[i] = ((const u32*)&a.batch)[i];
    if (threadIdx.x < a.count) a.pages[a.at[threadIdx.x]] = (bf16*)a.page[threadIdx.x];
}

// ---- a sequence that joins ------------------------------------------------------------------------------------------------------

struct BeginArguments
{
    Batch* alone;               // [sequences]: of the sequence by itself
    Settings* settings;         // [sequences]
    int* positions;             // [rows of the cache]
    int* drawn;                 // [sequences]
    int* noise_made;            // [sequences]
    u8* spoken;                 // [sequences, VOCABULARY]
    u32* generators;            // [sequences, RING, GENERATOR]
    int sequence, length;       // its number; positions of its prefix
    Settings values;
    u32 generator[GENERATOR];
};

extern "C" __global__ void __launch_bounds__(THREADS) begin(const __grid_constant__ BeginArguments a)
{
    u8* const spoken = a.spoken + (size_t)a.sequence * VOCABULARY;
    for (int i = threadIdx.x; i < VOCABULARY; i += THREADS) spoken[i] = i == a.values.start_token;
    u32* const generator = a.generators + ((size_t)a.sequence * RING + RING - 1) * GENERATOR;   // in front of the first token's
    for (int i = threadIdx.x; i < GENERATOR; i += THREADS) generator[i] = a.generator[i];
    if (threadIdx.x < ROWS) a.positions[a.sequence * ROWS + threadIdx.x] = a.length - 1;
    if (threadIdx.x > 0) return;
    Batch& alone = a.alone[a.sequence];
    alone.rows = rows_of(a.values);
    alone.sequences = 1;
    alone.first[0] = 0;
    for (int r = 0; r < ROWS; r++) alone.row[r] = a.sequence * ROWS + r;
    a.settings[a.sequence] = a.values;
    a.drawn[a.sequence] = a.noise_made[a.sequence] = 0;
}

// ---- what a prefill has left, into pages --------------------------------------------------------------------------------------

struct KeepArguments
{
    const bf16* keys;           // [layers, rows, capacity, HEADS, HEAD_DIM]
    const bf16* values;
    bf16* const* pages;         // [rows, PAGES]
    int rows, capacity, length;
};

extern "C" __global__ void __launch_bounds__(THREADS) keep(const __grid_constant__ KeepArguments a)    // blocks: layers · rows, positions
{
    constexpr int VECTORS = HIDDEN / VECTOR;
    const int layer = blockIdx.x / a.rows, row = blockIdx.x % a.rows;
    const size_t from = (size_t)blockIdx.x * a.capacity * HIDDEN;
    for (int i = blockIdx.y * THREADS + threadIdx.x; i < a.length * VECTORS; i += gridDim.y * THREADS)
    {
        const int position = i / VECTORS, column = i % VECTORS * VECTOR;
        bf16* const page = a.pages[row * PAGES + position / PAGE];
        *(uint4*)(page + in_page(layer, 0, position, 0) + column) = *(const uint4*)(a.keys + from + (size_t)i * VECTOR);
        *(uint4*)(page + in_page(layer, 1, position, 0) + column) = *(const uint4*)(a.values + from + (size_t)i * VECTOR);
    }
}

// ---- the sum that the layers add to, and the norm of it -----------------------------------------------------------------------

struct NormArguments
{
    const Batch* batch;
    const float* x;             // where the sum begins: [rows of the cache, HIDDEN]
    const float* sums;          // what a layer adds, [WARPS, MOST_ROWS, HIDDEN]; null in front of the first
    const float* bias;          // [HIDDEN]; unused by Llama
    float* residual;            // [MOST_ROWS, HIDDEN]
    Norm norm;
    uint4* normed;              // the operand g∘x; t3.cuh says how a norm comes of it
    float2* statistics;         // [MOST_ROWS]: reciprocal deviation, mean
};

extern "C" __global__ void __launch_bounds__(THREADS) add_norm(const __grid_constant__ NormArguments a)     // a block a row
{
    let_next_begin();
    __shared__ float2 shared[WARPS];
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, r = blockIdx.x, at = warp * SHARE + lane * 4;
    const bool mine = lane * 4 < SHARE;
    const float4 zero = make_float4(0, 0, 0, 0), gain = mine ? *(const float4*)(a.norm.gain + at) : zero;
    const float4 bias = GPT2 && mine && a.sums ? *(const float4*)(a.bias + at) : zero;
    wait_for_previous();
    if (r >= a.batch->rows) return;
    float4 x = zero;
    if (mine)
    {
        if (a.sums)
        {
            float4 sum = zero;
#pragma unroll
            for (int w = 0; w < WARPS; w++)
            {
                const float4 s = *(const float4*)(a.sums + ((size_t)w * MOST_ROWS + r) * HIDDEN + at);
                sum.x += s.x; sum.y += s.y; sum.z += s.z; sum.w += s.w;
            }

            x = *(const float4*)(a.residual + (size_t)r * HIDDEN + at);
            x.x += sum.x + bias.x; x.y += sum.y + bias.y; x.z += sum.z + bias.z; x.w += sum.w + bias.w;
        }
        else
        {
            x = *(const float4*)(a.x + (size_t)a.batch->row[r] * HIDDEN + at);
        }

        *(float4*)(a.residual + (size_t)r * HIDDEN + at) = x;
        x = make_float4(untagged(x.x), untagged(x.y), untagged(x.z), untagged(x.w));
        uint2 highs, lows;
        halve(__fmul_rn(x.x, gain.x), __fmul_rn(x.y, gain.y), highs.x, lows.x);
        halve(__fmul_rn(x.z, gain.z), __fmul_rn(x.w, gain.w), highs.y, lows.y);
        *(uint2*)number<HIDDEN>(a.normed, r, at, 0) = highs;
        *(uint2*)number<HIDDEN>(a.normed, r, at, 1) = lows;
    }

    const float squares = warp_sum(squares_of(x.x, x.y, x.z, x.w)), total = GPT2 ? warp_sum(x.x + x.y + x.z + x.w) : 0;
    if (lane == 0) shared[warp] = make_float2(squares, total);
    __syncthreads();
    if (threadIdx.x > 0) return;
    float2 sum = make_float2(0, 0);
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum = make_float2(sum.x + shared[w].x, sum.y + shared[w].y);
    const float mean = GPT2 ? mean_of(sum.y) : 0;
    a.statistics[r] = make_float2(deviation_of(mean_of(sum.x), mean, a.norm.eps), mean);
}

// ---- a norm and the product that follows it: queries, keys and values; logits; the MLP's way up ----------------------------------

struct ProductArguments
{
    const Batch* batch;
    const bf16* weight;         // [outputs, HIDDEN]; of Llama's way up: gates, then as many more
    Norm norm;
    uint4* x;                   // the operand
    const float2* statistics;   // [MOST_ROWS]
    float* y;                   // [MOST_ROWS, outputs]
    uint4* up;                  // or the MLP's operand: silu(gate)·up, or gelu(up) in its tanh form
    int outputs;
};

template <bool UP>
__device__ inline void multiply_normed(const ProductArguments& a)
{
    constexpr bool GATED = UP && !GPT2;
    constexpr int RESULTS = GATED ? BLOCK_OUTPUTS / 2 : BLOCK_OUTPUTS;      // of a block and row
    __shared__ __align__(8) float sums[2][WARPS][GROUP][SUM_PITCH];
    let_next_begin();
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, base = blockIdx.x * RESULTS;
    uint4 weights[TILES][CHUNKS];
#pragma unroll
    for (int i = 0; i < TILES; i++)
    {
        const int output = (GATED && i >= TILES / 2 ? MLP - RESULTS : 0) + base + i * OUTPUTS + lane / 4;
        const bf16* p = a.weight + (size_t)min(output, a.outputs - 1) * HIDDEN + warp * SHARE + lane % 4 * VECTOR;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) weights[i][c] = load_once(p + c * CHUNK);
    }

    const int i = threadIdx.x % BLOCK_OUTPUTS, output = base + i;
    const bool wanted = i < RESULTS && output < a.outputs;
    const float factor = GPT2 && wanted ? a.norm.mean_factor[output] : 0, shift = GPT2 && wanted ? a.norm.shift[output] : 0;
    wait_for_previous();
    const int rows = a.batch->rows, groups = (rows + GROUP - 1) / GROUP;
    uint4 x[CHUNKS][2];
    auto take = [&](int group)
    {
        if (group >= groups) return;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int half = 0; half < 2; half++) x[c][half] = operand<HIDDEN>(a.x, group, warp * CHUNKS + c, half)[lane];
    };

    take(blockIdx.y);
    for (int group = blockIdx.y, turn = 0; group < groups; group += gridDim.y, turn ^= 1)
    {
        float d[TILES][4] = {};
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int t = 0; t < TILES; t++) multiply_add(d[t], x[c][0], x[c][1], weights[t][c]);
        take(group + gridDim.y);
#pragma unroll
        for (int t = 0; t < TILES; t++)
            *(float2*)(sums[turn][warp][lane / 4] + t * OUTPUTS + lane % 4 * 2) = make_float2(d[t][0] + d[t][2], d[t][1] + d[t][3]);
        __syncthreads();
        const int row = threadIdx.x / BLOCK_OUTPUTS, r = group * GROUP + row;
        if (!wanted || r >= rows) continue;
        const float2 statistics = a.statistics[r];
        auto result = [&](int column)
        {
            float sum = 0;
#pragma unroll
            for (int w = 0; w < WARPS; w++) sum += sums[turn][w][row][column];
            return normed(sum, statistics.x, statistics.y, factor, shift);
        };
        const float y = result(i);
        if constexpr (UP) store_halves<MLP>(a.up, r, output, halves(GPT2 ? gelu(y) : gated(y, result(RESULTS + i))));
        else a.y[(size_t)r * a.outputs + output] = y;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) product(const __grid_constant__ ProductArguments a) { multiply_normed<false>(a); }

extern "C" __global__ void __launch_bounds__(THREADS, 1) up(const __grid_constant__ ProductArguments a) { multiply_normed<true>(a); }

// ---- the MLP's way down and attention's way out: each chunk of a warp's share has a sum of its own ------------------------------

struct SumArguments
{
    const Batch* batch;
    const bf16* weight;         // [HIDDEN, columns]
    uint4* x;                   // the operand
    float* sums;                // [WARPS, MOST_ROWS, HIDDEN]
};

// A block makes two warps' sums: each warp here the part of one chunk, in all stretches of HIDDEN columns.
template <int STRETCHES>
__device__ inline void sum_up(const SumArguments& a)
{
    constexpr int COLUMNS = STRETCHES * HIDDEN, SHARES = WARPS / WIDER;
    __shared__ __align__(8) float sums[2][WARPS][2][GROUP][SUM_PITCH];
    let_next_begin();
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, base = blockIdx.x * BLOCK_OUTPUTS;
    const int chunk = warp % WIDER, share = blockIdx.y * SHARES + warp / WIDER;
    const bool mine = chunk < CHUNKS;
    uint4 weights[TILES][STRETCHES];
#pragma unroll
    for (int t = 0; t < TILES; t++)
    {
        const bf16* p = a.weight + (size_t)(base + t * OUTPUTS + lane / 4) * COLUMNS + share * SHARE + chunk * CHUNK + lane % 4 * VECTOR;
#pragma unroll
        for (int s = 0; s < STRETCHES; s++) weights[t][s] = mine ? load_once(p + s * HIDDEN) : make_uint4(0, 0, 0, 0);
    }

    wait_for_previous();
    const int rows = a.batch->rows, groups = (rows + GROUP - 1) / GROUP;
    uint4 x[STRETCHES][2];
    auto take = [&](int group)
    {
        if (group >= groups || !mine) return;
#pragma unroll
        for (int s = 0; s < STRETCHES; s++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                x[s][half] = operand<COLUMNS>(a.x, group, s * (HIDDEN / CHUNK) + share * CHUNKS + chunk, half)[lane];
    };

    take(blockIdx.z);
    for (int group = blockIdx.z, turn = 0; group < groups; group += gridDim.z, turn ^= 1)
    {
        float d[TILES][4] = {};
        if (mine)
#pragma unroll
            for (int s = 0; s < STRETCHES; s++)
#pragma unroll
                for (int t = 0; t < TILES; t++) multiply_add(d[t], x[s][0], x[s][1], weights[t][s]);
        take(group + gridDim.z);
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                *(float2*)(sums[turn][warp][half][lane / 4] + t * OUTPUTS + lane % 4 * 2) = make_float2(d[t][2 * half], d[t][2 * half + 1]);
        __syncthreads();
        const int row = threadIdx.x / BLOCK_OUTPUTS, i = threadIdx.x % BLOCK_OUTPUTS, r = group * GROUP + row;
        if (r >= rows) continue;
#pragma unroll
        for (int s = 0; s < SHARES; s++)
        {
            auto half = [&](int half)
            {
                auto part = [&](int c) { return sums[turn][s * WIDER + c][half][row][i]; };
                return part(0) + part(1) + (part(2) + part(3));
            };
            a.sums[((size_t)(blockIdx.y * SHARES + s) * MOST_ROWS + r) * HIDDEN + base + i] = half(0) + half(1);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) attention_out(const __grid_constant__ SumArguments a) { sum_up<1>(a); }

extern "C" __global__ void __launch_bounds__(THREADS) down(const __grid_constant__ SumArguments a) { sum_up<MLP / HIDDEN>(a); }

// ---- attention over the live part of the cache: a block a row's head --------------------------------------------------------------

struct AttentionArguments
{
    const Batch* batch;
    const Settings* settings;   // [sequences]
    const int* positions;       // of the new key, [rows of the cache]
    bf16* const* pages;         // [rows of the cache, PAGES]
    const float* qkv;           // [MOST_ROWS, 3, HEADS, HEAD_DIM]
    const float* cosines;       // [positions, HEAD_DIM / 2]; unused by GPT-2
    const float* sines;
    uint4* attended;            // the operand of its way out
    int layer;
};

__device__ inline void load_untagged(const float* p, float (&x)[VECTOR])
{
    load(p, x);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) x[i] = untagged(x[i]);
}

extern "C" __global__ void __launch_bounds__(THREADS) attention(const __grid_constant__ AttentionArguments a)
{
    constexpr int HALF = HEAD_DIM / 2;
    __shared__ float parts[PARTS][WARPS * WARP_PART];
    __shared__ float joined[PARTS][HEAD_DIM], tops[PARTS], totals[PARTS];
    let_next_begin();
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, piece = lane % KEY_LANES, head = blockIdx.x, r = blockIdx.y;
    if (r >= a.batch->rows) return;
    const int row = a.batch->row[r], position = a.positions[row], splits = PARTS / rows_of(a.settings[row / ROWS]);
    const int share = (position + splits - 1) / splits;
    bf16* const* pages = a.pages + row * PAGES;
    auto end_of = [&](int split) { return min(position, (split + 1) * share); };
    auto take = [&](KeysAndValues& older, int at, int end)
    {
#pragma unroll
        for (int u = 0; u < TURNS; u++)
        {
            const int key = at + first_key() + u * KEYS_AT_ONCE;
            older.key[u] = older.value[u] = make_uint4(0, 0, 0, 0);
            if (key >= end) continue;
            const bf16* page = pages[key / PAGE] + piece * VECTOR;
            older.key[u] = *(const uint4*)(page + in_page(a.layer, 0, key, head));
            older.value[u] = *(const uint4*)(page + in_page(a.layer, 1, key, head));
        }
    };

    KeysAndValues older;
    take(older, 0, end_of(0));
    float cosine[VECTOR], sine[VECTOR];
    if (!GPT2)
    {
        load(a.cosines + position * HALF + piece % (KEY_LANES / 2) * VECTOR, cosine);
        load(a.sines + position * HALF + piece % (KEY_LANES / 2) * VECTOR, sine);
    }

    wait_for_previous();
    const float* qkv = a.qkv + (size_t)r * 3 * HIDDEN + head * HEAD_DIM;
    auto turned = [&](const float* p, float (&x)[VECTOR])
    {
        load_untagged(p + piece * VECTOR, x);
        if (GPT2) return;
        float other[VECTOR];
        load_untagged(p + (piece ^ KEY_LANES / 2) * VECTOR, other);
        rotate(x, other, cosine, sine);
    };
    float query[VECTOR];
    turned(qkv, query);
    scale_query(query);

    Weighted w;
    if (warp == 0)                                       // takes the new key and value
    {
        float x[VECTOR];
        turned(qkv + HIDDEN, x);
        const uint4 key = pack(x);
        load_untagged(qkv + 2 * HIDDEN + piece * VECTOR, x);
        const uint4 value = pack(x);
        const float score = dot(query, key);
        if (lane < KEY_LANES)
        {
            bf16* const page = pages[position / PAGE] + piece * VECTOR;
            *(uint4*)(page + in_page(a.layer, 0, position, head)) = key;
            *(uint4*)(page + in_page(a.layer, 1, position, head)) = value;
            w.m = score;
            w.l = 1;
            unpack(value, w.values);
        }
    }

    for (int split = 0; split < splits; split++)
    {
        const int end = end_of(split);
        for (int at = split * share; at < end; at += KEYS)
        {
            const KeysAndValues now = older;
            if (at + KEYS < end) take(older, at + KEYS, end);
            else if (split + 1 < splits) take(older, end, end_of(split + 1));
            attend(now, query, end - at, w);
        }

        leave(w, parts[split] + warp * WARP_PART);
        w = Weighted();
    }

    __syncthreads();
    for (int i = threadIdx.x; i < splits * HEAD_DIM; i += THREADS)
    {
        const int split = i / HEAD_DIM, at = i % HEAD_DIM;
        float top, l, value;
        join_warps(parts[split], at, top, l, value);
        joined[split][at] = untagged(value);
        if (at > 0) continue;
        tops[split] = untagged(top);
        totals[split] = untagged(l);
    }

    __syncthreads();
    if (threadIdx.x >= HEAD_DIM) return;
    float top = tops[0];
    for (int split = 1; split < splits; split++) top = fmaxf(top, tops[split]);
    auto total = [&](const float* of, int stride)        // of all splits, neighbours first
    {
        float x[PARTS];
#pragma unroll
        for (int split = 0; split < PARTS; split++) x[split] = split < splits ? __fmul_rn(exp2f(tops[split] - top), of[split * stride]) : 0;
        const float first = __fadd_rn(__fadd_rn(x[0], x[1]), __fadd_rn(x[2], x[3])), second = __fadd_rn(__fadd_rn(x[4], x[5]), __fadd_rn(x[6], x[7]));
        return __fadd_rn(first, second);
    };
    const float x = total(&joined[0][threadIdx.x], HEAD_DIM) / total(totals, 1);
    store_halves<HIDDEN>(a.attended, r, head * HEAD_DIM + threadIdx.x, halves(x));
}
