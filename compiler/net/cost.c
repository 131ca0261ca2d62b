/* Cost rules: multiply-adds, arithmetic and bytes of a node for one image, were nothing fused. Multiply-adds count
 * convolutions and linear layers alone, as the field's tables do. */
#include "net/rules.h"

static int64_t bytes_moved(const net *n, const net_node *node)
{
    int64_t bytes = net_elements(&node->type) * dtype_info[node->type.dtype].bytes;
    for (int i = 0; i < node->count; i++) {
        const net_type *t = operand_type(n, node, i);
        bytes += net_elements(t) * dtype_info[t->dtype].bytes;
    }
    return bytes;
}

net_cost cost_free(const net *n, const net_node *node)
{
    (void)n;
    (void)node;
    return (net_cost){0};
}

/* One operation for every element of the largest tensor and operand. */
net_cost cost_map(const net *n, const net_node *node)
{
    int64_t largest = net_elements(&node->type);
    for (int i = 0; i < node->count; i++) {
        int64_t elements = net_elements(operand_type(n, node, i));
        largest = elements > largest ? elements : largest;
    }
    return (net_cost){0, largest * (node->count > 0 ? node->count : 1), bytes_moved(n, node)};
}

/* One operation between each operand and the next, for every element. */
net_cost cost_between(const net *n, const net_node *node)
{
    return (net_cost){0, (node->count - 1) * net_elements(&node->type), bytes_moved(n, node)};
}

net_cost cost_madds(const net *n, const net_node *node)
{
    return (net_cost){0, 2 * (node->count - 1) * net_elements(&node->type), bytes_moved(n, node)};
}

/* A multiply-add for each pair of channels that is read, of each that is made. */
net_cost cost_bn_gram(const net *n, const net_node *node)
{
    return (net_cost){0, 2 * net_elements(operand_type(n, node, 0)) * node->type.c, bytes_moved(n, node)};
}

/* Likewise for each weight, of each column of the result; and for each weight. */
net_cost cost_bn_dx_weights(const net *n, const net_node *node)
{
    return (net_cost){0, 2 * net_elements(operand_type(n, node, 0)) * node->type.c, bytes_moved(n, node)};
}

net_cost cost_bn_dx_bias(const net *n, const net_node *node)
{
    return (net_cost){0, 2 * net_elements(operand_type(n, node, 0)), bytes_moved(n, node)};
}

/* A tap of a window: added or compared; the gradient of a max pool finds the maximum again, and adds. */
net_cost cost_window(const net *n, const net_node *node)
{
    bool gradient = node->prim == NET_sum_pool_dx || node->prim == NET_max_pool_dx;
    int64_t windows = net_elements(gradient ? operand_type(n, node, node->count - 1) : &node->type);
    int64_t taps = (int64_t)node->attr.window.kh * node->attr.window.kw * (node->prim == NET_max_pool_dx ? 2 : 1);
    return (net_cost){0, windows * taps, bytes_moved(n, node)};
}

/* Of conv, linear and their gradients: all do the forward's multiply-adds, an output pixel × a tap × a channel pair. */
net_cost cost_conv(const net *n, const net_node *node)
{
    const net_type *x = operand_type(n, node, 0);
    const net_window *window = &node->attr.window;
    int64_t macs;
    if (node->prim == NET_conv_dw || node->prim == NET_lib_conv_dw) /* rows: taps × channel pairs; g: output pixels */
        macs = net_elements(&node->type) * operand_type(n, node, 1)->h * operand_type(n, node, 1)->w;
    else if (node->prim == NET_linear_dw)
        macs = net_elements(&node->type);
    else if (node->prim == NET_conv_dx || node->prim == NET_lib_conv_dx)
        macs = net_elements(x) * window->kh * window->kw * (node->attr.count / window->groups);
    else if (node->prim == NET_linear)
        macs = net_elements(&node->type) * x->c;
    else
        macs = net_elements(&node->type) * window->kh * window->kw * (x->c / window->groups);
    return (net_cost){macs, 2 * macs, bytes_moved(n, node)};
}

net_cost net_cost_total(const net *n)
{
    net_cost total = {0};
    for (int i = 0; i < n->nodes.count; i++) {
        net_cost one = net_prim_info[n->nodes.at[i].prim].cost(n, &n->nodes.at[i]);
        total.macs += one.macs;
        total.flops += one.flops;
        total.bytes += one.bytes;
    }
    return total;
}
