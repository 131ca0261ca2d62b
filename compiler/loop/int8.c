/* What the lowerings of quantised primitives share: maps of bytes, bands of rows, tiles with padding around. */
#include "loop/int8.h"

#include <string.h>

enum { TILE_BYTES = 32 << 10 }; /* of a band's tile, where that many rows divide the map */

bool int8_is(enum net_prim prim)
{
    return prim >= NET_q_images && prim <= NET_q_logits;
}

int int8_lanes_at(int lanes, int channels, int c)
{
    while (lanes > channels - c)
        lanes /= 2;
    return lanes;
}

int int8_quads(const net_window *w, int c_in)
{
    return w->groups > 1 ? (w->kh + 3) / 4 * w->kw : w->kh * w->kw * ((c_in + 3) / 4);
}

int64_t int8_weights_at(int c_in)
{
    return INT8_FILL + (c_in + INT8_ALIGN - 1) / INT8_ALIGN * INT8_ALIGN;
}

view int8_map(simd *s, int node, enum loop_access access)
{
    const net_type *t = &s->n->nodes.at[node].type;
    bool stored = s->f->place[node] == PLACE_MEMORY;
    int64_t stride = stored ? s->layout->stride[node] : t->c, channel = stored ? s->layout->channel[node] : 0;
    view v = {.buffer = simd_arg(s, node, access), .row = t->w * stride, .column = stride};
    v.origin = loop_offset(loop_times(s->image, t->h * v.row), channel);
    return v;
}

int int8_row(simd *s, int rows, int row, int channels, loop_index c, int lanes)
{
    loop_index at = loop_offset(c, (int64_t)row * channels);
    return loop_load(&s->pen, DT_I32, lanes, simd_arg(s, rows, LOOP_IN), at);
}

/* ---- runs of bytes ----------------------------------------------------------------------------------------------- */

typedef struct byte_place {
    int buffer;
    loop_index at;
} byte_place;

/* Calls `f` for vectors of quads, then for single bytes (lanes 0), with the first byte's number. */
typedef void each_bytes(simd *s, loop_index at, int lanes, void *user);

static void for_bytes(simd *s, int64_t count, each_bytes *f, void *user)
{
    int64_t at = 0;
    for (int lanes = s->t->lanes; lanes >= 1; lanes /= 2) {
        int64_t whole = (count - at) / (4 * lanes);
        if (!whole)
            continue;
        loop_index i = simd_open(s, (int)at, (int)whole, 4 * lanes);
        f(s, i, lanes, user);
        simd_close(s, (int)whole);
        at += whole * 4 * lanes;
    }
    for (; at < count; at++)
        f(s, loop_at(at), 0, user);
}

typedef struct copying {
    byte_place to, from;
    int floor;
} copying;

static void copy_bytes(simd *s, loop_index at, int lanes, void *user)
{
    const copying *c = user;
    enum dtype type = lanes ? DT_QUAD : DT_I32;
    int width = lanes ? lanes : 1;
    int value = loop_load(&s->pen, type, width, c->from.buffer, loop_sum(c->from.at, at));
    if (c->floor >= 0)
        value = loop_math(&s->pen, LOOP_MAX, value, loop_bcast(&s->pen, type, width, c->floor, loop_at(0)), -1, -1);
    loop_store(&s->pen, c->to.buffer, loop_sum(c->to.at, at), value);
}

/* Each byte is made at least the floor's, the first of buffer `floor` (-1: none). */
static void copy_run(simd *s, byte_place to, byte_place from, int64_t count, int floor)
{
    copying c = {to, from, floor};
    for_bytes(s, count, copy_bytes, &c);
}

static void fill_bytes(simd *s, loop_index at, int lanes, void *user)
{
    const byte_place *to = user;
    int zero = loop_const(&s->pen, lanes ? DT_QUAD : DT_I32, lanes ? lanes : 1, 0);
    loop_store(&s->pen, to->buffer, loop_sum(to->at, at), zero);
}

/* With zeros. */
static void fill_run(simd *s, byte_place to, int64_t count)
{
    for_bytes(s, count, fill_bytes, &to);
}

/* ---- bands ------------------------------------------------------------------------------------------------------- */

