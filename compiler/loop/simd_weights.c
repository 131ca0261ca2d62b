/* Partial weight gradients: dW[tap][ci][co] += Σ x[pixel + tap][ci] · g[pixel][co], pixels in order, the sums of a
 * block of weights in registers while a tile passes. */
#include "loop/simd.h"

typedef struct correlation {
    const stage *g;
    const net_node *v;
    view x, grad;
    int out; /* buffer of the partial rows */
    loop_index row;
    int inner, outer, groups; /* channels of a group: of x, of g */
    bool depthwise;
} correlation;

static loop_index x_element(const correlation *q, loop_index y, loop_index x, int ky, int kx)
{
    const net_window *w = &q->v->attr.window;
    loop_index row = loop_offset(loop_times(y, w->sh), (int64_t)ky * w->dh - w->top);
    loop_index column = loop_offset(loop_times(x, w->sw), (int64_t)kx * w->dw - w->left);
    return loop_sum(loop_sum(q->x.origin, loop_times(row, q->x.row)), loop_times(column, q->x.column));
}

static loop_index g_element(const correlation *q, loop_index y, loop_index x)
{
    return loop_sum(loop_sum(q->grad.origin, loop_times(y, q->grad.row)), loop_times(x, q->grad.column));
}

/* Loops over the gradient's pixels of this tile; `column` counts blocks of `unroll` pixels. */
static void open_pixels(simd *s, const correlation *q, loop_index *y, loop_index *x)
{
    int rows = s->tiles == 1 ? q->g->h : s->rows * q->g->ratio;
    loop_index from, to;
    simd_turn(s, q->g, 0, rows, 1, &from, &to);
    *y = loop_plus(loop_at(0), loop_for(&s->pen, from, to, 1), 1);
    *x = simd_open(s, 0, q->g->w, 1);
}

static void close_pixels(simd *s, const correlation *q)
{
    simd_close(s, q->g->w);
    loop_end(&s->pen);
}

/* Depthwise: up to `many` taps of one vector of channels at a time. */
static void depthwise_taps(simd *s, const correlation *q, loop_index c, int lanes, int first, int many)
{
    int acc[SIMD_ACC_MAX], kw = q->v->attr.window.kw, channels = q->v->type.c;
    loop_index to = loop_sum(q->row, c), y, x;
    for (int i = 0; i < many; i++)
        acc[i] = loop_load(&s->pen, DT_F32, lanes, q->out, loop_offset(to, (int64_t)(first + i) * channels));
    open_pixels(s, q, &y, &x);
    int g = loop_load(&s->pen, DT_F32, lanes, q->grad.buffer, loop_sum(g_element(q, y, x), c));
    for (int i = 0; i < many; i++) {
        loop_index e = loop_sum(x_element(q, y, x, (first + i) / kw, (first + i) % kw), c);
        simd_fma_to(s, acc[i], loop_load(&s->pen, DT_F32, lanes, q->x.buffer, e), g);
    }
    close_pixels(s, q);
    for (int i = 0; i < many; i++)
        loop_store(&s->pen, q->out, loop_offset(to, (int64_t)(first + i) * channels), acc[i]);
}

static void depthwise_weights(simd *s, const correlation *q)
{
    int taps = q->v->attr.window.kh * q->v->attr.window.kw, most = s->t->registers >= 32 ? 25 : 10;
    int passes = (taps + most - 1) / most, many = (taps + passes - 1) / passes;
    channel_run run[8];
    int runs = simd_channel_runs(s, q->v->type.c, 1, run);
    for (int r = 0; r < runs; r++) {
        loop_index c = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        for (int first = 0; first < taps; first += many)
            depthwise_taps(s, q, c, run[r].lanes, first, first + many < taps ? many : taps - first);
        simd_close(s, run[r].count);
    }
}

