/* The interpreter's handlers of integer registers: i32 and quads, which are four bytes as uint32_t, the first in memory
 * the lowest. One handler an operation, for any number of lanes; what does not fit is reported. */
#include "interp.h"

#include <string.h>

static int32_t *words(const interp *s, int32_t offset)
{
    return (int32_t *)(s->regs + offset);
}

static int32_t unsigned_byte(int32_t quad, int at)
{
    return (int32_t)((uint32_t)quad >> 8 * at & 255);
}

static int32_t signed_byte(int32_t quad, int at)
{
    return (unsigned_byte(quad, at) ^ 128) - 128;
}

/* `value` where it fits. */
static bool put(int32_t *to, int64_t value)
{
    *to = (int32_t)value;
    return value == *to;
}

static const code *overflow(interp *s, const code *c)
{
    return interp_fail(s, c, "the result does not fit an i32");
}

#define ARITHMETIC(name, expression)                                                                                   \
    static const code *run_##name(interp *s, const code *c)                                                            \
    {                                                                                                                  \
        const int32_t *a = words(s, c->src[0]), *b = words(s, c->src[1]);                                              \
        int32_t *x = words(s, c->dst);                                                                                 \
        for (int l = 0; l < c->lanes; l++)                                                                             \
            if (!put(&x[l], (expression)))                                                                             \
                return overflow(s, c);                                                                                 \
        return c + 1;                                                                                                  \
    }
ARITHMETIC(add, (int64_t)a[l] + b[l])
ARITHMETIC(sub, (int64_t)a[l] - b[l])
ARITHMETIC(mul, (int64_t)a[l] * b[l])
ARITHMETIC(max, a[l] > b[l] ? a[l] : b[l])
ARITHMETIC(min, a[l] < b[l] ? a[l] : b[l])

static const code *run_const(interp *s, const code *c)
{
    for (int l = 0; l < c->lanes; l++)
        words(s, c->dst)[l] = c->src[1];
    return c + 1;
}

static const code *run_move(interp *s, const code *c)
{
    memmove(words(s, c->dst), words(s, c->src[0]), (size_t)c->lanes * sizeof(int32_t));
    return c + 1;
}

/* `step` is the first lane. */
static const code *run_half(interp *s, const code *c)
{
    memmove(words(s, c->dst), words(s, c->src[0]) + c->step, (size_t)c->lanes * sizeof(int32_t));
    return c + 1;
}

static const code *run_dot(interp *s, const code *c, bool is_signed)
{
    const int32_t *a = words(s, c->src[0]), *b = words(s, c->src[1]), *sum = words(s, c->src[2]);
    int32_t *x = words(s, c->dst);
    for (int l = 0; l < c->lanes; l++) {
        int64_t total = sum[l];
        for (int i = 0; i < 4; i++)
            total += (is_signed ? signed_byte(a[l], i) : unsigned_byte(a[l], i)) * signed_byte(b[l], i);
        if (!put(&x[l], total))
            return overflow(s, c);
    }
    return c + 1;
}

static const code *run_dot4(interp *s, const code *c)
{
    return run_dot(s, c, false);
}

static const code *run_dot4s(interp *s, const code *c)
{
    return run_dot(s, c, true);
}

/* The operands are apart from the result: they have fewer lanes. */
static const code *run_quads(interp *s, const code *c)
{
    int32_t *x = words(s, c->dst);
    for (int l = 0; l < c->lanes; l++) {
        uint32_t quad = 0;
        for (int i = 0; i < 4; i++)
            quad |= (uint32_t)unsigned_byte(words(s, c->src[i])[l / 4], l % 4) << 8 * i;
        x[l] = (int32_t)quad;
    }
    return c + 1;
}

static const code *run_flip(interp *s, const code *c)
{
    for (int l = 0; l < c->lanes; l++)
        words(s, c->dst)[l] = (int32_t)((uint32_t)words(s, c->src[0])[l] ^ 0x80808080u);
    return c + 1;
}

static const code *run_bytes(interp *s, const code *c, bool most)
{
    const int32_t *a = words(s, c->src[0]), *b = words(s, c->src[1]);
    int32_t *x = words(s, c->dst);
    for (int l = 0; l < c->lanes; l++) {
        uint32_t quad = 0;
        for (int i = 0; i < 4; i++) {
            int32_t p = unsigned_byte(a[l], i), q = unsigned_byte(b[l], i);
            quad |= (uint32_t)((p > q) == most ? p : q) << 8 * i;
        }
        x[l] = (int32_t)quad;
    }
    return c + 1;
}

static const code *run_bytes_max(interp *s, const code *c)
{
    return run_bytes(s, c, true);
}

static const code *run_bytes_min(interp *s, const code *c)
{
    return run_bytes(s, c, false);
}

static int64_t shift_down(int64_t a, int32_t by)
{
    return a >= 0 ? a >> by : ~(~a >> by);
}

static int64_t clamp(int64_t a, int64_t lo, int64_t hi)
{
    return a < lo ? lo : a > hi ? hi : a;
}

