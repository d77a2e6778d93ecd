// One step of T3 for ROWS rows as one kernel: its blocks stay for all layers and the head. Weights and cache are bf16,
// everything else float32.
//
// What a chain of kernels loses, here goes on side by side: two warps of a block do nothing but bring the weights, and the
// older keys and values, into rings in shared memory, ahead of need and over the borders of stages and layers. The others
// multiply. Each block has 8 outputs of every 8 · BLOCKS, and a share of attention.
//
// Between stages, every block needs what all blocks have made. There is no barrier for that: each number is written to global
// memory with the number of its layer in its two lowest bits, its tag, and who needs it reads it until the tag is right. A
// buffer is written once in a layer, and read by all before anyone can be a layer further: nobody gets past a stage whose
// inputs come from all before all have got there.
//
// Sizes: ROWS, LAYERS, HIDDEN, MLP, HEADS, VOCABULARY, SHARED_BYTES; GPT2 (0: Llama).

#include "t3.cuh"
#include "t3_exchange.cuh"

constexpr int WARPS = 8;                                 // that multiply
constexpr int THREADS = (WARPS + 2) * LANES;
constexpr int OUTPUTS = 8;                               // of a tile, and of a block for every 8 · BLOCKS
constexpr int BLOCKS = HIDDEN / OUTPUTS;
constexpr int PITCH = HIDDEN * 2 + 64, TILE = OUTPUTS * PITCH;            // bytes; neighbouring rows lie in other banks
constexpr int CHUNK = 32, SHARE = HIDDEN / WARPS, CHUNKS = SHARE / CHUNK; // columns of a tile that a warp multiplies
constexpr int PLANE = ROWS * SHARE * 2;                  // bytes of the high, or the low, parts of a warp's operand
constexpr int SPLITS = 8 / ROWS;                         // blocks that share a row's head in attention
constexpr int WIDER = 4;                                 // the MLP, than the rest
constexpr int UP_TILES = (GPT2 ? 1 : 2) * WIDER, UP_OUTPUTS = UP_TILES * OUTPUTS;
constexpr int HEAD_TILES = (VOCABULARY + OUTPUTS - 1) / OUTPUTS;          // of all blocks
constexpr int KEY_LANES = HEAD_DIM / VECTOR, KEYS_AT_ONCE = WARPS * LANES / KEY_LANES;
constexpr int KEYS = 128, KEY_BYTES = HEAD_DIM * 2, KEY_TILE = 2 * KEYS * KEY_BYTES, KEY_SLOTS = 2;
constexpr int IN_FLIGHT = 3;                             // tiles that are asked for at once: more are in the way of what blocks exchange
constexpr float NOTHING = -1e30f;                        // the maximum of nothing: infinity has no room for a tag
static_assert(HEADS * 8 == BLOCKS && 8 % ROWS == 0 && SHARE % CHUNK == 0 && SHARE <= LANES * 4 && MLP == WIDER * HIDDEN,
    "sizes that the kernel is made for");

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
    bf16* keys;                 // [LAYERS, slots, capacity, HEADS, HEAD_DIM]
    bf16* values;
    long long layer_stride;     // numbers from a layer of the cache to the next
    int capacity;
    int round;                  // counts the launches with the same buffers, which were zeros before the first
    const int* positions;       // of the new key of each row
    const int* slots;           // of each row
    const float* x;             // [ROWS, HIDDEN]
    float* logits;              // [ROWS, VOCABULARY]
    // Exchanged between blocks, with tags:
    u32* attended;              // [ROWS, HIDDEN]: x behind attention
    u32* fed;                   // [ROWS, HIDDEN]: x behind the MLP
    u32* qkv;                   // [ROWS, 3, HIDDEN]
    u32* parts;                 // [ROWS · SPLITS, HIDDEN]: weighted values, in halves, in the order of place_of()
    u32* weights;               // [ROWS · SPLITS, HEADS, 4]: their maximum and sum, twice
    u32* mlp;                   // [ROWS, MLP], in halves
};

// ---- shared memory ------------------------------------------------------------------------------------------------------

constexpr int MOST_SLOTS = 16;
constexpr int OF_UP = WARPS * ROWS * (UP_OUTPUTS + 2), OF_ATTENTION = WARPS * (HEAD_DIM + 4), SUMS = OF_UP > OF_ATTENTION ? OF_UP : OF_ATTENTION;

