/* The table of primitives, and what its rules share. */
#include "net/rules.h"
#include <stdio.h>

const struct net_prim_info net_prim_info[NET_PRIM_COUNT] = {
#define X(name, least, most, class)                                                                                    \
    [NET_##name] = {#name, least, most, NET_##class, shape_##name, grad_##name, cost_##name},
    NET_PRIMS(X)
#undef X
};

int64_t net_elements(const net_type *t)
{
    int64_t rows = t->n == NET_BATCH ? 1 : t->n;
    return rows * t->h * t->w * t->c;
}

int64_t net_words(const net_type *t)
{
    int64_t elements = net_elements(t);
    return dtype_info[t->dtype].bytes == 1 ? (elements + 3) / 4 : elements;
}

bool net_type_equal(const net_type *a, const net_type *b)
{
    return a->dtype == b->dtype && a->chunked == b->chunked && a->n == b->n && a->h == b->h && a->w == b->w &&
           a->c == b->c;
}

bool refuse(char *why, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return false;
}

type_text type_show(const net_type *t)
{
    type_text s;
    if (t->n == NET_BATCH)
        snprintf(s.at, sizeof s.at, "%sx%dx%dx%d", t->chunked ? "K" : "N", t->h, t->w, t->c);
    else
        snprintf(s.at, sizeof s.at, "%dx%dx%dx%d", t->n, t->h, t->w, t->c);
    return s;
}

bool is_vector(const net_type *t, int rows, int channels)
{
    return t->n == 1 && t->h == 1 && t->w == rows && t->c == channels && !t->chunked;
}

bool is_image(const net_type *t)
{
    return t->n == NET_BATCH && !t->chunked;
}

net_type vector_type(enum dtype dtype, int rows, int channels)
{
    return (net_type){dtype, 0, 1, 1, rows, channels};
}

net_type image_type(enum dtype dtype, int h, int w, int c)
{
    return (net_type){dtype, 0, NET_BATCH, h, w, c};
}

net_type chunk_type(enum dtype dtype, int images, int h, int w, int c)
{
    return (net_type){dtype, images, NET_BATCH, h, w, c};
}

bool picks_fit(const net *n, const net_node *node, int i, int picks, char *why, size_t size)
{
    const net_type *t = operand_type(n, node, i);
    if (t->n != 1 || t->h != 1 || t->chunked)
        return refuse(why, size, "candidate weights are %s, expected 1x1xROWSxCOLUMNS", type_show(t).at);
    if (node->attr.row < 0 || node->attr.row >= t->w)
        return refuse(why, size, "row %d of candidate weights %s", node->attr.row, type_show(t).at);
    if (!node->attr.pick)
        return refuse(why, size, "no columns of the candidate weights are named");
    for (int j = 0; j < picks; j++)
        if (node->attr.pick[j] < 0 || node->attr.pick[j] >= t->c)
            return refuse(why, size, "column %d of candidate weights %s", node->attr.pick[j], type_show(t).at);
    return true;
}
