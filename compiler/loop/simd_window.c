/* Windows in registers: a block of columns × vectors of channels is accumulated in registers, taps and input channels
 * in the net's order (ky, kx, ci), one accumulator an element. What a window reads stands in scratch with its edge, so
 * there are no tests in here. */
#include "loop/simd.h"

#include <math.h>
#include <string.h>

enum { UNROLLED_TAPS = 25, UNROLLED_CHANNELS = 4 };

/* A window as its inner loop sees it, forward or transposed. */
typedef struct sweep {
    view x;
    int kh, kw;
    int64_t row_step, row_tap, row_shift; /* source row = (rel·row_step + ky·row_tap + row_shift) / row_over */
    int64_t column_step, column_tap, column_shift;
    int64_t row_over, column_over;    /* a tap that meets no whole row or column sees none of the source */
    int weights;                      /* buffer */
    int64_t weight_tap, weight_inner; /* elements from tap to tap, from inner channel to inner channel */
    loop_index weight_base;           /* of the block's first channel */
    int inner;                        /* channels summed over; 0: depthwise */
    loop_index inner_base;            /* first source channel */
    int panel;                        /* channels of a panel of weights; 0: they lie otherwise */
    bool clipped;                     /* nothing stands beyond the edge: `of` is read, at pixels inside of it */
    int of, core;
} sweep;

static bool is_transposed(const net_node *v)
{
    return v->prim == NET_conv_dx || v->prim == NET_sum_pool_dx;
}

int simd_row_phases(const simd *s, int core)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    return v && is_transposed(v) ? v->attr.window.sh : 1;
}

int simd_column_phases(const simd *s, int core)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    return v && is_transposed(v) ? v->attr.window.sw : 1;
}

/* Where the taps of a window lie; rows and columns of padding alone are those of one tap. */
static sweep sweep_taps(simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    bool pad = v->prim == NET_pad;
    sweep q = {.kh = pad ? 1 : w->kh, .kw = pad ? 1 : w->kw, .clipped = simd_is_clipped(s, core)};
    q.of = v->operand[0];
    q.core = core;
    bool folded = simd_is_folded(s, core);
    if (!q.clipped)
        q.x = simd_source(s, core);
    q.row_over = simd_row_phases(s, core);
    q.column_over = simd_column_phases(s, core);
    if (is_transposed(v)) {
        q.row_step = q.column_step = 1;
        q.row_tap = -w->dh;
        q.row_shift = w->top;
        q.column_tap = -w->dw;
        q.column_shift = w->left;
        return q;
    }
    q.row_step = pad ? 1 : w->sh;
    q.row_tap = w->dh;
    q.row_shift = -w->top;
    q.kw = folded ? 1 : q.kw;
    q.column_step = pad || folded ? 1 : w->sw;
    q.column_tap = w->dw;
    q.column_shift = folded ? 0 : -w->left;
    return q;
}

/* Weights that lie in panels: blocks of channels are panels, or parts of the last. */
static void panel_filter(const simd *s, const net_node *v, loop_index c, filter *q)
{
    int width = s->n->nodes.at[v->operand[1]].attr.panel, whole = v->type.c / width * width;
    int inner = q->inner ? q->inner : 1; /* depthwise: the channel itself */
    int64_t sums = (int64_t)v->attr.window.kh * v->attr.window.kw * inner;
    bool last = c.count == 0 && c.base >= whole;
    CHECK(v->prim == NET_conv && !s->t->capability);
    q->per_inner = last ? v->type.c - whole : width;
    q->per_tap = inner * q->per_inner;
    q->base = last ? loop_offset(c, whole * (sums - 1)) : loop_times(c, sums);
}