struct Shared
{
    Layer layers[LAYERS];
    Slot slots[MOST_SLOTS], key_slots[KEY_SLOTS];
    __align__(16) float sums[2][SUMS];                   // taken in turns by the stages, so that one barrier a stage is enough
    __align__(16) unsigned char operands[WARPS][2 * PLANE];
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
    size_t cache;               // of the row's first key of the head, within a layer

    __device__ Place(const StepArguments& a, int block) : head(block / 8), part(block % 8), row(part / SPLITS), split(part % SPLITS)
    {
        position = (int)look_at((const u32*)a.positions + row);
        const int share = (position + SPLITS - 1) / SPLITS;
        begin = min(position, split * share);
        end = min(position, begin + share);
        cache = ((size_t)look_at((const u32*)a.slots + row) * a.capacity * HEADS + head) * HEAD_DIM;
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
        const bf16 *keys = a.keys + l * a.layer_stride + place.cache, *values = a.values + l * a.layer_stride + place.cache;
        for (int at = place.begin; at < place.end; at += KEYS)
        {
            const int count = min(KEYS, place.end - at);
            ring.expect(count * 2 * KEY_BYTES, lane);
            for (int i = lane; i < count; i += LANES)
            {
                ring.bring(i * KEY_BYTES, keys + (size_t)(at + i) * HIDDEN, KEY_BYTES, policy);
                ring.bring((KEYS + i) * KEY_BYTES, values + (size_t)(at + i) * HIDDEN, KEY_BYTES, policy);
            }

            ring.next();
        }
    }
}

// ---- the warps that multiply: each its columns of every tile --------------------------------------------------------------

// x as the first operand of a product: chunk, half of it, register. Its first eight rows are the high halves, the others the low.
typedef u32 Operand[CHUNKS][2][4];

