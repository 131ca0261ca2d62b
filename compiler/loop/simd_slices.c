/* Slices of channels: where all windows of a group are depthwise, channels never meet. A few of them then pass over the
 * whole map before the next: a row of taps and its columns stay in the first cache level, and no tile carries on what the
 * one before has made. A slice is whole lines of memory, so that none is read twice. */
#include "loop/simd.h"

/* Does the stage make or use each channel from that channel alone, by a depthwise window? */
static bool is_depthwise(const simd *s, const stage *g)
{
    if (g->kind == STAGE_TILE && g->core < 0)
        return true;
    int window = simd_window_under(g);
    return window >= 0 && g->kind != STAGE_MAXIMA && simd_is_depthwise(s, window);
}

/* Have all maps that the group reads and stores so many channels? */
static bool channels_are_alike(simd *s, int channels)
{
    node_list reads = {0};
    for (int i = 0; i < s->g->roots.count; i++) {
        int root = s->g->roots.at[i];
        fusion_reads(s->a, s->f, root, &reads);
        if (net_prim_info[s->n->nodes.at[root].prim].class != NET_REDUCE)
            VEC_PUSH(s->a, &reads, root);
    }
    for (int i = 0; i < reads.count; i++) {
        const net_type *t = &s->n->nodes.at[reads.at[i]].type;
        if (net_is_map_sized(t) && t->c != channels)
            return false;
    }
    return true;
}

/* Elements of scratch that a vector of channels of a whole map takes. */
static int64_t vector_elements(const simd *s)
{
    int64_t pixels = 0;
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        if (g->kind == STAGE_TILE || g->kind == STAGE_CHIP)
            pixels += (int64_t)(g->h + g->lo + g->hi) * (g->w + g->left + g->right);
    }
    return pixels * s->t->lanes;
}

void simd_plan_slices(simd *s)
{
    const stage *first = &s->stages.at[0];
    int channels = first->c, vectors = channels / s->t->lanes;
    bool fits = s->chunked && !s->o->small && s->t->lanes > 1 && channels % s->t->lanes == 0 && vectors > 1;
    for (int i = 0; i < s->stages.count && fits; i++)
        fits = s->stages.at[i].c == channels && is_depthwise(s, &s->stages.at[i]);
    int64_t elements = vector_elements(s);
    if (!fits || !elements || !channels_are_alike(s, channels))
        return;
    int most = (int)(s->t->l1_bytes / 2 / (elements * 4)), take = 1;
    for (int v = 2; v <= most && v < vectors; v++)
        take = vectors % v == 0 ? v : take;
    s->slices = vectors / take;
    for (int i = 0; i < s->stages.count; i++)
        s->stages.at[i].c = s->stages.at[i].pixel = take * s->t->lanes;
}