filter simd_filter(simd *s, int core, loop_index c, loop_index group)
{
    const net_node *v = &s->n->nodes.at[core];
    int from = s->n->nodes.at[v->operand[0]].type.c, to = v->type.c;
    int groups = v->attr.window.groups < 1 ? 1 : v->attr.window.groups, inner = from / groups;
    filter q = {.buffer = simd_arg(s, v->operand[1], LOOP_IN), .base = c};
    bool depthwise = net_is_depthwise(s->n, v), panels = s->n->nodes.at[v->operand[1]].attr.panel > 0;
    q.inner = depthwise ? 0 : inner;
    q.per_tap = to;
    q.first = depthwise ? c : loop_times(group, inner);
    if (panels)
        panel_filter(s, v, c, &q);
    if (depthwise || panels)
        return q;
    if (v->prim == NET_conv) { /* weights [tap][ci][co] */
        q.per_inner = to;
        q.per_tap = (int64_t)inner * to;
    } else { /* transposed weights [tap][co][ci of the group]: channel of the group + rows of the group */
        q.per_inner = to / groups;
        q.per_tap = (int64_t)from * q.per_inner;
        q.base = loop_sum(c, loop_times(group, (inner - 1) * q.per_inner));
    }
    return q;
}

static sweep sweep_of(simd *s, int core, const block *b)
{
    sweep q = sweep_taps(s, core);
    filter f =
        simd_filter(s, core, loop_sum(b->c, s->slice), b->group ? loop_plus(loop_at(0), b->group, 1) : loop_at(0));
    q.weights = f.buffer;
    q.weight_base = f.base;
    q.weight_tap = f.per_tap;
    q.weight_inner = f.per_inner;
    q.inner = f.inner;
    q.inner_base = f.inner ? f.first : b->c;
    q.panel = s->n->nodes.at[s->n->nodes.at[core].operand[1]].attr.panel;
    return q;
}

static loop_index divided(loop_index i, int64_t by)
{
    CHECK(i.base % by == 0);
    i.base /= by;
    for (int t = 0; t < i.count; t++) {
        CHECK(i.term[t].coef % by == 0);
        i.term[t].coef /= (int32_t)by;
    }
    return i;
}

/* Taps in a row are told apart by `column`, of the source before division, from the block's first on. */
static int64_t tap_column(const sweep *q, int kx, int p)
{
    return p * q->column_step + kx * q->column_tap;
}

/* Blocks begin at columns of phase 0, but for a constant; rows likewise. */
static bool meets_column(const sweep *q, const block *b, int64_t column)
{
    return (b->x.base * q->column_step + q->column_shift + column) % q->column_over == 0;
}

static bool meets_row(const sweep *q, const block *b, int ky)
{
    return (b->rel.base * q->row_step + q->row_shift + ky * q->row_tap) % q->row_over == 0;
}

static loop_index tap_element(const sweep *q, const block *b, loop_index ky, int64_t tap, loop_index c)
{
    loop_index row = loop_sum(loop_offset(loop_times(b->rel, q->row_step), q->row_shift), loop_times(ky, q->row_tap));
    loop_index column = loop_offset(loop_times(b->x, q->column_step), q->column_shift + tap);
    return simd_view_element(&q->x, divided(row, q->row_over), divided(column, q->column_over), c);
}

/* The source at a tap of row ky and `column` from the block's first, in channels from c on. */
static int depthwise_source(simd *s, const sweep *q, const block *b, loop_index ky, int64_t column, int64_t c)
{
    if (!q->clipped)
        return loop_load(&s->pen, DT_F32, b->lanes, q->x.buffer,
                         tap_element(q, b, ky, column, loop_offset(q->inner_base, c)));
    spot at = {.x = loop_offset(loop_times(b->x, q->column_step), q->column_shift + column),
               .c = loop_offset(q->inner_base, c),
               .lanes = b->lanes,
               .ratio = s->n->nodes.at[q->of].type.h / s->smallest};
    at.rel = loop_sum(loop_offset(loop_times(b->rel, q->row_step), q->row_shift), loop_times(ky, q->row_tap));
    return simd_read_apart(s, q->of, &at);
}

/* Is the column inside of the source? Blocks at an edge stand at a constant place; beyond it are zeros, where anything is. */
static bool is_inside(const simd *s, const sweep *q, const block *b, int64_t column)
{
    int64_t at = b->x.base * q->column_step + q->column_shift + column;
    return b->x.count > 0 || (at >= 0 && at < s->n->nodes.at[q->of].type.w * q->column_over);
}

