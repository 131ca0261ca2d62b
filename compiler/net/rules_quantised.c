/* Rules of what quantise writes: maps of bytes. No gradient passes through them. */
#include "net/rules.h"

static bool is_bytes(const net_type *t)
{
    return is_image(t) && t->dtype == DT_U8;
}

static bool refuse_bytes(const net_type *t, char *why, size_t size)
{
    return refuse(why, size, "operand is %s %s, expected u8 NxHxWxC", dtype_info[t->dtype].name, type_show(t).at);
}

bool shape_q_images(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_image(x) || x->dtype != DT_F32)
        return refuse(why, size, "operand is %s, expected f32 NxHxWxC", type_show(x).at);
    *result = image_type(DT_U8, x->h, x->w, x->c);
    return true;
}

bool shape_q_logits(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_bytes(x))
        return refuse_bytes(x, why, size);
    *result = image_type(DT_F32, x->h, x->w, x->c);
    return true;
}

/* A pool's map is what its window makes of x's; so is a convolution's, of attr.count channels. */
bool shape_q_max_pool(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_bytes(x))
        return refuse_bytes(x, why, size);
    return shape_pool(n, node, result, why, size);
}

bool shape_q_avg_pool(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *table = operand_type(n, node, 1);
    const net_window *v = &node->attr.window;
    if (table->dtype != DT_I32 || !is_vector(table, 1, (v->kh + 1) * (v->kw + 1)))
        return refuse(why, size, "the table is %s, expected i32 1x1x1x%d", type_show(table).at,
                      (v->kh + 1) * (v->kw + 1));
    return shape_q_max_pool(n, node, result, why, size);
}

bool shape_q_conv(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *rows = operand_type(n, node, 2);
    const net_window *v = &node->attr.window;
    if (!is_bytes(x))
        return refuse_bytes(x, why, size);
    if (v->groups != 1 && (v->groups != x->c || node->attr.count != x->c))
        return refuse(why, size, "%d groups of %d channels, expected 1 or as many as channels", v->groups, x->c);
    if (rows->dtype != DT_I32 || !is_vector(rows, 4, node->attr.count))
        return refuse(why, size, "rows are %s, expected i32 1x1x4x%d", type_show(rows).at, node->attr.count);
    int64_t h = ((int64_t)x->h + v->top + v->bottom - (int64_t)v->dh * (v->kh - 1) - 1) / v->sh + 1;
    int64_t w = ((int64_t)x->w + v->left + v->right - (int64_t)v->dw * (v->kw - 1) - 1) / v->sw + 1;
    if (h < 1 || w < 1)
        return refuse(why, size, "the window does not fit into a map of %dx%d", x->h, x->w);
    *result = image_type(DT_U8, (int)h, (int)w, node->attr.count);
    return true;
}

bool shape_q_add(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *last = operand_type(n, node, node->count - 1);
    for (int i = 0; i < node->count - 1; i++) {
        const net_type *t = operand_type(n, node, i);
        if (!is_bytes(t) || !net_type_equal(t, x))
            return refuse_bytes(t, why, size);
    }
    if (last->dtype != DT_I32 || !is_vector(last, 1, node->count + 3))
        return refuse(why, size, "coefficients are %s, expected i32 1x1x1x%d", type_show(last).at, node->count + 3);
    *result = *x;
    return true;
}

bool shape_q_global_pool(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *last = operand_type(n, node, 1);
    if (!is_bytes(x))
        return refuse_bytes(x, why, size);
    if (last->dtype != DT_I32 || !is_vector(last, 1, 4))
        return refuse(why, size, "coefficients are %s, expected i32 1x1x1x4", type_show(last).at);
    *result = image_type(DT_U8, 1, 1, x->c);
    return true;
}

net_cost cost_q_conv(const net *n, const net_node *node)
{
    const net_window *v = &node->attr.window;
    int64_t macs = net_elements(&node->type) * v->kh * v->kw * (operand_type(n, node, 0)->c / v->groups);
    int64_t bytes = net_elements(&node->type);
    for (int i = 0; i < node->count; i++)
        bytes += net_elements(operand_type(n, node, i)) * dtype_info[operand_type(n, node, i)->dtype].bytes;
    return (net_cost){macs, 2 * macs, bytes};
}
