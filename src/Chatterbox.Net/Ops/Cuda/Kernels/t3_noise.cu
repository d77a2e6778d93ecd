// The random numbers that sequences choose their tokens by: for each token as many exponentially distributed ones as there are
// choices, of a Mersenne Twister of the sequence's own. They are those of torch's generator on the CPU, bit for bit: it makes each
// of two words, in double precision.
//
// From the host, beside what t3_batch.cuh and twister.cuh take: VOCABULARY; RING of a sequence's tokens; THREADS of a block.

#include "t3_batch.cuh"
#include "twister.cuh"

struct NoiseArguments
{
    const Batch* batch;
    const Settings* settings;   // [sequences]
    const int* drawn;           // tokens drawn, [sequences]
    int* made;                  // tokens that there is noise for, [sequences]
    float* noise;               // [sequences, RING, VOCABULARY]
    u32* generators;            // [sequences, RING, STATE]: behind the noise of a token; behind the last of the ring in front of the first
    int ahead;                  // tokens beyond those drawn that there must be noise for
};

extern "C" __global__ void __launch_bounds__(THREADS) noise(const __grid_constant__ NoiseArguments a)     // a block a sequence
{
    static_assert(STRIDE <= THREADS, "a thread makes three words of a round");
    __shared__ u32 rounds[2][WORDS + 1];
    if (blockIdx.x >= a.batch->sequences) return;
    const int t = threadIdx.x, sequence = sequence_of(*a.batch, a.batch->first[blockIdx.x]);
    if (a.settings[sequence].greedy) return;
    const int from = a.made[sequence], to = a.drawn[sequence] + a.ahead;
    if (from >= to) return;
    u32* const states = a.generators + (size_t)sequence * RING * STATE;
    const u32* const state = states + (from + RING - 1) % RING * STATE;
    for (int i = t; i < WORDS; i += THREADS) rounds[0][i] = state[i];
    int used = state[WORDS], now = 0;
    __syncthreads();
    for (int token = from; token < to; token++)
    {
        float* const noise = a.noise + ((size_t)sequence * RING + token % RING) * VOCABULARY;
        int begun = 0;                                   // words of the token that came before the round at hand
        while (true)
        {
            // Numbers whose second word is of this round; the first one may be the last of the round before.
            const int there = min(WORDS - used, 2 * VOCABULARY - begun);
            for (int i = begun / 2 + t; 2 * i + 1 < begun + there; i += THREADS)
            {
                const int second = used + 2 * i + 1 - begun;
                const u32 high = temper(second > 0 ? rounds[now][second - 1] : rounds[1 - now][WORDS - 1]), low = temper(rounds[now][second]);
                const double unit = ((u64)(high & 0x1fffffu) << 32 | low) * (1.0 / 9007199254740992.0);
                noise[i] = (float)-log(1.0 - unit);
            }

            begun += there;
            used += there;
            if (begun == 2 * VOCABULARY) break;
            __syncthreads();                             // the last word of the round before is not needed any more
            twist_all(rounds[now], rounds[1 - now]);
            __syncthreads();
            now = 1 - now;
            used = 0;
        }

        u32* const after = states + token % RING * STATE;
        for (int i = t; i < WORDS; i += THREADS) after[i] = rounds[now][i];
        if (t == 0) after[WORDS] = used;
    }

    if (t == 0) a.made[sequence] = to;
}
