/* Small tensors: what follows a reduction. Sums over chunks are taken in order, in float64. */
#include "loop/simt.h"

enum { BN_MEAN, BN_SCALE, BN_SHIFT, BN_RSTD, BN_VAR }; /* rows of bn_finish */
enum { COEF_A, COEF_B, COEF_D, COEF_MEAN, COEF_ROWS }; /* of bn_coef */

static int math(simd *s, enum loop_op op, int a, int b)
{
    return loop_math(&s->pen, op, a, b, -1, -1);
}

static int wide(simd *s, int lanes, double value)
{
    return loop_const(&s->pen, DT_F64, lanes, value);
}

/* The group's; sums that a norm adds up come before it. */
static int root_of(const simd *s)
{
    return s->g->roots.at[s->g->roots.count - 1];
}

static int operand(const simd *s, int k)
{
    return s->n->nodes.at[root_of(s)].operand[k];
}

static int in(simd *s, int k)
{
    return simd_arg(s, operand(s, k), LOOP_IN);
}

static int out(simd *s)
{
    return simd_arg(s, root_of(s), LOOP_OUT);
}

int simd_chunks(simd *s, int node)
{
    int images = s->n->nodes.at[node].type.chunked;
    return loop_int(&s->pen, LOOP_INT_DIV, loop_offset(loop_plus(loop_at(0), 0, 1), images - 1), loop_at(0), images);
}

int simd_fold_rows(simd *s, int buffer, int rows, int64_t width, loop_index c, int lanes)
{
    int acc = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    int r = loop_for(&s->pen, loop_at(0), loop_plus(loop_at(0), rows, 1), 1);
    int more = loop_load(&s->pen, DT_F64, lanes, buffer, loop_plus(c, r, width));
    loop_math_to(&s->pen, acc, LOOP_ADD, acc, more, -1, -1);
    loop_end(&s->pen);
    return acc;
}

static void store_narrow(simd *s, int buffer, loop_index at, int value)
{
    loop_store(&s->pen, buffer, at, loop_convert(&s->pen, DT_F32, value));
}

/* Vectors of float64 are half as many lanes. */
static int wide_lanes(const simd *s)
{
    return s->t->lanes > 1 ? s->t->lanes / 2 : 1;
}

/* Runs of channels for float64 work. */
static void each_channel(simd *s, int channels, void (*body)(simd *s, loop_index c, int lanes))
{
    int lanes = wide_lanes(s), whole = channels - channels % lanes;
    if (s->t->capability) {
        simt_each(s, channels, body);
        return;
    }
    s->unit = loop_parallel(&s->pen);
    if (whole) {
        loop_index c = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(whole), lanes), 1);
        body(s, c, lanes);
        loop_end(&s->pen);
    }
    if (whole < channels) {
        loop_index c = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(whole), loop_at(channels), 1), 1);
        body(s, c, 1);
        loop_end(&s->pen);
    }
    loop_end(&s->pen);
}

/* ---- batch norm -------------------------------------------------------------------------------------------------- */

/* Pixels that a statistic is over: n·h·w. */
static int pixel_count(simd *s, int lanes)
{
    const net_attr *a = &s->n->nodes.at[root_of(s)].attr;
    return loop_from_int(&s->pen, DT_F64, lanes, loop_plus(loop_at(0), 0, (int64_t)a->h * a->w));
}

/* Rows mean, scale, shift, rstd, var of a norm; gamma and beta are operands `affine` and the next, where there are
 * such. */
static void store_norm(simd *s, loop_index c, int lanes, int mean, int var, int affine)
{
    const net_node *v = &s->n->nodes.at[root_of(s)];
    int channels = v->type.c, to = out(s);
    int deviation = math(s, LOOP_SQRT, math(s, LOOP_ADD, var, wide(s, lanes, v->attr.eps)), -1);
    int rstd = math(s, LOOP_DIV, wide(s, lanes, 1), deviation), scale = rstd, shift = wide(s, lanes, 0);
    if (v->count > affine) {
        scale = math(s, LOOP_MUL, rstd, loop_load(&s->pen, DT_F64, lanes, in(s, affine), c));
        shift = loop_load(&s->pen, DT_F64, lanes, in(s, affine + 1), c);
    }
    const int rows[] = {[BN_MEAN] = mean, [BN_SCALE] = scale, [BN_SHIFT] = shift, [BN_RSTD] = rstd, [BN_VAR] = var};
    for (int r = 0; r < (int)COUNT(rows); r++)
        store_narrow(s, to, loop_offset(c, (int64_t)r * channels), rows[r]);
}

/* Rows of a norm's two sums, where they are not added up yet. */
static int rows_of_sums(simd *s)
{
    return s->totals ? -1 : simd_chunks(s, operand(s, 0));
}

