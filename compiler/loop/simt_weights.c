/* A dense convolution's partial weight gradients by tiles. Its weights are a matrix: a row a tap and channel of x, a
 * column a channel of g. A block of threads sums a tile of it over the pixels of a chunk: what a few of them need is
 * evaluated once and left in shared memory; a thread holds a few columns of one row. Pixels come in the net's order, and
 * beyond the edge x is 0, as in the simd lowering. */
#include "loop/simt.h"

enum {
    HELD = 4, /* columns that a thread holds */
    ROWS = 16,
    COLUMNS = 16,
    PIXELS = 32, /* at a time */
    THREADS = ROWS * COLUMNS / HELD,
    ROWS_LEAST = 4, /* of fewer most threads would be without work */
    COLUMNS_LEAST = 4
};

typedef struct weight_tile {
    const net_node *v;
    axis down, along; /* of the window */
    int inner, rows, columns;
    int h, w;                      /* of g */
    int thread, x, g;              /* its variable; shared memory, [pixel][row] and [pixel][column] */
    loop_index chunk, row, column; /* the first of the block */
    loop_index images, pixels;     /* of the chunk: its first image; how many pixels of g */
    loop_index my_row, my_column;  /* in the block, the first that the thread holds */
    int acc[HELD];
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

/* Where the block's chunk begins, and how many pixels it has in this run. */
static void find_pixels(simd *s, weight_tile *q)
{
    q->images = loop_times(q->chunk, s->n->chunk);
    int end = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(q->images, s->n->chunk), variable(0), 0);
    loop_index count = loop_sum(variable(end), loop_times(q->images, -1));
    q->pixels = loop_times(count, (int64_t)q->h * q->w);
}

static weight_tile open_tile(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_window *w = &v->attr.window;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type, *g = &s->n->nodes.at[v->operand[1]].type;
    weight_tile q = {.v = v,
                     .down = {w->kh, w->sh, w->dh, w->top, x->h, g->h, false},
                     .along = {w->kw, w->sw, w->dw, w->left, x->w, g->w, false},
                     .inner = x->c,
                     .rows = v->type.h * v->type.w,
                     .columns = v->type.c,
                     .h = g->h,
                     .w = g->w};
    int down = tiles_of(q.rows, ROWS), across = tiles_of(q.columns, COLUMNS);
    q.x = loop_scratch(&s->pen, DT_F32, PIXELS * ROWS);
    q.g = loop_scratch(&s->pen, DT_F32, PIXELS * COLUMNS);
    s->unit = loop_parallel(&s->pen);
    q.thread = loop_threads(&s->pen, THREADS);
    s->tile = loop_at(0);
    loop_index block = variable(s->unit), held = variable(q.thread);
    q.chunk = simt_split(s, &block, (int64_t)down * across);
    q.row = loop_times(simt_split(s, &block, across), ROWS);
    q.column = loop_times(block, COLUMNS);
    q.my_row = simt_split(s, &held, COLUMNS / HELD);
    q.my_column = loop_times(held, HELD);
    find_pixels(s, &q);
    for (int i = 0; i < HELD; i++)
        q.acc[i] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->out->unit_images = s->n->chunk;
    s->out->unit_tiles = down * across;
    return q;
}

/* A loop over a slab's elements, `width` a pixel, threads taking turns: an element's number, in *pixel the pixel's among
 * the chunk's, in *rest its place in the pixel. An IF is left open around those that are pixels of the chunk. */
static loop_index open_slab(simd *s, const weight_tile *q, int width, loop_index from, loop_index *pixel,
                            loop_index *rest)
{
    loop_index element = variable(loop_for(&s->pen, variable(q->thread), loop_at((int64_t)PIXELS * width), THREADS));
    *rest = element;
    *pixel = loop_sum(from, simt_split(s, rest, width));
    loop_if(&s->pen, *pixel, q->pixels);
    return element;
}

/* Pixel `pixel` of g, and its image. */
static spot spot_of(simd *s, const weight_tile *q, loop_index pixel, loop_index c)
{
    spot at = {.x = pixel, .c = c, .lanes = 1, .ratio = 1};
    s->image = loop_sum(q->images, simt_split(s, &at.x, (int64_t)q->h * q->w));
    at.rel = simt_split(s, &at.x, q->w);
    return at;
}