/* ---- channels that fill part of a vector ---- */

/* Each pixel's value in its part of a vector; missing pixels repeat the last. */
static int in_parts(simd *s, const int x[], int pixels, int parts)
{
    int part[LOOP_LANES_MAX] = {0};
    for (int i = 0; i < parts; i++)
        part[i] = loop_part(&s->pen, x[i < pixels ? i : pixels - 1], i, parts);
    return loop_join_all(&s->pen, part, parts);
}

/* So many weights, for each of the pixels that share a vector. */
static int repeated_weights(simd *s, const sweep *q, loop_index at, int lanes, int parts)
{
    int part[LOOP_LANES_MAX] = {0}, w = loop_load(&s->pen, DT_F32, lanes, q->weights, at);
    for (int i = 0; i < parts; i++)
        part[i] = w;
    return loop_join_all(&s->pen, part, parts);
}

/* Channels that stand apart in the source: neighbours share a vector, as many as are whole groups. acc[] of a group's first
 * pixel is the group's. */
static int shared_pixels(const simd *s, const sweep *q, const block *b)
{
    int parts = s->t->lanes / b->lanes;
    bool apart = !q->inner && q->x.split && b->c.count == 0 && b->c.base >= q->x.split;
    return apart && q->column_step == 1 && q->column_over == 1 ? b->pixels / parts * parts : 0;
}

static void shared_row(simd *s, const sweep *q, const block *b, loop_index ky, const int acc[])
{
    int lanes = s->t->lanes, parts = lanes / b->lanes, pixels = shared_pixels(s, q, b);
    for (int kx = 0; kx < q->kw; kx++) {
        loop_index tap = loop_offset(loop_times(ky, q->kw * q->weight_tap), kx * q->weight_tap);
        int w = repeated_weights(s, q, loop_sum(q->weight_base, tap), b->lanes, parts);
        for (int p = 0; p < pixels; p += parts) {
            loop_index e = tap_element(q, b, ky, tap_column(q, kx, p), q->inner_base);
            simd_fma_to(s, acc[p], loop_load(&s->pen, DT_F32, lanes, q->x.buffer, e), w);
        }
    }
}

/* One row of taps: each column of the source is loaded once, for all the pixels and taps that meet there. A pixel still
 * sees its taps from left to right. */
static void depthwise_row(simd *s, const sweep *q, const block *b, loop_index ky, const int acc[])
{
    int w[SIMD_ACC_MAX];
    int shared = shared_pixels(s, q, b);
    CHECK(q->kw <= SIMD_ACC_MAX && q->column_tap != 0);
    if (shared) {
        block rest = *b;
        rest.x = loop_offset(b->x, shared);
        rest.pixels -= shared;
        shared_row(s, q, b, ky, acc);
        if (rest.pixels)
            depthwise_row(s, q, &rest, ky, acc + shared);
        return;
    }
    int64_t first = q->column_tap < 0 ? (q->kw - 1) * q->column_tap : 0;
    int64_t last = (b->pixels - 1) * q->column_step + (q->column_tap > 0 ? (q->kw - 1) * q->column_tap : 0);
    for (int v = 0; v < b->vectors; v++) {
        int64_t c = (int64_t)v * b->lanes;
        for (int kx = 0; kx < q->kw; kx++) {
            loop_index tap = loop_offset(loop_times(ky, q->kw * q->weight_tap), kx * q->weight_tap + c);
            w[kx] = loop_load(&s->pen, DT_F32, b->lanes, q->weights, loop_sum(q->weight_base, tap));
        }
        bool backwards = q->column_tap < 0; /* the first tap is the rightmost: columns go from right to left */
        for (int64_t i = 0; i <= last - first; i++) {
            int64_t column = backwards ? last - i : first + i;
            int x = -1;
            if (!meets_column(q, b, column) || !is_inside(s, q, b, column))
                continue;
            for (int p = 0; p < b->pixels; p++) {
                int64_t off = column - p * q->column_step;
                if (off % q->column_tap || off / q->column_tap < 0 || off / q->column_tap >= q->kw)
                    continue;
                if (x < 0)
                    x = depthwise_source(s, q, b, ky, column, c);
                simd_fma_to(s, acc[p * b->vectors + v], x, w[off / q->column_tap]);
            }
        }
    }
}

