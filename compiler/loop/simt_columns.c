/* Depthwise convolutions, forward and back: a thread has one channel of some columns side by side. What their windows
 * see of a row of the source it reads once, each value for all columns that need it, and so a tap's weight. Taps come
 * in the net's order, in one sum a column; beyond the edge the source is 0, as in the simd lowering. Where sums over rows
 * come along, threads are blocks of whole rows, which they leave in shared memory, too. */
#include "loop/simt.h"

#include <string.h>

enum {
    ROWS = 8,      /* that threads side by side have: they see the same source */
    CHANNELS = 16, /* of a block of whole rows */
    THREADS = 256, /* of it */
    COLUMNS_MOST = SIMT_QUAD,
    TAPS_MOST = 7,
    SPAN_MOST = 64
};

typedef struct columns {
    const net_node *v;
    axes of;
    filter f;
    int count; /* of the thread */
    int acc[COLUMNS_MOST];
} columns;

static int count_of(int w)
{
    int count = COLUMNS_MOST;
    while (w % count)
        count--;
    return count;
}

/* Columns of the source from the first that the thread's windows see to the last. */
static int span(const axis *q, int count)
{
    return (count - 1) * q->stride + (q->taps - 1) * q->dilation + 1;
}

bool simt_goes_by_columns(const simd *s, int core)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    if (!v || (v->prim != NET_conv && v->prim != NET_conv_dx) || !net_is_depthwise(s->n, v))
        return false;
    axis along = simt_axes(s, core).columns;
    int count = count_of(v->type.w);
    bool back = along.back && (along.stride > 1 || v->attr.window.sh > 1); /* with a stride some taps see nothing */
    return !back && count > 1 && along.taps <= TAPS_MOST && span(&along, count) <= SPAN_MOST;
}

/* Where column u's tap kx lies in the span. A gradient's taps go backwards. */
static int place_of(const axis *q, int u, int kx)
{
    return q->back ? u + (q->taps - 1 - kx) * q->dilation : u * q->stride + kx * q->dilation;
}

/* The source at column `x` of the row, of which it is known that it lies in [lo, hi]: 0 beyond the edge. */
static int read_column(simd *s, const columns *q, const spot *row, loop_index x, int lo, int hi)
{
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1), opened = 0;
    spot at = *row;
    at.x = x;
    if (lo < 0) {
        loop_if(&s->pen, loop_at(-1), x);
        opened++;
    }
    if (hi >= q->of.columns.size) {
        loop_if(&s->pen, x, loop_at(q->of.columns.size));
        opened++;
    }
    int seen = simt_read(s, q->v->operand[0], &at);
    if (!opened)
        return seen;
    loop_math_to(&s->pen, value, LOOP_MOVE, seen, -1, -1, -1);
    simt_close(s, opened);
    return value;
}

/* One row of taps. */
static void add_row(simd *s, const columns *q, const spot *row, loop_index x, loop_index tap)
{
    int seen[SPAN_MOST], reach = (q->of.columns.taps - 1) * q->of.columns.dilation;
    int before = q->of.columns.back ? reach - q->of.columns.before : q->of.columns.before;
    for (int i = 0; i < SPAN_MOST; i++)
        seen[i] = -1;
    for (int kx = 0; kx < q->of.columns.taps; kx++) {
        loop_index weight = loop_sum(q->f.base, loop_times(loop_offset(tap, kx), q->f.per_tap));
        int w = loop_load(&s->pen, DT_F32, 1, q->f.buffer, weight);
        for (int u = 0; u < q->count; u++) {
            int i = place_of(&q->of.columns, u, kx), last = (q->of.columns.out - q->count) * q->of.columns.stride;
            if (seen[i] < 0)
                seen[i] = read_column(s, q, row, loop_offset(loop_times(x, q->of.columns.stride), i - before),
                                      i - before, last + i - before);
            simd_fma_to(s, q->acc[u], seen[i], w);
        }
    }
}

static void convolve(simd *s, const columns *q, const spot *at)
{
    int opened = 0, known = s->channel_memo.count;
    spot row = {.c = at->c, .lanes = 1, .ratio = 1};
    simt_load_rows(s, q->v->operand[0], &row);
    loop_index ky = simd_open(s, 0, q->of.rows.taps, 1);
    row.rel = simt_tap(s, &q->of.rows, at->rel, ky, &opened);
    simt_inside(s, &q->of.rows, row.rel, &opened);
    add_row(s, q, &row, at->x, loop_times(ky, q->of.columns.taps));
    simt_close(s, opened);
    simd_close(s, q->of.rows.taps);
    s->channel_memo.count = known;
}

bool simt_has_quads(const simd *s, int node)
{
    return s->f->place[node] == PLACE_CHIP && simt_goes_by_columns(s, node) &&
           count_of(s->n->nodes.at[node].type.w) == SIMT_QUAD;
}

/* The results of `count` columns from `at` on, in registers. */
static columns columns_at(simd *s, int core, int count, const spot *at)
{
    columns q = {.v = &s->n->nodes.at[core], .of = simt_axes(s, core), .count = count};
    q.f = simd_filter(s, core, at->c, loop_at(0));
    for (int u = 0; u < count; u++)
        q.acc[u] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    convolve(s, &q, at);
    return q;
}

