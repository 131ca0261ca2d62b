/* One result an image: pools over the whole map, losses over classes. A unit is an image. */
#include "loop/simd.h"

#include <math.h>

static int math(simd *s, enum loop_op op, int a, int b)
{
    return loop_math(&s->pen, op, a, b, -1, -1);
}

static int number(simd *s, double value)
{
    return loop_const(&s->pen, DT_F32, 1, value);
}

/* Images of this run. */
static int batch(simd *s)
{
    return loop_from_int(&s->pen, DT_F32, 1, loop_plus(loop_at(0), 0, 1));
}

/* In row-major order; a mean for global_pool. */
void simd_sum_image(simd *s, int root, loop_index c, int lanes)
{
    const net_node *v = &s->n->nodes.at[root];
    const net_type *t = &s->n->nodes.at[v->operand[0]].type;
    int acc = loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, DT_F32, lanes, 0), -1, -1, -1);
    loop_index y = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(t->h), 1), 1);
    loop_index x = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(t->w), 1), 1);
    spot at = {.rel = y, .x = x, .c = c, .lanes = lanes, .ratio = 1};
    s->pixel_memo.count = s->channel_memo.count = 0;
    simd_add_to_sum(s, root, acc, &at);
    loop_end(&s->pen);
    loop_end(&s->pen);
    if (v->prim == NET_global_pool)
        acc = math(s, LOOP_MUL, acc, loop_const(&s->pen, DT_F32, lanes, 1.0 / ((double)t->h * t->w)));
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), simd_element(s, root, &at), acc);
}

static void lower_map_sum(simd *s, int root)
{
    channel_run run[8];
    int runs = simd_channel_runs(s, s->n->nodes.at[root].type.c, 1, run);
    for (int r = 0; r < runs; r++) {
        loop_index c = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        simd_sum_image(s, root, c, run[r].lanes);
        simd_close(s, run[r].count);
    }
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

typedef struct classes {
    int logits, count; /* node; number of classes */
    int label;         /* variable */
    int exponents;     /* scratch: exp(x - m) of each; -1: threads of a GPU compute them where they are read */
} classes;

static classes open_classes(simd *s, const net_node *v)
{
    classes q = {.logits = v->operand[0], .count = s->n->nodes.at[v->operand[0]].type.c};
    q.label = loop_int_load(&s->pen, simd_arg(s, v->operand[1], LOOP_IN), s->image);
    return q;
}

static int logit(simd *s, const classes *q, loop_index k)
{
    spot at = {.rel = loop_at(0), .x = loop_at(0), .c = k, .lanes = 1, .ratio = 1};
    return simd_read_apart(s, q->logits, &at);
}

static loop_index each_class(simd *s, const classes *q)
{
    return loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(q->count), 1), 1);
}

/* Greatest logit m and Σ exp(x - m). */
static int greatest(simd *s, const classes *q)
{
    int m = loop_math(&s->pen, LOOP_MOVE, number(s, -INFINITY), -1, -1, -1);
    loop_index k = each_class(s, q);
    loop_math_to(&s->pen, m, LOOP_MAX, m, logit(s, q, k), -1, -1);
    loop_end(&s->pen);
    return m;
}

/* A number that vectors meet. */
static int keep(simd *s, int x)
{
    int scratch = loop_scratch(&s->pen, DT_F32, 1);
    loop_store(&s->pen, scratch, loop_at(0), x);
    return scratch;
}

static void fill_exponents(simd *s, classes *q, int m)
{
    q->exponents = -1;
    if (s->t->capability)
        return;
    channel_run run[8];
    int most = keep(s, m), runs = simd_channel_runs(s, q->count, 1, run);
    q->exponents = loop_scratch(&s->pen, DT_F32, q->count);
    for (int r = 0; r < runs; r++) {
        spot at = {.rel = loop_at(0), .x = loop_at(0), .lanes = run[r].lanes, .ratio = 1};
        at.c = simd_open(s, run[r].lo, run[r].count, run[r].lanes);
        int off = loop_bcast(&s->pen, DT_F32, at.lanes, most, loop_at(0));
        int x = math(s, LOOP_SUB, simd_read_apart(s, q->logits, &at), off);
        loop_store(&s->pen, q->exponents, at.c, math(s, LOOP_EXP, x, -1));
        simd_close(s, run[r].count);
    }
}

static int exponent(simd *s, const classes *q, loop_index k, int m)
{
    if (q->exponents >= 0)
        return loop_load(&s->pen, DT_F32, 1, q->exponents, k);
    return math(s, LOOP_EXP, math(s, LOOP_SUB, logit(s, q, k), m), -1);
}

static int partition(simd *s, const classes *q, int m)
{
    int sum = loop_math(&s->pen, LOOP_MOVE, number(s, 0), -1, -1, -1);
    loop_index k = each_class(s, q);
    loop_math_to(&s->pen, sum, LOOP_ADD, sum, exponent(s, q, k, m), -1, -1);
    loop_end(&s->pen);
    return sum;
}

