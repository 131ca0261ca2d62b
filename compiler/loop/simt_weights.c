/* A dense convolution's partial weight gradients by tiles. Its weights are a matrix: a row a tap and channel of x, a
 * column a channel of g. A block of threads sums a tile of it over the pixels of a chunk: what some of them need
 * streams through shared memory; a thread holds a few rows and columns. Pixels come in the net's order, and beyond the
 * edge x is 0, as in the simd lowering. */
#include "loop/simt.h"

enum {
    SIDE = 8, /* threads down and across a tile */
    USERS = SIDE * SIDE,
    FILLERS = 704,
    ROWS_LEAST = 4, /* of fewer most threads would be without work */
    COLUMNS_LEAST = 4,
    HELD_MOST = 4,
    BLOCKS_MANY = 128,
    PIXELS_FEW = 32,
    ELEMENTS = 2048, /* of shared memory, for a tile's rows at a time, and for its columns */
    UNROLLED = 4     /* pixels */
};

typedef struct weight_tile {
    const net_node *v;
    axes of; /* of the window */
    int inner, rows, columns;
    int h, w;             /* of g */
    int held[2], side[2]; /* rows and columns of a thread, and of a tile */
    int pixels;           /* a step */
    bool flat[2];         /* pixels of all that is read of x, of g, lie one after the other, image after image */
    bool whole;           /* every step has all its pixels */
    int thread, x, g;     /* its variable; shared memory, [part][pixel][row] and [part][pixel][column] */
    loop_index chunk, row, column; /* the first of the block */
    loop_index images, count;      /* of the chunk: its first image; how many pixels of g */
    loop_index my_row, my_column;  /* in the tile, the first that the thread holds */
    loop_index fill[2];            /* in the tile, the row and the column that it fills */
    loop_index ky, kx, ci;         /* what the row is */
    int acc[HELD_MOST * HELD_MOST];
} weight_tile;

bool simt_weights_go_by_tiles(const simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    return v->attr.window.groups <= 1 && v->type.h * v->type.w >= ROWS_LEAST && v->type.c >= COLUMNS_LEAST;
}

/* ---- the block --------------------------------------------------------------------------------------------------- */

/* Blocks of a kernel by tiles of so many rows and columns. */
static int64_t blocks_of(const simd *s, const weight_tile *q, int rows, int columns)
{
    int chunks = simt_tiles(s->layout->batch, q->v->type.chunked);
    return (int64_t)simt_tiles(q->rows, rows) * simt_tiles(q->columns, columns) * chunks;
}

/* The more a thread holds, the fewer loads a product takes; the less, the more blocks there are, and the shorter is what
 * a thread does for each pixel. A column is read again for every tile of rows, and is the dearer of the two: it comes
 * through the gradient of a norm. */
static void choose_sides(const simd *s, weight_tile *q)
{
    bool large = q->rows >= SIDE * HELD_MOST && q->columns >= SIDE * HELD_MOST;
    bool many = blocks_of(s, q, SIDE * HELD_MOST, SIDE * HELD_MOST) >= BLOCKS_MANY;
    q->held[0] = large ? HELD_MOST : HELD_MOST / 2;
    many |= simt_has_quads(s, q->v->operand[0]); /* which would be computed again for each tile of columns */
    q->held[1] = large && many ? HELD_MOST : HELD_MOST / 2;
    for (int k = 0; k < 2; k++)
        q->side[k] = SIDE * q->held[k];
}

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
    choose_sides(s, &q);
    for (q.pixels = ELEMENTS / q.side[0]; q.pixels > PIXELS_FEW && q.h * q.w % q.pixels;)
        q.pixels /= 2;
    q.whole = q.h * q.w % q.pixels == 0;
    for (int k = 0; k < 2; k++)
        q.flat[k] = q.w > 1 && net_is_pointwise(&v->attr.window) && simt_is_flat(s, v->operand[k], g);
    return q;
}

/* Where the block's chunk begins, and how many pixels it has in this run. */
static void find_pixels(simd *s, weight_tile *q)
{
    q->images = loop_times(q->chunk, q->v->type.chunked);
    int end = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(q->images, q->v->type.chunked), simt_variable(0), 0);
    loop_index count = loop_sum(simt_variable(end), loop_times(q->images, -1));
    q->count = loop_times(count, (int64_t)q->h * q->w);
}

