// The estimator's convolutions on compute capability 9.0, each one kernel of clusters. A cluster makes 64 frames; its blocks share what is summed over or the outputs, and weights go through
// each block once. Operands are fp16, sums, norms and what is added up float32.
//
// Weights, and what attention reads and writes, lie in tiles of 64 numbers of 64 or more rows (see piece).

#include "common.cuh"
#include "tiles.cuh"
#include "hopper.cuh"

constexpr int CHANNELS = 256, HEADS = 8, QKV = 3 * HEADS * 64, FRAMES = 64, TAPS = 3;
constexpr int QKV_EACH = QKV / CLUSTER, FRAMES_EACH = FRAMES / CLUSTER;
constexpr int WORKERS = 2 * GROUP, WARPS = WORKERS / LANES;           // and a warp that loads
constexpr int MINE = FRAMES_EACH / WARPS;                             // frames of a warp, between products
constexpr int SLOTS = 4, SLOT = CHANNELS * 128;                       // weights under way
constexpr int QKV_PART = 192;                                         // outputs of a block that it makes at once

__device__ inline void store_shared(u32 to, u32 x) { asm volatile("st.shared.b32 [%0], %1;" :: "r"(to), "r"(x) : "memory"); }

__device__ inline void load_shared(u32 from, float (&x)[VECTOR])
{
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(x[0]), "=f"(x[1]), "=f"(x[2]), "=f"(x[3]) : "r"(from) : "memory");
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(x[4]), "=f"(x[5]), "=f"(x[6]), "=f"(x[7]) : "r"(from + 16) : "memory");
}

__device__ inline void store_shared(u32 to, float x, float y) { asm volatile("st.shared.v2.f32 [%0], {%1,%2};" :: "r"(to), "f"(x), "f"(y) : "memory"); }

// Shared memory of a block: operands, sums, weights in slots, barriers. Its address is the same in all blocks of a cluster.
struct Place
{
    u32 operands, sums, weights, loaded, used, met, given;

    __device__ Place()
    {
        extern __shared__ unsigned char shared[];
        operands = (shared_address(shared) + 1023) & ~1023u;
        sums = operands + 4 * TILE;
        weights = sums + FRAMES * CHANNELS * sizeof(float);
        loaded = weights + SLOTS * SLOT;
        used = loaded + SLOTS * 8;
        met = used + SLOTS * 8;
        given = met + 8;
        if (threadIdx.x == 0)
        {
            for (int i = 0; i < SLOTS; i++) prepare(loaded + i * 8, 1), prepare(used + i * 8, WARPS);
            prepare(met, CLUSTER * WARPS);
            prepare(given, 1);
            asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        }

        __syncthreads();
        come();
    }
};

// ---- the warp that loads -------------------------------------------------------------------------------------------

struct Loader
{
    const Place& place;
    int stage;

    // Some rows of some chunks of 64 inputs.
    __device__ void load(const half* weight, int outputs, int first, int count, int first_chunk, int chunks)
    {
        for (int i = 0; i < chunks; i++, stage++)
        {
            const int slot = stage % SLOTS, turn = stage / SLOTS;
            if (turn > 0) wait(place.used + slot * 8, turn - 1);
            expect(place.loaded + slot * 8, count * 128);
            copy(place.weights + slot * SLOT, weight + ((long long)(first_chunk + i) * outputs + first) * 64, count * 128, place.loaded + slot * 8);
        }
    }

    __device__ void load_qkv(const half* weight, int rank)
    {
        if (weight)
            for (int done = 0; done < QKV_EACH; done += QKV_PART) load(weight, QKV, rank * QKV_EACH + done, QKV_PART, 0, CHANNELS / 64);
    }
};

// ---- the warps that multiply ---------------------------------------------------------------------------------------

struct Worker
{
    const Place& place;
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, group = threadIdx.x / GROUP, rank = cluster_rank();
    const int row = warp % 4 * 16 + lane / 4;                         // in a product: of the frames, this one and the eighth behind it
    const int mine = rank * FRAMES_EACH + warp * MINE;                // between products: the first frame of the warp
    int stage = 0, turn = 0;

