/* Depthwise convolutions of bytes. For each row of the result and vector of channels, the columns of the tile become
 * quads first: four of the window's rows side by side, one multiplication for them all. Vectors of less than four lanes
 * go tap by tap. */
#include "loop/int8.h"

enum { PIXELS_MOST = 8, HELD_MOST = 16 }; /* weights that stay in registers for a row */

typedef struct depthwise {
    const net_node *v;
    view from, to;
    int weights, rows, quads; /* buffer; node; scratch */
    int64_t weights_at;
    int parts, columns; /* quads of the window's height; columns of the tile */
} depthwise;

typedef struct row_block {
    loop_index y, c;
    int lanes;
    int bias, shift, multiplier, zero; /* registers */
} row_block;

static void load_rows(simd *s, const depthwise *q, row_block *b)
{
    int channels = q->v->attr.count;
    b->bias = int8_row(s, q->rows, INT8_BIAS, channels, b->c, b->lanes);
    b->shift = int8_row(s, q->rows, INT8_SHIFT, channels, b->c, b->lanes);
    b->multiplier = int8_row(s, q->rows, INT8_MULTIPLIER, channels, b->c, b->lanes);
    b->zero = int8_row(s, q->rows, INT8_ZERO, channels, b->c, b->lanes);
}

static void store_pixel(simd *s, const depthwise *q, const row_block *b, loop_index x, int acc)
{
    int byte = loop_requantise(&s->pen, acc, b->shift, b->multiplier, b->zero, q->v->attr.step);
    loop_index at = loop_sum(q->to.origin, loop_times(loop_sum(s->tile, b->y), q->to.row));
    loop_store(&s->pen, q->to.buffer, loop_sum(loop_sum(at, loop_times(x, q->to.column)), b->c), byte);
}

/* Byte `offset` of the weights of the vector. */
static loop_index weight_at(const depthwise *q, const row_block *b, int64_t offset)
{
    return loop_offset(loop_times(b->c, 4 * (int64_t)(q->parts * q->v->attr.window.kw)), q->weights_at + offset);
}

/* ---- by quads ---------------------------------------------------------------------------------------------------- */

/* Rows beyond the window's height are its last one: their weights are zero. */
static void make_quads(simd *s, const depthwise *q, const row_block *b)
{
    const net_window *w = &q->v->attr.window;
    loop_index x = simd_open(s, 0, q->columns, 1);
    for (int part = 0; part < q->parts; part++) {
        int row[4];
        for (int i = 0; i < 4; i++) {
            int ky = 4 * part + i < w->kh ? 4 * part + i : w->kh - 1;
            loop_index at = loop_sum(q->from.origin, loop_times(b->y, w->sh * q->from.row));
            at = loop_offset(loop_sum(at, loop_times(x, q->from.column)), ky * w->dh * q->from.row);
            row[i] = loop_load(&s->pen, DT_QUAD, b->lanes / 4, q->from.buffer, loop_sum(at, b->c));
        }
        int quads = loop_quads(&s->pen, row[0], row[1], row[2], row[3]);
        if (s->t->dot_signed)
            quads = loop_math(&s->pen, LOOP_FLIP, quads, -1, -1, -1);
        int64_t bytes = 4 * (int64_t)b->lanes;
        loop_store(&s->pen, q->quads, loop_offset(loop_times(x, bytes), part * q->columns * bytes), quads);
    }
    simd_close(s, q->columns);
}

static void add_quads(simd *s, const depthwise *q, const row_block *b, loop_index x, int pixels, const int held[])
{
    const net_window *w = &q->v->attr.window;
    int acc[PIXELS_MOST];
    int64_t bytes = 4 * (int64_t)b->lanes;
    for (int p = 0; p < pixels; p++)
        acc[p] = loop_math(&s->pen, LOOP_MOVE, b->bias, -1, -1, -1);
    for (int t = 0; t < q->parts * w->kw; t++) {
        int weight = held ? held[t] : loop_load(&s->pen, DT_QUAD, b->lanes, q->weights, weight_at(q, b, t * bytes));
        for (int p = 0; p < pixels; p++) {
            int64_t column = t / w->kw * q->columns + p * w->sw + t % w->kw * w->dw;
            loop_index at = loop_offset(loop_times(x, w->sw * bytes), column * bytes);
            int quads = loop_load(&s->pen, DT_QUAD, b->lanes, q->quads, at);
            loop_dot4_to(&s->pen, acc[p], quads, weight, s->t->dot_signed);
        }
    }
    for (int p = 0; p < pixels; p++)
        store_pixel(s, q, b, loop_offset(x, p), acc[p]);
}

