/* Random kernels that are valid and stay finite: what the engines are compared on, bit for bit.
 *
 *     random_kernel r = random_kernel_make(&arena, seed, (random_options){.lanes = 8, .fma = true});
 *     void **x = random_kernel_buffers(&arena, &r, seed, false), **y = …;
 *     loop_interpret(r.k, &(loop_call){x, r.sizes, r.n, 0, r.units}, &d); …another engine on y…
 *     assert_true(random_kernel_equal(&r, x, y, false));
 *
 * Every value in a register that later code reads lies in [-4, 4]: each operation is followed by the scaling that
 * brings its result back. Every integer variable has a known range, so that every index can be kept within bounds.
 * The same seed yields the same kernel whatever the compiler: no call has two arguments that draw.
 * With .expand the kernel has exp, log, tanh and sigmoid, which loop_expand_math must replace before a float32 engine.
 */
#ifndef NASC_RANDOM_KERNEL_H
#define NASC_RANDOM_KERNEL_H

#include <stdlib.h>
#include <string.h>
#include "loop/loop.h"

typedef struct random_options {
    int lanes;   /* the widest vectors */
    bool fma;    /* may contain fma */
    bool expand; /* may contain exp, log, tanh, sigmoid (on f32) */
    bool narrow; /* may have bf16, i8 and i32 buffers */
    bool wide;   /* may have f64 registers and buffers */
} random_options;

enum { RANDOM_ARGS = 6, RANDOM_STRIDE = 96, RANDOM_VARS = 64, RANDOM_POOL = 48 };

typedef struct random_kernel {
    kernel *k;
    int64_t n, units;
    int64_t sizes[RANDOM_ARGS];
} random_kernel;

typedef struct random_range {
    int var;
    int64_t least, most;
} random_range;

typedef struct random_state {
    loop_pen pen;
    uint64_t seed;
    random_options o;
    random_kernel *r;
    int unit;
    random_range var[RANDOM_VARS]; /* variables in scope */
    int vars;
    int pool[RANDOM_POOL]; /* registers in scope */
    int pooled;
    int budget; /* statements to go */
} random_state;

