// One step of T3 for ROWS rows: every kernel of it, in the order in which they run. Weights and cache are bf16, everything
// else float32. A step is bound by the time to read the weights and by the number of kernels that wait for each other;
// so each kernel loads its weights before it waits for the kernel in front of it, and norms cost no kernel of their own.
//
// Sizes: ROWS, HIDDEN, MLP, HEADS, VOCABULARY, SPLITS, UP_PAIRS; GPT2 (0: Llama), PENALTY_FIRST, START_PENALISED (0 or 1).

#include "common.cuh"

typedef unsigned char u8;
typedef unsigned short bf16;

constexpr int HEAD_DIM = HIDDEN / HEADS;
constexpr int CHUNK = LANES * VECTOR;                    // bf16 numbers that a warp loads at once
constexpr int CHUNKS = HIDDEN / CHUNK;
static_assert(HEAD_DIM == 64 && HIDDEN % CHUNK == 0 && MLP % (4 * CHUNK) == 0, "sizes that the kernels are made for");

#if __CUDA_ARCH__ >= 900
__device__ inline void wait_for_previous() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ inline void let_next_begin() { asm volatile("griddepcontrol.launch_dependents;"); }
#else
__device__ inline void wait_for_previous() {}
__device__ inline void let_next_begin() {}
#endif

