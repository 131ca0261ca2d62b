/* A dense convolution's partial weight gradients by tiles. Its weights are a matrix: a row a tap and channel of x, a
 * column a channel of g. A block of threads sums a tile of it over the pixels of a chunk: what some of them need
 * streams through shared memory; a thread holds a few rows and columns. Pixels come in the net's order, and beyond the
 * edge x is 0, as in the simd lowering. */
#include "loop/simt.h"

enum {
    SIDE = 8, /* threads down and across a tile */
    USERS = SIDE * SIDE,
    FILLERS = 448,
    ROWS_LEAST = 4, /* of fewer most threads would be without work */
    COLUMNS_LEAST = 4,
    HELD_MOST = 4,
    PIXELS_FEW = 32,
    ELEMENTS = 2048, /* of shared memory, for a tile's rows at a time, and for its columns */
    UNROLLED = 4     /* pixels */
};

typedef struct weight_tile {
    const net_node *v;
    axes of; /* of the window */
    int inner, rows, columns;
    int h, w;                         /* of g */
    int held, side, pixels;           /* rows and columns of a thread, and of a tile; pixels a step */
    bool flat;                        /* pixels of all that is read lie one after the other, image after image */
    bool whole;                       /* every step has all its pixels */
    int thread, x, g;                 /* its variable; shared memory, [part][pixel][row] and [part][pixel][column] */
    loop_index chunk, row, column;    /* the first of the block */
    loop_index images, count;         /* of the chunk: its first image; how many pixels of g */
    loop_index my_row, my_column;     /* in the tile, the first that the thread holds */
    loop_index fill_row, fill_column; /* in the tile, those that it fills */
    loop_index ky, kx, ci;            /* what the former is */
    int acc[HELD_MOST * HELD_MOST];
} weight_tile;

static loop_index variable(int var)
{
    return loop_plus(loop_at(0), var, 1);
}

bool simt_weights_go_by_tiles(const simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    return v->attr.window.groups <= 1 && v->type.h * v->type.w >= ROWS_LEAST && v->type.c >= COLUMNS_LEAST;
}

static int tiles_of(int count, int each)
{
    return (count + each - 1) / each;
}

/* ---- the block --------------------------------------------------------------------------------------------------- */

static weight_tile tile_of(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_type *g = &s->n->nodes.at[v->operand[1]].type;
    weight_tile q = {.v = v,
                     .of = simt_weight_axes(s, root),
                     .inner = s->n->nodes.at[v->operand[0]].type.c,
                     .rows = v->type.h * v->type.w,
                     .columns = v->type.c,
                     .h = g->h,
                     .w = g->w};
    q.held = q.rows >= SIDE * HELD_MOST && q.columns >= SIDE * HELD_MOST ? HELD_MOST : HELD_MOST / 2;
    q.side = SIDE * q.held;
    for (q.pixels = ELEMENTS / q.side; q.pixels > PIXELS_FEW && q.h * q.w % q.pixels;)
        q.pixels /= 2;
    q.whole = q.h * q.w % q.pixels == 0;
    q.flat = q.w > 1 && net_is_pointwise(&v->attr.window) && simt_is_flat(s, v->operand[0], g) &&
             simt_is_flat(s, v->operand[1], g);
    return q;
}

/* Where the block's chunk begins, and how many pixels it has in this run. */
static void find_pixels(simd *s, weight_tile *q)
{
    q->images = loop_times(q->chunk, s->n->chunk);
    int end = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(q->images, s->n->chunk), variable(0), 0);
    loop_index count = loop_sum(variable(end), loop_times(q->images, -1));
    q->count = loop_times(count, (int64_t)q->h * q->w);
}

/* Which row and column the thread fills is the same in every step: as many threads fill as make whole lines. */
static void find_share(simd *s, weight_tile *q)
{
    loop_index lane = variable(q->thread);
    (void)simt_split(s, &lane, q->side);
    q->fill_row = q->fill_column = lane;
    q->ci = loop_sum(q->row, lane);
    q->kx = simt_split(s, &q->ci, q->inner);
    q->ky = simt_split(s, &q->kx, q->of.columns.taps);
}

