/* Windows: convolutions, pools, padding, shuffling, and what their gradients are made of. */
#include "net/rules.h"

/* Output length along one dimension; 0 or less where the window does not fit. */
static int64_t window_out(int64_t in, int k, int s, int d, int before, int after)
{
    int64_t room = in + before + after - (int64_t)d * (k - 1) - 1;
    return room < 0 ? 0 : room / s + 1;
}

static bool window_valid(const net_window *v, char *why, size_t size)
{
    if (v->kh < 1 || v->kw < 1)
        return refuse(why, size, "kernel is %dx%d, expected at least 1x1", v->kh, v->kw);
    if (v->sh < 1 || v->sw < 1)
        return refuse(why, size, "stride is %dx%d, expected at least 1x1", v->sh, v->sw);
    if (v->dh < 1 || v->dw < 1)
        return refuse(why, size, "dilation is %dx%d, expected at least 1x1", v->dh, v->dw);
    return true;
}

/* The map that the window makes of x's, in result's h and w. */
static bool window_map(const net_window *v, int in_h, int in_w, int *h, int *w, char *why, size_t size)
{
    if (!window_valid(v, why, size))
        return false;
    int64_t out_h = window_out(in_h, v->kh, v->sh, v->dh, v->top, v->bottom);
    int64_t out_w = window_out(in_w, v->kw, v->sw, v->dw, v->left, v->right);
    if (out_h < 1 || out_w < 1)
        return refuse(why, size, "a %dx%d window (dilation %dx%d, pads %d,%d,%d,%d) does not fit into a map of %dx%d",
                      v->kh, v->kw, v->dh, v->dw, v->top, v->left, v->bottom, v->right, in_h, in_w);
    *h = (int)out_h;
    *w = (int)out_w;
    return true;
}

bool net_is_channelwise(const net *n, const net_node *conv)
{
    int channels = conv->prim == NET_conv_dx ? conv->attr.count : operand_type(n, conv, 0)->c;
    return conv->attr.window.groups == channels;
}

bool net_is_depthwise(const net *n, const net_node *conv)
{
    const net_type *result = conv->prim == NET_conv      ? &conv->type
                             : conv->prim == NET_conv_dx ? operand_type(n, conv, 0)
                                                         : operand_type(n, conv, 1);
    int groups = conv->attr.window.groups;
    return groups > 1 && net_is_channelwise(n, conv) && result->c == groups;
}

bool shape_conv(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *w = operand_type(n, node, 1);
    const net_window *v = &node->attr.window;
    int h = 0, width = 0;
    if (!is_image(x))
        return refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (v->groups < 1 || x->c % v->groups || w->c % v->groups)
        return refuse(why, size, "%d groups do not divide %d input and %d output channels", v->groups, x->c, w->c);
    if (w->n != v->kh || w->h != v->kw || w->w != x->c / v->groups)
        return refuse(why, size, "weights are %s, expected %dx%dx%dxC_OUT", type_show(w).at, v->kh, v->kw,
                      x->c / v->groups);
    if (node->count > 2 && !is_vector(operand_type(n, node, 2), 1, w->c))
        return refuse(why, size, "bias is %s, expected 1x1x1x%d", type_show(operand_type(n, node, 2)).at, w->c);
    if (!window_map(v, x->h, x->w, &h, &width, why, size))
        return false;
    *result = image_type(x->dtype, h, width, w->c);
    return true;
}

bool shape_linear(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *w = operand_type(n, node, 1);
    if (!is_image(x) || x->h != 1 || x->w != 1)
        return refuse(why, size, "input is %s, expected Nx1x1xC", type_show(x).at);
    if (w->n != 1 || w->h != 1 || w->w != x->c)
        return refuse(why, size, "weights are %s, expected 1x1x%dxC_OUT", type_show(w).at, x->c);
    if (node->count > 2 && !is_vector(operand_type(n, node, 2), 1, w->c))
        return refuse(why, size, "bias is %s, expected 1x1x1x%d", type_show(operand_type(n, node, 2)).at, w->c);
    *result = image_type(x->dtype, 1, 1, w->c);
    return true;
}

bool shape_pool(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    const net_window *v = &node->attr.window;
    int h = 0, w = 0;
    if (!is_image(x))
        return refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (!window_map(v, x->h, x->w, &h, &w, why, size))
        return false;
    if (v->top > (v->kh - 1) * v->dh || v->left > (v->kw - 1) * v->dw || v->bottom > (v->kh - 1) * v->dh ||
        v->right > (v->kw - 1) * v->dw)
        return refuse(why, size, "padding of %d,%d,%d,%d lets a %dx%d window lie outside of the map", v->top, v->left,
                      v->bottom, v->right, v->kh, v->kw);
    *result = image_type(x->dtype, h, w, x->c);
    return true;
}

/* Operand `g` has the map that the window makes of attr.h × attr.w. */
static bool gradient_map(const net_node *node, const net_type *g, char *why, size_t size)
{
    int h = 0, w = 0;
    if (!window_map(&node->attr.window, node->attr.h, node->attr.w, &h, &w, why, size))
        return false;
    if (!is_image(g) || g->h != h || g->w != w)
        return refuse(why, size, "gradient is %s, expected Nx%dx%dxC", type_show(g).at, h, w);
    return true;
}