static const code *run_requantise(interp *s, const code *c)
{
    const int32_t *a = words(s, c->src[0]), *down = words(s, c->src[1]), *m = words(s, c->src[2]),
                  *z = words(s, c->src[3]);
    int32_t *x = words(s, c->dst), scaled;
    for (int l = 0; l < c->lanes; l++) {
        if (down[l] < 0 || down[l] > 31 || m[l] < 0 || m[l] > INT16_MAX)
            return interp_fail(s, c, "a shift of %d, a multiplier of %d", down[l], m[l]);
        if (!put(&scaled, clamp(shift_down(a[l], down[l]), INT16_MIN, INT16_MAX) * m[l] + z[l]))
            return overflow(s, c);
        x[l] = (int32_t)clamp(shift_down(scaled, c->step), 0, 255);
    }
    return c + 1;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Elements from `at` on that `count` lanes of `each` elements touch; NULL: beyond the buffer, or never written. */
static const bound_buffer *reach(interp *s, const code *c, int64_t at, int64_t count, bool read)
{
    const bound_buffer *b = &s->buffers[c->src[1]];
    if (at < 0 || at > b->size - count) {
        interp_out_of_bounds(s, c, at);
        return NULL;
    }
    for (int64_t e = at; e < at + count && b->written; e++) {
        if (read && !b->written[e]) {
            interp_never_written(s, c, e);
            return NULL;
        }
        b->written[e] = 1;
    }
    return b;
}

static int32_t quad(const bound_buffer *b, int64_t at)
{
    const unsigned char *from = (const unsigned char *)b->at + at;
    return (int32_t)(from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24);
}

/* `each`: elements of a lane. `lanes`: of the memory; 1: all get the same. */
static const code *load(interp *s, const code *c, int each, int lanes)
{
    int64_t at = interp_index(s, c->lo);
    const bound_buffer *b = reach(s, c, at, (int64_t)each * lanes, true);
    int32_t *x = words(s, c->dst);
    for (int l = 0; l < c->lanes && b; l++) {
        int64_t from = at + (int64_t)each * (lanes > 1 ? l : 0);
        x[l] = each > 1 ? quad(b, from) : (int32_t)interp_element(b, from);
    }
    return b ? c + 1 : NULL;
}

static const code *run_load(interp *s, const code *c)
{
    return load(s, c, 1, c->lanes);
}

static const code *run_bcast(interp *s, const code *c)
{
    return load(s, c, 1, 1);
}

static const code *run_load_quads(interp *s, const code *c)
{
    return load(s, c, 4, c->lanes);
}

static const code *run_bcast_quads(interp *s, const code *c)
{
    return load(s, c, 4, 1);
}

static const code *run_store(interp *s, const code *c)
{
    int64_t at = interp_index(s, c->lo);
    const bound_buffer *b = reach(s, c, at, c->lanes, false);
    for (int l = 0; l < c->lanes && b; l++)
        if (!interp_set_element(b, at + l, words(s, c->src[0])[l]))
            return interp_not_representable(s, c, at + l);
    return b ? c + 1 : NULL;
}

static const code *run_store_quads(interp *s, const code *c)
{
    int64_t at = interp_index(s, c->lo);
    const bound_buffer *b = reach(s, c, at, 4 * c->lanes, false);
    for (int l = 0; l < 4 * c->lanes && b; l++)
        ((unsigned char *)b->at)[at + l] = (unsigned char)unsigned_byte(words(s, c->src[0])[l / 4], l % 4);
    return b ? c + 1 : NULL;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

handler *interp_integer(int op, bool quads)
{
    static handler *const of_words[LOOP_OP_COUNT] = {
        [LOOP_ADD] = run_add,   [LOOP_SUB] = run_sub,     [LOOP_MUL] = run_mul,     [LOOP_MAX] = run_max,
        [LOOP_MIN] = run_min,   [LOOP_MOVE] = run_move,   [LOOP_HALF] = run_half,   [LOOP_CONST] = run_const,
        [LOOP_LOAD] = run_load, [LOOP_BCAST] = run_bcast, [LOOP_STORE] = run_store, [LOOP_REQUANTISE] = run_requantise,
        [LOOP_DOT4] = run_dot4, [LOOP_DOT4S] = run_dot4s, [LOOP_LANE] = run_half,
    };
    static handler *const of_quads[LOOP_OP_COUNT] = {
        [LOOP_MAX] = run_bytes_max,     [LOOP_MIN] = run_bytes_min,   [LOOP_MOVE] = run_move,
        [LOOP_HALF] = run_half,         [LOOP_LOAD] = run_load_quads, [LOOP_BCAST] = run_bcast_quads,
        [LOOP_STORE] = run_store_quads, [LOOP_QUADS] = run_quads,     [LOOP_FLIP] = run_flip,
        [LOOP_LANE] = run_half,         [LOOP_CONST] = run_const,
    };
    handler *found = quads ? of_quads[op] : of_words[op];
    if (!found)
        BUG("%s on integer registers", loop_op_info[op].text);
    return found;
}
