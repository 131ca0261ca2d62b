/* Dense convolutions of bytes: blocks of pixels and of vectors of output channels in registers, four input channels a
 * step. A pointwise one takes all pixels of its band in one row. */
#include "loop/int8.h"

enum { VECTORS_MOST = 4, PIXELS_MOST = 12 };

typedef struct dense {
    const net_node *v;
    view from, to;
    int weights, rows; /* buffer; node */
    int64_t weights_at;
    int quads; /* of weights a channel */
    int inner; /* quads of input channels a tap */
} dense;

/* A block: pixels from (y, x) on, vectors from channel c on. */
typedef struct dense_block {
    loop_index y, x, c;
    int pixels, vectors, lanes;
} dense_block;

/* One step of the sums: the quads of one tap and four input channels. */
static void add_products(simd *s, const dense *q, const dense_block *b, loop_index from, loop_index weights,
                         const int acc[])
{
    int w[VECTORS_MOST], sw = q->v->attr.window.sw;
    for (int v = 0; v < b->vectors; v++) {
        loop_index c = loop_offset(b->c, (int64_t)v * b->lanes);
        loop_index at = loop_sum(loop_offset(loop_times(c, 4 * (int64_t)q->quads), q->weights_at), weights);
        w[v] = loop_load(&s->pen, DT_QUAD, b->lanes, q->weights, at);
    }
    for (int p = 0; p < b->pixels; p++) {
        loop_index at = loop_offset(from, p * sw * q->from.column);
        int x = loop_bcast(&s->pen, DT_QUAD, b->lanes, q->from.buffer, at);
        if (s->t->dot_signed)
            x = loop_math(&s->pen, LOOP_FLIP, x, -1, -1, -1);
        for (int v = 0; v < b->vectors; v++)
            loop_dot4_to(&s->pen, acc[p * b->vectors + v], x, w[v], s->t->dot_signed);
    }
}

static void sum_block(simd *s, const dense *q, const dense_block *b, int acc[])
{
    const net_window *w = &q->v->attr.window;
    int channels = q->v->attr.count;
    for (int v = 0; v < b->vectors; v++) {
        int bias = int8_row(s, q->rows, INT8_BIAS, channels, loop_offset(b->c, (int64_t)v * b->lanes), b->lanes);
        for (int p = 0; p < b->pixels; p++)
            acc[p * b->vectors + v] = loop_math(&s->pen, LOOP_MOVE, bias, -1, -1, -1);
    }
    loop_index ky = simd_open(s, 0, w->kh, 1), kx = simd_open(s, 0, w->kw, 1), k = simd_open(s, 0, q->inner, 1);
    loop_index from = loop_sum(q->from.origin, loop_times(b->y, w->sh * q->from.row));
    from = loop_sum(from, loop_times(b->x, w->sw * q->from.column));
    from = loop_sum(loop_sum(from, loop_times(ky, w->dh * q->from.row)), loop_times(kx, w->dw * q->from.column));
    loop_index tap = loop_sum(loop_times(ky, w->kw), kx);
    loop_index weights = loop_times(loop_sum(loop_times(tap, q->inner), k), 4 * (int64_t)b->lanes);
    add_products(s, q, b, loop_sum(from, loop_times(k, 4)), weights, acc);
    simd_close(s, q->inner);
    simd_close(s, w->kw);
    simd_close(s, w->kh);
}

static void store_block(simd *s, const dense *q, const dense_block *b, const int acc[])
{
    int channels = q->v->attr.count;
    for (int v = 0; v < b->vectors; v++) {
        loop_index c = loop_offset(b->c, (int64_t)v * b->lanes);
        int shift = int8_row(s, q->rows, INT8_SHIFT, channels, c, b->lanes);
        int multiplier = int8_row(s, q->rows, INT8_MULTIPLIER, channels, c, b->lanes);
        int zero = int8_row(s, q->rows, INT8_ZERO, channels, c, b->lanes);
        for (int p = 0; p < b->pixels; p++) {
            int byte = loop_requantise(&s->pen, acc[p * b->vectors + v], shift, multiplier, zero, q->v->attr.step);
            loop_index at = loop_sum(q->to.origin, loop_times(loop_sum(s->tile, b->y), q->to.row));
            at = loop_sum(at, loop_times(loop_offset(b->x, p), q->to.column));
            loop_store(&s->pen, q->to.buffer, loop_sum(at, c), byte);
        }
    }
}

