/* Pointwise convolutions with a stride, as convolutions of the pixels that they read. As windows they would have a tile of
 * the whole map made, of which they leave most out, and store a gradient that is zeros but for one pixel in so many. */
#include "net/strides.h"
#include "net/copy.h"

#include <string.h>

typedef struct strider {
    arena *a;
    const net *from;
    net *to;
    int *map;         /* of each old node, its copy */
    VEC(int) samples; /* in the new net */
    nasc_diag *d;
} strider;

/* Is it a convolution, or a gradient of one, that reads single pixels, some of them? */
static bool is_strided(const net *n, const net_node *v)
{
    const net_window *w = &v->attr.window;
    if ((v->prim != NET_conv && v->prim != NET_conv_dx && v->prim != NET_conv_dw) || v->count != 2 ||
        w->kh * w->kw > 1 || w->sh * w->sw == 1 || w->groups > 1)
        return false;
    const net_type *x = &n->nodes.at[v->operand[0]].type;
    return v->prim == NET_conv_dx ? net_is_subsample(w, v->attr.h, v->attr.w) : net_is_subsample(w, x->h, x->w);
}

/* In v's name. */
static int add(strider *s, const net_node *v, int region, enum net_prim prim, const int *operand, int count,
               const net_attr *attr)
{
    s->to->region = region;
    return net_add(s->to, prim, operand, count, attr, v->name, s->d);
}

/* The pixels of x, of the new net, that v's window reads: in x's region, where all that read x see them. */
static int sample_of(strider *s, const net_node *v, int x)
{
    const net_window *w = &v->attr.window;
    for (int i = 0; i < s->samples.count; i++) {
        const net_node *sample = &s->to->nodes.at[s->samples.at[i]];
        if (sample->operand[0] == x && memcmp(&sample->attr.window, w, sizeof *w) == 0)
            return s->samples.at[i];
    }
    int node = add(s, v, s->to->nodes.at[x].region, NET_subsample, &x, 1, &(net_attr){.window = *w});
    if (node >= 0)
        VEC_PUSH(s->a, &s->samples, node);
    return node;
}

/* The same of a map that holds these pixels alone. */
static net_attr pointwise(const net_attr *attr)
{
    net_attr one = *attr;
    one.window = (net_window){1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    return one;
}

static int rewrite(strider *s, const net_node *v)
{
    int operand[2] = {s->map[v->operand[0]], s->map[v->operand[1]]};
    net_attr attr = pointwise(&v->attr);
    if (v->prim != NET_conv_dx) {
        operand[0] = sample_of(s, v, operand[0]);
        return operand[0] < 0 ? -1 : add(s, v, v->region, v->prim, operand, 2, &attr);
    }
    const net_type *g = &s->to->nodes.at[operand[0]].type;
    attr.h = g->h;
    attr.w = g->w;
    int dx = add(s, v, v->region, NET_conv_dx, operand, 2, &attr);
    net_attr spread = {.window = v->attr.window, .h = v->attr.h, .w = v->attr.w};
    return dx < 0 ? -1 : add(s, v, v->region, NET_subsample_dx, &dx, 1, &spread);
}

const net *net_sample_strides(arena *a, const net *n, nasc_diag *d)
{
    bool any = false;
    for (int i = 0; i < n->nodes.count; i++)
        any |= is_strided(n, &n->nodes.at[i]);
    if (!any)
        return n;
    strider s = {.a = a, .from = n, .to = net_copy_frame(a, n), .d = d};
    s.map = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        s.map[i] = is_strided(n, v) ? rewrite(&s, v) : net_copy_node(s.to, n, i, s.map, d);
        if (s.map[i] < 0)
            return NULL;
    }
    net_copy_outputs(s.to, n, s.map);
    s.to->region = 0;
    return s.to;
}
