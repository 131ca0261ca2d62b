/* A library's convolution reads and writes memory and has its own order of sums: so it is a node of its own kind, which
 * fuse leaves alone, and its filter is what `filter` makes of the weights. The gradient of the filter comes whole, not by
 * chunks, and `unfilter` does what `fold` did. */
#include "net/library.h"
#include "net/copy.h"
#include "net/fuse.h"
#include "net/settle.h"

typedef struct giver {
    arena *a;
    const net *from;
    net *to;
    const net_library *library;
    const int *owner;
    int batch;
    bool *given;           /* of each old node: the library computes it */
    int *map, *filter;     /* of each old node: its copy; of weights: their filter, or -1 */
    int *readers, *missed; /* of each old node: who reads it, and how many of them will not */
    nasc_diag *d;
} giver;

static const net_node *at(const giver *g, int node)
{
    return &g->from->nodes.at[node];
}

/* ---- what can be given ------------------------------------------------------------------------------------------- */

static int pixel_of(const net *n, int value, const int *owner)
{
    return n->nodes.at[owner[value]].type.c;
}

program_conv net_library_conv(const net *n, int node, const int *owner)
{
    const net_node *v = &n->nodes.at[node];
    bool back = v->prim == NET_conv_dx || v->prim == NET_lib_conv_dx,
         rows = v->prim == NET_conv_dw || v->prim == NET_lib_conv_dw;
    int x = back ? node : v->operand[0], y = back ? v->operand[0] : rows ? v->operand[1] : node;
    const net_type *from = &n->nodes.at[x].type, *to = &n->nodes.at[y].type;
    const net_window *w = &v->attr.window;
    return (program_conv){.kind = back   ? CONV_DATA
                                  : rows ? CONV_FILTER
                                         : CONV_FORWARD,
                          .x_h = from->h,
                          .x_w = from->w,
                          .x_c = from->c,
                          .x_pixel = pixel_of(n, x, owner),
                          .y_h = to->h,
                          .y_w = to->w,
                          .y_c = to->c,
                          .y_pixel = pixel_of(n, y, owner),
                          .kh = w->kh,
                          .kw = w->kw,
                          .sh = w->sh,
                          .sw = w->sw,
                          .dh = w->dh,
                          .dw = w->dw,
                          .top = w->top,
                          .left = w->left,
                          .bottom = w->bottom,
                          .right = w->right};
}

/* Has the value memory of its own, or a place in some, dense in all but pixels? */
static bool is_stored(const giver *g, int node)
{
    enum net_prim prim = at(g, node)->prim;
    return net_is_map_sized(&at(g, node)->type) && prim != NET_slice && prim != NET_constant;
}

/* The gradient of weights is read by a fold; the weights of a gradient are transposed, and no more. */
static bool has_its_neighbours(const giver *g, int node)
{
    const net_node *v = at(g, node);
    if (v->prim == NET_conv_dx)
        return at(g, v->operand[1])->prim == NET_transpose && at(g, v->operand[1])->count == 1;
    if (v->prim != NET_conv_dw)
        return true;
    for (int i = node + 1; i < g->from->nodes.count; i++)
        for (int k = 0; k < at(g, i)->count; k++)
            if (at(g, i)->operand[k] == node && at(g, i)->prim != NET_fold)
                return false;
    return true;
}

static bool is_given(const giver *g, int node)
{
    const net_node *v = at(g, node);
    const net_window *w = &v->attr.window;
    int64_t workspace;
    bool conv = v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw;
    if (!conv || v->region != 0 || w->groups != 1 || w->top < 0 || w->left < 0 || w->bottom < 0 || w->right < 0)
        return false;
    bool stored = is_stored(g, v->operand[0]) && is_stored(g, v->prim == NET_conv_dw ? v->operand[1] : node);
    if (!stored || !has_its_neighbours(g, node))
        return false;
    program_conv c = net_library_conv(g->from, node, g->owner);
    return g->library->takes(g->library->user, &c, g->batch, &workspace);
}

static void choose(giver *g)
{
    for (int i = 0; i < g->from->nodes.count; i++) {
        const net_node *v = at(g, i);
        g->given[i] = is_given(g, i);
        for (int k = 0; k < v->count; k++)
            g->readers[v->operand[k]]++;
        if (g->given[i] && v->prim == NET_conv_dx)
            g->missed[v->operand[1]]++;
    }
}

/* ---- rewriting --------------------------------------------------------------------------------------------------- */

/* The filter of weights, laid out once. */
static int filter_of(giver *g, int weights)
{
    int *made = &g->filter[weights];
    if (*made < 0) {
        g->to->region = 0;
        *made = net_add(g->to, NET_filter, &g->map[weights], 1, NULL, at(g, weights)->name, g->d);
    }
    return *made;
}

static int give(giver *g, int node)
{
    const net_node *v = at(g, node);
    bool back = v->prim == NET_conv_dx, rows = v->prim == NET_conv_dw;
    int weights = back ? at(g, v->operand[1])->operand[0] : v->operand[1];
    const int operand[] = {g->map[v->operand[0]], rows ? g->map[v->operand[1]] : filter_of(g, weights)};
    g->to->region = v->region;
    return operand[1] < 0 ? -1
                          : net_add(g->to,
                                    back   ? NET_lib_conv_dx
                                    : rows ? NET_lib_conv_dw
                                           : NET_lib_conv,
                                    operand, 2, &v->attr, v->name, g->d);
}

static int rewrite(giver *g, int node)
{
    const net_node *v = at(g, node);
    if (g->given[node])
        return give(g, node);
    if (v->prim != NET_fold || !g->given[v->operand[0]])
        return net_copy_node(g->to, g->from, node, g->map, g->d);
    const int operand[] = {g->map[v->operand[0]], v->count > 1 ? g->map[v->operand[1]] : -1};
    net_attr attr = {.row = v->attr.row, .pick = v->attr.pick};
    g->to->region = v->region;
    return net_add(g->to, NET_unfilter, operand, v->count, &attr, v->name, g->d);
}

static bool is_missed(const giver *g, int node)
{
    return g->readers[node] > 0 && g->missed[node] == g->readers[node];
}

net *net_give_to_library(arena *a, const net *n, const net_library *l, int batch, nasc_diag *d)
{
    int count = n->nodes.count;
    giver g = {.a = a, .from = n, .to = net_copy_frame(a, n), .library = l, .batch = batch, .d = d};
    g.owner = net_owners(a, n);
    g.given = NEW_ARRAY(a, bool, count + 1);
    g.map = NEW_ARRAY(a, int, count + 1);
    g.filter = NEW_ARRAY(a, int, count + 1);
    g.readers = NEW_ARRAY(a, int, count + 1);
    g.missed = NEW_ARRAY(a, int, count + 1);
    choose(&g);
    for (int i = 0; i < count; i++)
        g.filter[i] = -1;
    for (int i = 0; i < count; i++) {
        if (!is_missed(&g, i) && (g.map[i] = rewrite(&g, i)) < 0)
            return NULL;
    }
    net_copy_outputs(g.to, n, g.map);
    g.to->region = 0;
    return g.to;
}
