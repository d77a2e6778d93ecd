// The order in which T3's steps make their sums. A step of one sequence (t3_step.cu) and a step of many (t3_batch.cu) share it, so
// that a sequence's numbers do not depend on how many others are in the step: bit for bit.
//
// A product's inputs are cut into WARPS shares; a warp multiplies its share, chunk by chunk, and the warps' sums are added in their
// order. Activations are two bf16 numbers each, a high and a low half, which are two rows of the same product. What passes from one
// stage to the next loses its two lowest bits: t3_step.cu needs them for a tag. Where the compiler could join a product and a sum in
// one of several ways, the code says which.
//
// From the host: the sizes HIDDEN, MLP and HEADS; GPT2 (0: Llama); the WARPS that multiply; OUTPUTS of a tile; PARTS that the heads
// of a sequence's rows are cut into in attention; positions of a PAGE of the cache.
#pragma once
#include "t3.cuh"

constexpr int GROUP = 8;                                 // rows of a product: their high and low halves are its sixteen
constexpr int CHUNK = 32, SHARE = HIDDEN / WARPS, CHUNKS = SHARE / CHUNK; // columns of a tile that a warp multiplies
constexpr int WIDER = 4;                                 // the MLP, than the rest; and sums of its way down, and of attention's way out
static_assert(OUTPUTS == 8 && SHARE % CHUNK == 0 && SHARE <= LANES * 4 && MLP == WIDER * HIDDEN, "sizes that the kernels are made for");

__device__ inline float untagged(u32 word) { return __uint_as_float(word & ~3u); }
__device__ inline float untagged(float x) { return untagged(__float_as_uint(x)); }

__device__ inline void multiply_add(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- numbers in two halves: bf16 numbers whose sum is nearly the float ------------------------------------------------

__device__ inline u32 pair(float low, float high)
{
    u32 v;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(high), "f"(low));
    return v;
}

__device__ inline void halve(float x0, float x1, u32& highs, u32& lows)
{
    highs = pair(x0, x1);
    lows = pair(x0 - low(highs), x1 - high(highs));
}

__device__ inline u32 halves(float x)                    // in one word: the high one above
{
    const u32 high = pair(x, 0);
    return high << 16 | pair(x - low(high), 0);
}

constexpr u32 LOWS = 0xfffcfffcu;                        // of two low halves, what is left without their words' tags

// ---- a norm ---------------------------------------------------------------------------------------------------------

__device__ inline float squares_of(float x0, float x1, float x2, float x3) { return fmaf(x3, x3, fmaf(x2, x2, fmaf(x1, x1, __fmul_rn(x0, x0)))); }

__device__ inline float mean_of(float sum) { return __fmul_rn(sum, 1.0f / HIDDEN); }

// The reciprocal, of a row with this mean of squares and, for a layer norm, of its numbers.
__device__ inline float deviation_of(float square, float mean, float eps) { return rsqrtf(__fadd_rn(fmaf(-mean, mean, square), eps)); }

__device__ inline float normed(float x, float deviation, float mean, float factor, float shift)
{
    return GPT2 ? fmaf(deviation, fmaf(-mean, factor, x), shift) : __fmul_rn(deviation, x);
}

__device__ inline float gated(float gate, float up) { return __fmul_rn(silu(gate), up); }

// ---- attention --------------------------------------------------------------------------------------------------------

constexpr int KEY_LANES = HEAD_DIM / VECTOR, KEYS_AT_ONCE = WARPS * LANES / KEY_LANES;
constexpr int KEYS = 64, TURNS = KEYS / KEYS_AT_ONCE;    // keys of a tile, each of KEY_LANES lanes, and turns of the block to see them
constexpr float NOTHING = -1e30f;                        // the maximum of nothing: infinity has no room for a tag
constexpr int WARP_PART = 4 + HEAD_DIM;                  // what a warp leaves: maximum, sum, room, values

// Numbers from a page's beginning to a key of a layer, or to its value: [layers, keys and values, PAGE, HEADS, HEAD_DIM].
__device__ inline size_t in_page(int layer, int values, int position, int head)
{
    return ((size_t)(layer * 2 + values) * PAGE + position % PAGE) * HIDDEN + head * HEAD_DIM;
}

