/* The rule of each map: its value at a spot from its operands there. */
#include "loop/simd.h"

typedef int map_rule(simd *s, const net_node *v, const spot *at);

static int math(simd *s, enum loop_op op, int a, int b)
{
    return loop_math(&s->pen, op, a, b, -1, -1);
}

static int number(simd *s, const spot *at, double value)
{
    return loop_const(&s->pen, DT_F32, at->lanes, value);
}

static int operand(simd *s, const net_node *v, int k, const spot *at)
{
    return simd_read(s, v->operand[k], at);
}

static int map_bias(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_ADD, operand(s, v, 0, at), simd_row(s, v->operand[1], 0, at));
}

static int map_relu(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_MAX, number(s, at, 0),
                operand(s, v, 0, at)); /* in this order a NaN passes, and the load folds */
}

static int clamp6(simd *s, int x, const spot *at)
{
    return math(s, LOOP_MIN, math(s, LOOP_MAX, x, number(s, at, 0)), number(s, at, 6));
}

static int map_relu6(simd *s, const net_node *v, const spot *at)
{
    return clamp6(s, operand(s, v, 0, at), at);
}

static int hard_gate(simd *s, int x, const spot *at)
{
    return math(s, LOOP_MUL, clamp6(s, math(s, LOOP_ADD, x, number(s, at, 3)), at), number(s, at, 1.0 / 6));
}

static int map_hard_sigmoid(simd *s, const net_node *v, const spot *at)
{
    return hard_gate(s, operand(s, v, 0, at), at);
}

static int map_hard_swish(simd *s, const net_node *v, const spot *at)
{
    int x = operand(s, v, 0, at);
    return math(s, LOOP_MUL, x, hard_gate(s, x, at));
}

static int map_sigmoid(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_SIGMOID, operand(s, v, 0, at), -1);
}

static int map_tanh(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_TANH, operand(s, v, 0, at), -1);
}

static int map_add(simd *s, const net_node *v, const spot *at)
{
    int sum = operand(s, v, 0, at);
    for (int k = 1; k < v->count; k++)
        sum = math(s, LOOP_ADD, sum, operand(s, v, k, at));
    return sum;
}

static int map_sub(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_SUB, operand(s, v, 0, at), operand(s, v, 1, at));
}

static int map_mul(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_MUL, operand(s, v, 0, at), operand(s, v, 1, at));
}

static int map_divide(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_DIV, operand(s, v, 0, at), operand(s, v, 1, at));
}

static int map_minimum(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_MIN, operand(s, v, 0, at), operand(s, v, 1, at));
}

static int map_square_root(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_SQRT, operand(s, v, 0, at), -1);
}

static int map_madd(simd *s, const net_node *v, const spot *at)
{
    int x = operand(s, v, 0, at), by = operand(s, v, 1, at);
    return simd_fma(s, x, by, operand(s, v, 2, at));
}

/* Σ_j weights[row][pick_j] · x_j, in the order of the candidates. */
static int map_mix(simd *s, const net_node *v, const spot *at)
{
    int sum = -1;
    for (int j = 1; j < v->count; j++) {
        int w = simd_weight(s, v->operand[0], v->attr.row, v->attr.pick[j - 1], at->lanes);
        int x = operand(s, v, j, at);
        sum = sum < 0 ? math(s, LOOP_MUL, w, x) : simd_fma(s, w, x, sum);
    }
    return sum < 0 ? number(s, at, 0) : sum;
}

static int map_scale(simd *s, const net_node *v, const spot *at)
{
    int w = simd_weight(s, v->operand[1], v->attr.row, v->attr.pick[0], at->lanes);
    return math(s, LOOP_MUL, operand(s, v, 0, at), w);
}

static int map_centre(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_SUB, operand(s, v, 0, at), simd_row(s, v->operand[1], 0, at));
}

static int map_normalise(simd *s, const net_node *v, const spot *at)
{
    int bn = v->operand[1];
    int d = math(s, LOOP_SUB, operand(s, v, 0, at), simd_row(s, bn, BN_MEAN, at));
    int scale = simd_row(s, bn, BN_SCALE, at);
    return simd_fma(s, d, scale, simd_row(s, bn, BN_SHIFT, at));
}

