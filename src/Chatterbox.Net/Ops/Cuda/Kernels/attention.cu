// Attention of the estimator on compute capability 9.0, over all live frames.
//
// From the host: HEADS; KEYS of a tile; KEY_SLOTS of a block, for keys and values; THREADS and SHARED_BYTES of a block.

#include "common.cuh"
#include "tiles.cuh"
#include "hopper.cuh"

struct AttentionArguments
{
    const half* qkv;            // [rows, tiles, 3, HEADS] tiles
    half* y;                    // [rows, tiles, HEADS] tiles
    const int* live;            // frames that count, of each row; those after them are not seen
    int tiles;                  // of a row
};

// A block has a tile of queries; its two warpgroups have every other tile of keys each, and put together what they found.
constexpr int SHARES = THREADS / GROUP;
constexpr int ALIGNMENT = 1024, BARRIERS = (2 * KEY_SLOTS + 1) * 8, HANDED = 36 * GROUP * sizeof(float);
static_assert(SHARES == 2, "the second group hands its part to the first");
static_assert(KEYS * 128 == TILE, "keys of a tile");
static_assert(ALIGNMENT + (1 + 2 * KEY_SLOTS) * TILE + BARRIERS + HANDED <= SHARED_BYTES, "shared memory that the kernel needs");
constexpr float SCALE = 0.125f * 1.44269504f;            // 1 / √64, for powers of two

struct Attention
{
    const AttentionArguments& a;
    const int steps, lane = threadIdx.x % LANES, group = threadIdx.x / GROUP;
    const bool loads = threadIdx.x % GROUP == 0;         // its group's keys and values, ahead of the products
    u32 queries, slots, loaded, used, given;
    float* handed;

    __device__ Attention(const AttentionArguments& arguments, int tiles) : a(arguments), steps(tiles)
    {
        extern __shared__ unsigned char shared[];
        const u32 address = shared_address(shared);
        queries = (address + ALIGNMENT - 1) & ~(ALIGNMENT - 1u);
        slots = queries + TILE;
        loaded = slots + KEY_SLOTS * 2 * TILE;
        used = loaded + KEY_SLOTS * 8;
        given = used + KEY_SLOTS * 8;
        handed = (float*)(shared + (given + 8 - address));
        if (threadIdx.x == 0)
        {
            for (int i = 0; i < KEY_SLOTS; i++) prepare(loaded + i * 8, 1), prepare(used + i * 8, GROUP / LANES);
            prepare(given, 1);
            asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        }

        __syncthreads();
    }

    __device__ const half* tile(int number, int which) const
    {
        return a.qkv + (((long long)blockIdx.z * a.tiles + number) * 3 * HEADS + which * HEADS + blockIdx.y) * (TILE / 2);
    }

    __device__ void load(int number)
    {
        const int slot = number % KEY_SLOTS;
        expect(loaded + slot * 8, 2 * TILE);
        copy(slots + slot * 2 * TILE, tile(number, 1), TILE, loaded + slot * 8);
        copy(slots + slot * 2 * TILE + TILE, tile(number, 2), TILE, loaded + slot * 8);
    }

    __device__ void begin()
    {
        if (!loads) return;
        wait_for_previous();
        if (group == 0)
        {
            expect(given, TILE);
            copy(queries, tile(blockIdx.x, 0), TILE, given);
        }

        for (int j = group; j < steps && j < KEY_SLOTS; j += SHARES) load(j);
    }

