/* Quantised primitives without weights: the borders to floats, sums of maps, pools. */
#include "loop/int8.h"

/* ---- the borders to floats --------------------------------------------------------------------------------------- */

/* Of an image, whose numbers lie side by side. */
static loop_index image_element(const simd *s, int64_t elements, loop_index i)
{
    return loop_sum(loop_times(s->image, elements), i);
}

static int number(simd *s, int lanes, double value)
{
    return loop_const(&s->pen, DT_F32, lanes, value);
}

static void quantise_some(simd *s, loop_index i, int lanes)
{
    const net_node *v = &s->n->nodes.at[s->core];
    int64_t elements = net_elements(&v->type);
    int x = loop_load(&s->pen, DT_F32, lanes, simd_arg(s, v->operand[0], LOOP_IN), image_element(s, elements, i));
    x = loop_math(&s->pen, LOOP_MUL, x, number(s, lanes, v->attr.value), -1, -1);
    x = loop_math(&s->pen, LOOP_ADD, x, number(s, lanes, v->attr.begin + 0.5), -1, -1);
    x = loop_math(&s->pen, LOOP_MAX, x, number(s, lanes, 0), -1, -1);
    x = loop_math(&s->pen, LOOP_MIN, x, number(s, lanes, 255), -1, -1);
    loop_store(&s->pen, simd_arg(s, s->core, LOOP_OUT), image_element(s, elements, i), x); /* cut off: rounded down */
}

static void dequantise_some(simd *s, loop_index i, int lanes)
{
    const net_node *v = &s->n->nodes.at[s->core];
    int64_t elements = net_elements(&v->type);
    int x = loop_load(&s->pen, DT_F32, lanes, simd_arg(s, v->operand[0], LOOP_IN), image_element(s, elements, i));
    x = loop_math(&s->pen, LOOP_SUB, x, number(s, lanes, v->attr.begin), -1, -1);
    x = loop_math(&s->pen, LOOP_MUL, x, number(s, lanes, v->attr.value), -1, -1);
    loop_store(&s->pen, simd_arg(s, s->core, LOOP_OUT), image_element(s, elements, i), x);
}

/* `body` for vectors of all numbers of an image, then for what is left. */
static void each_number(simd *s, int root, void (*body)(simd *s, loop_index i, int lanes))
{
    channel_run run[8];
    int runs = simd_channel_runs(s, (int)net_elements(&s->n->nodes.at[root].type), 1, run);
    s->core = root;
    for (int r = 0; r < runs; r++) {
        body(s, simd_open(s, run[r].lo, run[r].count, run[r].lanes), run[r].lanes);
        simd_close(s, run[r].count);
    }
    s->core = -1;
}

void int8_images(simd *s, int root)
{
    each_number(s, root, quantise_some);
}

void int8_logits(simd *s, int root)
{
    each_number(s, root, dequantise_some);
}

/* ---- sums of maps ------------------------------------------------------------------------------------------------ */

enum { SUMMANDS_MOST = 16 };

/* Coefficients: a factor a map, what is added, shift, multiplier, zero: in every lane. */
static int coefficient(simd *s, const net_node *v, int i, int lanes)
{
    return loop_bcast(&s->pen, DT_I32, lanes, simd_arg(s, v->operand[v->count - 1], LOOP_IN), loop_at(i));
}

static void add_some(simd *s, const net_node *v, const view *to, const view from[], loop_index pixel, loop_index c,
                     int lanes)
{
    int count = v->count - 1, acc = coefficient(s, v, count, lanes);
    for (int i = 0; i < count; i++) {
        loop_index at = loop_sum(loop_sum(from[i].origin, loop_times(pixel, from[i].column)), c);
        int x = loop_load(&s->pen, DT_I32, lanes, from[i].buffer, at);
        x = loop_math(&s->pen, LOOP_MUL, x, coefficient(s, v, i, lanes), -1, -1);
        acc = loop_math(&s->pen, LOOP_ADD, acc, x, -1, -1);
    }
    int byte = loop_requantise(&s->pen, acc, coefficient(s, v, count + 1, lanes), coefficient(s, v, count + 2, lanes),
                               coefficient(s, v, count + 3, lanes), v->attr.step);
    loop_store(&s->pen, to->buffer, loop_sum(loop_sum(to->origin, loop_times(pixel, to->column)), c), byte);
}