/* How many taps to the left of kx meet a column of the source under pixel p; -1: kx meets none. */
static int rank_of(const sweep *q, const block *b, int kx, int p)
{
    int rank = 0;
    for (int i = 0; i < kx; i++)
        rank += meets_column(q, b, tap_column(q, i, p));
    return meets_column(q, b, tap_column(q, kx, p)) ? rank : -1;
}

/* After all taps: the tail of each pixel out of the vector that it shared. */
static void part_tails(simd *s, const block *b, int acc[])
{
    int *tail = acc + b->pixels * b->vectors, shared[SIMD_ACC_MAX], parts = b->lanes / b->tail;
    memcpy(shared, tail, (size_t)b->pixels * sizeof *tail);
    for (int p = 0; p < b->pixels; p++)
        tail[p] = loop_part(&s->pen, shared[p / parts], p % parts, parts);
}

/* One input channel of one tap: a vector of weights, a broadcast of each pixel that it is the `rank`th tap of. */
static void dense_step(simd *s, const sweep *q, const block *b, loop_index ky, int kx, int rank, loop_index k,
                       const int acc[])
{
    bool any = false;
    for (int p = 0; p < b->pixels; p++)
        any |= rank_of(q, b, kx, p) == rank;
    if (!any)
        return;
    loop_index at = loop_sum(loop_times(ky, q->kw * q->weight_tap), loop_at(kx * q->weight_tap));
    at = loop_sum(loop_sum(at, loop_times(k, q->weight_inner)), q->weight_base);
    int w[SIMD_ACC_MAX], x[SIMD_ACC_MAX] = {0}, parts = b->tail ? b->lanes / b->tail : 1;
    for (int v = 0; v < b->vectors; v++)
        w[v] = loop_load(&s->pen, DT_F32, b->lanes, q->weights, loop_offset(at, (int64_t)v * b->lanes));
    int tail = -1;
    if (b->tail)
        tail = repeated_weights(s, q, loop_offset(at, (int64_t)b->vectors * b->lanes), b->tail, parts);
    for (int p = 0; p < b->pixels; p++) {
        if (rank_of(q, b, kx, p) != rank)
            continue;
        loop_index e = tap_element(q, b, ky, tap_column(q, kx, p), loop_sum(q->inner_base, k));
        x[p] = loop_bcast(&s->pen, DT_F32, b->lanes, q->x.buffer, e);
        for (int v = 0; v < b->vectors; v++)
            simd_fma_to(s, acc[p * b->vectors + v], x[p], w[v]);
        if (b->tail && (p % parts == parts - 1 || p == b->pixels - 1)) {
            int first = p - p % parts, shared = in_parts(s, x + first, p + 1 - first, parts);
            simd_fma_to(s, acc[b->pixels * b->vectors + p / parts], shared, tail);
        }
    }
}

enum { FEW_BLOCKS = 8, FAR_BYTES = 1 << 18 };

/* Few blocks of pixels pass over many weights faster than these come from a far cache, the first of them above all. So all
 * blocks fetch a part of the next panel, as they go over this one: a line or more with every so many channels. */
static void fetch_panel(simd *s, const sweep *q, const block *b, loop_index k)
{
    const net_type *t = &s->n->nodes.at[s->n->nodes.at[q->core].operand[1]].type;
    int blocks = (b->columns + b->pixels - 1) / b->pixels, width = b->vectors * b->lanes;
    if (width != q->panel || blocks > FEW_BLOCKS || net_elements(t) * 4 < FAR_BYTES)
        return;
    int lines = (UNROLLED_CHANNELS * width / SIMD_LINE + blocks - 1) / blocks,
        each = lines * SIMD_LINE / UNROLLED_CHANNELS;
    loop_index at = loop_offset(q->weight_base, (int64_t)q->inner * width);
    at = loop_sum(at, loop_times(b->x, (int64_t)q->inner * each / b->pixels / SIMD_LINE * SIMD_LINE));
    at = loop_sum(at, loop_times(k, each));
    for (int i = 0; i < lines; i++)
        loop_prefetch(&s->pen, q->weights, loop_offset(at, (int64_t)i * SIMD_LINE));
}