static void open_tile(simd *s, weight_tile *q)
{
    int down = tiles_of(q->rows, q->side), across = tiles_of(q->columns, q->side);
    int64_t elements = 2 * (int64_t)q->pixels * q->side;
    q->x = loop_scratch(&s->pen, DT_F32, elements);
    q->g = loop_scratch(&s->pen, DT_F32, elements);
    s->unit = loop_parallel(&s->pen);
    q->thread = loop_threads(&s->pen, USERS + FILLERS);
    s->tile = loop_at(0);
    loop_index block = variable(s->unit), held = variable(q->thread);
    q->chunk = simt_split(s, &block, (int64_t)down * across);
    q->row = loop_times(simt_split(s, &block, across), q->side);
    q->column = loop_times(block, q->side);
    q->my_row = loop_times(simt_split(s, &held, SIDE), q->held);
    q->my_column = loop_times(held, q->held);
    find_pixels(s, q);
    find_share(s, q);
    for (int i = 0; i < q->held * q->held; i++)
        q->acc[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->out->unit_images = s->n->chunk;
    s->out->unit_tiles = down * across;
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

/* Pixel `pixel` of g, and its image. */
static spot spot_of(simd *s, const weight_tile *q, loop_index pixel, loop_index c)
{
    spot at = {.x = pixel, .c = c, .lanes = 1, .ratio = 1};
    s->image = q->images;
    if (q->flat)
        return at;
    s->image = loop_sum(q->images, simt_split(s, &at.x, (int64_t)q->h * q->w));
    at.rel = simt_split(s, &at.x, q->w);
    return at;
}

/* IFs around reading x where the thread's tap sees it. */
static int move_to_tap(simd *s, const weight_tile *q, spot *at)
{
    int inside = 0;
    if (q->flat)
        return 0;
    at->rel = simt_tap(s, &q->of.rows, at->rel, q->ky, &inside);
    at->x = simt_tap(s, &q->of.columns, at->x, q->kx, &inside);
    simt_inside(s, &q->of.rows, at->rel, &inside);
    simt_inside(s, &q->of.columns, at->x, &inside);
    return inside;
}

/* The thread's share of x (operand 0) or of g. */
static void fill_one(simd *s, const weight_tile *q, int operand, loop_index from, loop_index part, loop_index turn,
                     int turns)
{
    int node = q->v->operand[operand], known = s->channel_memo.count;
    int opened = operand ? simt_below(s, loop_sum(q->column, q->fill_column), q->columns, q->side)
                         : simt_below(s, loop_sum(q->row, q->fill_row), q->rows, q->side);
    loop_index c = operand ? loop_sum(q->column, q->fill_column) : q->ci;
    simt_load_rows(s, node, &(spot){.c = c, .lanes = 1, .ratio = 1});
    loop_index line = simt_split(s, &turn, q->side);
    loop_index pixel = variable(loop_for(&s->pen, line, loop_at(q->pixels), turns / q->side));
    int there = q->whole ? 0 : 1;
    if (there)
        loop_if(&s->pen, loop_sum(from, pixel), q->count);
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    spot at = spot_of(s, q, loop_sum(from, pixel), c);
    int inside = operand ? 0 : move_to_tap(s, q, &at);
    loop_math_to(&s->pen, value, LOOP_MOVE, simt_read(s, node, &at), -1, -1, -1);
    simt_close(s, inside);
    loop_index to = loop_sum(loop_times(part, (int64_t)q->pixels * q->side), loop_times(pixel, q->side));
    loop_store(&s->pen, operand ? q->g : q->x, loop_sum(to, operand ? q->fill_column : q->fill_row), value);
    simt_close(s, there);
    loop_end(&s->pen);
    simt_close(s, opened);
    s->channel_memo.count = known;
}

static void fill(simd *s, void *user, loop_index step, loop_index part, loop_index turn, int turns)
{
    const weight_tile *q = user;
    loop_index from = loop_times(step, q->pixels);
    fill_one(s, q, 0, from, part, turn, turns);
    fill_one(s, q, 1, from, part, turn, turns);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

/* IFs around what a thread does with weights of its own; how many. */
static int open_mine(simd *s, const weight_tile *q)
{
    return simt_below(s, loop_sum(q->row, q->my_row), q->rows, q->side) +
           simt_below(s, loop_sum(q->column, q->my_column), q->columns, q->side);
}

/* What a thread needs of one pixel: `held` values side by side. Beyond the matrix there is nothing. */
static void load_held(simd *s, const weight_tile *q, int buffer, loop_index at, loop_index first, int most, int value[])
{
    if (most % q->held == 0) {
        int vector = loop_load(&s->pen, DT_F32, q->held, buffer, at);
        for (int i = 0; i < q->held; i++)
            value[i] = loop_lane(&s->pen, vector, i);
        return;
    }
    for (int i = 0; i < q->held; i++) {
        value[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
        int inside = i ? simt_below(s, loop_offset(first, i), most, q->held) : 0;
        loop_math_to(&s->pen, value[i], LOOP_MOVE, loop_load(&s->pen, DT_F32, 1, buffer, loop_offset(at, i)), -1, -1,
                     -1);
        simt_close(s, inside);
    }
}

static void use_pixel(simd *s, const weight_tile *q, loop_index part, loop_index pixel)
{
    int x[HELD_MOST], g[HELD_MOST];
    loop_index at = loop_sum(loop_times(part, (int64_t)q->pixels * q->side), loop_times(pixel, q->side));
    load_held(s, q, q->x, loop_sum(at, q->my_row), loop_sum(q->row, q->my_row), q->rows, x);
    load_held(s, q, q->g, loop_sum(at, q->my_column), loop_sum(q->column, q->my_column), q->columns, g);
    for (int row = 0; row < q->held; row++)
        for (int column = 0; column < q->held; column++)
            simd_fma_to(s, q->acc[row * q->held + column], x[row], g[column]);
}

static void use(simd *s, void *user, loop_index step, loop_index part)
{
    const weight_tile *q = user;
    int opened = open_mine(s, q), together = q->whole ? UNROLLED : 1;
    loop_index end = loop_at(q->pixels), left = loop_sum(q->count, loop_times(step, -(int64_t)q->pixels));
    if (!q->whole)
        end = variable(loop_int(&s->pen, LOOP_INT_MIN, left, end, 0));
    loop_index pixel = variable(loop_for(&s->pen, loop_at(0), end, together));
    for (int p = 0; p < together; p++)
        use_pixel(s, q, part, loop_offset(pixel, p));
    loop_end(&s->pen);
    simt_close(s, opened);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

static void store(simd *s, const weight_tile *q, int root)
{
    int out = simd_arg(s, root, LOOP_OUT);
    loop_if(&s->pen, variable(q->thread), loop_at(USERS));
    int opened = 1 + open_mine(s, q);
    loop_index first = loop_sum(q->row, q->my_row), column = loop_sum(q->column, q->my_column);
    for (int r = 0; r < q->held; r++) {
        int in_row = r ? simt_below(s, loop_offset(first, r), q->rows, q->held) : 0;
        loop_index row = loop_sum(loop_times(q->chunk, q->rows), loop_offset(first, r));
        loop_index to = loop_sum(loop_times(row, q->columns), column);
        for (int c = 0; c < q->held; c++) {
            int inside = c ? simt_below(s, loop_offset(column, c), q->columns, q->held) : 0;
            loop_store(&s->pen, out, loop_offset(to, c), q->acc[r * q->held + c]);
            simt_close(s, inside);
        }
        simt_close(s, in_row);
    }
    simt_close(s, opened);
}

void simt_weight_tile(simd *s, int root)
{
    weight_tile q = tile_of(s, root);
    open_tile(s, &q);
    loop_index last = loop_offset(q.count, q.pixels - 1);
    loop_index steps = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_DIV, last, loop_at(0), q.pixels), 1);
    stream all = {.thread = q.thread, .threads = USERS + FILLERS, .users = USERS, .fill = fill, .use = use};
    simt_stream(s, &all, steps, &q);
    store(s, &q, root);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
