// The next speech token of each sequence of a step: from the logits to the embedding that the next step begins with. A block a
// sequence, so that its choice does not depend on the others.
//
// From the host, beside what t3_batch.cuh takes: the sizes HIDDEN, HEADS and VOCABULARY; RING of a sequence's tokens; GPT2 (0: Llama),
// PENALTY_FIRST, START_PENALISED (0 or 1); SAMPLE_THREADS; INVALID, the token where a logit is not finite.

#include "t3_batch.cuh"

constexpr int CHOICES = (VOCABULARY + SAMPLE_THREADS - 1) / SAMPLE_THREADS, DIGITS = 2048;

struct SampleArguments
{
    const Batch* batch;
    const Settings* settings;   // [sequences]
    const float* logits;        // [rows of the step, VOCABULARY]; of a guided sequence, the second row is without the text
    int* drawn;                 // tokens so far, [sequences]
    int* positions;             // of the last token in the cache, [rows of the cache]
    u8* spoken;                 // [sequences, VOCABULARY]
    const float* noise;         // [sequences, RING, VOCABULARY], exponentially distributed
    int* tokens;                // [sequences, RING]; in the host's memory
    const bf16* embeddings;     // [VOCABULARY, HIDDEN]
    const bf16* places;         // [positions, HIDDEN]: of speech (Llama), of everything (GPT-2)
    float* x;                   // for the next step, [rows of the cache, HIDDEN]
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

struct Selection                // what the threads share to make it
{
    __align__(8) u32 histogram[DIGITS];
    u32 totals[SAMPLE_THREADS / LANES], found, limit;
};

// The smallest key such that the keys up to it, in ascending order, together weigh more than the limit, or one beyond all: found
// digit by digit with histograms. Weights are whole numbers, so that their sum does not depend on the order of adding.
__device__ u32 select(const u32 (&keys)[CHOICES], const u32 (&weights)[CHOICES], u32 limit, Selection& shared)
{
    static_assert(DIGITS == 2 * SAMPLE_THREADS, "two digits a thread");
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    uint2* const own = (uint2*)shared.histogram + threadIdx.x;
    u32 prefix = 0;
#pragma unroll
    for (int digit = 0; digit < 3; digit++)              // of 11, 11 and 10 bits
    {
        const int shift = digit == 0 ? 21 : digit == 1 ? 10 : 0, above = digit == 0 ? 31 : digit == 1 ? 21 : 10;
        *own = make_uint2(0, 0);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < CHOICES; i++)
            if (weights[i] > 0 && (digit == 0 || keys[i] >> above == prefix >> above))
                atomicAdd(&shared.histogram[keys[i] >> shift & (DIGITS - 1)], weights[i]);
        __syncthreads();
        const uint2 mine = *own;
        u32 upTo = mine.x + mine.y;
#pragma unroll
        for (int offset = 1; offset < LANES; offset <<= 1)
        {
            u32 left = __shfl_up_sync(~0u, upTo, offset);
            if (lane >= offset) upTo += left;
        }

        if (lane == LANES - 1) shared.totals[warp] = upTo;
        __syncthreads();
        u32 before = lane < warp ? shared.totals[lane] : 0;     // of the warps in front
#pragma unroll
        for (int offset = 16; offset > 0; offset >>= 1) before += __shfl_xor_sync(~0u, before, offset);
        upTo += before;
        before = upTo - mine.x - mine.y;
        if (before <= limit && (limit < upTo || threadIdx.x == SAMPLE_THREADS - 1))     // true of one thread
        {
            const bool second = before + mine.x <= limit;
            shared.found = prefix | (2 * threadIdx.x + second) << shift;
            shared.limit = limit - before - (second ? mine.x : 0);
        }

        __syncthreads();
        prefix = shared.found;
        limit = shared.limit;
    }

    return prefix;
}

extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS) sample(const __grid_constant__ SampleArguments a)
{
    __shared__ float shared[LANES];
    __shared__ Selection selection;
    __shared__ int indices[LANES];
    let_next_begin();
    if (blockIdx.x >= a.batch->sequences) return;
    const int first = a.batch->first[blockIdx.x], sequence = sequence_of(*a.batch, first);
    const Settings s = a.settings[sequence];             // like the state from before this step
    const int drawn = a.drawn[sequence], entry = sequence * RING + drawn % RING;
    u8* const all_spoken = a.spoken + (size_t)sequence * VOCABULARY;
    const float* const logits = a.logits + (size_t)first * VOCABULARY;
    float scores[CHOICES], noise[CHOICES];
    bool spoken[CHOICES];
#pragma unroll
    for (int i = 0; i < CHOICES; i++)
    {
        const int id = i * SAMPLE_THREADS + threadIdx.x;
        noise[i] = id < VOCABULARY && !s.greedy ? a.noise[(size_t)entry * VOCABULARY + id] : 1;
        spoken[i] = id < VOCABULARY && all_spoken[id];
    }

    wait_for_previous();
    bool finite = true;
#pragma unroll
    for (int i = 0; i < CHOICES; i++)
    {
        const int id = i * SAMPLE_THREADS + threadIdx.x;
        const bool there = id < VOCABULARY;
        float x = there ? logits[id] : -INFINITY;
        if (ROWS == 2 && s.guided && there) x = x + (x - logits[VOCABULARY + id]) * s.guidance;
        finite &= !there || fabsf(x) < INFINITY;
        scores[i] = x;
    }

    finite = __syncthreads_and(finite);

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

            const u32 least = select(keys, weights, VOCABULARY - s.top_k, selection);
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

            const u32 least = select(keys, weights, (u32)((1 - s.top_p) * 1073741824.0f), selection);
#pragma unroll
            for (int i = 0; i < CHOICES; i++)
                if (keys[i] < least && scores[i] < top) scores[i] = -INFINITY;   // the likeliest stays
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
    if (!finite) token = 0;                              // the steps that are under way need one

    const int position = a.positions[sequence * ROWS] + 1;
    const bf16* place = a.places + (size_t)(GPT2 ? position : drawn + 1) * HIDDEN;
    for (int i = threadIdx.x; i < HIDDEN; i += SAMPLE_THREADS)
    {
        const float x = widen(a.embeddings[(size_t)token * HIDDEN + i]) + widen(place[i]);
#pragma unroll
        for (int r = 0; r < ROWS; r++) a.x[(size_t)(sequence * ROWS + r) * HIDDEN + i] = x;
    }

    __syncthreads();
    if (threadIdx.x == 0)
    {
        if (!START_PENALISED && drawn == 0) all_spoken[s.start_token] = 0;
        all_spoken[token] = 1;
        a.drawn[sequence] = drawn + 1;
#pragma unroll
        for (int r = 0; r < ROWS; r++) a.positions[sequence * ROWS + r] = position;
        a.tokens[entry] = finite ? token : INVALID;
        __threadfence_system();
    }
}