/* Columns of taps of the input channel `k`. */
static void dense_channel(simd *s, const sweep *q, const block *b, loop_index ky, int rank, loop_index k,
                          const int acc[])
{
    for (int kx = 0; kx < q->kw; kx++)
        dense_step(s, q, b, ky, kx, rank, k, acc);
}

/* Input channels from k on, UNROLLED_CHANNELS at each of so many steps. */
static void dense_channels(simd *s, const sweep *q, const block *b, loop_index ky, int rank, loop_index k, int steps,
                           const int acc[])
{
    int unrolled = s->o->small ? 1 : UNROLLED_CHANNELS;
    k = loop_sum(k, simd_open(s, 0, steps, unrolled));
    if (q->panel && q->kh * q->kw == 1 && !s->o->small)
        fetch_panel(s, q, b, k);
    bool rolled = s->o->rolled && unrolled > 1;
    if (rolled) {
        int i = loop_for(&s->pen, k, loop_offset(k, unrolled), 1);
        dense_channel(s, q, b, ky, rank, loop_plus(loop_at(0), i, 1), acc);
        loop_end(&s->pen);
    }
    for (int i = 0; i < unrolled && !rolled; i++)
        dense_channel(s, q, b, ky, rank, loop_offset(k, i), acc);
    simd_close(s, steps);
}

/* The `rank`th tap in a row of each pixel: pixels of different phases, whose taps differ, keep each other company. */
static void dense_tap(simd *s, const sweep *q, const block *b, loop_index ky, int rank, const int acc[])
{
    int unrolled = s->o->small ? 1 : UNROLLED_CHANNELS, whole = q->inner - q->inner % unrolled;
    if (whole <= unrolled)
        whole = 0;
    if (whole) {
        int all = whole / unrolled, rounds = rank == 0 ? simd_fetch_rounds(s, b, all) : 1, steps = all / rounds;
        loop_index round = simd_open(s, 0, rounds, 1);
        if (rank == 0)
            simd_fetch_along(s, b, round, rounds);
        dense_channels(s, q, b, ky, rank, loop_times(round, (int64_t)steps * unrolled), steps, acc);
        simd_close(s, rounds);
    }
    for (int i = whole; i < q->inner; i++)
        dense_channel(s, q, b, ky, rank, loop_at(i), acc);
}

/* The sum of a pointwise convolution that makes a tile as it goes. */
static void dense_and_make(simd *s, const sweep *q, const block *b, const int acc[])
{
    int all = q->inner / UNROLLED_CHANNELS;
    meanwhile_rounds m = simd_meanwhile_rounds(s, b, all);
    int steps = all / (m.pixels * m.parts), left = all % (m.pixels * m.parts);
    loop_index round = simd_open(s, 0, m.pixels, 1);
    simd_fetch_along(s, b, round, m.pixels);
    loop_index part = simd_open(s, 0, m.parts, 1), k = loop_sum(loop_times(round, m.parts), part);
    simd_make_meanwhile(s, b, &m, round, part);
    dense_channels(s, q, b, loop_at(0), 0, loop_times(k, (int64_t)steps * UNROLLED_CHANNELS), steps, acc);
    simd_close(s, m.parts);
    simd_close(s, m.pixels);
    if (left)
        dense_channels(s, q, b, loop_at(0), 0, loop_at((int64_t)(all - left) * UNROLLED_CHANNELS), left, acc);
    for (int i = all * UNROLLED_CHANNELS; i < q->inner; i++)
        dense_channel(s, q, b, loop_at(0), 0, loop_at(i), acc);
}

/* The most taps of a row that a pixel of the block sees. */
static int taps_in_a_row(const sweep *q, const block *b)
{
    int most = 0;
    for (int p = 0; p < b->pixels; p++)
        for (int kx = 0; kx < q->kw; kx++)
            most = rank_of(q, b, kx, p) >= most ? rank_of(q, b, kx, p) + 1 : most;
    return most;
}

