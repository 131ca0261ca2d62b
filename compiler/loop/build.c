/* The pen that lowerings write kernels with, and the tables of types and instructions.
 *
 * An index is kept canonical at every step (terms by rising variable, none zero, the unused ones zeroed), so that equal
 * addresses are equal bytes and no pass has to normalise. */
#include "loop.h"

#include <math.h>

const struct dtype_info dtype_info[DT_COUNT] = {
    [DT_F32] = {"f32", 4}, [DT_F64] = {"f64", 8}, [DT_BF16] = {"bf16", 2}, [DT_I8] = {"i8", 1},
    [DT_I32] = {"i32", 4}, [DT_U8] = {"u8", 1},   [DT_QUAD] = {"quad", 4},
};

const struct loop_op_info loop_op_info[LOOP_OP_COUNT] = {
#define X(name, text, kind, operands) [LOOP_##name] = {text, LOOP_##kind, operands},
    LOOP_OPS(X)
#undef X
};

int64_t loop_scratch_offset(const kernel *k, int i)
{
    int64_t offset = 0;
    for (int s = 0; s < i; s++) {
        int64_t bytes = k->scratch.at[s].elements * dtype_info[k->scratch.at[s].dtype].bytes;
        offset += (bytes + 63) & ~(int64_t)63;
    }
    return offset;
}

/* ---- indices -------------------------------------------------------------------------------------------------- */

loop_index loop_at(int64_t base)
{
    return (loop_index){.base = base};
}

static int32_t coefficient(int64_t coef)
{
    if (coef > INT32_MAX || coef < -INT32_MAX)
        BUG("an index coefficient of %lld", (long long)coef);
    return (int32_t)coef;
}

loop_index loop_plus(loop_index i, int var, int64_t coef)
{
    int at = 0;
    while (at < i.count && i.term[at].var < var)
        at++;
    if (at < i.count && i.term[at].var == var) {
        i.term[at].coef = coefficient(i.term[at].coef + coef);
        if (i.term[at].coef)
            return i;
        for (i.count--; at < i.count; at++)
            i.term[at] = i.term[at + 1];
        i.term[i.count] = (loop_term){0};
        return i;
    }
    if (!coef)
        return i;
    if (i.count == LOOP_TERMS_MAX)
        BUG("an index of more than %d terms", LOOP_TERMS_MAX);
    for (int t = i.count++; t > at; t--)
        i.term[t] = i.term[t - 1];
    i.term[at] = (loop_term){var, coefficient(coef)};
    return i;
}

loop_index loop_sum(loop_index a, loop_index b)
{
    a.base += b.base;
    for (int t = 0; t < b.count; t++)
        a = loop_plus(a, b.term[t].var, b.term[t].coef);
    return a;
}

loop_index loop_times(loop_index a, int64_t factor)
{
    loop_index product = loop_at(a.base * factor);
    for (int t = 0; t < a.count; t++)
        product = loop_plus(product, a.term[t].var, a.term[t].coef * factor);
    return product;
}

loop_index loop_offset(loop_index a, int64_t more)
{
    a.base += more;
    return a;
}

/* ---- buffers, registers, variables ------------------------------------------------------------------------------ */

int loop_arg(loop_pen *p, enum dtype t, enum loop_access access)
{
    CHECK(p->k->args.count < LOOP_ARGS_MAX);
    loop_buffer arg = {.dtype = t, .access = access};
    VEC_PUSH(p->arena, &p->k->args, arg);
    return LOOP_ARG + p->k->args.count - 1;
}

int loop_scratch(loop_pen *p, enum dtype t, int64_t elements)
{
    CHECK(p->k->scratch.count < LOOP_SCRATCH_MAX && elements > 0);
    loop_buffer scratch = {.dtype = t, .elements = elements};
    VEC_PUSH(p->arena, &p->k->scratch, scratch);
    return LOOP_SCRATCH + p->k->scratch.count - 1;
}

static int new_reg(loop_pen *p, int dtype, int lanes)
{
    loop_reg reg = {dtype, lanes};
    VEC_PUSH(p->arena, &p->k->regs, reg);
    return p->k->regs.count - 1;
}

static int new_int(loop_pen *p)
{
    if (!p->k->ints)
        p->k->ints = 1; /* the batch */
    return p->k->ints++;
}

