/* Rewrites composites into the small core that gradients, fusion and lowering know.
 * requires: verified. breaks: nothing; no composites remain. */
#include "net/copy.h"

typedef struct expander {
    net *to;
    nasc_diag *d;
    const net_node *node;          /* the composite */
    int operand[NET_OPERANDS_MAX]; /* its operands in the new net */
} expander;

static int core(expander *e, enum net_prim prim, const int *operand, int count, const net_attr *attr)
{
    return net_add(e->to, prim, operand, count, attr, e->node->name, e->d);
}

#define CORE(e, prim, attr, ...) core(e, prim, (int[]){__VA_ARGS__}, COUNT(((int[]){__VA_ARGS__})), attr)

/* Maps of so few pixels have exact statistics: a pass over them costs nothing, and their few values may lie closer
 * together than float32 sums can tell. */
enum { EXACT_PIXELS = 16 };

/* The statistics' sums are taken about the running mean, so that a large mean costs no digits of the variance. */
static int expand_batch_norm_train(expander *e)
{
    const int x = e->operand[0], running = e->operand[1];
    net_attr attr = {.eps = e->node->attr.eps, .momentum = e->node->attr.momentum};
    attr.h = e->node->type.h;
    attr.w = e->node->type.w;
    int part[5] = {x, running, e->operand[2], e->operand[3]}, bn;
    if (attr.h * attr.w <= EXACT_PIXELS) {
        bn = core(e, NET_bn_exact, part, e->node->count, &attr);
    } else {
        int centred = CORE(e, NET_centre, NULL, x, running);
        part[0] = CORE(e, NET_chan_sum, NULL, centred);
        part[1] = CORE(e, NET_chan_sum, NULL, centred, centred);
        part[2] = running;
        part[3] = e->operand[2];
        part[4] = e->operand[3];
        bn = core(e, NET_bn_finish, part, e->node->count + 1, &attr);
    }
    int y = CORE(e, NET_normalise, NULL, x, bn);
    if (e->node->attr.move && y >= 0) {
        int moved = CORE(e, NET_bn_move, &attr, running, bn);
        net_output_add(e->to, moved, SLOT_STATS, e->to->nodes.at[running].attr.offset);
    }
    return y;
}

static int expand_batch_norm(expander *e)
{
    if (e->node->attr.train)
        return expand_batch_norm_train(e);
    net_attr attr = {.eps = e->node->attr.eps};
    int bn = core(e, NET_bn_fixed, e->operand + 1, e->node->count - 1, &attr);
    return CORE(e, NET_normalise, NULL, e->operand[0], bn);
}

static int expand_avg_pool(expander *e)
{
    net_attr sum = {.window = e->node->attr.window}, share = sum;
    share.h = e->to->nodes.at[e->operand[0]].type.h;
    share.w = e->to->nodes.at[e->operand[0]].type.w;
    int pooled = CORE(e, NET_sum_pool, &sum, e->operand[0]);
    return CORE(e, NET_pool_scale, &share, pooled);
}

/* conv and linear: the bias is a primitive of its own. */
static int expand_product(expander *e)
{
    net_attr attr = {.window = e->node->attr.window};
    if (e->node->prim == NET_linear)
        attr.window = (net_window){1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    int y = CORE(e, NET_conv, &attr, e->operand[0], e->operand[1]);
    return e->node->count < 3 ? y : CORE(e, NET_bias, NULL, y, e->operand[2]);
}

static int expand_node(expander *e, const net *from, int id, const int *map)
{
    const net_node *node = &from->nodes.at[id];
    e->node = node;
    e->to->region = node->region;
    for (int i = 0; i < node->count; i++)
        e->operand[i] = map[node->operand[i]];
    switch (node->prim) {
    case NET_batch_norm:
        return expand_batch_norm(e);
    case NET_avg_pool:
        return expand_avg_pool(e);
    case NET_conv:
    case NET_linear:
        return expand_product(e);
    case NET_zero:
        return net_constant(e->to, node->type, 0);
    case NET_identity:
        return e->operand[0];
    default:
        return net_copy_node(e->to, from, id, map, e->d);
    }
}

net *net_expand(arena *a, const net *n, nasc_diag *d)
{
    expander e = {.to = net_copy_frame(a, n), .d = d};
    int *map = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        map[i] = expand_node(&e, n, i, map);
        if (map[i] < 0)
            return NULL;
    }
    e.to->region = 0;
    net_copy_outputs(e.to, n, map);
    return e.to;
}
