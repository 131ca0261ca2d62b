/* Partial weight gradients: dW[tap][ci][co] += Σ x[pixel + tap][ci] · g[pixel][co], pixels in order, the sums of a
 * block of weights in registers while a tile passes. */
#include "loop/simd.h"

#include <limits.h>

enum { TAP_PIXELS = 4 };

typedef struct correlation {
    const stage *g;
    const net_node *v;
    view x, grad;
    int out; /* buffer of the partial rows */
    loop_index row;
    int inner, outer, groups; /* channels of a group: of x, of g */
    int whole, tail, across;  /* channels of g that fill vectors, and others; of x, those that turned blocks have */
    int sums;                 /* scratch of turned blocks: [tap][tail][across] */
    loop_index first;         /* row of the part at hand, which has so many */
    int rows;
    bool depthwise, turned; /* turned: the block at hand */
} correlation;

static loop_index x_element(const correlation *q, loop_index y, loop_index x, int ky, int64_t further, loop_index c)
{
    const net_window *w = &q->v->attr.window;
    loop_index row = loop_offset(loop_times(y, w->sh), (int64_t)ky * w->dh - w->top);
    loop_index column = loop_offset(loop_times(x, w->sw), further - w->left);
    return simd_view_element(&q->x, row, column, c);
}

static loop_index g_element(const correlation *q, loop_index y, loop_index x, loop_index c)
{
    return simd_view_element(&q->grad, y, x, c);
}

/* Loops over the gradient's rows of this part of the tile. */
static loop_index open_rows(simd *s, const correlation *q)
{
    return loop_sum(q->first, simd_open(s, 0, q->rows, 1));
}

/* Depthwise: taps [first, first + many) of one vector of channels. */
typedef struct tap_block {
    loop_index c;
    int lanes, first, many, pixels; /* pixels at once: neighbours share columns of x */
    int acc[SIMD_ACC_MAX];
} tap_block;

/* The taps of row ky over some pixels: each column is loaded once for all the pixels and taps that meet there. A tap still
 * sees its pixels from left to right. */
static void depthwise_row(simd *s, const correlation *q, const tap_block *b, int ky, loop_index y, loop_index x,
                          const int g[])
{
    const net_window *w = &q->v->attr.window;
    int last = (b->pixels - 1) * w->sw + (w->kw - 1) * w->dw;
    for (int column = 0; column <= last; column++) {
        int at = -1;
        for (int p = 0; p < b->pixels; p++) {
            int off = column - p * w->sw, tap = ky * w->kw + off / w->dw - b->first;
            if (off < 0 || off % w->dw || off / w->dw >= w->kw || tap < 0 || tap >= b->many)
                continue;
            if (at < 0)
                at = loop_load(&s->pen, DT_F32, b->lanes, q->x.buffer, x_element(q, y, x, ky, column, b->c));
            simd_fma_to(s, b->acc[tap], at, g[p]);
        }
    }
}

static void depthwise_pixels(simd *s, const correlation *q, const tap_block *b, loop_index y, loop_index x)
{
    int g[TAP_PIXELS], kw = q->v->attr.window.kw;
    for (int p = 0; p < b->pixels; p++)
        g[p] = loop_load(&s->pen, DT_F32, b->lanes, q->grad.buffer, g_element(q, y, loop_offset(x, p), b->c));
    for (int ky = b->first / kw; ky * kw < b->first + b->many; ky++)
        depthwise_row(s, q, b, ky, y, x, g);
}

static void depthwise_taps(simd *s, const correlation *q, tap_block b)
{
    int channels = q->v->type.c, width = q->g->w, blocks = width / TAP_PIXELS;
    loop_index to = loop_sum(q->row, loop_sum(b.c, s->slice));
    for (int i = 0; i < b.many; i++)
        b.acc[i] = loop_load(&s->pen, DT_F32, b.lanes, q->out, loop_offset(to, (int64_t)(b.first + i) * channels));
    loop_index y = open_rows(s, q);
    b.pixels = TAP_PIXELS;
    if (blocks) {
        depthwise_pixels(s, q, &b, y, simd_open(s, 0, blocks, TAP_PIXELS));
        simd_close(s, blocks);
    }
    b.pixels = width % TAP_PIXELS;
    if (b.pixels)
        depthwise_pixels(s, q, &b, y, loop_at((int64_t)blocks * TAP_PIXELS));
    simd_close(s, q->rows);
    for (int i = 0; i < b.many; i++)
        loop_store(&s->pen, q->out, loop_offset(to, (int64_t)(b.first + i) * channels), b.acc[i]);
}

