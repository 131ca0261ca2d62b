/* A depthwise convolution's partial weight gradients. Some rows of g and the rows of x that their windows see stream
 * through shared memory, a few channels of them. A thread has one channel and one row of the window's taps, whose sums
 * it holds. Pixels come in the net's order; beyond the edge x is 0, as in the simd lowering. */
#include "loop/simt.h"

enum {
    CHANNELS = 8, /* of a block: a transaction of memory a pixel */
    COLUMNS = 4,  /* of g, at a time: a vector */
    TAPS_MOST = 7,
    ROWS_MOST = 8,
    SPAN_MOST = 64,
    FILLERS = 320,
    SHARED_LEFT = 1 << 10 /* bytes */
};

/* Rows of one tensor in shared memory, [row][channel][column], twice. */
typedef struct band {
    int rows, columns, pitch, buffer;
    int64_t part; /* elements of one of the two */
} band;

typedef struct taps_stream {
    const net_node *v;
    axes of;        /* of the window */
    int h, w;       /* of g */
    int rows, held; /* of g, a step; channels of a block */
    int columns;    /* of g, at a time */
    band g, x;
    loop_index image, ky, lane,
        c;            /* image: the chunk's first; lane, c: the thread's channel in the block, and in all */
    loop_index first; /* channel of the block */
    bool whole;       /* all blocks have all their channels */
    int acc[TAPS_MOST];
} taps_stream;

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* Columns of x that the windows of so many columns of g span. */
static int span(const taps_stream *q, int columns)
{
    return (columns - 1) * q->of.columns.stride + (q->of.columns.taps - 1) * q->of.columns.dilation + 1;
}

/* A multiple of a vector, but an odd one: channels side by side lie in different banks. */
static int pitch_of(int columns)
{
    int vectors = (columns + COLUMNS - 1) / COLUMNS;
    return COLUMNS * (vectors | 1);
}

static band band_of(const taps_stream *q, int rows, int columns)
{
    band b = {.rows = rows, .columns = columns, .pitch = pitch_of(columns)};
    b.part = (int64_t)b.rows * q->held * b.pitch;
    return b;
}

static void size_bands(taps_stream *q, int rows)
{
    int vectors = (span(q, q->columns) + q->columns - 1) / q->columns;
    int last = (q->w - q->columns) * q->of.columns.stride + vectors * q->columns;
    q->rows = rows;
    q->g = band_of(q, rows, q->w);
    q->x = band_of(q, (rows - 1) * q->of.rows.stride + (q->of.rows.taps - 1) * q->of.rows.dilation + 1, last);
}

/* False: no row of such maps fits. */
static bool find_rows(const simd *s, taps_stream *q)
{
    for (int rows = ROWS_MOST; rows > 0; rows--) {
        if (q->h % rows)
            continue;
        size_bands(q, rows);
        if (2 * (q->g.part + q->x.part) * 4 <= s->t->shared_bytes - SHARED_LEFT)
            return true;
    }
    return false;
}

static taps_stream stream_of(const simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_type *g = &s->n->nodes.at[v->operand[1]].type;
    taps_stream q = {.v = v, .of = simt_weight_axes(s, root), .h = g->h, .w = g->w};
    q.columns = g->w % COLUMNS ? 1 : COLUMNS;
    q.held = v->type.c < CHANNELS ? v->type.c : CHANNELS;
    q.whole = v->type.c % q.held == 0;
    return q;
}

