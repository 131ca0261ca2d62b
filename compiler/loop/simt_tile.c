/* Pointwise convolutions, forward and back, by tiles: a block of threads makes some pixels of some output channels. A
 * few input channels at a time, what it reads is evaluated once and left in shared memory beside the weights; a thread
 * holds four channels of four pixels, so that it computes sixteen products of two loads. Input channels come in their order,
 * so a sum is what it is by elements; what is not there is 0. Sums over rows of the map that come along find its rows whole
 * in the tile: what the threads have made they leave in shared memory, too, and then take a row of a channel each. */
#include "loop/simt.h"
#include "net/row_sums.h"

enum {
    HELD = 4,   /* pixels, and output channels, that a thread holds: a vector */
    INNER = 16, /* input channels at a time, at least */
    INNER_MOST = 64,
    CHANNELS = 16, /* of a block, at least */
    CHANNELS_MOST = 64,
    BLOCKS_FEW = 128, /* so few leave multiprocessors without work */
    THREADS_MOST = 512,
    THREADS_BUSY = 1 << 17, /* in all blocks: while there are fewer, more of them fill shared memory */
    PIXELS = 64,            /* of a block; of the fewest channels twice as many */
    PIXELS_LEAST = 16
};

typedef struct tile {
    const net_node *v;
    int inner, outer, map;     /* channels of the source and of the result; pixels of the map */
    int pixels, channels;      /* of the block */
    int rows;                  /* of the map, that the pixels are, where some are summed; else 0 */
    int threads, users;        /* all of them fill shared memory; the first multiply what is there */
    int together;              /* input channels at a time */
    bool flat;                 /* a pixel's number says where it lies */
    int thread, x, weights;    /* its variable; shared memory, [input channel][pixel], [input channel][channel] */
    loop_index first, first_c; /* of the tile: pixel and channel */
    loop_index first_row;
    loop_index pixel, c;  /* the thread's first, in the tile; the others are a quarter of it further each */
    int acc[HELD * HELD]; /* [pixel][channel] */
} tile;

bool simt_goes_by_tiles(const simd *s, int core)
{
    return core >= 0 && net_goes_by_tiles(s->n, core);
}

/* ---- the block --------------------------------------------------------------------------------------------------- */

/* Elements from an input channel's pixels to the next one's: a multiple of a vector, but no multiple of the banks. */
static int pitch(const tile *q)
{
    return q->pixels + HELD;
}

/* Elements from a pixel's results to the next one's: threads side by side leave theirs in different banks. */
static int result_pitch(const tile *q)
{
    return q->channels + q->channels / HELD;
}

/* As many input channels as keep all threads filling, and few of them for nothing: the fewer times all wait for memory. */
static int together_of(const tile *q)
{
    int together = INNER;
    for (int more = 2 * INNER; more <= INNER_MOST && more <= q->threads; more *= 2)
        if ((q->inner + more - 1) / more * more - q->inner <= q->inner / 8)
            together = more;
    return together;
}

static int64_t blocks_of(const simd *s, const tile *q)
{
    return (int64_t)s->layout->batch * simt_tiles(q->map, q->pixels) * simt_tiles(q->outer, q->channels);
}

/* Whole rows of the map, about as many pixels, where rows are summed. */
static void take_rows(const simd *s, tile *q, int core)
{
    int each = s->g->roots.count > 1 ? net_row_tile(s->n, core) : 0;
    if (each == 0)
        return;
    q->pixels = q->pixels > each ? q->pixels / each * each : each;
    q->rows = q->pixels / q->v->type.w;
}

/* Of shared memory: of what the block reads, where its results will lie, too. */
static int64_t source_elements(const tile *q)
{
    int64_t sources = (int64_t)q->together * pitch(q), results = q->rows ? (int64_t)q->pixels * result_pitch(q) : 0;
    return sources > results ? sources : results;
}

static int64_t weight_elements(const tile *q)
{
    return (int64_t)q->together * q->channels;
}