static int total_of(simd *s, int k, int rows, loop_index c, int lanes)
{
    return s->totals ? s->totals[k] : simd_fold_rows(s, in(s, k), rows, s->n->nodes.at[operand(s, k)].type.c, c, lanes);
}

/* Σd and Σd² about the running mean: mean = running + Σd/N, var = Σd²/N - (Σd/N)². */
static void finish_norm(simd *s, loop_index c, int lanes)
{
    int rows = rows_of_sums(s), count = pixel_count(s, lanes);
    int shift = math(s, LOOP_DIV, total_of(s, 0, rows, c, lanes), count);
    int square = math(s, LOOP_DIV, total_of(s, 1, rows, c, lanes), count);
    int var = math(s, LOOP_SUB, square, math(s, LOOP_MUL, shift, shift));
    var = math(s, LOOP_MAX, var, wide(s, lanes, 0));
    int mean = math(s, LOOP_ADD, loop_load(&s->pen, DT_F64, lanes, in(s, 2), c), shift);
    store_norm(s, c, lanes, mean, var, 3);
}

/* So many rows of a matrix at once, that their sums need not wait for each other. */
static int rows_at_once(int rows)
{
    int many = 8;
    while (rows % many)
        many--;
    return many;
}

/* Runs of vectors of float64. */
static int wide_runs(const simd *s, int channels, channel_run run[8])
{
    int runs = simd_channel_runs(s, channels, 1, run);
    for (int r = 0; r < runs; r++) {
        int parts = run[r].lanes > wide_lanes(s) ? 2 : 1;
        run[r].lanes /= parts;
        run[r].count *= parts;
    }
    return runs;
}

/* Scratch with the totals of operand k's rows, in float64. */
static int all_totals(simd *s, int k)
{
    int64_t elements = net_elements(&s->n->nodes.at[operand(s, k)].type);
    int rows = simd_chunks(s, operand(s, k)), scratch = loop_scratch(&s->pen, DT_F64, elements);
    channel_run run[8];
    int runs = wide_runs(s, (int)elements, run);
    for (int r = 0; r < runs; r++) {
        loop_index e = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        loop_store(&s->pen, scratch, e, simd_fold_rows(s, in(s, k), rows, elements, e, run[r].lanes));
        simd_close(s, run[r].count);
    }
    return scratch;
}

/* mean = Σ w·Σx/N, var = wᵀ·Σx·xᵀ·w/N - mean². `gram`, `sum`: scratch. */
static void gram_norm(simd *s, int gram, int sum, loop_index c, int lanes)
{
    const net_type *w = &s->n->nodes.at[operand(s, 2)].type;
    int count = pixel_count(s, lanes), rows = rows_at_once(w->w), part[8];
    int mean = math(s, LOOP_MOVE, wide(s, lanes, 0), -1), square = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    loop_index i = simd_open(s, 0, w->w / rows, rows);
    for (int r = 0; r < rows; r++)
        part[r] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    int j = loop_for(&s->pen, loop_at(0), loop_at(w->w), 1);
    int weight = loop_load(&s->pen, DT_F64, lanes, in(s, 2), loop_plus(c, j, w->c));
    for (int r = 0; r < rows; r++) {
        loop_index e = loop_plus(loop_times(loop_offset(i, r), w->w), j, 1);
        simd_fma_to(s, part[r], loop_bcast(&s->pen, DT_F64, lanes, gram, e), weight);
    }
    loop_end(&s->pen);
    for (int r = 0; r < rows; r++) {
        loop_index row = loop_offset(i, r);
        weight = loop_load(&s->pen, DT_F64, lanes, in(s, 2), loop_sum(c, loop_times(row, w->c)));
        simd_fma_to(s, square, part[r], weight);
        simd_fma_to(s, mean, loop_bcast(&s->pen, DT_F64, lanes, sum, row), weight);
    }
    simd_close(s, w->w / rows);
    mean = math(s, LOOP_DIV, mean, count);
    int var = math(s, LOOP_SUB, math(s, LOOP_DIV, square, count), math(s, LOOP_MUL, mean, mean));
    store_norm(s, c, lanes, mean, math(s, LOOP_MAX, var, wide(s, lanes, 0)), 3);
}

/* Kernels of elements have no such norms. */
static void gram_norms(simd *s, int channels)
{
    CHECK(!s->t->capability);
    channel_run run[8];
    s->unit = loop_parallel(&s->pen);
    int gram = all_totals(s, 0), sum = all_totals(s, 1), runs = wide_runs(s, channels, run);
    for (int r = 0; r < runs; r++) {
        gram_norm(s, gram, sum, simd_open(s, run[r].lo, run[r].count, run[r].lanes), run[r].lanes);
        simd_close(s, run[r].count);
    }
    loop_end(&s->pen);
}

