/* Small tensors: what follows a reduction. Sums over chunks are taken in order, in float64. */
#include "loop/simd_vector.h"

int simd_chunks(simd *s, int node)
{
    int images = s->n->nodes.at[node].type.chunked;
    return loop_int(&s->pen, LOOP_INT_DIV, loop_offset(loop_plus(loop_at(0), 0, 1), images - 1), loop_at(0), images);
}

enum { FOLD_VECTORS = 16 }; /* at once, at most */

/* Σ over rows of `vectors` vectors from c on: each is a chain of additions, which wait for each other. */
static void fold_vectors(simd *s, int buffer, int rows, int64_t width, loop_index c, int lanes, int vectors, int sum[])
{
    for (int v = 0; v < vectors; v++)
        sum[v] = math(s, LOOP_MOVE, wide(s, lanes, 0), -1);
    int r = loop_for(&s->pen, loop_at(0), loop_plus(loop_at(0), rows, 1), 1);
    for (int v = 0; v < vectors; v++) {
        loop_index at = loop_plus(loop_offset(c, (int64_t)v * lanes), r, width);
        loop_math_to(&s->pen, sum[v], LOOP_ADD, sum[v], loop_load(&s->pen, DT_F64, lanes, buffer, at), -1, -1);
    }
    loop_end(&s->pen);
}

int simd_fold_rows(simd *s, int buffer, int rows, int64_t width, loop_index c, int lanes)
{
    int sum;
    fold_vectors(s, buffer, rows, width, c, lanes, 1, &sum);
    return sum;
}

void simd_each_channel(simd *s, int channels, void (*body)(simd *s, loop_index c, int lanes))
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

int simd_candidate_weight(simd *s, int k, int lanes)
{
    const net_node *v = &s->n->nodes.at[root_of(s)];
    if (v->count <= k)
        return wide(s, lanes, 1);
    int64_t element = (int64_t)v->attr.row * s->n->nodes.at[v->operand[k]].type.c + v->attr.pick[0];
    return loop_bcast(&s->pen, DT_F64, lanes, simd_arg_from(s, v->operand[k], element), loop_at(0));
}

/* ---- folds ------------------------------------------------------------------------------------------------------- */

static void fold_block(simd *s, loop_index c, int lanes, int vectors)
{
    int sum[FOLD_VECTORS], rows = simd_chunks(s, operand(s, 0));
    fold_vectors(s, in(s, 0), rows, net_elements(&s->n->nodes.at[operand(s, 0)].type), c, lanes, vectors, sum);
    bool weighted = s->n->nodes.at[root_of(s)].count > 1;
    int weight = weighted ? simd_candidate_weight(s, 1, lanes) : -1;
    for (int v = 0; v < vectors; v++)
        store_narrow(s, out(s), loop_offset(c, (int64_t)v * lanes),
                     weighted ? math(s, LOOP_MUL, sum[v], weight) : sum[v]);
}

static void fold_alone(simd *s, loop_index c, int lanes)
{
    fold_block(s, c, lanes, 1);
}

/* Blocks of vectors, then vectors, then what is left. */
static void fold(simd *s)
{
    int64_t count = net_elements(&s->n->nodes.at[operand(s, 0)].type), done = 0;
    if (s->t->capability) {
        simd_each(s, count, 1, fold_alone);
        return;
    }
    int most = s->t->registers >= 32 ? FOLD_VECTORS : FOLD_VECTORS / 2;
    const int wide_block[][2] = {{wide_lanes(s), most}, {wide_lanes(s), 1}, {1, 1}};
    s->unit = loop_parallel(&s->pen);
    loop_index lo = loop_plus(loop_at(0), s->unit, SIMD_FLAT_BLOCK), hi = loop_offset(lo, SIMD_FLAT_BLOCK);
    for (int i = 0; i < (int)COUNT(wide_block); i++) {
        int step = wide_block[i][0] * wide_block[i][1];
        int64_t whole = done + (count - done) / step * step;
        if (whole > done) {
            int from = loop_int(&s->pen, LOOP_INT_MAX, lo, loop_at(done), 0);
            int to = loop_int(&s->pen, LOOP_INT_MIN, hi, loop_at(whole), 0);
            int c = loop_for(&s->pen, loop_plus(loop_at(0), from, 1), loop_plus(loop_at(0), to, 1), step);
            fold_block(s, loop_plus(loop_at(0), c, 1), wide_block[i][0], wide_block[i][1]);
            loop_end(&s->pen);
        }
        done = whole;
    }
    loop_end(&s->pen);
    s->out->unit_tiles = (int)((count + SIMD_FLAT_BLOCK - 1) / SIMD_FLAT_BLOCK);
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
        w = math(s, LOOP_MUL, w, simd_candidate_weight(s, 1, lanes));
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

void simd_lower_vector(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    s->out->unit_images = 0;
    s->out->unit_tiles = 1;
    switch (v->prim) {
    case NET_bn_finish:
    case NET_bn_exact:
    case NET_bn_gram:
    case NET_bn_fixed:
    case NET_bn_move:
    case NET_bn_coef:
    case NET_bn_dx_weights:
    case NET_bn_dx_bias:
        simd_lower_norm(s, root);
        break;
    case NET_batch_mean:
        simd_each_channel(s, v->type.c, batch_mean);
        break;
    case NET_fold:
        fold(s);
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
