/* Gradient rules, a function a primitive (or family). Each gives the operands that need one their share. */
#include "net/copy.h"
#include "net/grad.h"
#include "net/rules.h"

/* Nodes move when others are added: rules keep a copy. */
static net_node node_of(const net_grad_context *g, int node)
{
    return g->n->nodes.at[node];
}

static net_type type_of(const net_grad_context *g, int node)
{
    return g->n->nodes.at[node].type;
}

void grad_none(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    (void)gradient;
    for (int i = 0; i < v.count; i++)
        if (grad_needs(g, node, i))
            g->ok = diag_fail(g->d, DIAG_INPUT, v.name ? v.name : "gradient", "%s has no gradient",
                              net_prim_info[v.prim].name);
}

void grad_select(net_grad_context *g, int node, int gradient)
{
    (void)g;
    (void)gradient;
    BUG("select %d is differentiated by the walk itself", node);
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* Does a convolution multiply each image's one pixel by a matrix, and by one whose gradient had better not stand in memory
 * once a chunk? A small one is a by-product of the pass that takes the gradient back. */
static bool is_large_linear(const net_grad_context *g, const net_node *v)
{
    net_type x = type_of(g, v->operand[0]);
    const net_window *w = &v->attr.window;
    enum { LARGE = 4096 }; /* weights */
    return x.h * x.w == 1 && w->kh * w->kw == 1 && w->groups == 1 && v->type.h * v->type.w == 1 &&
           (int64_t)x.c * v->type.c >= LARGE;
}

/* The gradient by the weights of a convolution. */
static int weights_gradient(net_grad_context *g, const net_node *v, int gradient)
{
    net_attr attr = {.window = v->attr.window}, whole = {.type = type_of(g, v->operand[1])};
    if (is_large_linear(g, v))
        return GRAD_NEW(g, NET_linear_dw, NULL, v->operand[0], gradient);
    return GRAD_NEW(g, NET_fold, &whole, GRAD_NEW(g, NET_conv_dw, &attr, v->operand[0], gradient));
}

void grad_conv(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_type x = type_of(g, v.operand[0]);
    if (grad_needs(g, node, 0)) {
        net_attr attr = {.window = v.attr.window, .h = x.h, .w = x.w, .count = x.c};
        int w = v.operand[1];
        if (!net_is_channelwise(g->n, &v))
            w = GRAD_NEW(g, NET_transpose, NULL, w);
        grad_give(g, v.operand[0], GRAD_NEW(g, NET_conv_dx, &attr, gradient, w));
    }
    if (grad_needs(g, node, 1))
        grad_give(g, v.operand[1], weights_gradient(g, &v, gradient));
    if (v.count > 2 && grad_needs(g, node, 2)) {
        net_attr whole = {.type = type_of(g, v.operand[2])};
        int rows = GRAD_NEW(g, NET_chan_sum, NULL, gradient);
        grad_give(g, v.operand[2], GRAD_NEW(g, NET_fold, &whole, rows));
    }
}

void grad_max_pool(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_attr attr = {.window = v.attr.window};
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_max_pool_dx, &attr, v.operand[0], gradient));
}

void grad_sum_pool(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_type x = type_of(g, v.operand[0]);
    net_attr attr = {.window = v.attr.window, .h = x.h, .w = x.w};
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_sum_pool_dx, &attr, gradient));
}

void grad_pool_scale(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_pool_scale, &v.attr, gradient));
}

void grad_global_pool(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_type x = type_of(g, v.operand[0]);
    net_attr attr = {.h = x.h, .w = x.w};
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_global_pool_dx, &attr, gradient));
}

void grad_pad(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_attr attr = {0};
    attr.window.top = -v.attr.window.top;
    attr.window.left = -v.attr.window.left;
    attr.window.bottom = -v.attr.window.bottom;
    attr.window.right = -v.attr.window.right;
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_pad, &attr, gradient));
}

/* The inverse of a shuffle by G groups is one by C/G. */
void grad_shuffle(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_attr attr = {0};
    attr.window.groups = v.type.c / v.attr.window.groups;
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_shuffle, &attr, gradient));
}

void grad_concat(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_attr attr = {0};
    for (int i = 0; i < v.count; i++) {
        attr.count = type_of(g, v.operand[i]).c;
        if (grad_needs(g, node, i))
            grad_give(g, v.operand[i], GRAD_NEW(g, NET_slice, &attr, gradient));
        attr.begin += attr.count;
    }
}