enum { EXACT_VECTORS = 8 }; /* at once, at most: a line or more of each pixel */

/* Σ over images and pixels of x (or of (x - mean)²), in float64, of `vectors` vectors of channels from c on. */
static void sum_pixels(simd *s, loop_index c, int lanes, int vectors, const int *mean, int sum[])
{
    int node = operand(s, 0), buffer = in(s, 0);
    const net_type *t = &s->n->nodes.at[node].type;
    spot at = {.lanes = lanes, .ratio = 1};
    for (int v = 0; v < vectors; v++)
        sum[v] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    s->image = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_plus(loop_at(0), 0, 1), 1), 1);
    s->tile = loop_at(0);
    at.rel = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(t->h), 1), 1);
    at.x = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(t->w), 1), 1);
    for (int v = 0; v < vectors; v++) {
        at.c = loop_offset(c, (int64_t)v * lanes);
        int x = loop_load(&s->pen, DT_F64, lanes, buffer, simd_element(s, node, &at));
        if (mean) {
            x = math(s, LOOP_SUB, x, mean[v]);
            x = math(s, LOOP_MUL, x, x);
        }
        loop_math_to(&s->pen, sum[v], LOOP_ADD, sum[v], x, -1, -1);
    }
    for (int i = 0; i < 3; i++)
        loop_end(&s->pen);
}

/* Two passes: exact where a norm sees few values, however close together they lie. */
static void exact_vectors(simd *s, loop_index c, int lanes, int vectors)
{
    int count = pixel_count(s, lanes), mean[EXACT_VECTORS], var[EXACT_VECTORS];
    sum_pixels(s, c, lanes, vectors, NULL, mean);
    for (int v = 0; v < vectors; v++)
        mean[v] = math(s, LOOP_DIV, mean[v], count);
    sum_pixels(s, c, lanes, vectors, mean, var);
    for (int v = 0; v < vectors; v++)
        store_norm(s, loop_offset(c, (int64_t)v * lanes), lanes, mean[v], math(s, LOOP_DIV, var[v], count), 2);
}

static void exact_norm(simd *s, loop_index c, int lanes)
{
    exact_vectors(s, c, lanes, 1);
}

/* Passes over all images take their time: a unit is some vectors of channels, where these leave none over. */
static void exact_norms(simd *s, int channels)
{
    int lanes = wide_lanes(s), vectors = s->t->registers >= 32 ? EXACT_VECTORS : EXACT_VECTORS / 2;
    while (vectors > 1 && channels % (vectors * lanes))
        vectors--;
    if (s->t->capability || channels % (vectors * lanes)) {
        each_channel(s, channels, exact_norm);
        return;
    }
    s->unit = loop_parallel(&s->pen);
    exact_vectors(s, loop_plus(loop_at(0), s->unit, (int64_t)vectors * lanes), lanes, vectors);
    loop_end(&s->pen);
    s->out->unit_tiles = channels / (vectors * lanes);
}

static void fixed_norm(simd *s, loop_index c, int lanes)
{
    int channels = s->n->nodes.at[root_of(s)].type.c;
    int mean = loop_load(&s->pen, DT_F64, lanes, in(s, 0), c);
    int var = loop_load(&s->pen, DT_F64, lanes, in(s, 0), loop_offset(c, channels));
    store_norm(s, c, lanes, mean, var, 1);
}

/* running + momentum · (batch - running), the batch's variance unbiased. */
static void move_norm(simd *s, loop_index c, int lanes)
{
    const net_node *v = &s->n->nodes.at[root_of(s)];
    int channels = v->type.c, count = pixel_count(s, lanes), one = wide(s, lanes, 1);
    int mean = loop_load(&s->pen, DT_F64, lanes, in(s, 1), loop_offset(c, (int64_t)BN_MEAN * channels));
    int var = loop_load(&s->pen, DT_F64, lanes, in(s, 1), loop_offset(c, (int64_t)BN_VAR * channels));
    var = math(s, LOOP_MUL, var, math(s, LOOP_DIV, count, math(s, LOOP_SUB, count, one)));
    const int batch[] = {mean, var};
    for (int r = 0; r < 2; r++) {
        loop_index at = loop_offset(c, (int64_t)r * channels);
        int old = loop_load(&s->pen, DT_F64, lanes, in(s, 0), at);
        int kept = math(s, LOOP_MUL, old, wide(s, lanes, 1 - v->attr.momentum));
        int moved = math(s, LOOP_ADD, kept, math(s, LOOP_MUL, batch[r], wide(s, lanes, v->attr.momentum)));
        store_narrow(s, out(s), at, moved);
    }
}

