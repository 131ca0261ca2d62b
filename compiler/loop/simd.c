/* The simd lowering: a group of fused values becomes one kernel, stage after stage over each tile.
 *
 * A unit of the parallel loop is a tile of one image, or a chunk of images where something is summed over images: sums
 * run in the net's order whatever the tile. Within a stage: rows, then runs of channels, then blocks of columns held in
 * registers. */
#include "loop/simd.h"

#include <string.h>

/* ---- loops over channels and columns ----------------------------------------------------------------------------- */

/* Widest vectors first, tails by the next smaller width. */
int simd_channel_runs(const simd *s, int channels, int vectors, channel_run run[8])
{
    int runs = 0, lo = 0;
    for (int lanes = s->t->lanes; lanes >= 1; lanes /= 2) {
        int whole = (channels - lo) / lanes, blocks = whole / vectors, rest = whole % vectors;
        if (blocks)
            run[runs++] = (channel_run){lo, blocks, vectors, lanes, 0};
        lo += blocks * vectors * lanes;
        if (rest)
            run[runs++] = (channel_run){lo, 1, rest, lanes, 0};
        lo += rest * lanes;
    }
    CHECK(lo == channels && runs <= 8);
    return runs;
}

int simd_part(channel_run run[], int *runs, int most)
{
    int parts = 0;
    for (; parts < most && parts < *runs; parts++) {
        channel_run *first = &run[parts];
        if (first->count == 1)
            continue;
        memmove(first + 1, first, (size_t)(*runs)++ * sizeof *run - (size_t)parts * sizeof *run);
        first[0].count = 1;
        first[1].count--;
        first[1].lo += first->vectors * first->lanes;
    }
    return parts;
}

loop_index simd_open(simd *s, int lo, int count, int step)
{
    if (count == 1)
        return loop_at(lo);
    return loop_plus(loop_at(0), loop_for(&s->pen, loop_at(lo), loop_at(lo + (int64_t)count * step), step), 1);
}

void simd_close(simd *s, int count)
{
    if (count > 1)
        loop_end(&s->pen);
}

void simd_fill(simd *s, int buffer, loop_index to, int64_t count, double value)
{
    channel_run run[8];
    int runs = simd_channel_runs(s, (int)count, 1, run);
    for (int r = 0; r < runs; r++) {
        int zero = loop_const(&s->pen, DT_F32, run[r].lanes, value);
        loop_index at = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        loop_store(&s->pen, buffer, loop_sum(to, at), zero);
        simd_close(s, run[r].count);
    }
}

enum { ROW_SUMS_MAX = 64 };

/* ---- one block of pixels: sinks of a stage ----------------------------------------------------------------------- */

static void forget_pixel(simd *s)
{
    s->pixel_memo.count = 0;
}

static void forget_channels(simd *s)
{
    s->channel_memo.count = 0;
    forget_pixel(s);
}

static spot spot_of(const stage *g, const block *b, int p, int v)
{
    return (spot){.rel = b->rel,
                  .x = loop_offset(b->x, p),
                  .c = loop_offset(b->c, (int64_t)v * b->lanes),
                  .lanes = b->lanes,
                  .ratio = g->ratio};
}

void simd_add_to_sum(simd *s, int root, int acc, const spot *at)
{
    const net_node *v = &s->n->nodes.at[root];
    int a = simd_read(s, v->operand[0], at);
    if (v->count == 2)
        simd_fma_to(s, acc, a, simd_read(s, v->operand[1], at));
    else
        loop_math_to(&s->pen, acc, LOOP_ADD, acc, a, -1, -1);
}

static void store_roots(simd *s, const stage *g, const spot *at)
{
    for (int i = 0; i < g->roots.count; i++) {
        int root = g->roots.at[i], reg;
        const net_node *v = &s->n->nodes.at[root];
        if (net_prim_info[v->prim].class == NET_WINDOW) {
            reg = simd_read(s, root, at);
        } else {
            reg = simd_map(s, root, at);
            VEC_PUSH(s->a, &s->pixel_memo, ((memo){root, 0, at->lanes, reg}));
        }
        simd_store_map(s, root, at, reg);
    }
}

