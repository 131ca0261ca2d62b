/* Sums over images and pixels, in the net's order. A conv_dw has so many sums that each is a thread's own. A chan_sum
 * has few, but adds rows of pixels: threads take a row each, one of them adds the rows, in their order and in float64.
 * Rows may have been summed by who made them: row_sum. */
#include "loop/simt.h"

enum {
    SUM_THREADS = 1024,
    SUM_CHANNELS = 8, /* that a block of threads sums side by side: a transaction of memory */
    TOTAL_THREADS = 512,
    WARP = 32,
    NORM_LANES = 16 /* of norm2: the net's */
};

static int move_wide(simd *s, double value)
{
    return loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F64, 1, value), -1, -1, -1);
}

static void store_narrow(simd *s, int root, loop_index at, int value)
{
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), at, loop_convert(&s->pen, DT_F32, value));
}

/* ---- partial weight gradients ------------------------------------------------------------------------------------ */

/* Which weight a unit is, and of which chunk. */
typedef struct weight {
    loop_index chunk, ky, kx, ci, co;
    int inner, outer; /* channels of a group: of x, of g */
    loop_index x;     /* channel of x that meets channel co of g */
} weight;

static weight weight_of_unit(simd *s, const net_node *v)
{
    int groups = v->attr.window.groups < 1 ? 1 : v->attr.window.groups;
    weight q = {.inner = s->n->nodes.at[v->operand[0]].type.c / groups, .outer = v->type.c / groups};
    loop_index rest = simt_variable(s->unit);
    q.chunk = simt_split(s, &rest, (int64_t)v->type.h * v->type.w * v->type.c);
    q.ky = simt_split(s, &rest, (int64_t)v->type.w * v->type.c);
    q.kx = simt_split(s, &rest, (int64_t)q.inner * v->type.c);
    q.ci = q.inner > 1 ? simt_split(s, &rest, v->type.c) : loop_at(0);
    q.co = rest;
    loop_index group = groups > 1 ? simt_split(s, &rest, q.outer) : loop_at(0);
    q.x = loop_sum(loop_times(group, q.inner), q.ci);
    return q;
}

/* Loops over the images of a chunk. */
static int open_images(simd *s, loop_index chunk, int images)
{
    loop_index first = loop_times(chunk, images);
    int end = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(first, images), simt_variable(0), 0);
    return loop_for(&s->pen, first, simt_variable(end), 1);
}

void simt_weights(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_type *g = &s->n->nodes.at[v->operand[1]].type;
    axes of = simt_weight_axes(s, root);
    int opened = 0;
    s->unit = loop_parallel(&s->pen);
    s->tile = loop_at(0);
    weight q = weight_of_unit(s, v);
    int acc = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->image = simt_variable(open_images(s, q.chunk, v->type.chunked));
    spot of_g = {.rel = simd_open(s, 0, g->h, 1), .c = q.co, .lanes = 1, .ratio = 1}, of_x = of_g;
    of_x.c = q.x;
    of_x.rel = simt_tap(s, &of.rows, of_g.rel, q.ky, &opened);
    simt_inside(s, &of.rows, of_x.rel, &opened);
    int in_row = opened;
    of_g.x = simd_open(s, 0, g->w, 1);
    of_x.x = simt_tap(s, &of.columns, of_g.x, q.kx, &opened);
    simt_inside(s, &of.columns, of_x.x, &opened);
    int value = simd_read_apart(s, v->operand[0], &of_x);
    simd_fma_to(s, acc, value, simd_read_apart(s, v->operand[1], &of_g));
    simt_close(s, opened - in_row);
    simd_close(s, g->w);
    simt_close(s, in_row);
    simd_close(s, g->h);
    loop_end(&s->pen);
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), simt_variable(s->unit), acc);
    loop_end(&s->pen);
    s->out->unit_images = v->type.chunked;
    s->out->unit_tiles = v->type.h * v->type.w * v->type.c;
}

/* ---- sums over pixels -------------------------------------------------------------------------------------------- */

/* A block of threads: `lines` rows of pixels at a time, `channels` channels of each. */
typedef struct row_block {
    const group *g; /* its roots are the sums, which share the pixels that they read */
    const net_type *t;
    int channels, lines, rows; /* rows: of a chunk, all images */
    int thread, sums;          /* its variable; scratch: of each sum and thread its row's */
    loop_index chunk, c;       /* c: the thread's channel */
    loop_index line;           /* which of the rows at a time is the thread's */
} row_block;

