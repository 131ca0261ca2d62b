/* What every kernel promises, checked in one walk. Beside types and ranges: a register or variable is defined on every
 * path that reaches its use. A loop whose bounds are constants that let it run defines what its body defines; any other
 * may run no time at all. */
#include "threads.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* What is defined, a byte each: registers, then variables. */
typedef struct open_block {
    int at;               /* the instruction that opened it */
    unsigned char *entry; /* what was defined when it was opened */
    unsigned char *then;  /* at ELSE: what the first branch had defined */
} open_block;

typedef struct verifier {
    arena *arena;
    const kernel *k;
    nasc_diag *d;
    unsigned char *defined;
    size_t count;
    open_block open[DEPTH_MAX];
    int depth;
    int at;           /* the instruction being checked */
    int64_t *divisor; /* of each variable: divides all that it is ever set to (0: it is 0); NULL: not asked for yet */
} verifier;

static bool wrong(verifier *v, const char *format, ...) PRINTF(2, 3);
static bool wrong(verifier *v, const char *format, ...)
{
    char where[320], what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (v->at < 0) {
        snprintf(where, sizeof where, "kernel %s", v->k->name);
        return diag_fail(v->d, DIAG_INPUT, where, "%s", what);
    }
    int op = v->k->ins.at[v->at].op;
    snprintf(where, sizeof where, "kernel %s, instruction %d (%s)", v->k->name, v->at,
             op >= 0 && op < LOOP_OP_COUNT ? loop_op_info[op].text : "?");
    return diag_fail(v->d, DIAG_INPUT, where, "%s", what);
}

/* ---- declarations ----------------------------------------------------------------------------------------------- */

static bool check_buffers(verifier *v)
{
    const kernel *k = v->k;
    if (k->args.count > LOOP_ARGS_MAX || k->scratch.count > LOOP_SCRATCH_MAX)
        return wrong(v, "%d arguments and %d scratch arrays, at most %d and %d", k->args.count, k->scratch.count,
                     LOOP_ARGS_MAX, LOOP_SCRATCH_MAX);
    for (int i = 0; i < k->args.count; i++) {
        const loop_buffer *b = &k->args.at[i];
        if (b->dtype < 0 || b->dtype >= DT_QUAD || b->access < LOOP_IN || b->access > LOOP_INOUT || b->elements)
            return wrong(v, "argument %d is declared wrongly", i);
    }
    for (int i = 0; i < k->scratch.count; i++) {
        const loop_buffer *b = &k->scratch.at[i];
        if (b->dtype < 0 || b->dtype >= DT_QUAD || b->access || b->elements < 1 || b->elements > INT32_MAX)
            return wrong(v, "scratch array %d is declared wrongly", i);
    }
    return true;
}

static bool check_registers(verifier *v)
{
    for (int i = 0; i < v->k->regs.count; i++) {
        loop_reg r = v->k->regs.at[i];
        bool known = r.dtype == DT_F32 || r.dtype == DT_F64 || r.dtype == DT_I32 || r.dtype == DT_QUAD;
        if (!known || r.lanes < 1 || r.lanes > LOOP_LANES_MAX || (r.lanes & (r.lanes - 1)))
            return wrong(v, "register %d is neither f32, f64, i32 nor quad of 1, 2, 4, 8 or 16 lanes", i);
    }
    return true;
}

/* ---- operands --------------------------------------------------------------------------------------------------- */

static bool check_index(verifier *v, const loop_index *i, const char *which)
{
    if (i->count < 0 || i->count > LOOP_TERMS_MAX)
        return wrong(v, "%s has %d terms", which, i->count);
    for (int t = 0; t < LOOP_TERMS_MAX; t++) {
        loop_term term = i->term[t];
        bool ordered = t == 0 || i->term[t - 1].var < term.var;
        if (t < i->count ? !term.coef || !ordered : term.coef || term.var)
            return wrong(v, "%s is not canonical", which);
        if (t >= i->count)
            continue;
        if (term.var < 0 || term.var >= v->k->ints)
            return wrong(v, "%s uses variable %d of %d", which, term.var, v->k->ints);
        if (!v->defined[v->k->regs.count + term.var])
            return wrong(v, "%s uses i%d, which is not defined on every path", which, term.var);
    }
    return true;
}

