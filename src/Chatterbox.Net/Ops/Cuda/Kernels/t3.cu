// One step of T3 for ROWS rows: every kernel of it, in the order in which they run. Weights and cache are bf16, everything
// else float32. A step is bound by the time to read the weights and by the number of kernels that wait for each other;
// so each kernel loads its weights before it waits for the kernel in front of it, and norms cost no kernel of their own.
//
// Sizes: ROWS, HIDDEN, MLP, HEADS, SPLITS, UP_PAIRS; GPT2 (0: Llama).

#include "t3.cuh"

constexpr int CHUNK = LANES * VECTOR;                    // bf16 numbers that a warp loads at once
constexpr int CHUNKS = HIDDEN / CHUNK;
static_assert(HIDDEN % CHUNK == 0 && MLP % (4 * CHUNK) == 0, "sizes that the kernels are made for");

__device__ inline uint4 load_once(const bf16* p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
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
                for (int o = 0; o < UP_OUTPUTS; o++) a.y[r * MLP + outputs[o]] = gelu(results[o][r]);
            else
#pragma unroll
                for (int o = 0; o < UP_PAIRS; o++)
                    a.y[r * MLP + first + o] = silu(results[o][r]) * results[UP_PAIRS + o][r];
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
