// T3's step as one kernel: attention, of a block to its part of one row's head, and its way out. The eight blocks of a head first
// join their parts among themselves, each some of the head's numbers: all blocks need them then, and to read eight times as many
// would take longer than this stage more.
#pragma once
#include "t3_products.cuh"

struct Attention : Multiplier
{
    const Place& place;
    KeyTiles keys, oldest_keys;

    __device__ __forceinline__ Attention(const StepArguments& a, Shared& shared, const Place& place, Tiles tiles, KeyTiles keys, int block)
        : Multiplier(a, shared, tiles, block), place(place), keys(keys), oldest_keys(keys)
    {
        constexpr int HALF = HEAD_DIM / 2;
        if (!GPT2 && thread < HEAD_DIM) shared.rotation[thread / HALF][thread % HALF] = (thread < HALF ? a.cosines : a.sines)[place.position * HALF + thread % HALF];
    }

    using Multiplier::take;
    using Multiplier::add;

    // One vector of a query or key, turned to its position.
    __device__ __forceinline__ void rotate(const uint4 (&words)[2], const uint4 (&others)[2], float (&x)[VECTOR])
    {
        untag(words, x);
        if (GPT2) return;
        float other[VECTOR], cosine[VECTOR], sine[VECTOR];
        untag(others, other);
        load(shared.rotation[0] + lane % (KEY_LANES / 2) * VECTOR, cosine);
        load(shared.rotation[1] + lane % (KEY_LANES / 2) * VECTOR, sine);
        ::rotate(x, other, cosine, sine);
    }

    __device__ __forceinline__ static void untag(const uint4 (&words)[2], float (&x)[VECTOR])
    {
#pragma unroll
        for (int i = 0; i < 2; i++)
        {
            x[4 * i] = untagged(words[i].x); x[4 * i + 1] = untagged(words[i].y);
            x[4 * i + 2] = untagged(words[i].z); x[4 * i + 3] = untagged(words[i].w);
        }
    }

    __device__ __forceinline__ void attend(int layer, Tag now)
    {
        float* sums = next_sums();
        const int piece = lane % KEY_LANES, other = piece ^ KEY_LANES / 2;
        const bool newest = place.split == 0 && warp == 0;          // takes the new key and value
        const u32* qkv = a.qkv + place.row * 3 * HIDDEN + place.head * HEAD_DIM;
        KeysAndValues older;
        if (place.begin < place.end) take(older, place.end - place.begin);
        uint4 words[10];                                 // a query, its other half, a key, its other half, a value: two each
        constexpr u32 QUERY = GPT2 ? 0x3 : 0xf, KEY_AND_VALUE = GPT2 ? 0x330 : 0x3f0;
        wait_for(words, now, newest ? QUERY | KEY_AND_VALUE : QUERY, [&](int i)
        {
            return qkv + i / 4 * HIDDEN + (i / 2 % 2 == 1 ? other : piece) * VECTOR + i % 2 * 4;
        });
        float query[VECTOR];
        rotate({words[0], words[1]}, {words[2], words[3]}, query);
        scale_query(query);

        Weighted w;
        if (newest)
        {
            float x[VECTOR];
            rotate({words[4], words[5]}, {words[6], words[7]}, x);
            const uint4 key = pack(x);
            untag({words[8], words[9]}, x);
            const uint4 value = pack(x);
            const float score = dot(query, key);
            if (lane < KEY_LANES)
            {
                bf16* const page = place.pages[place.position / PAGE] + piece * VECTOR;
                *(uint4*)(page + in_page(layer, 0, place.position, place.head)) = key;
                *(uint4*)(page + in_page(layer, 1, place.position, place.head)) = value;
                w.m = score;
                w.l = 1;
                unpack(value, w.values);
            }
        }

#pragma unroll 1
        for (int at = place.begin; at < place.end; at += KEYS)
        {
            ::attend(older, query, place.end - at, w);
            give_back(oldest_keys, 1);
            if (at + KEYS < place.end) take(older, place.end - at - KEYS);
        }

        leave(w, sums + warp * WARP_PART);
        meet();
        if (thread >= HEAD_DIM) return;
        float top, l, value;
        join_warps(sums, thread, top, l, value);
        u32* part = a.parts + (place.head * ROWS * SPLITS + place.part) * PART;
        tell(part + thread, value, now);
        if (thread < 4) tell(part + HEAD_DIM + thread, thread % 2 == 0 ? top : l, now);
        if (warp == 0) join(now);
    }

    __device__ __forceinline__ void take(KeysAndValues& older, int count)
    {
        wait(keys.full(), keys.phase);
        const unsigned char* tile = keys.tile() + first_key() * KEY_BYTES + lane % KEY_LANES * sizeof(uint4);
#pragma unroll
        for (int u = 0; u < TURNS; u++)
        {
            older.key[u] = older.value[u] = make_uint4(0, 0, 0, 0);
            if (first_key() + u * KEYS_AT_ONCE >= count) continue;
            older.key[u] = *(const uint4*)(tile + u * KEYS_AT_ONCE * KEY_BYTES);
            older.value[u] = *(const uint4*)(tile + (KEYS + u * KEYS_AT_ONCE) * KEY_BYTES);
        }

        keys.next();
    }

    // This block's numbers of the head, of what all blocks of the row's splits have.
    __device__ __forceinline__ void join(Tag now)
    {
        constexpr int VECTORS = HEAD_DIM / SPLITS / 4;   // of 4 numbers; each lane reads one of one split
        const int split = lane / VECTORS % SPLITS, vector = place.split * VECTORS + lane % VECTORS;
        const u32* parts = a.parts + ((place.head * ROWS + place.row) * SPLITS + split) * PART;
        uint4 words[2];
        wait_for(words, now, 3, [&](int i) { return parts + (i == 0 ? vector * 4 : HEAD_DIM); });
        const float m = untagged(words[1].x), top = over_splits(m, [](float x, float y) { return fmaxf(x, y); }), f = exp2f(m - top);
        auto total = [&](u32 word) { return over_splits(__fmul_rn(f, untagged(word)), [](float x, float y) { return __fadd_rn(x, y); }); };
        const float l = total(words[1].y);
        const float x[4] = {total(words[0].x) / l, total(words[0].y) / l, total(words[0].z) / l, total(words[0].w) / l};
        if (lane < VECTORS)
            tell(a.joined + place.row * HIDDEN + place.head * HEAD_DIM + vector * 4, make_uint4(halves(x[0]), halves(x[1]), halves(x[2]), halves(x[3])), now);
    }

    template <class Combine>
    __device__ __forceinline__ static float over_splits(float x, Combine combine)
    {
        constexpr int VECTORS = HEAD_DIM / SPLITS / 4;
#pragma unroll
        for (int offset = VECTORS; offset < VECTORS * SPLITS; offset <<= 1) x = combine(x, __shfl_xor_sync(~0u, x, offset));
        return x;
    }

    __device__ __forceinline__ void way_out(const Layer& w, Tag now)
    {
        float* sums = next_sums();
        const float bias = GPT2 && owns ? w.out_bias[own] : 0;
        Weights<1> weights;
        take(weights);
        uint4 words[ROWS];
        wait_for(words, now, lane * 4 < SHARE ? (1u << ROWS) - 1 : 0, [&](int r) { return a.joined + r * HIDDEN + warp * SHARE + lane * 4; });
        float d[WIDER][4] = {};
        multiply(words, weights.w[0], d);
        note(d, sums);
        meet();
        add(sums, bias, a.attended, now);
        give_back(oldest_tile, 1);
    }
};
