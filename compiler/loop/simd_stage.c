/* Which stages a group needs, and how many rows of each.
 *
 * Stages are found by demand from the roots, so each follows what it reads. Rows are then inferred backwards: what a
 * window reads beyond its reader's share is that stage's halo. */
#include "loop/simd.h"

#include <math.h>
#include <string.h>

net_window simd_window_of(const simd *s, int node)
{
    net_window w = s->n->nodes.at[node].attr.window;
    if (s->n->nodes.at[node].prim == NET_pad)
        w.kh = w.kw = w.sh = w.sw = w.dh = w.dw = 1;
    return w;
}

/* ---- around a window --------------------------------------------------------------------------------------------- */

typedef struct halo {
    int lo, hi, left, right;
} halo;

/* What a window with `reader`'s rows reads of a source of h × w. */
static halo halo_forward(const net_window *v, const stage *reader, int h, int w)
{
    return (halo){reader->lo * v->sh + v->top,
                  (reader->h + reader->hi - 1) * v->sh - v->top + (v->kh - 1) * v->dh + 1 - h, v->left,
                  (reader->w - 1) * v->sw - v->left + (v->kw - 1) * v->dw + 1 - w};
}

/* The same where each pixel of the source went through the window: rows (y + top - ky·dh) / sh where that is whole. */
static halo halo_transposed(const net_window *v, const stage *reader, int h, int w)
{
    return (halo){(int)simd_floor_div(reader->lo + (v->kh - 1) * v->dh - v->top, v->sh),
                  (int)simd_floor_div(reader->h + reader->hi - 1 + v->top, v->sh) + 1 - h,
                  (int)simd_floor_div((v->kw - 1) * v->dw - v->left, v->sw),
                  (int)simd_floor_div(reader->w - 1 + v->left, v->sw) + 1 - w};
}

/* How a window reads its operand 0. */
typedef struct reading {
    double fill; /* beyond the edge */
    bool padded; /* needs neighbours or an edge */
    bool direct; /* reads at the reader's pixel, or leaves out what lies beyond the edge: no tile */
    int across;  /* the window itself, where it reads rows of taps that are folded already; -1 */
} reading;

/* Is a value's memory readable as it is, by windows without padding? */
static bool is_plain(const simd *s, int node)
{
    return s->f->place[node] == PLACE_MEMORY || s->f->place[node] == PLACE_LEAF;
}

/* A tile would be written and read once more, and a narrow map is mostly its edge. Where sums ride on the group, images
 * follow each other and tiles carry rows on: there it is cheap. */
bool simd_is_clipped(const simd *s, int core)
{
    enum { FEW_ROWS = 4 }; /* of a map: a norm under the window is evaluated once more for each row of taps */
    const net_node *v = &s->n->nodes.at[core];
    if (s->chunked || s->o->small || s->t->capability || v->prim != NET_conv || !net_is_depthwise(s->n, v) ||
        v->attr.window.kh * v->attr.window.kw == 1)
        return false;
    int x = v->operand[0];
    const net_node *map = &s->n->nodes.at[x];
    if (s->f->place[x] == PLACE_INLINE && (map->prim == NET_relu || map->prim == NET_relu6))
        x = map->operand[0];
    map = &s->n->nodes.at[x];
    if (s->f->place[x] == PLACE_INLINE && map->prim == NET_normalise && map->type.h <= FEW_ROWS)
        x = map->operand[0];
    return is_plain(s, x) && s->n->nodes.at[x].prim != NET_select;
}

/* The window in registers under the maps of a root, or -1. */
static int core_under(const simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    for (int k = 0; k < v->count; k++) {
        int x = v->operand[k];
        if (s->f->place[x] == PLACE_REGISTER)
            return x;
        int below = s->f->place[x] == PLACE_INLINE ? core_under(s, x) : -1;
        if (below >= 0)
            return below;
    }
    return -1;
}

bool simd_is_folded(const simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    bool pool = v->prim == NET_max_pool || v->prim == NET_sum_pool;
    return pool && !s->o->small && w->kw > 1 && w->kh > w->sh && core_under(s, core) < 0;
}

