/* Long sums, a term at a time: a node's sum over all edges and candidates reads dozens of tensors, and so do the sums
 * that ride on its gradient. Pixel by pixel that would be more streams than a processor follows and more constants than
 * it has registers; so a few terms at a time pass over the whole row while the sum waits in the first cache level. The
 * order of additions is that of the net. */
#include "loop/simd.h"

enum { LONG = 5, ROW_PIXELS = 8, ROW_TERMS = 4 }; /* so many tensors make a sum long; pixels a block; terms a pass */

int simd_line_vectors(int lanes)
{
    return lanes >= SIMD_LINE || lanes == 1 ? 1 : SIMD_LINE / lanes;
}

/* Where a row of results goes: a stored value, a row of scratch, or both: what is streamed stands in scratch until it
 * is whole, and for those who read it then. */
typedef struct row_target {
    int node;    /* -1: scratch alone */
    int scratch; /* -1: memory alone */
    int channels;
    bool whole; /* the terms at hand are the last */
} row_target;

static int reads_of(simd *s, int node)
{
    node_list reads = {0};
    fusion_reads(s->a, s->f, node, &reads);
    int count = 0;
    for (int i = 0; i < reads.count; i++)
        count += net_is_map_sized(&s->n->nodes.at[reads.at[i]].type);
    return count;
}

static bool is_long_sum(simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    return (v->prim == NET_add || v->prim == NET_mix) && reads_of(s, node) >= LONG;
}

bool simd_goes_by_rows(simd *s, const stage *g)
{
    int reads = 0;
    if (g->kind != STAGE_STORE || g->core >= 0)
        return false;
    for (int i = 0; i < g->roots.count; i++)
        reads += reads_of(s, g->roots.at[i]);
    for (int i = 0; i < g->sums.count; i++)
        reads += reads_of(s, g->sums.at[i]);
    return reads >= LONG;
}

/* ---- loops over the pixels of a row ------------------------------------------------------------------------------ */

typedef struct row_walk {
    const stage *g;
    loop_index rel;
    channel_run run[8];
    int runs;
} row_walk;

static spot spot_at(const row_walk *w, loop_index x, int p, loop_index c, int lanes)
{
    return (spot){.rel = w->rel, .x = loop_offset(x, p), .c = c, .lanes = lanes, .ratio = w->g->ratio};
}

static void forget(simd *s)
{
    s->pixel_memo.count = 0;
}

static row_target scratch_row(simd *s, const stage *g)
{
    return (row_target){-1, loop_scratch(&s->pen, DT_F32, (int64_t)g->w * g->c), g->c, false};
}

static loop_index row_element(const row_target *to, const spot *at)
{
    return loop_sum(loop_times(at->x, to->channels), at->c);
}

static int target_load(simd *s, const row_target *to, const spot *at)
{
    if (to->scratch >= 0)
        return loop_load(&s->pen, DT_F32, at->lanes, to->scratch, row_element(to, at));
    return loop_load(&s->pen, DT_F32, at->lanes, simd_arg(s, to->node, LOOP_INOUT), simd_element(s, to->node, at));
}

static void target_store(simd *s, const row_target *to, const spot *at, int value)
{
    if (to->scratch >= 0)
        loop_store(&s->pen, to->scratch, row_element(to, at), value);
    if (to->scratch < 0)
        loop_store(&s->pen, simd_arg(s, to->node, LOOP_OUT), simd_element(s, to->node, at), value);
    else if (to->node >= 0 && to->whole)
        simd_store_map(s, to->node, at, value);
}

/* Term k of a sum, added to `before` (-1: it is the first). */
static int add_term(simd *s, const net_node *v, int k, int before, const spot *at)
{
    int term = simd_read(s, v->operand[k], at);
    if (v->prim == NET_add)
        return before < 0 ? term : loop_math(&s->pen, LOOP_ADD, before, term, -1, -1);
    int weight = simd_weight(s, v->operand[0], v->attr.row, v->attr.pick[k - 1], at->lanes);
    return before < 0 ? loop_math(&s->pen, LOOP_MUL, weight, term, -1, -1) : simd_fma(s, weight, term, before);
}

