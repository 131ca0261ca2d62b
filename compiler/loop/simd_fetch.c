/* What crosses memory: read ahead, and stored past the caches.
 *
 * A tile is first read and then computed with, so memory and arithmetic would take turns. Stages that compute therefore
 * fetch, pixel by pixel, what the next tile reads; what is read in passing is fetched a row ahead. A map that no cache
 * will hold until it is read is streamed: a store that goes past the caches need not first load the line it fills. Where
 * its pixels do not begin on lines but its rows do, a row is gathered in scratch first. */
#include "loop/simd.h"

/* Is `node` computed by this kernel? */
static bool is_own(const simd *s, int node)
{
    int group = s->f->group_of[node];
    return group >= 0 && &s->f->groups.at[group] == s->g;
}

/* The stage that computes most for each map that it fetches, at the pixels of `node`; NULL: there is none. */
static stage *fetcher_of(simd *s, int node)
{
    const net_type *t = &s->n->nodes.at[node].type;
    stage *best = NULL;
    double most = 0;
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        bool fits = g->h == t->h && g->w == t->w && t->c == g->c;
        if (!fits || g->core < 0 || (g->kind != STAGE_CHIP && g->kind != STAGE_STORE))
            continue;
        double work = simd_work_of(s, g->core) / (1 + g->fetches.count);
        if (work > most) {
            best = g;
            most = work;
        }
    }
    return best;
}

/* Rows below a tile's own that its first reader of `node` has taken along. */
static int rows_below(simd *s, int node)
{
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        node_list reads = {0};
        if (g->kind != STAGE_TILE)
            continue;
        if (g->value == node)
            return g->hi;
        fusion_reads(s->a, s->f, g->value, &reads);
        for (int k = 0; k < reads.count; k++)
            if (reads.at[k] == node)
                return g->hi;
    }
    return 0;
}

void simd_plan_fetches(simd *s)
{
    node_list reads = {0};
    for (int i = 0; i < s->g->roots.count; i++)
        fusion_reads(s->a, s->f, s->g->roots.at[i], &reads);
    for (int i = 0; i < reads.count; i++) {
        int node = reads.at[i];
        const net_type *t = &s->n->nodes.at[node].type;
        bool map = t->n == NET_BATCH && s->f->place[node] == PLACE_MEMORY;
        stage *by = map && !is_own(s, node) ? fetcher_of(s, node) : NULL;
        if (by)
            VEC_PUSH(s->a, &by->fetches, ((fetch){node, rows_below(s, node)}));
    }
}

/* Tiles follow each other in memory, those of the next image those of this one. */
void simd_fetch_ahead(simd *s, const stage *g, const spot *at)
{
    for (int i = 0; i < g->fetches.count; i++) {
        const fetch *f = &g->fetches.at[i];
        int further = s->tiles > 1 ? f->further : 0;
        int64_t row = (int64_t)s->n->nodes.at[f->node].type.w * s->layout->stride[f->node];
        loop_index next = loop_offset(simd_element(s, f->node, at), (s->rows * g->ratio + further) * row);
        loop_prefetch(&s->pen, simd_arg(s, f->node, LOOP_IN), next);
    }
}

void simd_plan_gathers(simd *s)
{
    for (int i = 0; i < s->stages.count && s->images_most == 1; i++) {
        stage *g = &s->stages.at[i];
        if (g->kind != STAGE_STORE || simd_goes_by_rows(s, g))
            continue;
        for (int r = 0; r < g->roots.count; r++) {
            int root = g->roots.at[r], w = s->n->nodes.at[root].type.w;
            bool gathers = s->layout->row_lines && s->layout->row_lines[root];
            int row = gathers ? loop_scratch(&s->pen, DT_F32, (int64_t)w * s->layout->stride[root]) : -1;
            VEC_PUSH(s->a, &g->gathered, row);
        }
    }
}

/* Where a row of `root` is gathered; -1: nowhere. */
static int gathered_row(const simd *s, int root)
{
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        for (int r = 0; r < g->gathered.count; r++)
            if (g->roots.at[r] == root)
                return g->gathered.at[r];
    }
    return -1;
}

void simd_store_map(simd *s, int root, const spot *at, int value)
{
    const net_node *v = &s->n->nodes.at[root];
    loop_index e = simd_element(s, root, at);
    int row = gathered_row(s, root);
    if (row >= 0) {
        loop_store(&s->pen, row, loop_sum(loop_times(at->x, s->layout->stride[root]), at->c), value);
        return;
    }
    if (s->layout->lines && s->layout->lines[root] && at->lanes == s->t->lanes && at->lanes > 1) {
        loop_stream(&s->pen, simd_arg(s, root, LOOP_OUT), e, value);
        return;
    }
    if (s->ahead && v->type.h > 1)
        loop_prefetch(&s->pen, simd_arg(s, root, LOOP_INOUT), loop_offset(e, v->type.w * s->layout->stride[root]));
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), e, value);
}

void simd_stream_rows(simd *s, const stage *g, loop_index rel)
{
    for (int r = 0; r < g->gathered.count; r++) {
        if (g->gathered.at[r] < 0)
            continue;
        int root = g->roots.at[r], lanes = s->t->lanes, to = simd_arg(s, root, LOOP_OUT);
        int64_t count = (int64_t)s->n->nodes.at[root].type.w * s->layout->stride[root];
        spot first = {
            .rel = rel, .x = loop_at(0), .c = loop_at(0), .lanes = lanes, .h = g->h, .w = g->w, .ratio = g->ratio};
        loop_index at = simd_element(s, root, &first);
        loop_index e = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(count), lanes), 1);
        int value = loop_load(&s->pen, DT_F32, lanes, g->gathered.at[r], e);
        if (lanes > 1)
            loop_stream(&s->pen, to, loop_sum(at, e), value);
        else
            loop_store(&s->pen, to, loop_sum(at, e), value);
        loop_end(&s->pen);
    }
}
