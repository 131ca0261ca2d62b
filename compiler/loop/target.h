/* Target descriptions: what the lowerings and emitters may assume of a machine. One row a target in target.c. */
#ifndef NASC_TARGET_H
#define NASC_TARGET_H

#include "base/base.h"

/* Where exported programs run. */
enum target_place {
    ON_SYSTEM, /* files, a command line */
    ON_BOARD,  /* nothing below them: they bring a start-up file and a memory map */
    IN_WASM    /* a host that runs WebAssembly and offers WASI */
};

typedef struct target {
    const char *name; /* generic, x86-64-v3, x86-64-v4, aarch64, … ("native" resolves to the host's row) */
    int lanes;        /* widest float32 vector: 1, 4, 8, 16 */
    int registers;    /* vector registers; of a GPU: most that a thread may have */
    bool fma;         /* a fused multiply-add in hardware */
    int l1_bytes;     /* data cache a core */
    int l2_bytes;
    int l3_bytes;         /* the last cache, which cores share */
    const char *triple;   /* LLVM's name for it; NULL: not for LLVM */
    const char *cpu;      /* LLVM -mcpu */
    const char *features; /* LLVM -mattr */
    int capability;       /* of a GPU: its compute capability times ten; 0: a CPU */
    int shared_bytes;     /* of a GPU: shared memory that a block of threads may have without asking for more */
    /* exported C */
    enum target_place place;
    const char *prelude; /* the word by which the prelude's part for it is chosen; NULL: strict C11 */
    const char *dot;     /* likewise, for its dot product of four bytes; NULL: it has none */
    bool dot_signed;     /* which takes two signed operands: else the first is unsigned */
    const char *has;     /* C: whether the processor has what is needed; NULL: what compiles for it runs */
    const char *same;    /* C preprocessor: where results are equal to the last bit */
    const char *machine; /* what `uname -m` says where its programs run as they are; NULL: on any, or on none */
    const char *cc;      /* the C compiler for it on a machine of another kind, maybe with options; NULL: any will do */
    const char *run;     /* runs its programs on a machine of another kind, beside them; NULL: see the Makefile */
    uint64_t model;      /* of the host: tells CPUs of one row apart, for what was measured on them; 0: not known */
} target;

extern const target target_table[];
extern const int target_count;

/* GPUs, by rising capability: sm_75 … sm_100. No CPU is among them and they are not among the CPUs. */
extern const target target_gpus[];
extern const int target_gpu_count;

/* The row of that name, or NULL. */
const target *target_find(const char *name);
const target *target_find_gpu(const char *name);
/* What code for a GPU of this compute capability (times ten) is made by: the newest row that it executes, with its own
 * capability where that is of a newer generation than all rows. False: it is older than all of them. */
bool target_gpu(int capability, target *to);
/* The host: the best row that this CPU executes, with cache sizes and model read from the machine (hwloc; the row's own
 * where that fails). They may choose schedules, never results. */
target target_host(void);
/* The same with a dot product of bytes, where the host has one: for kernels of integers. */
target target_host_integers(void);
/* What the host's CPU is called, into `name`; "" where it does not say. */
void target_host_name(char *name, size_t size);
/* The C compiler that makes programs for `t` on this machine, maybe with options. */
const char *target_compiler(const target *t);

#endif
