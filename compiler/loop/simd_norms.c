/* Batch norms: the rows of their statistics, of their gradients' coefficients, and what these are to the convolution that a
 * norm stands behind. Sums over chunks are taken in order, in float64. */
#include "loop/simd_vector.h"

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

/* Totals of operand k's rows, all at once in scratch; -1: each is added up where it is read, by threads that share none. */
typedef struct totals {
    int k, scratch;
} totals;

static int read_total(simd *s, const totals *t, loop_index at, int lanes)
{
    const net_type *rows = &s->n->nodes.at[operand(s, t->k)].type;
    if (t->scratch >= 0)
        return loop_bcast(&s->pen, DT_F64, lanes, t->scratch, at);
    return simd_fold_rows(s, in(s, t->k), simd_chunks(s, operand(s, t->k)), net_elements(rows), at, lanes);
}

/* Likewise the pivots. */
static int all_pivots(simd *s, int k)
{
    int channels = s->n->nodes.at[operand(s, k)].type.c, scratch = loop_scratch(&s->pen, DT_F64, channels);
    channel_run run[8];
    int runs = wide_runs(s, channels, run);
    for (int r = 0; r < runs; r++) {
        loop_index c = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        int x = simd_first_pixel(s, operand(s, k), c, run[r].lanes);
        loop_store(&s->pen, scratch, c, loop_convert(&s->pen, DT_F64, x));
        simd_close(s, run[r].count);
    }
    return scratch;
}

static int read_pivot(simd *s, const totals *t, loop_index at, int lanes)
{
    if (t->scratch >= 0)
        return loop_bcast(&s->pen, DT_F64, lanes, t->scratch, at);
    return loop_convert(&s->pen, DT_F64, simd_first_pixel(s, operand(s, t->k), at, lanes));
}

/* mean = Σ w·(pivot + Σd/N), var = wᵀ·Σd·dᵀ·w/N - (Σ w·Σd/N)². */
static void gram_norm(simd *s, const totals *gram, const totals *sum, const totals *pivot, loop_index c, int lanes)
{
    const net_type *w = &s->n->nodes.at[operand(s, 3)].type;
    int count = pixel_count(s, lanes), rows = rows_at_once(w->w), part[8];
    int shift = math(s, LOOP_MOVE, wide(s, lanes, 0), -1), square = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    int mean = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    loop_index i = simd_open(s, 0, w->w / rows, rows);
    for (int r = 0; r < rows; r++)
        part[r] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    int j = loop_for(&s->pen, loop_at(0), loop_at(w->w), 1);
    int weight = loop_load(&s->pen, DT_F64, lanes, in(s, 3), loop_plus(c, j, w->c));
    for (int r = 0; r < rows; r++) {
        loop_index e = loop_plus(loop_times(loop_offset(i, r), w->w), j, 1);
        simd_fma_to(s, part[r], read_total(s, gram, e, lanes), weight);
    }
    loop_end(&s->pen);
    for (int r = 0; r < rows; r++) {
        loop_index row = loop_offset(i, r);
        weight = loop_load(&s->pen, DT_F64, lanes, in(s, 3), loop_sum(c, loop_times(row, w->c)));
        simd_fma_to(s, square, part[r], weight);
        simd_fma_to(s, shift, read_total(s, sum, row, lanes), weight);
        simd_fma_to(s, mean, read_pivot(s, pivot, row, lanes), weight);
    }
    simd_close(s, w->w / rows);
    shift = math(s, LOOP_DIV, shift, count);
    mean = math(s, LOOP_ADD, mean, shift);
    int var = math(s, LOOP_SUB, math(s, LOOP_DIV, square, count), math(s, LOOP_MUL, shift, shift));
    store_norm(s, c, lanes, mean, math(s, LOOP_MAX, var, wide(s, lanes, 0)), 4);
}

static void gram_norm_alone(simd *s, loop_index c, int lanes)
{
    gram_norm(s, &(totals){0, -1}, &(totals){1, -1}, &(totals){2, -1}, c, lanes);
}

static void gram_norms(simd *s, int channels)
{
    if (s->t->capability) {
        simt_each(s, channels, gram_norm_alone);
        return;
    }
    channel_run run[8];
    s->unit = loop_parallel(&s->pen);
    totals gram = {0, all_totals(s, 0)}, sum = {1, all_totals(s, 1)}, pivot = {2, all_pivots(s, 2)};
    int runs = wide_runs(s, channels, run);
    for (int r = 0; r < runs; r++) {
        gram_norm(s, &gram, &sum, &pivot, simd_open(s, run[r].lo, run[r].count, run[r].lanes), run[r].lanes);
        simd_close(s, run[r].count);
    }
    loop_end(&s->pen);
}