static inline uint64_t random_bits(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A whole number in [least, most]. */
static inline int64_t random_between(uint64_t *seed, int64_t least, int64_t most)
{
    return least + (int64_t)(random_bits(seed) % (uint64_t)(most - least + 1));
}

static inline int64_t rk_pick(random_state *s, int64_t least, int64_t most)
{
    return random_between(&s->seed, least, most);
}

/* ---- indices with known ranges -------------------------------------------------------------------------------- */

/* A random affine index that lies in [least, most] whatever the variables are. */
static inline loop_index rk_index(random_state *s, int64_t least, int64_t most)
{
    loop_index i = loop_at(0);
    int64_t low = 0, high = 0;
    for (int t = (int)rk_pick(s, 0, 3); t > 0 && s->vars; t--) {
        random_range v = s->var[rk_pick(s, 0, s->vars - 1)];
        int64_t coef = rk_pick(s, -3, 6);
        int64_t a = coef * v.least, b = coef * v.most;
        int64_t wider_low = low + (a < b ? a : b), wider_high = high + (a < b ? b : a);
        if (wider_high - wider_low > most - least)
            continue;
        i = loop_plus(i, v.var, coef);
        low = wider_low;
        high = wider_high;
    }
    return loop_offset(i, rk_pick(s, least - low, most - high));
}

static inline void rk_scope_var(random_state *s, int var, int64_t least, int64_t most)
{
    if (s->vars < RANDOM_VARS)
        s->var[s->vars++] = (random_range){var, least, most};
}

static inline void rk_int_statement(random_state *s)
{
    int64_t most = rk_pick(s, 1, 40);
    loop_index a = rk_index(s, -most, most), b = rk_index(s, -most, most);
    int step = (int)rk_pick(s, 1, 7);
    switch (rk_pick(s, 0, 4)) {
    case 0:
        rk_scope_var(s, loop_int(&s->pen, LOOP_INT_SET, a, loop_at(0), 0), -most, most);
        break;
    case 1:
        rk_scope_var(s, loop_int(&s->pen, LOOP_INT_MIN, a, b, 0), -most, most);
        break;
    case 2:
        rk_scope_var(s, loop_int(&s->pen, LOOP_INT_MAX, a, b, 0), -most, most);
        break;
    case 3:
        rk_scope_var(s, loop_int(&s->pen, LOOP_INT_DIV, a, loop_at(0), step), -most, most / step);
        break;
    default:
        rk_scope_var(s, loop_int(&s->pen, LOOP_INT_MOD, a, loop_at(0), step), 0, step - 1);
    }
}

/* ---- registers -------------------------------------------------------------------------------------------------- */

static inline loop_reg rk_type(const random_state *s, int reg)
{
    return s->pen.k->regs.at[reg];
}

static inline int rk_lanes(random_state *s)
{
    int lanes = 1 << rk_pick(s, 0, 4);
    return lanes < s->o.lanes ? lanes : s->o.lanes;
}

static inline enum dtype rk_float(random_state *s)
{
    return s->o.wide && rk_pick(s, 0, 3) == 0 ? DT_F64 : DT_F32;
}

static inline loop_reg rk_some_type(random_state *s)
{
    loop_reg t = {.dtype = rk_float(s)};
    t.lanes = rk_lanes(s);
    return t;
}

static inline int rk_keep(random_state *s, int reg)
{
    if (s->pooled < RANDOM_POOL)
        s->pool[s->pooled++] = reg;
    return reg;
}

static inline int rk_const(random_state *s, loop_reg t, double value)
{
    return loop_const(&s->pen, (enum dtype)t.dtype, t.lanes, value);
}

static inline int rk_scaled(random_state *s, int reg, double factor)
{
    return loop_math(&s->pen, LOOP_MUL, reg, rk_const(s, rk_type(s, reg), factor), -1, -1);
}

/* A register of type t in [-4, 4]: from the pool if there is one, else new. */
static inline int rk_operand(random_state *s, loop_reg t)
{
    int matching[RANDOM_POOL], count = 0;
    for (int i = 0; i < s->pooled; i++) {
        loop_reg have = rk_type(s, s->pool[i]);
        if (have.dtype == t.dtype && have.lanes == t.lanes)
            matching[count++] = s->pool[i];
    }
    if (count && rk_pick(s, 0, 9))
        return matching[rk_pick(s, 0, count - 1)];
    if (rk_pick(s, 0, 3) == 0) {
        int whole = loop_from_int(&s->pen, (enum dtype)t.dtype, t.lanes, rk_index(s, -64, 64));
        return rk_scaled(s, whole, 0.0517);
    }
    return rk_const(s, t, (double)rk_pick(s, -4000, 4000) / 1000);
}

/* a·a + c: positive. */
static inline int rk_positive(random_state *s, int a, double c)
{
    int square = loop_math(&s->pen, LOOP_MUL, a, a, -1, -1);
    return loop_math(&s->pen, LOOP_ADD, square, rk_const(s, rk_type(s, a), c), -1, -1);
}

static inline bool rk_allowed(const random_state *s, enum loop_op op, loop_reg t)
{
    if (op == LOOP_FMA)
        return s->o.fma;
    if (op == LOOP_EXP || op == LOOP_LOG || op == LOOP_TANH || op == LOOP_SIGMOID)
        return s->o.expand && t.dtype == DT_F32;
    return true;
}

/* One MATH operation on values of type t, brought back to [-4, 4]. */
static inline int rk_math(random_state *s, loop_reg t)
{
    enum loop_op op = (enum loop_op)rk_pick(s, LOOP_MOVE, LOOP_SIGMOID);
    while (!rk_allowed(s, op, t))
        op = (enum loop_op)rk_pick(s, LOOP_MOVE, LOOP_SIGMOID);
    int x[4] = {-1, -1, -1, -1};
    for (int i = 0; i < loop_op_info[op].operands; i++)
        x[i] = rk_operand(s, t);
    if (op == LOOP_DIV)
        x[1] = rk_positive(s, x[1], 1);
    if (op == LOOP_SQRT || op == LOOP_EXPONENT || op == LOOP_MANTISSA || op == LOOP_LOG)
        x[0] = rk_positive(s, x[0], 0.01);
    if (op == LOOP_POW2)
        x[0] = loop_math(&s->pen, LOOP_FLOOR, x[0], -1, -1, -1);
    int result = loop_math(&s->pen, op, x[0], x[1], x[2], x[3]);
    switch (op) {
    case LOOP_ADD:
    case LOOP_SUB:
    case LOOP_SQRT:
    case LOOP_LOG:
        return rk_scaled(s, result, 0.47);
    case LOOP_MUL:
    case LOOP_POW2:
    case LOOP_EXPONENT:
        return rk_scaled(s, result, 0.23);
    case LOOP_FMA:
        return rk_scaled(s, result, 0.19);
    case LOOP_EXP:
        return rk_scaled(s, result, 0.07);
    default:
        return result;
    }
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Of integers the values reach ±128; of floats they lie in [-4, 4] already. */
static inline int rk_loaded(random_state *s, int reg, int dtype)
{
    return dtype == DT_I8 || dtype == DT_I32 ? rk_scaled(s, reg, 0.03) : reg;
}

static inline int rk_read(random_state *s, int buffer, int dtype, loop_index origin, int64_t size)
{
    enum dtype t = dtype == DT_F64 ? DT_F64 : dtype == DT_F32 ? rk_float(s) : DT_F32;
    int lanes = rk_lanes(s);
    if (rk_pick(s, 0, 7) == 0) /* anywhere, outside too */
        loop_prefetch(&s->pen, buffer, loop_offset(origin, rk_pick(s, -9999, 9999)));
    if (rk_pick(s, 0, 3) == 0) {
        loop_index at = loop_sum(origin, rk_index(s, 0, size - 1));
        return rk_loaded(s, loop_bcast(&s->pen, t, lanes, buffer, at), dtype);
    }
    loop_index at = loop_sum(origin, rk_index(s, 0, size - lanes));
    return rk_loaded(s, loop_load(&s->pen, t, lanes, buffer, at), dtype);
}

static inline void rk_write(random_state *s, int buffer, int dtype, loop_index at, int lanes)
{
    loop_reg t = {dtype == DT_F64 || (dtype == DT_F32 && rk_float(s) == DT_F64) ? DT_F64 : DT_F32, lanes};
    loop_store(&s->pen, buffer, at, rk_operand(s, t));
}

static inline loop_index rk_own(const random_state *s, int arg)
{
    return s->pen.k->args.at[arg].access == LOOP_IN ? loop_at(0) : loop_plus(loop_at(0), s->unit, RANDOM_STRIDE);
}

/* Reads or writes an argument (where each unit owns RANDOM_STRIDE elements of what is written) or scratch. */
static inline void rk_memory_statement(random_state *s)
{
    const kernel *k = s->pen.k;
    int which = (int)rk_pick(s, 0, k->args.count + k->scratch.count - 1);
    bool scratch = which >= k->args.count;
    int at = scratch ? which - k->args.count : which;
    const loop_buffer *b = scratch ? &k->scratch.at[at] : &k->args.at[at];
    int buffer = scratch ? LOOP_SCRATCH + at : LOOP_ARG + at;
    loop_index origin = scratch ? loop_at(0) : rk_own(s, at);
    int64_t size = scratch ? b->elements : b->access == LOOP_IN ? s->r->sizes[at] : RANDOM_STRIDE;
    bool may_read = scratch || b->access & LOOP_IN, may_write = scratch || b->access & LOOP_OUT;
    int dtype = b->dtype;
    if (may_read && !(may_write && rk_pick(s, 0, 1))) {
        rk_keep(s, rk_read(s, buffer, dtype, origin, size));
        return;
    }
    int lanes = rk_lanes(s);
    rk_write(s, buffer, dtype, loop_sum(origin, rk_index(s, 0, size - lanes)), lanes);
}

/* Writes elements [0, size) of a buffer: vectors, then a tail of the next smaller width, down to one. */
static inline void rk_fill(random_state *s, int buffer, int dtype, loop_index origin, int64_t size)
{
    int64_t done = 0;
    for (int lanes = rk_lanes(s); lanes > 0 && done < size; lanes /= 2) {
        int64_t whole = done + (size - done) / lanes * lanes;
        if (whole == done)
            continue;
        int var = loop_for(&s->pen, loop_at(done), loop_at(whole), lanes);
        rk_write(s, buffer, dtype, loop_plus(origin, var, 1), lanes);
        loop_end(&s->pen);
        done = whole;
    }
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

static inline void rk_block(random_state *s, int depth);

static inline void rk_for(random_state *s, int depth)
{
    int64_t lo = rk_pick(s, -2, 3), step = rk_pick(s, 1, 4);
    bool by_batch = rk_pick(s, 0, 2) == 0;
    int64_t trip = rk_pick(s, 0, 5);
    int64_t hi = by_batch ? s->r->n + trip : lo + trip;
    loop_index end = by_batch ? loop_plus(loop_at(trip), 0, 1) : loop_at(hi);
    int var = loop_for(&s->pen, loop_at(lo), end, (int)step);
    int vars = s->vars, pooled = s->pooled;
    rk_scope_var(s, var, lo, hi > lo ? hi - 1 : lo);
    rk_block(s, depth + 1);
    s->vars = vars;
    s->pooled = pooled;
    loop_end(&s->pen);
}

static inline void rk_if(random_state *s, int depth)
{
    loop_index lo = rk_index(s, -8, 8), hi = rk_index(s, -8, 8);
    loop_if(&s->pen, lo, hi);
    int vars = s->vars, pooled = s->pooled;
    rk_block(s, depth + 1);
    s->vars = vars;
    s->pooled = pooled;
    if (rk_pick(s, 0, 1)) {
        loop_else(&s->pen);
        rk_block(s, depth + 1);
        s->vars = vars;
        s->pooled = pooled;
    }
    loop_end(&s->pen);
}

/* A register from another: a half, a lane, the other float type. */
static inline void rk_reshape(random_state *s)
{
    if (!s->pooled)
        return;
    int a = s->pool[rk_pick(s, 0, s->pooled - 1)];
    loop_reg t = rk_type(s, a);
    int choice = (int)rk_pick(s, 0, 2);
    if (choice == 0 && t.lanes > 1)
        rk_keep(s, loop_half(&s->pen, a, (int)rk_pick(s, 0, 1)));
    else if (choice == 1)
        rk_keep(s, loop_lane(&s->pen, a, (int)rk_pick(s, 0, t.lanes - 1)));
    else if (s->o.wide)
        rk_keep(s, loop_convert(&s->pen, t.dtype == DT_F32 ? DT_F64 : DT_F32, a));
}

/* Assigns to a register that stands already, as accumulators do. */
static inline void rk_accumulate(random_state *s)
{
    if (!s->pooled)
        return;
    int dst = s->pool[rk_pick(s, 0, s->pooled - 1)];
    int value = rk_math(s, rk_type(s, dst));
    int sum = loop_math(&s->pen, LOOP_ADD, dst, value, -1, -1);
    loop_math_to(&s->pen, dst, LOOP_MUL, sum, rk_const(s, rk_type(s, dst), 0.48), -1, -1);
}

static inline void rk_block(random_state *s, int depth)
{
    for (int statements = (int)rk_pick(s, 1, 8); statements > 0 && s->budget > 0; statements--) {
        s->budget--;
        int choice = (int)rk_pick(s, 0, 15);
        if (choice < 6)
            rk_keep(s, rk_math(s, rk_some_type(s)));
        else if (choice < 10)
            rk_memory_statement(s);
        else if (choice == 10)
            rk_int_statement(s);
        else if (choice == 11)
            rk_reshape(s);
        else if (choice == 12)
            rk_accumulate(s);
        else if (depth < 4 && choice == 13)
            rk_if(s, depth);
        else if (depth < 4)
            rk_for(s, depth);
    }
}

/* ---- the kernel and its buffers ---------------------------------------------------------------------------------- */

static inline enum dtype rk_storage(random_state *s)
{
    if (s->o.narrow && rk_pick(s, 0, 2) == 0) {
        static const enum dtype narrow[] = {DT_BF16, DT_I8, DT_I32};
        return narrow[rk_pick(s, 0, 2)];
    }
    return rk_float(s);
}

static inline void rk_declare(random_state *s)
{
    static const enum loop_access access[RANDOM_ARGS] = {LOOP_IN, LOOP_OUT, LOOP_INOUT, LOOP_IN, LOOP_OUT, LOOP_INOUT};
    int args = (int)rk_pick(s, 3, RANDOM_ARGS);
    for (int i = 0; i < args; i++) {
        loop_arg(&s->pen, i < 2 ? DT_F32 : rk_storage(s), access[i]);
        s->r->sizes[i] = access[i] == LOOP_IN ? rk_pick(s, 20, 300) : s->r->units * RANDOM_STRIDE;
    }
    for (int i = (int)rk_pick(s, 0, 3); i > 0; i--) {
        enum dtype t = rk_storage(s);
        loop_scratch(&s->pen, t, rk_pick(s, 16, 90));
    }
}

static inline random_kernel random_kernel_make(arena *a, uint64_t seed, random_options o)
{
    random_kernel r = {.k = NEW(a, kernel)};
    random_state s = {.pen = {.arena = a, .k = r.k}, .seed = seed, .o = o, .r = &r};
    strcpy(r.k->name, "random");
    r.n = rk_pick(&s, 1, 4);
    r.units = rk_pick(&s, 1, 6);
    rk_declare(&s);
    s.unit = loop_parallel(&s.pen);
    rk_scope_var(&s, s.unit, 0, r.units - 1);
    rk_scope_var(&s, 0, r.n, r.n);
    for (int i = 0; i < r.k->scratch.count; i++)
        rk_fill(&s, LOOP_SCRATCH + i, r.k->scratch.at[i].dtype, loop_at(0), r.k->scratch.at[i].elements);
    for (int lanes = 1; lanes <= o.lanes; lanes *= 2)
        for (enum dtype t = DT_F32; t <= (o.wide ? DT_F64 : DT_F32); t++)
            rk_keep(&s, loop_load(&s.pen, t, lanes, LOOP_ARG, rk_index(&s, 0, r.sizes[0] - lanes)));
    s.budget = (int)rk_pick(&s, 20, 100);
    while (s.budget > 0)
        rk_block(&s, 1);
    rk_fill(&s, LOOP_ARG + 1, DT_F32, rk_own(&s, 1), rk_pick(&s, 1, RANDOM_STRIDE));
    loop_end(&s.pen);
    return r;
}

static inline int64_t rk_bytes(const random_kernel *r, int arg, bool wide)
{
    int dtype = r->k->args.at[arg].dtype;
    return r->sizes[arg] * (wide && dtype == DT_F32 ? 8 : dtype_info[dtype].bytes);
}

/* Buffers with the same random values for the same seed; for a wide run doubles that hold the f32 values. */
static inline void **random_kernel_buffers(arena *a, const random_kernel *r, uint64_t seed, bool wide)
{
    void **buffer = NEW_ARRAY(a, void *, RANDOM_ARGS);
    for (int i = 0; i < r->k->args.count; i++) {
        char *at = arena_alloc(a, (size_t)rk_bytes(r, i, wide) + 64);
        buffer[i] = at + (-(uintptr_t)at & 63);
        for (int64_t e = 0; e < r->sizes[i]; e++) {
            float x = (float)random_between(&seed, -4000000, 4000000) / 1000000;
            int dtype = r->k->args.at[i].dtype;
            if (dtype == DT_F64 || (wide && dtype == DT_F32))
                ((double *)buffer[i])[e] = x;
            else if (dtype == DT_F32)
                ((float *)buffer[i])[e] = x;
            else if (dtype == DT_BF16) {
                uint32_t bits;
                memcpy(&bits, &x, sizeof bits);
                ((uint16_t *)buffer[i])[e] = (uint16_t)(bits >> 16);
            } else if (dtype == DT_I8)
                ((int8_t *)buffer[i])[e] = (int8_t)(x * 30);
            else
                ((int32_t *)buffer[i])[e] = (int32_t)(x * 30);
        }
    }
    return buffer;
}

static inline bool random_kernel_equal(const random_kernel *r, void *const *x, void *const *y, bool wide)
{
    for (int i = 0; i < r->k->args.count; i++)
        if (memcmp(x[i], y[i], (size_t)rk_bytes(r, i, wide)))
            return false;
    return true;
}

#endif
