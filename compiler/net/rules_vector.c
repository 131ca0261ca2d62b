/* One result an image or less: global pool, losses, candidate weights' gradients, the methods' small arithmetic. */
#include "net/rules.h"

bool shape_global_pool(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_image(x))
        return refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    *result = image_type(x->dtype, 1, 1, x->c);
    return true;
}

bool shape_global_pool_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 0);
    if (!is_image(g) || g->h != 1 || g->w != 1 || node->attr.h < 1 || node->attr.w < 1)
        return refuse(why, size, "gradient %s to a map of %dx%d", type_show(g).at, node->attr.h, node->attr.w);
    *result = image_type(g->dtype, node->attr.h, node->attr.w, g->c);
    return true;
}

static bool labelled(const net *n, const net_node *node, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *labels = operand_type(n, node, 1);
    if (!is_image(x) || x->h != 1 || x->w != 1)
        return refuse(why, size, "logits are %s, expected Nx1x1xCLASSES", type_show(x).at);
    if (!is_image(labels) || labels->dtype != DT_I32 || net_elements(labels) != 1)
        return refuse(why, size, "labels are %s, expected i32 Nx1x1x1", type_show(labels).at);
    return true;
}

bool shape_softmax_xent(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    if (!labelled(n, node, why, size))
        return false;
    *result = image_type(operand_type(n, node, 0)->dtype, 1, 1, 1);
    return true;
}

bool shape_correct(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    return shape_softmax_xent(n, node, result, why, size);
}

bool shape_xent_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    if (!labelled(n, node, why, size))
        return false;
    if (!is_vector(operand_type(n, node, 2), 1, 1))
        return refuse(why, size, "gradient is %s, expected 1x1x1x1", type_show(operand_type(n, node, 2)).at);
    *result = *operand_type(n, node, 0);
    return true;
}

bool shape_batch_mean(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_image(x) || x->h != 1 || x->w != 1)
        return refuse(why, size, "operand is %s, expected Nx1x1xC", type_show(x).at);
    *result = vector_type(x->dtype, 1, x->c);
    return true;
}

bool shape_mean_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 1);
    *result = *operand_type(n, node, 0);
    if (!is_image(result) || result->h != 1 || result->w != 1)
        return refuse(why, size, "operand is %s, expected Nx1x1xC", type_show(result).at);
    return is_vector(g, 1, result->c) ||
           refuse(why, size, "gradient is %s, expected 1x1x1x%d", type_show(g).at, result->c);
}

bool shape_channel_total(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    for (int i = 0; i < node->count; i++) {
        const net_type *t = operand_type(n, node, i);
        if (!t->chunked || t->h != 1 || t->w != 1)
            return refuse(why, size, "operand %d is %s, expected Kx1x1xC", i, type_show(t).at);
    }
    *result = vector_type(operand_type(n, node, 0)->dtype, 1, node->count);
    return true;
}

bool shape_scatter_rows(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *t = &node->attr.type;
    int column = 0;
    if (!is_vector(t, t->w, t->c) || t->w < 1 || t->c < 1 || !node->attr.rows || !node->attr.pick)
        return refuse(why, size, "type is %s, expected 1x1xROWSxCOLUMNS", type_show(t).at);
    for (int i = 0; i < node->count; i++) {
        const net_type *piece = operand_type(n, node, i);
        if (!is_vector(piece, 1, piece->c) || node->attr.rows[i] < 0 || node->attr.rows[i] >= t->w)
            return refuse(why, size, "piece %d is %s, to row %d of %d", i, type_show(piece).at, node->attr.rows[i],
                          t->w);
        for (int c = 0; c < piece->c; c++, column++)
            if (node->attr.pick[column] < 0 || node->attr.pick[column] >= t->c)
                return refuse(why, size, "piece %d goes to column %d of %d", i, node->attr.pick[column], t->c);
    }
    *result = *t;
    return true;
}

bool shape_norm2(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (x->n == NET_BATCH)
        return refuse(why, size, "operand is %s, expected a vector", type_show(x).at);
    *result = vector_type(x->dtype, 1, 1);
    return true;
}