static void depthwise_weights(simd *s, const correlation *q)
{
    int taps = q->v->attr.window.kh * q->v->attr.window.kw, most = s->t->registers >= 32 ? 25 : 10;
    int passes = (taps + most - 1) / most, many = (taps + passes - 1) / passes;
    channel_run run[8];
    int runs = simd_channel_runs(s, q->g->c, 1, run);
    for (int r = 0; r < runs; r++) {
        loop_index c = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        for (int first = 0; first < taps; first += many)
            depthwise_taps(
                s, q,
                (tap_block){
                    .c = c, .lanes = run[r].lanes, .first = first, .many = first + many < taps ? many : taps - first});
        simd_close(s, run[r].count);
    }
}

/* ---- dense convolutions ------------------------------------------------------------------------------------------ */

/* Σ over pixels of rows × columns of a tap: each row one channel, in every lane, each column a channel of its own. Rows are
 * channels of x and columns those of g, or, turned, the other way round. Channels count in the group. */
typedef struct weight_block {
    int tap;
    loop_index group, row, column;
    int rows, vectors, lanes;
    loop_index at; /* its number, among so many that differ by their rows */
    int blocks;
    int run, runs; /* of the blocks that fetch: this one's number among those of other columns */
    fetch_share fetches;
} weight_block;

/* Turned blocks add up in scratch, where columns lie side by side, and go to the partial rows when the unit ends. */
static loop_index block_target(const correlation *q, const weight_block *b)
{
    int channels = q->v->type.c;
    if (q->turned)
        return loop_sum(loop_times(loop_offset(b->row, (int64_t)b->tap * q->tail - q->whole), q->across), b->column);
    loop_index to = loop_sum(q->row, loop_at((int64_t)b->tap * q->inner * channels));
    to = loop_sum(to, loop_times(b->row, channels));
    return loop_sum(to, loop_sum(b->column, loop_times(b->group, q->outer)));
}

/* A pixel's products: each row's value with all columns. */
static void dense_pixel(simd *s, const correlation *q, const weight_block *b, loop_index y, loop_index x,
                        const int acc[])
{
    int column[SIMD_ACC_MAX], kw = q->v->attr.window.kw, dilation = q->v->attr.window.dw;
    loop_index of_x =
        x_element(q, y, x, b->tap / kw, (int64_t)(b->tap % kw) * dilation, loop_times(b->group, q->inner));
    loop_index of_g = g_element(q, y, x, loop_times(b->group, q->outer));
    loop_index rows = loop_sum(q->turned ? of_g : of_x, b->row), columns = loop_sum(q->turned ? of_x : of_g, b->column);
    int row_buffer = q->turned ? q->grad.buffer : q->x.buffer, column_buffer = q->turned ? q->x.buffer : q->grad.buffer;
    for (int v = 0; v < b->vectors; v++)
        column[v] = loop_load(&s->pen, DT_F32, b->lanes, column_buffer, loop_offset(columns, (int64_t)v * b->lanes));
    for (int i = 0; i < b->rows; i++) {
        int value = loop_bcast(&s->pen, DT_F32, b->lanes, row_buffer, loop_offset(rows, i));
        for (int v = 0; v < b->vectors; v++)
            simd_fma_to(s, acc[i * b->vectors + v], value, column[v]);
    }
}

/* Pixels of a row of which this block makes others as well (simd_meanwhile.c): one with each of as many as leave all
 * blocks, of which this is number `at` of `blocks`, the same number of them. */
