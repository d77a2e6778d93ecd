// The next speech token of a sequence: from the logits of a step to the embedding that the next step begins with.
//
// Sizes: ROWS, HIDDEN, HEADS, VOCABULARY; GPT2 (0: Llama), PENALTY_FIRST, START_PENALISED (0 or 1).

#include "t3.cuh"

constexpr int SAMPLE_THREADS = 1024, CHOICES = (VOCABULARY + SAMPLE_THREADS - 1) / SAMPLE_THREADS, DIGITS = 2048;

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
