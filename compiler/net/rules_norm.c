/* Batch norm, whole and in parts, and the sums that it and the gradients of vectors stand on. */
#include "net/rules.h"

static bool affine_fits(const net *n, const net_node *node, int first, int channels, char *why, size_t size)
{
    if (node->count != first && node->count != first + 2)
        return refuse(why, size, "%d operands, expected %d, or %d with gamma and beta", node->count, first, first + 2);
    for (int i = first; i < node->count; i++)
        if (!is_vector(operand_type(n, node, i), 1, channels))
            return refuse(why, size, "%s is %s, expected 1x1x1x%d", i == first ? "gamma" : "beta",
                          type_show(operand_type(n, node, i)).at, channels);
    return true;
}

static bool running_fits(const net *n, const net_node *node, int i, int channels, char *why, size_t size)
{
    if (!is_vector(operand_type(n, node, i), 2, channels))
        return refuse(why, size, "running statistics are %s, expected 1x1x2x%d", type_show(operand_type(n, node, i)).at,
                      channels);
    return true;
}

/* Operand i: a row a chunk of `channels` sums. */
static bool rows_fit(const net *n, const net_node *node, int i, int channels, char *why, size_t size)
{
    const net_type *t = operand_type(n, node, i);
    if (!t->chunked || t->h != 1 || t->w != 1 || t->c != channels)
        return refuse(why, size, "sums are %s, expected Kx1x1x%d", type_show(t).at, channels);
    return true;
}

static bool pixels_given(const net_node *node, char *why, size_t size)
{
    if (node->attr.h < 1 || node->attr.w < 1)
        return refuse(why, size, "map of %dx%d", node->attr.h, node->attr.w);
    return true;
}

bool shape_batch_norm(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_image(x))
        return refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (!running_fits(n, node, 1, x->c, why, size) || !affine_fits(n, node, 2, x->c, why, size))
        return false;
    *result = *x;
    return true;
}

bool shape_centre(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *rows = operand_type(n, node, 1);
    if (rows->n != 1 || rows->h != 1 || rows->c != x->c)
        return refuse(why, size, "rows are %s, expected 1x1xROWSx%d", type_show(rows).at, x->c);
    *result = *x;
    return true;
}

bool shape_with_bn(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *bn = operand_type(n, node, 1);
    if (!is_vector(bn, BN_ROWS, x->c))
        return refuse(why, size, "batch norm's rows are %s, expected 1x1x%dx%d", type_show(bn).at, BN_ROWS, x->c);
    *result = *x;
    return true;
}

bool shape_bn_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 0), *x = operand_type(n, node, 1), *coef = operand_type(n, node, 2);
    if (!net_type_equal(g, x) || !is_vector(coef, COEF_ROWS, x->c))
        return refuse(why, size, "gradient %s, input %s, coefficients %s", type_show(g).at, type_show(x).at,
                      type_show(coef).at);
    *result = *x;
    return true;
}

bool shape_chan_sum(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *a = operand_type(n, node, 0);
    if (!is_image(a) || (node->count > 1 && !net_type_equal(a, operand_type(n, node, 1))))
        return refuse(why, size, "operands are %s and %s, expected equal NxHxWxC", type_show(a).at,
                      type_show(operand_type(n, node, node->count - 1)).at);
    *result = chunk_type(a->dtype, n->chunk, 1, 1, a->c);
    return true;
}

bool shape_image_sum(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    if (!shape_chan_sum(n, node, result, why, size))
        return false;
    *result = image_type(result->dtype, 1, 1, result->c);
    return true;
}

bool shape_row_sum(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    if (!shape_chan_sum(n, node, result, why, size))
        return false;
    *result = image_type(result->dtype, operand_type(n, node, 0)->h, 1, result->c);
    return true;
}

bool shape_bn_finish(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    int channels = operand_type(n, node, 0)->c;
    if (!rows_fit(n, node, 0, channels, why, size) || !rows_fit(n, node, 1, channels, why, size))
        return false;
    if (!running_fits(n, node, 2, channels, why, size) || !affine_fits(n, node, 3, channels, why, size))
        return false;
    if (!pixels_given(node, why, size))
        return false;
    *result = vector_type(operand_type(n, node, 0)->dtype, BN_ROWS, channels);
    return true;
}