static reading reading_of(const simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type;
    int folded = simd_is_folded(s, core) ? core : -1;
    halo o;
    if (simd_is_clipped(s, core))
        return (reading){0, false, true, -1};
    switch (v->prim) {
    case NET_conv:
        return (reading){0, !(w->kh * w->kw == 1 && !w->top && !w->left && !w->bottom && !w->right), false, -1};
    case NET_conv_dx:
    case NET_sum_pool_dx:
        o = halo_transposed(w, &(stage){.h = v->type.h, .w = v->type.w}, x->h, x->w);
        return (reading){0, o.lo > 0 || o.hi > 0 || o.left > 0 || o.right > 0, false, -1};
    case NET_pad:
        return (reading){0, true, false, -1};
    case NET_sum_pool:
        return (reading){0, true, false, folded};
    case NET_max_pool:
        return (reading){-INFINITY, true, false, folded};
    case NET_max_pool_dx:
        return (reading){-INFINITY, true, false, -1};
    default: /* shuffle, channel_pad */
        return (reading){0, false, true, -1};
    }
}

stage *simd_stage_of(simd *s, int value, enum stage_kind kind)
{
    for (int i = 0; i < s->stages.count; i++)
        if (s->stages.at[i].kind == kind && s->stages.at[i].value == value)
            return &s->stages.at[i];
    return NULL;
}

static stage *tile_of(simd *s, int value, reading how)
{
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        if (g->kind == STAGE_TILE && g->value == value && g->fill == how.fill && g->across == how.across)
            return g;
    }
    return NULL;
}

static stage *add_stage(simd *s, enum stage_kind kind, int value, const net_type *t)
{
    stage g = {.kind = kind,
               .value = value,
               .core = -1,
               .across = -1,
               .made_by = -1,
               .h = t->h,
               .w = t->w,
               .c = t->c,
               .pixel = t->c};
    VEC_PUSH(s->a, &s->stages, g);
    return &s->stages.at[s->stages.count - 1];
}

/* ---- demand ------------------------------------------------------------------------------------------------------ */

static void need_read(simd *s, int node);

static void need_source(simd *s, int x, reading how)
{
    if (s->f->place[x] == PLACE_CHIP && how.fill == 0 && how.across < 0) {
        need_read(s, x);
        return;
    }
    if ((!how.padded && is_plain(s, x)) || tile_of(s, x, how))
        return;
    need_read(s, x);
    stage *g = add_stage(s, STAGE_TILE, x, &s->n->nodes.at[x].type);
    g->fill = how.fill;
    g->core = s->f->place[x] == PLACE_INLINE ? core_under(s, x) : -1;
    g->across = how.across;
    if (how.across >= 0)
        g->w = s->n->nodes.at[how.across].type.w;
}

/* The pool on chip under `node` whose maxima the gradient `dx` finds again, or -1. */
static int pool_under(const simd *s, int node, const net_node *dx)
{
    const net_node *v = &s->n->nodes.at[node];
    if (s->f->place[node] == PLACE_CHIP)
        return v->prim == NET_max_pool && v->operand[0] == dx->operand[0] &&
                       memcmp(&v->attr.window, &dx->attr.window, sizeof dx->attr.window) == 0
                   ? node
                   : -1;
    int found = -1;
    for (int k = 0; k < v->count && s->f->place[node] == PLACE_INLINE && found < 0; k++)
        found = pool_under(s, v->operand[k], dx);
    return found;
}

static void need_maxima(simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    int gradient = v->operand[1], pool = pool_under(s, gradient, v);
    s->at_hand = pool;
    need_read(s, gradient);
    s->at_hand = -1;
    stage *g = add_stage(s, STAGE_MAXIMA, core, &s->n->nodes.at[gradient].type);
    g->core = pool;
    g->pixel = 2 * g->c;
    g->fill = -1;
}

static void need_core(simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    reading how = reading_of(s, core);
    int before = s->at_hand; /* of the reader, at its pixel; not around it */
    s->at_hand = -1;
    if (how.direct)
        need_read(s, v->operand[0]);
    else
        need_source(s, v->operand[0], how);
    if (v->prim == NET_max_pool_dx && !simd_stage_of(s, core, STAGE_MAXIMA))
        need_maxima(s, core);
    s->at_hand = before;
}

/* Makes sure that `node` can be read at a pixel. */
static void need_read(simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    switch (s->f->place[node]) {
    case PLACE_CHIP:
        if (node == s->at_hand || simd_stage_of(s, node, STAGE_CHIP))
            return;
        need_core(s, node);
        add_stage(s, STAGE_CHIP, node, &v->type)->core = node;
        return;
    case PLACE_INLINE:
        for (int k = 0; k < v->count; k++)
            need_read(s, v->operand[k]);
        return;
    case PLACE_REGISTER:
        need_core(s, node);
        return;
    default:
        return;
    }
}

