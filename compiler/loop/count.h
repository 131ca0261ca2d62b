/* What a kernel for a GPU asks of the machine, counted without data and without a GPU. */
#ifndef NASC_COUNT_H
#define NASC_COUNT_H

#include "loop.h"

enum { WARP = 32, SECTOR = 32, SHARED_BANKS = 32 }; /* threads; bytes of a transaction */

/* Cycles from an operation to the next that needs its result. */
typedef struct loop_latency {
    int f32, f64, shared, l1, l2, memory; /* the last three: of a load, by where it finds what it loads */
} loop_latency;

/* A grid that is counted. */
typedef struct loop_grid {
    int64_t n, units;
    int threads;             /* of a block, where the kernel says nothing of threads */
    const int64_t *elements; /* of each argument */
} loop_grid;

/* Of the whole grid; instructions are those of warps, of which a division has several. */
typedef struct loop_counts {
    int64_t blocks;
    int threads;              /* of a block */
    double flops;             /* a multiply-add is two; of threads that take part */
    double issued;            /* instructions */
    double f32, f64, alu;     /* of them: multiply and add; the same in doubles; integers, comparisons, choices */
    double sectors;           /* of global memory, a warp's access after the other */
    double sectors_block;     /* once a block: what its first cache does not hold */
    double bytes;             /* of global memory that are touched, once a grid (read and written count apart) */
    double shared, conflicts; /* accesses to shared memory, a row of banks each; of them those that conflicts add */
    double serial;            /* cycles of one block, had each of its warps the machine to itself */
} loop_counts;

/* Runs what decides about control and addresses of some neighbouring blocks in the middle of the grid, and scales. What
 * is loaded into integers is taken to be 0. `at`: the work lies there. */
loop_counts loop_count(arena *at, const kernel *k, const loop_grid *g, const loop_latency *latency);

#endif