bool shape_bn_exact(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!is_image(x))
        return refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (!running_fits(n, node, 1, x->c, why, size) || !affine_fits(n, node, 2, x->c, why, size))
        return false;
    *result = vector_type(x->dtype, BN_ROWS, x->c);
    return true;
}

bool shape_first_pixel(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    *result = vector_type(x->dtype, 1, x->c);
    return is_image(x) || refuse(why, size, "operand is %s, expected NxHxWxC", type_show(x).at);
}

bool shape_bn_gram(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *gram = operand_type(n, node, 0), *pivot = operand_type(n, node, 2), *w = operand_type(n, node, 3);
    if (!gram->chunked || gram->h != 1 || gram->w != gram->c || !is_vector(pivot, 1, gram->c) ||
        !is_vector(w, gram->c, w->c))
        return refuse(why, size, "Gram matrix is %s, pivot %s and weights %s, expected Kx1xCxC, 1x1x1xC and 1x1xCxO",
                      type_show(gram).at, type_show(pivot).at, type_show(w).at);
    if (!rows_fit(n, node, 1, gram->c, why, size))
        return false;
    if (!affine_fits(n, node, 4, w->c, why, size) || !pixels_given(node, why, size))
        return false;
    *result = vector_type(w->dtype, BN_ROWS, w->c);
    return true;
}

/* Transposed weights (co,ci) and coefficients a co. */
static bool taken_back(const net *n, const net_node *node, char *why, size_t size)
{
    const net_type *w = operand_type(n, node, 0), *coef = operand_type(n, node, 1);
    return (is_vector(w, w->w, w->c) && is_vector(coef, COEF_ROWS, w->w)) ||
           refuse(why, size, "weights %s and coefficients %s, expected 1x1xOxC and 1x1x%dxO", type_show(w).at,
                  type_show(coef).at, COEF_ROWS);
}

bool shape_bn_dx_weights(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *w = operand_type(n, node, 0);
    *result = vector_type(w->dtype, w->c, w->c);
    return taken_back(n, node, why, size);
}

bool shape_bn_dx_bias(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *w = operand_type(n, node, 0);
    *result = vector_type(w->dtype, 1, w->c);
    return taken_back(n, node, why, size);
}

bool shape_bn_fixed(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    int channels = operand_type(n, node, 0)->c;
    if (!running_fits(n, node, 0, channels, why, size) || !affine_fits(n, node, 1, channels, why, size))
        return false;
    *result = vector_type(operand_type(n, node, 0)->dtype, BN_ROWS, channels);
    return true;
}

bool shape_bn_move(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *bn = operand_type(n, node, 1);
    if (!running_fits(n, node, 0, bn->c, why, size) || !pixels_given(node, why, size))
        return false;
    if (!is_vector(bn, BN_ROWS, bn->c))
        return refuse(why, size, "batch norm's rows are %s, expected 1x1x%dxC", type_show(bn).at, BN_ROWS);
    *result = *operand_type(n, node, 0);
    return true;
}

bool shape_bn_coef(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *bn = operand_type(n, node, 2);
    if (!rows_fit(n, node, 0, bn->c, why, size) || !rows_fit(n, node, 1, bn->c, why, size))
        return false;
    if (!is_vector(bn, BN_ROWS, bn->c))
        return refuse(why, size, "batch norm's rows are %s, expected 1x1x%dxC", type_show(bn).at, BN_ROWS);
    if (node->count > 3 && !picks_fit(n, node, 3, 1, why, size))
        return false;
    if (!pixels_given(node, why, size))
        return false;
    *result = vector_type(bn->dtype, COEF_ROWS, bn->c);
    return true;
}

bool shape_fold(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *rows = operand_type(n, node, 0);
    if (!rows->chunked)
        return refuse(why, size, "operand is %s, expected chunk rows", type_show(rows).at);
    if (node->attr.type.n == NET_BATCH || net_elements(&node->attr.type) != net_elements(rows))
        return refuse(why, size, "chunk rows %s as %s", type_show(rows).at, type_show(&node->attr.type).at);
    if (node->count > 1 && !picks_fit(n, node, 1, 1, why, size))
        return false;
    *result = node->attr.type;
    return true;
}
