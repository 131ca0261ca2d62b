/* The loop IR: a kernel as loops over typed buffers, in three-address code.
 *
 * A kernel is a flat array of instructions; FOR … END and IF … END nest. It holds no address, offset or name, so that
 * equal kernels compare equal byte for byte and compile once. Unrolling has happened already (the lowering writes each
 * copy), so emitters make no scheduling decision. One `kernel` runs a range of its parallel loop:
 *
 *     void k(void *const *buffer, int64_t n, int64_t begin, int64_t end, void *scratch)
 *
 * `buffer[i]` is the first element of argument i, `n` the batch (images), [begin, end) the units of the parallel loop
 * to run, `scratch` the thread's own memory of kernel.scratch_bytes, aligned to 64 bytes, contents undefined.
 *
 * Arithmetic has one meaning on every engine: IEEE single or double, round to nearest even, subnormals kept, nothing
 * contracted or reassociated. LOOP_FMA rounds once. max(a,b) = a > b ? a : b, min(a,b) = a < b ? a : b.
 *
 * Integers. Registers of i32 hold what fits: a result that does not is the lowering's error, as is a value stored to u8
 * that is none of 0 … 255. Registers of quads are loaded from and stored to buffers of bytes, u8 or i8, a lane four
 * elements; an index counts elements. Integer registers know load, bcast, store, half, const (i32), the operations that
 * say so below, and of i32 add, sub, mul, max, min, move; of quads max and min, byte by byte, unsigned.
 *
 * Conversions: to a narrower float round to nearest even; to an integer truncate, and a value out of range is the
 * lowering's error (the interpreter reports it). Loop bounds do not change while the loop runs, nor is a loop's
 * variable assigned in it; after the loop it is undefined. Registers and scratch carry nothing from one unit to the
 * next.
 *
 * Threads. `threads i2 128 {` stands directly in the parallel loop and holds all of its body. A unit is then a block of
 * threads, which run the body at the same time: integer variables and registers are each thread's own, scratch is
 * shared. Between two barriers nothing is in order: threads race where one writes an element that another reads or
 * writes, and where units do. All threads of a block reach the same barriers. Without `threads` a unit is one thread.
 *
 * Text form (printed by loop_print, read by loop_parse), one instruction a line, two spaces a level; # begins a comment.
 * a0 is argument 0, s0 scratch array 0, n the batch, i1 … other integer variables, r0 … registers:
 *     kernel "copy_square" {
 *       arg 0 in f32
 *       arg 1 out f32
 *       scratch 0 f32 4096
 *       parallel i1 {
 *         for i2 = 0 to n step 1 {
 *           i3 = imin 8*i2 + 4, n - 1            (set lo · imin, imax lo, hi · idiv, imod lo, STEP · iload a0[…])
 *           f32x8 r0 = load a0[1024*i1 + 16*i2 + 8]
 *           f32x8 r1 = bcast a0[16*i3]
 *           f32x8 r0 = fma r0, r1, r1
 *           if i2 < 8 {
 *             f32x8 r2 = const 1.5
 *             f32x4 r3 = half r2, 1              (dst = half a, STEP · lane a, STEP · join a, b · convert a · fromint lo)
 *           } else {
 *             store s0[16*i2] = r0             (barrier)
 *           }
 *         }
 *       }
 *     }
 * A register that no instruction defines is declared (`reg f32x8 r7`), as is a number of integer variables above the
 * largest one defined (`ints 9`).
 */
#ifndef NASC_LOOP_H
#define NASC_LOOP_H

#include "base/base.h"

/* ---- types -------------------------------------------------------------------------------------------------- */

/* A quad is a lane of four bytes next to each other in memory, the first the lowest. */
enum dtype { DT_F32, DT_F64, DT_BF16, DT_I8, DT_I32, DT_U8, DT_QUAD, DT_COUNT };
extern const struct dtype_info {
    const char *name;
    int bytes;
} dtype_info[DT_COUNT];

enum { LOOP_LANES_MAX = 16, LOOP_ARGS_MAX = 512, LOOP_SCRATCH_MAX = 256, LOOP_TERMS_MAX = 8, LOOP_THREADS_MAX = 1024 };

/* An affine index, in elements: base + Σ coef·i. Integer variables are numbered; variable 0 is the batch n. */
typedef struct loop_term {
    int32_t var;
    int32_t coef;
} loop_term;

typedef struct loop_index {
    int64_t base;
    int32_t count;
    loop_term term[LOOP_TERMS_MAX]; /* by rising var, no coef 0; unused ones are zero, so that equal is memcmp-equal */
} loop_index;

