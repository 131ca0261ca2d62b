/* The interpreter: the oracle for all emitters, and in float64 for gradients.
 *
 * It runs whole networks in tests, so a kernel is decoded first: an instruction becomes 64 bytes with a function
 * pointer, registers become offsets into one array, an index keeps the terms it has. A handler is specialised by
 * operation, type and lanes. Every access is checked, and scratch is poisoned before each unit, so that a kernel cannot
 * depend on which units its thread ran before. What threads within a unit need stands in interp_threads.c. */
#include "interp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- failures --------------------------------------------------------------------------------------------------- */

const code *interp_fail(interp *s, const code *c, const char *format, ...)
{
    char where[320], what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(where, sizeof where, "kernel %s, instruction %d (%s)", s->k->name, (int)(c - s->first),
             loop_op_info[s->k->ins.at[c - s->first].op].text);
    diag_fail(s->d, DIAG_INPUT, where, "%s", what);
    s->failed = true;
    return NULL;
}

static const code *fail(interp *s, const code *c, const char *what, int64_t element)
{
    int buffer = s->k->ins.at[c - s->first].place.buffer;
    bool scratch = buffer >= LOOP_SCRATCH;
    return interp_fail(s, c, "element %lld of %s %d %s (it has %lld)", (long long)element,
                       scratch ? "scratch" : "argument", buffer - (scratch ? LOOP_SCRATCH : LOOP_ARG), what,
                       (long long)s->buffers[c->src[1]].size);
}

const code *interp_out_of_bounds(interp *s, const code *c, int64_t element)
{
    return fail(s, c, "is out of bounds", element);
}

const code *interp_never_written(interp *s, const code *c, int64_t element)
{
    return fail(s, c, "was never written", element);
}

const code *interp_not_representable(interp *s, const code *c, int64_t element)
{
    return fail(s, c, "cannot hold the value", element);
}

/* ---- elements of any type --------------------------------------------------------------------------------------- */