/* As many as there are registers for; a few less where then none are left over, which is half of the code. */
static int pixels_of(const simd *s, int vectors, int width)
{
    int most = (s->t->registers - 2 - vectors) / vectors;
    most = most > PIXELS_MOST ? PIXELS_MOST : most < 1 ? 1 : most;
    for (int pixels = most; pixels > 0 && 3 * pixels >= 2 * most; pixels--)
        if (width % pixels == 0)
            return pixels;
    int blocks = (width + most - 1) / most;
    return (width + blocks - 1) / blocks;
}

/* Blocks of a row of `width` pixels; what is left over is a block of its own. */
static void dense_row(simd *s, const dense *q, dense_block b, int width)
{
    int pixels = pixels_of(s, b.vectors, width), blocks = width / pixels, acc[VECTORS_MOST * PIXELS_MOST];
    for (int part = 0; part < 2; part++) {
        int count = part ? width % pixels > 0 : blocks;
        if (!count)
            continue;
        b.pixels = part ? width % pixels : pixels;
        b.x = simd_open(s, part ? blocks * pixels : 0, count, pixels);
        sum_block(s, q, &b, acc);
        store_block(s, q, &b, acc);
        simd_close(s, count);
    }
}

static int vectors_of(const simd *s)
{
    return s->t->lanes > 1 || s->t->registers > 16 ? VECTORS_MOST : 2;
}

void int8_dense(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_window *w = &v->attr.window;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type;
    bool pads = w->top > 0 || w->left > 0 || (v->type.h - 1) * w->sh - w->top + (w->kh - 1) * w->dh >= x->h ||
                (v->type.w - 1) * w->sw - w->left + (w->kw - 1) * w->dw >= x->w;
    bool tiled = pads || v->attr.floor || s->f->place[v->operand[0]] == PLACE_LEAF;
    int64_t row_bytes = tiled ? (int64_t)w->sh * ((v->type.w - 1) * w->sw + (w->kw - 1) * w->dw + 1) * x->c : 0;
    int rows = int8_open_band(s, v, row_bytes);
    dense q = {.v = v, .rows = v->operand[2], .weights_at = int8_weights_at(x->c), .quads = int8_quads(w, x->c)};
    q.inner = (x->c + 3) / 4;
    q.weights = simd_arg(s, v->operand[1], LOOP_IN);
    if (tiled) {
        q.from = int8_tile(s, v->operand[0], w, &v->type, rows, s->tile, int8_edge(s, v->operand[1]), v->attr.floor);
    } else {
        q.from = int8_map(s, v->operand[0], LOOP_IN);
        q.from.origin = loop_offset(q.from.origin, -w->top * q.from.row - w->left * q.from.column);
    }
    q.to = int8_map(s, root, LOOP_OUT);
    bool flat = w->kh == 1 && w->kw == 1 && w->sh == 1 && w->sw == 1 && q.from.row == v->type.w * q.from.column;
    int width = flat ? rows * v->type.w : v->type.w, high = flat ? 1 : rows;
    channel_run run[8];
    int runs = simd_channel_runs(s, v->attr.count, vectors_of(s), run);
    for (int r = 0; r < runs; r++) {
        dense_block b = {.vectors = run[r].vectors, .lanes = run[r].lanes};
        b.c = simd_open(s, run[r].lo, run[r].count, run[r].vectors * run[r].lanes);
        b.y = simd_open(s, 0, high, 1);
        dense_row(s, &q, b, width);
        simd_close(s, high);
        simd_close(s, run[r].count);
    }
}