static void store_maximum(simd *s, const stage *g, const spot *at, int where)
{
    loop_index e = simd_scratch_element(g, at);
    int gradient = simd_read(s, s->n->nodes.at[g->value].operand[1], at);
    loop_store(&s->pen, g->scratch, e, where);
    loop_store(&s->pen, g->scratch, loop_offset(e, g->c), gradient);
}

/* Pixel p of a block becomes the present one: its window's result, and what is remembered of it. */
static spot enter_pixel(simd *s, const stage *g, const block *b, int p, int v, const int acc[], const memo_list seen[])
{
    s->core = g->core;
    s->core_reg = g->core >= 0 ? acc[p * b->vectors + v] : -1;
    s->pixel_memo = seen[p];
    return spot_of(g, b, p, v);
}

/* The sums of a row: registers that start at zero and are added to the chunk's, in float64, when the row is done. So
 * the order of additions is pixels of a row, rows of an image, images of a chunk, and no accumulator sees thousands of
 * terms. */
typedef struct row_sums {
    int acc[ROW_SUMS_MAX]; /* [sum][vector] */
} row_sums;

static void begin_sums(simd *s, const stage *g, const block *b, row_sums *sums)
{
    CHECK(g->sums.count * b->vectors <= ROW_SUMS_MAX);
    if (g->sums.count == 0)
        return;
    int zero = loop_const(&s->pen, DT_F32, b->lanes, 0);
    for (int i = 0; i < g->sums.count * b->vectors; i++)
        sums->acc[i] = loop_math(&s->pen, LOOP_MOVE, zero, -1, -1, -1);
}

static void end_sums(simd *s, const stage *g, const block *b, const row_sums *sums)
{
    for (int i = 0; i < g->sums.count; i++)
        for (int v = 0; v < b->vectors; v++) {
            spot at = spot_of(g, b, 0, v);
            simd_add_row_sum(s, g->sums.at[i], sums->acc[i * b->vectors + v], &at);
        }
}

/* Where the row of a chan_sum of this group begins among the unit's. */
static int64_t wide_row(const simd *s, int sum)
{
    int64_t row = 0;
    for (int i = 0; s->g->roots.at[i] != sum; i++)
        if (s->n->nodes.at[s->g->roots.at[i]].prim == NET_chan_sum)
            row += s->n->nodes.at[s->g->roots.at[i]].type.c;
    return row;
}

/* Elements [e, e + lanes) of the chunks' rows += value. */
static void add_wide(simd *s, loop_index e, int lanes, int value)
{
    int old = loop_load(&s->pen, DT_F64, lanes, s->sum_rows, e);
    loop_store(&s->pen, s->sum_rows, e,
               loop_math(&s->pen, LOOP_ADD, old, loop_convert(&s->pen, DT_F64, value), -1, -1));
}

void simd_add_row_sum(simd *s, int sum, int acc, const spot *at)
{
    loop_index e = loop_offset(loop_sum(at->c, s->slice), wide_row(s, sum));
    if (at->lanes == 1 || at->lanes < s->t->lanes) {
        add_wide(s, e, at->lanes, acc);
        return;
    }
    int lanes = at->lanes / 2;
    for (int upper = 0; upper < 2; upper++)
        add_wide(s, loop_offset(e, (int64_t)upper * lanes), lanes, loop_half(&s->pen, acc, upper));
}

static void sink_sums(simd *s, const stage *g, const block *b, int v, const int acc[], memo_list seen[],
                      const row_sums *sums)
{
    for (int i = 0; i < g->sums.count; i++)
        for (int p = 0; p < b->pixels; p++) {
            spot here = enter_pixel(s, g, b, p, v, acc, seen);
            simd_add_to_sum(s, g->sums.at[i], sums->acc[i * b->vectors + v], &here);
            seen[p] = s->pixel_memo;
        }
}