static void dense_row_and_make(simd *s, const correlation *q, const weight_block *b, loop_index y, const int acc[])
{
    int w = q->g->w, each = (w + b->blocks - 1) / b->blocks, apart = w / each, left = w - each * apart;
    simd_fetch_rest(s, &b->fetches, y, w);
    loop_index i = simd_open(s, 0, each, 1), made = loop_sum(loop_times(b->at, each), i);
    bool all_inside = each * b->blocks == w;
    if (!all_inside)
        loop_if(&s->pen, made, loop_at(w));
    simd_make_beside(s, y, made);
    if (!all_inside)
        loop_end(&s->pen);
    loop_index x = loop_sum(loop_times(i, apart), simd_open(s, 0, apart, 1));
    simd_fetch_beside(s, &b->fetches, y, x, w);
    dense_pixel(s, q, b, y, x, acc);
    simd_close(s, apart);
    simd_close(s, each);
    if (left) {
        x = simd_open(s, each * apart, left, 1);
        simd_fetch_beside(s, &b->fetches, y, x, w);
        dense_pixel(s, q, b, y, x, acc);
        simd_close(s, left);
    }
}

static void dense_block(simd *s, const correlation *q, const weight_block *b)
{
    int acc[SIMD_ACC_MAX];
    int out = q->turned ? q->sums : q->out, width = q->turned ? q->across : q->v->type.c;
    loop_index to = block_target(q, b), y;
    for (int i = 0; i < b->rows; i++)
        for (int v = 0; v < b->vectors; v++)
            acc[i * b->vectors + v] =
                loop_load(&s->pen, DT_F32, b->lanes, out, loop_offset(to, (int64_t)i * width + (int64_t)v * b->lanes));
    y = open_rows(s, q);
    if (s->makings || s->along.count) {
        dense_row_and_make(s, q, b, y, acc);
    } else {
        dense_pixel(s, q, b, y, simd_open(s, 0, q->g->w, 1), acc);
        simd_close(s, q->g->w);
    }
    simd_close(s, q->rows);
    for (int i = 0; i < b->rows; i++)
        for (int v = 0; v < b->vectors; v++)
            loop_store(&s->pen, out, loop_offset(to, (int64_t)i * width + (int64_t)v * b->lanes),
                       acc[i * b->vectors + v]);
}

/* Of `count` rows, those of a block with so many vectors of columns. */
static int block_rows(const simd *s, int count, int vectors)
{
    int registers = s->t->registers < 16 ? 16 : s->t->registers, most = (registers - 2 - vectors) / vectors;
    most = vectors > 1 && most > 8 ? 8 : most > 16 ? 16 : most;
    most = count < most ? count : most;
    for (int rows = most; rows > most / 2; rows--)
        if (count % rows == 0)
            return rows;
    return most;
}

/* What block `at` of `blocks` fetches: each map belongs to some that follow each other, or a block has several. */
static fetch_share share_of(const simd *s, int at, int blocks)
{
    int maps = s->along.count, m = 0;
    if (maps == 0 || blocks == 0)
        return (fetch_share){.rounds = INT_MAX};
    if (maps > blocks)
        return (fetch_share){.first = maps * at / blocks, .end = maps * (at + 1) / blocks, .rounds = 1};
    while (blocks * (m + 1) / maps <= at)
        m++;
    int begin = blocks * m / maps;
    return (fetch_share){.first = m, .end = m + 1, .rounds = blocks * (m + 1) / maps - begin, .begun = at - begin};
}

/* Rows [first, first + count) with the columns of a run. */
static void dense_rows(simd *s, const correlation *q, weight_block b, int first, int count)
{
    int most = block_rows(s, count, b.vectors), whole = count / most;
    b.rows = most;
    b.blocks = (count + most - 1) / most;
    for (int i = 0, many; i < whole; i += many) { /* as many as fetch of the same map */
        b.fetches = share_of(s, b.run * whole + i, b.runs * whole);
        many = b.fetches.rounds - b.fetches.begun;
        many = many < whole - i ? many : whole - i;
        b.at = simd_open(s, i, many, 1);
        b.fetches.round = loop_offset(b.at, b.fetches.begun - i);
        b.row = loop_offset(loop_times(b.at, most), first);
        dense_block(s, q, &b);
        simd_close(s, many);
    }
    b.fetches = (fetch_share){.rounds = 1};
    b.rows = count % most;
    b.at = loop_at(whole);
    b.row = loop_at(first + (int64_t)whole * most);
    if (b.rows)
        dense_block(s, q, &b);
}

