/* Tiles made meanwhile: what a pointwise convolution reads, mapped into scratch, takes loads and stores; the convolution
 * itself takes multiply-adds. Made one after the other, each waits for units that the other leaves idle. So the
 * convolution makes its tile as it goes: while it sums a block of pixels, those of a later block, a few vectors in each of
 * many rounds. Only the first block's are made before.
 *
 * Pixels of a tile without edges lie one behind the other, in scratch as in memory, whatever the row: `lead` pixels on
 * from a block's is a place beyond the block, and blocks make all pixels from `lead` on, the last perhaps again. */
#include "loop/simd.h"

static bool has_edges(const stage *g)
{
    return g->lo || g->hi || g->left || g->right;
}

/* A convolution of pixels alone, whose blocks loop over channels in rounds. */
static bool can_make(const simd *s, const stage *g)
{
    if ((g->kind != STAGE_STORE && g->kind != STAGE_CHIP) || g->across >= 0 || has_edges(g) ||
        !simd_is_dense(s, g->core))
        return false;
    const net_window *w = &s->n->nodes.at[g->core].attr.window;
    return net_is_pointwise(w) && simd_work_of(s, g->core) >= SIMD_LONG_SUM;
}

void simd_plan_meanwhile(simd *s)
{
    for (int i = 0; i < s->stages.count; i++) {
        stage *made = &s->stages.at[i];
        int by = i + 1;
        while (by < s->stages.count && s->stages.at[by].kind != STAGE_MAXIMA &&
               !simd_reads(s, &s->stages.at[by], made->value))
            by++;
        if (made->kind != STAGE_TILE || made->c < s->t->lanes || made->core >= 0 || made->across >= 0 ||
            has_edges(made) || by == s->stages.count)
            continue;
        stage *g = &s->stages.at[by];
        if (can_make(s, g) && g->makes < 0 && !simd_is_narrow(s, made) && g->h == made->h && g->w == made->w &&
            !simd_goes_by_rows(s, g) && !simd_is_narrow(s, g) && simd_is_read_flat(s, g, made->value)) {
            made->made_by = by;
            g->makes = i;
        }
    }
}

/* ---- in which rounds --------------------------------------------------------------------------------------------- */

enum { FEW_VECTORS = 2 }; /* that a part of a pixel has at least, if it is one of several */

meanwhile_rounds simd_meanwhile_rounds(const simd *s, const block *b, int steps)
{
    int vectors = s->meanwhile.tile->c / s->t->lanes, pixels = b->pixels < steps ? b->pixels : steps, parts = 1;
    bool whole = s->meanwhile.tile->c % s->t->lanes == 0;
    for (int p = 2; whole && p * FEW_VECTORS <= vectors && pixels * p <= steps; p++)
        parts = vectors % p == 0 ? p : parts;
    return (meanwhile_rounds){.pixels = pixels, .parts = parts, .each = (b->pixels + pixels - 1) / pixels};
}

/* Where a pixel of the block stands `lead` further; the tile's last one, where that is beyond it. */
static loop_index place_of(simd *s, const block *b, const meanwhile_rounds *q, loop_index pixel)
{
    loop_index last = loop_at(s->meanwhile.pixels - 1);
    bool exact = q->pixels * q->each == b->pixels;
    if (exact && b->columns % b->pixels == 0 && s->meanwhile.lead % b->pixels == 0)
        return pixel;
    return loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MIN, pixel, last, 0), 1);
}

static void make_channels(simd *s, const stage *made, spot at)
{
    loop_store(&s->pen, made->scratch, simd_scratch_element(made, &at), simd_read_apart(s, made->value, &at));
}

/* `vectors` vectors from vector `first` on, and what is left behind them. */
static void make_pixel(simd *s, const stage *made, spot at, loop_index first, int vectors, bool rest)
{
    channel_run run[8];
    int runs = simd_channel_runs(s, made->c, 1, run);
    s->ahead = s->layout->large;
    at.lanes = run[0].lanes;
    at.c = loop_times(loop_sum(first, simd_open(s, 0, vectors, 1)), at.lanes);
    make_channels(s, made, at);
    simd_close(s, vectors);
    for (int r = 1; r < runs && rest; r++) {
        at.lanes = run[r].lanes;
        at.c = loop_at(run[r].lo);
        make_channels(s, made, at);
    }
    s->ahead = false;
}

void simd_make_meanwhile(simd *s, const block *b, const meanwhile_rounds *q, loop_index round, loop_index part)
{
    const stage *made = s->meanwhile.tile;
    loop_index first = loop_offset(loop_sum(loop_times(b->rel, made->w), b->x), s->meanwhile.lead);
    int vectors = made->c / s->t->lanes;
    loop_if(&s->pen, first, loop_at(s->meanwhile.pixels));
    for (int p = 0; p < q->each; p++) {
        spot at = {.rel = loop_at(0), .ratio = made->ratio};
        at.x = place_of(s, b, q, loop_offset(loop_sum(first, loop_times(round, q->each)), p));
        make_pixel(s, made, at, loop_times(part, vectors / q->parts), vectors / q->parts, q->parts == 1);
    }
    loop_end(&s->pen);
}
