/* Maps of fewer channels than a vector has lanes, as images are: where neither what is read nor what is written has
 * anything between one pixel and the next, a row is one run of elements. What each channel has of its own (a mean, a
 * deviation) is first repeated in scratch until vectors and pixels begin together again. */
#include "loop/simd.h"

static int period_of(const simd *s, int channels)
{
    int period = channels;
    while (period % s->t->lanes)
        period += channels;
    return period;
}

static bool is_row_value(const net_type *t)
{
    return t->n != NET_BATCH && t->w == 1;
}

static bool is_read_narrow(const simd *s, const stage *g, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    const net_type *t = &v->type;
    switch (s->f->place[node]) {
    case PLACE_MEMORY:
    case PLACE_LEAF:
        if (is_row_value(t))
            return t->c == g->c;
        return t->n == NET_BATCH && t->h == g->h && t->w == g->w && t->c == g->c &&
               (s->f->place[node] == PLACE_LEAF || s->layout->stride[node] == t->c);
    case PLACE_INLINE:
        break;
    default:
        return false;
    }
    bool narrow = !simd_place_matters(v->prim) && net_prim_info[v->prim].class == NET_MAP && t->c == g->c;
    for (int k = 0; k < v->count && narrow; k++)
        narrow = is_read_narrow(s, g, v->operand[k]);
    return narrow;
}

bool simd_is_narrow(const simd *s, const stage *g)
{
    return g->kind == STAGE_TILE && g->core < 0 && g->across < 0 && !s->chunked && s->images_most == 1 && g->c > 1 &&
           g->c < s->t->lanes && is_read_narrow(s, g, g->value);
}

/* Row values under `node`, repeated. */
static void repeat(simd *s, const stage *g, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    if (s->f->place[node] == PLACE_INLINE) {
        for (int k = 0; k < v->count; k++)
            repeat(s, g, v->operand[k]);
        return;
    }
    if (!is_row_value(&v->type) || simd_repeated(s, node))
        return;
    int period = period_of(s, g->c), from = simd_arg(s, node, LOOP_IN);
    repeated r = {node, period, loop_scratch(&s->pen, DT_F32, (int64_t)v->type.h * period)};
    for (int row = 0; row < v->type.h; row++) {
        loop_index at = simd_open(s, 0, period / g->c, g->c);
        for (int c = 0; c < g->c; c++)
            loop_store(&s->pen, r.scratch, loop_offset(at, (int64_t)row * period + c),
                       loop_load(&s->pen, DT_F32, 1, from, loop_at((int64_t)row * g->c + c)));
        simd_close(s, period / g->c);
    }
    VEC_PUSH(s->a, &s->repeats, r);
}

void simd_begin_narrow(simd *s, const stage *g)
{
    repeat(s, g, g->value);
}

void simd_end_narrow(simd *s)
{
    s->repeats.count = 0;
}

const repeated *simd_repeated(const simd *s, int node)
{
    for (int i = 0; i < s->repeats.count; i++)
        if (s->repeats.at[i].node == node)
            return &s->repeats.at[i];
    return NULL;
}

void simd_emit_narrow_row(simd *s, const stage *g, loop_index rel)
{
    int period = period_of(s, g->c);
    channel_run run[8];
    int runs = simd_channel_runs(s, g->w * g->c, period / s->t->lanes, run);
    for (int r = 0; r < runs; r++) {
        loop_index e = simd_open(s, run[r].lo, run[r].count, run[r].vectors * run[r].lanes);
        for (int v = 0; v < run[r].vectors; v++) {
            spot at = {.rel = rel,
                       .x = loop_at(0),
                       .c = loop_offset(e, (int64_t)v * run[r].lanes),
                       .lanes = run[r].lanes,
                       .ratio = g->ratio};
            loop_store(&s->pen, g->scratch, simd_scratch_element(g, &at), simd_read_apart(s, g->value, &at));
        }
        simd_close(s, run[r].count);
    }
}
