// What S3Gen's estimator and HiFT are made of: matrix products and convolutions over time, attention, and the little
// between them. Operands are fp16, sums float32. Activations lie as [row, frame, channel].

#include "common.cuh"
#include "tiles.cuh"

constexpr int CHUNK = 64;                                // channels that a stage of a product covers: 128 bytes
constexpr int SLOTS = 4;                                 // stages of a product in shared memory
constexpr int NORMED = 256;                              // channels that a norm goes over

// ---- memory and products -------------------------------------------------------------------------------------------

__device__ inline void copy_later(u32 to, const half* from, bool there)       // 16 bytes; zeros where there is nothing
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

__device__ inline void end_of_stage() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int UNDER_WAY>
__device__ inline void wait_for_stage() { asm volatile("cp.async.wait_group %0;" :: "n"(UNDER_WAY) : "memory"); }

__device__ inline void load_transposed(u32 (&x)[4], u32 address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address) : "memory");
}

// [16, 16] · [16, 8]
__device__ inline void multiply(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- matrix product, or convolution over time ----------------------------------------------------------------------

enum Activation { NONE, GELU, LEAKY_RELU, SNAKE };

// y[t] = activation((Σ over taps of W[tap] · x[t + tap·dilation − before] + bias + residual + more) · scale), for each row.
struct ProductArguments
{
    const half* x;              // [rows, frames of x, ld_x]; null where it is a norm's
    const half* weight;         // [outputs, taps, inputs]
    const float* normed;        // x before its norm, [rows, frames, NORMED]
    const float* gain;          // of the norm, [NORMED]
    const float* shift;
    const float* bias;          // [outputs]; or null
    const float* residual;      // laid out as wide, or null
    const float* more;          // laid out as wide, or null
    const float* alpha;         // of Snake, [outputs]
    float* wide;                // the sum, without activation; or null
    half* narrow;               // the result; or null
    float scale, slope;         // slope of the leaky ReLU
    int activation;
    int frames_x, frames;       // of x, of y
    int inputs, outputs, taps, dilation, before;
    int ld_x, ld_wide, ld_narrow;
    long long row_x, row_wide, row_narrow;     // numbers from a row to the next
    int offset, limit;          // added to the place within a row of what is stored; places from limit on are left out
    int a_slots;
};

__device__ inline float snake(float x, float alpha)
{
    const float s = __sinf(x * alpha);
    return x + s * s / (alpha + 1e-9f);
}

// Eight neighbouring results of one frame go to memory.
__device__ inline void finish(const ProductArguments& a, int row, int frame, int n, float (&x)[VECTOR])
{
    if (frame >= a.frames || n >= a.outputs) return;
    const long long wide = (long long)frame * a.ld_wide + n + a.offset, narrowed = (long long)frame * a.ld_narrow + n + a.offset;
    if (wide < 0 || wide >= a.limit) return;
    float other[VECTOR];
    if (a.bias)
    {
        load(a.bias + n, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] += other[i];
    }

    if (a.residual)
    {
        load(a.residual + row * a.row_wide + wide, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] += other[i];
    }

    if (a.more)
    {
        load(a.more + row * a.row_wide + wide, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] += other[i];
    }

#pragma unroll
    for (int i = 0; i < VECTOR; i++) x[i] *= a.scale;
    if (a.wide) store(a.wide + row * a.row_wide + wide, x);
    if (!a.narrow) return;
    if (a.activation == GELU)
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = 0.5f * x[i] * (1 + erff(x[i] * 0.70710678f));
    else if (a.activation == LEAKY_RELU)
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = x[i] > 0 ? x[i] : x[i] * a.slope;
    else if (a.activation == SNAKE)
    {
        load(a.alpha + n, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = snake(x[i], other[i]);
    }

    store(a.narrow + row * a.row_narrow + narrowed, x);
}

// A block makes FRAMES × OUTPUTS results; its warps share them as WARPS_M × WARPS_N. Of x, it holds the frames that all
// taps of a chunk of channels see, once; a tap's operand begins as many rows further down. What is multiplied next is on
// its way into shared memory: weights in SLOTS slots, chunks of x in as many as it takes until a slot is no longer read.
template <int FRAMES, int OUTPUTS, int WARPS_M, int WARPS_N, bool NORM>
struct Product
{
    static constexpr int THREADS = WARPS_M * WARPS_N * LANES, M = FRAMES / WARPS_M / 16, N = OUTPUTS / WARPS_N / 8;
    static_assert(N % 4 == 0, "a thread stores the results of four tiles side by side");

    const ProductArguments& a;
    u32 x_tiles, weight_tiles;
    int x_bytes, x_rows, first_frame, first_output, row;

    __device__ Product(const ProductArguments& arguments) : a(arguments)
    {
        extern __shared__ __align__(128) unsigned char shared[];
        x_rows = FRAMES + (a.taps - 1) * a.dilation;
        x_bytes = x_rows * 128;
        weight_tiles = shared_address(shared);
        x_tiles = weight_tiles + SLOTS * OUTPUTS * 128;
        first_output = blockIdx.x * OUTPUTS;
        first_frame = blockIdx.y * FRAMES;
        row = blockIdx.z;
    }

    // Results of a warp's four neighbouring tiles are to lie side by side in a thread: so that 8·tile + 2·thread + i, which
    // is where it has them, is output 8·thread + 2·tile + i. A thread copies one piece of every THREADS / 8-th place.
    __device__ void load_weights(int stage, int chunk, int tap)
    {
        constexpr int EACH = THREADS / 8;
        static_assert(EACH == 32, "places that are copied at once repeat the order of outputs");
        const int place = threadIdx.x / 8, column = threadIdx.x % 8;
        const int output = first_output + ((place >> 1 & 3) << 3 | (place >> 3 & 3) << 1 | (place & 1));
        const u32 to = piece(weight_tiles + stage % SLOTS * OUTPUTS * 128, place, column);
        const half* const from = a.weight + ((long long)output * a.taps + tap) * a.inputs + chunk * CHUNK + column * VECTOR;
        const long long step = (long long)EACH * a.taps * a.inputs;
#pragma unroll
        for (int i = 0; i < OUTPUTS / EACH; i++) copy_later(to + i * EACH * 128, from + i * step, output + i * EACH < a.outputs);
    }

    __device__ void load_x(int chunk)
    {
        constexpr int EACH = THREADS / 8;
        const int place = threadIdx.x / 8, column = threadIdx.x % 8;
        int frame = first_frame + place - a.before;
        u32 to = piece(x_tiles + chunk % a.a_slots * x_bytes, place, column);
        const half* from = a.x + row * a.row_x + (long long)frame * a.ld_x + chunk * CHUNK + column * VECTOR;
        const long long step = (long long)EACH * a.ld_x;
        for (int i = place; i < x_rows; i += EACH)
        {
            copy_later(to, from, (u32)frame < (u32)a.frames_x);
            frame += EACH;
            to += EACH * 128;
            from += step;
        }
    }

    // What a stage is made of that is not there yet; goes on to the next.
    __device__ void load_stage(int stage, int& chunk, int& tap)
    {
        load_weights(stage, chunk, tap);
        if (!NORM && tap == 0) load_x(chunk);
        if (++tap == a.taps) tap = 0, chunk++;
    }

    // All chunks of x at once, each frame less its mean and over its deviation.
    __device__ void load_normed()
    {
        const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
        float gain[VECTOR], shift[VECTOR];
        load(a.gain + lane * VECTOR, gain);
        load(a.shift + lane * VECTOR, shift);
        const float* const x = a.normed + ((long long)row * a.frames_x + first_frame) * NORMED + lane * VECTOR;
        constexpr int AT_ONCE = 4;
        for (int first = warp * AT_ONCE; first < FRAMES; first += THREADS / LANES * AT_ONCE)
        {
            float v[AT_ONCE][VECTOR];
#pragma unroll
            for (int r = 0; r < AT_ONCE; r++) load(x + (long long)min(first + r, a.frames_x - 1 - first_frame) * NORMED, v[r]);
#pragma unroll
            for (int r = 0; r < AT_ONCE; r++)
            {
                float sum = 0, squares = 0;
#pragma unroll
                for (int i = 0; i < VECTOR; i++) sum += v[r][i];
                const float mean = warp_sum(sum) / NORMED;
#pragma unroll
                for (int i = 0; i < VECTOR; i++) squares += (v[r][i] - mean) * (v[r][i] - mean);
                const float factor = rsqrtf(warp_sum(squares) / NORMED + 1e-5f);
#pragma unroll
                for (int i = 0; i < VECTOR; i++) v[r][i] = (v[r][i] - mean) * factor * gain[i] + shift[i];
                const u32 to = piece(x_tiles + lane / 8 * x_bytes, first + r, lane % 8);
                asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" :: "r"(to), "r"(narrow(v[r][0], v[r][1])),
                    "r"(narrow(v[r][2], v[r][3])), "r"(narrow(v[r][4], v[r][5])), "r"(narrow(v[r][6], v[r][7])) : "memory");
            }
        }
    }

    __device__ void run()
    {
        const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
        const int warp_m = warp / WARPS_N * M * 16, warp_n = warp % WARPS_N * N * 8;
        const int stages = a.inputs / CHUNK * a.taps;
        float sums[M][N][4] = {};

        int chunk = 0, tap = 0;                          // of the stage that is loaded next
#pragma unroll
        for (int stage = 0; stage < SLOTS - 1; stage++)
        {
            if (stage < stages) load_stage(stage, chunk, tap);
            end_of_stage();
        }

        if (NORM) load_normed();
        int now_chunk = 0, now_tap = 0;
        for (int stage = 0; stage < stages; stage++)
        {
            wait_for_stage<SLOTS - 2>();
            __syncthreads();
            if (stage + SLOTS - 1 < stages) load_stage(stage + SLOTS - 1, chunk, tap);
            end_of_stage();
            const int first = now_tap * a.dilation + warp_m + lane % 16;
            const u32 x = x_tiles + now_chunk % a.a_slots * x_bytes + first * 128, x_piece = (lane / 16 ^ (first & 7)) << 4;
            const u32 weights = weight_tiles + (stage % SLOTS * OUTPUTS + warp_n + lane % 8 + lane / 16 * 8) * 128;
            const u32 weight_piece = ((lane / 8 & 1) ^ (lane & 7)) << 4;
            u32 left[2][M][4], right[2][N / 2][4];
            auto load_fragments = [&](int k)
            {
#pragma unroll
                for (int m = 0; m < M; m++) load_matrices(left[k % 2][m], x + m * 16 * 128 + (x_piece ^ k << 5));
#pragma unroll
                for (int n = 0; n < N / 2; n++) load_matrices(right[k % 2][n], weights + n * 16 * 128 + (weight_piece ^ k << 5));
            };
            load_fragments(0);
#pragma unroll
            for (int k = 0; k < CHUNK / 16; k++)
            {
                if (k + 1 < CHUNK / 16) load_fragments(k + 1);
#pragma unroll
                for (int n = 0; n < N / 2; n++)
#pragma unroll
                    for (int m = 0; m < M; m++)
                    {
                        multiply(sums[m][2 * n], left[k % 2][m], right[k % 2][n][0], right[k % 2][n][1]);
                        multiply(sums[m][2 * n + 1], left[k % 2][m], right[k % 2][n][2], right[k % 2][n][3]);
                    }
            }

            if (++now_tap == a.taps) now_tap = 0, now_chunk++;
        }

#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int n = 0; n < N; n += 4)
#pragma unroll
                for (int half_tile = 0; half_tile < 2; half_tile++)
                {
                    float x[VECTOR];
#pragma unroll
                    for (int i = 0; i < VECTOR; i++) x[i] = sums[m][n + i / 2][half_tile * 2 + i % 2];
                    finish(a, row, first_frame + warp_m + m * 16 + half_tile * 8 + lane / 4, first_output + warp_n + n * 8 + lane % 4 * 8, x);
                }
    }
};

#define PRODUCT(name, frames, outputs, warps_m, warps_n, norm)                                                            \
    extern "C" __global__ void __launch_bounds__(warps_m * warps_n * LANES) name(const __grid_constant__ ProductArguments a) \
    {                                                                                                                    \
        Product<frames, outputs, warps_m, warps_n, norm>(a).run();                                                       \
    }

PRODUCT(product_wide, 64, 128, 2, 4, false)
PRODUCT(product_wide_normed, 64, 128, 2, 4, true)
PRODUCT(product_small, 64, 64, 4, 2, false)
PRODUCT(product_long, 128, 64, 4, 2, false)

// ---- attention over all live frames --------------------------------------------------------------------------------

constexpr int HEAD_DIM = 64, QUERIES = 64, KEYS = 64, ATTENTION_THREADS = 128;

struct AttentionArguments
{
    const half* qkv;            // [rows, frames, 3, heads, HEAD_DIM]
    half* y;                    // [rows, frames, heads, HEAD_DIM]
    const int* live;            // frames that count; those behind them are not seen
    int frames, heads;
};

__device__ inline void load_tile(u32 tile, const half* from, int ld, int first, int live)
{
    constexpr int EACH = ATTENTION_THREADS / 8;
    const int place = threadIdx.x / 8, column = threadIdx.x % 8;
    const u32 to = piece(tile, place, column);
    from += (long long)(first + place) * ld + column * VECTOR;
#pragma unroll
    for (int i = 0; i < KEYS / EACH; i++) copy_later(to + i * EACH * 128, from + i * EACH * ld, first + place + i * EACH < live);
}

extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS) attention(const __grid_constant__ AttentionArguments a)
{
    __shared__ __align__(128) unsigned char shared[(QUERIES + 4 * KEYS) * 128];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, live = *a.live;
    const int first_query = blockIdx.x * QUERIES, ld = 3 * a.heads * HEAD_DIM;
    if (first_query >= live) return;

    const half* const qkv = a.qkv + ((long long)blockIdx.z * a.frames * 3 * a.heads + blockIdx.y) * HEAD_DIM;
    const u32 queries = shared_address(shared), tiles = queries + QUERIES * 128;
    load_tile(queries, qkv, ld, first_query, live);
    const int steps = (live + KEYS - 1) / KEYS;
    auto load_keys = [&](int step)
    {
        const u32 tile = tiles + step % 2 * 2 * KEYS * 128;
        load_tile(tile, qkv + a.heads * HEAD_DIM, ld, step * KEYS, live);
        load_tile(tile + KEYS * 128, qkv + 2 * a.heads * HEAD_DIM, ld, step * KEYS, live);
    };
    load_keys(0);
    end_of_stage();

    constexpr float SCALE = 0.125f * 1.44269504f;        // 1 / √HEAD_DIM, for powers of two
    u32 q[4][4];
    float sums[8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
    for (int step = 0; step < steps; step++)
    {
        wait_for_stage<0>();
        __syncthreads();
        if (step == 0)
#pragma unroll
            for (int k = 0; k < 4; k++) load_matrices(q[k], piece(queries, warp * 16 + lane % 16, k * 2 + lane / 16));
        if (step + 1 < steps) load_keys(step + 1);
        end_of_stage();

        const u32 keys = tiles + step % 2 * 2 * KEYS * 128, values = keys + KEYS * 128;
        float scores[8][4] = {};
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int n = 0; n < 8; n += 2)
            {
                u32 right[4];
                load_matrices(right, piece(keys, n * 8 + lane % 8 + lane / 16 * 8, k * 2 + (lane / 8 & 1)));
                multiply(scores[n], q[k], right[0], right[1]);
                multiply(scores[n + 1], q[k], right[2], right[3]);
            }

        if (step * KEYS + KEYS > live)
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (step * KEYS + n * 8 + lane % 4 * 2 + i % 2 >= live) scores[n][i] = -INFINITY;

#pragma unroll
        for (int r = 0; r < 2; r++)                      // the rows lane / 4 and lane / 4 + 8 of the warp's queries
        {
            float larger = top[r];
#pragma unroll
            for (int n = 0; n < 8; n++) larger = fmaxf(larger, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
            larger = fmaxf(larger, __shfl_xor_sync(~0u, larger, 1));
            larger = fmaxf(larger, __shfl_xor_sync(~0u, larger, 2));
            const float factor = exp2f((top[r] - larger) * SCALE);
            top[r] = larger;
            total[r] *= factor;
#pragma unroll
            for (int n = 0; n < 8; n++)
            {
                sums[n][2 * r] *= factor;
                sums[n][2 * r + 1] *= factor;
#pragma unroll
                for (int i = 2 * r; i < 2 * r + 2; i++)
                {
                    scores[n][i] = exp2f((scores[n][i] - larger) * SCALE);
                    total[r] += scores[n][i];
                }
            }
        }

#pragma unroll
        for (int k = 0; k < 4; k++)
        {
            const u32 left[4] = {
                narrow(scores[2 * k][0], scores[2 * k][1]), narrow(scores[2 * k][2], scores[2 * k][3]),
                narrow(scores[2 * k + 1][0], scores[2 * k + 1][1]), narrow(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
            for (int n = 0; n < 8; n += 2)
            {
                u32 right[4];
                load_transposed(right, piece(values, k * 16 + lane % 16, n + lane / 16));
                multiply(sums[n], left, right[0], right[1]);
                multiply(sums[n + 1], left, right[2], right[3]);
            }
        }
    }

#pragma unroll
    for (int r = 0; r < 2; r++)
    {
        total[r] += __shfl_xor_sync(~0u, total[r], 1);
        total[r] += __shfl_xor_sync(~0u, total[r], 2);
        const int frame = first_query + warp * 16 + r * 8 + lane / 4;
        half* const y = a.y + (((long long)blockIdx.z * a.frames + frame) * a.heads + blockIdx.y) * HEAD_DIM + lane % 4 * 2;
        if (frame < live)
#pragma unroll
            for (int n = 0; n < 8; n++) *(u32*)(y + n * 8) = narrow(sums[n][2 * r] / total[r], sums[n][2 * r + 1] / total[r]);
    }
}

// ---- norm over the channels, Mish, and what a residual block adds behind it ----------------------------------------

struct MishArguments
{
    const float* x;             // [frames of all rows, ld_x]
    const float* gain;          // [NORMED]
    const float* shift;
    const float* times;         // [steps, ld_times], to be added for the step that it is; or null
    const int* step;
    const float* residual;      // [frames of all rows, ld_residual]; or null
    float* wide;                // [frames of all rows, NORMED]; or null
    half* narrow;               // the same, or null
    int frames, ld_x, ld_residual, ld_times;
};

constexpr int MISH_WARPS = 4;

extern "C" __global__ void __launch_bounds__(MISH_WARPS * LANES) norm_mish(const __grid_constant__ MishArguments a)
{
    const int lane = threadIdx.x % LANES, frame = blockIdx.x * MISH_WARPS + threadIdx.x / LANES;
    float x[VECTOR], gain[VECTOR], shift[VECTOR], other[VECTOR];
    load(a.gain + lane * VECTOR, gain);
    load(a.shift + lane * VECTOR, shift);
    if (frame >= a.frames) return;

    load(a.x + (long long)frame * a.ld_x + lane * VECTOR, x);
    float sum = 0, squares = 0;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) sum += x[i];
    const float mean = warp_sum(sum) / NORMED;
#pragma unroll
    for (int i = 0; i < VECTOR; i++) squares += (x[i] - mean) * (x[i] - mean);
    const float factor = rsqrtf(warp_sum(squares) / NORMED + 1e-5f);
#pragma unroll
    for (int i = 0; i < VECTOR; i++)
    {
        const float v = (x[i] - mean) * factor * gain[i] + shift[i], e = __expf(fminf(v, 20.0f)), n = e * (e + 2);
        x[i] = v * n / (n + 2);                          // x · tanh(ln(1 + eˣ))
    }

    if (a.times)
    {
        load(a.times + (long long)*a.step * a.ld_times + lane * VECTOR, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] += other[i];
    }

    if (a.residual)
    {
        load(a.residual + (long long)frame * a.ld_residual + lane * VECTOR, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] += other[i];
    }

    if (a.wide) store(a.wide + (long long)frame * NORMED + lane * VECTOR, x);
    if (a.narrow) store(a.narrow + (long long)frame * NORMED + lane * VECTOR, x);
}

// ---- a step of the flow: guidance, Euler, and the next step's input ------------------------------------------------

struct EulerArguments
{
    const float* velocity;      // [rows or 2·rows, frames, bands]; with guidance, those without conditions behind
    const float* lengths;       // of the steps, [steps]
    int* step;                  // which it is; and blocks that are done with it. The last one counts it up
    float* mel;                 // [rows, frames, bands]
    half* input;                // [rows or 2·rows, frames, ld]: the mel is in front
    float guidance;             // 0: none
    int numbers, bands, ld;     // numbers = rows · frames · bands
};

extern "C" __global__ void __launch_bounds__(256) euler(const __grid_constant__ EulerArguments a)
{
    const int i = blockIdx.x * 256 + threadIdx.x, step = *a.step;
    if (i < a.numbers)
    {
        float v = a.velocity[i];
        if (a.guidance != 0) v = (1 + a.guidance) * v - a.guidance * a.velocity[a.numbers + i];
        const float x = a.mel[i] + a.lengths[step] * v;
        a.mel[i] = x;
        const long long place = (long long)(i / a.bands) * a.ld + i % a.bands;
        const half narrowed = (half)narrow(x, 0);
        a.input[place] = narrowed;
        if (a.guidance != 0) a.input[(long long)(a.numbers / a.bands) * a.ld + place] = narrowed;
    }

    __syncthreads();                                     // the block has read the step
    if (threadIdx.x == 0 && atomicAdd(a.step + 1, 1) == gridDim.x - 1) a.step[0] = step + 1, a.step[1] = 0;
}

// ---- HiFT: the first Snakes of blocks that share their input -------------------------------------------------------

constexpr int SNAKES = 3;

struct SnakeArguments
{
    const float* x;             // [frames of all rows, channels]
    const float* alphas[SNAKES];// [channels]
    half* y[SNAKES];            // [frames of all rows, channels]; null from the first that is not wanted
    long long numbers;
    int channels;
};

extern "C" __global__ void __launch_bounds__(256) snakes(const __grid_constant__ SnakeArguments a)
{
    const long long i = ((long long)blockIdx.x * 256 + threadIdx.x) * VECTOR;
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

// ---- HiFT's end: inverse STFT of 16 samples every 4 ----------------------------------------------------------------

constexpr int FFT = 16, HOP = 4, BINS = FFT / 2 + 1, STFT_FRAMES = 128;

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
            const float magnitude = fminf(expf(x[k]), a.max_magnitude);
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

        a.samples[(long long)blockIdx.y * (a.frames - 1) * HOP + place] = fmaxf(-a.limit, fminf(a.limit, sum / window));
    }
}