enum {
    EXACT_VECTORS = 8, /* at once, at most: a line or more of each pixel */
    EXACT_AHEAD = 16   /* pixels: of each but some lines are read, which no processor foresees */
};

/* Σd and Σd² over images and pixels, d = x - pivot, in float64, of `vectors` vectors of channels from c on. */
static void sum_pixels(simd *s, loop_index c, int lanes, int vectors, const int pivot[], int sum[], int square[])
{
    int node = operand(s, 0), buffer = in(s, 0);
    const net_type *t = &s->n->nodes.at[node].type;
    spot at = {.lanes = lanes, .ratio = 1};
    for (int v = 0; v < vectors; v++) {
        sum[v] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
        square[v] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    }
    s->image = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_plus(loop_at(0), 0, 1), 1), 1);
    s->tile = loop_at(0);
    at.rel = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(t->h), 1), 1);
    at.x = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(t->w), 1), 1);
    at.c = c;
    for (int line = 0; line < vectors * lanes / SIMD_LINE; line++)
        loop_prefetch(&s->pen, buffer, loop_offset(simd_element(s, node, &at), EXACT_AHEAD * t->c + line * SIMD_LINE));
    for (int v = 0; v < vectors; v++) {
        at.c = loop_offset(c, (int64_t)v * lanes);
        int x = loop_load(&s->pen, DT_F64, lanes, buffer, simd_element(s, node, &at));
        int d = math(s, LOOP_SUB, x, pivot[v]);
        loop_math_to(&s->pen, sum[v], LOOP_ADD, sum[v], d, -1, -1);
        simd_fma_to(s, square[v], d, d);
    }
    for (int i = 0; i < 3; i++)
        loop_end(&s->pen);
}

/* About the first value, of which every other one differs exactly: right where a norm sees few values, however close
 * together they lie. */
static void exact_vectors(simd *s, loop_index c, int lanes, int vectors)
{
    int count = pixel_count(s, lanes), pivot[EXACT_VECTORS], sum[EXACT_VECTORS], square[EXACT_VECTORS];
    s->image = s->tile = loop_at(0);
    for (int v = 0; v < vectors; v++) {
        spot first = {
            .rel = loop_at(0), .x = loop_at(0), .c = loop_offset(c, (int64_t)v * lanes), .lanes = lanes, .ratio = 1};
        pivot[v] = loop_load(&s->pen, DT_F64, lanes, in(s, 0), simd_element(s, operand(s, 0), &first));
    }
    sum_pixels(s, c, lanes, vectors, pivot, sum, square);
    for (int v = 0; v < vectors; v++) {
        int shift = math(s, LOOP_DIV, sum[v], count), mean = math(s, LOOP_ADD, pivot[v], shift);
        int var = math(s, LOOP_SUB, math(s, LOOP_DIV, square[v], count), math(s, LOOP_MUL, shift, shift));
        var = math(s, LOOP_MAX, var, wide(s, lanes, 0));
        store_norm(s, loop_offset(c, (int64_t)v * lanes), lanes, mean, var, 2);
    }
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
        simd_each_channel(s, channels, exact_norm);
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
    int a = math(s, LOOP_MUL, scale, simd_candidate_weight(s, 3, lanes)),
        minus = math(s, LOOP_MUL, a, wide(s, lanes, -1));
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

/* What follows a norm's sums. */
static void by_channel(simd *s, int root, void (*body)(simd *s, loop_index c, int lanes))
{
    if (simt_norms_rows(s, root))
        simt_norm_rows(s, root, body);
    else
        simd_each_channel(s, s->n->nodes.at[root].type.c, body);
}

void simd_lower_norm(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
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
        simd_each_channel(s, v->type.c, gradient_bias);
        break;
    case NET_bn_exact:
        exact_norms(s, v->type.c);
        break;
    case NET_bn_fixed:
        simd_each_channel(s, v->type.c, fixed_norm);
        break;
    case NET_bn_move:
        simd_each_channel(s, v->type.c, move_norm);
        break;
    case NET_bn_coef:
        by_channel(s, root, norm_coefficients);
        break;
    default:
        BUG("%s is no norm", net_prim_info[v->prim].name);
    }
}