/* The results of a block in registers go where the stage wants them. */
static void sink_block(simd *s, const stage *g, const block *b, const int acc[], const row_sums *sums)
{
    for (int v = 0; v < b->vectors; v++) {
        memo_list seen[SIMD_ACC_MAX] = {{0}};
        forget_channels(s);
        for (int p = 0; p < b->pixels; p++) {
            spot at = enter_pixel(s, g, b, p, v, acc, seen);
            s->ahead = simd_goes_ahead(s, b->lanes, v);
            if (g->kind == STAGE_STORE) {
                store_roots(s, g, &at);
            } else if (g->kind == STAGE_MAXIMA) {
                store_maximum(s, g, &at, acc[b->pixels + p]);
            } else {
                int value = g->across >= 0 ? acc[p * b->vectors + v] : simd_read(s, g->value, &at);
                loop_store(&s->pen, g->scratch, simd_scratch_element(g, &at), value);
            }
            if (s->ahead)
                simd_fetch_ahead(s, g, &at);
            s->ahead = false;
            seen[p] = s->pixel_memo;
        }
        sink_sums(s, g, b, v, acc, seen, sums);
    }
    s->core = -1;
    s->pixel_memo = (memo_list){0};
    forget_channels(s);
}

/* ---- rows of a stage --------------------------------------------------------------------------------------------- */

static void compute_block(simd *s, const stage *g, const block *b, int acc[])
{
    forget_channels(s);
    if (g->kind == STAGE_MAXIMA)
        simd_maxima(s, g->value, b, acc);
    else if (g->across >= 0)
        simd_across(s, g, b, acc);
    else if (g->core >= 0)
        simd_window(s, g->core, b, acc);
}

/* The channels behind a block's vectors, as a block. */
static block tail_of(const block *b)
{
    block t = *b;
    t.c = loop_offset(b->c, (int64_t)b->vectors * b->lanes);
    t.vectors = 1;
    t.lanes = b->tail;
    t.tail = 0;
    return t;
}

static void emit_block(simd *s, const stage *g, const block *b, const row_sums *sums, const row_sums *tail_sums)
{
    int acc[SIMD_ACC_MAX];
    block t = tail_of(b);
    compute_block(s, g, b, acc);
    sink_block(s, g, b, acc, sums);
    if (b->tail)
        sink_block(s, g, &t, acc + b->pixels * b->vectors, tail_sums);
}

static void emit_columns(simd *s, const stage *g, block b, int width, int pixels)
{
    row_sums sums = {0}, tail_sums = {0};
    block t = tail_of(&b);
    begin_sums(s, g, &b, &sums);
    if (b.tail)
        begin_sums(s, g, &t, &tail_sums);
    int blocks = width / pixels, rest = width % pixels, phases = simd_column_phases(s, g->core);
    bool alike = pixels % phases == 0; /* else (a stride wider than a block) each block is written out */
    int first = 0, end = blocks;       /* those that are alike */
    while (first < end && (!alike || simd_meets_edge(s, g, first * pixels, pixels)))
        first++;
    while (end > first && simd_meets_edge(s, g, (end - 1) * pixels, pixels))
        end--;
    b.pixels = pixels;
    b.columns = width;
    bool streams = simd_streams_blocks(s, g, &b);
    for (int i = 0; i < blocks; i = i == first && end > first ? end : i + 1) {
        bool many = i == first && end > first + 1;
        b.x = loop_at((int64_t)i * pixels);
        if (many)
            b.x = loop_times(simd_open(s, first * pixels / phases, end - first, pixels / phases), phases);
        emit_block(s, g, &b, &sums, &tail_sums);
        if (streams)
            simd_stream_block(s, g, b.rel, b.x, pixels);
        simd_close(s, many ? end - first : 1);
    }
    if (rest) {
        b.pixels = rest;
        b.x = loop_at((int64_t)blocks * pixels);
        emit_block(s, g, &b, &sums, &tail_sums);
        if (streams)
            simd_stream_block(s, g, b.rel, b.x, pixels);
    }
    s->streamed = streams ? (rest ? blocks : blocks - 1) * pixels : 0;
    end_sums(s, g, &b, &sums);
    if (b.tail)
        end_sums(s, g, &t, &tail_sums);
}

/* Maps alone: all channels of some columns, then the next columns, as memory has them. */
static void emit_maps(simd *s, const stage *g, block b, const channel_run *run, int runs, int pixels)
{
    int blocks = g->w / pixels, rest = g->w % pixels;
    for (int part = 0; part < 2; part++) {
        int count = part ? rest > 0 : blocks;
        if (!count)
            continue;
        b.pixels = part ? rest : pixels;
        b.x = simd_open(s, part ? blocks * pixels : 0, count, pixels);
        for (int r = 0; r < runs; r++) {
            b.c = simd_open(s, run[r].lo, run[r].count, run[r].vectors * run[r].lanes);
            b.vectors = run[r].vectors;
            b.lanes = run[r].lanes;
            sink_block(s, g, &b, NULL, NULL);
            simd_close(s, run[r].count);
        }
        simd_close(s, count);
    }
}