static int map_standard(simd *s, const net_node *v, const spot *at)
{
    int bn = v->operand[1];
    int d = math(s, LOOP_SUB, operand(s, v, 0, at), simd_row(s, bn, BN_MEAN, at));
    return math(s, LOOP_MUL, d, simd_row(s, bn, BN_RSTD, at));
}

static int map_fixed_dx(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_MUL, operand(s, v, 0, at), simd_row(s, v->operand[1], BN_SCALE, at));
}

static int map_bn_dx(simd *s, const net_node *v, const spot *at)
{
    int g = operand(s, v, 0, at), x = operand(s, v, 1, at), coef = v->operand[2];
    int d = math(s, LOOP_SUB, x, simd_row(s, coef, COEF_MEAN, at));
    int b = simd_row(s, coef, COEF_B, at);
    int rest = simd_fma(s, b, d, simd_row(s, coef, COEF_D, at));
    return simd_fma(s, simd_row(s, coef, COEF_A, at), g, rest);
}

/* g where lo < x < hi, else 0. */
static int gate(simd *s, int x, int g, double lo, double hi, const spot *at)
{
    int zero = number(s, at, 0);
    int inside = loop_math(&s->pen, LOOP_SELECT_LT, number(s, at, lo), x, g, zero);
    return hi > lo ? loop_math(&s->pen, LOOP_SELECT_LT, x, number(s, at, hi), inside, zero) : inside;
}

static int act_dx_hard_swish(simd *s, int x, int g, const spot *at)
{
    int zero = number(s, at, 0), one = number(s, at, 1);
    int slope = simd_fma(s, x, number(s, at, 1.0 / 3), number(s, at, 0.5));
    slope = loop_math(&s->pen, LOOP_SELECT_LT, number(s, at, -3), x, slope, zero);
    slope = loop_math(&s->pen, LOOP_SELECT_LT, x, number(s, at, 3), slope, one);
    return math(s, LOOP_MUL, g, slope);
}

/* g · f'(x). Where f has a corner the gradient is that of PyTorch. */
static int map_act_dx(simd *s, const net_node *v, const spot *at)
{
    int x = operand(s, v, 0, at), g = operand(s, v, 1, at), y;
    switch (v->attr.act) {
    case NET_relu:
        return gate(s, x, g, 0, 0, at);
    case NET_relu6:
        return gate(s, x, g, 0, 6, at);
    case NET_hard_sigmoid:
        return gate(s, x, math(s, LOOP_MUL, g, number(s, at, 1.0 / 6)), -3, 3, at);
    case NET_hard_swish:
        return act_dx_hard_swish(s, x, g, at);
    case NET_sigmoid:
        y = math(s, LOOP_SIGMOID, x, -1);
        return math(s, LOOP_MUL, g, math(s, LOOP_MUL, y, math(s, LOOP_SUB, number(s, at, 1), y)));
    case NET_tanh:
        y = math(s, LOOP_TANH, x, -1);
        return math(s, LOOP_MUL, g, math(s, LOOP_SUB, number(s, at, 1), math(s, LOOP_MUL, y, y)));
    default:
        BUG("no gradient rule of %s in act_dx", net_prim_info[v->attr.act].name);
    }
}

static int map_global_pool_dx(simd *s, const net_node *v, const spot *at)
{
    return math(s, LOOP_MUL, operand(s, v, 0, at), number(s, at, 1.0 / ((double)v->attr.h * v->attr.w)));
}

/* How many of the window's `k` taps fall inside [0, size) at output position p. */
static loop_index taps_inside(simd *s, loop_index p, int k, int stride, int before, int size)
{
    loop_index first = loop_offset(loop_times(p, stride), -before);
    int lo = loop_int(&s->pen, LOOP_INT_MAX, first, loop_at(0), 0);
    int hi = loop_int(&s->pen, LOOP_INT_MIN, loop_offset(first, k), loop_at(size), 0);
    return loop_plus(loop_plus(loop_at(0), hi, 1), lo, -1);
}