/* Dense: `rows` input channels × vectors of output channels of one tap. `ci`, `co` count in the group. */
static void dense_block(simd *s, const correlation *q, int tap, loop_index group, loop_index ci, int rows,
                        loop_index co, int vectors, int lanes)
{
    int acc[SIMD_ACC_MAX], g[SIMD_ACC_MAX], kw = q->v->attr.window.kw, channels = q->v->type.c;
    loop_index co_all = loop_sum(co, loop_times(group, q->outer)), ci_all = loop_sum(ci, loop_times(group, q->inner)),
               y, x;
    loop_index to = loop_sum(q->row, loop_at((int64_t)tap * q->inner * channels));
    to = loop_sum(loop_sum(to, loop_times(ci, channels)), co_all);
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            acc[i * vectors + v] =
                loop_load(&s->pen, DT_F32, lanes, q->out, loop_offset(to, (int64_t)i * channels + (int64_t)v * lanes));
    open_pixels(s, q, &y, &x);
    for (int v = 0; v < vectors; v++)
        g[v] = loop_load(&s->pen, DT_F32, lanes, q->grad.buffer,
                         loop_offset(loop_sum(g_element(q, y, x), co_all), (int64_t)v * lanes));
    for (int i = 0; i < rows; i++) {
        loop_index e = loop_offset(loop_sum(x_element(q, y, x, tap / kw, tap % kw), ci_all), i);
        int value = loop_bcast(&s->pen, DT_F32, lanes, q->x.buffer, e);
        for (int v = 0; v < vectors; v++)
            simd_fma_to(s, acc[i * vectors + v], value, g[v]);
    }
    close_pixels(s, q);
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            loop_store(&s->pen, q->out, loop_offset(to, (int64_t)i * channels + (int64_t)v * lanes),
                       acc[i * vectors + v]);
}

/* Input channels of a block with so many vectors of output channels. */
static int block_rows(const simd *s, const correlation *q, int vectors)
{
    int registers = s->t->registers < 16 ? 16 : s->t->registers, most = (registers - 2 - vectors) / vectors;
    most = vectors > 1 && most > 8 ? 8 : most > 16 ? 16 : most;
    most = q->inner < most ? q->inner : most;
    for (int rows = most; rows > most / 2; rows--)
        if (q->inner % rows == 0)
            return rows;
    return most;
}

static void dense_tap(simd *s, const correlation *q, int tap, loop_index group)
{
    int whole = q->outer / s->t->lanes, vectors = whole >= 2 ? 2 : 1;
    if (s->o->vectors > 0 && s->o->vectors <= whole)
        vectors = s->o->vectors;
    channel_run run[8];
    int runs = simd_channel_runs(s, q->outer, vectors, run);
    for (int r = 0; r < runs; r++) {
        int most = block_rows(s, q, run[r].vectors), blocks = q->inner / most, rest = q->inner % most;
        loop_index co = simd_open(s, run[r].lo, run[r].count, run[r].vectors * run[r].lanes);
        if (blocks) {
            loop_index ci = simd_open(s, 0, blocks, most);
            dense_block(s, q, tap, group, ci, most, co, run[r].vectors, run[r].lanes);
            simd_close(s, blocks);
        }
        if (rest)
            dense_block(s, q, tap, group, loop_at((int64_t)blocks * most), rest, co, run[r].vectors, run[r].lanes);
        simd_close(s, run[r].count);
    }
}

void simd_weights(simd *s, const stage *g)
{
    const net_node *v = &s->n->nodes.at[g->value];
    int groups = v->attr.window.groups < 1 ? 1 : v->attr.window.groups;
    correlation q = {.g = g,
                     .v = v,
                     .x = simd_operand_view(s, g->value, 0),
                     .grad = simd_operand_view(s, g->value, 1),
                     .out = simd_arg(s, g->value, LOOP_INOUT),
                     .groups = groups,
                     .inner = s->n->nodes.at[v->operand[0]].type.c / groups,
                     .outer = s->n->nodes.at[v->operand[1]].type.c / groups,
                     .depthwise = net_is_depthwise(s->n, v)};
    q.row = loop_plus(loop_at(0), s->unit, (int64_t)v->type.h * v->type.w * v->type.c);
    if (q.depthwise) {
        depthwise_weights(s, &q);
        return;
    }
    int taps = v->attr.window.kh * v->attr.window.kw;
    loop_index group = loop_at(0);
    int var = 0;
    if (groups > 1) {
        var = loop_for(&s->pen, loop_at(0), loop_at(groups), 1);
        group = loop_plus(group, var, 1);
    }
    for (int tap = 0; tap < taps; tap++)
        dense_tap(s, &q, tap, group);
    if (groups > 1)
        loop_end(&s->pen);
}