/* Rows of taps inside of the source: y·row_step + row_shift + ky·row_tap for its row y, above or below none. */
static void rows_inside(simd *s, const sweep *q, const block *b, const int acc[])
{
    const net_type *t = &s->n->nodes.at[q->of].type;
    loop_index y = loop_sum(b->rel, loop_times(s->tile, s->n->nodes.at[q->core].type.h / s->smallest));
    loop_index at = loop_offset(loop_times(y, q->row_step), q->row_shift), above = loop_times(at, -1);
    loop_index lo = loop_offset(above, q->row_tap - 1), hi = loop_offset(above, t->h + q->row_tap - 1);
    int tap = (int)q->row_tap;
    if (tap < 0) { /* from the last row of the source up */
        lo = loop_offset(at, 1 - t->h);
        hi = loop_offset(at, 1);
        tap = 1;
    }
    int first = loop_int(&s->pen, LOOP_INT_DIV, lo, loop_at(0), tap);
    int end = loop_int(&s->pen, LOOP_INT_DIV, hi, loop_at(0), tap);
    first = loop_int(&s->pen, LOOP_INT_MAX, loop_plus(loop_at(0), first, 1), loop_at(0), 0);
    end = loop_int(&s->pen, LOOP_INT_MIN, loop_plus(loop_at(0), end, 1), loop_at(q->kh), 0);
    int ky = loop_for(&s->pen, loop_plus(loop_at(0), first, 1), loop_plus(loop_at(0), end, 1), 1);
    depthwise_row(s, q, b, loop_plus(loop_at(0), ky, 1), acc);
    loop_end(&s->pen);
}

bool simd_leaves_rows_out(const simd *s, int core)
{
    enum { FEW = 3, LOW = 2 }; /* rows of taps; times as high as them */
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    bool simple = v->prim == NET_conv || (v->prim == NET_conv_dx && w->sh == 1 && w->dh == 1);
    return simple && net_is_depthwise(s->n, v) && w->kh > FEW && s->n->nodes.at[v->operand[0]].type.h <= LOW * w->kh &&
           !s->o->small && !s->t->capability;
}

static void convolve(simd *s, const sweep *q, const block *b, const int acc[])
{
    if (q->clipped || simd_leaves_rows_out(s, q->core)) {
        rows_inside(s, q, b, acc);
        return;
    }
    if (s->makings) {
        dense_and_make(s, q, b, acc);
        return;
    }
    int first = 0, apart = 1; /* rows of taps that meet rows of the source: which, and how far from each to the next */
    while (first < q->kh && !meets_row(q, b, first))
        first++;
    while (first + apart < q->kh && !meets_row(q, b, first + apart))
        apart++;
    int rows = (q->kh - first + apart - 1) / apart, taps = taps_in_a_row(q, b);
    bool many = s->o->small || (s->o->rolled && q->inner) ||
                rows * taps * (q->inner ? 4 : 1) > UNROLLED_TAPS * (q->inner ? 2 : 1);
    bool rolled = rows > 1 && many;
    int var = rolled ? loop_for(&s->pen, loop_at(0), loop_at(rows), 1) : 0;
    for (int y = 0; y < (rolled ? 1 : rows); y++) {
        loop_index row = rolled ? loop_plus(loop_at(first), var, apart) : loop_at(first + y * apart);
        if (!q->inner)
            depthwise_row(s, q, b, row, acc);
        for (int rank = 0; rank < taps && q->inner; rank++)
            dense_tap(s, q, b, row, rank, acc);
    }
    if (rolled)
        loop_end(&s->pen);
}

/* `acc` with one more value; -1 is none. */
static void fold_in(simd *s, enum loop_op fold, int *acc, int value)
{
    if (value >= 0)
        *acc = *acc < 0 ? value : loop_math(&s->pen, fold, *acc, value, -1, -1);
}