/* A candidate's weight, in float64; 1 where the node has no such operand. */
static int candidate_weight(simd *s, int k, int lanes)
{
    const net_node *v = &s->n->nodes.at[root_of(s)];
    if (v->count <= k)
        return wide(s, lanes, 1);
    int64_t element = (int64_t)v->attr.row * s->n->nodes.at[v->operand[k]].type.c + v->attr.pick[0];
    return loop_bcast(&s->pen, DT_F64, lanes, simd_arg_from(s, v->operand[k], element), loop_at(0));
}

/* dL/dx = scale·(g - Σg/N - x̂·Σg·x̂/N) as a·g + (b·(x - mean) + d). */
static void norm_coefficients(simd *s, loop_index c, int lanes)
{
    int channels = s->n->nodes.at[root_of(s)].type.c, rows = rows_of_sums(s), count = pixel_count(s, lanes),
        bn = in(s, 2);
    int sum = math(s, LOOP_DIV, total_of(s, 0, rows, c, lanes), count);
    int dot = math(s, LOOP_DIV, total_of(s, 1, rows, c, lanes), count);
    int scale = loop_load(&s->pen, DT_F64, lanes, bn, loop_offset(c, (int64_t)BN_SCALE * channels));
    int rstd = loop_load(&s->pen, DT_F64, lanes, bn, loop_offset(c, (int64_t)BN_RSTD * channels));
    int mean = loop_load(&s->pen, DT_F64, lanes, bn, loop_offset(c, (int64_t)BN_MEAN * channels));
    int a = math(s, LOOP_MUL, scale, candidate_weight(s, 3, lanes)), minus = math(s, LOOP_MUL, a, wide(s, lanes, -1));
    const int row[] = {a, math(s, LOOP_MUL, math(s, LOOP_MUL, minus, rstd), dot), math(s, LOOP_MUL, minus, sum), mean};
    for (int r = 0; r < (int)COUNT(row); r++)
        store_narrow(s, out(s), loop_offset(c, (int64_t)r * channels), row[r]);
}

static int spread(simd *s, enum dtype type, int lanes, int k, loop_index at)
{
    return loop_bcast(&s->pen, type, lanes, in(s, k), at);
}

/* Columns [column, column + lanes) of some rows of Σ_co w·b·w. */
static void add_products(simd *s, loop_index row, int rows, loop_index column, int lanes)
{
    const net_type *w = &s->n->nodes.at[operand(s, 0)].type;
    int acc[8];
    for (int r = 0; r < rows; r++)
        acc[r] = math(s, LOOP_MOVE, loop_const(&s->pen, DT_F32, lanes, 0), -1);
    int co = loop_for(&s->pen, loop_at(0), loop_at(w->w), 1);
    loop_index from = loop_plus(loop_at(0), co, w->c);
    int weight = loop_load(&s->pen, DT_F32, lanes, in(s, 0), loop_sum(from, column));
    weight = math(s, LOOP_MUL, weight, spread(s, DT_F32, lanes, 1, loop_plus(loop_at((int64_t)COEF_B * w->w), co, 1)));
    for (int r = 0; r < rows; r++)
        simd_fma_to(s, acc[r], spread(s, DT_F32, lanes, 0, loop_sum(from, loop_offset(row, r))), weight);
    loop_end(&s->pen);
    for (int r = 0; r < rows; r++)
        loop_store(&s->pen, out(s), loop_sum(loop_times(loop_offset(row, r), w->c), column), acc[r]);
}

static void product_alone(simd *s, loop_index at, int lanes)
{
    loop_index column = at, row = simt_split(s, &column, s->n->nodes.at[operand(s, 0)].type.c);
    add_products(s, row, 1, column, lanes);
}

static void gradient_weights(simd *s)
{
    int channels = s->n->nodes.at[operand(s, 0)].type.c, rows = rows_at_once(channels);
    if (s->t->capability) {
        simt_each(s, (int64_t)channels * channels, product_alone);
        return;
    }
    channel_run run[8];
    int runs = simd_channel_runs(s, channels, 1, run);
    s->unit = loop_parallel(&s->pen);
    for (int r = 0; r < runs; r++) {
        loop_index column = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        add_products(s, loop_plus(loop_at(0), s->unit, rows), rows, column, run[r].lanes);
        simd_close(s, run[r].count);
    }
    loop_end(&s->pen);
    s->out->unit_tiles = channels / rows;
}