enum { FETCHING = 4 }; /* blocks of columns that fetch, at most */

/* Rows [first, first + rows) and columns [lo, lo + columns). */
static void dense_part(simd *s, const correlation *q, weight_block b, int first, int rows, int lo, int columns)
{
    int whole = columns / s->t->lanes, vectors = whole >= 2 ? 2 : 1;
    if (s->o->vectors > 0 && s->o->vectors <= whole)
        vectors = s->o->vectors;
    channel_run run[8 + FETCHING];
    int runs = simd_channel_runs(s, columns, vectors, run), fetching = s->along.count ? FETCHING : 1;
    b.runs = s->along.count || s->makings ? simd_part(run, &runs, fetching) : 0;
    for (int r = 0; r < runs; r++) {
        b.run = r;
        b.column = simd_open(s, lo + run[r].lo, run[r].count, run[r].vectors * run[r].lanes);
        b.vectors = run[r].vectors;
        b.lanes = run[r].lanes;
        dense_rows(s, q, b, first, rows);
        simd_close(s, run[r].count);
        s->makings = 0;                                       /* the first blocks of columns have made them, */
        s->along.count = r + 1 < b.runs ? s->along.count : 0; /* the first few have fetched */
    }
}

/* Channels of g that fill no vector are turned: rows of a block whose columns are channels of x, as many as fill vectors.
 * What is left of both is a small block as it stands. */
static void dense_tap(simd *s, correlation *q, weight_block b)
{
    int rest = q->inner - q->across;
    if (q->whole)
        dense_part(s, q, b, 0, q->inner, 0, q->whole);
    if (q->tail && rest)
        dense_part(s, q, b, q->across, rest, q->whole, q->tail);
    q->turned = q->across > 0;
    if (q->turned)
        dense_part(s, q, b, q->whole, q->tail, 0, q->across);
    q->turned = false;
}

static correlation correlation_of(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    int groups = v->attr.window.groups < 1 ? 1 : v->attr.window.groups, lanes = s->t->lanes;
    correlation q = {.v = v,
                     .groups = groups,
                     .inner = s->n->nodes.at[v->operand[0]].type.c / groups,
                     .outer = s->n->nodes.at[v->operand[1]].type.c / groups,
                     .depthwise = net_is_depthwise(s->n, v)};
    bool turns = !q.depthwise && groups == 1 && q.outer % lanes && q.inner >= lanes;
    q.whole = turns ? q.outer - q.outer % lanes : q.outer;
    q.tail = q.outer - q.whole;
    q.across = turns ? q.inner - q.inner % lanes : 0;
    return q;
}

static int64_t turned_elements(const correlation *q)
{
    const net_window *w = &q->v->attr.window;
    return (int64_t)w->kh * w->kw * q->tail * q->across;
}

bool simd_rows_are_parts(const simd *s, int conv_dw)
{
    return s->n->nodes.at[conv_dw].type.chunked < s->n->chunk;
}

/* Where the present row begins: the unit's, or that of the part to which the present image belongs. */
static loop_index row_of(simd *s, int conv_dw)
{
    const net_type *t = &s->n->nodes.at[conv_dw].type;
    loop_index row = loop_plus(loop_at(0), s->unit, 1);
    if (simd_rows_are_parts(s, conv_dw))
        row = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_DIV, s->image, loop_at(0), t->chunked), 1);
    return loop_times(row, (int64_t)t->h * t->w * t->c);
}