/* Groups of a grouped convolution that is neither dense nor depthwise; else 1. */
static int groups_of(const simd *s, int core)
{
    int groups = simd_is_dense(s, core) ? s->n->nodes.at[core].attr.window.groups : 1;
    return groups > 0 ? groups : 1;
}

/* Does the stage read or write other channels than its own, one by one? */
static bool goes_by_channel(const simd *s, const stage *g)
{
    return g->core >= 0 &&
           (s->n->nodes.at[g->core].prim == NET_shuffle || s->n->nodes.at[g->core].prim == NET_channel_pad);
}

static void emit_shuffled_row(simd *s, const stage *g, loop_index rel);

enum { STAGE_RUNS_MAX = 10 };

/* Runs of a stage's channels; what fills part of a vector goes with the last that are whole, where it can. */
static int stage_runs(const simd *s, const stage *g, int core, int channels, channel_run run[STAGE_RUNS_MAX])
{
    int runs = simd_channel_runs(s, channels, simd_block_vectors(s, core, g->w, channels), run);
    int last = runs - 2;
    if (last >= 0 && run[last].lanes == s->t->lanes && simd_takes_tail(s, core, run[last + 1].lanes)) {
        channel_run whole = run[last], with = whole;
        with.lo += (whole.count - 1) * whole.vectors * whole.lanes;
        with.count = 1;
        with.tail = run[last + 1].lanes;
        if (--whole.count > 0)
            run[last++] = whole;
        run[last] = with;
        runs = last + 1;
    }
    if (g->makes.count) /* the first block of channels makes the tile */
        simd_part(run, &runs, 1);
    return runs;
}

/* The window that shapes the stage's blocks, or -1. */
static int shaping_window(const stage *g)
{
    return g->kind == STAGE_MAXIMA ? -1 : g->across >= 0 ? g->across : g->core;
}

/* A row of the block of channels that `b` begins with. */
static void emit_run(simd *s, const stage *g, block b, const channel_run *run)
{
    b.vectors = run->vectors;
    b.lanes = run->lanes;
    b.tail = run->tail;
    emit_columns(s, g, b, g->w, simd_block_pixels(s, shaping_window(g), g->w, b.vectors, b.tail));
}

int simd_first_columns(simd *s, const stage *g)
{
    stage wide = *g;
    channel_run run[STAGE_RUNS_MAX];
    wide.w *= simd_rows_at_once(s, g, simd_own_rows(s, g));
    stage_runs(s, &wide, shaping_window(g), g->c, run);
    return simd_block_pixels(s, shaping_window(g), wide.w, run[0].vectors, run[0].tail);
}

void simd_emit_row(simd *s, const stage *g, loop_index rel)
{
    int groups = groups_of(s, g->core), channels = g->c / groups, core = shaping_window(g);
    if (goes_by_channel(s, g)) {
        emit_shuffled_row(s, g, rel);
        return;
    }
    if (simd_is_narrow(s, g)) {
        simd_emit_narrow_row(s, g, rel);
        return;
    }
    loop_index first = loop_at(0);
    block b = {.rel = rel};
    if (groups > 1) {
        b.group = loop_for(&s->pen, loop_at(0), loop_at(groups), 1);
        first = loop_plus(first, b.group, channels);
    }
    channel_run run[STAGE_RUNS_MAX];
    int runs = stage_runs(s, g, core, channels, run);
    if (simd_goes_by_rows(s, g)) {
        simd_emit_by_rows(s, g, rel);
        return;
    }
    if (core < 0 && g->sums.count == 0 && g->kind != STAGE_MAXIMA) {
        emit_maps(s, g, b, run, runs, simd_block_pixels(s, core, g->w, 1, 0));
        return;
    }
    int makings = 0; /* the first run's blocks make them */
    for (int r = 0; r < runs; r++) {
        b.c = loop_sum(first, simd_open(s, run[r].lo, run[r].count, run[r].vectors * run[r].lanes));
        b.ends = groups == 1 && r == runs - 1 && run[r].count == 1;
        emit_run(s, g, b, &run[r]);
        simd_close(s, run[r].count);
        makings = r == 0 ? s->makings : makings;
        s->makings = 0;
    }
    s->makings = makings;
    if (groups > 1)
        loop_end(&s->pen);
}