void grad_slice(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_attr attr = {.begin = v.attr.begin, .count = type_of(g, v.operand[0]).c};
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_channel_pad, &attr, gradient));
}

/* ---- pixel by pixel ---------------------------------------------------------------------------------------------- */

void grad_activation(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    net_attr attr = {.act = v.prim};
    grad_give(g, v.operand[0], GRAD_NEW(g, NET_act_dx, &attr, v.operand[0], gradient));
}

/* The gradient by an operand of type `to` that was broadcast: Σ gradient · other (other -1: one) over its missing
 * extents. */
static int reduced(net_grad_context *g, int node, int gradient, int other, net_type to)
{
    net_type from = type_of(g, gradient);
    int product = gradient;
    bool per_image = is_image(&to) && to.h == 1 && to.w == 1 && to.c == from.c;
    bool per_channel = is_vector(&to, 1, from.c) && is_image(&from);
    bool equal = net_type_equal(&to, &from);
    if (!equal && !per_image && !per_channel) {
        g->ok = diag_fail(g->d, DIAG_INPUT, node_of(g, node).name ? node_of(g, node).name : "gradient",
                          "%s has no gradient by an operand %s of a result %s",
                          net_prim_info[node_of(g, node).prim].name, type_show(&to).at, type_show(&from).at);
        return -1;
    }
    net_type factor = other < 0 ? from : type_of(g, other);
    if (other >= 0 && (equal || !net_type_equal(&factor, &from))) {
        product = GRAD_NEW(g, NET_mul, NULL, gradient, other);
        other = -1;
    }
    if (equal)
        return product;
    int operand[2] = {product, other};
    int sum = grad_new(g, per_image ? NET_image_sum : NET_chan_sum, operand, other < 0 ? 1 : 2, NULL);
    net_attr whole = {.type = to};
    return per_image ? sum : GRAD_NEW(g, NET_fold, &whole, sum);
}

void grad_broadcast_sum(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    for (int i = 0; i < v.count; i++)
        if (grad_needs(g, node, i))
            grad_give(g, v.operand[i], reduced(g, node, gradient, -1, type_of(g, v.operand[i])));
}

void grad_mul(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    for (int i = 0; i < 2; i++)
        if (grad_needs(g, node, i))
            grad_give(g, v.operand[i], reduced(g, node, gradient, v.operand[1 - i], type_of(g, v.operand[i])));
}

/* ---- candidate weights ------------------------------------------------------------------------------------------- */

/* Batch statistics without gamma and beta: normalise gives the standard value itself. */
static bool is_plain_norm(net_node bn)
{
    return (bn.prim == NET_bn_finish && bn.count == 3) || (bn.prim == NET_bn_exact && bn.count == 2);
}

/* Σ gradient · x by channel. Of a batch norm without affine part, x is x̂: the sum that its own gradient needs. */
static int candidate_sum(net_grad_context *g, int gradient, int x)
{
    net_node v = node_of(g, x);
    if (v.prim == NET_normalise && is_plain_norm(node_of(g, v.operand[1])))
        x = GRAD_NEW(g, NET_standard, NULL, v.operand[0], v.operand[1]);
    return GRAD_NEW(g, NET_chan_sum, NULL, gradient, x);
}

int grad_dot(net_grad_context *g, int gradient, int x)
{
    return GRAD_NEW(g, NET_channel_total, NULL, candidate_sum(g, gradient, x));
}

void grad_mix(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    int row[NET_OPERANDS_MAX], *pick = NEW_ARRAY(g->n->arena, int, v.count), count = 0;
    for (int j = 0; j < v.count - 1; j++) {
        int x = v.operand[j + 1];
        net_attr attr = {.row = v.attr.row, .pick = &v.attr.pick[j]};
        if (grad_needs(g, node, j + 1))
            grad_give(g, x, GRAD_NEW(g, NET_scale, &attr, gradient, v.operand[0]));
        if (grad_needs(g, node, 0) && !net_is_zero(g->n, x)) {
            row[count] = candidate_sum(g, gradient, x);
            pick[count++] = v.attr.pick[j];
        }
    }
    if (count)
        grad_give_row(g, v.operand[0], v.attr.row, pick, grad_new(g, NET_channel_total, row, count, NULL));
}