__device__ inline float low(u32 pair) { return __uint_as_float(pair << 16); }
__device__ inline float high(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ inline float widen(bf16 x) { return __uint_as_float((u32)x << 16); }

__device__ inline bf16 narrow(float x)                   // to the nearest, ties to even
{
    u32 bits = __float_as_uint(x);
    return (bf16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

__device__ inline uint4 load_once(const bf16* p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

__device__ inline void unpack(uint4 v, float (&x)[VECTOR])
{
    x[0] = low(v.x); x[1] = high(v.x); x[2] = low(v.y); x[3] = high(v.y);
    x[4] = low(v.z); x[5] = high(v.z); x[6] = low(v.w); x[7] = high(v.w);
}

// ---- matrix times vectors ------------------------------------------------------------------------------------------

// A warp's share of OUTS rows of a matrix, N chunks of each, loaded before it is known what they are multiplied with.
template <int OUTS, int N>
struct Rows
{
    uint4 weights[OUTS][N];

    template <class Pointer>
    __device__ void load(Pointer (&rows)[OUTS], int lane)
    {
#pragma unroll
        for (int o = 0; o < OUTS; o++)
#pragma unroll
            for (int c = 0; c < N; c++) weights[o][c] = load_once(rows[o] + c * CHUNK + lane * VECTOR);
    }

    // sums[o][r] += this thread's part of weights[o] · x[r]
    __device__ void multiply(const float* x, int stride, int lane, float (&sums)[OUTS][ROWS])
    {
#pragma unroll
        for (int c = 0; c < N; c++)
        {
            float w[OUTS][VECTOR];
#pragma unroll
            for (int o = 0; o < OUTS; o++) unpack(weights[o][c], w[o]);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
            {
                float v[VECTOR];
                ::load(x + r * stride + c * CHUNK + lane * VECTOR, v);
#pragma unroll
                for (int o = 0; o < OUTS; o++)
#pragma unroll
                    for (int i = 0; i < VECTOR; i++) sums[o][r] += w[o][i] * v[i];
            }
        }
    }
};

// The norm in front of a product is a factor behind it: with scale g, shift b and reciprocal deviation d of a row,
// W·norm(x) = d · (W·(g∘x) − mean · W·g) + W·b. Of an RMS norm only the first term is there.
struct Norm
{
    const float* gain;          // g, [HIDDEN]
    const float* mean_factor;   // W·g for each output; unused by an RMS norm
    const float* shift;         // W·b plus the product's own bias for each output; unused by an RMS norm
    float eps;
};

template <int OUTS>
__device__ void multiply_normed(
    const Rows<OUTS, CHUNKS>& rows, const Norm& norm, const float (&gain)[CHUNKS][VECTOR], const float* x, int lane, const int (&outputs)[OUTS],
    float (&results)[OUTS][ROWS])
{
    float sums[OUTS][ROWS] = {}, total[ROWS] = {}, squares[ROWS] = {};
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
    {
        float w[OUTS][VECTOR];
#pragma unroll
        for (int o = 0; o < OUTS; o++) unpack(rows.weights[o][c], w[o]);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            float v[VECTOR];
            load(x + r * HIDDEN + c * CHUNK + lane * VECTOR, v);
#pragma unroll
            for (int i = 0; i < VECTOR; i++)
            {
                squares[r] += v[i] * v[i];
                if (GPT2) total[r] += v[i];
                v[i] *= gain[c][i];
            }
#pragma unroll
            for (int o = 0; o < OUTS; o++)
#pragma unroll
                for (int i = 0; i < VECTOR; i++) sums[o][r] += w[o][i] * v[i];
        }
    }

#pragma unroll
    for (int r = 0; r < ROWS; r++)
    {
        float square = warp_sum(squares[r]) / HIDDEN;
        float mean = GPT2 ? warp_sum(total[r]) / HIDDEN : 0;
        float deviation = rsqrtf(square - mean * mean + norm.eps);
#pragma unroll
        for (int o = 0; o < OUTS; o++)
        {
            float sum = warp_sum(sums[o][r]);
            results[o][r] = GPT2 ? deviation * (sum - mean * norm.mean_factor[outputs[o]]) + norm.shift[outputs[o]] : deviation * sum;
        }
    }
}

__device__ inline void load_gain(const Norm& norm, int lane, float (&gain)[CHUNKS][VECTOR])
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) load(norm.gain + c * CHUNK + lane * VECTOR, gain[c]);
}

// ---- queries, keys and values: y = W·norm(x) -----------------------------------------------------------------------

constexpr int PRODUCT_WARPS = 4;                         // of the kernels that have a norm in front

struct ProductArguments
{
    const bf16* weight;         // [outputs, HIDDEN]
    Norm norm;
    const float* x;             // [ROWS, HIDDEN]
    float* y;                   // [ROWS, outputs]
    int outputs;
};

extern "C" __global__ void __launch_bounds__(PRODUCT_WARPS * LANES) product(const __grid_constant__ ProductArguments a)
{
    let_next_begin();
    const int lane = threadIdx.x % LANES, first = (blockIdx.x * PRODUCT_WARPS + threadIdx.x / LANES) * 2;
    const int outputs[2] = {min(first, a.outputs - 1), min(first + 1, a.outputs - 1)};
    const bf16* const weights[2] = {a.weight + (size_t)outputs[0] * HIDDEN, a.weight + (size_t)outputs[1] * HIDDEN};
    Rows<2, CHUNKS> rows;
    rows.load(weights, lane);
    float gain[CHUNKS][VECTOR], results[2][ROWS];
    load_gain(a.norm, lane, gain);
    wait_for_previous();

    multiply_normed(rows, a.norm, gain, a.x, lane, outputs, results);
    if (lane == 0)
#pragma unroll
        for (int o = 0; o < 2; o++)
            if (first + o < a.outputs)
#pragma unroll
                for (int r = 0; r < ROWS; r++) a.y[r * a.outputs + first + o] = results[o][r];
}

// ---- attention over the live part of the cache ---------------------------------------------------------------------

constexpr int ATTENTION_WARPS = 8, KEY_LANES = HEAD_DIM / VECTOR, WARP_KEYS = LANES / KEY_LANES, UNROLLED = 4;

struct AttentionArguments
{
    const float* qkv;           // [ROWS, 3, HEADS, HEAD_DIM]
    bf16* keys;                 // this layer's cache, [slots, capacity, HEADS, HEAD_DIM]
    bf16* values;
    const int* positions;       // of the new key of each row
    const int* slots;           // of each row
    const float* cosines;       // [positions, HEAD_DIM / 2]; unused by GPT-2
    const float* sines;
    float* partial;             // [ROWS, HEADS, SPLITS, 2 + HEAD_DIM]: maximum, sum, weighted values
    int capacity;
};

__device__ inline void load_rotated(const float* head, const AttentionArguments& a, int position, int part, float (&x)[VECTOR])
{
    load(head + part * VECTOR, x);
    if (!GPT2)
    {
        constexpr int HALF = KEY_LANES / 2;
        float other[VECTOR], c[VECTOR], s[VECTOR];
        load(head + (part ^ HALF) * VECTOR, other);
        load(a.cosines + position * (HEAD_DIM / 2) + (part % HALF) * VECTOR, c);
        load(a.sines + position * (HEAD_DIM / 2) + (part % HALF) * VECTOR, s);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = x[i] * c[i] + (part < HALF ? -other[i] : other[i]) * s[i];
    }
}

__device__ inline uint4 pack(const float (&x)[VECTOR])
{
    uint4 v;
    v.x = narrow(x[0]) | (u32)narrow(x[1]) << 16; v.y = narrow(x[2]) | (u32)narrow(x[3]) << 16;
    v.z = narrow(x[4]) | (u32)narrow(x[5]) << 16; v.w = narrow(x[6]) | (u32)narrow(x[7]) << 16;
    return v;
}

__device__ inline void merge(float& m, float& l, float (&sum)[VECTOR], float m2, float l2, const float (&sum2)[VECTOR])
{
    float top = fmaxf(m, m2);
    float f = top == -INFINITY ? 0 : exp2f(m - top), f2 = top == -INFINITY ? 0 : exp2f(m2 - top);
    m = top;
    l = l * f + l2 * f2;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sum[i] = sum[i] * f + sum2[i] * f2;
}

extern "C" __global__ void __launch_bounds__(ATTENTION_WARPS * LANES) attention(const __grid_constant__ AttentionArguments a)
{
    let_next_begin();
    __shared__ float shared[ATTENTION_WARPS][2 + HEAD_DIM];
    const int head = blockIdx.x, row = blockIdx.y, split = blockIdx.z;
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, part = lane % KEY_LANES;
    // Positions and older keys come from the steps before this one, so that they need not wait for this step's kernels.
    const int position = a.positions[row], length = position + 1, share = (length + SPLITS - 1) / SPLITS;
    const int begin = split * share, end = min(length, begin + share), first = begin + warp * WARP_KEYS + lane / KEY_LANES;
    const size_t base = ((size_t)a.slots[row] * a.capacity * HEADS + head) * HEAD_DIM + part * VECTOR;
    constexpr int STRIDE = ATTENTION_WARPS * WARP_KEYS;
    uint4 k[UNROLLED], v[UNROLLED];
    auto load_older = [&](int at)
    {
#pragma unroll
        for (int u = 0; u < UNROLLED; u++)
        {
            const int j = at + u * STRIDE;
            k[u] = v[u] = make_uint4(0, 0, 0, 0);
            if (j < end && j < position)
            {
                k[u] = *(const uint4*)(a.keys + base + (size_t)j * HIDDEN);
                v[u] = *(const uint4*)(a.values + base + (size_t)j * HIDDEN);
            }
        }
    };
    load_older(first);
    wait_for_previous();

    const float* qkv = a.qkv + row * 3 * HIDDEN + head * HEAD_DIM;
    float q[VECTOR];
    load_rotated(qkv, a, position, part, q);
    const float scale = rsqrtf((float)HEAD_DIM) * 1.44269504f;   // so that powers are of 2
#pragma unroll
    for (int i = 0; i < VECTOR; i++) q[i] *= scale;

    float m = -INFINITY, l = 0, sum[VECTOR] = {};
    const int rounds = (end - begin - warp * WARP_KEYS + STRIDE * UNROLLED - 1) / (STRIDE * UNROLLED);   // the same for all lanes of a warp
    for (int round = 0; round < rounds; round++)
    {
        const int at = first + round * STRIDE * UNROLLED;
#pragma unroll
        for (int u = 0; u < UNROLLED; u++)
        {
            const int j = at + u * STRIDE;
            if (j == position && j < end)
            {
                float x[VECTOR];
                load_rotated(qkv + HIDDEN, a, position, part, x);
                *(uint4*)(a.keys + base + (size_t)j * HIDDEN) = k[u] = pack(x);
                load(qkv + 2 * HIDDEN + part * VECTOR, x);
                *(uint4*)(a.values + base + (size_t)j * HIDDEN) = v[u] = pack(x);
            }
        }

#pragma unroll
        for (int u = 0; u < UNROLLED; u++)
        {
            float x[VECTOR], score = 0;
            unpack(k[u], x);
#pragma unroll
            for (int i = 0; i < VECTOR; i++) score += q[i] * x[i];
#pragma unroll
            for (int offset = KEY_LANES / 2; offset > 0; offset >>= 1) score += __shfl_xor_sync(~0u, score, offset);
            unpack(v[u], x);
            merge(m, l, sum, at + u * STRIDE < end ? score : -INFINITY, 1, x);
        }

        load_older(at + STRIDE * UNROLLED);
    }

#pragma unroll
    for (int offset = KEY_LANES; offset < LANES; offset <<= 1)
    {
        float x[VECTOR];
        float m2 = __shfl_xor_sync(~0u, m, offset), l2 = __shfl_xor_sync(~0u, l, offset);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = __shfl_xor_sync(~0u, sum[i], offset);
        merge(m, l, sum, m2, l2, x);
    }

    if (lane < KEY_LANES)
    {
        shared[warp][0] = m;
        shared[warp][1] = l;
#pragma unroll
        for (int i = 0; i < VECTOR; i++) shared[warp][2 + part * VECTOR + i] = sum[i];
    }

    __syncthreads();
    if (threadIdx.x < HEAD_DIM)
    {
        float top = -INFINITY, total = 0, value = 0;
#pragma unroll
        for (int w = 0; w < ATTENTION_WARPS; w++) top = fmaxf(top, shared[w][0]);
#pragma unroll
        for (int w = 0; w < ATTENTION_WARPS; w++)
        {
            float f = shared[w][0] == -INFINITY ? 0 : exp2f(shared[w][0] - top);
            total += f * shared[w][1];
            value += f * shared[w][2 + threadIdx.x];
        }

        float* out = a.partial + ((row * HEADS + head) * SPLITS + split) * (2 + HEAD_DIM);
        out[2 + threadIdx.x] = value;
        if (threadIdx.x == 0)
        {
            out[0] = top;
            out[1] = total;
        }
    }
}

// ---- attention's way out: x += W·(the splits joined) + bias --------------------------------------------------------

constexpr int OUT_WARPS = 8;

struct OutArguments
{
    const bf16* weight;         // [HIDDEN, HIDDEN]
    const float* bias;          // [HIDDEN]; unused by Llama
    const float* partial;
    float* x;                   // [ROWS, HIDDEN]
};

extern "C" __global__ void __launch_bounds__(OUT_WARPS * LANES) attention_out(const __grid_constant__ OutArguments a)
{
    let_next_begin();
    __shared__ __align__(16) float attended[ROWS][HIDDEN];
    const int lane = threadIdx.x % LANES, output = blockIdx.x * OUT_WARPS + threadIdx.x / LANES;
    const bf16* const weights[1] = {a.weight + (size_t)output * HIDDEN};
    Rows<1, CHUNKS> rows;
    rows.load(weights, lane);
    wait_for_previous();

    for (int i = threadIdx.x; i < ROWS * HIDDEN; i += OUT_WARPS * LANES)
    {
        const float* part = a.partial + (i / HEAD_DIM) * SPLITS * (2 + HEAD_DIM);
        float top = -INFINITY, total = 0, value = 0;
#pragma unroll
        for (int s = 0; s < SPLITS; s++) top = fmaxf(top, part[s * (2 + HEAD_DIM)]);
#pragma unroll
        for (int s = 0; s < SPLITS; s++)
        {
            float m = part[s * (2 + HEAD_DIM)], f = m == -INFINITY ? 0 : exp2f(m - top);
            total += f * part[s * (2 + HEAD_DIM) + 1];
            value += f * part[s * (2 + HEAD_DIM) + 2 + i % HEAD_DIM];
        }

        attended[i / HIDDEN][i % HIDDEN] = value / total;
    }

    __syncthreads();
    float sums[1][ROWS] = {};
    rows.multiply(&attended[0][0], HIDDEN, lane, sums);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
    {
        float sum = warp_sum(sums[0][r]);
        if (lane == 0) a.x[r * HIDDEN + output] += sum + (GPT2 ? a.bias[output] : 0);
    }
}

// ---- MLP -----------------------------------------------------------------------------------------------------------

struct UpArguments
{
    const bf16* weight;         // [MLP, HIDDEN]; Llama: gates, then as many more
    Norm norm;
    const float* x;             // [ROWS, HIDDEN]
    float* y;                   // [ROWS, MLP]: silu(gate)·up, or gelu(up) in its tanh form
};

constexpr int UP_OUTPUTS = UP_PAIRS * 2;                 // of a warp, which loads its inputs once for all of them

extern "C" __global__ void __launch_bounds__(PRODUCT_WARPS * LANES) mlp_up(const __grid_constant__ UpArguments a)
{
    let_next_begin();
    const int lane = threadIdx.x % LANES, first = (blockIdx.x * PRODUCT_WARPS + threadIdx.x / LANES) * (GPT2 ? UP_OUTPUTS : UP_PAIRS);
    int outputs[UP_OUTPUTS];
    const bf16* weights[UP_OUTPUTS];
#pragma unroll
    for (int o = 0; o < UP_OUTPUTS; o++)
    {
        outputs[o] = GPT2 || o < UP_PAIRS ? first + o : MLP + first + o - UP_PAIRS;
        weights[o] = a.weight + (size_t)outputs[o] * HIDDEN;
    }

    Rows<UP_OUTPUTS, CHUNKS> rows;
    rows.load(weights, lane);
    float gain[CHUNKS][VECTOR], results[UP_OUTPUTS][ROWS];
    load_gain(a.norm, lane, gain);
    wait_for_previous();

    multiply_normed(rows, a.norm, gain, a.x, lane, outputs, results);
    if (lane == 0)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            if (GPT2)
#pragma unroll
                for (int o = 0; o < UP_OUTPUTS; o++)
                {
                    float x = results[o][r];
                    a.y[r * MLP + outputs[o]] = 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
                }
            else
#pragma unroll
                for (int o = 0; o < UP_PAIRS; o++)
                    a.y[r * MLP + first + o] = results[o][r] / (1 + __expf(-results[o][r])) * results[UP_PAIRS + o][r];
        }
}