/* Would each row read weights that the first cache has lost since the last one? A block of channels then takes all rows: it
 * reads the source again, of which it needs less. */
static bool keeps_weights(const simd *s, const stage *g)
{
    if (g->kind != STAGE_STORE || groups_of(s, g->core) > 1 || simd_row_phases(s, g->core) > 1 || simd_gathers(g))
        return false;
    int vectors = simd_block_vectors(s, g->core, g->w, g->c);
    double weights = g->core < 0 ? 0 : simd_work_of(s, g->core) * g->c * 4;
    return vectors > 1 && weights * 2 > (double)s->t->l1_bytes && g->w < vectors * s->t->lanes;
}

/* A depthwise convolution that reads where its input lies: the weights and columns of some channels stay in the first cache
 * level while all rows are made. */
static bool reads_in_place(const simd *s, const stage *g)
{
    return g->kind != STAGE_MAXIMA && g->core >= 0 && !g->left && !g->right && !simd_gathers(g) &&
           simd_is_clipped(s, g->core);
}

/* Rows [0, rows), for one block of channels after the other. */
static void emit_by_channels(simd *s, const stage *g, int rows)
{
    channel_run run[STAGE_RUNS_MAX];
    int runs = stage_runs(s, g, g->core, g->c, run);
    for (int r = 0; r < runs; r++) {
        block b = {.c = simd_open(s, run[r].lo, run[r].count, run[r].vectors * run[r].lanes)};
        b.rel = simd_open(s, 0, rows, 1);
        emit_run(s, g, b, &run[r]);
        simd_close(s, rows);
        simd_close(s, run[r].count);
        s->makings = 0; /* the first run's blocks have made them */
    }
}

/* Channel by channel: shuffle (out[c·g + k] = in[k·(C/g) + c]) and channels with zeros around. */
static void emit_shuffled_row(simd *s, const stage *g, loop_index rel)
{
    const net_node *v = &s->n->nodes.at[g->core];
    int inside = s->n->nodes.at[v->operand[0]].type.c;
    bool shuffle = v->prim == NET_shuffle;
    int outer = shuffle ? v->attr.window.groups : 1, inner = inside / outer;
    loop_index x = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(g->w), 1), 1);
    block b = {.rel = rel, .x = x, .pixels = 1, .vectors = 1, .lanes = 1};
    for (int part = 0; part < (shuffle ? 1 : 3); part++) {
        int lo = shuffle || part == 1 ? 0 : part == 0 ? 0 : v->attr.begin + inside;
        int hi = shuffle || part == 1 ? inner : part == 0 ? v->attr.begin : g->c;
        if (lo >= hi)
            continue;
        loop_index k = shuffle ? simd_open(s, 0, outer, 1) : loop_at(0);
        loop_index c = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(lo), loop_at(hi), 1), 1);
        spot from = {.rel = rel, .x = x, .lanes = 1, .ratio = g->ratio};
        from.c = loop_sum(loop_times(k, inner), c);
        forget_channels(s);
        int acc = part == 1 || shuffle ? simd_read_apart(s, v->operand[0], &from) : loop_const(&s->pen, DT_F32, 1, 0);
        b.c = shuffle ? loop_sum(loop_times(c, outer), k) : part == 1 ? loop_offset(c, v->attr.begin) : c;
        row_sums sums = {0};
        begin_sums(s, g, &b, &sums);
        sink_block(s, g, &b, &acc, &sums);
        end_sums(s, g, &b, &sums);
        loop_end(&s->pen);
        if (shuffle)
            simd_close(s, outer);
    }
    loop_end(&s->pen);
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

static void emit_filled_row(simd *s, const stage *g, loop_index rel)
{
    if (g->kind != STAGE_STORE)
        simd_fill_sides(s, g, rel);
    simd_emit_row(s, g, rel);
    simd_stream_rows(s, g, rel);
}