static void need_map_root(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    bool window = net_prim_info[v->prim].class == NET_WINDOW;
    int core = window ? root : core_under(s, root);
    if (window)
        need_core(s, root);
    for (int k = 0; k < v->count && !window; k++)
        need_read(s, v->operand[k]);
    stage *last = s->stages.count ? &s->stages.at[s->stages.count - 1] : NULL;
    bool joins = core < 0 && last && last->kind == STAGE_STORE && last->core < 0 && last->h == v->type.h &&
                 last->w == v->type.w && last->c == v->type.c;
    stage *g = joins ? last : add_stage(s, STAGE_STORE, root, &v->type);
    g->core = core;
    VEC_PUSH(s->a, &g->roots, root);
}

/* The stage that has window `core` in registers, or NULL. */
static stage *stage_over(simd *s, int core)
{
    for (int i = 0; i < s->stages.count; i++)
        if (s->stages.at[i].core == core)
            return &s->stages.at[i];
    return NULL;
}

/* A sum over a window in registers rides on its stage, if there is one yet; any other on the newest that stores something it
 * reads, else on a pass of its own. */
static void need_sum(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_type *t = &s->n->nodes.at[v->operand[0]].type;
    int core = core_under(s, root);
    if (core >= 0) {
        stage *over = stage_over(s, core);
        if (!over) {
            over = add_stage(s, STAGE_STORE, -1, t);
            over->core = core;
        }
        VEC_PUSH(s->a, &over->sums, root);
        return;
    }
    node_list reads = {0};
    fusion_reads(s->a, s->f, root, &reads);
    stage *rides = NULL;
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        if (g->kind != STAGE_STORE || g->h != t->h || g->w != t->w || g->c != t->c)
            continue;
        for (int r = 0; r < g->roots.count; r++)
            for (int k = 0; k < reads.count; k++)
                if (g->roots.at[r] == reads.at[k])
                    rides = g;
        if (g->roots.count == 0 && !rides)
            rides = g;
    }
    if (!rides)
        rides = add_stage(s, STAGE_STORE, -1, t);
    VEC_PUSH(s->a, &rides->sums, root);
}

/* How a conv_dw reads its operand k: x around a pixel, g at it. */
static reading weights_reading(const simd *s, int root, int k)
{
    const net_window *w = &s->n->nodes.at[root].attr.window;
    bool edges = w->top || w->left || w->bottom || w->right;
    return (reading){0, k == 0 && (w->kh * w->kw > 1 || edges), false, -1};
}

static void need_weights(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    need_source(s, v->operand[0], weights_reading(s, root, 0));
    need_source(s, v->operand[1], weights_reading(s, root, 1));
    add_stage(s, STAGE_WEIGHTS, root, &s->n->nodes.at[v->operand[1]].type);
}

/* Does root `other` sum the gradient by a depthwise convolution's weights that reads what a convolution on chip makes of
 * `gradient`? */
static bool is_partner(const simd *s, int other, int gradient)
{
    const net_node *v = &s->n->nodes.at[other];
    if (v->prim != NET_conv_dw || !net_is_depthwise(s->n, v) || v->attr.window.kh * v->attr.window.kw == 1)
        return false;
    const net_node *made = &s->n->nodes.at[v->operand[1]];
    return made->prim == NET_conv_dx && made->operand[0] == gradient && s->f->place[v->operand[1]] == PLACE_CHIP;
}

/* Of the gradient by a pointwise convolution's weights: that by the weights of the depthwise one before it. -1: there is
 * none. */
static int depthwise_partner(const simd *s, int root)
{
    int gradient = s->n->nodes.at[root].operand[1];
    for (int i = 0; i < s->g->roots.count; i++)
        if (is_partner(s, s->g->roots.at[i], gradient))
            return s->g->roots.at[i];
    return -1;
}

/* Sums over pixels come behind what can be made while they sum, or can make tiles that they read: a pointwise convolution's
 * behind its partner's, and behind all else where it has none. So do those over a window in registers: some root has it in a
 * tile. */
static bool goes_last(const simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    if (v->prim == NET_chan_sum)
        return core_under(s, root) >= 0;
    return v->prim == NET_conv_dw && net_is_pointwise(&v->attr.window) && depthwise_partner(s, root) < 0;
}

static void need_weights_with_partner(simd *s, int root)
{
    int partner = depthwise_partner(s, root);
    if (simd_stage_of(s, root, STAGE_WEIGHTS))
        return;
    if (partner >= 0 && !simd_stage_of(s, partner, STAGE_WEIGHTS))
        need_weights(s, partner);
    need_weights(s, root);
}