constexpr int DOWN_WARPS = 4, DOWN_CHUNKS = MLP / CHUNK / DOWN_WARPS;   // the warps of a block share an output's inputs

struct DownArguments
{
    const bf16* weight;         // [HIDDEN, MLP]
    const float* bias;          // [HIDDEN]; unused by Llama
    const float* y;             // [ROWS, MLP]
    float* x;                   // [ROWS, HIDDEN]; x += W·y + bias
};

extern "C" __global__ void __launch_bounds__(DOWN_WARPS * LANES) mlp_down(const __grid_constant__ DownArguments a)
{
    let_next_begin();
    __shared__ float shared[DOWN_WARPS][2][ROWS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, first = blockIdx.x * 2, from = warp * DOWN_CHUNKS * CHUNK;
    const bf16* const weights[2] = {a.weight + (size_t)first * MLP + from, a.weight + (size_t)(first + 1) * MLP + from};
    Rows<2, DOWN_CHUNKS> rows;
    rows.load(weights, lane);
    wait_for_previous();

    float sums[2][ROWS] = {};
    rows.multiply(a.y + from, MLP, lane, sums);
#pragma unroll
    for (int o = 0; o < 2; o++)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            float sum = warp_sum(sums[o][r]);
            if (lane == 0) shared[warp][o][r] = sum;
        }

    __syncthreads();
    if (threadIdx.x < 2 * ROWS)
    {
        const int o = threadIdx.x / ROWS, r = threadIdx.x % ROWS;
        float sum = GPT2 ? a.bias[first + o] : 0;
#pragma unroll
        for (int w = 0; w < DOWN_WARPS; w++) sum += shared[w][o][r];
        a.x[r * HIDDEN + first + o] += sum;
    }
}