static row_block open_row_block(simd *s, const net_type *t)
{
    int channels = t->c < SUM_CHANNELS ? t->c : SUM_CHANNELS, groups = (t->c + channels - 1) / channels;
    row_block b = {
        .g = s->g, .t = t, .channels = channels, .lines = SUM_THREADS / channels, .rows = s->n->chunk * t->h};
    b.lines = b.lines < b.rows ? b.lines : b.rows;
    b.lines = b.lines > b.g->roots.count ? b.lines : b.g->roots.count; /* a thread for each sum of a channel */
    b.sums = loop_scratch(&s->pen, DT_F32, (int64_t)b.g->roots.count * b.lines * channels);
    s->unit = loop_parallel(&s->pen);
    b.thread = loop_threads(&s->pen, b.lines * channels);
    s->tile = loop_at(0);
    loop_index group = simt_variable(s->unit), lane = simt_variable(b.thread);
    b.chunk = simt_split(s, &group, groups);
    b.line = simt_split(s, &lane, channels);
    b.c = loop_sum(loop_times(group, channels), lane);
    s->out->unit_images = s->n->chunk;
    s->out->unit_tiles = groups;
    return b;
}

static void load_rows(simd *s, const row_block *b)
{
    spot at = {.c = b->c, .lanes = 1, .ratio = 1};
    for (int r = 0; r < b->g->roots.count; r++) {
        const net_node *v = &s->n->nodes.at[b->g->roots.at[r]];
        for (int k = 0; k < v->count; k++)
            simt_load_rows(s, v->operand[k], &at);
    }
}

/* One pixel to all sums. */
static void add_pixel(simd *s, const row_block *b, const spot *at, const int acc[])
{
    int known = s->channel_memo.count;
    s->pixel_memo.count = 0;
    for (int r = 0; r < b->g->roots.count; r++)
        simd_add_to_sum(s, b->g->roots.at[r], acc[r], at);
    s->pixel_memo.count = 0;
    s->channel_memo.count = known;
}

/* The thread's row of those from `base` on, summed and left in scratch; 0 where there is no such row or channel. */
static void sum_row(simd *s, const row_block *b, loop_index base)
{
    int acc[FUSE_SUMS] = {0}, known = s->channel_memo.count;
    CHECK(b->g->roots.count <= FUSE_SUMS);
    loop_index y = loop_sum(base, b->line);
    for (int r = 0; r < b->g->roots.count; r++)
        acc[r] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->image = loop_sum(loop_times(b->chunk, s->n->chunk), simt_split(s, &y, b->t->h));
    loop_if(&s->pen, s->image, simt_variable(0));
    int opened =
        1 + simt_below(s, loop_sum(base, b->line), b->rows, b->lines) + simt_below(s, b->c, b->t->c, b->channels);
    load_rows(s, b);
    spot at = {.rel = y, .x = simd_open(s, 0, b->t->w, 1), .c = b->c, .lanes = 1, .ratio = 1};
    add_pixel(s, b, &at, acc);
    simd_close(s, b->t->w);
    simt_close(s, opened);
    s->channel_memo.count = known;
    for (int r = 0; r < b->g->roots.count; r++)
        loop_store(&s->pen, b->sums, loop_plus(loop_at((int64_t)r * b->lines * b->channels), b->thread, 1), acc[r]);
}

/* Rows in their order, a thread for each channel of each sum: sum r of channel c is thread r · channels + c. */
static void add_rows(simd *s, const row_block *b, int total)
{
    loop_index c = simt_variable(b->thread);
    loop_barrier(&s->pen);
    loop_if(&s->pen, simt_variable(b->thread), loop_at((int64_t)b->channels * b->g->roots.count));
    loop_index sum = simt_split(s, &c, b->channels), line = simd_open(s, 0, b->lines, 1);
    loop_index element = loop_sum(loop_times(sum, (int64_t)b->lines * b->channels), loop_times(line, b->channels));
    int row = loop_load(&s->pen, DT_F64, 1, b->sums, loop_sum(element, c));
    loop_math_to(&s->pen, total, LOOP_ADD, total, row, -1, -1);
    simd_close(s, b->lines);
    loop_end(&s->pen);
    loop_barrier(&s->pen);
}

void simt_channel_sums(simd *s)
{
    const net_type *t = &s->n->nodes.at[s->n->nodes.at[s->g->roots.at[0]].operand[0]].type;
    row_block b = open_row_block(s, t);
    int total = move_wide(s, 0), rounds = (b.rows + b.lines - 1) / b.lines;
    loop_index base = simd_open(s, 0, rounds, b.lines);
    sum_row(s, &b, base);
    add_rows(s, &b, total);
    simd_close(s, rounds);
    for (int r = 0; r < b.g->roots.count; r++) { /* its threads are those of the rows' line r */
        loop_if(&s->pen, loop_offset(b.line, -1), loop_at(r));
        loop_if(&s->pen, loop_at(r - 1), b.line);
        int opened = 2 + simt_below(s, b.c, t->c, b.channels);
        store_narrow(s, b.g->roots.at[r], loop_sum(loop_times(b.chunk, t->c), b.c), total);
        simt_close(s, opened);
    }
    loop_end(&s->pen);
    loop_end(&s->pen);
}