/* The table for windows of this size: 1 / (rows · columns) at rows · (kw + 1) + columns. NULL: there is none. */
static const share_table *shares_of(const simd *s, const net_window *w)
{
    for (int i = 0; i < s->shares.count; i++)
        if (s->shares.at[i].kh == w->kh && s->shares.at[i].kw == w->kw)
            return &s->shares.at[i];
    return NULL;
}

/* 1 / (rows · columns): from the table, or where there is none, divided; both are rounded right. */
static int share_of(simd *s, const net_window *w, loop_index rows, loop_index columns, int lanes)
{
    const share_table *table = shares_of(s, w);
    if (table)
        return loop_bcast(&s->pen, DT_F32, lanes, table->scratch, loop_sum(loop_times(rows, w->kw + 1), columns));
    CHECK(s->t->capability);
    int taps =
        math(s, LOOP_MUL, loop_from_int(&s->pen, DT_F32, lanes, rows), loop_from_int(&s->pen, DT_F32, lanes, columns));
    return math(s, LOOP_DIV, loop_const(&s->pen, DT_F32, lanes, 1), taps);
}

/* x · 1 / taps inside the map. Windows of pools are dense: dilation 1. */
static int map_pool_scale(simd *s, const net_node *v, const spot *at)
{
    const net_window *w = &v->attr.window;
    loop_index y = loop_sum(at->rel, loop_times(s->tile, at->ratio));
    loop_index rows = taps_inside(s, y, w->kh, w->sh, w->top, v->attr.h);
    loop_index columns = taps_inside(s, at->x, w->kw, w->sw, w->left, v->attr.w);
    int share = share_of(s, w, rows, columns, at->lanes);
    return math(s, LOOP_MUL, operand(s, v, 0, at), share);
}

static void fill_shares(simd *s, int kh, int kw, int table)
{
    for (int y = 1; y <= kh; y++)
        for (int x = 1; x <= kw; x++)
            loop_store(&s->pen, table, loop_at((int64_t)y * (kw + 1) + x),
                       loop_const(&s->pen, DT_F32, 1, 1.0 / ((double)y * x)));
}

static void need_shares(simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    const net_window *w = &v->attr.window;
    if (s->room->seen[node] == s->room->walks)
        return;
    s->room->seen[node] = s->room->walks;
    if (v->prim == NET_pool_scale && !shares_of(s, w)) {
        int table = loop_scratch(&s->pen, DT_F32, (int64_t)(w->kh + 1) * (w->kw + 1));
        fill_shares(s, w->kh, w->kw, table);
        VEC_PUSH(s->a, &s->shares, ((share_table){w->kh, w->kw, table}));
    }
    for (int k = 0; k < v->count; k++)
        if (s->f->place[v->operand[k]] != PLACE_MEMORY && s->f->place[v->operand[k]] != PLACE_LEAF)
            need_shares(s, v->operand[k]);
}

void simd_fill_shares(simd *s)
{
    if (s->t->capability)
        return; /* a thread would fill a table for one number */
    s->room->walks++;
    for (int i = 0; i < s->g->roots.count; i++)
        need_shares(s, s->g->roots.at[i]);
}

/* clang-format off */
#define MAPS(X)                                                                                                        \
    X(bias)                                                                                                            \
    X(relu)                                                                                                            \
    X(relu6)                                                                                                           \
    X(hard_swish)                                                                                                      \
    X(hard_sigmoid)                                                                                                    \
    X(sigmoid)                                                                                                         \
    X(tanh)                                                                                                            \
    X(add) X(mul) X(mix) X(pool_scale) X(global_pool_dx) X(centre) X(normalise) X(standard) X(fixed_dx) X(bn_dx)       \
        X(act_dx) X(scale) X(sub) X(divide) X(square_root) X(madd) X(minimum)
/* clang-format on */

static map_rule *const map_rules[NET_PRIM_COUNT] = {
#define X(name) [NET_##name] = map_##name,
    MAPS(X)
#undef X
};

int simd_map(simd *s, int node, const spot *at)
{
    const net_node *v = &s->n->nodes.at[node];
    if (!map_rules[v->prim])
        BUG("the simd lowering has no rule for %s", net_prim_info[v->prim].name);
    return map_rules[v->prim](s, v, at);
}