// ---- the next speech token -----------------------------------------------------------------------------------------

constexpr int SAMPLE_THREADS = 1024, CHOICES = (VOCABULARY + SAMPLE_THREADS - 1) / SAMPLE_THREADS, DIGITS = 256;

struct Settings                 // of one request
{
    float guidance, penalty, temperature, min_p, top_p;
    int top_k, greedy, start_token;
};

struct State                    // of one request, on the device
{
    int drawn;                  // tokens so far
    int position[ROWS];         // of the last token in the cache
    int slot[ROWS];
};

struct SampleArguments
{
    const float* logits;        // [ROWS, VOCABULARY], row 1 (if any) without the text
    const Settings* settings;
    State* state;
    u8* spoken;                 // [VOCABULARY]
    const float* noise;         // [ring, VOCABULARY], exponentially distributed; in the host's memory
    int* tokens;                // [ring]; in the host's memory
    int ring;
    const bf16* embeddings;     // [VOCABULARY, HIDDEN]
    const bf16* places;         // [positions, HIDDEN]: of speech (Llama), of everything (GPT-2)
    float* x;                   // [ROWS, HIDDEN], for the next step
};

__device__ inline u32 sortable(float x)                  // the same order as the numbers have
{
    u32 bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

template <class T, class Combine>
__device__ T block_reduce(T x, T* shared, Combine combine)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x = combine(x, __shfl_xor_sync(~0u, x, offset));
    __syncthreads();
    if (threadIdx.x % LANES == 0) shared[threadIdx.x / LANES] = x;
    __syncthreads();
    x = shared[threadIdx.x % LANES];
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x = combine(x, __shfl_xor_sync(~0u, x, offset));
    return x;
}