static tile tile_of(const simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    tile q = {.v = v, .inner = s->n->nodes.at[v->operand[0]].type.c, .outer = v->type.c};
    q.map = v->type.h * v->type.w;
    for (q.channels = CHANNELS; q.channels < q.outer && q.channels < CHANNELS_MOST;)
        q.channels *= 2;
    for (q.pixels = q.channels == CHANNELS ? 2 * PIXELS : PIXELS; q.pixels > PIXELS_LEAST && q.pixels / 2 >= q.map;)
        q.pixels /= 2;
    if (q.channels == CHANNELS_MOST && blocks_of(s, &q) < BLOCKS_FEW)
        q.channels /= 2;
    take_rows(s, &q, core);
    q.users = q.threads = q.pixels / HELD * (q.channels / HELD);
    while (2 * q.threads <= THREADS_MOST && 2 * q.threads * blocks_of(s, &q) <= THREADS_BUSY)
        q.threads *= 2;
    q.together = together_of(&q);
    while (q.together > INNER && 4 * (source_elements(&q) + weight_elements(&q)) > s->t->shared_bytes)
        q.together /= 2;
    q.flat = v->type.w > 1 && simt_is_flat(s, v->operand[0], &v->type);
    return q;
}

static void open_tile(simd *s, tile *q)
{
    int tiles = simt_tiles(q->map, q->pixels), blocks = simt_tiles(q->outer, q->channels);
    q->x = loop_scratch(&s->pen, DT_F32, source_elements(q));
    q->weights = loop_scratch(&s->pen, DT_F32, weight_elements(q));
    s->unit = loop_parallel(&s->pen);
    q->thread = loop_threads(&s->pen, q->threads);
    s->tile = loop_at(0);
    loop_index block = simt_variable(s->unit);
    s->image = simt_split(s, &block, (int64_t)tiles * blocks);
    loop_index number = simt_split(s, &block, blocks);
    q->first = loop_times(number, q->pixels);
    q->first_row = loop_times(number, q->rows);
    q->first_c = loop_times(block, q->channels);
    q->c = simt_variable(q->thread);
    q->pixel = simt_split(s, &q->c, q->channels / HELD);
    for (int i = 0; i < HELD * HELD; i++)
        q->acc[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->out->unit_images = 1;
    s->out->unit_tiles = tiles * blocks;
}

/* Pixel and channel number i of the thread's. */
static loop_index my_pixel(const tile *q, int i)
{
    return loop_offset(q->pixel, (int64_t)i * (q->pixels / HELD));
}

static loop_index my_channel(const tile *q, int i)
{
    return loop_offset(q->c, (int64_t)i * (q->channels / HELD));
}

static spot spot_of(simd *s, const tile *q, loop_index pixel, loop_index c)
{
    spot at = {.x = pixel, .c = c, .lanes = 1, .h = q->v->type.h, .w = q->v->type.w, .ratio = 1};
    if (!q->flat)
        at.rel = simt_split(s, &at.x, q->v->type.w);
    return at;
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

/* Where pixel number `pixel` of the tile stands among its channel's. */
static loop_index place_of(simd *s, const tile *q, loop_index pixel)
{
    loop_index held = simt_split(s, &pixel, q->pixels / HELD);
    return loop_sum(loop_times(pixel, HELD), held);
}

/* Threads fill by lines of as many as there are input channels; an IF around what those do that are left over. */
static int open_line(simd *s, const tile *q, loop_index line)
{
    if (q->threads % q->together == 0)
        return 0;
    loop_if(&s->pen, line, loop_at(q->threads / q->together));
    return 1;
}

/* Four pixels side by side, where the source is a depthwise convolution that exists in tiles alone. */
static void fill_quad(simd *s, const tile *q, loop_index number, loop_index channel, loop_index to)
{
    int node = q->v->operand[0], quad[SIMT_QUAD], value[SIMT_QUAD];
    loop_index first = loop_times(number, SIMT_QUAD), pixel = loop_sum(q->first, first);
    for (int u = 0; u < SIMT_QUAD; u++)
        value[u] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    int opened = simt_below(s, pixel, q->map, q->pixels) + simt_below(s, channel, q->inner, q->together);
    spot at = spot_of(s, q, pixel, channel);
    simt_quad(s, node, &at, quad);
    for (int u = 0; u < SIMT_QUAD; u++)
        loop_math_to(&s->pen, value[u], LOOP_MOVE, quad[u], -1, -1, -1);
    simt_close(s, opened);
    to = loop_sum(to, place_of(s, q, first)); /* the four are held by threads side by side */
    for (int u = 0; u < SIMT_QUAD; u++)
        loop_store(&s->pen, q->x, loop_offset(to, (int64_t)u * HELD), value[u]);
}

static void fill_quads(simd *s, const tile *q, loop_index from)
{
    loop_index k = simt_variable(q->thread), first = simt_split(s, &k, q->together);
    int lines = q->threads / q->together, mine = open_line(s, q, first);
    int number = loop_for(&s->pen, first, loop_at(q->pixels / SIMT_QUAD), lines < 1 ? 1 : lines);
    fill_quad(s, q, simt_variable(number), loop_sum(from, k), loop_times(k, pitch(q)));
    loop_end(&s->pen);
    simt_close(s, mine);
}

/* Input channels [from, from + together) of the tile's pixels, threads taking turns: each has one of the channels. Pixels
 * of one thread stand side by side. */
static void fill_pixels(simd *s, const tile *q, loop_index from)
{
    loop_index k = simt_variable(q->thread), first = simt_split(s, &k, q->together), channel = loop_sum(from, k);
    int node = q->v->operand[0], known = s->channel_memo.count, lines = q->threads / q->together;
    int mine = open_line(s, q, first), there = simt_below(s, channel, q->inner, q->together);
    simt_load_rows(s, node, &(spot){.c = channel, .lanes = 1, .ratio = 1});
    simt_close(s, there);
    if (there) /* the rows stand in a branch */
        s->channel_memo.count = known;
    loop_index place = simt_variable(loop_for(&s->pen, first, loop_at(q->pixels), lines < 1 ? 1 : lines)), held = place;
    loop_index pixel = simt_split(s, &held, HELD);
    pixel = loop_sum(q->first, loop_sum(pixel, loop_times(held, q->pixels / HELD)));
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    int opened = simt_below(s, pixel, q->map, q->pixels) + simt_below(s, channel, q->inner, q->together);
    spot at = spot_of(s, q, pixel, channel);
    loop_math_to(&s->pen, value, LOOP_MOVE, simt_read(s, node, &at), -1, -1, -1);
    simt_close(s, opened);
    loop_store(&s->pen, q->x, loop_sum(loop_times(k, pitch(q)), place), value);
    loop_end(&s->pen);
    simt_close(s, mine);
    s->channel_memo.count = known;
}

/* Their weights for the tile's channels; those of one thread stand side by side. */
static void fill_weights(simd *s, const tile *q, const filter *f, loop_index from)
{
    loop_index c = simt_variable(
        loop_for(&s->pen, simt_variable(q->thread), loop_at((int64_t)q->together * q->channels), q->threads));
    loop_index k = simt_split(s, &c, q->channels), mine = c;
    loop_index held = simt_split(s, &c, q->channels / HELD); /* which of the channels of thread c it is */
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    int opened = simt_below(s, loop_sum(from, k), q->inner, q->together);
    opened += simt_below(s, loop_sum(q->first_c, mine), q->outer, q->channels);
    loop_index weight = loop_sum(loop_sum(f->base, mine), loop_times(loop_sum(from, k), f->per_inner));
    loop_math_to(&s->pen, value, LOOP_MOVE, loop_load(&s->pen, DT_F32, 1, f->buffer, weight), -1, -1, -1);
    simt_close(s, opened);
    loop_index to = loop_sum(loop_times(k, q->channels), loop_sum(loop_times(c, HELD), held));
    loop_store(&s->pen, q->weights, to, value);
    loop_end(&s->pen);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

static void load_held(simd *s, int buffer, loop_index at, int value[HELD])
{
    int vector = loop_load(&s->pen, DT_F32, HELD, buffer, at);
    for (int i = 0; i < HELD; i++)
        value[i] = loop_lane(&s->pen, vector, i);
}

/* An IF around what only some threads do, if there are others. */
static int open_users(simd *s, const tile *q)
{
    if (q->users < q->threads)
        loop_if(&s->pen, simt_variable(q->thread), loop_at(q->users));
    return q->users < q->threads;
}

static void multiply(simd *s, const tile *q)
{
    int x[HELD], w[HELD];
    loop_index k = simd_open(s, 0, q->together, 1);
    load_held(s, q->x, loop_sum(loop_times(k, pitch(q)), loop_times(q->pixel, HELD)), x);
    load_held(s, q->weights, loop_sum(loop_times(k, q->channels), loop_times(q->c, HELD)), w);
    for (int p = 0; p < HELD; p++)
        for (int c = 0; c < HELD; c++)
            simd_fma_to(s, q->acc[p * HELD + c], x[p], w[c]);
    simd_close(s, q->together);
}

static void store(simd *s, const tile *q, int root, int core)
{
    for (int p = 0; p < HELD; p++) {
        loop_index pixel = loop_sum(q->first, my_pixel(q, p));
        int opened = simt_below(s, pixel, q->map, q->pixels);
        spot at = spot_of(s, q, pixel, q->c);
        at.rel = q->flat ? loop_at(0) : at.rel;
        for (int c = 0; c < HELD; c++) {
            at.c = loop_sum(q->first_c, my_channel(q, c));
            int inside = simt_below(s, at.c, q->outer, q->channels);
            int value = simt_store(s, root, core, q->acc[p * HELD + c], &at);
            if (q->rows)
                loop_store(&s->pen, q->x, loop_sum(loop_times(my_pixel(q, p), result_pitch(q)), my_channel(q, c)),
                           value);
            simt_close(s, inside);
        }
        simt_close(s, opened);
    }
}

/* ---- sums over rows ---------------------------------------------------------------------------------------------- */

/* Threads take turns at the rows of all channels, each of which is a sum of what stands in shared memory. */
static void sum_rows(simd *s, const tile *q, int root)
{
    loop_index c =
        simt_variable(loop_for(&s->pen, simt_variable(q->thread), loop_at((int64_t)q->rows * q->channels), q->threads));
    loop_index row = simt_split(s, &c, q->channels);
    made_row made = {.w = q->v->type.w, .scratch = q->x, .pitch = result_pitch(q)};
    made.first = loop_sum(c, loop_times(row, (int64_t)made.w * made.pitch));
    spot at = {
        .rel = loop_sum(q->first_row, row), .x = loop_at(0), .c = loop_sum(q->first_c, c), .lanes = 1, .ratio = 1};
    int opened = simt_below(s, at.rel, q->v->type.h, q->rows) + simt_below(s, at.c, q->outer, q->channels);
    simt_sum_row(s, root, &at, &made);
    simt_close(s, opened);
    loop_end(&s->pen);
}

void simt_lower_tile(simd *s, int root, int core)
{
    tile q = tile_of(s, core);
    q.flat = q.flat && simt_is_flat_root(s, root, &q.v->type);
    open_tile(s, &q);
    filter f = simd_filter(s, core, q.first_c, loop_at(0));
    int steps = simt_tiles(q.inner, q.together);
    loop_index from = simd_open(s, 0, steps, q.together);
    if (simt_has_quads(s, q.v->operand[0]))
        fill_quads(s, &q, from);
    else
        fill_pixels(s, &q, from);
    fill_weights(s, &q, &f, from);
    loop_barrier(&s->pen);
    int users = open_users(s, &q);
    multiply(s, &q);
    simt_close(s, users);
    if (steps > 1)
        loop_barrier(&s->pen);
    simd_close(s, steps);
    if (q.rows && steps == 1)
        loop_barrier(&s->pen);
    int mine = open_users(s, &q);
    store(s, &q, root, core);
    simt_close(s, mine);
    if (q.rows) {
        loop_barrier(&s->pen);
        sum_rows(s, &q, root);
    }
    loop_end(&s->pen);
    loop_end(&s->pen);
}