static void row_by_quads(simd *s, const depthwise *q, const row_block *b)
{
    int taps = q->parts * q->v->attr.window.kw, held[HELD_MOST], width = q->v->type.w;
    make_quads(s, q, b);
    for (int t = 0; t < taps && taps <= HELD_MOST; t++)
        held[t] = loop_load(&s->pen, DT_QUAD, b->lanes, q->weights, weight_at(q, b, (int64_t)t * 4 * b->lanes));
    int blocks = (width + PIXELS_MOST - 1) / PIXELS_MOST, pixels = (width + blocks - 1) / blocks;
    for (int part = 0; part < 2; part++) {
        int count = part ? width % pixels > 0 : width / pixels;
        if (!count)
            continue;
        loop_index x = simd_open(s, part ? width / pixels * pixels : 0, count, pixels);
        add_quads(s, q, b, x, part ? width % pixels : pixels, taps <= HELD_MOST ? held : NULL);
        simd_close(s, count);
    }
}

/* ---- by taps ----------------------------------------------------------------------------------------------------- */

static void row_by_taps(simd *s, const depthwise *q, const row_block *b)
{
    const net_window *w = &q->v->attr.window;
    loop_index x = simd_open(s, 0, q->v->type.w, 1);
    int acc = loop_math(&s->pen, LOOP_MOVE, b->bias, -1, -1, -1);
    loop_index ky = simd_open(s, 0, w->kh, 1), kx = simd_open(s, 0, w->kw, 1);
    loop_index from = loop_sum(q->from.origin, loop_times(b->y, w->sh * q->from.row));
    from = loop_sum(loop_sum(from, loop_times(x, w->sw * q->from.column)), loop_times(ky, w->dh * q->from.row));
    from = loop_sum(loop_sum(from, loop_times(kx, w->dw * q->from.column)), b->c);
    loop_index tap = loop_times(loop_sum(loop_times(ky, w->kw), kx), b->lanes);
    int value = loop_load(&s->pen, DT_I32, b->lanes, q->from.buffer, from);
    int weight = loop_load(&s->pen, DT_I32, b->lanes, q->weights, loop_sum(weight_at(q, b, 0), tap));
    loop_math_to(&s->pen, acc, LOOP_ADD, acc, loop_math(&s->pen, LOOP_MUL, value, weight, -1, -1), -1, -1);
    simd_close(s, w->kw);
    simd_close(s, w->kh);
    store_pixel(s, q, b, x, acc);
    simd_close(s, q->v->type.w);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

void int8_depthwise(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_window *w = &v->attr.window;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type;
    depthwise q = {.v = v, .rows = v->operand[2], .weights_at = int8_weights_at(x->c), .parts = (w->kh + 3) / 4};
    q.columns = (v->type.w - 1) * w->sw + (w->kw - 1) * w->dw + 1;
    int rows = int8_open_band(s, v, (int64_t)w->sh * q.columns * x->c);
    q.weights = simd_arg(s, v->operand[1], LOOP_IN);
    q.from = int8_tile(s, v->operand[0], w, &v->type, rows, s->tile, int8_edge(s, v->operand[1]), v->attr.floor);
    q.to = int8_map(s, root, LOOP_OUT);
    if (s->t->lanes >= 4 && x->c >= 4)
        q.quads = loop_scratch(&s->pen, DT_U8, (int64_t)q.parts * q.columns * 4 * s->t->lanes);
    channel_run run[8];
    int runs = simd_channel_runs(s, x->c, 1, run);
    row_block b = {.y = simd_open(s, 0, rows, 1)};
    for (int r = 0; r < runs; r++) {
        b.lanes = run[r].lanes;
        b.c = simd_open(s, run[r].lo, run[r].count, b.lanes);
        load_rows(s, &q, &b);
        (b.lanes >= 4 ? row_by_quads : row_by_taps)(s, &q, &b);
        simd_close(s, run[r].count);
    }
    simd_close(s, rows);
}
