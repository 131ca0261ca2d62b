/* A window's result at one spot: taps and input channels in the net's order (ky, kx, ci), in one accumulator. What lies
 * beyond the edge is not read. To a convolution it adds nothing; pools and padding see the value that stands for it. */
#include "loop/simt.h"

#include <math.h>

static int move(simd *s, double value)
{
    return loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, value), -1, -1, -1);
}

static void move_to(simd *s, int to, int value)
{
    loop_math_to(&s->pen, to, LOOP_MOVE, value, -1, -1, -1);
}

/* ---- loops over the taps of a window at a spot ------------------------------------------------------------------- */

typedef struct taps {
    axes of;
    loop_index ky, kx;
    loop_index row, column;        /* of the source */
    int if_row, if_column, inside; /* IFs that are open: around taps that see a row, a column, the source */
} taps;

static void open_row(simd *s, taps *q, const spot *at, bool backwards)
{
    loop_index ky = simd_open(s, 0, q->of.rows.taps, 1);
    q->ky = backwards ? loop_offset(loop_times(ky, -1), q->of.rows.taps - 1) : ky;
    q->row = simt_tap(s, &q->of.rows, at->rel, q->ky, &q->if_row);
}

static void open_column(simd *s, taps *q, const spot *at, bool backwards)
{
    loop_index kx = simd_open(s, 0, q->of.columns.taps, 1);
    q->kx = backwards ? loop_offset(loop_times(kx, -1), q->of.columns.taps - 1) : kx;
    q->column = simt_tap(s, &q->of.columns, at->x, q->kx, &q->if_column);
}

static void close_row(simd *s, const taps *q)
{
    simt_close(s, q->if_row);
    simd_close(s, q->of.rows.taps);
}

static void close_column(simd *s, const taps *q)
{
    simt_close(s, q->if_column);
    simd_close(s, q->of.columns.taps);
}

/* Rows, then columns; backwards, so that the windows which cover a pixel come in their order. */
static taps open_taps(simd *s, int window, const spot *at, bool backwards)
{
    taps q = {.of = simt_axes(s, window)};
    open_row(s, &q, at, backwards);
    open_column(s, &q, at, backwards);
    return q;
}

static void close_taps(simd *s, const taps *q)
{
    close_column(s, q);
    close_row(s, q);
}

static void open_inside(simd *s, taps *q)
{
    simt_inside(s, &q->of.rows, q->row, &q->inside);
    simt_inside(s, &q->of.columns, q->column, &q->inside);
}

static spot source_spot(const taps *q, loop_index c)
{
    return (spot){.rel = q->row, .x = q->column, .c = c, .lanes = 1, .ratio = 1};
}

/* ---- convolutions ------------------------------------------------------------------------------------------------ */

/* The group of an output channel. */
static loop_index group_of(simd *s, const net_node *v, loop_index c)
{
    int groups = v->attr.window.groups;
    if (groups <= 1 || net_is_depthwise(s->n, v))
        return loop_at(0);
    loop_index rest = c;
    return simt_split(s, &rest, v->type.c / groups);
}

static int convolve(simd *s, int node, const spot *at)
{
    const net_node *v = &s->n->nodes.at[node];
    filter f = simd_filter(s, node, at->c, group_of(s, v, at->c));
    int acc = move(s, 0);
    taps q = open_taps(s, node, at, false);
    open_inside(s, &q);
    loop_index tap = loop_sum(loop_times(q.ky, q.of.columns.taps), q.kx);
    loop_index k = f.inner ? simd_open(s, 0, f.inner, 1) : loop_at(0);
    spot from = source_spot(&q, loop_sum(f.first, k));
    int x = simd_read_apart(s, v->operand[0], &from);
    loop_index weight = loop_sum(f.base, loop_sum(loop_times(tap, f.per_tap), loop_times(k, f.per_inner)));
    simd_fma_to(s, acc, x, loop_load(&s->pen, DT_F32, 1, f.buffer, weight));
    simd_close(s, f.inner);
    simt_close(s, q.inside);
    close_taps(s, &q);
    return acc;
}

/* ---- pools and padding ------------------------------------------------------------------------------------------- */

/* Operand `k` where the tap lies inside its source, else `beyond`. */
static int read_inside(simd *s, const net_node *v, int k, taps *q, loop_index c, double beyond)
{
    int value = move(s, beyond);
    open_inside(s, q);
    spot from = source_spot(q, c);
    move_to(s, value, simd_read_apart(s, v->operand[k], &from));
    simt_close(s, q->inside);
    q->inside = 0;
    return value;
}

/* -0 is what sums begin with that begin with their first term: -0 + x is x. Where there may be no term it is 0. */
static double before_first(const net_window *w)
{
    return w->sh > w->kh || w->sw > w->kw || w->dh > 1 || w->dw > 1 ? 0 : -0.0;
}

