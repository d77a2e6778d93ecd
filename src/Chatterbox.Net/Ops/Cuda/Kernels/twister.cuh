// The Mersenne Twister of torch's generator on the CPU: 624 words, from which as many new ones are made at a time.
//
// From the host: WORDS of the generator.
#pragma once
#include "common.cuh"

constexpr int SHIFT = 397, STRIDE = WORDS - SHIFT;    // 227: what is made of a word is needed as many words later
constexpr int STATE = WORDS + 1;                                   // words, and how many of them are used up

__device__ inline u32 twist(u32 high, u32 low, u32 far)
{
    const u32 mixed = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ mixed >> 1 ^ ((low & 1) ? 0x9908b0dfu : 0);
}

// The next words, three of each of the first 227 threads: t, t + 227 and t + 454, each made from the one before; of what other
// threads make it reads the old words only, so that one barrier afterwards is enough.
__device__ inline void twist_all(const u32* old, u32* fresh)
{
    const int t = threadIdx.x, third = t + 2 * STRIDE;
    if (t >= STRIDE) return;
    const u32 x = old[t], y = old[t + 1], z = old[t + SHIFT], v = old[t + STRIDE], w = old[t + STRIDE + 1];
    const u32 r = old[min(third, WORDS - 1)], s = old[third < WORDS - 1 ? third + 1 : 0];
    const u32 again = twist(s, old[1], old[SHIFT]);      // the first word, which the last one is made of
    const u32 first = twist(x, y, z), second = twist(v, w, first);
    fresh[t] = first;
    fresh[t + STRIDE] = second;
    if (third < WORDS) fresh[third] = twist(r, third < WORDS - 1 ? s : again, second);
}

__device__ inline u32 temper(u32 y)
{
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}