static bool check_empty(verifier *v, const loop_index *i)
{
    static const loop_index empty;
    return memcmp(&i->term, &empty.term, sizeof empty.term) || i->base || i->count
               ? wrong(v, "an index that the operation does not use is not zero")
               : true;
}

static bool check_read(verifier *v, int reg)
{
    if (reg < 0 || reg >= v->k->regs.count)
        return wrong(v, "register %d of %d", reg, v->k->regs.count);
    if (!v->defined[reg])
        return wrong(v, "r%d is not defined on every path", reg);
    return true;
}

static bool define_register(verifier *v, int reg)
{
    if (reg < 0 || reg >= v->k->regs.count)
        return wrong(v, "register %d of %d", reg, v->k->regs.count);
    v->defined[reg] = 1;
    return true;
}

static bool define_variable(verifier *v, int var)
{
    if (var < 1 || var >= v->k->ints)
        return wrong(v, "variable %d cannot be assigned (of %d; 0 is the batch)", var, v->k->ints);
    for (int i = 0; i < v->depth; i++) {
        const loop_ins *opener = &v->k->ins.at[v->open[i].at];
        if (opener->op != LOOP_FOR && opener->op != LOOP_PARALLEL && opener->op != LOOP_THREADS)
            continue;
        bool bound = opener->dst == var;
        for (int t = 0; t < opener->hi.count; t++)
            bound |= opener->hi.term[t].var == var;
        if (bound)
            return wrong(v, "i%d is assigned in the loop that runs by it", var);
    }
    v->defined[v->k->regs.count + var] = 1;
    return true;
}

static bool check_place(verifier *v, const loop_ins *ins, const loop_buffer **found)
{
    const kernel *k = v->k;
    bool scratch = ins->place.buffer >= LOOP_SCRATCH;
    int number = ins->place.buffer - (scratch ? LOOP_SCRATCH : LOOP_ARG);
    if (number < 0 || number >= (scratch ? k->scratch.count : k->args.count))
        return wrong(v, "there is no %s %d", scratch ? "scratch array" : "argument", number);
    const loop_buffer *b = scratch ? &k->scratch.at[number] : &k->args.at[number];
    int need = ins->op == LOOP_STORE ? LOOP_OUT : LOOP_IN;
    if (!scratch && !(b->access & need))
        return wrong(v, "argument %d may not be %s", number, need == LOOP_IN ? "read" : "written");
    *found = b;
    return check_index(v, &ins->place.index, "the place");
}

static bool has_type(const verifier *v, int reg, int dtype, int lanes)
{
    return v->k->regs.at[reg].dtype == dtype && v->k->regs.at[reg].lanes == lanes;
}

/* ---- instructions ----------------------------------------------------------------------------------------------- */