/* Which row and column the thread fills is the same in every step: as many threads fill as make whole lines. */
static void find_share(simd *s, weight_tile *q)
{
    for (int k = 0; k < 2; k++) {
        q->fill[k] = k && q->side[1] == q->side[0] ? q->fill[0] : simt_variable(q->thread);
        if (!k || q->side[1] != q->side[0])
            (void)simt_split(s, &q->fill[k], q->side[k]);
    }
    q->ci = loop_sum(q->row, q->fill[0]);
    q->kx = simt_split(s, &q->ci, q->inner);
    q->ky = simt_split(s, &q->kx, q->of.columns.taps);
}

static void open_tile(simd *s, weight_tile *q)
{
    int down = simt_tiles(q->rows, q->side[0]), across = simt_tiles(q->columns, q->side[1]);
    q->x = loop_scratch(&s->pen, DT_F32, 2 * (int64_t)q->pixels * q->side[0]);
    q->g = loop_scratch(&s->pen, DT_F32, 2 * (int64_t)q->pixels * q->side[1]);
    s->unit = loop_parallel(&s->pen);
    q->thread = loop_threads(&s->pen, USERS + FILLERS);
    s->tile = loop_at(0);
    loop_index block = simt_variable(s->unit), held = simt_variable(q->thread);
    q->chunk = simt_split(s, &block, (int64_t)down * across);
    q->row = loop_times(simt_split(s, &block, across), q->side[0]);
    q->column = loop_times(block, q->side[1]);
    q->my_row = loop_times(simt_split(s, &held, SIDE), q->held[0]);
    q->my_column = loop_times(held, q->held[1]);
    find_pixels(s, q);
    find_share(s, q);
    for (int i = 0; i < q->held[0] * q->held[1]; i++)
        q->acc[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->out->unit_images = q->v->type.chunked;
    s->out->unit_tiles = down * across;
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

/* Pixel `pixel` of g, and its image. */
static spot spot_of(simd *s, const weight_tile *q, int operand, loop_index pixel, loop_index c)
{
    spot at = {.x = pixel, .c = c, .lanes = 1, .ratio = 1};
    s->image = q->images;
    if (q->flat[operand])
        return at;
    s->image = loop_sum(q->images, simt_split(s, &at.x, (int64_t)q->h * q->w));
    at.rel = simt_split(s, &at.x, q->w);
    return at;
}

/* IFs around reading x where the thread's tap sees it. */
static int move_to_tap(simd *s, const weight_tile *q, spot *at)
{
    int inside = 0;
    if (q->flat[0])
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
    int side = q->side[operand];
    loop_index mine = loop_sum(operand ? q->column : q->row, q->fill[operand]), c = operand ? mine : q->ci;
    int opened = simt_below(s, mine, operand ? q->columns : q->rows, side);
    simt_load_rows(s, node, &(spot){.c = c, .lanes = 1, .ratio = 1});
    loop_index line = simt_split(s, &turn, side);
    loop_index pixel = simt_variable(loop_for(&s->pen, line, loop_at(q->pixels), turns / side));
    int there = q->whole ? 0 : 1;
    if (there)
        loop_if(&s->pen, loop_sum(from, pixel), q->count);
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    spot at = spot_of(s, q, operand, loop_sum(from, pixel), c);
    int inside = operand ? 0 : move_to_tap(s, q, &at);
    loop_math_to(&s->pen, value, LOOP_MOVE, simt_read(s, node, &at), -1, -1, -1);
    simt_close(s, inside);
    loop_index to = loop_sum(loop_times(part, (int64_t)q->pixels * side), loop_times(pixel, side));
    loop_store(&s->pen, operand ? q->g : q->x, loop_sum(to, q->fill[operand]), value);
    simt_close(s, there);
    loop_end(&s->pen);
    simt_close(s, opened);
    s->channel_memo.count = known;
}

/* Its share of an x that is a depthwise convolution and exists in tiles alone: four pixels at a time. */
static void fill_quads(simd *s, const weight_tile *q, loop_index from, loop_index part, loop_index turn, int turns)
{
    int quad[SIMT_QUAD], side = q->side[0];
    int opened = simt_below(s, loop_sum(q->row, q->fill[0]), q->rows, side);
    loop_index line = simt_split(s, &turn, side);
    int number = loop_for(&s->pen, line, loop_at(q->pixels / SIMT_QUAD), turns / side);
    loop_index pixel = loop_times(simt_variable(number), SIMT_QUAD);
    int there = q->whole ? 0 : 1;
    if (there)
        loop_if(&s->pen, loop_sum(from, pixel), q->count);
    spot at = spot_of(s, q, 0, loop_sum(from, pixel), q->ci);
    simt_quad(s, q->v->operand[0], &at, quad);
    loop_index to = loop_sum(loop_times(part, (int64_t)q->pixels * side), loop_times(pixel, side));
    for (int u = 0; u < SIMT_QUAD; u++)
        loop_store(&s->pen, q->x, loop_sum(loop_offset(to, (int64_t)u * side), q->fill[0]), quad[u]);
    simt_close(s, there);
    loop_end(&s->pen);
    simt_close(s, opened);
}

static void fill(simd *s, void *user, loop_index step, loop_index part, loop_index turn, int turns)
{
    const weight_tile *q = user;
    loop_index from = loop_times(step, q->pixels);
    if (simt_has_quads(s, q->v->operand[0]))
        fill_quads(s, q, from, part, turn, turns);
    else
        fill_one(s, q, 0, from, part, turn, turns);
    fill_one(s, q, 1, from, part, turn, turns);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

/* IFs around what a thread does with weights of its own; how many. */
static int open_mine(simd *s, const weight_tile *q)
{
    return simt_below(s, loop_sum(q->row, q->my_row), q->rows, q->side[0]) +
           simt_below(s, loop_sum(q->column, q->my_column), q->columns, q->side[1]);
}

/* What a thread needs of a pixel: values of x (operand 0) or g side by side. Beyond the matrix there is nothing. */
static void load_held(simd *s, const weight_tile *q, int operand, loop_index part, loop_index pixel, int value[])
{
    int held = q->held[operand], side = q->side[operand], buffer = operand ? q->g : q->x;
    int most = operand ? q->columns : q->rows;
    loop_index mine = operand ? q->my_column : q->my_row, first = loop_sum(operand ? q->column : q->row, mine);
    loop_index at = loop_sum(loop_times(part, (int64_t)q->pixels * side), loop_sum(loop_times(pixel, side), mine));
    if (most % held == 0) {
        int vector = loop_load(&s->pen, DT_F32, held, buffer, at);
        for (int i = 0; i < held; i++)
            value[i] = loop_lane(&s->pen, vector, i);
        return;
    }
    for (int i = 0; i < held; i++) {
        value[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
        int inside = i ? simt_below(s, loop_offset(first, i), most, held) : 0;
        int one = loop_load(&s->pen, DT_F32, 1, buffer, loop_offset(at, i));
        loop_math_to(&s->pen, value[i], LOOP_MOVE, one, -1, -1, -1);
        simt_close(s, inside);
    }
}

static void use_pixel(simd *s, const weight_tile *q, loop_index part, loop_index pixel)
{
    int x[HELD_MOST], g[HELD_MOST];
    load_held(s, q, 0, part, pixel, x);
    load_held(s, q, 1, part, pixel, g);
    for (int row = 0; row < q->held[0]; row++)
        for (int column = 0; column < q->held[1]; column++)
            simd_fma_to(s, q->acc[row * q->held[1] + column], x[row], g[column]);
}

static void use(simd *s, void *user, loop_index step, loop_index part)
{
    const weight_tile *q = user;
    int opened = open_mine(s, q), together = q->whole ? UNROLLED : 1;
    loop_index end = loop_at(q->pixels), left = loop_sum(q->count, loop_times(step, -(int64_t)q->pixels));
    if (!q->whole)
        end = simt_variable(loop_int(&s->pen, LOOP_INT_MIN, left, end, 0));
    loop_index pixel = simt_variable(loop_for(&s->pen, loop_at(0), end, together));
    for (int p = 0; p < together; p++)
        use_pixel(s, q, part, loop_offset(pixel, p));
    loop_end(&s->pen);
    simt_close(s, opened);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

static void store(simd *s, const weight_tile *q, int root)
{
    int out = simd_arg(s, root, LOOP_OUT);
    loop_if(&s->pen, simt_variable(q->thread), loop_at(USERS));
    int opened = 1 + open_mine(s, q);
    loop_index first = loop_sum(q->row, q->my_row), column = loop_sum(q->column, q->my_column);
    for (int r = 0; r < q->held[0]; r++) {
        int in_row = r ? simt_below(s, loop_offset(first, r), q->rows, q->held[0]) : 0;
        loop_index row = loop_sum(loop_times(q->chunk, q->rows), loop_offset(first, r));
        loop_index to = loop_sum(loop_times(row, q->columns), column);
        for (int c = 0; c < q->held[1]; c++) {
            int inside = c ? simt_below(s, loop_offset(column, c), q->columns, q->held[1]) : 0;
            loop_store(&s->pen, out, loop_offset(to, c), q->acc[r * q->held[1] + c]);
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
