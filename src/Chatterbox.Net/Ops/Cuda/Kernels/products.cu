// Matrix products and convolutions over time, of the estimator, HiFT and the watermark. Operands are fp16, sums float32.
// Activations lie as [row, frame, channel].
//
// From the host: CHUNK, the channels that a stage of a product covers, which are 128 bytes; SLOTS, the stages of a product in
// shared memory; PRODUCT_THREADS of a block; WIDE_, SMALL_ and LONG_ FRAMES and OUTPUTS, the shapes of a block's share; the
// activations GELU, LEAKY_RELU and SNAKE.

#include "products.cuh"

static_assert(CHUNK * sizeof(half) == 128, "a stage is a row of a tile");

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
    int x_slots;
};

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
        u32 to = piece(x_tiles + chunk % a.x_slots * x_bytes, place, column);
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
            const u32 x = x_tiles + now_chunk % a.x_slots * x_bytes + first * 128, x_piece = (lane / 16 ^ (first & 7)) << 4;
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
        static_assert(warps_m * warps_n * LANES == PRODUCT_THREADS, "threads that the host launches");                    \
        Product<frames, outputs, warps_m, warps_n, norm>(a).run();                                                       \
    }

PRODUCT(product_wide, WIDE_FRAMES, WIDE_OUTPUTS, 2, 4, false)
PRODUCT(product_wide_normed, WIDE_FRAMES, WIDE_OUTPUTS, 2, 4, true)
PRODUCT(product_small, SMALL_FRAMES, SMALL_OUTPUTS, 4, 2, false)
PRODUCT(product_long, LONG_FRAMES, LONG_OUTPUTS, 4, 2, false)