static loop_reg reg_of(const loop_pen *p, int reg)
{
    CHECK(reg >= 0 && reg < p->k->regs.count);
    return p->k->regs.at[reg];
}

static int append(loop_pen *p, loop_ins ins)
{
    VEC_PUSH(p->arena, &p->k->ins, ins);
    return p->k->ins.count - 1;
}

int loop_threads_of(const kernel *k)
{
    return k->ins.count > 1 && k->ins.at[1].op == LOOP_THREADS ? k->ins.at[1].step : 0;
}

int64_t loop_shared_bytes(const kernel *k)
{
    return loop_threads_of(k) ? loop_scratch_offset(k, k->scratch.count) : 0;
}

bool loop_has_integers(const kernel *k)
{
    for (int r = 0; r < k->regs.count; r++)
        if (k->regs.at[r].dtype == DT_I32 || k->regs.at[r].dtype == DT_QUAD)
            return true;
    for (int i = 0; i < k->args.count; i++)
        if (k->args.at[i].dtype == DT_U8)
            return true;
    return false;
}

/* ---- control ---------------------------------------------------------------------------------------------------- */

static void open_block(loop_pen *p, loop_ins ins)
{
    CHECK(p->depth < (int)COUNT(p->open));
    p->open[p->depth++] = append(p, ins);
}

int loop_parallel(loop_pen *p)
{
    int var = new_int(p);
    open_block(p, (loop_ins){.op = LOOP_PARALLEL, .dst = var});
    return var;
}

int loop_threads(loop_pen *p, int count)
{
    int var = new_int(p);
    open_block(p, (loop_ins){.op = LOOP_THREADS, .dst = var, .step = count});
    return var;
}

void loop_barrier(loop_pen *p)
{
    append(p, (loop_ins){.op = LOOP_BARRIER});
}

int loop_for(loop_pen *p, loop_index lo, loop_index hi, int step)
{
    int var = new_int(p);
    open_block(p, (loop_ins){.op = LOOP_FOR, .dst = var, .lo = lo, .hi = hi, .step = step});
    return var;
}

void loop_if(loop_pen *p, loop_index lo, loop_index hi)
{
    open_block(p, (loop_ins){.op = LOOP_IF, .lo = lo, .hi = hi});
}

void loop_else(loop_pen *p)
{
    CHECK(p->depth > 0);
    int opener = p->open[--p->depth];
    CHECK(p->k->ins.at[opener].op == LOOP_IF);
    p->k->ins.at[opener].match = p->k->ins.count;
    open_block(p, (loop_ins){.op = LOOP_ELSE});
}

void loop_end(loop_pen *p)
{
    CHECK(p->depth > 0);
    int opener = p->open[--p->depth];
    int end = append(p, (loop_ins){.op = LOOP_END, .match = opener}); /* may move the array */
    p->k->ins.at[opener].match = end;
}

/* ---- integers and memory ---------------------------------------------------------------------------------------- */

int loop_int(loop_pen *p, enum loop_op op, loop_index lo, loop_index hi, int step)
{
    int var = new_int(p);
    append(p, (loop_ins){.op = op, .dst = var, .lo = lo, .hi = hi, .step = step});
    return var;
}

int loop_int_load(loop_pen *p, int buffer, loop_index at)
{
    int var = new_int(p);
    append(p, (loop_ins){.op = LOOP_INT_LOAD, .dst = var, .place = {buffer, at}});
    return var;
}

int loop_load(loop_pen *p, enum dtype t, int lanes, int buffer, loop_index at)
{
    int reg = new_reg(p, t, lanes);
    append(p, (loop_ins){.op = LOOP_LOAD, .dst = reg, .place = {buffer, at}});
    return reg;
}

int loop_bcast(loop_pen *p, enum dtype t, int lanes, int buffer, loop_index at)
{
    int reg = new_reg(p, t, lanes);
    append(p, (loop_ins){.op = LOOP_BCAST, .dst = reg, .place = {buffer, at}});
    return reg;
}

void loop_store(loop_pen *p, int buffer, loop_index at, int value)
{
    append(p, (loop_ins){.op = LOOP_STORE, .src = {value}, .place = {buffer, at}});
}