/* Σ_co w·(d - b·mean) */
static void gradient_bias(simd *s, loop_index c, int lanes)
{
    const net_type *w = &s->n->nodes.at[operand(s, 0)].type;
    int acc = math(s, LOOP_MOVE, wide(s, lanes, 0), -1), row[COEF_ROWS];
    int co = loop_for(&s->pen, loop_at(0), loop_at(w->w), 1);
    for (int r = COEF_B; r <= COEF_MEAN; r++)
        row[r] = spread(s, DT_F64, lanes, 1, loop_plus(loop_at((int64_t)r * w->w), co, 1));
    int part = math(s, LOOP_SUB, row[COEF_D], math(s, LOOP_MUL, row[COEF_B], row[COEF_MEAN]));
    simd_fma_to(s, acc, part, loop_load(&s->pen, DT_F64, lanes, in(s, 0), loop_plus(c, co, w->c)));
    loop_end(&s->pen);
    store_narrow(s, out(s), c, acc);
}

/* ---- folds ------------------------------------------------------------------------------------------------------- */

static void fold_elements(simd *s, loop_index c, int lanes)
{
    const net_type *t = &s->n->nodes.at[operand(s, 0)].type;
    int sum = simd_fold_rows(s, in(s, 0), simd_chunks(s, operand(s, 0)), (int64_t)t->h * t->w * t->c, c, lanes);
    if (s->n->nodes.at[root_of(s)].count > 1)
        sum = math(s, LOOP_MUL, sum, candidate_weight(s, 1, lanes));
    store_narrow(s, out(s), c, sum);
}

/* One number an operand: Σ over chunks, then channels. */
static void total_channels(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    s->unit = loop_parallel(&s->pen);
    for (int k = 0; k < v->count; k++) {
        int rows = simd_chunks(s, v->operand[k]);
        int channels = s->n->nodes.at[v->operand[k]].type.c, acc = math(s, LOOP_MOVE, wide(s, 1, 0), -1);
        loop_index c = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(channels), 1), 1);
        int sum = simd_fold_rows(s, in(s, k), rows, channels, c, 1);
        loop_math_to(&s->pen, acc, LOOP_ADD, acc, sum, -1, -1);
        loop_end(&s->pen);
        store_narrow(s, out(s), loop_at(k), acc);
    }
    loop_end(&s->pen);
}

/* Pieces to their rows and columns; several for one place are added in the order of the operands. */
static void scatter_pieces(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    int rows = v->type.w, columns = v->type.c;
    s->unit = loop_parallel(&s->pen);
    simd_fill(s, out(s), loop_at(0), (int64_t)rows * columns, 0);
    for (int place = 0; place < rows * columns; place++) {
        int acc = -1;
        for (int k = 0, column = 0; k < v->count; k++)
            for (int j = 0; j < s->n->nodes.at[v->operand[k]].type.c; j++, column++) {
                if (v->attr.rows[k] != place / columns || v->attr.pick[column] != place % columns)
                    continue;
                int piece = loop_load(&s->pen, DT_F64, 1, in(s, k), loop_at(j));
                acc = acc < 0 ? piece : math(s, LOOP_ADD, acc, piece);
            }
        if (acc >= 0)
            store_narrow(s, out(s), loop_at(place), acc);
    }
    loop_end(&s->pen);
}

static void batch_mean(simd *s, loop_index c, int lanes)
{
    int channels = s->n->nodes.at[root_of(s)].type.c, acc = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    loop_index n = loop_plus(loop_at(0), 0, 1);
    int image = loop_for(&s->pen, loop_at(0), n, 1);
    int x = loop_load(&s->pen, DT_F64, lanes, in(s, 0), loop_plus(c, image, channels));
    loop_math_to(&s->pen, acc, LOOP_ADD, acc, x, -1, -1);
    loop_end(&s->pen);
    store_narrow(s, out(s), c, math(s, LOOP_DIV, acc, loop_from_int(&s->pen, DT_F64, lanes, n)));
}

enum {
    TURNED = SIMD_LINE,        /* channels each way of a block that is transposed at once */
    TURNED_AHEAD = 2 * TURNED, /* rows: of each but a line is read, which no processor foresees */
    SQUARE = 4                 /* channels each way of what registers turn */
};

/* A transpose of weights (ky, kx, ci, co) to (ky, kx, co, ci), at a tap; times a norm's scales of co, where they are given. */
typedef struct turning {
    const net_type *from;
    loop_index tap;
} turning;

static loop_index turned_from(const turning *q, loop_index ci, loop_index co)
{
    return loop_sum(loop_sum(q->tap, loop_times(ci, q->from->c)), co);
}

static loop_index turned_to(const turning *q, loop_index ci, loop_index co)
{
    return loop_sum(loop_sum(q->tap, loop_times(co, q->from->w)), ci);
}