int int8_open_band(simd *s, const net_node *v, int64_t row_bytes)
{
    int64_t most = s->o->scratch_most && s->o->scratch_most < TILE_BYTES ? s->o->scratch_most : TILE_BYTES;
    int h = v->type.h, rows = h;
    while (rows > 1 && (h % rows || rows * row_bytes > most))
        rows--;
    s->tiles = h / rows;
    s->out->unit_tiles = s->tiles;
    s->image =
        s->tiles == 1
            ? loop_plus(loop_at(0), s->unit, 1)
            : loop_plus(loop_at(0),
                        loop_int(&s->pen, LOOP_INT_DIV, loop_plus(loop_at(0), s->unit, 1), loop_at(0), s->tiles), 1);
    s->tile = loop_at(0);
    if (s->tiles > 1)
        s->tile = loop_plus(
            s->tile, loop_int(&s->pen, LOOP_INT_MOD, loop_plus(loop_at(0), s->unit, 1), loop_at(0), s->tiles), rows);
    return rows;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

typedef struct tiling {
    view from;
    int scratch, edge, floor; /* buffers; -1: none */
    const net_window *w;
    int h, x_w, c;     /* of x */
    int columns;       /* of the tile */
    int first, behind; /* columns that lie inside of x: [first, behind) */
} tiling;

/* Pixels [x, behind) of the tile's row at `row` become what lies beyond the edge. */
static void fill_pixels(simd *s, const tiling *t, loop_index row, int x, int behind)
{
    byte_place to = {t->scratch, loop_offset(row, (int64_t)x * t->c)};
    if (x >= behind)
        return;
    if (t->edge < 0) {
        fill_run(s, to, (int64_t)(behind - x) * t->c);
        return;
    }
    loop_index i = simd_open(s, 0, behind - x, 1);
    to.at = loop_sum(to.at, loop_times(i, t->c));
    copy_run(s, to, (byte_place){t->edge, loop_at(INT8_FILL)}, t->c, -1);
    simd_close(s, behind - x);
}

static void copy_pixels(simd *s, const tiling *t, loop_index row, loop_index y)
{
    int count = t->behind - t->first, x = t->first - t->w->left;
    byte_place to = {t->scratch, loop_offset(row, (int64_t)t->first * t->c)};
    byte_place from = {t->from.buffer, loop_sum(t->from.origin, loop_times(y, t->from.row))};
    from.at = loop_offset(from.at, x * t->from.column);
    fill_pixels(s, t, row, 0, t->first);
    if (int8_is_dense(&t->from, t->c)) {
        copy_run(s, to, from, (int64_t)count * t->c, t->floor);
    } else {
        loop_index i = simd_open(s, 0, count, 1);
        to.at = loop_sum(to.at, loop_times(i, t->c));
        from.at = loop_sum(from.at, loop_times(i, t->from.column));
        copy_run(s, to, from, t->c, t->floor);
        simd_close(s, count);
    }
    fill_pixels(s, t, row, t->behind, t->columns);
}

/* One row of the tile: row y of x, where there is one. `below`, `above`: it may lie before the first, after the last. */
static void tile_row(simd *s, const tiling *t, loop_index row, loop_index y, bool below, bool above)
{
    if (below)
        loop_if(&s->pen, loop_at(-1), y);
    if (above)
        loop_if(&s->pen, y, loop_at(t->h));
    copy_pixels(s, t, row, y);
    for (int i = 0; i < below + above; i++) {
        loop_else(&s->pen);
        fill_pixels(s, t, row, 0, t->columns);
        loop_end(&s->pen);
    }
}

int int8_edge(simd *s, int weights)
{
    lower_arg arg = {weights, LOOP_IN, 0};
    VEC_PUSH(s->a, &s->out->args, arg);
    return loop_arg(&s->pen, DT_U8, LOOP_IN);
}

static int clamp(int a, int lo, int hi)
{
    return a < lo ? lo : a > hi ? hi : a;
}

view int8_tile(simd *s, int x, const net_window *w, const net_type *result, int rows, loop_index first, int edge,
               bool floor)
{
    const net_type *t = &s->n->nodes.at[x].type;
    int high = (rows - 1) * w->sh + (w->kh - 1) * w->dh + 1, wide = (result->w - 1) * w->sw + (w->kw - 1) * w->dw + 1;
    tiling q = {.from = int8_map(s, x, LOOP_IN),
                .edge = edge,
                .floor = floor ? edge : -1,
                .w = w,
                .h = t->h,
                .x_w = t->w,
                .c = t->c,
                .columns = wide};
    q.first = clamp(w->left, 0, wide);
    q.behind = clamp(t->w + w->left, q.first, wide);
    int64_t row = (int64_t)wide * t->c, bytes = high * row;
    q.scratch = loop_scratch(&s->pen, DT_U8, bytes + 4);
    fill_run(s, (byte_place){q.scratch, loop_at(bytes)}, 4); /* the last pixel's quads reach there */
    loop_index r = simd_open(s, 0, high, 1);
    loop_index y = loop_offset(loop_sum(loop_times(first, w->sh), r), -w->top);
    tile_row(s, &q, loop_times(r, row), y, w->top > 0, (result->h - 1) * w->sh - w->top + (w->kh - 1) * w->dh >= t->h);
    simd_close(s, high);
    return (view){.buffer = q.scratch, .origin = loop_at(0), .row = row, .column = t->c};
}

/* ---- the door ---------------------------------------------------------------------------------------------------- */

void int8_lower(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    s->unit = loop_parallel(&s->pen);
    s->image = loop_plus(loop_at(0), s->unit, 1);
    s->tile = loop_at(0);
    s->smallest = s->tiles = 1;
    s->out->unit_images = s->out->unit_tiles = 1;
    switch (v->prim) {
    case NET_q_images:
        int8_images(s, root);
        break;
    case NET_q_logits:
        int8_logits(s, root);
        break;
    case NET_q_conv:
        (v->attr.window.groups > 1 ? int8_depthwise : int8_dense)(s, root);
        break;
    case NET_q_add:
        int8_add(s, root);
        break;
    case NET_q_max_pool:
        int8_max_pool(s, root);
        break;
    case NET_q_avg_pool:
        int8_avg_pool(s, root);
        break;
    default:
        int8_global_pool(s, root);
    }
    loop_end(&s->pen);
}