// A softmax over some keys: maximum, sum, weighted values of this thread's part of a head. Powers are of 2.
struct Weighted
{
    float m = NOTHING, l = 0, values[VECTOR] = {};
};

struct KeysAndValues                                     // this thread's part of a tile of them
{
    uint4 key[TURNS], value[TURNS];
};

__device__ inline int first_key() { return threadIdx.x / LANES * (LANES / KEY_LANES) + threadIdx.x % LANES / KEY_LANES; }

// One vector of a query or key, turned to its position: the other half's vector and both rotations are given.
__device__ inline void rotate(float (&x)[VECTOR], const float (&other)[VECTOR], const float (&cosine)[VECTOR], const float (&sine)[VECTOR])
{
    const bool first = threadIdx.x % KEY_LANES < KEY_LANES / 2;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) x[i] = fmaf(x[i], cosine[i], __fmul_rn(first ? -other[i] : other[i], sine[i]));
}

__device__ inline void scale_query(float (&query)[VECTOR])
{
    const float scale = rsqrtf((float)HEAD_DIM) * 1.44269504f;   // so that powers are of 2
#pragma unroll
    for (int i = 0; i < VECTOR; i++) query[i] *= scale;
}

__device__ inline float dot(const float (&query)[VECTOR], uint4 key)      // over the lanes of a key
{
    float x[VECTOR], sum = 0;
    unpack(key, x);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sum = fmaf(query[i], x[i], sum);
#pragma unroll
    for (int offset = 1; offset < KEY_LANES; offset <<= 1) sum += __shfl_xor_sync(~0u, sum, offset);
    return sum;
}

__device__ inline void attend(const KeysAndValues& older, const float (&query)[VECTOR], int count, Weighted& w)
{
    float scores[TURNS], top = w.m;
#pragma unroll
    for (int u = 0; u < TURNS; u++)
    {
        scores[u] = dot(query, older.key[u]);
        if (first_key() + u * KEYS_AT_ONCE >= count) scores[u] = NOTHING;
        top = fmaxf(top, scores[u]);
    }

    const float f = exp2f(w.m - top);
    w.m = top;
    w.l *= f;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) w.values[i] *= f;
#pragma unroll
    for (int u = 0; u < TURNS; u++)
    {
        float x[VECTOR];
        const float p = first_key() + u * KEYS_AT_ONCE < count ? exp2f(scores[u] - top) : 0;
        unpack(older.value[u], x);
        w.l += p;
#pragma unroll
        for (int i = 0; i < VECTOR; i++) w.values[i] = fmaf(p, x[i], w.values[i]);
    }
}

// What the warp's lanes have seen, into a warp's part of shared memory.
__device__ inline void leave(Weighted& w, float* part)
{
    const int lane = threadIdx.x % LANES, piece = lane % KEY_LANES;
#pragma unroll
    for (int offset = KEY_LANES; offset < LANES; offset <<= 1)
    {
        float values[VECTOR];
        const float m = __shfl_xor_sync(~0u, w.m, offset), l = __shfl_xor_sync(~0u, w.l, offset);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) values[i] = __shfl_xor_sync(~0u, w.values[i], offset);
        merge(w.m, w.l, w.values, m, l, values);
    }

    if (lane < KEY_LANES)
    {
        *(float2*)part = make_float2(w.m, w.l);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) part[4 + piece * VECTOR + i] = w.values[i];
    }
}

// A number of the head, of what the warps have left.
__device__ inline void join_warps(const float* parts, int number, float& top, float& l, float& value)
{
    top = NOTHING;
    l = value = 0;
#pragma unroll
    for (int i = 0; i < WARPS; i++) top = fmaxf(top, parts[i * WARP_PART]);
#pragma unroll
    for (int i = 0; i < WARPS; i++)
    {
        const float f = exp2f(parts[i * WARP_PART] - top);
        l = fmaf(f, parts[i * WARP_PART + 1], l);
        value = fmaf(f, parts[i * WARP_PART + 4 + number], value);
    }
}