/* A row of taps first, then the rows. */
static int pool(simd *s, int node, const spot *at)
{
    const net_node *v = &s->n->nodes.at[node];
    enum loop_op fold = simd_fold_of(v);
    double none = fold == LOOP_MAX ? -INFINITY : 0, first = fold == LOOP_MAX ? none : before_first(&v->attr.window);
    int acc = move(s, first);
    taps q = {.of = simt_axes(s, node)};
    open_row(s, &q, at, false);
    int row = move(s, first);
    open_column(s, &q, at, false);
    loop_math_to(&s->pen, row, fold, row, read_inside(s, v, 0, &q, at->c, none), -1, -1);
    close_column(s, &q);
    loop_math_to(&s->pen, acc, fold, acc, row, -1, -1);
    close_row(s, &q);
    return acc;
}

/* Where in its window the first maximum lies that the max pool finds for `at`: tap number ky · kw + kx. */
int simt_first_maximum(simd *s, const net_node *v, const spot *at)
{
    const net_window *w = &v->attr.window;
    taps q = {.of = simt_axes_of(w, &s->n->nodes.at[v->operand[0]].type, &s->n->nodes.at[v->operand[1]].type, false)};
    int best = move(s, -INFINITY), where = move(s, 0);
    q.ky = simd_open(s, 0, w->kh, 1);
    q.kx = simd_open(s, 0, w->kw, 1);
    q.row = simt_tap(s, &q.of.rows, at->rel, q.ky, &q.if_row);
    q.column = simt_tap(s, &q.of.columns, at->x, q.kx, &q.if_column);
    int value = read_inside(s, v, 0, &q, at->c, -INFINITY);
    int number = loop_from_int(&s->pen, DT_F32, 1, loop_sum(loop_times(q.ky, w->kw), q.kx));
    loop_math_to(&s->pen, where, LOOP_SELECT_LT, best, value, number, where);
    loop_math_to(&s->pen, best, LOOP_MAX, best, value, -1, -1);
    simd_close(s, w->kw);
    simd_close(s, w->kh);
    return where;
}

/* Over the windows that cover the pixel, row-major: the gradients of those whose maximum it is. */
static int gather(simd *s, int node, const spot *at)
{
    const net_node *v = &s->n->nodes.at[node];
    int acc = move(s, v->attr.window.sh * v->attr.window.sw == 1 ? -0.0 : 0);
    taps q = open_taps(s, node, at, true);
    int more = move(s, 0);
    open_inside(s, &q);
    spot window = source_spot(&q, at->c);
    int where = simt_first_maximum(s, v, &window);
    int here = loop_from_int(&s->pen, DT_F32, 1, loop_sum(loop_times(q.ky, q.of.columns.taps), q.kx));
    int g = simd_read_apart(s, v->operand[1], &window);
    move_to(s, more, loop_math(&s->pen, LOOP_SELECT_EQ, where, here, g, loop_const(&s->pen, DT_F32, 1, 0)));
    simt_close(s, q.inside);
    loop_math_to(&s->pen, acc, LOOP_ADD, acc, more, -1, -1);
    close_taps(s, &q);
    return acc;
}

/* ---- other channels of the same pixel ---------------------------------------------------------------------------- */

/* out[c·groups + g] = in[g·(C/groups) + c]. */
static int shuffle(simd *s, const net_node *v, const spot *at)
{
    spot from = *at;
    int groups = v->attr.window.groups;
    loop_index group = at->c, c = simt_split(s, &group, groups);
    from.c = loop_sum(loop_times(group, v->type.c / groups), c);
    return simd_read_apart(s, v->operand[0], &from);
}

static int pad_channels(simd *s, const net_node *v, const spot *at)
{
    spot from = *at;
    from.c = loop_offset(at->c, -(int64_t)v->attr.begin);
    int value = move(s, 0);
    loop_if(&s->pen, loop_at(-1), from.c);
    loop_if(&s->pen, from.c, loop_at(s->n->nodes.at[v->operand[0]].type.c));
    move_to(s, value, simd_read_apart(s, v->operand[0], &from));
    simt_close(s, 2);
    return value;
}

int simt_window(simd *s, int node, const spot *at)
{
    const net_node *v = &s->n->nodes.at[node];
    switch (v->prim) {
    case NET_conv:
    case NET_conv_dx:
        return convolve(s, node, at);
    case NET_max_pool:
    case NET_sum_pool:
    case NET_sum_pool_dx:
    case NET_pad:
        return pool(s, node, at);
    case NET_max_pool_dx:
        return gather(s, node, at);
    case NET_shuffle:
        return shuffle(s, v, at);
    case NET_channel_pad:
        return pad_channels(s, v, at);
    default:
        BUG("the simt lowering has no rule for %s", net_prim_info[v->prim].name);
    }
}
