/* The weight gradient of a linear layer: of so many weights each has few products. Rows of chunks that are folded
 * afterwards would cross memory once a chunk; here a weight's sum stays in registers until it is finished. The order of
 * additions is that of conv_dw and fold: the images of a chunk in the net's type, chunks in float64. */
#include "loop/simt.h"

/* Weights of `rows` channels of x and one vector of channels of g. */
typedef struct matrix_block {
    int x, g; /* nodes */
    int to;   /* buffer */
    loop_index row, column;
    int rows, lanes, halves; /* of a vector, where it has too many lanes for float64 */
    int sum[SIMD_ACC_MAX];   /* in float64: [row][half] */
} matrix_block;

/* Channel c of an image. */
static loop_index channel(simd *s, int node, loop_index c)
{
    spot at = {.rel = loop_at(0), .x = loop_at(0), .c = c, .ratio = 1};
    return simd_element(s, node, &at);
}

/* Images [first, end), added up. */
static void add_images(simd *s, const matrix_block *b, loop_index first, loop_index end)
{
    int acc[SIMD_ACC_MAX] = {0}, zero = loop_const(&s->pen, DT_F32, b->lanes, 0);
    for (int r = 0; r < b->rows; r++)
        acc[r] = loop_math(&s->pen, LOOP_MOVE, zero, -1, -1, -1);
    s->image = loop_plus(loop_at(0), loop_for(&s->pen, first, end, 1), 1);
    int g = loop_load(&s->pen, DT_F32, b->lanes, simd_arg(s, b->g, LOOP_IN), channel(s, b->g, b->column));
    for (int r = 0; r < b->rows; r++) {
        loop_index e = channel(s, b->x, loop_offset(b->row, r));
        simd_fma_to(s, acc[r], loop_bcast(&s->pen, DT_F32, b->lanes, simd_arg(s, b->x, LOOP_IN), e), g);
    }
    loop_end(&s->pen);
    for (int i = 0; i < b->rows * b->halves; i++) {
        int part = acc[i / b->halves];
        if (b->halves > 1)
            part = loop_half(&s->pen, part, i % b->halves);
        loop_math_to(&s->pen, b->sum[i], LOOP_ADD, b->sum[i], loop_convert(&s->pen, DT_F64, part), -1, -1);
    }
}

static void emit_block(simd *s, matrix_block *b)
{
    int columns = s->n->nodes.at[b->g].type.c, lanes = b->lanes / b->halves;
    int zero = loop_const(&s->pen, DT_F64, lanes, 0);
    for (int i = 0; i < b->rows * b->halves; i++)
        b->sum[i] = loop_math(&s->pen, LOOP_MOVE, zero, -1, -1, -1);
    loop_index n = loop_plus(loop_at(0), 0, 1);
    int chunks = loop_int(&s->pen, LOOP_INT_DIV, loop_offset(n, s->n->chunk - 1), loop_at(0), s->n->chunk);
    int chunk = loop_for(&s->pen, loop_at(0), loop_plus(loop_at(0), chunks, 1), 1);
    loop_index first = loop_plus(loop_at(0), chunk, s->n->chunk);
    int end = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(first, s->n->chunk), n, 0);
    add_images(s, b, first, loop_plus(loop_at(0), end, 1));
    loop_end(&s->pen);
    for (int i = 0; i < b->rows * b->halves; i++) {
        loop_index e = loop_sum(loop_times(loop_offset(b->row, i / b->halves), columns), b->column);
        int value = loop_convert(&s->pen, DT_F32, b->sum[i]);
        loop_store(&s->pen, b->to, loop_offset(e, (int64_t)(i % b->halves) * lanes), value);
    }
}

/* As many rows as registers hold beside the operands, none left over. */
static int rows_of(const simd *s, int channels)
{
    int registers = s->t->registers < 16 ? 16 : s->t->registers, rows = (registers - 3) / 3;
    while (channels % rows)
        rows--;
    return rows;
}

static matrix_block block_of(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    return (matrix_block){.x = v->operand[0], .g = v->operand[1], .to = simd_arg(s, root, LOOP_OUT)};
}

/* A thread a weight. */
static void weight_alone(simd *s, loop_index c, int lanes)
{
    matrix_block b = block_of(s, s->g->roots.at[0]);
    b.row = simt_split(s, &c, s->n->nodes.at[b.g].type.c);
    b.column = c;
    b.rows = b.halves = 1;
    b.lanes = lanes;
    emit_block(s, &b);
}

void simd_lower_linear_dw(simd *s, int root)
{
    const net_type *t = &s->n->nodes.at[root].type;
    s->tile = loop_at(0);
    if (s->t->capability) {
        simt_each(s, net_elements(t), weight_alone);
        return;
    }
    matrix_block b = block_of(s, root);
    channel_run run[8];
    int runs = simd_channel_runs(s, t->c, 1, run);
    b.rows = rows_of(s, t->w);
    s->unit = loop_parallel(&s->pen);
    b.row = loop_plus(loop_at(0), s->unit, b.rows);
    for (int r = 0; r < runs; r++) {
        b.lanes = run[r].lanes;
        b.halves = b.lanes == s->t->lanes && b.lanes > 1 ? 2 : 1;
        b.column = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        emit_block(s, &b);
        simd_close(s, run[r].count);
    }
    loop_end(&s->pen);
    s->out->unit_tiles = t->w / b.rows;
}