    __device__ Worker(const Place& p) : place(p) {}

    // Sums of this group's outputs: the slots' rows are the outputs, the second half of them the second group's.
    template <int N>
    __device__ void run(float (&sums)[N], u32 left, int chunks)
    {
        for (int c = 0; c < chunks; c++, stage++)
        {
            const u32 right = arrived() + group * N * 2 * 128;
            begin_products(sums);
#pragma unroll
            for (int k = 0; k < 4; k++) multiply(sums, matrix(left + c * TILE + k * 32), matrix(right + k * 32), c | k);
            end_of_products();
            if (c > 0)
            {
                wait_for_products<1>();
                release(stage - 1);
            }
        }

        wait_for_products<0>();
        settle(sums);
        if (chunks > 0) release(stage - 1);
    }

    // The slot of this stage, when it is there.
    __device__ u32 arrived()
    {
        wait(place.loaded + stage % SLOTS * 8, stage / SLOTS);
        return place.weights + stage % SLOTS * SLOT;
    }

    __device__ void release(int stage)
    {
        if (lane == 0) arrive(place.used + stage % SLOTS * 8);
    }

    __device__ void in_step() { barrier(1, WORKERS); }

    // All workers of the cluster have come here, and see what the others have written.
    __device__ void meet()
    {
        __syncwarp();
        if (lane < CLUSTER) arrive_remote(remote(place.met, lane));
        wait(place.met, turn++);
    }

    // This block's part of sums over all blocks of the cluster, for all frames.
    __device__ void put(const float (&sums)[64])
    {
        const u32 to = place.sums + row * 1024 + lane % 4 * 8;
#pragma unroll
        for (int n = 0; n < 16; n++)
        {
            const u32 at = to + (((group * 16 + n) ^ (row & 7)) << 5);
            store_shared(at, sums[n * 4], sums[n * 4 + 1]);
            store_shared(at + 8 * 1024, sums[n * 4 + 2], sums[n * 4 + 3]);
        }
    }

    // Adds what the cluster's blocks have put there for the warp's own frames: the lane's eight channels, this block's first.
    __device__ void add(float (&x)[MINE][VECTOR], const float (&bias)[VECTOR])
    {
#pragma unroll
        for (int i = 0; i < MINE; i++)
        {
            const u32 from = place.sums + (mine + i) * 1024 + ((lane ^ ((mine + i) & 7)) << 5);
            float parts[CLUSTER][VECTOR];
            load_shared(from, parts[0]);
#pragma unroll
            for (int c = 1; c < CLUSTER; c++) load_remote(remote(from, (rank + c) % CLUSTER), parts[c]);
#pragma unroll
            for (int k = 0; k < VECTOR; k++)
            {
                x[i][k] += bias[k];
#pragma unroll
                for (int c = 0; c < CLUSTER; c++) x[i][k] += parts[c][k];
            }
        }
    }

    __device__ void norm(float (&y)[MINE][VECTOR], const float (&x)[MINE][VECTOR], const float (&gain)[VECTOR], const float (&shift)[VECTOR])
    {
#pragma unroll
        for (int i = 0; i < MINE; i++)
        {
            float sum = 0, squares = 0;
#pragma unroll
            for (int k = 0; k < VECTOR; k++) sum += x[i][k];
            const float mean = warp_sum(sum) / CHANNELS;
#pragma unroll
            for (int k = 0; k < VECTOR; k++) squares += (x[i][k] - mean) * (x[i][k] - mean);
            const float factor = rsqrtf(warp_sum(squares) / CHANNELS + 1e-5f);
#pragma unroll
            for (int k = 0; k < VECTOR; k++) y[i][k] = (x[i][k] - mean) * factor * gain[k] + shift[k];
        }
    }