void grad_scale(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node);
    if (grad_needs(g, node, 0))
        grad_give(g, v.operand[0], GRAD_NEW(g, NET_scale, &v.attr, gradient, v.operand[1]));
    if (grad_needs(g, node, 1)) {
        int sum = candidate_sum(g, gradient, v.operand[0]);
        grad_give_row(g, v.operand[1], v.attr.row, v.attr.pick, GRAD_NEW(g, NET_channel_total, NULL, sum));
    }
}

void grad_row_softmax(net_grad_context *g, int node, int gradient)
{
    grad_give(g, node_of(g, node).operand[0], GRAD_NEW(g, NET_row_softmax_dx, NULL, node, gradient));
}

/* ---- batch norm -------------------------------------------------------------------------------------------------- */

/* A gradient that is a scaled one (attr.row and pick of `weights`) is taken apart, so that the sums are over the
 * unscaled. */
typedef struct scaled {
    int gradient, weights; /* weights: -1 where unscaled */
    net_attr attr;
} scaled;

static scaled unscale(const net_grad_context *g, int gradient)
{
    net_node v = node_of(g, gradient);
    if (v.prim != NET_scale)
        return (scaled){.gradient = gradient, .weights = -1};
    return (scaled){v.operand[0], v.operand[1], {.row = v.attr.row, .pick = v.attr.pick}};
}

static int fold_scaled(net_grad_context *g, const scaled *s, int rows, int like)
{
    net_attr attr = s->attr;
    attr.type = type_of(g, like);
    int operand[2] = {rows, s->weights};
    return grad_new(g, NET_fold, operand, s->weights < 0 ? 1 : 2, &attr);
}

/* y = (x - mean)·scale + shift, with mean and scale of the batch or fixed. */
void grad_normalise(net_grad_context *g, int node, int gradient)
{
    net_node v = node_of(g, node), bn = node_of(g, v.operand[1]);
    bool train = bn.prim != NET_bn_fixed, to_x = grad_needs(g, node, 0);
    int x = v.operand[0], gamma = bn.operand[bn.count - 2], beta = bn.operand[bn.count - 1];
    bool affine = bn.count == (bn.prim == NET_bn_finish ? 5 : bn.prim == NET_bn_exact ? 4 : 3);
    bool to_gamma = affine && g->needs[gamma], to_beta = affine && g->needs[beta];
    scaled s = unscale(g, gradient);
    int sum = -1, product = -1;
    if ((train && to_x) || to_beta)
        sum = GRAD_NEW(g, NET_chan_sum, NULL, s.gradient);
    if ((train && to_x) || to_gamma) {
        int standard = GRAD_NEW(g, NET_standard, NULL, x, v.operand[1]);
        product = GRAD_NEW(g, NET_chan_sum, NULL, s.gradient, standard);
    }
    if (to_x && train) {
        int operand[4] = {sum, product, v.operand[1], s.weights};
        net_attr attr = s.attr;
        attr.h = v.type.h;
        attr.w = v.type.w;
        int coef = grad_new(g, NET_bn_coef, operand, s.weights < 0 ? 3 : 4, &attr);
        grad_give(g, x, GRAD_NEW(g, NET_bn_dx, NULL, s.gradient, x, coef));
    } else if (to_x) {
        grad_give(g, x, GRAD_NEW(g, NET_fixed_dx, NULL, gradient, v.operand[1]));
    }
    if (to_gamma)
        grad_give(g, gamma, fold_scaled(g, &s, product, gamma));
    if (to_beta)
        grad_give(g, beta, fold_scaled(g, &s, sum, beta));
}

/* ---- loss -------------------------------------------------------------------------------------------------------- */

/* The mean over the batch; of cross entropy, in one with it. */
void grad_batch_mean(net_grad_context *g, int node, int gradient)
{
    int x = node_of(g, node).operand[0];
    net_node loss = node_of(g, x);
    if (loss.prim != NET_softmax_xent) {
        grad_give(g, x, GRAD_NEW(g, NET_mean_dx, NULL, x, gradient));
        return;
    }
    net_attr attr = {.value = loss.attr.value};
    grad_give(g, loss.operand[0], GRAD_NEW(g, NET_xent_dx, &attr, loss.operand[0], loss.operand[1], gradient));
}
