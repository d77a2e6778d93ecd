// T3's step as one kernel: its sizes and arguments, what a block has in shared memory, and the warps that bring that there.
//
// From the host, beside what t3_order.cuh takes: the sizes ROWS, LAYERS and VOCABULARY; PAGES of a row of the cache; SHARED_BYTES and
// THREADS of a block; PART, the numbers that a block leaves of attention.
#pragma once
#include "t3_exchange.cuh"

constexpr int BLOCKS = HIDDEN / OUTPUTS;                 // each has a tile of every 8 · BLOCKS outputs
constexpr int PITCH = HIDDEN * 2 + 64, TILE = OUTPUTS * PITCH;            // bytes; neighbouring rows lie in other banks
constexpr int PLANE = ROWS * SHARE * 2;                  // bytes of the high, or the low, parts of a warp's operand
constexpr int SPLITS = PARTS / ROWS;               // blocks that share a row's head in attention
constexpr int UP_TILES = (GPT2 ? 1 : 2) * WIDER, UP_OUTPUTS = UP_TILES * OUTPUTS;
constexpr int HEAD_TILES = (VOCABULARY + OUTPUTS - 1) / OUTPUTS;          // of all blocks
constexpr int KEY_BYTES = HEAD_DIM * 2, KEY_TILE = 2 * KEYS * KEY_BYTES, KEY_SLOTS = 2;
constexpr int IN_FLIGHT = 2;                             // tiles that are asked for at once: more are in the way of what blocks exchange
static_assert(THREADS == (WARPS + 2) * LANES && PART == HEAD_DIM + 4, "what the host launches and reserves");
static_assert(HEADS * PARTS == BLOCKS && PARTS % ROWS == 0, "sizes that the kernel is made for");

struct Layer
{
    const bf16* qkv;            // [3 · HIDDEN, HIDDEN]
    const bf16* out;            // [HIDDEN, HIDDEN]
    const bf16* up;             // [MLP, HIDDEN]; Llama: gates, then as many more
    const bf16* down;           // [HIDDEN, MLP]
    Norm attention_norm, mlp_norm;
    const float* out_bias;      // [HIDDEN]; unused by Llama, like the next
    const float* down_bias;
};

struct StepArguments
{
    const Layer* layers;        // [LAYERS]
    const bf16* head;           // [VOCABULARY, HIDDEN]
    Norm head_norm;
    const float* cosines;       // [positions, HEAD_DIM / 2]; unused by GPT-2
    const float* sines;
    bf16* const* pages;         // of the cache, [ROWS, PAGES]
    int round;                  // counts the launches with the same buffers, which were zeros before the first
    const int* positions;       // of the new key of each row
    const float* x;             // [ROWS, HIDDEN]
    float* logits;              // [ROWS, VOCABULARY]
    // Exchanged between blocks, with tags:
    u32* attended;              // [ROWS, HIDDEN]: x behind attention
    u32* fed;                   // [ROWS, HIDDEN]: x behind the MLP
    u32* qkv;                   // [ROWS, 3, HIDDEN]
    u32* parts;                 // [HEADS, ROWS, SPLITS, PART]: attention's weighted values, then their maximum and sum, twice
    u32* joined;                // [ROWS, HIDDEN]: attention, in halves
    u32* mlp;                   // [ROWS, MLP], in halves
};

// ---- shared memory ------------------------------------------------------------------------------------------------------

constexpr int MOST_SLOTS = 16;
constexpr int OF_UP = WARPS * ROWS * (UP_OUTPUTS + 2), OF_ATTENTION = WARPS * WARP_PART, SUMS = OF_UP > OF_ATTENTION ? OF_UP : OF_ATTENTION;

struct Shared
{
    Layer layers[LAYERS];
    Slot slots[MOST_SLOTS], key_slots[KEY_SLOTS];
    __align__(16) float sums[2][SUMS];                   // taken in turns by the stages, so that one barrier a stage is enough
    __align__(16) unsigned char operands[WARPS][2 * PLANE];
    __align__(16) float rotation[2][HEAD_DIM / 2];       // cosines and sines of the new key's position
};

