// The random numbers of torch's CPU generator, made on the GPU: a Mersenne Twister and what torch makes of its words.

#include "common.cuh"

constexpr int WORDS = 624, SHIFT = 397, STRIDE = WORDS - SHIFT;    // 227: what is made of a word is needed as many words later

// ---- the generator: one block, since every word depends on words before it -----------------------------------------

struct TwistArguments
{
    u32* state;                 // [WORDS + 1]: the words, and how many of them are used up
    u32* words;                 // [count], to be filled, not tempered; or null, where they are only gone past
    int count;
};

__device__ inline u32 twist(u32 high, u32 low, u32 far)
{
    const u32 mixed = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ mixed >> 1 ^ ((low & 1) ? 0x9908b0dfu : 0);
}

// A thread makes the words t, t + 227 and t + 454 of a round, each from the one before; of the last round's words it reads
// what other threads made, so that one barrier a round is enough. It reads them before it writes any: nothing but the
// barrier and one trip to shared memory is waited for.
extern "C" __global__ void __launch_bounds__(256) draw(const __grid_constant__ TwistArguments a)
{
    __shared__ u32 rounds[2][WORDS + 1];
    const int t = threadIdx.x, third = t + 2 * STRIDE;
    for (int i = t; i < WORDS; i += 256) rounds[0][i] = a.state[i];
    __syncthreads();
    int used = a.state[WORDS], now = 0;
    int made = min(WORDS - used, a.count);
    if (a.words)
        for (int i = t; i < made; i += 256) a.words[i] = rounds[0][used + i];
    used += made;
    while (made < a.count)
    {
        const u32* const old = rounds[now];
        u32* const fresh = rounds[1 - now];
        const int count = min(WORDS, a.count - made);
        if (t < STRIDE)
        {
            const u32 x = old[t], y = old[t + 1], z = old[t + SHIFT], v = old[t + STRIDE], w = old[t + STRIDE + 1];
            const u32 r = old[min(third, WORDS - 1)], s = old[third < WORDS - 1 ? third + 1 : 0];
            const u32 again = twist(s, old[1], old[SHIFT]);          // the round's first word, which its last one is made of
            const u32 words[3] = {twist(x, y, z), twist(v, w, twist(x, y, z)), twist(r, third < WORDS - 1 ? s : again, twist(v, w, twist(x, y, z)))};
#pragma unroll
            for (int i = 0; i < 3; i++)
            {
                const int place = t + i * STRIDE;
                if (place < WORDS) fresh[place] = words[i];
                if (a.words && place < count) a.words[made + place] = words[i];
            }
        }

        __syncthreads();
        now = 1 - now;
        made += count;
        used = count;
    }

    for (int i = t; i < WORDS; i += 256) a.state[i] = rounds[now][i];
    if (t == 0) a.state[WORDS] = used;
}

// ---- what torch makes of the words ---------------------------------------------------------------------------------

__device__ inline u32 temper(u32 y)
{
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

struct NumbersArguments
{
    const u32* words;
    float* numbers;             // [count]
    int count;
    float low, range;           // of uniform numbers
};

__device__ inline float unit(u32 word) { return (temper(word) & 0xffffffu) * (1.0f / 16777216); }

extern "C" __global__ void __launch_bounds__(256) uniform(const __grid_constant__ NumbersArguments a)
{
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < a.count) a.numbers[i] = __fadd_rn(__fmul_rn(unit(a.words[i]), a.range), a.low);
}

// Normal numbers come in groups of sixteen, eight pairs of uniform ones each. Where the last group is not full, torch
// draws sixteen more words and makes the last sixteen numbers anew.
extern "C" __global__ void __launch_bounds__(256) normal(const __grid_constant__ NumbersArguments a)
{
    const int pair = blockIdx.x * 256 + threadIdx.x, rest = a.count % 16, group = pair / 8, groups = (a.count + 15) / 16;
    if (group >= groups) return;
    const bool again = rest != 0 && group == groups - 1;
    const u32* const words = a.words + (again ? a.count : group * 16) + pair % 8;
    const int place = (again ? a.count - 16 : group * 16) + pair % 8, end = again || rest == 0 ? a.count : a.count - 16;
    const float radius = sqrtf(-2 * log1pf(-unit(words[0])));
    float sine, cosine;
    sincospif(2 * unit(words[8]), &sine, &cosine);
    if (place < end) a.numbers[place] = radius * cosine;
    if (place + 8 < end) a.numbers[place + 8] = radius * sine;
}