/* ---- sums over rows ---------------------------------------------------------------------------------------------- */

/* Of the group's row_sums, at the present pixel. */
static void add_to_all(simd *s, const int acc[], const spot *at)
{
    int known = s->channel_memo.count;
    s->pixel_memo.count = 0;
    for (int r = 0; r < s->g->roots.count; r++)
        if (s->n->nodes.at[s->g->roots.at[r]].prim == NET_row_sum)
            simd_add_to_sum(s, s->g->roots.at[r], acc[r], at);
    s->pixel_memo.count = 0;
    s->channel_memo.count = known;
}

static void load_operands(simd *s, const net_node *v, const spot *at)
{
    for (int k = 0; k < v->count; k++)
        simt_load_rows(s, v->operand[k], at);
}

/* Begins them, a number in `acc` for each root, and loads what their channel's values need. */
static void begin_sums(simd *s, int acc[], const spot *at)
{
    s->pixel_memo.count = s->channel_memo.count = 0;
    for (int r = 0; r < s->g->roots.count; r++)
        acc[r] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->core_reg = acc[0]; /* any: rows of the channel are all that stays */
    for (int r = 0; r < s->g->roots.count; r++) {
        const net_node *v = &s->n->nodes.at[s->g->roots.at[r]];
        if (v->prim == NET_row_sum)
            load_operands(s, v, at);
    }
}

/* The root's pixel, which its kernel has left, or which is made and stored. */
static int row_pixel(simd *s, int root, const made_row *made, const spot *at)
{
    if (made->scratch >= 0)
        return loop_load(&s->pen, DT_F32, 1, made->scratch, loop_sum(made->first, loop_times(at->x, made->pitch)));
    int known = s->channel_memo.count;
    s->core = -1;
    s->pixel_memo.count = 0;
    int value = simd_map(s, root, at);
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), simd_element(s, root, at), value);
    s->channel_memo.count = known;
    s->core = root;
    return value;
}

void simt_sum_row(simd *s, int root, const spot *row, const made_row *made)
{
    int *acc = NEW_ARRAY(s->a, int, s->g->roots.count);
    spot at = *row;
    s->core = root;
    begin_sums(s, acc, &at);
    s->core = -1;
    if (root >= 0 && made->scratch < 0)
        load_operands(s, &s->n->nodes.at[root], &at);
    s->core = root;
    at.x = simd_open(s, 0, made->w, 1);
    if (root >= 0)
        s->core_reg = row_pixel(s, root, made, &at);
    add_to_all(s, acc, &at);
    simd_close(s, made->w);
    for (int r = 0; r < s->g->roots.count; r++)
        if (s->n->nodes.at[s->g->roots.at[r]].prim == NET_row_sum)
            loop_store(&s->pen, simd_arg(s, s->g->roots.at[r], LOOP_OUT), simd_element(s, s->g->roots.at[r], row),
                       acc[r]);
    s->channel_memo.count = 0;
    s->core = -1;
}

/* A thread a row and channel, of maps of this type. */
static void sum_alone(simd *s, int root, const net_type *t)
{
    net_type rows = *t;
    rows.w = 1;
    spot at = simt_open(s, &rows);
    at.w = t->w;
    simt_sum_row(s, root, &at, &(made_row){.w = t->w, .scratch = -1});
    loop_end(&s->pen);
}

void simt_row_sums(simd *s)
{
    sum_alone(s, -1, &s->n->nodes.at[s->n->nodes.at[s->g->roots.at[0]].operand[0]].type);
}

void simt_row_maps(simd *s, int root)
{
    sum_alone(s, root, &s->n->nodes.at[root].type);
}

/* ---- sums over vectors ------------------------------------------------------------------------------------------- */

/* What a block of threads adds up of so many operands at once: `lanes` threads each. */
typedef struct totals {
    const net_node *v;
    int root, thread, lanes, at_once, most; /* most: channels of an operand */
    int sums;                               /* scratch: [operand][channel], in float64 */
} totals;

static totals totals_of(simd *s, int root)
{
    totals q = {.v = &s->n->nodes.at[root], .root = root, .most = 1};
    for (int k = 0; k < q.v->count; k++) {
        int channels = s->n->nodes.at[q.v->operand[k]].type.c;
        q.most = channels > q.most ? channels : q.most;
    }
    q.lanes = (q.most + WARP - 1) / WARP * WARP;
    while (q.lanes > WARP && q.lanes * q.v->count > TOTAL_THREADS)
        q.lanes -= WARP;
    q.at_once = TOTAL_THREADS / q.lanes < q.v->count ? TOTAL_THREADS / q.lanes : q.v->count;
    return q;
}