static bool check_int(verifier *v, const loop_ins *ins)
{
    bool two = ins->op == LOOP_INT_MIN || ins->op == LOOP_INT_MAX;
    bool divides = ins->op == LOOP_INT_DIV || ins->op == LOOP_INT_MOD;
    if (ins->op == LOOP_INT_LOAD) {
        const loop_buffer *b = NULL;
        if (!check_place(v, ins, &b) || !b || !check_empty(v, &ins->lo))
            return false;
        if (b->dtype != DT_I32 && b->dtype != DT_I8 && b->dtype != DT_U8)
            return wrong(v, "an integer is read from a buffer of %s", dtype_info[b->dtype].name);
    } else if (!check_index(v, &ins->lo, "the value")) {
        return false;
    }
    if (two ? !check_index(v, &ins->hi, "the second value") : !check_empty(v, &ins->hi))
        return false;
    if (divides ? ins->step < 1 : ins->step)
        return wrong(v, "a step of %d", ins->step);
    return define_variable(v, ins->dst);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* What divides every value of an index. */
static int64_t index_divisor(const verifier *v, const loop_index *index)
{
    int64_t all = index->base;
    for (int i = 0; i < index->count && i < LOOP_TERMS_MAX; i++) {
        int var = index->term[i].var;
        all = common_divisor(all, var < 0 || var >= v->k->ints ? 1 : index->term[i].coef * v->divisor[var]);
    }
    return all;
}

static int64_t value_divisor(const verifier *v, const loop_ins *ins)
{
    int64_t lo = index_divisor(v, &ins->lo);
    switch (ins->op) {
    case LOOP_FOR:
        return common_divisor(lo, ins->step);
    case LOOP_INT_SET:
        return lo;
    case LOOP_INT_MIN:
    case LOOP_INT_MAX:
        return common_divisor(lo, index_divisor(v, &ins->hi));
    default:
        return 1;
    }
}

/* Of instructions before the present one all is in range; of those behind it nothing is known yet. */
static bool sets_variable(const verifier *v, const loop_ins *ins)
{
    return ins->op >= 0 && ins->op < LOOP_OP_COUNT && ins->dst >= 0 && ins->dst < v->k->ints &&
           (loop_op_info[ins->op].kind == LOOP_INT || ins->op == LOOP_FOR || ins->op == LOOP_PARALLEL ||
            ins->op == LOOP_THREADS);
}

static void find_divisors(verifier *v)
{
    v->divisor = NEW_ARRAY(v->arena, int64_t, v->k->ints);
    v->divisor[0] = 1; /* the batch */
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < v->k->ins.count; i++) {
            const loop_ins *ins = &v->k->ins.at[i];
            if (!sets_variable(v, ins))
                continue;
            int64_t all = common_divisor(v->divisor[ins->dst], value_divisor(v, ins));
            changed |= all != v->divisor[ins->dst];
            v->divisor[ins->dst] = all;
        }
    }
}

/* Whole vectors of an argument, each where one can begin. */
static bool check_streamed(verifier *v, const loop_ins *ins)
{
    if (!v->divisor)
        find_divisors(v);
    bool aligned = index_divisor(v, &ins->place.index) % v->k->regs.at[ins->src[0]].lanes == 0;
    return (ins->step == 1 && ins->place.buffer < LOOP_SCRATCH && aligned) ||
           wrong(v, "what is streamed is no whole vector of an argument");
}

static bool is_integer(int dtype)
{
    return dtype == DT_I32 || dtype == DT_QUAD;
}

/* Quads lie in bytes; what is i32 in a register is an integer in memory. */
static bool check_stored_type(verifier *v, int dtype, const loop_buffer *b)
{
    bool bytes = b->dtype == DT_U8 || b->dtype == DT_I8;
    return (bytes || (dtype == DT_I32 && b->dtype == DT_I32)) ||
           wrong(v, "%s in a buffer of %s", dtype_info[dtype].name, dtype_info[b->dtype].name);
}

static bool check_memory(verifier *v, const loop_ins *ins)
{
    const loop_buffer *b = NULL;
    if (!check_place(v, ins, &b) || !b)
        return false;
    if (ins->op != LOOP_STORE)
        return define_register(v, ins->dst) &&
               (!is_integer(v->k->regs.at[ins->dst].dtype) || check_stored_type(v, v->k->regs.at[ins->dst].dtype, b));
    if (!check_read(v, ins->src[0]))
        return false;
    if (is_integer(v->k->regs.at[ins->src[0]].dtype))
        return check_stored_type(v, v->k->regs.at[ins->src[0]].dtype, b) &&
               (!ins->step || wrong(v, "integers are not streamed"));
    bool narrow = b->dtype != DT_F32 && b->dtype != DT_F64;
    if (narrow && v->k->regs.at[ins->src[0]].dtype != DT_F32)
        return wrong(v, "f64 is stored to a buffer of %s", dtype_info[b->dtype].name);
    return !ins->step || check_streamed(v, ins);
}