bool shape_conv_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 0), *w = operand_type(n, node, 1);
    const net_window *v = &node->attr.window;
    int channels = node->attr.count;
    if (!gradient_map(node, g, why, size))
        return false;
    if (v->groups < 1 || channels < 1 || channels % v->groups || g->c % v->groups)
        return refuse(why, size, "%d groups do not divide %d and %d channels", v->groups, channels, g->c);
    int rows = channels == v->groups ? 1 : g->c, columns = channels == v->groups ? g->c : channels / v->groups;
    if (w->n != v->kh || w->h != v->kw || w->w != rows || w->c != columns)
        return refuse(why, size, "weights are %s, expected %dx%dx%dx%d", type_show(w).at, v->kh, v->kw, rows, columns);
    *result = image_type(g->dtype, node->attr.h, node->attr.w, channels);
    return true;
}

/* Images of a row of weight gradients over maps of so many pixels. A sum is a chain of additions, which no machine
 * shortens: the fewer they are, the more of them go on side by side. Yet rows are not to outweigh the maps. */
static int images_of_row(const net *n, int64_t pixels, int64_t channels, int64_t weights)
{
    enum { PIXELS = 256, LIGHTER = 8 };
    int images = n->chunk;
    while (images > 1 && images * pixels > PIXELS) {
        int fewer = images - 1;
        while (n->chunk % fewer)
            fewer--;
        if (weights * LIGHTER > fewer * pixels * channels)
            break;
        images = fewer;
    }
    return images;
}

bool shape_conv_dw(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *g = operand_type(n, node, 1);
    const net_window *v = &node->attr.window;
    int h = 0, w = 0;
    if (!is_image(x) || !window_map(v, x->h, x->w, &h, &w, why, size))
        return is_image(x) ? false : refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (!is_image(g) || g->h != h || g->w != w)
        return refuse(why, size, "gradient is %s, expected Nx%dx%dxC", type_show(g).at, h, w);
    if (v->groups < 1 || x->c % v->groups || g->c % v->groups)
        return refuse(why, size, "%d groups do not divide %d and %d channels", v->groups, x->c, g->c);
    int across = v->kw * (x->c / v->groups);
    int images = images_of_row(n, (int64_t)h * w, (int64_t)x->c + g->c, (int64_t)v->kh * across * g->c);
    *result = chunk_type(x->dtype, images, v->kh, across, g->c);
    return true;
}

bool shape_linear_dw(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *g = operand_type(n, node, 1);
    if (!is_image(x) || x->h != 1 || x->w != 1 || !is_image(g) || g->h != 1 || g->w != 1)
        return refuse(why, size, "input is %s and gradient %s, expected Nx1x1xC", type_show(x).at, type_show(g).at);
    *result = (net_type){x->dtype, false, 1, 1, x->c, g->c};
    return true;
}

bool shape_transpose(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *w = operand_type(n, node, 0);
    if (w->n == NET_BATCH)
        return refuse(why, size, "operand is %s, expected weights", type_show(w).at);
    if (node->count > 1 && !is_vector(operand_type(n, node, 1), BN_ROWS, w->c))
        return refuse(why, size, "batch norm's rows are %s, expected 1x1x%dx%d", type_show(operand_type(n, node, 1)).at,
                      BN_ROWS, w->c);
    *result = (net_type){w->dtype, false, w->n, w->h, w->c, w->w};
    return true;
}

bool shape_filter(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *w = operand_type(n, node, 0);
    if (w->n == NET_BATCH)
        return refuse(why, size, "operand is %s, expected weights", type_show(w).at);
    *result = (net_type){w->dtype, false, w->c, w->n, w->h, w->w};
    return true;
}

bool shape_unfilter(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *w = operand_type(n, node, 0);
    if (w->n == NET_BATCH)
        return refuse(why, size, "operand is %s, expected a filter", type_show(w).at);
    if (node->count > 1 && !picks_fit(n, node, 1, 1, why, size))
        return false;
    *result = (net_type){w->dtype, false, w->h, w->w, w->c, w->n};
    return true;
}

static bool library_filter(const net_window *v, const net_type *f, int in, char *why, size_t size)
{
    return (v->groups == 1 && f->n != NET_BATCH && f->h == v->kh && f->w == v->kw && f->c == in) ||
           refuse(why, size, "filter is %s, expected C_OUTx%dx%dx%d", type_show(f).at, v->kh, v->kw, in);
}

bool shape_lib_conv(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *f = operand_type(n, node, 1);
    int h = 0, w = 0;
    if (!is_image(x))
        return refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (!library_filter(&node->attr.window, f, x->c, why, size) ||
        !window_map(&node->attr.window, x->h, x->w, &h, &w, why, size))
        return false;
    *result = image_type(x->dtype, h, w, f->n);
    return true;
}

