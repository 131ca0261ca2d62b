/* Flat vectors: the steps of optimisers and of methods, all values of a group in one pass over their elements. */
#include "loop/simt.h"

/* Opens the block of elements of this unit, twice: whole vectors, then what is left. */
void simd_each(simd *s, int64_t count, int lanes, void (*body)(simd *s, loop_index c, int lanes))
{
    if (s->t->capability) {
        simt_each(s, count, body);
        return;
    }
    s->unit = loop_parallel(&s->pen);
    loop_index lo = loop_plus(loop_at(0), s->unit, SIMD_FLAT_BLOCK), hi = loop_offset(lo, SIMD_FLAT_BLOCK);
    int64_t whole = count - count % lanes;
    if (whole) {
        int end = loop_int(&s->pen, LOOP_INT_MIN, hi, loop_at(whole), 0);
        int c = loop_for(&s->pen, lo, loop_plus(loop_at(0), end, 1), lanes);
        body(s, loop_plus(loop_at(0), c, 1), lanes);
        loop_end(&s->pen);
    }
    if (whole < count) {
        int begin = loop_int(&s->pen, LOOP_INT_MAX, lo, loop_at(whole), 0);
        int end = loop_int(&s->pen, LOOP_INT_MIN, hi, loop_at(count), 0);
        int c = loop_for(&s->pen, loop_plus(loop_at(0), begin, 1), loop_plus(loop_at(0), end, 1), 1);
        body(s, loop_plus(loop_at(0), c, 1), 1);
        loop_end(&s->pen);
    }
    loop_end(&s->pen);
    s->out->unit_images = 0;
    s->out->unit_tiles = (int)((count + SIMD_FLAT_BLOCK - 1) / SIMD_FLAT_BLOCK);
}

static void map_at(simd *s, loop_index x, loop_index c, int lanes)
{
    spot at = {.rel = loop_at(0), .x = x, .c = c, .lanes = lanes, .ratio = 1};
    s->pixel_memo.count = s->channel_memo.count = 0;
    for (int i = 0; i < s->g->roots.count; i++) {
        int root = s->g->roots.at[i], reg = simd_map(s, root, &at);
        VEC_PUSH(s->a, &s->pixel_memo, ((memo){root, 0, lanes, reg}));
        loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), simd_element(s, root, &at), reg);
    }
}

static void map_element(simd *s, loop_index c, int lanes)
{
    map_at(s, loop_at(0), c, lanes);
}

/* Tables (1,1,rows,K), such as the parts of alpha: a unit a row. */
static void map_rows(simd *s, const net_type *t)
{
    CHECK(t->h == 1);
    int whole = t->c - t->c % s->t->lanes;
    s->unit = loop_parallel(&s->pen);
    loop_index x = loop_plus(loop_at(0), s->unit, 1);
    const int lo[2] = {0, whole}, hi[2] = {whole, t->c}, lanes[2] = {s->t->lanes, 1};
    for (int part = 0; part < 2; part++) {
        if (lo[part] == hi[part])
            continue;
        int c = loop_for(&s->pen, loop_at(lo[part]), loop_at(hi[part]), lanes[part]);
        map_at(s, x, loop_plus(loop_at(0), c, 1), lanes[part]);
        loop_end(&s->pen);
    }
    loop_end(&s->pen);
    s->out->unit_images = 0;
    s->out->unit_tiles = t->w;
}

void simd_lower_flat(simd *s)
{
    const net_type *t = &s->n->nodes.at[s->g->roots.at[0]].type;
    s->image = s->tile = loop_at(0);
    s->smallest = s->tiles = 1;
    if (t->w > 1)
        map_rows(s, t);
    else
        simd_each(s, t->c, s->t->lanes, map_element);
}
