/* Shapes of blocks: how many columns and vectors of channels registers hold at once, and how weights lie for them. */
#include "loop/simd.h"

enum {
    SCALAR_PIXELS = 4,
    SMALL_PIXELS = 8 /* of short code: two multiply-adds a cycle that take four each */
};

bool simd_meets_edge(const simd *s, const stage *g, int x, int pixels)
{
    bool clipped = g->across >= 0 || (g->core >= 0 && simd_is_clipped(s, g->core));
    if (!clipped)
        return false;
    const net_node *v = &s->n->nodes.at[g->across >= 0 ? g->across : g->core];
    const net_window *w = &v->attr.window;
    int first = x * w->sw - w->left, last = first + (pixels - 1) * w->sw + (w->kw - 1) * w->dw;
    return first < 0 || last >= s->n->nodes.at[v->operand[0]].type.w;
}

/* Of the columns that a stride takes at once, how many see a tap? */
static int phases_reached(const net_window *w)
{
    int reached = 0;
    for (int x = 0; x < w->sw; x++) {
        bool any = false;
        for (int kx = 0; kx < w->kw; kx++)
            any |= (x + w->left - kx * w->dw) % w->sw == 0;
        reached += any;
    }
    return reached > 0 ? reached : 1;
}

bool simd_is_dense(const simd *s, int core)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    return v && (v->prim == NET_conv || v->prim == NET_conv_dx) && !net_is_depthwise(s->n, v);
}

bool simd_is_depthwise(const simd *s, int window)
{
    const net_node *v = &s->n->nodes.at[window];
    return (v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw) && net_is_depthwise(s->n, v);
}

/* Two or three of `whole` vectors at a time: three where two would leave one alone, which has a broadcast to itself for each
 * multiply-add. */
static int few_vectors(const target *t, int whole)
{
    return whole % 2 && whole % 3 != 1 && t->registers >= 32 ? 3 : 2;
}

/* Vectors of a block of output channels, which reads its weights as they lie in a panel: many where a map is so small that
 * each vector has few accumulators. */
static int panel_vectors(const target *t, int pixels, int whole)
{
    int many = t->registers >= 32 ? 8 : 4;
    if (whole < 2)
        return 1;
    if (pixels < 4)
        return whole < many ? whole : many;
    return few_vectors(t, whole);
}

int lower_panel(const net *n, const net_node *conv, const target *t, bool small)
{
    if (t->capability || conv->prim != NET_conv)
        return 0;
    if (net_is_depthwise(n, conv) || (small && conv->attr.window.groups == 1))
        return t->lanes;
    if (conv->attr.window.groups != 1)
        return 0;
    return panel_vectors(t, conv->type.h * conv->type.w, conv->type.c / t->lanes) * t->lanes;
}

/* A dense convolution loads a vector of weights for each of a block's vectors and broadcasts each of its pixels. */
int simd_block_vectors(const simd *s, int core, int width, int channels)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    int whole = channels / s->t->lanes;
    int panel = simd_is_dense(s, core) ? s->n->nodes.at[v->operand[1]].attr.panel : 0;
    if (panel)
        return panel / s->t->lanes;
    if (!simd_is_dense(s, core) || whole < 2 || s->o->small)
        return 1;
    if (s->o->vectors > 0 && s->o->vectors <= whole)
        return s->o->vectors;
    bool all = s->t->registers >= 32 && whole == 4; /* a broadcast serves them all, and six pixels remain */
    if (all || (width <= 4 && whole >= 4))
        return 4;
    return few_vectors(s->t, whole);
}

/* At least a quarter of a vector, and pixels that are all alike. */
bool simd_takes_tail(const simd *s, int core, int tail)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    return simd_is_dense(s, core) && v->attr.window.groups <= 1 && tail < s->t->lanes && tail * 4 >= s->t->lanes &&
           !s->n->nodes.at[v->operand[1]].attr.panel && simd_row_phases(s, core) == 1 &&
           simd_column_phases(s, core) == 1;
}

/* Of a block with a tail: pixels share its vectors, and two more registers put these together. */
static int pixels_with_tail(const simd *s, int registers, int width, int vectors, int tail)
{
    int parts = s->t->lanes / tail, most = (registers - vectors - 4) * parts / (vectors * parts + 1);
    most = most > 14 ? 14 : most < 1 ? 1 : most;
    if (width <= most)
        return width;
    for (int p = most; p > most / 2; p--)
        if (width % p == 0 && p % parts == 0)
            return p;
    return most > parts ? most - most % parts : most;
}

int simd_block_pixels(const simd *s, int core, int width, int vectors, int tail)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    bool convolution = v && (v->prim == NET_conv || v->prim == NET_conv_dx);
    int registers = s->t->registers < 16 ? 16 : s->t->registers;
    if (tail)
        return pixels_with_tail(s, registers, width, vectors, tail);
    int most = convolution ? (registers - 1 - vectors) / vectors : v ? 8 : 4;
    if (s->t->lanes == 1)
        most = SCALAR_PIXELS;
    else if (s->o->small && most > SMALL_PIXELS)
        most = SMALL_PIXELS;
    most = most > 14 ? 14 : most;
    int phases = simd_column_phases(s, core);
    if (v && phases > 1) /* columns that no tap reaches take no register */
        most = most * phases / phases_reached(&v->attr.window);
    if (v && v->prim == NET_max_pool_dx) /* blocks that begin with a window each */
        phases = most >= v->attr.window.sw ? v->attr.window.sw : 1;
    most = most > SIMD_ACC_MAX / vectors ? SIMD_ACC_MAX / vectors : most;
    if (width > most && phases <= SIMD_ACC_MAX / vectors)
        most = most < phases ? phases : most - most % phases;
    int pixels = width < most ? width : most;
    for (int p = pixels; p > pixels / 2; p--) /* no remainder, if that costs less than half the block */
        if (width % p == 0 && (p == width || p % phases == 0))
            return p;
    return pixels;
}