void simd_clear_weights(simd *s, stage *g)
{
    const net_type *t = &s->n->nodes.at[g->value].type;
    correlation q = correlation_of(s, g->value);
    int64_t count = turned_elements(&q);
    bool parts = simd_rows_are_parts(s, g->value);
    if (count && !g->scratch) /* else for the images before, of which some may belong to the row */
        g->scratch = loop_scratch(&s->pen, DT_F32, count);
    if (parts) {
        int number = loop_int(&s->pen, LOOP_INT_MOD, s->image, loop_at(0), t->chunked);
        loop_if(&s->pen, loop_plus(loop_at(0), number, 1), loop_at(1));
    }
    simd_fill(s, simd_arg(s, g->value, LOOP_INOUT), row_of(s, g->value), (int64_t)t->h * t->w * t->c, 0);
    if (count)
        simd_fill(s, g->scratch, loop_at(0), count, 0);
    if (parts)
        loop_end(&s->pen);
}

void simd_store_turned(simd *s, const stage *g)
{
    correlation q = correlation_of(s, g->value);
    if (!turned_elements(&q))
        return;
    int channels = q.v->type.c, taps = q.v->attr.window.kh * q.v->attr.window.kw;
    int to = simd_arg(s, g->value, LOOP_INOUT);
    loop_index first = row_of(s, g->value);
    loop_index tap = simd_open(s, 0, taps, 1), row = simd_open(s, 0, q.tail, 1), column = simd_open(s, 0, q.across, 1);
    loop_index from = loop_sum(loop_times(loop_sum(loop_times(tap, q.tail), row), q.across), column);
    loop_index place = loop_sum(loop_times(loop_sum(loop_times(tap, q.inner), column), channels), row);
    loop_store(&s->pen, to, loop_sum(first, loop_offset(place, q.whole)),
               loop_load(&s->pen, DT_F32, 1, g->scratch, from));
    simd_close(s, q.across);
    simd_close(s, q.tail);
    simd_close(s, taps);
}

/* The most rows of so many bytes that stay in the first cache level, a part of the tile's; 0: too few pixels that blocks
 * are worth taking up. */
static int rows_within(const simd *s, const correlation *q, int own, int64_t bytes)
{
    enum { ENOUGH = 64 };
    for (int rows = own; rows * q->g->w >= ENOUGH; rows--)
        if (own % rows == 0 && bytes * rows * 10 <= s->t->l1_bytes * 9)
            return rows;
    return 0;
}

/* Each block passes over all pixels: as many rows at a time as stay in the first cache level meanwhile, or of x a line of
 * each pixel, which two blocks read. */
static int part_rows(const simd *s, const correlation *q, int own)
{
    int64_t x = q->x.row * q->v->attr.window.sh * 4, g = q->grad.row * 4, line = (int64_t)q->g->w * SIMD_LINE * 4;
    int rows = rows_within(s, q, own, x + g);
    return rows ? rows : (rows = rows_within(s, q, own, (x < line ? x : line) + g)) ? rows : own;
}

void simd_weights(simd *s, const stage *g)
{
    correlation q = correlation_of(s, g->value);
    q.g = g;
    q.x = simd_operand_view(s, g->value, 0);
    q.grad = simd_operand_view(s, g->value, 1);
    q.out = simd_arg(s, g->value, LOOP_INOUT);
    q.sums = g->scratch;
    q.row = row_of(s, g->value);
    q.rows = simd_own_rows(s, g);
    if (q.depthwise) {
        depthwise_weights(s, &q);
        return;
    }
    int taps = q.v->attr.window.kh * q.v->attr.window.kw;
    weight_block b = {.group = loop_at(0)};
    if (q.groups > 1)
        b.group = loop_plus(b.group, loop_for(&s->pen, loop_at(0), loop_at(q.groups), 1), 1);
    int own = q.rows;
    q.rows = part_rows(s, &q, own);
    q.first = simd_open(s, 0, own / q.rows, 1);
    q.first = loop_times(q.first, q.rows);
    for (b.tap = 0; b.tap < taps; b.tap++)
        dense_tap(s, &q, b);
    simd_close(s, own / q.rows);
    if (q.groups > 1)
        loop_end(&s->pen);
}