/* Terms k … k + many - 1 of a sum, and where they go. */
typedef struct row_terms {
    const net_node *sum;
    int k, many;
    const row_target *to;
} row_terms;

/* The terms at one spot: target = terms, or target + terms, where a mix weighs them. */
static void terms_at(simd *s, const row_terms *t, const spot *at)
{
    bool begins = t->k == (t->sum->prim == NET_mix ? 1 : 0);
    int value = begins ? -1 : target_load(s, t->to, at);
    for (int term = t->k; term < t->k + t->many; term++)
        value = add_term(s, t->sum, term, value, at);
    target_store(s, t->to, at, value);
}

/* Of a block of pixels, all channels, a line of memory at a time. */
static void terms_block(simd *s, const row_walk *w, const row_terms *t, loop_index x, int pixels)
{
    for (int r = 0; r < w->runs; r++) {
        const channel_run *run = &w->run[r];
        loop_index c = simd_open(s, run->lo, run->count, run->vectors * run->lanes);
        memo_list seen[SIMD_LINE] = {{0}};
        for (int i = 0; i < pixels * run->vectors; i++) {
            int v = i % run->vectors;
            spot at = spot_at(w, x, i / run->vectors, loop_offset(c, (int64_t)v * run->lanes), run->lanes);
            s->channel_memo = seen[v];
            forget(s);
            s->ahead = v == 0;
            terms_at(s, t, &at);
            s->ahead = false;
            seen[v] = s->channel_memo;
        }
        simd_close(s, run->count);
    }
}

/* Terms k … k + many - 1 of `sum` over the row. */
static void terms_row(simd *s, const row_walk *w, int sum, int k, int many, const row_target *to)
{
    const row_terms t = {&s->n->nodes.at[sum], k, many, to};
    int blocks = w->g->w / ROW_PIXELS, rest = w->g->w % ROW_PIXELS;
    if (blocks) {
        loop_index x = simd_open(s, 0, blocks, ROW_PIXELS);
        terms_block(s, w, &t, x, ROW_PIXELS);
        simd_close(s, blocks);
    }
    if (rest)
        terms_block(s, w, &t, loop_at((int64_t)blocks * ROW_PIXELS), rest);
    s->channel_memo = (memo_list){0};
    forget(s);
}

static bool is_finished_first(simd *s, int term)
{
    return s->f->place[term] == PLACE_INLINE && is_long_sum(s, term);
}

/* The whole sum; terms that are long sums themselves are finished in scratch first. */
static void sum_row(simd *s, const row_walk *w, int sum, const row_target *to)
{
    const net_node *v = &s->n->nodes.at[sum];
    int first = v->prim == NET_mix ? 1 : 0;
    for (int k = first, many; k < v->count; k += many) {
        for (many = 0; many < ROW_TERMS && k + many < v->count && !is_finished_first(s, v->operand[k + many]);)
            many++;
        row_target now = *to;
        now.whole = to->whole && k + (many ? many : 1) == v->count;
        if (many > 0) {
            terms_row(s, w, sum, k, many, &now);
            continue;
        }
        many = 1;
        if (k == first && v->prim == NET_add) { /* it is the target's first value as it stands */
            sum_row(s, w, v->operand[k], &now);
            continue;
        }
        row_target inner = scratch_row(s, w->g);
        sum_row(s, w, v->operand[k], &inner);
        s->finished = v->operand[k];
        s->finished_row = inner.scratch;
        terms_row(s, w, sum, k, 1, &now);
        s->finished = -1;
    }
}

int simd_read_finished(simd *s, const spot *at)
{
    loop_index e = loop_sum(loop_times(at->x, s->n->nodes.at[s->finished].type.c), at->c);
    return loop_load(&s->pen, DT_F32, at->lanes, s->finished_row, e);
}

