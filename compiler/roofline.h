/* The time that a program's grids take on a GPU at least, on paper: what is counted of them against what the machine
 * can do. */
#ifndef NASC_ROOFLINE_H
#define NASC_ROOFLINE_H

#include "emit/emit.h"
#include "loop/count.h"

/* A GPU, by what its maker says of it. Figures a multiprocessor (sm) are a cycle's. */
typedef struct gpu {
    const char *name, *title;
    const char *target; /* the row that code for it is made by */
    int sms;
    double clock;                  /* cycles a second, boosted */
    int f32, f64, alu;             /* lanes of a multiprocessor: multiply-add, the same in doubles, integers */
    double memory, l2;             /* bytes a second */
    double memory_bytes, l2_bytes; /* sizes */
    int shared_bytes, threads, blocks, registers; /* that a multiprocessor holds */
    double launch;                                /* seconds between two kernels of a graph that depend on each other */
    loop_latency latency;
} gpu;
/* NULL: there is none of that name; `names` (may be NULL) is filled with what there is. */
const gpu *gpu_find(const char *name, const char **names);

/* What can hold a kernel up. */
#define ROOFS(X)                                                                                                       \
    X(memory, "memory")  /* bytes touched, each once */                                                                \
    X(flops, "multiply") /* operations on all lanes, every one a multiply-add */                                       \
    X(l2, "L2")          /* transactions that a block's first cache does not hold */                                   \
    X(l1, "L1")          /* all transactions, 128 bytes a cycle */                                                     \
    X(shared, "shared")  /* rows of banks */                                                                           \
    X(issue, "issue")    /* four instructions a cycle */                                                               \
    X(f32, "f32")                                                                                                      \
    X(f64, "f64")                                                                                                      \
    X(alu, "integers")                                                                                                 \
    X(latency, "latency") /* one block after the other, as many at a time as there is room for */
enum roof {
#define X(name, words) ROOF_##name,
    ROOFS(X)
#undef X
        ROOF_COUNT
};
extern const char *const roof_names[ROOF_COUNT];

typedef struct roofline {
    loop_counts counts;      /* of all its blocks; serial: the slowest block's */
    struct cubin_use use;    /* no registers: not known, 64 are taken to be used */
    int resident;            /* blocks on a multiprocessor */
    double occupancy;        /* of its threads */
    double roof[ROOF_COUNT]; /* seconds, all multiprocessors at work; latency: alone */
    double seconds;          /* alone on the machine: the greatest, of as many multiprocessors as there are blocks */
    double bound;            /* the greater of memory and flops: what no schedule of this arithmetic is below */
    enum roof limit;
} roofline;

/* What some of a grid's blocks do, all of one kernel. */
typedef struct roofline_part {
    loop_counts counts; /* of one instance */
    int instances;
    int64_t shared_bytes; /* of a block, where nobody says */
} roofline_part;

/* `threads`: of a block. */
roofline roofline_of(const gpu *g, const roofline_part *parts, int count, int threads, const struct cubin_use *use);

#endif