// The smallest key such that the keys up to it, in ascending order, together weigh more than the limit: found digit by
// digit with histograms. Weights are whole numbers, so that their sum does not depend on the order of adding.
__device__ u32 select(const u32 (&keys)[CHOICES], const u32 (&weights)[CHOICES], u32 limit, u32* histogram, u32* found)
{
    u32 prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
    {
        __syncthreads();
        for (int i = threadIdx.x; i < DIGITS; i += SAMPLE_THREADS) histogram[i] = 0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < CHOICES; i++)
            if (weights[i] > 0 && (shift == 24 || keys[i] >> (shift + 8) == prefix >> (shift + 8)))
                atomicAdd(&histogram[keys[i] >> shift & (DIGITS - 1)], weights[i]);
        __syncthreads();
        if (threadIdx.x < LANES)                         // one warp adds up: each lane eight digits
        {
            u32 mine = 0;
#pragma unroll
            for (int i = 0; i < DIGITS / LANES; i++) mine += histogram[threadIdx.x * (DIGITS / LANES) + i];
            u32 upTo = mine;
#pragma unroll
            for (int offset = 1; offset < LANES; offset <<= 1)
            {
                u32 left = __shfl_up_sync(~0u, upTo, offset);
                if (threadIdx.x >= offset) upTo += left;
            }

            u32 before = upTo - mine;
            const u32 over = __ballot_sync(~0u, upTo > limit);
            if (over != 0 && threadIdx.x == __ffs(over) - 1)
            {
                int digit = threadIdx.x * (DIGITS / LANES);
                while (before + histogram[digit] <= limit) before += histogram[digit++];
                found[0] = prefix | (u32)digit << shift;
                found[1] = limit - before;
            }
        }

        __syncthreads();
        prefix = found[0];
        limit = found[1];
    }

    return prefix;
}

extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) sample(const __grid_constant__ SampleArguments a)
{
    __shared__ float shared[LANES];
    __shared__ u32 histogram[DIGITS], found[2];
    __shared__ int indices[LANES];
    let_next_begin();
    const Settings s = *a.settings;                      // like the noise and the state from before this step
    const int drawn = a.state->drawn, entry = drawn % a.ring;
    float scores[CHOICES], noise[CHOICES];
    bool spoken[CHOICES];
#pragma unroll
    for (int i = 0; i < CHOICES; i++)
    {
        const int id = i * SAMPLE_THREADS + threadIdx.x;
        noise[i] = id < VOCABULARY && !s.greedy ? a.noise[(size_t)entry * VOCABULARY + id] : 1;
        spoken[i] = id < VOCABULARY && a.spoken[id];
    }

    wait_for_previous();
#pragma unroll
    for (int i = 0; i < CHOICES; i++)
    {
        const int id = i * SAMPLE_THREADS + threadIdx.x;
        const bool there = id < VOCABULARY;
        float x = there ? a.logits[id] : -INFINITY;
        if (ROWS == 2 && there) x = x + (x - a.logits[VOCABULARY + id]) * s.guidance;
        scores[i] = x;
    }

    auto penalise = [&]
    {
#pragma unroll
        for (int i = 0; i < CHOICES; i++)
            if (spoken[i]) scores[i] = scores[i] < 0 ? scores[i] * s.penalty : scores[i] / s.penalty;
    };
    auto larger = [](float x, float y) { return fmaxf(x, y); };

    if (PENALTY_FIRST || s.greedy) penalise();
    if (!s.greedy)
    {
        float top = -INFINITY;
#pragma unroll
        for (int i = 0; i < CHOICES; i++)
        {
            scores[i] /= s.temperature;
            top = fmaxf(top, scores[i]);
        }

        top = block_reduce(top, shared, larger);
        u32 keys[CHOICES], weights[CHOICES];
        if (s.min_p > 0)
#pragma unroll
            for (int i = 0; i < CHOICES; i++)
                if (expf(scores[i] - top) < s.min_p) scores[i] = -INFINITY;

        if (s.top_k > 0 && s.top_k < VOCABULARY)         // drops all but the k largest and their equals
        {
#pragma unroll
            for (int i = 0; i < CHOICES; i++)
            {
                keys[i] = sortable(scores[i]);
                weights[i] = i * SAMPLE_THREADS + threadIdx.x < VOCABULARY;
            }

            const u32 least = select(keys, weights, VOCABULARY - s.top_k, histogram, found);
#pragma unroll
            for (int i = 0; i < CHOICES; i++)
                if (keys[i] < least) scores[i] = -INFINITY;
        }

        if (s.top_p < 1)                                 // drops the least likely that together stay within 1 − p
        {
            float mass = 0;
#pragma unroll
            for (int i = 0; i < CHOICES; i++) mass += expf(scores[i] - top);
            mass = block_reduce(mass, shared, [](float x, float y) { return x + y; });
#pragma unroll
            for (int i = 0; i < CHOICES; i++)
            {
                keys[i] = sortable(scores[i]);
                weights[i] = (u32)(expf(scores[i] - top) / mass * 1073741824.0f);
            }

            const u32 least = select(keys, weights, (u32)((1 - s.top_p) * 1073741824.0f), histogram, found);
#pragma unroll
            for (int i = 0; i < CHOICES; i++)
                if (keys[i] < least) scores[i] = -INFINITY;
        }

        if (!PENALTY_FIRST) penalise();
#pragma unroll
        for (int i = 0; i < CHOICES; i++) scores[i] = expf(scores[i] - top) / noise[i];   // the largest is a fair draw
    }

    float best = -INFINITY;
    int token = VOCABULARY;
#pragma unroll
    for (int i = 0; i < CHOICES; i++)
    {
        const int id = i * SAMPLE_THREADS + threadIdx.x;
        if (id < VOCABULARY && scores[i] > best)
        {
            best = scores[i];
            token = id;
        }
    }

    const float winner = block_reduce(best, shared, larger);
    token = block_reduce(best == winner ? token : VOCABULARY, indices, [](int x, int y) { return min(x, y); });   // of equals the first

    const int position = a.state->position[0] + 1;
    const bf16* place = a.places + (size_t)(GPT2 ? position : drawn + 1) * HIDDEN;
    for (int i = threadIdx.x; i < HIDDEN; i += SAMPLE_THREADS)
    {
        const float x = widen(a.embeddings[(size_t)token * HIDDEN + i]) + widen(place[i]);
#pragma unroll
        for (int r = 0; r < ROWS; r++) a.x[r * HIDDEN + i] = x;
    }

    __syncthreads();
    if (threadIdx.x == 0)
    {
        if (!START_PENALISED && drawn == 0) a.spoken[s.start_token] = 0;
        a.spoken[token] = 1;
        a.state->drawn = drawn + 1;
#pragma unroll
        for (int r = 0; r < ROWS; r++) a.state->position[r] = position;
        a.tokens[entry] = token;
        __threadfence_system();
    }
}