    // The warp's frames become operands of all blocks.
    __device__ void spread(const float (&x)[MINE][VECTOR])
    {
#pragma unroll
        for (int i = 0; i < MINE; i++)
        {
            const u32 to = piece(place.operands + lane / 8 * TILE, mine + i, lane % 8);
            const u32 v[4] = {narrow(x[i][0], x[i][1]), narrow(x[i][2], x[i][3]), narrow(x[i][4], x[i][5]), narrow(x[i][6], x[i][7])};
            asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};" :: "r"(to), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]) : "memory");
#pragma unroll
            for (int c = 1; c < CLUSTER; c++)
                asm volatile("st.shared::cluster.v4.b32 [%0], {%1,%2,%3,%4};" :: "r"(remote(to, (rank + c) % CLUSTER)), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]) : "memory");
        }

        meet();
        show();
    }

    // Results of a product become tiles, from this group's first output on.
    template <int N>
    __device__ void narrow_tiles(u32 tiles, const float (&x)[N])
    {
#pragma unroll
        for (int n = 0; n < N / 4; n++)
        {
            const int column = group * N * 2 + n * 8;
            const u32 to = piece(tiles + column / 64 * TILE, row, column % 64 / 8) + lane % 4 * 4;
            store_shared(to, narrow(x[n * 4], x[n * 4 + 1]));
            store_shared(to + 8 * 128, narrow(x[n * 4 + 2], x[n * 4 + 3]));
        }

        show();
        in_step();
    }

    // Queries, keys and values of the next attention.
    __device__ void make_qkv(const float (&x)[MINE][VECTOR], const float (&gain)[VECTOR], const float (&shift)[VECTOR], half* qkv, int tile)
    {
        float normed[MINE][VECTOR];
        norm(normed, x, gain, shift);
        spread(normed);
#pragma unroll 1
        for (int done = 0; done < QKV_EACH; done += QKV_PART)
        {
            float sums[QKV_PART / 4];
            run(sums, place.operands, CHANNELS / 64);
            const u32 tiles = place.sums + done / QKV_PART % 2 * QKV_PART * 128;
            if (done >= 2 * QKV_PART)
            {
                if (threadIdx.x == 0) wait_read<1>();
                in_step();
            }

            narrow_tiles(tiles, sums);
            if (threadIdx.x == 0)
            {
                write_back(qkv + ((long long)tile * QKV + rank * QKV_EACH + done) * FRAMES, tiles, QKV_PART * 128);
                end_of_writes();
            }
        }

        if (threadIdx.x == 0) wait_written();
    }

    // The lane's channels, of what has a number for each.
    __device__ void of_lane(const float* from, float (&x)[VECTOR]) { ::load(from + lane * VECTOR, x); }
};

#define CLUSTERS __launch_bounds__(WORKERS + LANES, 1) __attribute__((cluster_dims(CLUSTER, 1, 1)))

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

constexpr int SEEN_TILE = 72 * 128;                      // bytes of a tile that begins two frames early, rounded up

// 64 channels of some frames; zeros for those before the first of a row.
__device__ inline void load_tile(u32 tile, const half* from, int ld, int first, int count)
{
    const int column = threadIdx.x % 8;
    for (int r = threadIdx.x / 8; r < count; r += WORKERS / 8)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
            :: "r"(piece(tile, r, column)), "l"(from + (long long)r * ld + column * VECTOR), "r"(first + r >= 0 ? 16 : 0) : "memory");
}

__device__ inline float mish(float x)                    // x · tanh(ln(1 + eˣ))
{
    const float e = __expf(fminf(x, 20.0f)), n = e * (e + 2);
    return x * __fdividef(n, n + 2);
}

