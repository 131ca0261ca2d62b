/* Which places of a kernel share a pointer in C.
 *
 * Unrolled code reads and writes dozens of places whose indices differ by a constant alone. Written out, each repeats the
 * sum of products that all have in common; with a pointer to the lowest of them what differs is what stands there. */
#include "emit/c_writer.h"

#include <string.h>

enum { USES_LEAST = 3, BASES_SEARCHED = 32 };

/* Does an index keep its value, but for its constant, from its first use in a block to the last? */
static bool is_steady(const c_writer *w, const loop_index *index)
{
    for (int t = 0; t < index->count; t++)
        if (w->ints[index->term[t].var].defs > 1)
            return false;
    return index->count > 0;
}

static bool same_but_for_constant(const loop_index *a, const loop_index *b)
{
    return a->count == b->count && memcmp(a->term, b->term, sizeof a->term) == 0;
}

static int find(const c_writer *w, int block, const loop_place *place)
{
    for (int b = w->bases.count - 1; b >= 0 && b >= w->bases.count - BASES_SEARCHED; b--) {
        const c_base *base = &w->bases.at[b];
        if (base->block == block && base->buffer == place->buffer && same_but_for_constant(&base->index, &place->index))
            return b;
    }
    return -1;
}

void c_find_bases(c_writer *w)
{
    w->base_of = NEW_ARRAY(w->arena, int, w->k->ins.count);
    for (int at = 0; at < w->k->ins.count; at++) {
        const loop_ins *i = &w->k->ins.at[at];
        w->base_of[at] = -1;
        if (w->dead[at] || loop_op_info[i->op].kind != LOOP_MEM || !is_steady(w, &i->place.index))
            continue;
        int b = find(w, w->parent[at], &i->place);
        if (b < 0) {
            b = w->bases.count;
            c_base base = {.block = w->parent[at], .buffer = i->place.buffer, .index = i->place.index};
            VEC_PUSH(w->arena, &w->bases, base);
        }
        c_base *base = &w->bases.at[b];
        base->uses++;
        base->stores |= i->op == LOOP_STORE;
        if (i->place.index.base < base->index.base)
            base->index.base = i->place.index.base;
        w->base_of[at] = b;
    }
    for (int at = 0; at < w->k->ins.count; at++)
        if (w->base_of[at] >= 0 && w->bases.at[w->base_of[at]].uses < USES_LEAST)
            w->base_of[at] = -1;
}
