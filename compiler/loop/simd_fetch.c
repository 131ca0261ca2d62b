/* What crosses memory: read ahead, and stored past the caches.
 *
 * A tile is first read and then computed with, so memory and arithmetic would take turns. Stages that compute therefore
 * fetch, pixel by pixel, what the next tile reads; what is read in passing is fetched a row ahead. A map that no cache
 * will hold until it is read is streamed: a store that goes past the caches need not first load the line it fills. */
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
        bool fits = g->h == t->h && g->w == t->w && g->c == t->c;
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

void simd_plan_fetches(simd *s)
{
    node_list reads = {0};
    for (int i = 0; i < s->g->roots.count; i++)
        fusion_reads(s->a, s->f, s->g->roots.at[i], &reads);
    for (int i = 0; i < reads.count; i++) {
        int node = reads.at[i];
        bool map = s->n->nodes.at[node].type.n == NET_BATCH && s->f->place[node] == PLACE_MEMORY;
        stage *by = map && !is_own(s, node) ? fetcher_of(s, node) : NULL;
        if (by)
            VEC_PUSH(s->a, &by->fetches, node);
    }
}

/* Tiles follow each other in memory, those of the next image those of this one. */
void simd_fetch_ahead(simd *s, const stage *g, const spot *at)
{
    for (int i = 0; i < g->fetches.count; i++) {
        int node = g->fetches.at[i];
        int64_t row = (int64_t)s->n->nodes.at[node].type.w * s->layout->stride[node];
        loop_index next = loop_offset(simd_element(s, node, at), s->rows * g->ratio * row);
        loop_prefetch(&s->pen, simd_arg(s, node, LOOP_IN), next);
    }
}

void simd_store_map(simd *s, int root, const spot *at, int value)
{
    const net_node *v = &s->n->nodes.at[root];
    loop_index e = simd_element(s, root, at);
    if (s->layout->lines && s->layout->lines[root] && at->lanes == s->t->lanes && at->lanes > 1) {
        loop_stream(&s->pen, simd_arg(s, root, LOOP_OUT), e, value);
        return;
    }
    if (s->ahead && v->type.h > 1)
        loop_prefetch(&s->pen, simd_arg(s, root, LOOP_INOUT), loop_offset(e, v->type.w * s->layout->stride[root]));
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), e, value);
}