static bool check_misc(verifier *v, const loop_ins *ins)
{
    for (int i = 0; i < loop_op_info[ins->op].operands; i++)
        if (!check_read(v, ins->src[i]))
            return false;
    if (ins->op == LOOP_FROM_INT ? !check_index(v, &ins->lo, "the value") : !check_empty(v, &ins->lo))
        return false;
    if (!define_register(v, ins->dst))
        return false;
    loop_reg a = v->k->regs.at[ins->src[0]], dst = v->k->regs.at[ins->dst];
    switch (ins->op) {
    case LOOP_FROM_INT:
        return !is_integer(dst.dtype) || wrong(v, "the result is no float");
    case LOOP_DOT4:
    case LOOP_DOT4S:
        return (a.dtype == DT_QUAD && has_type(v, ins->src[1], DT_QUAD, a.lanes) &&
                has_type(v, ins->src[2], DT_I32, a.lanes) && has_type(v, ins->dst, DT_I32, a.lanes)) ||
               wrong(v, "its types are not quad, quad, i32 and i32");
    case LOOP_QUADS:
        for (int i = 0; i < 4; i++)
            if (!has_type(v, ins->src[i], DT_QUAD, dst.lanes / 4))
                return wrong(v, "operand r%d has not a quarter of the result's lanes", ins->src[i]);
        return dst.dtype == DT_QUAD || wrong(v, "the result is no quad");
    case LOOP_CONVERT:
        if (is_integer(dst.dtype) || is_integer(a.dtype))
            return wrong(v, "converts integers");
        return dst.lanes == a.lanes ? true : wrong(v, "lanes change from %d to %d", a.lanes, dst.lanes);
    case LOOP_LANE:
        if (ins->step < 0 || ins->step >= a.lanes)
            return wrong(v, "lane %d of %d", ins->step, a.lanes);
        return has_type(v, ins->dst, a.dtype, 1) ? true : wrong(v, "the result has not the type of a lane");
    case LOOP_HALF:
        if (ins->step < 0 || ins->step > 1)
            return wrong(v, "half %d of 2", ins->step);
        return a.lanes > 1 && has_type(v, ins->dst, a.dtype, a.lanes / 2)
                   ? true
                   : wrong(v, "the result has not the type of a half");
    case LOOP_JOIN:
        if (!has_type(v, ins->src[1], a.dtype, a.lanes))
            return wrong(v, "operand r%d has another type", ins->src[1]);
        return has_type(v, ins->dst, a.dtype, a.lanes * 2) ? true
                                                           : wrong(v, "the result has not the type of two operands");
    default:
        return true;
    }
}

static bool has_operation(int op, int dtype)
{
    switch (op) {
    case LOOP_MAX:
    case LOOP_MIN:
    case LOOP_MOVE:
        return true;
    case LOOP_ADD:
    case LOOP_SUB:
    case LOOP_MUL:
        return dtype != DT_QUAD;
    case LOOP_FLIP:
        return dtype == DT_QUAD;
    case LOOP_REQUANTISE:
        return dtype == DT_I32;
    default:
        return !is_integer(dtype);
    }
}