/* A place in memory: argument (LOOP_ARG + i) or scratch array (LOOP_SCRATCH + i), at an index. */
enum { LOOP_ARG = 0, LOOP_SCRATCH = 1024 };
typedef struct loop_place {
    int32_t buffer;
    loop_index index;
} loop_place;

/* ---- instructions --------------------------------------------------------------------------------------------
 * Registers are numbered, typed (element type and lanes), mutable, and declared by their type in kernel.regs.
 * Vectors have 1, 2, 4, 8 or 16 lanes. All float operands of one instruction share the result's type unless said.
 *
 * X(name, text, kind, operands): kind tells which fields an instruction uses:
 *   STRUCT  control           INT   integer variable = …        MEM   memory
 *   MATH    float register = op(float registers)                MISC  as described
 *   HINT    changes no value: an engine may do nothing
 *   SYNC    orders threads; no fields
 */
#define LOOP_OPS(X)                                                                                                     \
    X(PARALLEL, "parallel", STRUCT,                                                                                     \
      0)                       /* var runs over [begin, end) of the call; exactly one, the first instruction */         \
    X(FOR, "for", STRUCT, 0)   /* var = lo; var < hi; var += step (a positive constant) */                              \
    X(IF, "if", STRUCT, 0)     /* lo < hi, both indices */                                                              \
    X(ELSE, "else", STRUCT, 0) /* between IF and its END */                                                             \
    X(END, "end", STRUCT, 0)                                                                                            \
    X(INT_SET, "set", INT, 0)    /* var = lo */                                                                         \
    X(INT_MIN, "imin", INT, 0)   /* var = min(lo, hi) */                                                                \
    X(INT_MAX, "imax", INT, 0)   /* var = max(lo, hi) */                                                                \
    X(INT_DIV, "idiv", INT, 0)   /* var = floor(lo / step), step > 0 */                                                 \
    X(INT_MOD, "imod", INT, 0)   /* var = lo - step * floor(lo / step) */                                               \
    X(INT_LOAD, "iload", INT, 0) /* var = place (an i32 or i8 element) */                                               \
    X(LOAD, "load", MEM, 0)      /* dst = lanes consecutive elements at place, converted to dst's type */               \
    X(BCAST, "bcast", MEM, 0)    /* dst = one element at place in every lane */                                         \
    X(STORE, "store", MEM, 1)    /* place = a, lanes consecutive elements, converted to the buffer's type; step 1: \
                                        streamed, past the caches, to a multiple of `lanes` elements of an argument    \
                                        that begins on a cache line */    \
    X(PREFETCH, "prefetch", HINT, 0) /* the place, which need not lie in the buffer, is read before long */             \
    X(CONST, "const", MISC, 0)       /* dst = value in every lane */                                                    \
    X(FROM_INT, "fromint", MISC, 0)  /* dst = (float) lo, in every lane */                                              \
    X(CONVERT, "convert", MISC, 1)   /* dst = a, f32 ↔ f64, same lanes */                                               \
    X(DOT4, "dot4", MISC, 3) /* i32 dst = c + Σ of a's four unsigned bytes times b's four signed ones, lane by lane; \
                                        a, b quads, c i32 */ \
    X(DOT4S, "dots", MISC, 3)  /* the same of a's bytes as signed ones */                                               \
    X(QUADS, "quads", MISC, 4) /* quads dst: lane l = byte l of a, of b, of c, of d, which have a quarter of     \
                                        dst's lanes, each of four bytes */      \
    X(LANE, "lane", MISC, 1)   /* dst (1 lane) = lane `step` of a */                                                    \
    X(HALF, "half", MISC, 1)   /* dst (half the lanes of a) = lower (step 0) or upper (step 1) half of a */             \
    X(JOIN, "join", MISC, 2)   /* dst (twice the lanes of a) = a, then b */                                             \
    X(MOVE, "move", MATH, 1)                                                                                            \
    X(ADD, "add", MATH, 2)                                                                                              \
    X(SUB, "sub", MATH, 2)                                                                                              \
    X(MUL, "mul", MATH, 2)                                                                                              \
    X(DIV, "div", MATH, 2)                                                                                              \
    X(MAX, "max", MATH, 2)                                                                                              \
    X(MIN, "min", MATH, 2)                                                                                              \
    X(FMA, "fma", MATH, 3) /* dst = a*b + c, rounded once */                                                            \
    X(SQRT, "sqrt", MATH, 1)                                                                                            \
    X(FLOOR, "floor", MATH, 1)                                                                                          \
    X(SELECT_LT, "sellt", MATH, 4)   /* dst = a < b ? c : d, lane by lane */                                            \
    X(SELECT_EQ, "seleq", MATH, 4)   /* dst = a == b ? c : d */                                                         \
    X(POW2, "pow2", MATH, 1)         /* dst = 2^a, a integral in [-126, 127] (f64: [-1022, 1023]); by bits */           \
    X(EXPONENT, "exponent", MATH, 1) /* dst = floor(log2 a) as float, a normal and positive; by bits */                 \
    X(MANTISSA, "mantissa", MATH, 1) /* dst = a / 2^exponent(a), in [1, 2); by bits */                                  \
    X(EXP, "exp", MATH, 1)           /* these four: expanded by loop_expand_math before any float32 engine sees */      \
    X(LOG, "log", MATH, 1)           /* them; the float64 interpreter calls libm */                                     \
    X(TANH, "tanh", MATH, 1)                                                                                            \
    X(SIGMOID, "sigmoid", MATH, 1)                                                                                      \
    X(THREADS, "threads", STRUCT, 0) /* var = the thread's number, of `step`; directly in PARALLEL, all of its body */  \
    X(BARRIER, "barrier", SYNC, 0)   /* what the block's threads did before it, all of them see behind it */            \
    X(FLIP, "flip", MATH, 1) /* of quads: the highest bit of each byte turned: unsigned ones less 128, signed */        \
    X(REQUANTISE, "requant", MATH,                                                                                      \
      4) /* i32: a, s, m, z: (clamp(a >> s, -2^15, 2^15 - 1) · m + z) >> step, clamped to \
                                        0 … 255; >> rounds down, 0 <= s < 32, 0 <= m < 2^15, 15 <= step <= 21 */

