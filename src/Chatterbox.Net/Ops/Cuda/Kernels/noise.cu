// The random numbers of torch's CPU generator, made on the GPU: a Mersenne Twister and what torch makes of its words.
//
// From the host, beside what twister.cuh takes: THREADS of a block; GROUP, in which normal numbers come.

#include "twister.cuh"

static_assert(STRIDE <= THREADS && GROUP == 16, "a thread makes three words of a round; eight pairs make a group");

// ---- the generator: one block, since every word depends on words before it -----------------------------------------

struct TwistArguments
{
    u32* state;                 // [WORDS + 1]: the words, and how many of them are used up
    u32* words;                 // [count], to be filled, not tempered; or null, where they are only gone past
    int count;
};

extern "C" __global__ void __launch_bounds__(THREADS) draw(const __grid_constant__ TwistArguments a)
{
    __shared__ u32 rounds[2][WORDS + 1];
    const int t = threadIdx.x;
    for (int i = t; i < WORDS; i += THREADS) rounds[0][i] = a.state[i];
    __syncthreads();
    int used = a.state[WORDS], now = 0;
    int made = min(WORDS - used, a.count);
    if (a.words)
        for (int i = t; i < made; i += THREADS) a.words[i] = rounds[0][used + i];
    used += made;
    while (made < a.count)
    {
        const u32* const old = rounds[now];
        u32* const fresh = rounds[1 - now];
        const int count = min(WORDS, a.count - made);
        twist_all(old, fresh);
        if (a.words && t < STRIDE)
#pragma unroll
            for (int place = t; place < WORDS; place += STRIDE)
                if (place < count) a.words[made + place] = fresh[place];
        __syncthreads();
        now = 1 - now;
        made += count;
        used = count;
    }

    for (int i = t; i < WORDS; i += THREADS) a.state[i] = rounds[now][i];
    if (t == 0) a.state[WORDS] = used;
}

// ---- what torch makes of the words ---------------------------------------------------------------------------------

struct NumbersArguments
{
    const u32* words;
    float* numbers;             // [count]
    int count;
    float low, range;           // of uniform numbers
};

__device__ inline float unit(u32 word) { return (temper(word) & 0xffffffu) * (1.0f / 16777216); }

extern "C" __global__ void __launch_bounds__(THREADS) uniform(const __grid_constant__ NumbersArguments a)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < a.count) a.numbers[i] = __fadd_rn(__fmul_rn(unit(a.words[i]), a.range), a.low);
}

// Normal numbers come in groups of sixteen, eight pairs of uniform ones each. Where the last group is not full, torch
// draws sixteen more words and makes the last sixteen numbers anew.
extern "C" __global__ void __launch_bounds__(THREADS) normal(const __grid_constant__ NumbersArguments a)
{
    const int pair = blockIdx.x * THREADS + threadIdx.x, rest = a.count % GROUP, group = pair / 8, groups = (a.count + GROUP - 1) / GROUP;
    if (group >= groups) return;
    const bool again = rest != 0 && group == groups - 1;
    const u32* const words = a.words + (again ? a.count : group * GROUP) + pair % 8;
    const int place = (again ? a.count - GROUP : group * GROUP) + pair % 8, end = again || rest == 0 ? a.count : a.count - GROUP;
    const float radius = sqrtf(-2 * log1pf(-unit(words[0])));
    float sine, cosine;
    sincospif(2 * unit(words[8]), &sine, &cosine);
    if (place < end) a.numbers[place] = radius * cosine;
    if (place + 8 < end) a.numbers[place + 8] = radius * sine;
}
