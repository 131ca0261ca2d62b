/* Rows of a pool's taps. Windows that lie above each other share them: so a stage folds each row once, from where its source
 * lies, and the pool folds what stands in the stage's scratch from row to row. A pool folds its taps in this order wherever
 * it is computed: those of a row from left to right, then the rows. */
#include "loop/simd.h"

enum loop_op simd_fold_of(const net_node *pool)
{
    return pool->prim == NET_max_pool ? LOOP_MAX : LOOP_ADD;
}

/* The source at `column` from the block's first tap on, or what stands beyond the edge. */
static int source(simd *s, const stage *g, const block *b, int column, loop_index c)
{
    const net_window *w = &s->n->nodes.at[g->across].attr.window;
    int width = s->n->nodes.at[g->value].type.w;
    loop_index at = loop_offset(loop_times(b->x, w->sw), (int64_t)column - w->left);
    if (b->x.count == 0 && (at.base < 0 || at.base >= width)) /* blocks at an edge stand at a constant place */
        return loop_const(&s->pen, DT_F32, b->lanes, g->fill);
    spot here = {.rel = b->rel, .x = at, .c = c, .lanes = b->lanes, .ratio = g->ratio};
    s->pixel_memo.count = 0;
    return simd_read(s, g->value, &here);
}

void simd_across(simd *s, const stage *g, const block *b, int acc[])
{
    const net_node *v = &s->n->nodes.at[g->across];
    const net_window *w = &v->attr.window;
    int last = (b->pixels - 1) * w->sw + (w->kw - 1) * w->dw;
    for (int i = 0; i < b->vectors; i++) {
        s->channel_memo.count = 0;
        for (int column = 0; column <= last; column++) {
            int x = -1;
            for (int p = 0; p < b->pixels; p++) {
                int off = column - p * w->sw, *a = &acc[p * b->vectors + i];
                if (off < 0 || off % w->dw || off / w->dw >= w->kw)
                    continue;
                s->ahead =
                    simd_goes_ahead(s, b->lanes, i) && column < b->pixels * w->sw; /* the rest is the next block's */
                if (x < 0)
                    x = source(s, g, b, column, loop_offset(b->c, (int64_t)i * b->lanes));
                s->ahead = false;
                *a = off == 0 ? x : loop_math(&s->pen, simd_fold_of(v), *a, x, -1, -1);
            }
        }
    }
}