enum loop_op {
#define X(name, text, kind, operands) LOOP_##name,
    LOOP_OPS(X)
#undef X
        LOOP_OP_COUNT
};
enum loop_kind { LOOP_STRUCT, LOOP_INT, LOOP_MEM, LOOP_MISC, LOOP_MATH, LOOP_HINT, LOOP_SYNC };
extern const struct loop_op_info {
    const char *text;
    enum loop_kind kind;
    int operands;
} loop_op_info[LOOP_OP_COUNT];

/* One instruction. Fields that an op does not use are zero. */
typedef struct loop_ins {
    int32_t op;
    int32_t dst;    /* register, or integer variable for FOR, PARALLEL, THREADS and INT ops */
    int32_t src[4]; /* registers */
    int32_t
        match; /* PARALLEL, THREADS, FOR: index of its END. IF: of its ELSE or END. ELSE: of its END. END: of its opener. */
    int32_t step;
    double value; /* CONST */
    loop_index lo, hi;
    loop_place place;
} loop_ins;

typedef struct loop_reg {
    int32_t dtype; /* DT_F32, DT_F64, DT_I32 or DT_QUAD */
    int32_t lanes;
} loop_reg;

enum loop_access { LOOP_IN = 1, LOOP_OUT = 2, LOOP_INOUT = 3 };

typedef struct loop_buffer {
    int32_t dtype;
    int32_t access;   /* of an argument: what the kernel may do with it */
    int64_t elements; /* of a scratch array (0 for arguments) */
} loop_buffer;

typedef struct kernel {
    VEC(loop_ins) ins;
    VEC(loop_reg) regs;
    int ints; /* number of integer variables, n included */
    VEC(loop_buffer) args;
    VEC(loop_buffer) scratch; /* laid out one after the other, each aligned to 64 bytes */
    char name[48];            /* for people: what it does ("relu_dw3x3_pw_stats"); not part of equality or the key */
} kernel;

/* Byte offset of scratch array i; i = scratch.count gives the total. (A wide run has its own: loop_widen, and the
 * interpreter.) */
int64_t loop_scratch_offset(const kernel *k, int i);
/* Is there an integer register, or an argument of u8? LLVM is not told of those yet. */
bool loop_has_integers(const kernel *k);
/* Threads of a unit; 0: the kernel has no THREADS. */
int loop_threads_of(const kernel *k);
/* Bytes of scratch that the threads of a block share; 0: it has none. */
int64_t loop_shared_bytes(const kernel *k);
/* Registers that a thread of a GPU will have, about. `at`: the work lies there. */
int loop_pressure(arena *at, const kernel *k);

/* ---- building ------------------------------------------------------------------------------------------------
 * The lowering's pen. Every function appends to the kernel and returns the register or variable it defined. */
typedef struct loop_pen {
    arena *arena;
    kernel *k;
    int open[64]; /* instructions of the open PARALLEL, FOR, IF */
    int depth;
} loop_pen;

