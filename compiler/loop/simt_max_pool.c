/* The gradient of a max pool. Each window's first maximum is found once, not again by each pixel that the window covers: a
 * block of threads has a band of rows, of a few channels, and leaves in shared memory which tap is the maximum of each
 * window that the band meets, and what gradient goes there. Then each pixel adds up what its windows say, row-major. */
#include "loop/simt.h"

enum {
    CHANNELS = 8, /* of a block: a transaction of memory a pixel */
    THREADS = 256,
    ROWS_MOST = 8,
    NOWHERE = -1,         /* the maximum of a window that is not there */
    SHARED_LEFT = 1 << 10 /* bytes */
};

typedef struct band {
    const net_node *v;
    axes of;           /* from pixels back to windows */
    int rows, held;    /* of pixels; channels */
    int before, count; /* rows of windows: the first of a band, counted from where it would be without taps; how many */
    int where, g;      /* shared memory, [row][column][channel] of windows */
    int thread;
    loop_index row, first; /* the band's first row of pixels; channel */
} band;

/* ---- the block --------------------------------------------------------------------------------------------------- */

static int64_t window_elements(const band *b)
{
    return (int64_t)b->count * b->of.columns.size * b->held;
}

static void size_band(band *b, int rows)
{
    const axis *q = &b->of.rows;
    b->rows = rows;
    b->before = (int)simd_floor_div(q->before - (q->taps - 1) * q->dilation, q->stride);
    b->count = (int)simd_floor_div(rows - 1 + q->before, q->stride) - b->before + 1;
}

/* False: no band of such maps fits. */
static bool find_band(const simd *s, int core, band *b)
{
    const net_node *v = &s->n->nodes.at[core];
    *b = (band){.v = v, .of = simt_axes(s, core), .held = v->type.c < CHANNELS ? v->type.c : CHANNELS};
    for (int rows = ROWS_MOST; rows > 1; rows--) {
        size_band(b, rows);
        if (v->type.h % rows == 0 && rows % b->of.rows.stride == 0 &&
            2 * window_elements(b) * 4 <= s->t->shared_bytes - SHARED_LEFT)
            return true;
    }
    return false;
}

bool simt_has_bands(const simd *s, int core)
{
    band b;
    return core >= 0 && s->n->nodes.at[core].prim == NET_max_pool_dx && find_band(s, core, &b);
}

static void open_band(simd *s, band *b)
{
    const net_type *t = &b->v->type;
    int bands = t->h / b->rows, groups = (t->c + b->held - 1) / b->held;
    b->where = loop_scratch(&s->pen, DT_F32, window_elements(b));
    b->g = loop_scratch(&s->pen, DT_F32, window_elements(b));
    s->unit = loop_parallel(&s->pen);
    b->thread = loop_threads(&s->pen, THREADS);
    s->tile = loop_at(0);
    loop_index group = simt_variable(s->unit);
    s->image = simt_split(s, &group, (int64_t)bands * groups);
    b->row = loop_times(simt_split(s, &group, groups), b->rows);
    b->first = loop_times(group, b->held);
    s->out->unit_images = 1;
    s->out->unit_tiles = bands * groups;
}

/* Element e of so many columns, as a spot of the block's channels whose first row is 0. */
static spot spot_of(simd *s, const band *b, int e, int columns, loop_index *lane)
{
    spot at = {.lanes = 1, .h = b->v->type.h, .w = b->v->type.w, .ratio = 1};
    *lane = simt_variable(e);
    at.x = simt_split(s, lane, b->held);
    at.rel = simt_split(s, &at.x, columns);
    at.c = loop_sum(b->first, *lane);
    return at;
}

/* ---- windows, then pixels ---------------------------------------------------------------------------------------- */

static int move(simd *s, double value)
{
    return loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, value), -1, -1, -1);
}

