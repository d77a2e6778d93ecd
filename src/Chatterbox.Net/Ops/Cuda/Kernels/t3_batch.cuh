// What the kernels know of the sequences of a batch: which of them are in a step, and how each chooses its tokens.
//
// From the host: ROWS of a sequence, at most; MOST_ROWS and MOST_SEQUENCES of a step.
#pragma once
#include "t3.cuh"

typedef unsigned short u16;
typedef unsigned long long u64;

struct Batch                    // of a step
{
    int rows, sequences;
    u16 row[MOST_ROWS];         // row of the step → row of the cache: ROWS for each sequence, one or two of them in use
    u16 first[MOST_SEQUENCES];  // sequence of the step → its first row of the step
};

struct Settings                 // of one sequence
{
    float guidance, penalty, temperature, min_p, top_p;
    int top_k, greedy, start_token, guided;
};

__device__ inline int sequence_of(const Batch& batch, int row) { return batch.row[row] / ROWS; }

__device__ inline int rows_of(const Settings& settings) { return settings.guided ? 2 : 1; }