static void need_root(simd *s, int root)
{
    enum net_prim prim = s->n->nodes.at[root].prim;
    if (prim == NET_conv_dw)
        need_weights_with_partner(s, root);
    else if (net_prim_info[prim].class == NET_REDUCE)
        need_sum(s, root);
    else
        need_map_root(s, root);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

view simd_stage_view(const stage *g)
{
    int64_t row = simd_row_elements(g), columns = g->w + g->left + g->right;
    int together = g->split ? g->split : g->pixel, apart = g->pixel - together;
    return (view){.buffer = g->scratch,
                  .origin = loop_at(g->lo * row + (int64_t)g->left * together),
                  .rest = loop_at(g->lo * row + columns * together + (int64_t)g->left * apart),
                  .row = row,
                  .column = together,
                  .rest_column = apart,
                  .split = g->split};
}

/* The scratch that holds what is read so, or NULL: it is read where it lies in memory. */
static stage *scratch_stage(simd *s, int x, reading how)
{
    if (s->f->place[x] == PLACE_CHIP && how.fill == 0 && how.across < 0)
        return simd_stage_of(s, x, STAGE_CHIP);
    return !how.padded && is_plain(s, x) ? NULL : tile_of(s, x, how);
}

static view view_of(simd *s, int x, reading how)
{
    stage *g = scratch_stage(s, x, how);
    if (g)
        return simd_stage_view(g);
    const net_type *t = &s->n->nodes.at[x].type;
    int64_t stride = s->f->place[x] == PLACE_MEMORY ? s->layout->stride[x] : t->c;
    spot first = {.rel = loop_at(0), .x = loop_at(0), .c = loop_at(0), .lanes = 1, .ratio = t->h / s->smallest};
    return (view){.buffer = simd_arg(s, x, LOOP_IN),
                  .origin = simd_element(s, x, &first),
                  .row = t->w * stride,
                  .column = stride};
}

view simd_source(simd *s, int core)
{
    return view_of(s, s->n->nodes.at[core].operand[0], reading_of(s, core));
}

view simd_operand_view(simd *s, int node, int k)
{
    return view_of(s, s->n->nodes.at[node].operand[k], weights_reading(s, node, k));
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void widen(stage *g, halo o)
{
    g->lo = o.lo > g->lo ? o.lo : g->lo;
    g->hi = o.hi > g->hi ? o.hi : g->hi;
    g->left = o.left > g->left ? o.left : g->left;
    g->right = o.right > g->right ? o.right : g->right;
}

/* Values on chip that are read at the reader's own pixels. */
static void widen_chips(simd *s, int node, const stage *reader)
{
    if (node == reader->core)
        return;
    if (s->f->place[node] == PLACE_CHIP) {
        stage *g = simd_stage_of(s, node, STAGE_CHIP);
        widen(g, (halo){reader->lo, reader->hi, 0, 0});
    } else if (s->f->place[node] == PLACE_INLINE) {
        for (int k = 0; k < s->n->nodes.at[node].count; k++)
            widen_chips(s, s->n->nodes.at[node].operand[k], reader);
    }
}

static void infer_core(simd *s, int core, const stage *reader)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window w = simd_window_of(s, core);
    reading how = reading_of(s, core);
    stage *g = how.direct ? NULL : scratch_stage(s, v->operand[0], how);
    stage *maxima = v->prim == NET_max_pool_dx ? simd_stage_of(s, core, STAGE_MAXIMA) : NULL;
    bool transposed = v->prim == NET_conv_dx || v->prim == NET_sum_pool_dx;
    if (how.direct) {
        widen_chips(s, v->operand[0], reader);
    } else if (maxima) {
        if (reader->kind != STAGE_MAXIMA)
            widen(maxima, halo_transposed(&w, reader, maxima->h, maxima->w));
        else if (g)
            widen(g, halo_forward(&w, reader, v->type.h, v->type.w));
    } else if (g) {
        halo around = transposed ? halo_transposed(&w, reader, g->h, g->w) : halo_forward(&w, reader, g->h, g->w);
        if (how.across >= 0) /* columns are the reader's own */
            around.left = around.right = 0;
        if (s->chunked && net_is_pointwise(&w)) /* rows above have been read by the tile before */
            around.lo = 0;
        widen(g, around);
    }
    const net_type *x = &s->n->nodes.at[v->operand[0]].type;
    int coarse = maxima ? maxima->h : transposed ? x->h : v->type.h;
    s->whole |= coarse * w.sh != (transposed ? v->type.h : x->h);
}

static void infer_rows(simd *s)
{
    for (int i = s->stages.count - 1; i >= 0; i--) {
        stage *g = &s->stages.at[i];
        const net_node *v = g->value >= 0 ? &s->n->nodes.at[g->value] : NULL;
        if (g->kind == STAGE_MAXIMA) {
            infer_core(s, g->value, g);
            widen_chips(s, s->n->nodes.at[g->value].operand[1], g);
        } else if (g->core >= 0) {
            infer_core(s, g->core, g);
        }
        if (g->kind == STAGE_TILE)
            widen_chips(s, g->value, g);
        if (g->kind == STAGE_STORE)
            for (int r = 0; r < g->roots.count; r++)
                for (int k = 0; k < s->n->nodes.at[g->roots.at[r]].count && g->roots.at[r] != g->core; k++)
                    widen_chips(s, s->n->nodes.at[g->roots.at[r]].operand[k], g);
        if (g->kind == STAGE_WEIGHTS) {
            CHECK(v);
            const net_window *w = &v->attr.window;
            stage *x = scratch_stage(s, v->operand[0], weights_reading(s, g->value, 0));
            const net_type *t = &s->n->nodes.at[v->operand[0]].type;
            if (x)
                widen(x, halo_forward(w, g, t->h, t->w));
            s->whole |= t->h != g->h * w->sh;
        }
    }
}

/* ---- what a stage is ---------------------------------------------------------------------------------------------- */

int simd_own_rows(const simd *s, const stage *g)
{
    return s->tiles == 1 ? g->h : s->rows * g->ratio;
}

int simd_window_under(const stage *g)
{
    return g->kind == STAGE_WEIGHTS ? g->value : g->core;
}

bool simd_reads(const simd *s, const stage *g, int value)
{
    int window = simd_window_under(g);
    const net_node *v = window >= 0 ? &s->n->nodes.at[window] : NULL;
    return v && (v->operand[0] == value || (g->kind == STAGE_WEIGHTS && v->operand[1] == value));
}

bool simd_is_in_scratch(const stage *g)
{
    return g->kind == STAGE_TILE || g->kind == STAGE_CHIP || g->kind == STAGE_MAXIMA;
}

double simd_work_of(const simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    double taps = (double)w->kh * (simd_is_folded(s, core) ? 1 : w->kw);
    if (v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw)
        return taps * s->n->nodes.at[v->operand[0]].type.c / w->groups;
    return taps;
}

bool simd_carries(const simd *s)
{
    return (s->chunked || s->carried) && s->tiles > 1;
}

/* What sums read through windows comes first, so that they can ride on any stage. */
static void need_sum_reads(simd *s)
{
    for (int i = 0; i < s->g->roots.count; i++) {
        const net_node *v = &s->n->nodes.at[s->g->roots.at[i]];
        for (int k = 0; k < v->count && v->prim == NET_chan_sum; k++)
            need_read(s, v->operand[k]);
    }
}

void simd_plan(simd *s)
{
    for (int i = 0; i < s->g->roots.count; i++)
        s->chunked |= net_prim_info[s->n->nodes.at[s->g->roots.at[i]].prim].class == NET_REDUCE;
    need_sum_reads(s);
    for (int last = 0; last < 2; last++)
        for (int i = 0; i < s->g->roots.count; i++)
            if (goes_last(s, s->g->roots.at[i]) == last)
                need_root(s, s->g->roots.at[i]);
    s->smallest = s->stages.at[0].h;
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        int h = simd_row_phases(s, g->core) > 1 ? s->n->nodes.at[s->n->nodes.at[g->core].operand[0]].type.h : g->h;
        s->smallest = h < s->smallest ? h : s->smallest;
    }
    infer_rows(s);
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        g->ratio = g->h / s->smallest;
        g->map_h = g->h;
        g->map_w = g->w;
        s->whole |= g->h % s->smallest != 0;
    }
    if (!s->o->small && !s->o->rolled && !s->t->capability && s->t->lanes > 1) {
        simd_plan_splits(s);
        simd_plan_meanwhile(s);
    }
    if (s->layout->large)
        simd_plan_fetches(s);
    simd_plan_slices(s);
    simd_choose_rows(s);
    s->images_most = simd_images_of(s);
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        if (simd_is_in_scratch(g))
            g->scratch = loop_scratch(&s->pen, DT_F32, s->images_most * simd_scratch_elements(s, g, s->rows));
    }
    if (s->layout->large)
        simd_plan_streams(s);
}
