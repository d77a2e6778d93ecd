// How the blocks of one kernel give each other numbers without meeting: each word carries the number of its round in its two
// lowest bits, its tag, and who needs it reads it until the tag is right.
#pragma once
#include "ring.cuh"
#include "t3_order.cuh"

struct Tag
{
    u32 mask, value;            // a mask of 0 takes everything

    __device__ bool is_on(uint4 v) const { return (((v.x ^ value) | (v.y ^ value) | (v.z ^ value) | (v.w ^ value)) & mask) == 0; }
};

__device__ inline void tell(u32* p, u32 word, Tag tag)
{
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" :: "l"(p), "r"((word & ~3u) | tag.value) : "memory");
}

__device__ inline void tell(u32* p, float x, Tag tag) { tell(p, __float_as_uint(x), tag); }

__device__ inline void tell(u32* p, uint4 words, Tag tag)
{
    asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1,%2,%3,%4};"
        :: "l"(p), "r"((words.x & ~3u) | tag.value), "r"((words.y & ~3u) | tag.value), "r"((words.z & ~3u) | tag.value), "r"((words.w & ~3u) | tag.value) : "memory");
}

// Past L1, which may still have what was there before another kernel wrote it.
__device__ inline u32 look_at(const u32* p)
{
    u32 v;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}

__device__ inline uint4 look(const u32* p)
{
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
    return v;
}

// Reads the vectors of 4 words that this thread wants, each again until it has the tag.
template <int N, class Place>
__device__ inline void wait_for(uint4 (&v)[N], Tag tag, u32 wanted, Place place)
{
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = make_uint4(0, 0, 0, 0);
    Patience patience;
    while (true)
    {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (wanted >> i & 1) v[i] = look(place(i));
#pragma unroll
        for (int i = 0; i < N; i++)
            if (tag.is_on(v[i])) wanted &= ~(1u << i);
        if (!__any_sync(~0u, wanted != 0)) break;
        patience.lose_some();
    }
}

// ---- numbers in two halves, a word each -----------------------------------------------------------------------------

__device__ inline u32 bytes_of(u32 a, u32 b, u32 which)
{
    u32 v;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(v) : "r"(a), "r"(b), "r"(which));
    return v;
}

__device__ inline void unhalve(u32 word0, u32 word1, u32& highs, u32& lows)
{
    highs = bytes_of(word0, word1, 0x7632);
    lows = bytes_of(word0, word1, 0x5410) & LOWS;
}