/* The first `rows`, in order; where they differ by phase, one of each phase after the other. */
static void emit_own_rows(simd *s, const stage *g, int rows)
{
    int many = simd_rows_at_once(s, g, rows);
    if (many > 1) {
        stage wide = *g;
        wide.w *= many;
        simd_emit_row(s, &wide, simd_open(s, 0, rows / many, many));
        simd_close(s, rows / many);
        return;
    }
    if (rows > 1 && (keeps_weights(s, g) || reads_in_place(s, g))) {
        emit_by_channels(s, g, rows);
        return;
    }
    int phases = simd_row_phases(s, g->core), whole = rows / phases, y = 0;
    if (whole)
        y = loop_for(&s->pen, loop_at(0), loop_at(whole), 1);
    for (int i = 0; i < phases && whole; i++)
        emit_filled_row(s, g, loop_plus(loop_at(i), y, phases));
    if (whole)
        loop_end(&s->pen);
    for (int i = whole * phases; i < rows; i++)
        emit_filled_row(s, g, loop_at(i));
}

void simd_emit_rows(simd *s, const stage *g)
{
    int own = simd_own_rows(s, g);
    if (s->tiles == 1)
        simd_fill_around(s, g);
    if (s->tiles == 1 || (!g->lo && !g->hi)) {
        emit_own_rows(s, g, own);
        return;
    }
    CHECK(simd_row_phases(s, g->core) == 1);
    loop_index from = simd_carries(s) ? simd_carry_rows(s, g, own) : loop_at(-g->lo);
    loop_index rel = loop_plus(loop_at(0), loop_for(&s->pen, from, loop_at(own + g->hi), 1), 1);
    loop_index y = loop_sum(rel, loop_times(s->tile, g->ratio));
    loop_if(&s->pen, loop_at(-1), y);
    loop_if(&s->pen, y, loop_at(g->h));
    emit_filled_row(s, g, rel);
    loop_end(&s->pen);
    loop_end(&s->pen);
    loop_if(&s->pen, y, loop_at(0));
    simd_fill_row(s, g, rel);
    loop_end(&s->pen);
    loop_if(&s->pen, loop_at(g->h - 1), y);
    simd_fill_row(s, g, rel);
    loop_end(&s->pen);
    loop_end(&s->pen);
}

static void emit_stage(simd *s, const stage *g)
{
    forget_channels(s);
    switch (g->kind) {
    case STAGE_WEIGHTS:
        simd_begin_meanwhile(s, g);
        simd_begin_along(s, g);
        simd_weights(s, g);
        simd_end_along(s);
        break;
    default:
        if (g->made == MADE_LEADING)
            simd_make_first_pixels(s, g);
        if (g->made != MADE_ALONE)
            break;
        simd_begin_meanwhile(s, g);
        if (simd_is_narrow(s, g))
            simd_begin_narrow(s, g);
        simd_begin_along(s, g);
        simd_emit_rows(s, g);
        simd_end_along(s);
        simd_end_narrow(s);
    }
    simd_end_meanwhile(s);
}