static bool check_math(verifier *v, const loop_ins *ins)
{
    for (int i = 0; i < loop_op_info[ins->op].operands; i++)
        if (!check_read(v, ins->src[i]))
            return false;
    if (!define_register(v, ins->dst))
        return false;
    loop_reg dst = v->k->regs.at[ins->dst];
    for (int i = 0; i < loop_op_info[ins->op].operands; i++)
        if (!has_type(v, ins->src[i], dst.dtype, dst.lanes))
            return wrong(v, "operand r%d has another type than the result", ins->src[i]);
    if (!has_operation(ins->op, dst.dtype))
        return wrong(v, "%s registers have not this operation", dtype_info[dst.dtype].name);
    if (ins->op == LOOP_REQUANTISE && (ins->step < 15 || ins->step > 21))
        return wrong(v, "a step of %d, expected 15 to 21", ins->step);
    bool expanded = ins->op == LOOP_EXP || ins->op == LOOP_LOG || ins->op == LOOP_TANH || ins->op == LOOP_SIGMOID;
    if (expanded && dst.dtype != DT_F32)
        return wrong(v, "only f32 registers have this operation");
    return true;
}

/* ---- structure -------------------------------------------------------------------------------------------------- */

static unsigned char *snapshot(verifier *v)
{
    return arena_copy(v->arena, v->defined, v->count);
}

/* The step of an opener, and what only the outer two have to be. */
static bool check_opener(verifier *v, const loop_ins *ins)
{
    if (ins->op == LOOP_PARALLEL && v->at)
        return wrong(v, "parallel is not the first instruction");
    if (ins->op == LOOP_THREADS && v->at != 1)
        return wrong(v, "threads do not begin the parallel loop");
    if (ins->op == LOOP_THREADS && (ins->step < 1 || ins->step > LOOP_THREADS_MAX))
        return wrong(v, "%d threads, at least 1 and at most %d", ins->step, LOOP_THREADS_MAX);
    bool steps = ins->op == LOOP_FOR || ins->op == LOOP_THREADS;
    return (steps ? ins->step >= 1 : !ins->step) || wrong(v, "a step of %d", ins->step);
}

static bool check_open(verifier *v, const loop_ins *ins)
{
    bool unbounded = ins->op == LOOP_PARALLEL || ins->op == LOOP_THREADS, conditional = ins->op == LOOP_IF;
    if (!check_opener(v, ins))
        return false;
    if (v->depth == DEPTH_MAX)
        return wrong(v, "more than %d levels", DEPTH_MAX);
    if (unbounded ? !check_empty(v, &ins->lo) || !check_empty(v, &ins->hi)
                  : !check_index(v, &ins->lo, "the lower bound") || !check_index(v, &ins->hi, "the upper bound"))
        return false;
    unsigned char *entry = snapshot(v);
    if (!conditional && !define_variable(v, ins->dst))
        return false;
    v->open[v->depth++] = (open_block){.at = v->at, .entry = entry};
    return true;
}

static bool check_else(verifier *v)
{
    open_block *b = v->depth ? &v->open[v->depth - 1] : NULL;
    if (!b || v->k->ins.at[b->at].op != LOOP_IF)
        return wrong(v, "else without if");
    if (v->k->ins.at[b->at].match != v->at)
        return wrong(v, "the if at %d does not match its else", b->at);
    b->then = snapshot(v);
    b->at = v->at;
    memcpy(v->defined, b->entry, v->count);
    return true;
}

static bool check_end(verifier *v, const loop_ins *ins)
{
    if (!v->depth)
        return wrong(v, "end without a block");
    open_block *b = &v->open[--v->depth];
    const loop_ins *opener = &v->k->ins.at[b->at];
    if (opener->match != v->at || ins->match != b->at)
        return wrong(v, "the block at %d and its end do not match", b->at);
    bool always = opener->op == LOOP_FOR && !opener->lo.count && !opener->hi.count && opener->lo.base < opener->hi.base;
    if (b->then)
        for (size_t i = 0; i < v->count; i++)
            v->defined[i] &= b->then[i];
    else if (!always)
        memcpy(v->defined, b->entry, v->count);
    if (opener->op == LOOP_FOR)
        v->defined[v->k->regs.count + opener->dst] = 0;
    if (!v->depth && v->at != v->k->ins.count - 1)
        return wrong(v, "instructions follow the parallel loop");
    if (opener->op == LOOP_THREADS && v->at != v->k->ins.count - 2)
        return wrong(v, "the threads are not all of the parallel loop");
    return true;
}

