/* Pointwise convolutions, forward and back, by tiles: a block of threads makes some pixels of some output channels. What
 * it reads is evaluated once, a few input channels at a time, and left in shared memory, where every thread finds it; a
 * thread holds a few channels of one pixel. Input channels come in their order, so a sum is what it is by elements. */
#include "loop/simt.h"

enum {
    PIXELS = 64,
    HELD = 4,            /* output channels that a thread holds */
    CHANNELS = 4 * HELD, /* of a block */
    INNER = 16,          /* input channels at a time */
    ROW = INNER + 1,     /* of a pixel in shared memory: the pixels of a warp lie in different banks */
    THREADS = PIXELS * CHANNELS / HELD,
    PIXELS_LEAST = 16, /* maps of fewer would leave most threads without work */
    INNER_LEAST = 4
};

typedef struct tile {
    const net_node *v;
    int inner, outer, pixels; /* channels of the source and of the result; pixels of the map */
    int thread, shared;
    loop_index first; /* pixel of the tile */
    loop_index pixel; /* the thread's, in the tile */
    loop_index c;     /* the first channel that the thread holds */
    int acc[HELD];
} tile;

bool simt_goes_by_tiles(const simd *s, int core)
{
    const net_node *v = core >= 0 ? &s->n->nodes.at[core] : NULL;
    return v && (v->prim == NET_conv || v->prim == NET_conv_dx) && net_is_pointwise(&v->attr.window) &&
           v->type.h * v->type.w >= PIXELS_LEAST && s->n->nodes.at[v->operand[0]].type.c >= INNER_LEAST;
}

static loop_index variable(int var)
{
    return loop_plus(loop_at(0), var, 1);
}

static tile open_tile(simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    tile q = {.v = v, .inner = s->n->nodes.at[v->operand[0]].type.c, .outer = v->type.c};
    q.pixels = v->type.h * v->type.w;
    int tiles = (q.pixels + PIXELS - 1) / PIXELS, blocks = (q.outer + CHANNELS - 1) / CHANNELS;
    q.shared = loop_scratch(&s->pen, DT_F32, PIXELS * ROW);
    s->unit = loop_parallel(&s->pen);
    q.thread = loop_threads(&s->pen, THREADS);
    s->tile = loop_at(0);
    loop_index block = variable(s->unit), held = variable(q.thread);
    s->image = simt_split(s, &block, (int64_t)tiles * blocks);
    q.first = loop_times(simt_split(s, &block, blocks), PIXELS);
    q.pixel = simt_split(s, &held, CHANNELS / HELD);
    q.c = loop_sum(loop_times(block, CHANNELS), loop_times(held, HELD));
    for (int i = 0; i < HELD; i++)
        q.acc[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->out->unit_images = 1;
    s->out->unit_tiles = tiles * blocks;
    return q;
}

static spot spot_of(simd *s, const tile *q, loop_index pixel, loop_index c)
{
    spot at = {.x = pixel, .c = c, .lanes = 1, .h = q->v->type.h, .w = q->v->type.w, .ratio = 1};
    at.rel = simt_split(s, &at.x, q->v->type.w);
    return at;
}

/* Input channels [from, from + INNER) of the tile's pixels to shared memory, threads taking turns. */
static void fill(simd *s, const tile *q, loop_index from)
{
    loop_index channel = variable(loop_for(&s->pen, variable(q->thread), loop_at(PIXELS * INNER), THREADS));
    loop_index pixel = simt_split(s, &channel, INNER), whole = loop_sum(q->first, pixel);
    int opened = simt_below(s, whole, q->pixels, PIXELS);
    opened += simt_below(s, loop_sum(from, channel), q->inner, INNER);
    spot at = spot_of(s, q, whole, loop_sum(from, channel));
    int value = simd_read_apart(s, q->v->operand[0], &at);
    loop_store(&s->pen, q->shared, loop_sum(loop_times(pixel, ROW), channel), value);
    simt_close(s, opened);
    loop_end(&s->pen);
}

/* The same channels into the sums of the thread's pixel. */
static void multiply(simd *s, const tile *q, const filter *f, loop_index from)
{
    loop_index end = loop_at(q->inner < INNER ? q->inner : INNER);
    if (q->inner > INNER && q->inner % INNER)
        end = variable(loop_int(&s->pen, LOOP_INT_MIN, end, loop_offset(loop_times(from, -1), q->inner), 0));
    int opened = simt_below(s, loop_sum(q->first, q->pixel), q->pixels, PIXELS);
    opened += simt_below(s, q->c, q->outer, CHANNELS);
    loop_index k = variable(loop_for(&s->pen, loop_at(0), end, 1));
    int x = loop_load(&s->pen, DT_F32, 1, q->shared, loop_sum(loop_times(q->pixel, ROW), k));
    loop_index weight = loop_sum(f->base, loop_times(loop_sum(from, k), f->per_inner));
    for (int i = 0; i < HELD; i++) {
        int inside = i ? simt_below(s, loop_offset(q->c, i), q->outer, HELD) : 0;
        simd_fma_to(s, q->acc[i], x, loop_load(&s->pen, DT_F32, 1, f->buffer, loop_offset(weight, i)));
        simt_close(s, inside);
    }
    loop_end(&s->pen);
    simt_close(s, opened);
}

static void store(simd *s, const tile *q, int root, int core)
{
    int opened = simt_below(s, loop_sum(q->first, q->pixel), q->pixels, PIXELS);
    opened += simt_below(s, q->c, q->outer, CHANNELS);
    spot at = spot_of(s, q, loop_sum(q->first, q->pixel), q->c);
    for (int i = 0; i < HELD; i++) {
        int inside = i ? simt_below(s, loop_offset(q->c, i), q->outer, HELD) : 0;
        at.c = loop_offset(q->c, i);
        simt_store(s, root, core, q->acc[i], &at);
        simt_close(s, inside);
    }
    simt_close(s, opened);
}

void simt_lower_tile(simd *s, int root, int core)
{
    tile q = open_tile(s, core);
    filter f = simd_filter(s, core, q.c, loop_at(0));
    loop_index from = simd_open(s, 0, (q.inner + INNER - 1) / INNER, INNER);
    fill(s, &q, from);
    loop_barrier(&s->pen);
    multiply(s, &q, &f, from);
    loop_barrier(&s->pen);
    simd_close(s, (q.inner + INNER - 1) / INNER);
    store(s, &q, root, core);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
