/* Leaves, pixel-by-pixel primitives and views. */
#include "net/rules.h"

bool shape_leaf(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    (void)n;
    const net_type *t = &node->attr.type;
    if ((t->n < 1 && t->n != NET_BATCH) || t->h < 1 || t->w < 1 || t->c < 1)
        return refuse(why, size, "type is %s, expected extents of at least 1", type_show(t).at);
    *result = *t;
    return true;
}

bool shape_same(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    *result = *operand_type(n, node, 0);
    for (int i = 1; i < node->count; i++)
        if (!net_type_equal(result, operand_type(n, node, i)))
            return refuse(why, size, "operands are %s and %s, expected equal ones", type_show(result).at,
                          type_show(operand_type(n, node, i)).at);
    return true;
}

static bool broadcast_extent(int *into, int from)
{
    if (*into == from || from == 1)
        return true;
    if (*into != 1)
        return false;
    *into = from;
    return true;
}

bool shape_broadcast(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    *result = *operand_type(n, node, 0);
    for (int i = 1; i < node->count; i++) {
        const net_type *t = operand_type(n, node, i);
        net_type before = *result;
        bool fits = t->dtype == result->dtype && t->chunked == result->chunked;
        fits = fits && broadcast_extent(&result->n, t->n) && broadcast_extent(&result->h, t->h);
        fits = fits && broadcast_extent(&result->w, t->w) && broadcast_extent(&result->c, t->c);
        if (!fits)
            return refuse(why, size, "operands are %s and %s, expected equal extents or 1", type_show(&before).at,
                          type_show(t).at);
    }
    return true;
}

bool shape_bias(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *b = operand_type(n, node, 1);
    if (!is_vector(b, 1, x->c))
        return refuse(why, size, "bias is %s, expected 1x1x1x%d", type_show(b).at, x->c);
    *result = *x;
    return true;
}

bool shape_mix(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    if (!picks_fit(n, node, 0, node->count - 1, why, size))
        return false;
    *result = *operand_type(n, node, 1);
    for (int i = 2; i < node->count; i++)
        if (!net_type_equal(result, operand_type(n, node, i)))
            return refuse(why, size, "candidates are %s and %s, expected equal ones", type_show(result).at,
                          type_show(operand_type(n, node, i)).at);
    return true;
}

bool shape_scale(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    if (!picks_fit(n, node, 1, 1, why, size))
        return false;
    *result = *operand_type(n, node, 0);
    return true;
}

bool shape_concat(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    *result = *operand_type(n, node, 0);
    int64_t channels = result->c;
    for (int i = 1; i < node->count; i++) {
        const net_type *t = operand_type(n, node, i);
        if (t->dtype != result->dtype || t->chunked != result->chunked || t->n != result->n || t->h != result->h ||
            t->w != result->w)
            return refuse(why, size, "operands are %s and %s, expected equal maps", type_show(result).at,
                          type_show(t).at);
        channels += t->c;
    }
    if (channels > INT32_MAX)
        return refuse(why, size, "more channels than an int counts");
    result->c = (int)channels;
    return true;
}

bool shape_slice(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    int begin = node->attr.begin, count = node->attr.count;
    if (begin < 0 || count < 1 || begin > x->c - count)
        return refuse(why, size, "channels [%d, %lld) of %d", begin, (long long)begin + count, x->c);
    *result = *x;
    result->c = count;
    return true;
}

bool shape_select(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    int first = node->attr.first_region;
    if (first < 1 || first > n->regions.count - node->count)
        return refuse(why, size, "regions %d to %d of %d", first, first + node->count - 1, n->regions.count);
    for (int k = 0; k < node->count; k++) {
        const net_region *region = &n->regions.at[first + k];
        if (region->select != node->attr.select || region->candidate != k || region->parent != node->region)
            return refuse(why, size, "region %d is not candidate %d of choice %d", first + k, k, node->attr.select);
    }
    return shape_same(n, node, result, why, size);
}