/* The band's first row of windows. Bands begin where a stride does. */
static loop_index first_window(simd *s, const band *b)
{
    loop_index row = b->row;
    return loop_offset(simt_split(s, &row, b->of.rows.stride), b->before);
}

static void find_maxima(simd *s, const band *b)
{
    loop_index lane, first = first_window(s, b);
    int e = loop_for(&s->pen, simt_variable(b->thread), loop_at(window_elements(b)), THREADS), opened = 2;
    spot at = spot_of(s, b, e, b->of.columns.size, &lane);
    int where = move(s, NOWHERE), g = move(s, 0);
    at.rel = loop_sum(first, at.rel);
    loop_if(&s->pen, loop_at(-1), at.rel);
    loop_if(&s->pen, at.rel, loop_at(b->of.rows.size));
    opened += simt_below(s, at.c, b->v->type.c, b->held);
    loop_math_to(&s->pen, where, LOOP_MOVE, simt_first_maximum(s, b->v, &at), -1, -1, -1);
    loop_math_to(&s->pen, g, LOOP_MOVE, simd_read_apart(s, b->v->operand[1], &at), -1, -1, -1);
    simt_close(s, opened);
    loop_store(&s->pen, b->where, simt_variable(e), where);
    loop_store(&s->pen, b->g, simt_variable(e), g);
    loop_end(&s->pen);
}

/* The gradients of the windows over a pixel whose maximum it is; `at` counts rows from the band's first. */
static int gather(simd *s, const band *b, const spot *at, loop_index lane)
{
    const axis *rows = &b->of.rows, *columns = &b->of.columns;
    int acc = move(s, rows->stride * columns->stride == 1 ? -0.0 : 0), seen = 0, in_row = 0, inside = 0;
    loop_index ky = loop_offset(loop_times(simd_open(s, 0, rows->taps, 1), -1), rows->taps - 1);
    loop_index row = loop_offset(simt_tap(s, rows, at->rel, ky, &in_row), -b->before);
    loop_index kx = loop_offset(loop_times(simd_open(s, 0, columns->taps, 1), -1), columns->taps - 1);
    loop_index column = simt_tap(s, columns, at->x, kx, &seen);
    int more = move(s, 0);
    simt_inside(s, columns, column, &inside);
    loop_index e = loop_sum(loop_times(loop_sum(loop_times(row, columns->size), column), b->held), lane);
    int here = loop_from_int(&s->pen, DT_F32, 1, loop_sum(loop_times(ky, columns->taps), kx));
    int where = loop_load(&s->pen, DT_F32, 1, b->where, e), g = loop_load(&s->pen, DT_F32, 1, b->g, e);
    loop_math_to(&s->pen, more, LOOP_SELECT_EQ, where, here, g, loop_const(&s->pen, DT_F32, 1, 0));
    simt_close(s, inside);
    loop_math_to(&s->pen, acc, LOOP_ADD, acc, more, -1, -1);
    simt_close(s, seen);
    simd_close(s, columns->taps);
    simt_close(s, in_row);
    simd_close(s, rows->taps);
    return acc;
}

static void store_pixels(simd *s, const band *b, int root, int core)
{
    const net_type *t = &b->v->type;
    loop_index lane;
    int e = loop_for(&s->pen, simt_variable(b->thread), loop_at((int64_t)b->rows * t->w * b->held), THREADS);
    spot at = spot_of(s, b, e, t->w, &lane);
    int opened = simt_below(s, at.c, t->c, b->held), acc = gather(s, b, &at, lane);
    at.rel = loop_sum(b->row, at.rel);
    simt_store(s, root, core, acc, &at);
    simt_close(s, opened);
    loop_end(&s->pen);
}

void simt_lower_bands(simd *s, int root, int core)
{
    band b;
    CHECK(find_band(s, core, &b));
    open_band(s, &b);
    find_maxima(s, &b);
    loop_barrier(&s->pen);
    store_pixels(s, &b, root, core);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
