/* Scratch in two pieces: pixels of, say, 36 channels begin on lines once in four, and their last four channels take a
 * vector to themselves. So where depthwise windows read it, the channels of a row that fill vectors stand together, and
 * those behind them apart, behind all of the row's pixels: a vector there is the rest of several neighbours. */
#include "loop/simd.h"

static bool is_depthwise(const simd *s, int window)
{
    const net_node *v = &s->n->nodes.at[window];
    return (v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw) && net_is_depthwise(s->n, v);
}

/* Does a window of the stage read `value`? */
static bool reads(const simd *s, const stage *g, int value)
{
    int window = g->kind == STAGE_WEIGHTS ? g->value : g->across >= 0 ? g->across : g->core;
    const net_node *v = window >= 0 ? &s->n->nodes.at[window] : NULL;
    return v && (v->operand[0] == value || (g->kind == STAGE_WEIGHTS && v->operand[1] == value));
}

/* Do depthwise windows read the stage's scratch, and no others? */
static bool is_for_depthwise(const simd *s, const stage *g)
{
    bool any = false;
    for (int i = 0; i < s->stages.count; i++) {
        const stage *reader = &s->stages.at[i];
        if (reader->kind == STAGE_MAXIMA)
            return false;
        if (reader == g || !reads(s, reader, g->value))
            continue;
        if (reader->across >= 0 || !is_depthwise(s, reader->kind == STAGE_WEIGHTS ? reader->value : reader->core))
            return false;
        any = true;
    }
    return any;
}

void simd_plan_splits(simd *s)
{
    int lanes = s->t->lanes;
    if (s->o->small || s->o->rolled || lanes < 4 || s->t->capability || s->slices)
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