__device__ inline void multiply_add(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Everything in it is inlined, so that it lives in registers.
struct Block
{
    const StepArguments& a;
    Shared& shared;
    const Place& place;
    Tiles tiles, oldest_tile;
    KeyTiles keys, oldest_keys;
    const int block, thread = threadIdx.x, warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    // The sum that the layers add to: of the first threads, a number each.
    const bool owns = threadIdx.x < OUTPUTS * ROWS;
    const int own_row = threadIdx.x / OUTPUTS, own;
    float residual = 0;
    float cosine[VECTOR], sine[VECTOR];                  // of the new key's position
    int turn = 0;

    __device__ __forceinline__ Block(const StepArguments& a, Shared& shared, const Place& place, Tiles tiles, KeyTiles keys, int block)
        : a(a), shared(shared), place(place), tiles(tiles), oldest_tile(tiles), keys(keys), oldest_keys(keys), block(block), own(block * OUTPUTS + threadIdx.x % OUTPUTS)
    {
        if (owns) residual = __uint_as_float(look_at((const u32*)a.x + own_row * HIDDEN + own));
        if (GPT2) return;
        const int at = place.position * (HEAD_DIM / 2) + lane % (KEY_LANES / 2) * VECTOR;
        load(a.cosines + at, cosine);
        load(a.sines + at, sine);
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
            statistics.squares[r] = x0 * x0 + x1 * x1 + x2 * x2 + x3 * x3;
            statistics.total[r] = x0 + x1 + x2 + x3;
            uint2 highs, lows;
            halve(x0 * gain.x, x1 * gain.y, highs.x, lows.x);
            halve(x2 * gain.z, x3 * gain.w, highs.y, lows.y);
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
        const float square = sum(sums, row, outputs, outputs) / HIDDEN, mean = GPT2 ? sum(sums, row, outputs + 1, outputs) / HIDDEN : 0;
        const float deviation = rsqrtf(square - mean * mean + eps);
        const float x = sum(sums, row, output, outputs);
        return GPT2 ? deviation * (x - mean * scale.factor) + scale.shift : deviation * x;
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

    template <int N>
    __device__ __forceinline__ void note(const float (&d)[N][4], float* sums, int first, int outputs)
    {
        if (lane / 4 >= ROWS) return;
        float* s = sums + (warp * ROWS + lane / 4) * (outputs + 2) + first + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < N; i++) *(float2*)(s + i * OUTPUTS) = make_float2(d[i][0] + d[i][2], d[i][1] + d[i][3]);
    }

    // ---- stages

    __device__ __forceinline__ void queries_keys_values(const Layer& w, const u32* x, Tag before, Tag now)
    {
        constexpr int ALL = 3 * OUTPUTS;
        float* sums = next_sums();
        const int row = thread / ALL, i = thread % ALL, output = i / OUTPUTS * HIDDEN + block * OUTPUTS + i % OUTPUTS;
        const bool mine = row < ROWS;
        const Scale scale(w.attention_norm, output, mine);
        Weights<3> weights;
        take(weights);
        Operand operand;
        const Statistics statistics = read_normed(x, before, w.attention_norm, operand);
        float d[3][4] = {};
        multiply(operand, weights, d);
        note(statistics, sums, ALL);
        note(d, sums, 0, ALL);
        meet();
        if (mine) tell(a.qkv + row * 3 * HIDDEN + output, normed(sums, row, i, ALL, scale, w.attention_norm.eps), now);
        give_back(oldest_tile, 3);
    }

    // One vector of a query or key, turned to its position.
    __device__ __forceinline__ void rotate(const uint4 (&words)[2], const uint4 (&others)[2], float (&x)[VECTOR])
    {
        untag(words, x);
        if (GPT2) return;
        float other[VECTOR];
        untag(others, other);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = x[i] * cosine[i] + (lane % KEY_LANES < KEY_LANES / 2 ? -other[i] : other[i]) * sine[i];
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

    // A softmax over some keys: maximum, sum, weighted values of this thread's part of a head. Powers are of 2.
    struct Weighted
    {
        float m = NOTHING, l = 0, values[VECTOR] = {};
    };

    __device__ __forceinline__ void attend(int layer, Tag now)
    {
        float* sums = next_sums();
        const int part = lane % KEY_LANES, other = part ^ KEY_LANES / 2;
        const bool newest = place.split == 0 && warp == 0;          // takes the new key and value
        const u32* qkv = a.qkv + place.row * 3 * HIDDEN + place.head * HEAD_DIM;
        KeysAndValues older;
        if (place.begin < place.end) take(older, place.end - place.begin);
        uint4 words[10];                                 // a query, its other half, a key, its other half, a value: two each
        constexpr u32 QUERY = GPT2 ? 0x3 : 0xf, KEY_AND_VALUE = GPT2 ? 0x330 : 0x3f0;
        wait_for(words, now, newest ? QUERY | KEY_AND_VALUE : QUERY, [&](int i)
        {
            return qkv + i / 4 * HIDDEN + (i / 2 % 2 == 1 ? other : part) * VECTOR + i % 2 * 4;
        });
        float query[VECTOR];
        rotate({words[0], words[1]}, {words[2], words[3]}, query);
        const float scale = rsqrtf((float)HEAD_DIM) * 1.44269504f;  // so that powers are of 2
#pragma unroll
        for (int i = 0; i < VECTOR; i++) query[i] *= scale;

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
                const size_t at = layer * a.layer_stride + place.cache + (size_t)place.position * HIDDEN + part * VECTOR;
                *(uint4*)(a.keys + at) = key;
                *(uint4*)(a.values + at) = value;
                w.m = score;
                w.l = 1;
                unpack(value, w.values);
            }
        }

#pragma unroll 1
        for (int at = place.begin; at < place.end; at += KEYS)
        {
            add(older, query, place.end - at, w);
            give_back(oldest_keys, 1);
            if (at + KEYS < place.end) take(older, place.end - at - KEYS);
        }

#pragma unroll
        for (int offset = KEY_LANES; offset < LANES; offset <<= 1)
        {
            float values[VECTOR];
            const float m = __shfl_xor_sync(~0u, w.m, offset), l = __shfl_xor_sync(~0u, w.l, offset);
#pragma unroll
            for (int i = 0; i < VECTOR; i++) values[i] = __shfl_xor_sync(~0u, w.values[i], offset);
            merge(w.m, w.l, w.values, m, l, values);
        }

        constexpr int STRIDE = 4 + HEAD_DIM;             // of a warp: maximum, sum, room, values
        if (lane < KEY_LANES)
        {
            float* s = sums + warp * STRIDE;
            *(float2*)s = make_float2(w.m, w.l);
#pragma unroll
            for (int i = 0; i < VECTOR; i++) s[4 + part * VECTOR + i] = w.values[i];
        }

        meet();
        if (thread >= HEAD_DIM) return;
        float top = NOTHING, l = 0, value = 0;
#pragma unroll
        for (int i = 0; i < WARPS; i++) top = fmaxf(top, sums[i * STRIDE]);
#pragma unroll
        for (int i = 0; i < WARPS; i++)
        {
            const float f = exp2f(sums[i * STRIDE] - top);
            l += f * sums[i * STRIDE + 1];
            value += f * sums[i * STRIDE + 4 + thread];
        }

        tell(a.parts + place.part * HIDDEN + place.head * HEAD_DIM + place_of(thread), halves(value), now);
        if (thread < 4) tell(a.weights + (place.part * HEADS + place.head) * 4 + thread, thread % 2 == 0 ? top : l, now);
    }

    __device__ __forceinline__ static float dot(const float (&query)[VECTOR], uint4 key)    // over the lanes of a key
    {
        float x[VECTOR], sum = 0;
        unpack(key, x);
#pragma unroll
        for (int i = 0; i < VECTOR; i++) sum += query[i] * x[i];
#pragma unroll
        for (int offset = 1; offset < KEY_LANES; offset <<= 1) sum += __shfl_xor_sync(~0u, sum, offset);
        return sum;
    }

    static constexpr int TURNS = KEYS / KEYS_AT_ONCE;

    struct KeysAndValues        // this thread's part of a tile of them
    {
        uint4 key[TURNS], value[TURNS];
    };

    __device__ __forceinline__ int first_key() const { return warp * (LANES / KEY_LANES) + lane / KEY_LANES; }

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

    __device__ __forceinline__ void add(const KeysAndValues& older, const float (&query)[VECTOR], int count, Weighted& w)
    {
        float scores[TURNS], top = w.m;
#pragma unroll
        for (int u = 0; u < TURNS; u++)
        {
            scores[u] = dot(query, older.key[u]);
            if (first_key() + u * KEYS_AT_ONCE >= count) scores[u] = NOTHING;
            top = fmaxf(top, scores[u]);
        }

        const float f = exp2f(w.m - top);
        w.m = top;
        w.l *= f;
#pragma unroll
        for (int i = 0; i < VECTOR; i++) w.values[i] *= f;
#pragma unroll
        for (int u = 0; u < TURNS; u++)
        {
            float x[VECTOR];
            const float p = first_key() + u * KEYS_AT_ONCE < count ? exp2f(scores[u] - top) : 0;
            unpack(older.value[u], x);
            w.l += p;
#pragma unroll
            for (int i = 0; i < VECTOR; i++) w.values[i] += p * x[i];
        }
    }

    // Of 32 numbers, four threads take 8 each, as two vectors; the first vectors of all, then the second, lie side by side.
    __device__ __forceinline__ static int place_of(int i) { return (i & ~31) | (i / 4 % 2) << 4 | (i / 8 % 4) << 2 | i % 4; }

    // Attention's way out. The operand has a row for each row and split: they are joined behind the product.
    __device__ __forceinline__ void way_out(const Layer& w, Tag now)
    {
        constexpr int TOGETHER = SHARE % HEAD_DIM == 0 ? 2 : 1, GROUPS = CHUNKS / TOGETHER;     // chunks of one head
        float* sums = next_sums();
        const int part = lane / 4, at = warp * SHARE;
        const float bias = GPT2 && owns ? w.out_bias[own] : 0;
        Weights<1> weights;
        take(weights);
        uint4 words[CHUNKS * 2 + GROUPS];
        wait_for(words, now, (1u << (CHUNKS * 2 + GROUPS)) - 1, [&](int i)
        {
            return i < CHUNKS * 2 ? a.parts + part * HIDDEN + at + i / 2 * CHUNK + i % 2 * 16 + lane % 4 * 4
                : a.weights + (part * HEADS + (at + (i - CHUNKS * 2) * TOGETHER * CHUNK) / HEAD_DIM) * 4;
        });
        float sum0 = 0, sum1 = 0;
#pragma unroll
        for (int i = 0; i < GROUPS; i++)
        {
            const float m = untagged(words[CHUNKS * 2 + i].x), top = over_splits(m, [](float x, float y) { return fmaxf(x, y); });
            const float f = exp2f(m - top), l = over_splits(f * untagged(words[CHUNKS * 2 + i].y), [](float x, float y) { return x + y; });
            float d[4] = {};
#pragma unroll
            for (int c = i * TOGETHER; c < (i + 1) * TOGETHER; c++)
            {
                u32 x[2][4];
#pragma unroll
                for (int half = 0; half < 2; half++)
                {
                    unhalve(words[c * 2 + half].x, words[c * 2 + half].y, x[half][0], x[half][1]);
                    unhalve(words[c * 2 + half].z, words[c * 2 + half].w, x[half][2], x[half][3]);
                }

                multiply_add(d, x[0], weights.w[0][c].x, weights.w[0][c].y);
                multiply_add(d, x[1], weights.w[0][c].z, weights.w[0][c].w);
            }

            sum0 += f / l * (d[0] + d[2]);
            sum1 += f / l * (d[1] + d[3]);
        }

        sum0 = over_splits(sum0, [](float x, float y) { return x + y; });
        sum1 = over_splits(sum1, [](float x, float y) { return x + y; });
        if (part % SPLITS == 0) *(float2*)(sums + (warp * ROWS + part / SPLITS) * (OUTPUTS + 2) + lane % 4 * 2) = make_float2(sum0, sum1);
        meet();
        add(sums, bias, a.attended, now);
        give_back(oldest_tile, 1);
    }

    template <class Combine>
    __device__ __forceinline__ static float over_splits(float x, Combine combine)
    {
#pragma unroll
        for (int offset = 4; offset < 4 * SPLITS; offset <<= 1) x = combine(x, __shfl_xor_sync(~0u, x, offset));
        return x;
    }

    __device__ __forceinline__ void add(const float* sums, float bias, u32* x, Tag now)
    {
        if (!owns) return;
        residual += sum(sums, own_row, thread % OUTPUTS, OUTPUTS) + bias;
        tell(x + own_row * HIDDEN + own, residual, now);
    }

    __device__ __forceinline__ void up(const Layer& w, Tag now)
    {
        constexpr int RESULTS = WIDER * OUTPUTS;         // of Llama, a gate and a number make one
        float* sums = next_sums();
        const int row = thread / RESULTS, i = thread % RESULTS, output = block * RESULTS + i;
        const bool mine = row < ROWS;
        const Scale scale(w.mlp_norm, output, mine);
        Weights<WIDER> weights;
        take(weights);
        Operand operand;
        const Statistics statistics = read_normed(a.attended, now, w.mlp_norm, operand);
#pragma unroll
        for (int first = 0; first < UP_TILES; first += WIDER)
        {
            if (first > 0) take(weights);
            float d[WIDER][4] = {};
            multiply(operand, weights, d);
            if (first == 0) note(statistics, sums, UP_OUTPUTS);
            note(d, sums, first * OUTPUTS, UP_OUTPUTS);
            if (first + WIDER < UP_TILES) give_back(oldest_tile, WIDER);
        }

        meet();
        if (mine)
        {
            const float x = normed(sums, row, i, UP_OUTPUTS, scale, w.mlp_norm.eps);
            tell(a.mlp + row * MLP + output, halves(GPT2 ? gelu(x) : silu(x) * normed(sums, row, RESULTS + i, UP_OUTPUTS, scale, w.mlp_norm.eps)), now);
        }

        give_back(oldest_tile, WIDER);
    }

    __device__ __forceinline__ void down(const Layer& w, Tag now)
    {
        constexpr int TOGETHER = ROWS <= 2 ? WIDER : 1;  // tiles whose operands are waited for at once
        float* sums = next_sums();
        const float bias = GPT2 && owns ? w.down_bias[own] : 0;
        Weights<WIDER> weights;
        take(weights);
        float d[WIDER][4] = {};
#pragma unroll
        for (int first = 0; first < WIDER; first += TOGETHER)
        {
            uint4 words[TOGETHER * ROWS];
            wait_for(words, now, lane * 4 < SHARE ? (1u << TOGETHER * ROWS) - 1 : 0, [&](int i)
            {
                return a.mlp + i % ROWS * MLP + (first + i / ROWS) * HIDDEN + warp * SHARE + lane * 4;
            });
#pragma unroll
            for (int i = 0; i < TOGETHER; i++)
            {
                __syncwarp();
#pragma unroll
                for (int r = 0; r < ROWS; r++)
                {
                    uint2 highs, lows;
                    unhalve(words[i * ROWS + r].x, words[i * ROWS + r].y, highs.x, lows.x);
                    unhalve(words[i * ROWS + r].z, words[i * ROWS + r].w, highs.y, lows.y);
                    put(r, highs, lows);
                }

                __syncwarp();
                Operand operand;
                get(operand);
#pragma unroll
                for (int c = 0; c < CHUNKS; c++)
                {
                    const uint4 w = weights.w[first + i][c];
                    multiply_add(d[c % WIDER], operand[c][0], w.x, w.y);
                    multiply_add(d[c % WIDER], operand[c][1], w.z, w.w);
                }
            }
        }

        float all[1][4];
#pragma unroll
        for (int i = 0; i < 4; i++) all[0][i] = d[0][i] + d[1][i] + (d[2][i] + d[3][i]);
        note(all, sums, 0, OUTPUTS);
        meet();
        add(sums, bias, a.fed, now);
        give_back(oldest_tile, WIDER);
    }

    __device__ __forceinline__ void head(const u32* x, Tag before)
    {
        constexpr int GROUP = WIDER, ALL = GROUP * OUTPUTS;     // tiles that are made at once
        Operand operand;
        const Statistics statistics = read_normed(x, before, a.head_norm, operand);
#pragma unroll 1
        for (int first = block; first < HEAD_TILES; first += GROUP * BLOCKS)
        {
            float* sums = next_sums();
            const int row = thread / ALL, i = thread % ALL, output = (first + i / OUTPUTS * BLOCKS) * OUTPUTS + i % OUTPUTS;
            const bool mine = row < ROWS && output < VOCABULARY;
            const Scale scale(a.head_norm, output, mine);
            Weights<GROUP> weights = {};
            const int there = min(GROUP, (HEAD_TILES - first + BLOCKS - 1) / BLOCKS);
            take(weights, there);
            float d[GROUP][4] = {};
            multiply(operand, weights, d);
            note(statistics, sums, ALL);
            note(d, sums, 0, ALL);
            give_back(oldest_tile, there);
            meet();
            if (mine) a.logits[row * VOCABULARY + output] = normed(sums, row, i, ALL, scale, a.head_norm.eps);
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1) step(const __grid_constant__ StepArguments a)
{
    extern __shared__ __align__(128) unsigned char memory[];
    Shared& shared = *(Shared*)memory;
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, block = blockIdx.x;
    for (int i = threadIdx.x; i < LAYERS * (int)(sizeof(Layer) / sizeof(u64)); i += THREADS) ((u64*)shared.layers)[i] = ((const u64*)a.layers)[i];
    if (threadIdx.x < MOST_SLOTS) shared.slots[threadIdx.x].init(WARPS);
    if (threadIdx.x < KEY_SLOTS) shared.key_slots[threadIdx.x].init(WARPS);
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");    // the copies, which are asynchronous, see the barriers
    __syncthreads();

    const Tiles tiles(shared.slots, memory + TILES_AT, warp == WARPS);
    const KeyTiles keys(shared.key_slots, memory + KEYS_AT, warp == WARPS + 1);
    if (warp == WARPS)
    {
        bring_weights(a, tiles, shared.layers, block, lane);
        return;
    }

    const Place place(a, block);
    if (warp == WARPS + 1)
    {
        bring_keys(a, keys, place, lane);
        return;
    }

    Block self(a, shared, place, tiles, keys, block);
    const u32* x = (const u32*)a.x;
    Tag before = {0, 0};
#pragma unroll 1
    for (int layer = 0; layer < LAYERS; layer++)
    {
        const Layer& w = shared.layers[layer];
        const Tag now = {3, ((u32)a.round * LAYERS + layer + 1) & 3};
        self.queries_keys_values(w, x, before, now);
        self.attend(layer, now);
        self.way_out(w, now);
        self.up(w, now);
        self.down(w, now);
        x = a.fed;
        before = now;
    }

    self.head(x, before);
}