bool simt_weights_stream(const simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_window *w = &v->attr.window;
    if (!net_is_depthwise(s->n, v) || w->kw > TAPS_MOST || w->kh > TAPS_MOST)
        return false;
    taps_stream q = stream_of(s, root);
    return span(&q, q.columns) <= SPAN_MOST - COLUMNS && find_rows(s, &q);
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

static loop_index element_of(const band *b, loop_index part, loop_index row, loop_index lane, loop_index column,
                             int held)
{
    loop_index e = loop_sum(loop_times(part, b->part), loop_times(row, (int64_t)held * b->pitch));
    return loop_sum(e, loop_sum(loop_times(lane, b->pitch), column));
}

/* One row of a band to shared memory: 0 where the operand has none. `down`: the band's rows as one of its axes. */
static void fill_element(simd *s, const taps_stream *q, const band *b, int operand, const axis *down, const spot *at,
                         loop_index to)
{
    int value = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1), inside = 0;
    if (!operand) /* of g all rows are there */
        simt_inside(s, down, at->rel, &inside);
    loop_math_to(&s->pen, value, LOOP_MOVE, simt_read(s, q->v->operand[operand], at), -1, -1, -1);
    simt_close(s, inside);
    loop_store(&s->pen, b->buffer, to, value);
}

/* Band `b` of a step whose first row of the operand is `top`: a thread has a channel of some columns, of which it takes
 * all rows. Columns outside of the operand, `before` to the left among them, stay the 0 that they are. */
static void fill_band(simd *s, const taps_stream *q, const band *b, int operand, loop_index top, int before,
                      loop_index part, loop_index turn, int turns)
{
    const net_type *t = &s->n->nodes.at[q->v->operand[operand]].type;
    int above = q->of.rows.before;
    axis down = {.taps = 1, .stride = 1, .dilation = 1, .before = above, .size = t->h, .out = above + t->h + b->rows};
    axis along = {.taps = 1, .stride = 1, .dilation = 1, .before = before, .size = t->w, .out = b->columns};
    loop_index lane = simt_variable(loop_for(&s->pen, turn, loop_at((int64_t)b->columns * q->held), turns));
    loop_index column = simt_split(s, &lane, q->held);
    spot at = {.x = loop_offset(column, -before), .c = loop_sum(q->first, lane), .lanes = 1, .ratio = 1};
    int known = s->channel_memo.count, inside = 0;
    simt_inside(s, &along, at.x, &inside);
    inside += q->whole ? 0 : simt_below(s, at.c, q->v->type.c, q->held);
    simt_load_rows(s, q->v->operand[operand], &at);
    loop_index row = simt_variable(loop_for(&s->pen, loop_at(0), loop_at(b->rows), 1));
    at.rel = loop_sum(top, row);
    fill_element(s, q, b, operand, &down, &at, element_of(b, part, row, lane, column, q->held));
    loop_end(&s->pen);
    s->channel_memo.count = known;
    simt_close(s, inside);
    loop_end(&s->pen);
}

/* All threads, before the first step: what no step fills is 0. */
static void clear_band(simd *s, const band *b, int thread, int threads)
{
    int e = loop_for(&s->pen, simt_variable(thread), loop_at(2 * b->part), threads);
    loop_store(&s->pen, b->buffer, simt_variable(e), loop_const(&s->pen, DT_F32, 1, 0));
    loop_end(&s->pen);
}

static void fill(simd *s, void *user, loop_index step, loop_index part, loop_index turn, int turns)
{
    taps_stream *q = user;
    loop_index block = step, image = simt_split(s, &block, q->h / q->rows);
    loop_index top = loop_times(block, q->rows);
    s->image = loop_sum(q->image, image);
    fill_band(s, q, &q->g, 1, top, 0, part, turn, turns);
    top = loop_offset(loop_times(top, q->of.rows.stride), -q->of.rows.before);
    fill_band(s, q, &q->x, 0, top, q->of.columns.before, part, turn, turns);
}

/* ---- using ------------------------------------------------------------------------------------------------------- */

/* Values [at, at + columns) of a band, each in a register of its own. */
static void load_columns(simd *s, const taps_stream *q, int buffer, loop_index at, int seen[])
{
    int vector = loop_load(&s->pen, DT_F32, q->columns, buffer, at);
    for (int i = 0; i < q->columns; i++)
        seen[i] = q->columns > 1 ? loop_lane(&s->pen, vector, i) : vector;
}