void int8_add(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    view from[SUMMANDS_MOST], to = int8_map(s, root, LOOP_OUT);
    int pixels = v->type.h * v->type.w, c = v->type.c;
    bool dense = int8_is_dense(&to, c);
    CHECK(v->count - 1 <= SUMMANDS_MOST);
    for (int i = 0; i < v->count - 1; i++) {
        from[i] = int8_map(s, v->operand[i], LOOP_IN);
        dense &= int8_is_dense(&from[i], c);
    }
    if (dense) {
        c *= pixels;
        pixels = 1;
    }
    channel_run run[8];
    int runs = simd_channel_runs(s, c, 1, run);
    loop_index pixel = simd_open(s, 0, pixels, 1);
    for (int r = 0; r < runs; r++) {
        add_some(s, v, &to, from, pixel, simd_open(s, run[r].lo, run[r].count, run[r].lanes), run[r].lanes);
        simd_close(s, run[r].count);
    }
    simd_close(s, pixels);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

/* Opens a band and its pixels; the tile, and where the present pixel's first tap and its result are. */
typedef struct pooling {
    view from, to;
    int rows;
    loop_index y, x, tap, result;
} pooling;

static pooling open_pool(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_window *w = &v->attr.window;
    int c = v->type.c, columns = (v->type.w - 1) * w->sw + (w->kw - 1) * w->dw + 1;
    pooling q = {.rows = int8_open_band(s, v, (int64_t)w->sh * columns * c)};
    q.from = int8_tile(s, v->operand[0], w, &v->type, q.rows, s->tile, -1, false);
    q.to = int8_map(s, root, LOOP_OUT);
    q.y = simd_open(s, 0, q.rows, 1);
    q.x = simd_open(s, 0, v->type.w, 1);
    q.tap = loop_sum(loop_times(q.y, w->sh * q.from.row), loop_times(q.x, w->sw * q.from.column));
    q.result = loop_sum(q.to.origin, loop_times(loop_sum(s->tile, q.y), q.to.row));
    q.result = loop_sum(q.result, loop_times(q.x, q.to.column));
    return q;
}

static void close_pool(simd *s, const net_node *v, const pooling *q)
{
    simd_close(s, v->type.w);
    simd_close(s, q->rows);
}

static loop_index tap_of(const pooling *q, const net_window *w, int t, loop_index c)
{
    int64_t offset = t / w->kw * w->dh * q->from.row + t % w->kw * w->dw * q->from.column;
    return loop_offset(loop_sum(q->tap, c), offset);
}

/* Beyond the edge are zeros, which are never more than what lies inside. */
static void most_of(simd *s, const net_node *v, const pooling *q, loop_index c, enum dtype type, int lanes)
{
    const net_window *w = &v->attr.window;
    int most = -1;
    for (int t = 0; t < w->kh * w->kw; t++) {
        int x = loop_load(&s->pen, type, lanes, q->from.buffer, tap_of(q, w, t, c));
        most = most < 0 ? x : loop_math(&s->pen, LOOP_MAX, most, x, -1, -1);
    }
    loop_store(&s->pen, q->to.buffer, loop_sum(q->result, c), most);
}

void int8_max_pool(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    pooling q = open_pool(s, root);
    int c = v->type.c / 4;
    channel_run run[8];
    int runs = c ? simd_channel_runs(s, c, 1, run) : 0;
    for (int r = 0; r < runs; r++) {
        loop_index at = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        most_of(s, v, &q, loop_times(at, 4), DT_QUAD, run[r].lanes);
        simd_close(s, run[r].count);
    }
    for (c *= 4; c < v->type.c; c++)
        most_of(s, v, &q, loop_at(c), DT_I32, 1);
    close_pool(s, v, &q);
}

/* Rows (columns) of the window that lie inside the map, for row (column) `at` of the result. */
static loop_index inside(simd *s, loop_index at, int stride, int before, int kernel, int size)
{
    loop_index first = loop_offset(loop_times(at, stride), -before);
    loop_index lo = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MAX, first, loop_at(0), 0), 1);
    int hi = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(first, kernel), loop_at(size), 0);
    return loop_sum(loop_plus(loop_at(0), hi, 1), loop_times(lo, -1));
}

void int8_avg_pool(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_window *w = &v->attr.window;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type;
    pooling q = open_pool(s, root);
    loop_index rows = inside(s, loop_sum(s->tile, q.y), w->sh, w->top, w->kh, x->h);
    loop_index entry = loop_sum(loop_times(rows, w->kw + 1), inside(s, q.x, w->sw, w->left, w->kw, x->w));
    channel_run run[8];
    int runs = simd_channel_runs(s, v->type.c, 1, run);
    for (int r = 0; r < runs; r++) {
        int lanes = run[r].lanes, acc = -1;
        loop_index c = simd_open(s, run[r].lo, run[r].count, lanes);
        for (int t = 0; t < w->kh * w->kw; t++) {
            int value = loop_load(&s->pen, DT_I32, lanes, q.from.buffer, tap_of(&q, w, t, c));
            acc = acc < 0 ? value : loop_math(&s->pen, LOOP_ADD, acc, value, -1, -1);
        }
        int share = loop_bcast(&s->pen, DT_I32, lanes, simd_arg(s, v->operand[1], LOOP_IN), entry);
        int none = loop_const(&s->pen, DT_I32, lanes, 0), half = loop_const(&s->pen, DT_I32, lanes, 1 << 14);
        loop_store(&s->pen, q.to.buffer, loop_sum(q.result, c), loop_requantise(&s->pen, acc, none, share, half, 15));
        simd_close(s, run[r].count);
    }
    close_pool(s, v, &q);
}

void int8_global_pool(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_type *x = &s->n->nodes.at[v->operand[0]].type;
    view from = int8_map(s, v->operand[0], LOOP_IN), to = int8_map(s, root, LOOP_OUT);
    channel_run run[8];
    int runs = simd_channel_runs(s, v->type.c, 1, run), pixels = x->h * x->w;
    for (int r = 0; r < runs; r++) {
        int lanes = run[r].lanes;
        loop_index c = simd_open(s, run[r].lo, run[r].count, lanes);
        int acc = loop_math(&s->pen, LOOP_MOVE, coefficient(s, v, 0, lanes), -1, -1, -1);
        loop_index at = loop_sum(loop_times(simd_open(s, 0, pixels, 1), from.column), loop_sum(from.origin, c));
        loop_math_to(&s->pen, acc, LOOP_ADD, acc, loop_load(&s->pen, DT_I32, lanes, from.buffer, at), -1, -1);
        simd_close(s, pixels);
        int byte = loop_requantise(&s->pen, acc, coefficient(s, v, 1, lanes), coefficient(s, v, 2, lanes),
                                   coefficient(s, v, 3, lanes), v->attr.step);
        loop_store(&s->pen, to.buffer, loop_sum(to.origin, c), byte);
        simd_close(s, run[r].count);
    }
}