static void fill_g(simd *s, const weight_tile *q, loop_index from)
{
    loop_index pixel, column, element = open_slab(s, q, COLUMNS, from, &pixel, &column);
    int opened = simt_below(s, loop_sum(q->column, column), q->columns, COLUMNS);
    spot at = spot_of(s, q, pixel, loop_sum(q->column, column));
    loop_store(&s->pen, q->g, element, simd_read_apart(s, q->v->operand[1], &at));
    simt_close(s, opened + 1);
    loop_end(&s->pen);
}

static void fill_x(simd *s, const weight_tile *q, loop_index from)
{
    loop_index pixel, row, element = open_slab(s, q, ROWS, from, &pixel, &row);
    row = loop_sum(q->row, row);
    int opened = simt_below(s, row, q->rows, ROWS), inside = 0;
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    loop_index kx = simt_split(s, &row, q->inner), ky = simt_split(s, &kx, q->along.taps);
    spot at = spot_of(s, q, pixel, row);
    at.rel = simt_tap(s, &q->down, at.rel, ky, &inside);
    at.x = simt_tap(s, &q->along, at.x, kx, &inside);
    simt_inside(s, &q->down, at.rel, &inside);
    simt_inside(s, &q->along, at.x, &inside);
    loop_math_to(&s->pen, value, LOOP_MOVE, simd_read_apart(s, q->v->operand[0], &at), -1, -1, -1);
    simt_close(s, inside);
    loop_store(&s->pen, q->x, element, value);
    simt_close(s, opened + 1);
    loop_end(&s->pen);
}

/* IFs around what a thread does with weights of its own; how many. */
static int open_mine(simd *s, const weight_tile *q)
{
    return simt_below(s, loop_sum(q->row, q->my_row), q->rows, ROWS) +
           simt_below(s, loop_sum(q->column, q->my_column), q->columns, COLUMNS);
}

/* One around the column number i of the thread's. */
static int open_column(simd *s, const weight_tile *q, int i)
{
    loop_index column = loop_offset(loop_sum(q->column, q->my_column), i);
    return i ? simt_below(s, column, q->columns, HELD) : 0;
}

static void multiply(simd *s, const weight_tile *q, loop_index from)
{
    loop_index left = loop_sum(q->pixels, loop_times(from, -1));
    loop_index end = variable(loop_int(&s->pen, LOOP_INT_MIN, left, loop_at(PIXELS), 0));
    int opened = open_mine(s, q);
    loop_index pixel = variable(loop_for(&s->pen, loop_at(0), end, 1));
    int x = loop_load(&s->pen, DT_F32, 1, q->x, loop_sum(loop_times(pixel, ROWS), q->my_row));
    loop_index g = loop_sum(loop_times(pixel, COLUMNS), q->my_column);
    for (int i = 0; i < HELD; i++) {
        int inside = open_column(s, q, i);
        simd_fma_to(s, q->acc[i], x, loop_load(&s->pen, DT_F32, 1, q->g, loop_offset(g, i)));
        simt_close(s, inside);
    }
    loop_end(&s->pen);
    simt_close(s, opened);
}

static void store(simd *s, const weight_tile *q, int root)
{
    int out = simd_arg(s, root, LOOP_OUT), opened = open_mine(s, q);
    loop_index row = loop_sum(loop_times(q->chunk, q->rows), loop_sum(q->row, q->my_row));
    loop_index to = loop_sum(loop_times(row, q->columns), loop_sum(q->column, q->my_column));
    for (int i = 0; i < HELD; i++) {
        int inside = open_column(s, q, i);
        loop_store(&s->pen, out, loop_offset(to, i), q->acc[i]);
        simt_close(s, inside);
    }
    simt_close(s, opened);
}

void simt_weight_tile(simd *s, int root)
{
    weight_tile q = open_tile(s, root);
    loop_index from = variable(loop_for(&s->pen, loop_at(0), q.pixels, PIXELS));
    fill_x(s, &q, from);
    fill_g(s, &q, from);
    loop_barrier(&s->pen);
    multiply(s, &q, from);
    loop_barrier(&s->pen);
    loop_end(&s->pen);
    store(s, &q, root);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