/* A root that is no long sum: its map at each pixel. */
static void map_row(simd *s, const row_walk *w, int root)
{
    loop_index x = simd_open(s, 0, w->g->w, 1);
    for (int r = 0; r < w->runs; r++) {
        const channel_run *run = &w->run[r];
        loop_index c = simd_open(s, run->lo, run->count, run->vectors * run->lanes);
        for (int i = 0; i < run->vectors; i++) {
            spot at = spot_at(w, x, 0, loop_offset(c, (int64_t)i * run->lanes), run->lanes);
            s->channel_memo.count = 0;
            forget(s);
            int reg = net_prim_info[s->n->nodes.at[root].prim].class == NET_WINDOW ? simd_read(s, root, &at)
                                                                                   : simd_map(s, root, &at);
            loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), simd_element(s, root, &at), reg);
        }
        simd_close(s, run->count);
    }
    simd_close(s, w->g->w);
    s->channel_memo.count = 0;
    forget(s);
}

/* Some riding sums over the row, their accumulators in registers: for each pixel all of a run's vectors, so that memory
 * is read as it lies, and what the sums share is read once. */
static void sums_over_run(simd *s, const row_walk *w, const int *sum, int sums, const channel_run *run)
{
    int pixels = w->g->w % 4 == 0 ? 4 : w->g->w % 2 == 0 ? 2 : 1, acc[SIMD_ACC_MAX] = {0};
    memo_list seen[SIMD_ACC_MAX] = {{0}};
    loop_index c = simd_open(s, run->lo, run->count, run->vectors * run->lanes);
    int zero = loop_const(&s->pen, DT_F32, run->lanes, 0);
    CHECK(sums * run->vectors <= SIMD_ACC_MAX);
    for (int i = 0; i < sums * run->vectors; i++)
        acc[i] = loop_math(&s->pen, LOOP_MOVE, zero, -1, -1, -1);
    loop_index x = simd_open(s, 0, w->g->w / pixels, pixels);
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < run->vectors; v++) {
            spot here = spot_at(w, x, p, loop_offset(c, (int64_t)v * run->lanes), run->lanes);
            s->channel_memo = seen[v];
            forget(s);
            s->ahead = v % simd_line_vectors(run->lanes) == 0;
            for (int i = 0; i < sums; i++)
                simd_add_to_sum(s, sum[i], acc[i * run->vectors + v], &here);
            seen[v] = s->channel_memo;
        }
    s->ahead = false;
    simd_close(s, w->g->w / pixels);
    for (int i = 0; i < sums * run->vectors; i++) {
        int64_t channels = (int64_t)(i % run->vectors) * run->lanes;
        spot row = spot_at(w, loop_at(0), 0, loop_offset(c, channels), run->lanes);
        simd_add_row_sum(s, sum[i / run->vectors], acc[i], &row);
    }
    simd_close(s, run->count);
    s->channel_memo = (memo_list){0};
    forget(s);
}

static void sums_over_row(simd *s, const row_walk *w)
{
    int registers = s->t->registers < 16 ? 16 : s->t->registers, vectors = w->g->c / s->t->lanes;
    vectors = vectors > 4 ? 4 : vectors < 1 ? 1 : vectors;
    channel_run run[8];
    int runs = simd_channel_runs(s, w->g->c, vectors, run), most = (registers - 4) / vectors, many;
    most = most > ROW_TERMS ? ROW_TERMS : most;
    for (int i = 0; i < w->g->sums.count; i += many) {
        many = w->g->sums.count - i < most ? w->g->sums.count - i : most;
        for (int r = 0; r < runs; r++)
            sums_over_run(s, w, &w->g->sums.at[i], many, &run[r]);
    }
}

void simd_emit_by_rows(simd *s, const stage *g, loop_index rel)
{
    row_walk w = {.g = g, .rel = rel};
    w.runs = simd_channel_runs(s, g->c, simd_line_vectors(s->t->lanes), w.run);
    for (int i = 0; i < g->roots.count; i++) {
        int root = g->roots.at[i];
        if (!is_long_sum(s, root)) {
            map_row(s, &w, root);
            continue;
        }
        bool streams = g->roots.count == 1 && s->layout->lines && s->layout->lines[root];
        row_target to = streams ? scratch_row(s, g) : (row_target){.scratch = -1};
        to.node = root;
        to.whole = true;
        sum_row(s, &w, root, &to);
        s->finished = streams ? root : -1;
        s->finished_row = to.scratch;
    }
    sums_over_row(s, &w);
    s->finished = -1;
}
