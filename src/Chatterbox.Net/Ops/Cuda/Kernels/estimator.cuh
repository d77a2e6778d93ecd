// What the estimator's kernels on compute capability 9.0 are made of. A cluster of four blocks makes FRAMES frames; each block
// has a quarter of the outputs of every product, for all of them, so that weights go through a cluster once. Weights are the
// left matrices: of a product's results a thread has two outputs for two frames of each eight.
//
// Between products a block has 64 channels of all frames: its first warpgroup of the first eights of frames, its second of the
// others. What crosses the cluster are means and squares, operands, and sums over hidden channels, these as fp16.
//
// From the host: FRAMES of a cluster; CHANNELS, HEADS; CLUSTER, its blocks; WORKERS, the threads of a block that multiply;
// SHARED_BYTES of a block.
#pragma once

#include "common.cuh"
#include "tiles.cuh"
#include "hopper.cuh"

constexpr int HIDDEN = 4 * CHANNELS, QKV = 3 * HEADS * 64, TAPS = 3;
constexpr int WARPS = WORKERS / LANES;                                // and a warp that loads
static_assert(CHANNELS == 256 && CLUSTER == 4 && WORKERS == 2 * GROUP, "a block has 64 channels of a product, half of the frames a warpgroup");
constexpr int EIGHTS = FRAMES / 8, MINE = (EIGHTS + 1) / 2;           // of frames; and the most that a warpgroup has between products
constexpr int CHUNK = FRAMES * 128;                                   // bytes of 64 channels of all frames, as operands
constexpr int SUMS = FRAMES / 2;                                      // of a thread, in a product of 64 outputs

constexpr int SEEN = CHUNK + 8 * 128;                                 // a chunk that begins some frames early
constexpr int MOST_OPERANDS = CHANNELS / 64 * SEEN + 8 * CHUNK;       // of any kernel
constexpr int MOMENTS = (WARPS / 2 + 2 * CLUSTER) * FRAMES * 8, BARRIERS = 256, ALIGNMENT = 1024;
constexpr int SLOT = 2 * TILE;                                        // weights under way: 64 outputs for two chunks
constexpr int SLOTS = (SHARED_BYTES - ALIGNMENT - MOST_OPERANDS - MOMENTS - BARRIERS) / SLOT;

#define CLUSTERS __launch_bounds__(WORKERS + LANES, 1) __attribute__((cluster_dims(CLUSTER, 1, 1)))

__device__ inline void load_shared(u32 from, float (&x)[4])
{
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(x[0]), "=f"(x[1]), "=f"(x[2]), "=f"(x[3]) : "r"(from) : "memory");
}

__device__ inline void store_shared(u32 to, float a, float b, float c, float d) { asm volatile("st.shared.v4.f32 [%0], {%1,%2,%3,%4};" :: "r"(to), "f"(a), "f"(b), "f"(c), "f"(d) : "memory"); }

__device__ inline float2 load_pair(u32 from)
{
    float2 x;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(x.x), "=f"(x.y) : "r"(from) : "memory");
    return x;
}

// Shared memory of a block: operands, what others send, weights in slots, moments, barriers. Its address is the same in all
// blocks of a cluster. All barriers but those of the slots and `met` have one turn.
struct Place
{
    u32 operands, received, weights, parts, moments, loaded, used, met, given, gathered, summed;