int loop_arg(loop_pen *p, enum dtype t, enum loop_access access); /* a place's buffer number */
int loop_scratch(loop_pen *p, enum dtype t, int64_t elements);    /* likewise */
loop_index loop_at(int64_t base);                                 /* a constant index */
loop_index loop_plus(loop_index i, int var, int64_t coef);        /* i + coef·var */
loop_index loop_sum(loop_index a, loop_index b);
loop_index loop_times(loop_index a, int64_t factor);
loop_index loop_offset(loop_index a, int64_t more);
int loop_parallel(loop_pen *p);           /* its variable */
int loop_threads(loop_pen *p, int count); /* likewise */
void loop_barrier(loop_pen *p);
int loop_for(loop_pen *p, loop_index lo, loop_index hi, int step); /* its variable */
void loop_if(loop_pen *p, loop_index lo, loop_index hi);           /* if (lo < hi) */
void loop_else(loop_pen *p);
void loop_end(loop_pen *p);
int loop_int(loop_pen *p, enum loop_op op, loop_index lo, loop_index hi, int step);
int loop_int_load(loop_pen *p, int buffer, loop_index at);
int loop_load(loop_pen *p, enum dtype t, int lanes, int buffer, loop_index at);
int loop_bcast(loop_pen *p, enum dtype t, int lanes, int buffer, loop_index at);
void loop_store(loop_pen *p, int buffer, loop_index at, int value);
void loop_stream(loop_pen *p, int buffer, loop_index at, int value); /* a streamed store */
void loop_prefetch(loop_pen *p, int buffer, loop_index at);
int loop_const(loop_pen *p, enum dtype t, int lanes, double value);
int loop_from_int(loop_pen *p, enum dtype t, int lanes, loop_index value);
int loop_convert(loop_pen *p, enum dtype t, int value);
int loop_lane(loop_pen *p, int value, int lane);
int loop_half(loop_pen *p, int value, int upper);
/* dst, of i32, += the dot products of quads. */
void loop_dot4_to(loop_pen *p, int dst, int a, int b, bool a_signed);
int loop_quads(loop_pen *p, int a, int b, int c, int d);
int loop_requantise(loop_pen *p, int a, int s, int m, int z, int step);
int loop_join(loop_pen *p, int lower, int upper);
int loop_part(loop_pen *p, int value, int i, int parts);      /* part i of a register of so many, a power of two */
int loop_join_all(loop_pen *p, const int value[], int count); /* registers of a power of two, one behind the other */
int loop_math(loop_pen *p, enum loop_op op, int a, int b, int c,
              int d); /* a new register = op(a, b, c, d); unused: -1 */
/* The same into a register that stands already: accumulators. */
void loop_math_to(loop_pen *p, int dst, enum loop_op op, int a, int b, int c, int d);

/* ---- passes and views ---------------------------------------------------------------------------------------- */

void loop_print(text *t, const kernel *k);
kernel *loop_parse(arena *a, const char *source, const char *file, nasc_diag *d);
/* What every kernel promises: nesting, types, definition before use on every path, buffers and variables in range,
 * access respected, one PARALLEL outermost, no barrier where threads may have parted. Returns false with a diagnostic
 * that names the instruction. */
bool loop_verify(const kernel *k, nasc_diag *d);
/* Replaces exp, log, tanh, sigmoid of f32 by arithmetic (fma stands only where `fma` is true). Shares storage with k.
 * requires: loop_verify. breaks: nothing. */
kernel *loop_expand_math(arena *a, const kernel *k, bool fma);
/* The kernel of a wide run: f64 wherever k has f32, and moves for conversions between the two. Its key is its own.
 * requires: loop_verify; loop_expand_math for machine code. breaks: that what is stored to bf16, i8 and i32 is f32,
 * which the interpreter and LLVM do not ask for. */
kernel *loop_widen(arena *a, const kernel *k);
/* Key of everything that compilation sees (not the name). Two kernels with equal keys are equal. */
void loop_key(const kernel *k, unsigned char key[16]);

/* ---- the interpreter: the oracle for all emitters -------------------------------------------------------------
 * Runs units [begin, end). With `wide`, every f32 buffer and register is float64: buffers then hold doubles.
 * `sizes[i]` is the number of elements that argument i has from its pointer on: an access beyond is an error,
 * as is a read of a scratch element that this unit has not written. Threads of a unit run one after the other from
 * barrier to barrier: a race between them, or between two blocks of threads of this call, is an error, as is a barrier
 * that not all of them reach. Single-threaded; allocates its own scratch.
 * requires: loop_verify; without `wide` loop_expand_math (wide runs may have either). */
typedef struct loop_call {
    void *const *buffer;
    const int64_t *sizes;
    int64_t n, begin, end;
    bool wide;
} loop_call;
bool loop_interpret(const kernel *k, const loop_call *call, nasc_diag *d);

#endif