    __device__ void run()
    {
        begin();
        const int live = a.live[blockIdx.z];
        float sums[32] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
        wait(given, 0);
        for (int j = group; j < steps; j += SHARES)
        {
            const u32 keys = slots + j % KEY_SLOTS * 2 * TILE, values = keys + TILE;
            float scores[32];
            wait(loaded + j % KEY_SLOTS * 8, j / KEY_SLOTS);
            begin_products(scores);
#pragma unroll
            for (int k = 0; k < 4; k++) multiply(scores, matrix(queries + k * 32), matrix(keys + k * 32), k);
            end_of_products();
            wait_for_products<0>();
            settle(scores);
            settle(sums);
            if (j != group)
            {
                const int before = j - SHARES, next = before + KEY_SLOTS;
                if (lane == 0) arrive(used + before % KEY_SLOTS * 8);
                if (loads && next < steps)
                {
                    wait(used + before % KEY_SLOTS * 8, before / KEY_SLOTS);
                    load(next);
                }

                __syncwarp();
            }

            if (j * KEYS + KEYS > live)
#pragma unroll
                for (int i = 0; i < 32; i++)
                    if (j * KEYS + i / 4 * 8 + lane % 4 * 2 + i % 2 >= live) scores[i] = -INFINITY;

#pragma unroll
            for (int r = 0; r < 2; r++)                  // the rows lane / 4 and lane / 4 + 8 of the warp's queries
            {
                float larger[2] = {top[r], scores[2 * r]}, more[2] = {};
#pragma unroll
                for (int i = 2 * r; i < 32; i += 4)
#pragma unroll
                    for (int k = 0; k < 2; k++) larger[k] = fmaxf(larger[k], scores[i + k]);
                larger[0] = fmaxf(larger[0], larger[1]);
                larger[0] = fmaxf(larger[0], __shfl_xor_sync(~0u, larger[0], 1));
                larger[0] = fmaxf(larger[0], __shfl_xor_sync(~0u, larger[0], 2));
                const float factor = exp2f((top[r] - larger[0]) * SCALE), less = larger[0] * SCALE;
                top[r] = larger[0];
#pragma unroll
                for (int i = 2 * r; i < 32; i += 4)
#pragma unroll
                    for (int k = 0; k < 2; k++)
                    {
                        scores[i + k] = exp2f(scores[i + k] * SCALE - less);
                        more[k] += scores[i + k];
                        sums[i + k] *= factor;
                    }

                total[r] = total[r] * factor + more[0] + more[1];
            }

            u32 left[4][4];
#pragma unroll
            for (int i = 0; i < 16; i++) left[i / 4][i % 4] = narrow(scores[2 * i], scores[2 * i + 1]);
            begin_products(sums);
#pragma unroll
            for (int k = 0; k < 4; k++) multiply_rows(sums, left[k], values + k * 16 * 128);
            end_of_products();
        }

        let_next_begin();
        wait_for_products<0>();
        settle(sums);
#pragma unroll
        for (int r = 0; r < 2; r++)
        {
            total[r] += __shfl_xor_sync(~0u, total[r], 1);
            total[r] += __shfl_xor_sync(~0u, total[r], 2);
        }

        hand_over(sums, top, total);
        if (group == 1) return;
        const int row = threadIdx.x % GROUP / LANES * 16 + lane / 4;
#pragma unroll
        for (int i = 0; i < 32; i += 2)
        {
            const int r = i / 2 % 2;
            asm volatile("st.shared.b32 [%0], %1;" :: "r"(piece(queries, row + r * 8, i / 4) + lane % 4 * 4), "r"(narrow(sums[i] / total[r], sums[i + 1] / total[r])) : "memory");
        }

        show();
        barrier(2, GROUP);
        if (threadIdx.x == 0)
        {
            write_back(a.y + (((long long)blockIdx.z * a.tiles + blockIdx.x) * HEADS + blockIdx.y) * (TILE / 2), queries, TILE);
            end_of_writes();
            wait_written();
        }
    }

    // The second group's part goes to the first.
    __device__ void hand_over(float (&sums)[32], float (&top)[2], float (&total)[2])
    {
        float* const other = handed + threadIdx.x % GROUP;
        if (group == 1)
        {
#pragma unroll
            for (int i = 0; i < 32; i++) other[i * GROUP] = sums[i];
#pragma unroll
            for (int r = 0; r < 2; r++) other[(32 + r) * GROUP] = top[r], other[(34 + r) * GROUP] = total[r];
        }

        barrier(1, 2 * GROUP);
        if (group == 1) return;
#pragma unroll
        for (int r = 0; r < 2; r++)
        {
            const float there = other[(32 + r) * GROUP], larger = fmaxf(top[r], there);
            const float ours = exp2f((top[r] - larger) * SCALE), theirs = exp2f((there - larger) * SCALE);
            total[r] = total[r] * ours + other[(34 + r) * GROUP] * theirs;
#pragma unroll
            for (int i = 0; i < 32; i++)
                if (i / 2 % 2 == r) sums[i] = sums[i] * ours + other[i * GROUP] * theirs;
        }
    }
};

extern "C" __global__ void __launch_bounds__(SHARES * GROUP, 2) attend(const __grid_constant__ AttentionArguments a)
{
    const int steps = (a.live[blockIdx.z] + KEYS - 1) / KEYS;
    if (blockIdx.x < steps) Attention(a, steps).run();
}
