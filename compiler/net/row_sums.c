/* A GPU's threads hold some rows of a map, not an image as a CPU's do: of a sum over all pixels each kernel can add up the
 * rows, while it has them, and what is left are the sums of rows. Norms add up those that they need themselves: each has
 * sums of its own, which others share. */
#include "net/row_sums.h"
#include "net/copy.h"

enum {
    QUAD = 4, /* pixels of a thread, side by side */
    TILE_PIXELS = 16,
    TILE_INNER = 4, /* a tile of fewer pixels, or input channels, leaves most of its threads without work */
    TILE_STEP = 16, /* its pixels come in fours, and fours of those */
    PIXELS_MOST = 128,
    ROW_LEAST = 4, /* a shorter row is hardly less than a sum of it */
    TAPS_MOST = 7,
    DILATION_MOST = 8
};

/* ---- what has whole rows ----------------------------------------------------------------------------------------- */

bool net_goes_by_tiles(const net *n, int node)
{
    const net_node *v = &n->nodes.at[node];
    return (v->prim == NET_conv || v->prim == NET_conv_dx) && net_is_pointwise(&v->attr.window) &&
           v->type.h * v->type.w >= TILE_PIXELS && n->nodes.at[v->operand[0]].type.c >= TILE_INNER;
}

int net_row_tile(const net *n, int node)
{
    const net_type *t = &n->nodes.at[node].type;
    int pixels = t->w;
    while (pixels % TILE_STEP)
        pixels += t->w;
    return net_goes_by_tiles(n, node) && pixels <= PIXELS_MOST && pixels < 2 * t->h * t->w ? pixels : 0;
}

bool net_goes_by_rows(const net *n, int node)
{
    const net_node *v = &n->nodes.at[node];
    const net_window *w = &v->attr.window;
    return v->prim == NET_conv_dx && net_is_depthwise(n, v) && w->sh == 1 && w->sw == 1 && w->kw <= TAPS_MOST &&
           w->dw <= DILATION_MOST && v->type.w % QUAD == 0 && v->type.w <= PIXELS_MOST && v->type.w > QUAD;
}

/* Does reading `x` compute it, by something that may not have whole rows? */
static bool is_computed(const fusion *f, int x)
{
    const net_node *v = &f->n->nodes.at[x];
    return (f->place[x] == PLACE_INLINE || f->place[x] == PLACE_REGISTER) && net_prim_info[v->prim].class != NET_VIEW &&
           net_is_map_sized(&v->type);
}

bool fusion_makes_rows(const fusion *f, int root)
{
    const net_node *v = &f->n->nodes.at[root];
    if (net_prim_info[v->prim].class == NET_WINDOW)
        return net_row_tile(f->n, root) > 0 || net_goes_by_rows(f->n, root);
    if (net_prim_info[v->prim].class != NET_MAP || v->type.w < ROW_LEAST)
        return false;
    for (int k = 0; k < v->count; k++) {
        int x = v->operand[k];
        if (f->place[x] == PLACE_CHIP || (is_computed(f, x) && !fusion_makes_rows(f, x)))
            return false;
    }
    return true;
}

/* ---- splitting --------------------------------------------------------------------------------------------------- */

typedef struct splitter {
    const net *from;
    net *to;
    const fusion *f; /* of `from` */
    int *map,
        *rows;   /* of each old node: its copy, of a sum that is split where something reads it; its sum of rows; -1 */
    bool *taken; /* of each sum: a norm reads its copy */
    nasc_diag *d;
} splitter;

/* The newest tensor of full size that a value is made of through maps of its pixels; -1: there is none. */
static int newest_source(const net *n, int node)
{
    const net_node *v = &n->nodes.at[node];
    int newest = -1;
    if (!net_is_map_sized(&v->type))
        return -1;
    if (net_prim_info[v->prim].class != NET_MAP)
        return node;
    for (int k = 0; k < v->count; k++) {
        int source = newest_source(n, v->operand[k]);
        newest = source > newest ? source : newest;
    }
    return newest;
}

/* Is it a sum of what one kernel has whole rows of when it stores them? */
static bool rides(const splitter *p, const net_node *sum)
{
    int x = sum->operand[0], other = newest_source(p->from, sum->operand[sum->count - 1]);
    bool stored = p->f->place[x] == PLACE_MEMORY && net_prim_info[p->from->nodes.at[x].prim].class == NET_MAP;
    int root = stored ? x : newest_source(p->from, x);
    return root >= 0 && p->f->place[root] == PLACE_MEMORY && p->f->group_of[root] >= 0 && other <= root &&
           p->from->nodes.at[root].region == sum->region && fusion_makes_rows(p->f, root);
}

static int add_rows(splitter *p, const net_node *sum)
{
    const int operand[] = {p->map[sum->operand[0]], p->map[sum->operand[sum->count - 1]]};
    p->to->region = sum->region;
    return net_add(p->to, NET_row_sum, operand, sum->count, NULL, sum->name, p->d);
}

/* The sum of what `rows` has of sum number `sum`, once more. */
static int add_sum(splitter *p, int sum)
{
    const net_node *v = &p->from->nodes.at[sum];
    p->to->region = v->region;
    return net_add(p->to, NET_chan_sum, &p->rows[sum], 1, NULL, v->name, p->d);
}

/* A sum that a norm has for itself among norms, or that others find there. */
static int give_sum(splitter *p, int sum, bool norm)
{
    if (p->map[sum] < 0 || (norm && p->taken[sum]))
        p->map[sum] = add_sum(p, sum);
    p->taken[sum] |= norm;
    return p->map[sum];
}

/* Sums that are split come to be where something reads them. */
static bool give_sums(splitter *p, const net_node *v)
{
    bool norm = (v->prim == NET_bn_finish || v->prim == NET_bn_coef) && p->rows[v->operand[0]] >= 0 &&
                p->rows[v->operand[1]] >= 0;
    for (int k = 0; k < v->count; k++)
        if (p->rows[v->operand[k]] >= 0 && give_sum(p, v->operand[k], norm && k < 2) < 0)
            return false;
    return true;
}

static bool copy_node(splitter *p, int node)
{
    const net_node *v = &p->from->nodes.at[node];
    p->map[node] = p->rows[node] = -1;
    if (v->prim == NET_chan_sum && rides(p, v))
        return (p->rows[node] = add_rows(p, v)) >= 0;
    return give_sums(p, v) && (p->map[node] = net_copy_node(p->to, p->from, node, p->map, p->d)) >= 0;
}

net *net_split_sums(arena *a, const net *n, nasc_diag *d)
{
    splitter p = {.from = n, .to = net_copy_frame(a, n), .f = net_fuse(a, n, FUSE_ELEMENTS), .d = d};
    p.map = NEW_ARRAY(a, int, n->nodes.count + 1);
    p.rows = NEW_ARRAY(a, int, n->nodes.count + 1);
    p.taken = NEW_ARRAY(a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++)
        if (!copy_node(&p, i))
            return NULL;
    for (int i = 0; i < n->outputs.count; i++) {
        int value = n->outputs.at[i].value;
        if (p.rows[value] >= 0 && give_sum(&p, value, false) < 0)
            return NULL;
    }
    net_copy_outputs(p.to, n, p.map);
    p.to->region = 0;
    return p.to;
}