/* Of channels from `co` on; -1: there are none. */
static int scale_of(simd *s, loop_index co, int lanes)
{
    const net_node *v = &s->n->nodes.at[root_of(s)];
    if (v->count == 1)
        return -1;
    return loop_load(&s->pen, DT_F32, lanes, in(s, 1), loop_offset(co, (int64_t)BN_SCALE * v->type.w));
}

static int scaled(simd *s, int x, int scale)
{
    return scale < 0 ? x : math(s, LOOP_MUL, x, scale);
}

/* Row `co` of the result, from input channel `ci` on: `many` elements. */
static void transpose_run(simd *s, const turning *q, loop_index ci, loop_index co, int many)
{
    int scale = scale_of(s, co, 1);
    for (int i = 0; i < many; i++) {
        int x = loop_load(&s->pen, DT_F32, 1, in(s, 0), turned_from(q, loop_offset(ci, i), co));
        loop_store(&s->pen, out(s), turned_to(q, loop_offset(ci, i), co), scaled(s, x, scale));
    }
}

static void transpose_square(simd *s, const turning *q, loop_index ci, loop_index co)
{
    int x[SQUARE], column[SQUARE], scale = scale_of(s, co, SQUARE);
    for (int i = 0; i < SQUARE; i++)
        x[i] = scaled(s, loop_load(&s->pen, DT_F32, SQUARE, in(s, 0), turned_from(q, loop_offset(ci, i), co)), scale);
    for (int i = 0; i < SQUARE; i++) {
        for (int k = 0; k < SQUARE; k++)
            column[k] = loop_part(&s->pen, x[k], i, SQUARE);
        loop_store(&s->pen, out(s), turned_to(q, ci, loop_offset(co, i)), loop_join_all(&s->pen, column, SQUARE));
    }
}

/* With columns from `co` on of a block: lines of other rows, one a column, that a later block will read. */
static void fetch_rows(simd *s, const turning *q, loop_index ci, loop_index co, loop_index first, int columns)
{
    loop_index row = loop_offset(loop_sum(loop_sum(ci, co), loop_times(first, -1)), TURNED_AHEAD);
    for (int i = 0; i < columns; i++)
        loop_prefetch(&s->pen, in(s, 0), turned_from(q, loop_offset(row, i), first));
}

/* (ky, kx, ci, co) → (ky, kx, co, ci). A unit is some output channels, which share the lines that they are read from; a GPU's
 * is one. */
static void transpose(simd *s)
{
    const net_type *t = &s->n->nodes.at[operand(s, 0)].type;
    int channels = s->t->capability ? 1 : TURNED, whole = t->w - t->w % channels;
    bool squares = !s->t->capability && s->t->lanes >= SQUARE && t->c % SQUARE == 0;
    s->unit = loop_parallel(&s->pen);
    loop_index first = loop_plus(loop_at(0), s->unit, channels);
    loop_index end =
        loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MIN, loop_offset(first, channels), loop_at(t->c), 0), 1);
    turning q = {.from = t};
    q.tap =
        loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at((int64_t)t->n * t->h), 1), (int64_t)t->w * t->c);
    for (int part = 0; part < 2; part++) {
        int lo = part ? whole : 0, hi = part ? t->w : whole;
        if (lo == hi)
            continue;
        int many = part ? 1 : channels, columns = squares && !part ? SQUARE : 1;
        loop_index ci = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(lo), loop_at(hi), many), 1);
        loop_index co = loop_plus(loop_at(0), loop_for(&s->pen, first, end, columns), 1);
        if (many > 1)
            fetch_rows(s, &q, ci, co, first, columns);
        for (int i = 0; i < many && columns > 1; i += SQUARE)
            transpose_square(s, &q, loop_offset(ci, i), co);
        if (columns == 1)
            transpose_run(s, &q, ci, co, many);
        loop_end(&s->pen);
        loop_end(&s->pen);
    }
    loop_end(&s->pen);
    loop_end(&s->pen);
    s->out->unit_tiles = (t->c + channels - 1) / channels;
}

/* ---- filters of libraries: (ky, kx, ci, co) as (co, ky, kx, ci) -------------------------------------------------- */

static void lay_out_filter(simd *s, loop_index at, int lanes)
{
    const net_type *t = &s->n->nodes.at[operand(s, 0)].type;
    loop_index row = at, co = simt_split(s, &row, (int64_t)t->n * t->h * t->w);
    int w = loop_load(&s->pen, DT_F32, lanes, in(s, 0), loop_sum(loop_times(row, t->c), co));
    loop_store(&s->pen, out(s), at, w);
}

