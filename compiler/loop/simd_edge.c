/* What stands around a tile's own rows in scratch: padding beyond the map, and rows of the tiles before and behind. */
#include "loop/simd.h"

/* Row `to` of a stage's scratch becomes what row `from` is. */
static void copy_row(simd *s, const stage *g, loop_index to, loop_index from)
{
    int64_t row = simd_row_elements(g), count = (int64_t)(g->w + g->left + g->right) * g->pixel;
    channel_run run[8];
    int runs = simd_channel_runs(s, (int)count, 1, run);
    for (int r = 0; r < runs; r++) {
        loop_index at = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        loop_index e = loop_sum(loop_times(loop_offset(from, g->lo), row), at);
        int value = loop_load(&s->pen, DT_F32, run[r].lanes, g->scratch, e);
        loop_store(&s->pen, g->scratch, loop_sum(loop_times(loop_offset(to, g->lo), row), at), value);
        simd_close(s, run[r].count);
    }
}

void simd_fill_sides(simd *s, const stage *g, loop_index rel)
{
    view v = simd_stage_view(g);
    for (int piece = 0; piece < (g->split ? 2 : 1); piece++) {
        int64_t pixel = piece ? v.rest_column : v.column;
        loop_index c = loop_at(piece ? g->split : 0);
        if (g->left)
            simd_fill(s, g->scratch, simd_view_element(&v, rel, loop_at(-g->left), c), g->left * pixel, g->fill);
        if (g->right)
            simd_fill(s, g->scratch, simd_view_element(&v, rel, loop_at(g->w), c), g->right * pixel, g->fill);
    }
}

void simd_fill_rows(simd *s, const stage *g, int lo, int hi)
{
    int64_t row = simd_row_elements(g);
    if (lo < hi)
        simd_fill(s, g->scratch, loop_at((lo + g->lo) * row), (hi - lo) * row, g->fill);
}

void simd_fill_around(simd *s, const stage *g)
{
    simd_fill_rows(s, g, -g->lo, 0);
    simd_fill_rows(s, g, g->h, g->h + g->hi);
}

void simd_fill_row(simd *s, const stage *g, loop_index rel)
{
    int64_t row = simd_row_elements(g);
    simd_fill(s, g->scratch, loop_times(loop_offset(rel, g->lo), row), row, g->fill);
}

/* Rows from -lo to `end` become those that are `own` further. */
static void move_rows(simd *s, const stage *g, int own, loop_index end)
{
    loop_index rel = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(-g->lo), end, 1), 1);
    copy_row(s, g, rel, loop_offset(rel, own));
    loop_end(&s->pen);
}

loop_index simd_carry_rows(simd *s, const stage *g, int own)
{
    int halo = g->lo + g->hi;
    loop_index made = loop_offset(loop_times(s->tile, halo), -g->lo);
    loop_index from = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MIN, made, loop_at(g->hi), 0), 1);
    move_rows(s, g, own, from);
    return from;
}

void simd_move_rows(simd *s, const stage *g, int own)
{
    move_rows(s, g, own, loop_at(g->hi));
}