void loop_stream(loop_pen *p, int buffer, loop_index at, int value)
{
    append(p, (loop_ins){.op = LOOP_STORE, .src = {value}, .step = 1, .place = {buffer, at}});
}

void loop_prefetch(loop_pen *p, int buffer, loop_index at)
{
    append(p, (loop_ins){.op = LOOP_PREFETCH, .place = {buffer, at}});
}

/* ---- floats ----------------------------------------------------------------------------------------------------- */

int loop_const(loop_pen *p, enum dtype t, int lanes, double value)
{
    int reg = new_reg(p, t, lanes);
    append(p, (loop_ins){.op = LOOP_CONST, .dst = reg, .value = isnan(value) ? (double)NAN : value});
    return reg;
}

int loop_from_int(loop_pen *p, enum dtype t, int lanes, loop_index value)
{
    int reg = new_reg(p, t, lanes);
    append(p, (loop_ins){.op = LOOP_FROM_INT, .dst = reg, .lo = value});
    return reg;
}

int loop_convert(loop_pen *p, enum dtype t, int value)
{
    int reg = new_reg(p, t, reg_of(p, value).lanes);
    append(p, (loop_ins){.op = LOOP_CONVERT, .dst = reg, .src = {value}});
    return reg;
}

int loop_lane(loop_pen *p, int value, int lane)
{
    int reg = new_reg(p, reg_of(p, value).dtype, 1);
    append(p, (loop_ins){.op = LOOP_LANE, .dst = reg, .src = {value}, .step = lane});
    return reg;
}

int loop_half(loop_pen *p, int value, int upper)
{
    int reg = new_reg(p, reg_of(p, value).dtype, reg_of(p, value).lanes / 2);
    append(p, (loop_ins){.op = LOOP_HALF, .dst = reg, .src = {value}, .step = upper});
    return reg;
}

int loop_join(loop_pen *p, int lower, int upper)
{
    int reg = new_reg(p, reg_of(p, lower).dtype, reg_of(p, lower).lanes * 2);
    append(p, (loop_ins){.op = LOOP_JOIN, .dst = reg, .src = {lower, upper}});
    return reg;
}

int loop_part(loop_pen *p, int value, int i, int parts)
{
    for (; parts > 1; parts /= 2)
        value = loop_half(p, value, i / (parts / 2) % 2);
    return value;
}

int loop_join_all(loop_pen *p, const int value[], int count)
{
    if (count == 1)
        return value[0];
    return loop_join(p, loop_join_all(p, value, count / 2), loop_join_all(p, value + count / 2, count / 2));
}

void loop_math_to(loop_pen *p, int dst, enum loop_op op, int a, int b, int c, int d)
{
    CHECK(loop_op_info[op].kind == LOOP_MATH);
    const int given[4] = {a, b, c, d};
    loop_ins ins = {.op = op, .dst = dst};
    for (int i = 0; i < 4; i++) {
        CHECK((given[i] >= 0) == (i < loop_op_info[op].operands));
        ins.src[i] = given[i] < 0 ? 0 : given[i];
    }
    append(p, ins);
}

int loop_math(loop_pen *p, enum loop_op op, int a, int b, int c, int d)
{
    int dst = new_reg(p, reg_of(p, a).dtype, reg_of(p, a).lanes);
    loop_math_to(p, dst, op, a, b, c, d);
    return dst;
}

/* ---- integer registers ------------------------------------------------------------------------------------------ */

void loop_dot4_to(loop_pen *p, int dst, int a, int b, bool a_signed)
{
    append(p, (loop_ins){.op = a_signed ? LOOP_DOT4S : LOOP_DOT4, .dst = dst, .src = {a, b, dst}});
}

int loop_quads(loop_pen *p, int a, int b, int c, int d)
{
    int reg = new_reg(p, DT_QUAD, 4 * reg_of(p, a).lanes);
    append(p, (loop_ins){.op = LOOP_QUADS, .dst = reg, .src = {a, b, c, d}});
    return reg;
}

int loop_requantise(loop_pen *p, int a, int s, int m, int z, int step)
{
    int reg = new_reg(p, DT_I32, reg_of(p, a).lanes);
    append(p, (loop_ins){.op = LOOP_REQUANTISE, .dst = reg, .src = {a, s, m, z}, .step = step});
    return reg;
}
