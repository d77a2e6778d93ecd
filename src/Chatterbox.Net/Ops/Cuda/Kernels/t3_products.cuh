// T3's step as one kernel: the products of the warps that multiply, each its columns of every tile, and the norms in front of them.
#pragma once
#include "t3_step.cuh"

// x as the first operand of a product: chunk, half of it, register. Its first eight rows are the high halves, the others the low.
typedef u32 Operand[CHUNKS][2][4];

// Everything in it, and in those made of it, is inlined, so that it lives in registers.
struct Multiplier
{
    const StepArguments& a;
    Shared& shared;
    Tiles tiles, oldest_tile;
    const int block, thread = threadIdx.x, warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    // The sum that the layers add to: of the first threads, a number each.
    const bool owns = threadIdx.x < OUTPUTS * ROWS;
    const int own_row = threadIdx.x / OUTPUTS, own;
    float residual = 0;
    int turn = 0;

    __device__ __forceinline__ Multiplier(const StepArguments& a, Shared& shared, Tiles tiles, int block)
        : a(a), shared(shared), tiles(tiles), oldest_tile(tiles), block(block), own(block * OUTPUTS + threadIdx.x % OUTPUTS)
    {
        if (owns) residual = __uint_as_float(look_at((const u32*)a.x + own_row * HIDDEN + own));
    }

    // Sums of a stage, of each warp: [WARPS][ROWS][outputs + 2], the last two for statistics.
    __device__ __forceinline__ float* next_sums() { return shared.sums[turn ^= 1]; }

    __device__ __forceinline__ void meet() { asm volatile("bar.sync 1, %0;" :: "n"(WARPS * LANES) : "memory"); }

