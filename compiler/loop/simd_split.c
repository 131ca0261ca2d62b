/* Scratch in two pieces: of pixels of 36 channels one in four begins on a line of 16, and the last four channels of each
 * take a vector to themselves. So where depthwise windows read it, the channels of a row that fill vectors stand together,
 * and those behind them apart, behind all of the row's pixels: a vector there is the rest of several neighbours. */
#include "loop/simd.h"

static bool is_depthwise(const simd *s, int window)
{
    const net_node *v = &s->n->nodes.at[window];
    return (v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw) && net_is_depthwise(s->n, v);
}

/* The window of the stage that reads around its pixels, or -1. */
static int window_of(const stage *g)
{
    return g->kind == STAGE_WEIGHTS ? g->value : g->across >= 0 ? g->across : g->core;
}

/* Do depthwise windows read the stage's scratch, and no others? */
static bool is_for_depthwise(const simd *s, const stage *g)
{
    bool any = false;
    for (int i = 0; i < s->stages.count; i++) {
        const stage *reader = &s->stages.at[i];
        int window = window_of(reader);
        const net_node *v = window >= 0 ? &s->n->nodes.at[window] : NULL;
        bool reads = v && (v->operand[0] == g->value || (reader->kind == STAGE_WEIGHTS && v->operand[1] == g->value));
        if (reader == g || !reads)
            continue;
        if (reader->across >= 0 || !is_depthwise(s, window))
            return false;
        any = true;
    }
    return any;
}

/* Does computing `node` take channels of a map from others on than its own? A vector of them may begin in one piece and end
 * in the other. */
static bool shifts_channels(simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    if (s->room->seen[node] == s->room->walks)
        return false;
    s->room->seen[node] = s->room->walks;
    bool window = v->prim == NET_conv || v->prim == NET_conv_dx;
    bool grouped = window && v->attr.window.groups > 1 && !is_depthwise(s, node);
    if (v->prim == NET_slice || v->prim == NET_shuffle || v->prim == NET_channel_pad || grouped)
        return true;
    for (int k = 0; k < v->count; k++) {
        enum place place = s->f->place[v->operand[k]];
        if (place != PLACE_MEMORY && place != PLACE_LEAF && shifts_channels(s, v->operand[k]))
            return true;
    }
    return false;
}

/* Does every stage go over all channels of what it reads, from the first on? */
static bool channels_stay(simd *s)
{
    s->room->walks++;
    for (int i = 0; i < s->g->roots.count; i++)
        if (shifts_channels(s, s->g->roots.at[i]))
            return false;
    for (int i = 0; i < s->stages.count; i++)
        if (s->stages.at[i].kind == STAGE_MAXIMA)
            return false;
    return true;
}

void simd_plan_splits(simd *s)
{
    int lanes = s->t->lanes;
    if (s->o->small || s->o->rolled || lanes < 4 || s->t->capability || s->slices || !channels_stay(s))
        return;
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        int rest = g->c % lanes;
        bool vectors = g->c > lanes && (rest == lanes / 2 || rest == lanes / 4);
        if (vectors && simd_is_in_scratch(g) && g->across < 0 && is_for_depthwise(s, g) && !simd_goes_by_rows(s, g))
            g->split = g->c - rest;
    }
}

int64_t simd_row_elements(const stage *g)
{
    int64_t all = (int64_t)(g->w + g->left + g->right) * g->pixel;
    return g->split ? (all + SIMD_LINE - 1) / SIMD_LINE * SIMD_LINE : all;
}

loop_index simd_view_element(const view *v, loop_index row, loop_index column, loop_index c)
{
    bool apart = v->split && c.count == 0 && c.base >= v->split;
    loop_index e = loop_sum(apart ? v->rest : v->origin, loop_times(row, v->row));
    e = loop_sum(e, loop_times(column, apart ? v->rest_column : v->column));
    return loop_sum(e, apart ? loop_offset(c, -v->split) : c);
}