/* Fields that the operation does not use are zero. */
static bool check_unused(verifier *v, const loop_ins *ins)
{
    enum loop_kind kind = loop_op_info[ins->op].kind;
    bool has_step = kind == LOOP_STRUCT || kind == LOOP_INT || ins->op == LOOP_LANE || ins->op == LOOP_HALF ||
                    ins->op == LOOP_STORE || ins->op == LOOP_REQUANTISE;
    bool has_place = kind == LOOP_MEM || kind == LOOP_HINT || ins->op == LOOP_INT_LOAD;
    bool has_dst = ins->op != LOOP_IF && ins->op != LOOP_ELSE && ins->op != LOOP_END && ins->op != LOOP_STORE &&
                   kind != LOOP_HINT && kind != LOOP_SYNC;
    bool zero = (has_step || !ins->step) && (has_dst || !ins->dst) && (has_place || !ins->place.buffer) &&
                (kind == LOOP_STRUCT || !ins->match) && (ins->op == LOOP_CONST || ins->value == 0);
    for (int i = loop_op_info[ins->op].operands; i < 4; i++)
        zero &= !ins->src[i];
    if (!zero)
        return wrong(v, "a field that the operation does not use is not zero");
    if (!has_place && !check_empty(v, &ins->place.index))
        return false;
    bool no_bounds =
        kind == LOOP_MEM || kind == LOOP_HINT || kind == LOOP_MATH || ins->op == LOOP_ELSE || ins->op == LOOP_END;
    if (no_bounds && !check_empty(v, &ins->lo))
        return false;
    return !no_bounds && kind != LOOP_MISC ? true : check_empty(v, &ins->hi);
}

static bool check_instruction(verifier *v, const loop_ins *ins)
{
    const loop_buffer *b;
    if (ins->op < 0 || ins->op >= LOOP_OP_COUNT)
        return wrong(v, "operation %d", ins->op);
    if (!v->depth && ins->op != LOOP_PARALLEL)
        return wrong(v, "the first instruction is not parallel");
    if (!check_unused(v, ins))
        return false;
    switch (loop_op_info[ins->op].kind) {
    case LOOP_INT:
        return check_int(v, ins);
    case LOOP_MEM:
        return check_memory(v, ins);
    case LOOP_HINT:
        return check_place(v, ins, &b);
    case LOOP_MISC:
        return check_misc(v, ins);
    case LOOP_MATH:
        return check_math(v, ins);
    case LOOP_SYNC:
        return check_empty(v, &ins->lo) && check_empty(v, &ins->hi);
    default:
        return ins->op == LOOP_END ? check_end(v, ins) : ins->op == LOOP_ELSE ? check_else(v) : check_open(v, ins);
    }
}

static bool verify(void *user, arena *a, nasc_diag *d)
{
    verifier *v = user;
    const kernel *k = v->k;
    v->arena = a;
    v->d = d;
    if (k->ints < 1 || !k->ins.count)
        return wrong(v, "it has no instructions");
    if (!check_buffers(v) || !check_registers(v))
        return false;
    v->count = (size_t)k->regs.count + (size_t)k->ints;
    v->defined = arena_alloc(a, v->count);
    v->defined[k->regs.count] = 1; /* the batch */
    for (v->at = 0; v->at < k->ins.count; v->at++)
        if (!check_instruction(v, &k->ins.at[v->at]))
            return false;
    v->at = v->depth ? v->open[v->depth - 1].at : -1;
    if (v->depth)
        return wrong(v, "the block has no end");
    v->at = loop_lone_barrier(a, k);
    return v->at < 0 || wrong(v, "not all threads may reach it");
}

bool loop_verify(const kernel *k, nasc_diag *d)
{
    verifier v = {.k = k, .at = -1};
    return arena_within(verify, &v, d);
}
