/* Inside the interpreter: the decoded kernel and the state it runs on. interp.c decodes and runs; interp_ops.inc holds
 * the handlers of float instructions, compiled for float and for double. */
#ifndef NASC_INTERP_H
#define NASC_INTERP_H

#include "loop.h"

/* An index with as many terms as it has, but at least two (coefficient 0 if need be), which need no branch. */
typedef struct packed_index {
    int64_t base;
    int32_t count;
    loop_term term[];
} packed_index;

typedef struct bound_buffer {
    char *at;
    unsigned char *written; /* a byte an element, of scratch whose type has no bit pattern to spare; else NULL */
    struct touch *touched;  /* of a kernel of threads: who touched which element; see interp_threads.c */
    int64_t size;           /* elements */
    int32_t dtype;          /* after widening */
    int32_t touches;        /* an element */
    bool scratch;
} bound_buffer;

typedef struct interp interp;
typedef struct code code;
/* A handler executes one instruction and returns the next, or NULL: the unit is done, or has failed. */
typedef const code *handler(interp *s, const code *c);

struct code {
    handler *run;
    int32_t dst;    /* byte offset of a register, or an integer variable */
    int32_t src[4]; /* byte offsets of registers; src[1] of a memory instruction: its buffer */
    int32_t step;
    const packed_index *lo, *hi; /* lo: also the place of a memory instruction */
    const code *target;          /* where a jump goes */
    union {
        double value;
        int64_t lanes;
    };
};

struct interp {
    char *regs;
    int64_t *ints;
    bound_buffer *buffers; /* arguments, then scratch */
    const kernel *k;
    const code *first;
    nasc_diag *d;
    bool failed;
    struct block *block; /* of a kernel of threads; else NULL */
};

enum { INTERP_WIDTHS = 5 }; /* 1, 2, 4, 8, 16 lanes */

/* Handlers by operation and log2 of the lanes; NULL where there is none. */
typedef handler *handler_row[INTERP_WIDTHS];
extern const handler_row interp_f32_base[LOOP_OP_COUNT], interp_f64_base[LOOP_OP_COUNT];
#if defined(__x86_64__)
extern const handler_row interp_f32_avx2[LOOP_OP_COUNT], interp_f64_avx2[LOOP_OP_COUNT];
#endif

/* Signalling NaNs that no arithmetic yields: scratch is filled with them before each unit, so that a load can tell
 * what was never written. */
#define POISON_F32 UINT32_C(0x7fa0dead)
#define POISON_F64 UINT64_C(0x7ff4deaddeaddead)

/* Ends the unit with an error at an instruction. Returns NULL. */
const code *interp_fail(interp *s, const code *c, const char *format, ...) PRINTF(3, 4);
const code *interp_out_of_bounds(interp *s, const code *c, int64_t element);
const code *interp_never_written(interp *s, const code *c, int64_t element);
const code *interp_not_representable(interp *s, const code *c, int64_t element);

static inline int64_t interp_index(const interp *s, const packed_index *i)
{
    uint64_t sum = (uint64_t)i->base;
    sum += (uint64_t)s->ints[i->term[0].var] * (uint64_t)(int64_t)i->term[0].coef;
    sum += (uint64_t)s->ints[i->term[1].var] * (uint64_t)(int64_t)i->term[1].coef;
    for (int t = 2; t < i->count; t++) {
        sum += (uint64_t)s->ints[i->term[t].var] * (uint64_t)(int64_t)i->term[t].coef;
        __asm__("" : "+r"(sum)); /* no vectors, please: there are one or two more, if any */
    }
    return (int64_t)sum;
}

/* interp_threads.c: what a unit of threads adds to one that is a thread. */
void interp_watch(arena *a, interp *s, code *first, size_t register_bytes);
void interp_run_block(interp *s, int64_t unit);
handler interp_barrier, interp_thread_end;

/* interp_int.c: the handler of an operation on registers of i32 or of quads. */
handler *interp_integer(int op, bool quads);

/* An element of any type as a double, and back (f32 from double rounds once). */
double interp_element(const bound_buffer *b, int64_t element);
bool interp_set_element(const bound_buffer *b, int64_t element, double value);

#endif
