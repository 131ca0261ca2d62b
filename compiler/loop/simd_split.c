/* Scratch in two pieces: of pixels of 36 channels one in four begins on a line of 16, and the last four channels of each
 * take a vector to themselves. So where depthwise windows read it, the channels of a row that fill vectors stand together,
 * and those behind them apart, behind all of the row's pixels: a vector there is the rest of several neighbours. */
#include "loop/simd.h"

/* Do depthwise windows read the stage's scratch, and no others? */
static bool is_for_depthwise(const simd *s, const stage *g)
{
    bool any = false;
    for (int i = 0; i < s->stages.count; i++) {
        const stage *reader = &s->stages.at[i];
        if (reader->kind == STAGE_MAXIMA)
            return false;
        if (reader == g || !simd_reads(s, reader, g->value))
            continue;
        if (!simd_is_depthwise(s, simd_window_under(reader)))
            return false;
        any = true;
    }
    return any;
}

/* Does the node take channels of its operand from others on than its own, or one by one? A vector of them may begin in one
 * piece and end in the other. */
static bool shifts_channels(const simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    bool window = v->prim == NET_conv || v->prim == NET_conv_dx;
    bool grouped = window && v->attr.window.groups > 1 && !simd_is_depthwise(s, node);
    return v->prim == NET_slice || v->prim == NET_shuffle || v->prim == NET_channel_pad || grouped;
}

static bool stands_in_memory(const simd *s, int node)
{
    return s->f->place[node] == PLACE_MEMORY || s->f->place[node] == PLACE_LEAF;
}

/* Those under `node` that do, as far as this group computes. */
static void add_shifts(simd *s, int node, node_list *shifts)
{
    const net_node *v = &s->n->nodes.at[node];
    if (s->room->seen[node] == s->room->walks)
        return;
    s->room->seen[node] = s->room->walks;
    if (shifts_channels(s, node))
        VEC_PUSH(s->a, shifts, node);
    for (int k = 0; k < v->count; k++)
        if (!stands_in_memory(s, v->operand[k]))
            add_shifts(s, v->operand[k], shifts);
}

/* Is the window's result on chip read when `node` is computed at a pixel? */
static bool reads_chip(simd *s, int node, int chip)
{
    const net_node *v = &s->n->nodes.at[node];
    for (int k = 0; k < v->count; k++) {
        int x = v->operand[k];
        if (x == chip)
            return true;
        if (s->f->place[x] == PLACE_CHIP || stands_in_memory(s, x) || s->room->seen[x] == s->room->walks)
            continue;
        s->room->seen[x] = s->room->walks;
        if (reads_chip(s, x, chip))
            return true;
    }
    return false;
}

/* Are the stage's channels written and read in vectors that lie in one piece? Stages read others on chip at their pixels,
 * in vectors of their own. */
static bool keeps_channels(simd *s, const stage *g, const node_list *shifts)
{
    for (int i = 0; i < s->stages.count; i++) {
        const stage *at = &s->stages.at[i];
        if ((at == g || g->kind == STAGE_CHIP) && at->core >= 0 && shifts_channels(s, at->core))
            return false;
    }
    for (int i = 0; i < shifts->count && g->kind == STAGE_CHIP; i++) {
        s->room->walks++;
        if (reads_chip(s, shifts->at[i], g->value))
            return false;
    }
    return true;
}

void simd_plan_splits(simd *s)
{
    int lanes = s->t->lanes;
    node_list shifts = {0};
    s->room->walks++;
    for (int i = 0; i < s->g->roots.count; i++)
        add_shifts(s, s->g->roots.at[i], &shifts);
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        int rest = g->c % lanes;
        bool vectors = g->c > lanes && (rest == lanes / 2 || rest == lanes / 4);
        if (vectors && simd_is_in_scratch(g) && g->across < 0 && is_for_depthwise(s, g) &&
            keeps_channels(s, g, &shifts) && !simd_goes_by_rows(s, g))
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