/* One row of a pool's taps, row[p] of pixel p; a column is loaded once for all the pixels that see it. */
static void pool_row(simd *s, const sweep *q, const block *b, int ky, int vector, enum loop_op fold, int row[])
{
    int64_t at[SIMD_ACC_MAX];
    int loaded[SIMD_ACC_MAX], count = 0;
    for (int p = 0; p < b->pixels; p++)
        row[p] = -1;
    for (int kx = 0; kx < q->kw; kx++)
        for (int p = 0; p < b->pixels; p++) {
            int64_t column = tap_column(q, kx, p);
            int known = 0;
            if (!meets_column(q, b, column))
                continue;
            while (known < count && at[known] != column)
                known++;
            if (known == count) {
                CHECK(count < SIMD_ACC_MAX);
                loop_index e = tap_element(q, b, loop_at(ky), column, b->c);
                at[count] = column;
                loaded[count++] =
                    loop_load(&s->pen, DT_F32, b->lanes, q->x.buffer, loop_offset(e, (int64_t)vector * b->lanes));
            }
            fold_in(s, fold, &row[p], loaded[known]);
        }
}

/* Pools and padding: every tap added, or the greatest kept; the taps of a row first. */
static void pool(simd *s, int core, const block *b, int acc[])
{
    sweep q = sweep_taps(s, core);
    enum loop_op fold = simd_fold_of(&s->n->nodes.at[core]);
    int row[SIMD_ACC_MAX];
    for (int i = 0; i < b->pixels * b->vectors; i++)
        acc[i] = -1;
    for (int i = 0; i < b->vectors; i++)
        for (int ky = 0; ky < q.kh; ky++) {
            if (!meets_row(&q, b, ky))
                continue;
            pool_row(s, &q, b, ky, i, fold, row);
            for (int p = 0; p < b->pixels; p++)
                fold_in(s, fold, &acc[p * b->vectors + i], row[p]);
        }
    for (int i = 0; i < b->pixels * b->vectors; i++)
        if (acc[i] < 0) /* a gradient that comes from no window */
            acc[i] = loop_const(&s->pen, DT_F32, b->lanes, 0);
}

/* Sums that begin: one a pixel and vector, one a group of pixels that share a vector. */
static void begin_block(simd *s, const sweep *q, const block *b, int acc[])
{
    int parts = b->tail ? b->lanes / b->tail : 1, tails = b->tail ? (b->pixels + parts - 1) / parts : 0;
    int apart = shared_pixels(s, q, b), count = b->pixels * b->vectors + tails;
    int wide = apart ? loop_const(&s->pen, DT_F32, s->t->lanes, 0) : -1;
    int zero = apart < count ? loop_const(&s->pen, DT_F32, b->lanes, 0) : -1;
    for (int p = 0; p < apart; p += s->t->lanes / b->lanes)
        acc[p] = loop_math(&s->pen, LOOP_MOVE, wide, -1, -1, -1);
    for (int i = apart; i < count; i++)
        acc[i] = loop_math(&s->pen, LOOP_MOVE, zero, -1, -1, -1);
}

/* After all taps: each pixel's part of the vector of its group. */
static void part_groups(simd *s, const sweep *q, const block *b, int acc[])
{
    int apart = shared_pixels(s, q, b), parts = s->t->lanes / b->lanes;
    for (int first = 0; first < apart; first += parts) {
        int shared = acc[first];
        for (int p = 0; p < parts; p++)
            acc[first + p] = loop_part(&s->pen, shared, p, parts);
    }
}

void simd_window(simd *s, int core, const block *b, int acc[])
{
    const net_node *v = &s->n->nodes.at[core];
    CHECK(b->pixels * (b->vectors + (b->tail > 0)) <= SIMD_ACC_MAX);
    if (v->prim == NET_max_pool_dx) {
        simd_gather(s, core, b, acc);
        return;
    }
    if (v->prim != NET_conv && v->prim != NET_conv_dx) {
        pool(s, core, b, acc);
        return;
    }
    sweep q = sweep_of(s, core, b);
    begin_block(s, &q, b, acc);
    convolve(s, &q, b, acc);
    part_groups(s, &q, b, acc);
    if (b->tail)
        part_tails(s, b, acc);
}
