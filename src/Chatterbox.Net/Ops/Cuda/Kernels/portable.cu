// The estimator between its products, for any GPU: attention, and norms with Mish. Operands are fp16, sums float32.
// Activations lie as [row, frame, channel].
//
// From the host: HEAD_DIM; QUERIES and ATTENTION_THREADS of a block of attention; MISH_WARPS of a block.

#include "products.cuh"

// ---- attention over all live frames --------------------------------------------------------------------------------

constexpr int KEYS = 64;
static_assert(HEAD_DIM == 64 && QUERIES == 16 * ATTENTION_THREADS / LANES, "a row of a tile, and 16 queries a warp");

struct AttentionArguments
{
    const half* qkv;            // [rows, frames, 3, heads, HEAD_DIM]
    half* y;                    // [rows, frames, heads, HEAD_DIM]
    const int* live;            // frames that count, of each row; those after them are not seen
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
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, live = a.live[blockIdx.z];
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