/* Cross entropy with smoothed labels: log Σ exp(x) - (1-ε)·x_label - ε/K·Σ x (all about the greatest logit). */
static void lower_xent(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    classes q = open_classes(s, v);
    double smooth = v->attr.value;
    int m = greatest(s, &q);
    fill_exponents(s, &q, m);
    int loss = math(s, LOOP_LOG, partition(s, &q, m), -1);
    int right = math(s, LOOP_SUB, logit(s, &q, loop_plus(loop_at(0), q.label, 1)), m);
    loss = math(s, LOOP_SUB, loss, math(s, LOOP_MUL, right, number(s, 1 - smooth)));
    if (smooth > 0) {
        int sum = loop_math(&s->pen, LOOP_MOVE, number(s, 0), -1, -1, -1);
        loop_index k = each_class(s, &q);
        loop_math_to(&s->pen, sum, LOOP_ADD, sum, math(s, LOOP_SUB, logit(s, &q, k), m), -1, -1);
        loop_end(&s->pen);
        loss = math(s, LOOP_SUB, loss, math(s, LOOP_MUL, sum, number(s, smooth / q.count)));
    }
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), s->image, loss);
}

/* (softmax - target) · g / n, a share of the mean loss's gradient. */
static void lower_xent_dx(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    classes q = open_classes(s, v);
    double smooth = v->attr.value;
    spot at = {.rel = loop_at(0), .x = loop_at(0), .c = loop_at(0), .lanes = 1, .ratio = 1};
    int out = simd_arg(s, root, LOOP_OUT), m = greatest(s, &q);
    fill_exponents(s, &q, m);
    int sum = partition(s, &q, m);
    int g = math(s, LOOP_DIV, simd_read_apart(s, v->operand[2], &at), batch(s));
    loop_index row = loop_times(s->image, q.count);
    for (int pass = 0; pass < 2; pass++) { /* every class as a wrong one, then the label again as the right one */
        loop_index k = pass ? loop_plus(loop_at(0), q.label, 1) : each_class(s, &q);
        int p = math(s, LOOP_DIV, exponent(s, &q, k, m), sum);
        int off = math(s, LOOP_SUB, p, number(s, smooth / q.count + (pass ? 1 - smooth : 0)));
        loop_store(&s->pen, out, loop_sum(row, k), math(s, LOOP_MUL, off, g));
        if (!pass)
            loop_end(&s->pen);
    }
}

/* g / n, a share of the gradient of a mean over the batch. */
static void lower_mean_dx(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    loop_index c = loop_plus(loop_at(0), loop_for(&s->pen, loop_at(0), loop_at(v->type.c), 1), 1);
    spot at = {.rel = loop_at(0), .x = loop_at(0), .c = c, .lanes = 1, .ratio = 1};
    int g = math(s, LOOP_DIV, simd_read_apart(s, v->operand[1], &at), batch(s));
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), loop_sum(loop_times(s->image, v->type.c), c), g);
    loop_end(&s->pen);
}

/* 1 where the first maximum is the label. */
static void lower_correct(simd *s, int root)
{
    classes q = open_classes(s, &s->n->nodes.at[root]);
    int best = loop_math(&s->pen, LOOP_MOVE, number(s, -INFINITY), -1, -1, -1);
    int where = loop_math(&s->pen, LOOP_MOVE, number(s, -1), -1, -1, -1);
    loop_index k = each_class(s, &q);
    int x = logit(s, &q, k);
    loop_math_to(&s->pen, where, LOOP_SELECT_LT, best, x, loop_from_int(&s->pen, DT_F32, 1, k), where);
    loop_math_to(&s->pen, best, LOOP_MAX, x, best, -1, -1);
    loop_end(&s->pen);
    int label = loop_from_int(&s->pen, DT_F32, 1, loop_plus(loop_at(0), q.label, 1));
    int hit = loop_math(&s->pen, LOOP_SELECT_EQ, where, label, number(s, 1), number(s, 0));
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), s->image, hit);
}

void simd_lower_image(simd *s, int root)
{
    s->unit = loop_parallel(&s->pen);
    s->image = loop_plus(loop_at(0), s->unit, 1);
    s->tile = loop_at(0);
    s->smallest = s->tiles = 1;
    simd_fill_shares(s);
    switch (s->n->nodes.at[root].prim) {
    case NET_global_pool:
    case NET_image_sum:
        lower_map_sum(s, root);
        break;
    case NET_softmax_xent:
        lower_xent(s, root);
        break;
    case NET_xent_dx:
        lower_xent_dx(s, root);
        break;
    case NET_mean_dx:
        lower_mean_dx(s, root);
        break;
    case NET_correct:
        lower_correct(s, root);
        break;
    default:
        BUG("the simd lowering has no rule for %s", net_prim_info[s->n->nodes.at[root].prim].name);
    }
    loop_end(&s->pen);
    s->out->unit_images = s->out->unit_tiles = 1;
}