constexpr int KEYS_AT = (sizeof(Shared) + 127) / 128 * 128, TILES_AT = KEYS_AT + KEY_SLOTS * KEY_TILE;
constexpr int SLOTS = (SHARED_BYTES - TILES_AT) / TILE < MOST_SLOTS ? (SHARED_BYTES - TILES_AT) / TILE : MOST_SLOTS;
static_assert(SLOTS >= 5, "shared memory that the kernel needs");

typedef Ring<SLOTS, TILE> Tiles;
typedef Ring<KEY_SLOTS, KEY_TILE> KeyTiles;

// What a block does, and where its numbers are.
struct Place
{
    int head, part;             // of attention: part is a row and a split
    int row, split;
    int position, begin, end;   // of the new key; older keys of the split
    bf16* const* pages;         // of the row's cache

    __device__ Place(const StepArguments& a, int block) : head(block / PARTS), part(block % PARTS), row(part / SPLITS), split(part % SPLITS)
    {
        position = (int)look_at((const u32*)a.positions + row);
        const int share = (position + SPLITS - 1) / SPLITS;
        begin = min(position, split * share);
        end = min(position, begin + share);
        pages = a.pages + row * PAGES;
    }
};

// ---- the warps that bring ------------------------------------------------------------------------------------------------

__device__ void bring_weights(const StepArguments& a, Tiles ring, const Layer* layers, int block, int lane)
{
    const u64 policy = read_once();
    const int output = lane % OUTPUTS, own = block * OUTPUTS + output;
    Tiles behind = ring;
    behind.phase = 0;
    int asked = 0;
    auto bring = [&](const bf16* row)                    // each of OUTPUTS lanes its own
    {
        if (++asked > IN_FLIGHT)
        {
            wait(behind.full(), behind.phase);
            behind.next();
        }

        ring.expect(OUTPUTS * HIDDEN * sizeof(bf16), lane);
        if (lane < OUTPUTS) ring.bring(output * PITCH, row, HIDDEN * sizeof(bf16), policy);
        ring.next();
    };

#pragma unroll 1
    for (int l = 0; l < LAYERS; l++)
    {
        const Layer& w = layers[l];
#pragma unroll 1
        for (int i = 0; i < 3 + 1 + UP_TILES + WIDER; i++)
        {
            const int up = i - 4, down = up - UP_TILES;
            bring(i < 3 ? w.qkv + (size_t)(i * HIDDEN + own) * HIDDEN
                : i == 3 ? w.out + (size_t)own * HIDDEN
                : down < 0 ? w.up + (size_t)(up / WIDER * MLP + (block * WIDER + up % WIDER) * OUTPUTS + output) * HIDDEN
                : w.down + (size_t)own * MLP + down * HIDDEN);
        }
    }

#pragma unroll 1
    for (int tile = block; tile < HEAD_TILES; tile += BLOCKS)
        bring(a.head + (size_t)min(tile * OUTPUTS + output, VOCABULARY - 1) * HIDDEN);
}

__device__ void bring_keys(const StepArguments& a, KeyTiles ring, const Place& place, int lane)
{
    asm volatile("fence.proxy.async;" ::: "memory");     // the last step wrote keys and values another way
    const u64 policy = read_once();
#pragma unroll 1
    for (int l = 0; l < LAYERS; l++)
    {
        for (int at = place.begin; at < place.end; at += KEYS)
        {
            const int count = min(KEYS, place.end - at);
            ring.expect(count * 2 * KEY_BYTES, lane);
            for (int i = lane; i < count; i += LANES)
            {
                const bf16* page = place.pages[(at + i) / PAGE];
                ring.bring(i * KEY_BYTES, page + in_page(l, 0, at + i, place.head), KEY_BYTES, policy);
                ring.bring((KEYS + i) * KEY_BYTES, page + in_page(l, 1, at + i, place.head), KEY_BYTES, policy);
            }

            ring.next();
        }
    }
}