/* IFs around what the first `count` threads of operand number k of those at once do. */
static void open_lanes(simd *s, const totals *q, int k, int count)
{
    loop_if(&s->pen, loop_at((int64_t)k * q->lanes - 1), simt_variable(q->thread));
    loop_if(&s->pen, simt_variable(q->thread), loop_at((int64_t)k * q->lanes + count));
}

/* Σ over chunks: threads take turns at the operand's channels. */
static void fold_operand(simd *s, const totals *q, int value, int k)
{
    int channels = s->n->nodes.at[value].type.c, rows = simd_chunks(s, value);
    open_lanes(s, q, k, q->lanes);
    loop_index lane = loop_offset(simt_variable(q->thread), -(int64_t)k * q->lanes);
    int c = loop_for(&s->pen, lane, loop_at(channels), q->lanes);
    int sum = simd_fold_rows(s, simd_arg(s, value, LOOP_IN), rows, channels, simt_variable(c), 1);
    loop_store(&s->pen, q->sums, loop_offset(simt_variable(c), (int64_t)k * q->most), sum);
    loop_end(&s->pen);
    simt_close(s, 2);
}

/* Then Σ over channels in their order, by one thread, as number `to` of the result. */
static void add_channels(simd *s, const totals *q, int value, int k, int to)
{
    int channels = s->n->nodes.at[value].type.c;
    open_lanes(s, q, k, 1);
    int total = move_wide(s, 0);
    loop_index c = simd_open(s, 0, channels, 1);
    int more = loop_load(&s->pen, DT_F64, 1, q->sums, loop_offset(c, (int64_t)k * q->most));
    loop_math_to(&s->pen, total, LOOP_ADD, total, more, -1, -1);
    simd_close(s, channels);
    store_narrow(s, q->root, loop_at(to), total);
    simt_close(s, 2);
}

/* One number an operand. */
void simt_total_channels(simd *s, int root)
{
    totals q = totals_of(s, root);
    q.sums = loop_scratch(&s->pen, DT_F64, (int64_t)q.at_once * q.most);
    s->unit = loop_parallel(&s->pen);
    q.thread = loop_threads(&s->pen, q.lanes * q.at_once);
    for (int from = 0; from < q.v->count; from += q.at_once) {
        int count = q.v->count - from < q.at_once ? q.v->count - from : q.at_once;
        if (from)
            loop_barrier(&s->pen);
        for (int k = 0; k < count; k++)
            fold_operand(s, &q, q.v->operand[from + k], k);
        loop_barrier(&s->pen);
        for (int k = 0; k < count; k++)
            add_channels(s, &q, q.v->operand[from + k], k, from + k);
    }
    loop_end(&s->pen);
    loop_end(&s->pen);
}

/* Σ x²: element i goes to lane i mod 16, a thread each; the lanes are folded by halves. */
void simt_sum_squares(simd *s, int root)
{
    int node = s->n->nodes.at[root].operand[0], count = s->n->nodes.at[node].type.c;
    int lanes = loop_scratch(&s->pen, DT_F64, NORM_LANES);
    s->unit = loop_parallel(&s->pen);
    int thread = loop_threads(&s->pen, NORM_LANES), acc = move_wide(s, 0);
    int i = loop_for(&s->pen, simt_variable(thread), loop_at(count), NORM_LANES);
    int x = loop_load(&s->pen, DT_F64, 1, simd_arg(s, node, LOOP_IN), simt_variable(i));
    loop_math_to(&s->pen, acc, LOOP_ADD, acc, loop_math(&s->pen, LOOP_MUL, x, x, -1, -1), -1, -1);
    loop_end(&s->pen);
    loop_store(&s->pen, lanes, simt_variable(thread), acc);
    loop_barrier(&s->pen);
    for (int half = NORM_LANES / 2; half; half /= 2) {
        loop_if(&s->pen, simt_variable(thread), loop_at(half));
        int other = loop_load(&s->pen, DT_F64, 1, lanes, loop_offset(simt_variable(thread), half));
        loop_math_to(&s->pen, acc, LOOP_ADD, acc, other, -1, -1);
        loop_store(&s->pen, lanes, simt_variable(thread), acc);
        loop_end(&s->pen);
        loop_barrier(&s->pen);
    }
    loop_if(&s->pen, simt_variable(thread), loop_at(1));
    store_narrow(s, root, loop_at(0), acc);
    loop_end(&s->pen);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