bool shape_lib_conv_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 0), *f = operand_type(n, node, 1);
    if (!gradient_map(node, g, why, size) || !library_filter(&node->attr.window, f, node->attr.count, why, size))
        return false;
    if (g->c != f->n)
        return refuse(why, size, "gradient has %d channels, the filter %d", g->c, f->n);
    *result = image_type(g->dtype, node->attr.h, node->attr.w, node->attr.count);
    return true;
}

bool shape_lib_conv_dw(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    net_type rows;
    if (!shape_conv_dw(n, node, &rows, why, size))
        return false;
    const net_window *v = &node->attr.window;
    *result = (net_type){rows.dtype, false, rows.c, v->kh, v->kw, operand_type(n, node, 0)->c};
    return v->groups == 1 || refuse(why, size, "%d groups, expected 1", v->groups);
}

bool shape_sum_pool_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 0);
    if (!gradient_map(node, g, why, size))
        return false;
    *result = image_type(g->dtype, node->attr.h, node->attr.w, g->c);
    return true;
}

/* Of so many rows or columns: are those that a window of one reads all inside, and all that lie on the stride read? What
 * `before` cuts off is less than a stride, and than all of them. */
static bool samples(int size, int s, int before, int after)
{
    int64_t out = window_out(size, 1, s, 1, before, after);
    return before <= 0 && before > -s && before > -size && out >= 1 && (out - 1) * s - before < size &&
           (size - 1 + before) / s < out;
}

bool net_moves_pixels(enum net_prim prim)
{
    return prim == NET_subsample || prim == NET_subsample_dx;
}

bool net_is_subsample(const net_window *v, int h, int w)
{
    return v->kh == 1 && v->kw == 1 && samples(h, v->sh, v->top, v->bottom) && samples(w, v->sw, v->left, v->right);
}

bool shape_subsample(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    int h = 0, w = 0;
    if (!is_image(x) || !window_map(&node->attr.window, x->h, x->w, &h, &w, why, size))
        return is_image(x) ? false : refuse(why, size, "input is %s, expected NxHxWxC", type_show(x).at);
    if (!net_is_subsample(&node->attr.window, x->h, x->w))
        return refuse(why, size, "the window reads more than pixels of %s on its stride", type_show(x).at);
    *result = image_type(x->dtype, h, w, x->c);
    return true;
}

bool shape_subsample_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *g = operand_type(n, node, 0);
    const net_attr *a = &node->attr;
    if (!gradient_map(node, g, why, size))
        return false;
    if (!net_is_subsample(&a->window, a->h, a->w))
        return refuse(why, size, "the window reads more than pixels of Nx%dx%dxC on its stride", a->h, a->w);
    *result = image_type(g->dtype, a->h, a->w, g->c);
    return true;
}

bool shape_max_pool_dx(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0), *g = operand_type(n, node, 1);
    int h = 0, w = 0;
    if (!window_map(&node->attr.window, x->h, x->w, &h, &w, why, size))
        return false;
    if (!is_image(x) || !is_image(g) || g->h != h || g->w != w || g->c != x->c)
        return refuse(why, size, "input is %s and gradient %s", type_show(x).at, type_show(g).at);
    *result = *x;
    return true;
}

bool shape_pool_scale(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (!gradient_map(node, x, why, size))
        return false;
    *result = *x;
    return true;
}

bool shape_pad(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    const net_window *v = &node->attr.window;
    int64_t h = (int64_t)x->h + v->top + v->bottom, w = (int64_t)x->w + v->left + v->right;
    if (!is_image(x) || h < 1 || w < 1)
        return refuse(why, size, "pads %d,%d,%d,%d leave nothing of %s", v->top, v->left, v->bottom, v->right,
                      type_show(x).at);
    if (-v->top >= x->h || -v->bottom >= x->h || -v->left >= x->w || -v->right >= x->w)
        return refuse(why, size, "pads %d,%d,%d,%d cut off all of %s", v->top, v->left, v->bottom, v->right,
                      type_show(x).at);
    *result = image_type(x->dtype, (int)h, (int)w, x->c);
    return true;
}

bool shape_shuffle(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (node->attr.window.groups < 1 || x->c % node->attr.window.groups)
        return refuse(why, size, "%d groups do not divide %d channels", node->attr.window.groups, x->c);
    *result = *x;
    return true;
}

bool shape_channel_pad(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    if (node->attr.begin < 0 || node->attr.begin > node->attr.count - x->c)
        return refuse(why, size, "%d channels from %d on do not fit into %d", x->c, node->attr.begin, node->attr.count);
    *result = *x;
    result->c = node->attr.count;
    return true;
}

bool shape_zero(const net *n, const net_node *node, net_type *result, char *why, size_t size)
{
    const net_type *x = operand_type(n, node, 0);
    int sh = node->attr.window.sh, sw = node->attr.window.sw;
    if (!is_image(x) || sh < 1 || sw < 1)
        return refuse(why, size, "stride %dx%d of %s", sh, sw, type_show(x).at);
    *result = image_type(x->dtype, (x->h + sh - 1) / sh, (x->w + sw - 1) / sw, x->c);
    return true;
}