static void emit_stages(simd *s)
{
    for (int i = 0; i < s->stages.count; i++) {
        stage_run run = {.stage = i, .begin = s->pen.k->ins.count};
        emit_stage(s, &s->stages.at[i]);
        run.end = s->pen.k->ins.count;
        VEC_PUSH(s->a, &s->stage_runs, run);
    }
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

/* Weight gradients' rows, either those of whole units or those of parts of them. */
static void clear_weights(simd *s, bool parts)
{
    for (int i = 0; i < s->stages.count; i++)
        if (s->stages.at[i].kind == STAGE_WEIGHTS && simd_rows_are_parts(s, s->stages.at[i].value) == parts)
            simd_clear_weights(s, &s->stages.at[i]);
}

static void store_weights(simd *s, bool parts)
{
    for (int i = 0; i < s->stages.count; i++)
        if (s->stages.at[i].kind == STAGE_WEIGHTS && simd_rows_are_parts(s, s->stages.at[i].value) == parts)
            simd_store_turned(s, &s->stages.at[i]);
}

/* Partial rows of this unit start at zero. Those of chan_sum stand in scratch, in float64: where the pivot of a norm is
 * far from its mean, the variance is a small difference of large sums. */
static void clear_sums(simd *s)
{
    int64_t wide = 0;
    for (int i = 0; i < s->g->roots.count; i++) {
        int root = s->g->roots.at[i];
        const net_node *v = &s->n->nodes.at[root];
        int64_t row = (int64_t)v->type.h * v->type.w * v->type.c;
        wide += v->prim == NET_chan_sum ? row : 0;
    }
    clear_weights(s, false);
    if (wide > 0) {
        s->sum_rows = loop_scratch(&s->pen, DT_F64, wide);
        simd_fill(s, s->sum_rows, loop_at(0), wide, 0);
    }
}

/* What was added up in scratch, to memory. */
static void store_sums(simd *s)
{
    store_weights(s, false);
    for (int i = 0; i < s->g->roots.count; i++) {
        int root = s->g->roots.at[i], channels = s->n->nodes.at[root].type.c;
        if (s->n->nodes.at[root].prim != NET_chan_sum)
            continue;
        channel_run run[8];
        int runs = simd_channel_runs(s, channels, 1, run), to = simd_arg(s, root, LOOP_OUT);
        for (int r = 0; r < runs; r++) {
            loop_index c = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
            int sum = loop_load(&s->pen, DT_F32, run[r].lanes, s->sum_rows, loop_offset(c, wide_row(s, root)));
            loop_store(&s->pen, to, loop_sum(loop_plus(loop_at(0), s->unit, channels), c), sum);
            simd_close(s, run[r].count);
        }
    }
}

/* Images [first, end), so many at a time. */
static void emit_images(simd *s, loop_index first, loop_index end, int images)
{
    simd_span(s, images);
    s->image = loop_plus(loop_at(0), loop_for(&s->pen, first, end, images), 1);
    clear_weights(s, true);
    if (s->slices)
        s->slice = simd_open(s, 0, s->slices, s->stages.at[0].c);
    if (s->tiles > 1)
        s->tile = simd_open(s, 0, s->tiles, s->rows);
    emit_stages(s);
    simd_close(s, s->tiles);
    if (s->slices)
        simd_close(s, s->slices);
    s->slice = loop_at(0);
    store_weights(s, true); /* what of a row stands in scratch, each time that there is more of it */
    loop_end(&s->pen);
}

/* A unit of so many images, the last of fewer. */
static void emit_unit(simd *s, int images)
{
    loop_index first = loop_plus(loop_at(0), s->unit, images), whole = first;
    loop_index end = loop_plus(
        loop_at(0), loop_int(&s->pen, LOOP_INT_MIN, loop_offset(first, images), loop_plus(loop_at(0), 0, 1), 0), 1);
    s->images_end = end;
    simd_begin_ahead(s, first);
    if (s->images_most > 1) {
        loop_index count = loop_sum(end, loop_times(first, -1));
        whole = loop_plus(first, loop_int(&s->pen, LOOP_INT_DIV, count, loop_at(0), s->images_most), s->images_most);
        emit_images(s, first, whole, s->images_most);
    }
    emit_images(s, whole, end, 1);
}

static void emit_tile(simd *s)
{
    loop_index unit = loop_plus(loop_at(0), s->unit, 1);
    simd_span(s, 1);
    s->image = unit;
    if (s->tiles > 1) {
        s->image = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_DIV, unit, loop_at(0), s->tiles), 1);
        s->tile = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MOD, unit, loop_at(0), s->tiles), s->rows);
    }
    emit_stages(s);
}

static void lower_pixels(simd *s)
{
    s->unit = loop_parallel(&s->pen);
    s->tile = loop_at(0);
    simd_plan(s);
    simd_fill_shares(s);
    s->out->unit_images = s->chunked ? s->n->chunk : s->images_most;
    s->out->unit_tiles = s->chunked || s->carried ? 1 : s->tiles;
    if (s->chunked)
        clear_sums(s);
    if (s->chunked || s->carried || s->images_most > 1)
        emit_unit(s, s->out->unit_images);
    else
        emit_tile(s);
    if (s->chunked)
        store_sums(s);
    loop_end(&s->pen);
    simd_hand_on_scratch(s);
}

void simd_lower(simd *s)
{
    const net_node *root = &s->n->nodes.at[s->g->roots.at[0]];
    enum net_class class = net_prim_info[root->prim].class;
    if (class == NET_VECTOR)
        simd_lower_vector(s, s->g->roots.at[0]);
    else if (class == NET_IMAGE)
        simd_lower_image(s, s->g->roots.at[0]);
    else if (class == NET_MAP && root->type.n == 1)
        simd_lower_flat(s);
    else
        lower_pixels(s);
}