static uint16_t bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float bf16_to(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

double interp_element(const bound_buffer *b, int64_t element)
{
    switch (b->dtype) {
    case DT_F32:
        return ((const float *)b->at)[element];
    case DT_F64:
        return ((const double *)b->at)[element];
    case DT_BF16:
        return bf16_to(((const uint16_t *)b->at)[element]);
    case DT_I8:
        return ((const int8_t *)b->at)[element];
    case DT_U8:
        return ((const uint8_t *)b->at)[element];
    default:
        return ((const int32_t *)b->at)[element];
    }
}

bool interp_set_element(const bound_buffer *b, int64_t element, double value)
{
    switch (b->dtype) {
    case DT_F32:
        ((float *)b->at)[element] = (float)value;
        return true;
    case DT_F64:
        ((double *)b->at)[element] = value;
        return true;
    case DT_BF16:
        ((uint16_t *)b->at)[element] = bf16_of((float)value);
        return true;
    case DT_U8:
        if (!(value > -1 && value < 256))
            return false;
        ((uint8_t *)b->at)[element] = (uint8_t)value;
        return true;
    case DT_I8:
        if (!(value > -129 && value < 128))
            return false;
        ((int8_t *)b->at)[element] = (int8_t)value;
        return true;
    default:
        if (!(value > -2147483649.0 && value < 2147483648.0))
            return false;
        ((int32_t *)b->at)[element] = (int32_t)value;
        return true;
    }
}

/* ---- control and integers --------------------------------------------------------------------------------------- */

static const code *run_next(interp *s, const code *c)
{
    (void)s;
    return c + 1;
}

static const code *run_unit_end(interp *s, const code *c)
{
    (void)s, (void)c;
    return NULL;
}

static const code *run_for(interp *s, const code *c)
{
    int64_t lo = interp_index(s, c->lo);
    s->ints[c->dst] = lo;
    return lo < interp_index(s, c->hi) ? c + 1 : c->target;
}

static const code *run_for_end(interp *s, const code *c)
{
    s->ints[c->dst] += c->step;
    return s->ints[c->dst] < interp_index(s, c->hi) ? c->target : c + 1;
}

static const code *run_if(interp *s, const code *c)
{
    return interp_index(s, c->lo) < interp_index(s, c->hi) ? c + 1 : c->target;
}

static const code *run_jump(interp *s, const code *c)
{
    (void)s;
    return c->target;
}

static const code *run_int_set(interp *s, const code *c)
{
    s->ints[c->dst] = interp_index(s, c->lo);
    return c + 1;
}

static const code *run_int_min(interp *s, const code *c)
{
    int64_t lo = interp_index(s, c->lo), hi = interp_index(s, c->hi);
    s->ints[c->dst] = lo < hi ? lo : hi;
    return c + 1;
}

static const code *run_int_max(interp *s, const code *c)
{
    int64_t lo = interp_index(s, c->lo), hi = interp_index(s, c->hi);
    s->ints[c->dst] = lo > hi ? lo : hi;
    return c + 1;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static const code *run_int_div(interp *s, const code *c)
{
    s->ints[c->dst] = floor_div(interp_index(s, c->lo), c->step);
    return c + 1;
}

static const code *run_int_mod(interp *s, const code *c)
{
    int64_t value = interp_index(s, c->lo);
    s->ints[c->dst] = value - c->step * floor_div(value, c->step);
    return c + 1;
}

static const code *run_int_load(interp *s, const code *c)
{
    const bound_buffer *b = &s->buffers[c->src[1]];
    int64_t at = interp_index(s, c->lo);
    if (at < 0 || at >= b->size)
        return interp_out_of_bounds(s, c, at);
    if (b->written && !b->written[at])
        return interp_never_written(s, c, at);
    s->ints[c->dst] = (int64_t)interp_element(b, at);
    return c + 1;
}

/* ---- decoding --------------------------------------------------------------------------------------------------- */

typedef struct decoder {
    arena *arena;
    const kernel *k;
    const handler_row *table[2]; /* f32, f64 */
    int32_t *offset;             /* of registers, in bytes */
    size_t register_bytes;       /* of all, with what handlers may look at behind them */
    bool wide;
} decoder;

static bool is_integer(const decoder *p, int32_t reg)
{
    return p->k->regs.at[reg].dtype == DT_I32 || p->k->regs.at[reg].dtype == DT_QUAD;
}

static bool is_f64(const decoder *p, int32_t reg)
{
    return (p->wide && !is_integer(p, reg)) || p->k->regs.at[reg].dtype == DT_F64;
}

static const packed_index *pack(decoder *p, const loop_index *i)
{
    size_t terms = (size_t)(i->count < 2 ? 2 : i->count) * sizeof(loop_term);
    packed_index *packed = arena_alloc(p->arena, sizeof *packed + terms);
    packed->base = i->base;
    packed->count = i->count;
    memcpy(packed->term, i->term, terms);
    return packed;
}

static handler *find_handler(const decoder *p, const loop_ins *ins, int32_t reg)
{
    int op = ins->op;
    if (op == LOOP_HALF || (op == LOOP_CONVERT && is_f64(p, ins->src[0]) == is_f64(p, ins->dst)))
        op = op == LOOP_HALF ? LOOP_LANE : LOOP_MOVE;
    int width = __builtin_ctz((unsigned)p->k->regs.at[reg].lanes);
    handler *found = p->table[is_f64(p, reg)][op][width];
    if (!found)
        BUG("%s on f32 registers was not expanded", loop_op_info[ins->op].text);
    return found;
}

/* What the end of a block does. */
static handler *end_of(const loop_ins *opener)
{
    switch (opener->op) {
    case LOOP_PARALLEL:
        return run_unit_end;
    case LOOP_THREADS:
        return interp_thread_end;
    case LOOP_FOR:
        return run_for_end;
    default:
        return run_next;
    }
}

static void decode_struct(decoder *p, const loop_ins *ins, const code *first, code *c)
{
    const loop_ins *match = &p->k->ins.at[ins->match];
    c->target = first + ins->match + 1;
    switch (ins->op) {
    case LOOP_FOR:
        c->run = run_for;
        break;
    case LOOP_IF:
        c->run = run_if;
        break;
    case LOOP_ELSE:
        c->run = run_jump;
        break;
    case LOOP_PARALLEL:
    case LOOP_THREADS:
        c->run = run_next;
        break;
    default:
        c->run = end_of(match);
        c->dst = match->dst;
        c->step = match->step;
        c->hi = pack(p, &match->hi);
    }
}

static void decode_float(decoder *p, const loop_ins *ins, code *c)
{
    int32_t typed = ins->op == LOOP_STORE ? ins->src[0] : ins->dst;
    bool integer = is_integer(p, typed), quads = p->k->regs.at[typed].dtype == DT_QUAD;
    c->run = integer ? interp_integer(ins->op, quads) : find_handler(p, ins, typed);
    c->dst = p->offset[ins->dst];
    for (int i = 0; i < loop_op_info[ins->op].operands; i++)
        c->src[i] = p->offset[ins->src[i]];
    if (integer && ins->op == LOOP_CONST)
        c->src[1] = (int32_t)(int64_t)ins->value;
    if (integer)
        c->lanes = p->k->regs.at[typed].lanes;
    else
        c->value = ins->value;
    if (ins->op == LOOP_HALF)
        c->step = ins->step * p->k->regs.at[ins->dst].lanes;
}

static void decode(decoder *p, const loop_ins *ins, const code *first, code *c)
{
    static handler *const integer[] = {
        [LOOP_INT_SET] = run_int_set, [LOOP_INT_MIN] = run_int_min, [LOOP_INT_MAX] = run_int_max,
        [LOOP_INT_DIV] = run_int_div, [LOOP_INT_MOD] = run_int_mod, [LOOP_INT_LOAD] = run_int_load,
    };
    enum loop_kind kind = loop_op_info[ins->op].kind;
    *c = (code){.dst = ins->dst, .step = ins->step, .lo = pack(p, &ins->lo), .hi = pack(p, &ins->hi)};
    if (kind == LOOP_STRUCT)
        decode_struct(p, ins, first, c);
    else if (kind == LOOP_INT)
        c->run = integer[ins->op];
    else if (kind == LOOP_HINT)
        c->run = run_next;
    else if (kind == LOOP_SYNC)
        c->run = interp_barrier;
    else
        decode_float(p, ins, c);
    if (kind == LOOP_MEM || ins->op == LOOP_INT_LOAD) {
        bool scratch = ins->place.buffer >= LOOP_SCRATCH;
        c->src[1] = ins->place.buffer - (scratch ? LOOP_SCRATCH - p->k->args.count : LOOP_ARG);
        c->lo = pack(p, &ins->place.index);
    }
}

static void pick_tables(decoder *p)
{
    p->table[0] = interp_f32_base;
    p->table[1] = interp_f64_base;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        p->table[0] = interp_f32_avx2;
        p->table[1] = interp_f64_avx2;
    }
#endif
}

/* Registers one after the other, each at a multiple of its size up to 64 bytes. */
static char *lay_out_registers(decoder *p)
{
    int count = p->k->regs.count;
    p->offset = NEW_ARRAY(p->arena, int32_t, count + 1);
    int32_t bytes = 0;
    for (int r = 0; r < count; r++) {
        int32_t size = p->k->regs.at[r].lanes * (is_f64(p, r) ? 8 : 4);
        int32_t align = size < 64 ? size : 64;
        bytes = (bytes + align - 1) & -align;
        p->offset[r] = bytes;
        bytes += size;
    }
    /* 128 more: handlers form pointers to operands that they do not have */
    p->register_bytes = ((size_t)bytes + 128 + 63) & ~(size_t)63;
    char *at = arena_alloc(p->arena, p->register_bytes + 64);
    return at + (-(uintptr_t)at & 63);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static bound_buffer *bind(decoder *p, const loop_call *call)
{
    const kernel *k = p->k;
    bound_buffer *buffers = NEW_ARRAY(p->arena, bound_buffer, k->args.count + k->scratch.count + 1);
    for (int i = 0; i < k->args.count + k->scratch.count; i++) {
        bool scratch = i >= k->args.count;
        const loop_buffer *b = scratch ? &k->scratch.at[i - k->args.count] : &k->args.at[i];
        int32_t dtype = b->dtype == DT_F32 && p->wide ? DT_F64 : b->dtype;
        buffers[i] = (bound_buffer){.dtype = dtype, .scratch = scratch};
        if (!scratch) {
            buffers[i].at = call->buffer[i];
            buffers[i].size = call->sizes[i];
            continue;
        }
        buffers[i].size = b->elements;
        buffers[i].at = arena_alloc(p->arena, (size_t)(b->elements * dtype_info[dtype].bytes));
        if (dtype != DT_F32 && dtype != DT_F64)
            buffers[i].written = arena_alloc(p->arena, (size_t)b->elements);
    }
    return buffers;
}

static void poison(interp *s)
{
    for (int i = s->k->args.count; i < s->k->args.count + s->k->scratch.count; i++) {
        bound_buffer *b = &s->buffers[i];
        for (int64_t e = 0; b->dtype == DT_F32 && e < b->size; e++)
            ((uint32_t *)b->at)[e] = POISON_F32;
        for (int64_t e = 0; b->dtype == DT_F64 && e < b->size; e++)
            ((uint64_t *)b->at)[e] = POISON_F64;
        if (b->written)
            memset(b->written, 0, (size_t)b->size);
    }
}

static void run_unit(interp *s, int64_t unit)
{
    s->ints[s->first->dst] = unit;
    for (const code *c = s->first; c;)
        c = c->run(s, c);
}

typedef struct request {
    const kernel *k;
    const loop_call *call;
} request;

static bool run(void *user, arena *a, nasc_diag *d)
{
    const request *q = user;
    const kernel *k = q->k;
    const loop_call *call = q->call;
    decoder p = {.arena = a, .k = k, .wide = call->wide};
    pick_tables(&p);
    interp s = {.k = k, .d = d, .regs = lay_out_registers(&p)};
    code *first = NEW_ARRAY(a, code, k->ins.count);
    for (int i = 0; i < k->ins.count; i++)
        decode(&p, &k->ins.at[i], first, &first[i]);
    s.first = first;
    s.buffers = bind(&p, call);
    s.ints = NEW_ARRAY(a, int64_t, k->ints + 1);
    s.ints[0] = call->n;
    if (loop_threads_of(k))
        interp_watch(a, &s, first, p.register_bytes);
    for (int64_t unit = call->begin; unit < call->end && !s.failed; unit++) {
        poison(&s);
        if (s.block)
            interp_run_block(&s, unit);
        else
            run_unit(&s, unit);
    }
    return !s.failed;
}

bool loop_interpret(const kernel *k, const loop_call *call, nasc_diag *d)
{
    request q = {k, call};
    return arena_within(run, &q, d);
}