void simt_quad(simd *s, int core, const spot *at, int value[SIMT_QUAD])
{
    columns q = columns_at(s, core, SIMT_QUAD, at);
    memcpy(value, q.acc, SIMT_QUAD * sizeof *value);
}

/* ---- blocks of whole rows ---------------------------------------------------------------------------------------- */

/* Some rows of some channels, where rows are summed. */
typedef struct row_block {
    const net_node *v;
    int rows, channels, count, threads, values; /* count: columns of a thread; values: in shared memory */
    int thread;
    loop_index row, c; /* the block's first */
} row_block;

static row_block open_rows(simd *s, const net_node *v)
{
    row_block b = {.v = v, .rows = ROWS, .channels = v->type.c < CHANNELS ? v->type.c : CHANNELS};
    b.count = count_of(v->type.w);
    int line = v->type.w / b.count * b.channels, blocks = (v->type.c + b.channels - 1) / b.channels;
    while (b.rows > 1 && (b.rows * line > THREADS || v->type.h % b.rows))
        b.rows /= 2;
    b.threads = b.rows * line;
    b.values = loop_scratch(&s->pen, DT_F32, (int64_t)b.rows * (v->type.w + 1) * b.channels);
    s->unit = loop_parallel(&s->pen);
    b.thread = loop_threads(&s->pen, b.threads);
    s->tile = loop_at(0);
    loop_index block = loop_plus(loop_at(0), s->unit, 1);
    s->image = simt_split(s, &block, (int64_t)v->type.h / b.rows * blocks);
    b.row = loop_times(simt_split(s, &block, blocks), b.rows);
    b.c = loop_times(block, b.channels);
    s->out->unit_images = 1;
    s->out->unit_tiles = v->type.h / b.rows * blocks;
    return b;
}

/* In shared memory: rows of the block begin in different banks. */
static loop_index value_at(const row_block *b, loop_index row, loop_index x, loop_index c)
{
    loop_index line = loop_times(row, (int64_t)(b->v->type.w + 1) * b->channels);
    return loop_sum(line, loop_sum(loop_times(x, b->channels), c));
}

/* The thread's columns, to memory and to shared memory. */
static void make_columns(simd *s, const row_block *b, int root, int core)
{
    loop_index c = loop_plus(loop_at(0), b->thread, 1), row = simt_split(s, &c, b->channels);
    loop_index x = loop_times(simt_split(s, &row, b->rows), b->count);
    spot at = {.rel = loop_sum(b->row, row), .x = x, .c = loop_sum(b->c, c), .lanes = 1, .ratio = 1};
    at.h = b->v->type.h;
    at.w = b->v->type.w;
    int opened = simt_below(s, at.c, b->v->type.c, b->channels);
    columns q = columns_at(s, core, b->count, &at);
    for (int u = 0; u < b->count; u++) {
        at.x = loop_offset(x, u);
        int value = simt_store(s, root, core, q.acc[u], &at);
        loop_store(&s->pen, b->values, value_at(b, row, at.x, c), value);
    }
    simt_close(s, opened);
}

static void sum_rows(simd *s, const row_block *b, int root)
{
    loop_index c = loop_plus(loop_at(0), b->thread, 1);
    loop_if(&s->pen, c, loop_at((int64_t)b->rows * b->channels));
    loop_index row = simt_split(s, &c, b->channels);
    spot at = {.rel = loop_sum(b->row, row), .x = loop_at(0), .c = loop_sum(b->c, c), .lanes = 1, .ratio = 1};
    int opened = 1 + simt_below(s, at.c, b->v->type.c, b->channels);
    made_row made = {.w = b->v->type.w, .scratch = b->values, .pitch = b->channels};
    made.first = value_at(b, row, loop_at(0), c);
    simt_sum_row(s, root, &at, &made);
    simt_close(s, opened);
}

static void lower_rows(simd *s, int root, int core)
{
    row_block b = open_rows(s, &s->n->nodes.at[core]);
    make_columns(s, &b, root, core);
    loop_barrier(&s->pen);
    sum_rows(s, &b, root);
    loop_end(&s->pen);
    loop_end(&s->pen);
}

/* ---- threads alone ----------------------------------------------------------------------------------------------- */

void simt_lower_columns(simd *s, int root, int core)
{
    if (s->g->roots.count > 1) {
        lower_rows(s, root, core);
        return;
    }
    const net_node *v = &s->n->nodes.at[core];
    int count = count_of(v->type.w);
    int rows = v->type.h % ROWS ? 1 : ROWS;
    net_type groups = v->type; /* as if each thread's columns were one, and some rows channels */
    groups.h /= rows;
    groups.w /= count;
    groups.c *= rows;
    spot at = simt_open(s, &groups);
    at.h = v->type.h;
    at.w = v->type.w;
    at.x = loop_times(at.x, count);
    if (rows > 1)
        at.rel = loop_sum(loop_times(at.rel, rows), simt_split(s, &at.c, v->type.c));
    columns q = columns_at(s, core, count, &at);
    loop_index x = at.x;
    for (int u = 0; u < count; u++) {
        at.x = loop_offset(x, u);
        simt_store(s, root, core, q.acc[u], &at);
    }
    loop_end(&s->pen);
}