static void lay_out_weights(simd *s, loop_index at, int lanes)
{
    const net_type *t = &s->n->nodes.at[operand(s, 0)].type;
    loop_index co = at, row = simt_split(s, &co, t->n);
    loop_index from = loop_sum(loop_times(co, (int64_t)t->h * t->w * t->c), row);
    int w = loop_load(&s->pen, DT_F64, lanes, in(s, 0), from);
    if (s->n->nodes.at[root_of(s)].count > 1)
        w = math(s, LOOP_MUL, w, candidate_weight(s, 1, lanes));
    store_narrow(s, out(s), at, w);
}

/* ---- flat vectors ------------------------------------------------------------------------------------------------ */

enum { NORM_LANES = 16 };

/* Σ x²: element i goes to virtual lane i mod 16 whatever the target's width; the lanes are folded by halves. */
static void sum_squares(simd *s)
{
    int64_t count = s->n->nodes.at[operand(s, 0)].type.c, whole = count - count % NORM_LANES;
    int lanes = wide_lanes(s), vectors = NORM_LANES / lanes, acc[NORM_LANES] = {0}, lane[NORM_LANES];
    s->unit = loop_parallel(&s->pen);
    for (int v = 0; v < vectors; v++)
        acc[v] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    if (whole) {
        int c = loop_for(&s->pen, loop_at(0), loop_at(whole), NORM_LANES);
        for (int v = 0; v < vectors; v++) {
            int x = loop_load(&s->pen, DT_F64, lanes, in(s, 0), loop_plus(loop_at((int64_t)v * lanes), c, 1));
            loop_math_to(&s->pen, acc[v], LOOP_ADD, acc[v], math(s, LOOP_MUL, x, x), -1, -1);
        }
        loop_end(&s->pen);
    }
    for (int i = 0; i < NORM_LANES; i++) {
        lane[i] = lanes > 1 ? loop_lane(&s->pen, acc[i / lanes], i % lanes) : acc[i];
        if (whole + i >= count)
            continue;
        int x = loop_load(&s->pen, DT_F64, 1, in(s, 0), loop_at(whole + i));
        lane[i] = math(s, LOOP_ADD, lane[i], math(s, LOOP_MUL, x, x));
    }
    for (int half = NORM_LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = math(s, LOOP_ADD, lane[i], lane[i + half]);
    store_narrow(s, out(s), loop_at(0), lane[0]);
    loop_end(&s->pen);
}

static void row_softmax(simd *s, int root)
{
    const net_type *t = &s->n->nodes.at[root].type;
    s->unit = loop_parallel(&s->pen);
    loop_index row = loop_plus(loop_at(0), s->unit, t->c);
    int most = math(s, LOOP_MOVE, loop_load(&s->pen, DT_F32, 1, in(s, 0), row), -1);
    int k = loop_for(&s->pen, loop_at(1), loop_at(t->c), 1);
    loop_math_to(&s->pen, most, LOOP_MAX, most, loop_load(&s->pen, DT_F32, 1, in(s, 0), loop_plus(row, k, 1)), -1, -1);
    loop_end(&s->pen);
    int sum = math(s, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1);
    k = loop_for(&s->pen, loop_at(0), loop_at(t->c), 1);
    int x = loop_load(&s->pen, DT_F32, 1, in(s, 0), loop_plus(row, k, 1));
    int e = math(s, LOOP_EXP, math(s, LOOP_SUB, x, most), -1);
    loop_store(&s->pen, out(s), loop_plus(row, k, 1), e);
    loop_math_to(&s->pen, sum, LOOP_ADD, sum, e, -1, -1);
    loop_end(&s->pen);
    k = loop_for(&s->pen, loop_at(0), loop_at(t->c), 1);
    int to = simd_arg(s, root, LOOP_INOUT);
    e = loop_load(&s->pen, DT_F32, 1, to, loop_plus(row, k, 1));
    loop_store(&s->pen, to, loop_plus(row, k, 1), math(s, LOOP_DIV, e, sum));
    loop_end(&s->pen);
    loop_end(&s->pen);
    s->out->unit_tiles = t->w;
}

/* p·(g - Σ g·p), row by row. */
static void row_softmax_dx(simd *s, int root)
{
    const net_type *t = &s->n->nodes.at[root].type;
    s->unit = loop_parallel(&s->pen);
    loop_index row = loop_plus(loop_at(0), s->unit, t->c);
    int dot = math(s, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1);
    for (int pass = 0; pass < 2; pass++) {
        int k = loop_for(&s->pen, loop_at(0), loop_at(t->c), 1);
        int p = loop_load(&s->pen, DT_F32, 1, in(s, 0), loop_plus(row, k, 1));
        int g = loop_load(&s->pen, DT_F32, 1, in(s, 1), loop_plus(row, k, 1));
        if (pass == 0)
            loop_math_to(&s->pen, dot, LOOP_ADD, dot, math(s, LOOP_MUL, p, g), -1, -1);
        else
            loop_store(&s->pen, out(s), loop_plus(row, k, 1), math(s, LOOP_MUL, p, math(s, LOOP_SUB, g, dot)));
        loop_end(&s->pen);
    }
    loop_end(&s->pen);
    s->out->unit_tiles = t->w;
}

/* One step of a row's sum: to += marks·exp(x - most). */
static void add_marked(simd *s, int sum, int x, int most, int mark)
{
    int e = math(s, LOOP_EXP, math(s, LOOP_SUB, x, most), -1);
    loop_math_to(&s->pen, sum, LOOP_ADD, sum, math(s, LOOP_MUL, mark, e), -1, -1);
}

/* b - marks·log(Σ marks·exp b / Σ marks·exp a), row by row. Both sums are taken about one value, the largest. */
static void row_rescale(simd *s, int root)
{
    const net_type *t = &s->n->nodes.at[root].type;
    s->unit = loop_parallel(&s->pen);
    loop_index row = loop_plus(loop_at(0), s->unit, t->c);
    int sum[2], most = math(s, LOOP_MOVE, loop_load(&s->pen, DT_F32, 1, in(s, 0), row), -1), x[3];
    for (int i = 0; i < 2; i++)
        sum[i] = math(s, LOOP_MOVE, loop_const(&s->pen, DT_F32, 1, 0), -1);
    for (int pass = 0; pass < 3; pass++) {
        int k = loop_for(&s->pen, loop_at(0), loop_at(t->c), 1);
        for (int i = 0; i < 3; i++)
            x[i] = loop_load(&s->pen, DT_F32, 1, in(s, i), loop_plus(row, k, 1));
        for (int i = 0; i < 2 && pass == 0; i++)
            loop_math_to(&s->pen, most, LOOP_MAX, most, x[i], -1, -1);
        for (int i = 0; i < 2 && pass == 1; i++)
            add_marked(s, sum[i], x[i], most, x[2]);
        if (pass == 2) {
            int shift = math(s, LOOP_LOG, math(s, LOOP_DIV, sum[1], sum[0]), -1);
            loop_store(&s->pen, out(s), loop_plus(row, k, 1), math(s, LOOP_SUB, x[1], math(s, LOOP_MUL, x[2], shift)));
        }
        loop_end(&s->pen);
    }
    loop_end(&s->pen);
    s->out->unit_tiles = t->w;
}

/* What follows a norm's sums. */
static void by_channel(simd *s, int root, void (*body)(simd *s, loop_index c, int lanes))
{
    if (simt_norms_rows(s, root))
        simt_norm_rows(s, root, body);
    else
        each_channel(s, s->n->nodes.at[root].type.c, body);
}

void simd_lower_vector(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    s->out->unit_images = 0;
    s->out->unit_tiles = 1;
    switch (v->prim) {
    case NET_bn_finish:
        by_channel(s, root, finish_norm);
        break;
    case NET_bn_gram:
        gram_norms(s, v->type.c);
        break;
    case NET_bn_dx_weights:
        gradient_weights(s);
        break;
    case NET_bn_dx_bias:
        each_channel(s, v->type.c, gradient_bias);
        break;
    case NET_bn_exact:
        exact_norms(s, v->type.c);
        break;
    case NET_bn_fixed:
        each_channel(s, v->type.c, fixed_norm);
        break;
    case NET_bn_move:
        each_channel(s, v->type.c, move_norm);
        break;
    case NET_bn_coef:
        by_channel(s, root, norm_coefficients);
        break;
    case NET_batch_mean:
        each_channel(s, v->type.c, batch_mean);
        break;
    case NET_fold:
        simd_each(s, net_elements(&s->n->nodes.at[operand(s, 0)].type), wide_lanes(s), fold_elements);
        break;
    case NET_channel_total:
        s->t->capability ? simt_total_channels(s, root) : total_channels(s, root);
        break;
    case NET_scatter_rows:
        scatter_pieces(s, root);
        break;
    case NET_transpose:
        transpose(s);
        break;
    case NET_linear_dw:
        simd_lower_linear_dw(s, root);
        break;
    case NET_filter:
        simd_each(s, net_elements(&v->type), 1, lay_out_filter);
        break;
    case NET_unfilter:
        simd_each(s, net_elements(&v->type), 1, lay_out_weights);
        break;
    case NET_norm2:
        s->t->capability ? simt_sum_squares(s, root) : sum_squares(s);
        break;
    case NET_row_softmax:
        row_softmax(s, root);
        break;
    case NET_row_softmax_dx:
        row_softmax_dx(s, root);
        break;
    case NET_row_rescale:
        row_rescale(s, root);
        break;
    default:
        BUG("the simd lowering has no rule for %s", net_prim_info[v->prim].name);
    }
}