    __device__ __forceinline__ float sum(const float* sums, int row, int output, int outputs)
    {
        float x = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) x += sums[(w * ROWS + row) * (outputs + 2) + output];
        return x;
    }

    // ---- operands

    __device__ __forceinline__ void put(int row, uint2 highs, uint2 lows)   // 4 columns
    {
        if (lane * 4 >= SHARE) return;
        unsigned char* p = shared.operands[warp] + row * SHARE * sizeof(bf16) + lane * sizeof(uint2);
        *(uint2*)p = highs;
        *(uint2*)(p + PLANE) = lows;
    }

    __device__ __forceinline__ void get(Operand& x)
    {
        const unsigned char* p = shared.operands[warp] + lane / 4 * SHARE * sizeof(bf16) + lane % 4 * sizeof(uint4);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
        {
            uint4 highs = make_uint4(0, 0, 0, 0), lows = highs;
            if (lane / 4 < ROWS)
            {
                highs = *(const uint4*)(p + c * CHUNK * sizeof(bf16));
                lows = *(const uint4*)(p + PLANE + c * CHUNK * sizeof(bf16));
            }

            x[c][0][0] = highs.x; x[c][0][1] = lows.x; x[c][0][2] = highs.y; x[c][0][3] = lows.y;
            x[c][1][0] = highs.z; x[c][1][1] = lows.z; x[c][1][2] = highs.w; x[c][1][3] = lows.w;
        }
    }

    // The operand is g∘x; t3.cuh says how a norm comes of it. Statistics are of this thread's columns.
    struct Statistics
    {
        float squares[ROWS], total[ROWS];
    };

    __device__ __forceinline__ Statistics read_normed(const u32* x, Tag tag, const Norm& norm, Operand& operand)
    {
        const int at = warp * SHARE + lane * 4;
        const bool mine = lane * 4 < SHARE;
        const float4 gain = mine ? *(const float4*)(norm.gain + at) : make_float4(0, 0, 0, 0);
        uint4 v[ROWS];
        wait_for(v, tag, mine ? (1u << ROWS) - 1 : 0, [&](int r) { return x + r * HIDDEN + at; });
        Statistics statistics;
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            const float x0 = untagged(v[r].x), x1 = untagged(v[r].y), x2 = untagged(v[r].z), x3 = untagged(v[r].w);
            statistics.squares[r] = squares_of(x0, x1, x2, x3);
            statistics.total[r] = x0 + x1 + x2 + x3;
            uint2 highs, lows;
            halve(__fmul_rn(x0, gain.x), __fmul_rn(x1, gain.y), highs.x, lows.x);
            halve(__fmul_rn(x2, gain.z), __fmul_rn(x3, gain.w), highs.y, lows.y);
            put(r, highs, lows);
        }

        __syncwarp();
        get(operand);
        return statistics;
    }

    __device__ __forceinline__ void note(const Statistics& statistics, float* sums, int outputs)
    {
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            const float squares = warp_sum(statistics.squares[r]), total = GPT2 ? warp_sum(statistics.total[r]) : 0;
            if (lane == r) *(float2*)(sums + (warp * ROWS + r) * (outputs + 2) + outputs) = make_float2(squares, total);
        }
    }

    // The factor and the shift of a thread's output, loaded before they are needed.
    struct Scale
    {
        float factor = 0, shift = 0;

        __device__ __forceinline__ Scale(const Norm& norm, int output, bool wanted)
        {
            if (!GPT2 || !wanted) return;
            factor = norm.mean_factor[output];
            shift = norm.shift[output];
        }
    };

    __device__ __forceinline__ float normed(const float* sums, int row, int output, int outputs, Scale scale, float eps)
    {
        const float square = mean_of(sum(sums, row, outputs, outputs)), mean = GPT2 ? mean_of(sum(sums, row, outputs + 1, outputs)) : 0;
        return ::normed(sum(sums, row, output, outputs), deviation_of(square, mean, eps), mean, scale.factor, scale.shift);
    }

    // ---- products

    // This thread's part of N tiles, taken out of the ring before it is known what they are multiplied with.
    template <int N>
    struct Weights
    {
        uint4 w[N][CHUNKS];
    };

    template <int N>
    __device__ __forceinline__ void take(Weights<N>& weights, int there = N)
    {
#pragma unroll
        for (int i = 0; i < N; i++)
        {
            if (i >= there) return;
            wait(tiles.full(), tiles.phase);
            const unsigned char* p = tiles.tile() + lane / 4 * PITCH + (warp * SHARE + lane % 4 * VECTOR) * sizeof(bf16);
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) weights.w[i][c] = *(const uint4*)(p + c * CHUNK * sizeof(bf16));
            tiles.next();
        }
    }

    // The slots of the oldest tiles taken are free. To be called behind what was computed from them: until then it is not said
    // that they have been read. And best behind what is told of it, since the weights that come then are in the way of that.
    template <class Ring>
    __device__ __forceinline__ void give_back(Ring& oldest, int count)
    {
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");    // reads before copies
        __syncwarp();
        for (int i = 0; i < count; i++)
        {
            if (lane == 0) arrive(oldest.empty());
            oldest.next();
        }
    }

    template <int N>
    __device__ __forceinline__ static void multiply(const Operand& x, const Weights<N>& weights, float (&d)[N][4])
    {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
#pragma unroll
            for (int i = 0; i < N; i++)
            {
                multiply_add(d[i], x[c][0], weights.w[i][c].x, weights.w[i][c].y);
                multiply_add(d[i], x[c][1], weights.w[i][c].z, weights.w[i][c].w);
            }
    }

    // d += x · tile, of ROWS rows of x in halves; in sums that do not wait for each other.
    __device__ __forceinline__ void multiply(const uint4* x, const uint4 (&tile)[CHUNKS], float (&d)[WIDER][4])
    {
        __syncwarp();
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            uint2 highs, lows;
            unhalve(x[r].x, x[r].y, highs.x, lows.x);
            unhalve(x[r].z, x[r].w, highs.y, lows.y);
            put(r, highs, lows);
        }

        __syncwarp();
        Operand operand;
        get(operand);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
        {
            multiply_add(d[c % WIDER], operand[c][0], tile[c].x, tile[c].y);
            multiply_add(d[c % WIDER], operand[c][1], tile[c].z, tile[c].w);
        }
    }

    __device__ __forceinline__ void note(const float (&d)[WIDER][4], float* sums)
    {
        float all[1][4];
#pragma unroll
        for (int i = 0; i < 4; i++) all[0][i] = d[0][i] + d[1][i] + (d[2][i] + d[3][i]);
        note(all, sums, 0, OUTPUTS);
    }

    template <int N>
    __device__ __forceinline__ void note(const float (&d)[N][4], float* sums, int first, int outputs)
    {
        if (lane / 4 >= ROWS) return;
        float* s = sums + (warp * ROWS + lane / 4) * (outputs + 2) + first + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < N; i++) *(float2*)(s + i * OUTPUTS) = make_float2(d[i][0] + d[i][2], d[i][1] + d[i][3]);
    }

    // ---- the sum that the layers add to

    __device__ __forceinline__ void add(const float* sums, float bias, u32* x, Tag now)
    {
        if (!owns) return;
        residual += sum(sums, own_row, thread % OUTPUTS, OUTPUTS) + bias;
        tell(x + own_row * HIDDEN + own, residual, now);
    }
};