static void use(simd *s, void *user, loop_index step, loop_index part)
{
    taps_stream *q = user;
    (void)step;
    int g[COLUMNS] = {0}, x[SPAN_MOST] = {0}, wide = span(q, q->columns);
    loop_index row = simt_variable(loop_for(&s->pen, loop_at(0), loop_at(q->rows), 1));
    loop_index column = simd_open(s, 0, q->w / q->columns, q->columns);
    loop_index seen = loop_sum(loop_times(row, q->of.rows.stride), loop_times(q->ky, q->of.rows.dilation));
    load_columns(s, q, q->g.buffer, element_of(&q->g, part, row, q->lane, column, q->held), g);
    loop_index from = element_of(&q->x, part, seen, q->lane, loop_times(column, q->of.columns.stride), q->held);
    for (int i = 0; i < wide; i += q->columns)
        load_columns(s, q, q->x.buffer, loop_offset(from, i), &x[i]);
    for (int u = 0; u < q->columns; u++)
        for (int kx = 0; kx < q->of.columns.taps; kx++)
            simd_fma_to(s, q->acc[kx], x[u * q->of.columns.stride + kx * q->of.columns.dilation], g[u]);
    simd_close(s, q->w / q->columns);
    loop_end(&s->pen);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

static int open_kernel(simd *s, taps_stream *q, loop_index *chunk)
{
    int groups = (q->v->type.c + q->held - 1) / q->held, users = q->of.rows.taps * q->held;
    users = (users + 31) / 32 * 32; /* whole warps */
    q->g.buffer = loop_scratch(&s->pen, DT_F32, 2 * q->g.part);
    q->x.buffer = loop_scratch(&s->pen, DT_F32, 2 * q->x.part);
    s->unit = loop_parallel(&s->pen);
    int thread = loop_threads(&s->pen, users + FILLERS);
    s->tile = loop_at(0);
    loop_index group = simt_variable(s->unit);
    *chunk = simt_split(s, &group, groups);
    q->first = loop_times(group, q->held);
    q->image = loop_times(*chunk, q->v->type.chunked);
    q->lane = simt_variable(thread);
    q->ky = simt_split(s, &q->lane, q->held);
    /* threads that only make up a warp take part as the last row of taps, and store nothing */
    q->ky = simt_variable(loop_int(&s->pen, LOOP_INT_MIN, q->ky, loop_at(q->of.rows.taps - 1), 0));
    q->c = loop_sum(q->first, q->lane);
    for (int kx = 0; kx < q->of.columns.taps; kx++)
        q->acc[kx] = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1, -1, -1);
    s->out->unit_images = q->v->type.chunked;
    s->out->unit_tiles = groups;
    return thread;
}

static void store(simd *s, const taps_stream *q, int root, loop_index chunk, int thread)
{
    int64_t channels = q->v->type.c, row = q->of.columns.taps * channels;
    loop_if(&s->pen, simt_variable(thread), loop_at(q->of.rows.taps * q->held));
    int opened = 1 + (q->whole ? 0 : simt_below(s, q->c, (int)channels, q->held));
    loop_index to = loop_sum(loop_times(chunk, q->of.rows.taps * row), loop_sum(loop_times(q->ky, row), q->c));
    for (int kx = 0; kx < q->of.columns.taps; kx++)
        loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), loop_offset(to, kx * channels), q->acc[kx]);
    simt_close(s, opened);
}

void simt_weight_stream(simd *s, int root)
{
    taps_stream q = stream_of(s, root);
    loop_index chunk;
    CHECK(find_rows(s, &q));
    int thread = open_kernel(s, &q, &chunk), users = (q.of.rows.taps * q.held + 31) / 32 * 32;
    int end = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(q.image, q.v->type.chunked), simt_variable(0), 0);
    loop_index images = loop_sum(simt_variable(end), loop_times(q.image, -1));
    clear_band(s, &q.g, thread, users + FILLERS);
    clear_band(s, &q.x, thread, users + FILLERS);
    loop_barrier(&s->pen);
    stream all = {.thread = thread, .threads = users + FILLERS, .users = users, .fill = fill, .use = use};
    simt_stream(s, &all, loop_times(images, q.h / q.rows), &q);
    store(s, &q, root, chunk, thread);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