    __device__ Place(int operand_bytes, int received_bytes)
    {
        extern __shared__ unsigned char shared[];
        operands = (shared_address(shared) + ALIGNMENT - 1) & ~(ALIGNMENT - 1u);
        received = operands + operand_bytes;
        weights = received + received_bytes;
        parts = weights + SLOTS * SLOT;                               // [warps of a group, FRAMES] pairs
        moments = parts + WARPS / 2 * FRAMES * 8;                     // [2, CLUSTER, FRAMES] pairs
        loaded = parts + MOMENTS;
        used = loaded + SLOTS * 8;
        met = used + SLOTS * 8;
        given = met + 8;
        gathered = given + 8;
        summed = gathered + 2 * 8;
        if (threadIdx.x == 0)
        {
            for (int i = 0; i < SLOTS; i++) prepare(loaded + i * 8, 1), prepare(used + i * 8, WARPS / 2);
            prepare(met, CLUSTER * WARPS);
            prepare(given, 1);
            for (int i = 0; i < 2; i++) prepare(gathered + i * 8, 1), expect(gathered + i * 8, (CLUSTER - 1) * CHUNK);
            prepare(summed, 1), expect(summed, (CLUSTER - 1) * CHUNK);
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

    // 64 outputs for one or two terms: chunks of 64 inputs, or their taps.
    __device__ void load(const half* weight, int outputs, int first, int term, int count)
    {
        const int slot = stage % SLOTS, turn = stage / SLOTS;
        if (turn > 0) wait(place.used + slot * 8, turn - 1);
        expect(place.loaded + slot * 8, count * TILE);
        for (int i = 0; i < count; i++) copy(place.weights + slot * SLOT + i * TILE, weight + ((long long)(term + i) * outputs + first) * 64, TILE, place.loaded + slot * 8);
        stage++;
    }

    // The block's 64 outputs; groups take turns with the terms.
    __device__ void load_halves(const half* weight, int terms)
    {
        for (int t = 0; t < terms; t += 2) load(weight, CHANNELS, cluster_rank() * 64, t, min(2, terms - t));
    }

    // Some 64s of outputs for each group.
    __device__ void load_each(const half* weight, int outputs, int first, int each, int first_term, int terms)
    {
        for (int m = 0; m < each; m++)
            for (int t = 0; t < terms; t += 2)
                for (int g = 0; g < 2; g++) load(weight, outputs, first + (g * each + m) * 64, first_term + t, 2);
    }
};

// ---- the warps that multiply ---------------------------------------------------------------------------------------

struct Worker
{
    const Place& place;
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES % 4, group = threadIdx.x / GROUP, rank = cluster_rank();
    const int first = group * MINE, count = group ? EIGHTS - MINE : MINE;   // between products: the group's eights of frames
    const int channel = warp * 16 + lane / 4;                         // of 64: the thread's first; its second is the eighth behind it
    const u32 own = (warp * LANES + lane) * 16;                       // where a thread's numbers of eight frames lie among a group's
    int stage = threadIdx.x / GROUP, turn = 0;
    float x[MINE][4];

    __device__ Worker(const Place& p) : place(p) {}

    __device__ void in_step() { barrier(1, WORKERS); }
    __device__ void group_in_step() { barrier(2 + group, GROUP); }

    // Tells the cluster that this warp has come here; and waits until all have, and sees what they have written.
    __device__ void tell()
    {
        __syncwarp();
        if (lane < CLUSTER) arrive_remote(remote(place.met, lane));
    }

    __device__ void wait_for_told() { wait(place.met, turn++); }

    // Products with the group's next weights, `stride` terms from each two to the next.
    template <typename Operand>
    __device__ void run(float (&sums)[SUMS], int begin, int end, int stride, Operand operand)
    {
        for (int t = begin; t < end; t += stride, stage += 2)
        {
            const int slot = stage % SLOTS;
            wait(place.loaded + slot * 8, stage / SLOTS);
            begin_products(sums);
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
                if (t + i >= end) break;
#pragma unroll
                for (int k = 0; k < 4; k++)
                    multiply(sums, matrix(place.weights + slot * SLOT + i * TILE + k * 32), matrix(operand(t + i) + k * 32), t > begin | i | k);
            }

            end_of_products();
            wait_for_products<0>();
            settle(sums);
            if (lane == 0) arrive(place.used + slot * 8);
        }
    }

    // Products of 64 outputs of this group, with all of four chunks.
    __device__ void run_chunks(float (&sums)[SUMS], u32 chunks)
    {
        run(sums, 0, 4, 2, [=](int t) { return chunks + t * CHUNK; });
    }

    // Products of the block's 64 outputs, the group's half of the terms.
    template <typename Operand>
    __device__ void run_half(float (&sums)[SUMS], int terms, Operand operand)
    {
        const int behind = stage + (terms + 1) / 2;
        run(sums, 2 * group, terms, 4, operand);
        stage = behind;
    }

    // Gives the other group its frames of this group's half.
    __device__ void give(const float (&sums)[SUMS], u32 to)
    {
#pragma unroll
        for (int n = 0; n < EIGHTS; n++)
            if ((n < MINE) == (group == 1)) store_shared(to + n * 2048 + own, sums[n * 4], sums[n * 4 + 1], sums[n * 4 + 2], sums[n * 4 + 3]);
    }

    // Adds both halves of this group's frames.
    __device__ void take(float (&y)[MINE][4], const float (&sums)[SUMS], u32 from)
    {
#pragma unroll
        for (int i = 0; i < MINE; i++)
        {
            if (i >= count) break;
            float other[4];
            load_shared(from + (first + i) * 2048 + own, other);
#pragma unroll
            for (int k = 0; k < 4; k++) y[i][k] += (group == 0 ? sums[i * 4 + k] : sums[(i + MINE) * 4 % SUMS + k]) + other[k];
        }
    }

    // A number for each of the thread's channels.
    __device__ void of_thread(const float* from, float (&x)[2])
    {
#pragma unroll
        for (int r = 0; r < 2; r++) x[r] = from[rank * 64 + channel + r * 8];
    }

    // Norms x over the channels of all blocks; `number` counts the norms of a kernel.
    __device__ void norm(float (&y)[MINE][4], int number, const float (&gain)[2], const float (&shift)[2])
    {
#pragma unroll
        for (int i = 0; i < MINE; i++)
        {
            if (i >= count) break;
            float mean[2], squares[2];
#pragma unroll
            for (int k = 0; k < 2; k++)
            {
                mean[k] = sum_of_channels(x[i][k] + x[i][k + 2]) / 16;
                squares[k] = sum_of_channels((x[i][k] - mean[k]) * (x[i][k] - mean[k]) + (x[i][k + 2] - mean[k]) * (x[i][k + 2] - mean[k]));
            }

            if (lane < 4) store_shared(place.parts + (warp * FRAMES + (first + i) * 8 + lane * 2) * 8, mean[0], squares[0], mean[1], squares[1]);
        }

        group_in_step();
        const int frame = first * 8 + threadIdx.x % GROUP;
        const u32 all = place.moments + (number * CLUSTER * FRAMES + frame) * 8;
        const bool one = threadIdx.x % GROUP < count * 8;             // threads that look after a frame
        if (one)
        {
            const float2 block = join(place.parts + frame * 8, 16);
#pragma unroll
            for (int c = 0; c < CLUSTER; c++)
                asm volatile("st.shared::cluster.v2.f32 [%0], {%1,%2};" :: "r"(remote(all + rank * FRAMES * 8, c)), "f"(block.x), "f"(block.y) : "memory");
        }

        tell();
        wait_for_told();
        if (one)
        {
            const float2 cluster = join(all, 64);
            asm volatile("st.shared.v2.f32 [%0], {%1,%2};" :: "r"(place.parts + frame * 8), "f"(cluster.x), "f"(rsqrtf(cluster.y / CHANNELS + 1e-5f)) : "memory");
        }

        group_in_step();
#pragma unroll
        for (int i = 0; i < MINE; i++)
        {
            if (i >= count) break;
            float p[4];                                               // mean and factor of two frames
            load_shared(place.parts + ((first + i) * 8 + lane % 4 * 2) * 8, p);
#pragma unroll
            for (int k = 0; k < 4; k++) y[i][k] = (x[i][k] - p[k % 2 * 2]) * p[k % 2 * 2 + 1] * gain[k / 2] + shift[k / 2];
        }
    }

    // Over the warp's sixteen channels, from two of them.
    __device__ static float sum_of_channels(float x)
    {
#pragma unroll
        for (int offset = 4; offset < LANES; offset *= 2) x += __shfl_xor_sync(~0u, x, offset);
        return x;
    }

    // Mean, and squares of the distances from it, of four lots of so many channels.
    __device__ static float2 join(u32 from, int channels)
    {
        float2 lot[4], all = {0, 0};
#pragma unroll
        for (int i = 0; i < 4; i++) lot[i] = load_pair(from + i * FRAMES * 8), all.x += lot[i].x / 4;
#pragma unroll
        for (int i = 0; i < 4; i++) all.y += lot[i].y + channels * (lot[i].x - all.x) * (lot[i].x - all.x);
        return all;
    }

    // Some eights of frames of the thread's numbers become operands, from one eight of a chunk on.
    template <int N>
    __device__ void put(u32 chunk, int eight, int eights, const float (&y)[N])
    {
#pragma unroll
        for (int i = 0; i < N / 4; i++)
            if (i < eights)
                asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1,%2};"
                    :: "r"(piece(chunk, (eight + i) * 8 + lane % 8, warp * 2 + lane / 8 % 2)), "r"(narrow(y[i * 4], y[i * 4 + 1])), "r"(narrow(y[i * 4 + 2], y[i * 4 + 3])) : "memory");
    }

    // The group's frames, [frames, ld], by way of a chunk.
    __device__ void write(half* to, int ld, int frames, u32 chunk)
    {
        put(chunk, first, count, flat(x));
        group_in_step();
        for (int i = threadIdx.x % GROUP; i < count * 8 * 8; i += GROUP)
        {
            const int frame = first * 8 + i / 8;
            uint4 v;
            asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(piece(chunk, frame, i % 8)) : "memory");
            if (frame < frames) *(uint4*)(to + (long long)frame * ld + rank * 64 + i % 8 * VECTOR) = v;
        }
    }

    // The thread's numbers in float32, [frames, CHANNELS].
    __device__ float* place_of(float* all, int i, int k) { return all + ((first + i) * 8 + lane % 4 * 2 + k % 2) * CHANNELS + rank * 64 + channel + k / 2 * 8; }

    __device__ bool is_there(int i, int frames) { return i < count && (first + i) * 8 < frames; }

    // x, normed, becomes the operands of all blocks.
    __device__ void spread(int number, const float (&gain)[2], const float (&shift)[2])
    {
        float y[MINE][4] = {};
        norm(y, number, gain, shift);
        const u32 chunk = place.operands + rank * CHUNK;
        put(chunk, first, count, flat(y));
        show();
        in_step();
        if (threadIdx.x % GROUP < CLUSTER - 1)
        {
            const int to = (rank + 1 + threadIdx.x % GROUP) % CLUSTER;
            const u32 ours = chunk + first * 1024;
            send(remote(ours, to), ours, count * 1024, remote(place.gathered + number * 8, to));
        }

        wait(place.gathered + number * 8, 0);
    }

    // Queries, keys and values of the next attention, from the operands; the frames from `frame` on, as many as there are here.
    __device__ void make_qkv(half* qkv, int frame, int here)
    {
        const int ahead = min(here, 64 - frame % 64);                 // in the first tile of 64 frames
#pragma unroll 1
        for (int m = 0; m < 3; m++)
        {
            float sums[SUMS];
            run_chunks(sums, place.operands);
            const u32 chunk = place.operands + (4 + group * 2 + m % 2) * CHUNK;
            if (m == 2)
            {
                if (threadIdx.x % GROUP == 0) wait_read<1>();
                group_in_step();
            }

            put(chunk, 0, EIGHTS, sums);
            show();
            group_in_step();
            if (threadIdx.x % GROUP == 0)
            {
                half* const to = qkv + ((long long)(frame / 64) * QKV + rank * (QKV / CLUSTER) + (group * 3 + m) * 64) * 64;
                write_back(to + frame % 64 * 64, chunk, ahead * 128);
                if (ahead < here) write_back(to + QKV * 64, chunk + ahead * 128, (here - ahead) * 128);
                end_of_writes();
            }
        }

        if (threadIdx.x % GROUP == 0) wait_written();
    }

private:
    __device__ static const float (&flat(const float (&y)[MINE][4]))[MINE * 4] { return *(const float (*)[MINE * 4])&y; }
};