extern "C" __global__ void CLUSTERS convolve(const __grid_constant__ ConvolutionArguments a)
{
    const Place place;
    const int tile = blockIdx.x / CLUSTER, rank = cluster_rank();
    const int first_term = rank * a.chunks * TAPS / CLUSTER, end_term = (rank + 1) * a.chunks * TAPS / CLUSTER, first_chunk = first_term / TAPS;
    const int first_around = rank * a.around_chunks / CLUSTER, end_around = (rank + 1) * a.around_chunks / CLUSTER;
    if (threadIdx.x >= WORKERS)
    {
        if (threadIdx.x > WORKERS) return;
        Loader loader = {place, 0};
        loader.load(a.around_weight, CHANNELS, 0, CHANNELS, first_around, end_around - first_around);
        loader.load(a.weight, CHANNELS, 0, CHANNELS, first_term, end_term - first_term);
        loader.load_qkv(a.qkv_weight, rank);
        return;
    }

    Worker worker(place);
    const long long frame = (long long)tile * FRAMES;
    for (int c = first_chunk; c * TAPS < end_term; c++)
        load_tile(place.operands + (c - first_chunk) * SEEN_TILE, a.x + (frame - TAPS + 1) * a.ld_x + c * 64, a.ld_x, (int)(frame % a.frames) - TAPS + 1, FRAMES + TAPS - 1);
    for (int c = first_around; c < end_around; c++) load_tile(place.sums + (c - first_around) * TILE, a.around + frame * a.ld_around + c * 64, a.ld_around, 0, FRAMES);
    asm volatile("cp.async.wait_all;" ::: "memory");
    show();
    worker.in_step();
    wait_for_all();

    float sums[64] = {}, y[MINE][VECTOR] = {}, added[MINE][VECTOR] = {}, bias[VECTOR], gain[VECTOR], shift[VECTOR];
    if (a.times)
#pragma unroll
        for (int i = 0; i < MINE; i++) load(a.times + (long long)*a.step * a.ld_times + worker.lane * VECTOR, added[i]);
    if (a.around)
    {
        worker.run(sums, place.sums, end_around - first_around);
        worker.in_step();
        worker.put(sums);
        worker.of_lane(a.around_bias, bias);
        worker.meet();
        worker.add(added, bias);
#pragma unroll
        for (int i = 0; i < 64; i++) sums[i] = 0;
    }

    for (int term = first_term; term < end_term; term++, worker.stage++)
    {
        const int seen = worker.warp % 4 * 16 + worker.lane % 16 + term % TAPS;
        u32 left[4][4];
#pragma unroll
        for (int k = 0; k < 4; k++) load_matrices(left[k], piece(place.operands + (term / TAPS - first_chunk) * SEEN_TILE, seen, k * 2 + worker.lane / 16));
        const u32 right = worker.arrived() + worker.group * GROUP * 128;
        begin_products(sums);
#pragma unroll
        for (int k = 0; k < 4; k++) multiply(sums, left[k], matrix(right + k * 32));
        end_of_products();
        wait_for_products<0>();
        settle(sums);
        worker.release(worker.stage);
    }

    if (a.around) worker.meet();                         // all have read what the sums are written over
    worker.put(sums);
    worker.of_lane(a.bias, bias);
    if (a.gain)
    {
        worker.of_lane(a.gain, gain);
        worker.of_lane(a.shift, shift);
    }

    worker.meet();
    worker.add(y, bias);
    if (a.gain)
    {
        worker.norm(y, y, gain, shift);
#pragma unroll
        for (int i = 0; i < MINE; i++)
#pragma unroll
            for (int k = 0; k < VECTOR; k++) y[i][k] = mish(y[i][k]) + added[i][k];
    }

#pragma unroll
    for (int i = 0; i < MINE; i++)
    {
        const long long at = (frame + worker.mine + i) * CHANNELS + worker.lane * VECTOR;
        if (a.y) store(a.y + at, y[i]);
        if (a.wide) store(a.wide + at, y[i]);
    }

    if (!a.qkv_weight)
    {
        worker.meet();                                   // all have read what is here
        return;
    }

    worker.of_lane(a.next_gain, gain);
    worker.of_lane(a.next_shift, shift);
    worker.make_qkv(y, gain, shift, a.qkv, tile);
}
