/* Decides where values live and groups what is computed together.
 *
 * The one idea: a supernet is bound by memory, so only what is dear to compute again is stored. Maps (batch norm's
 * scale and shift, relu, the gradient's per-channel constants) are evaluated by whoever reads them; a depthwise
 * convolution between a state and its pointwise convolution exists a tile at a time, in the forward and again in the
 * backward kernel; what reduces a value rides on the kernel that produces it; what many edges add to a gradient is
 * added up where it is made. The rules look at windows and consumers, never at names. */
#include "net/fuse_parts.h"
#include "net/shares.h"

#include <string.h>

/* Kernels of elements: a depthwise convolution of so few columns at a time, and taps, before pointwise ones of so few
 * channels, costs less to compute again than to store and load. */
enum { QUAD = 4, QUAD_TAPS = 5, NARROW = 32, NARROW_LEAST = 4, QUAD_PIXELS = 64 };
enum { CHEAP_TAPS = 25 }; /* a pool of so many taps is cheaper to recompute than to store and load */
enum {
    INLINE_READS = 2, /* a map over at most so many full-size tensors is cheaper to recompute than to store and load */
    SUM_READS = 5     /* a map behind shares may read so many, these as one */
};

/* A map of at least so many elements, and so many times as high as the window that reads it, is made row by row. */
enum { ROWS_ELEMENTS = 1 << 17, ROWS_WINDOWS = 4 };

bool net_is_map_sized(const net_type *t)
{
    return t->n == NET_BATCH && !t->chunked && t->h * t->w > 1;
}

bool net_is_pointwise(const net_window *w)
{
    return w->kh == 1 && w->kw == 1 && w->sh == 1 && w->sw == 1 && w->groups == 1 && !w->top && !w->left &&
           !w->bottom && !w->right;
}

enum net_class fuse_class(const net *n, int node)
{
    return net_prim_info[n->nodes.at[node].prim].class;
}

/* ---- who uses what ----------------------------------------------------------------------------------------------- */

static void find_users(fuser *u)
{
    const net_users *users = net_users_of(u->a, u->n);
    u->first_user = users->first;
    u->users = users->at;
    u->is_output = users->is_output;
}

static int user_count(const fuser *u, int node)
{
    return u->first_user[node + 1] - u->first_user[node];
}

/* Is `map` as large as what it reads of `node`? A broadcast is not: it reads one pixel many times. */
static bool same_pixels(const fuser *u, int node, int map)
{
    const net_type *a = &u->n->nodes.at[node].type, *b = &u->n->nodes.at[map].type;
    return a->n == b->n && a->h == b->h && a->w == b->w;
}

/* Do all paths from `node` through maps end in users that `accept`? An output, or no user at all, is no. */
static bool all_ends(const fuser *u, int node, bool (*accept)(const net *n, net_user end))
{
    if (u->is_output[node] || user_count(u, node) == 0)
        return false;
    for (int i = u->first_user[node]; i < u->first_user[node + 1]; i++) {
        net_user end = u->users[i];
        if (fuse_class(u->n, end.node) == NET_MAP) {
            if (!same_pixels(u, node, end.node) || !all_ends(u, end.node, accept))
                return false;
        } else if (!accept(u->n, end)) {
            return false;
        }
    }
    return true;
}

/* Ends of a depthwise convolution that is worth recomputing: pointwise convolutions, and gradients that need its
 * output. */
static bool reads_at_its_pixel(const net *n, net_user end)
{
    const net_node *node = &n->nodes.at[end.node];
    switch (node->prim) {
    case NET_conv:
        return end.operand == 0 && net_is_pointwise(&node->attr.window);
    case NET_conv_dw:
        return end.operand == 1 || net_is_pointwise(&node->attr.window);
    case NET_conv_dx:
        return end.operand == 0;
    default:
        return false;
    }
}

/* Ends of the gradient between a pointwise and a depthwise convolution: the depthwise one's two gradients. */
static bool is_depthwise_gradient(const net *n, net_user end)
{
    const net_node *node = &n->nodes.at[end.node];
    return (node->prim == NET_conv_dx && end.operand == 0 && net_is_depthwise(n, node)) ||
           (node->prim == NET_conv_dw && end.operand == 1 && net_is_depthwise(n, node));
}

/* Ends of what is made once more for the way back: where the gradient passes through a norm. */
static bool takes_gradient(const net *n, net_user end)
{
    const net_node *node = &n->nodes.at[end.node];
    return node->prim == NET_chan_sum ||
           (node->prim == NET_conv_dx && end.operand == 0 && net_is_pointwise(&node->attr.window));
}

/* A pool costs less to compute again than to store and load, for readers whose kernels have tiles. */
static bool is_cheap_pool(const fuser *u, int node)
{
    if (u->is_output[node])
        return false;
    for (int i = u->first_user[node]; i < u->first_user[node + 1]; i++) {
        enum net_class c = fuse_class(u->n, u->users[i].node);
        if (c != NET_MAP && c != NET_REDUCE && c != NET_WINDOW)
            return false;
        if (c == NET_MAP && !same_pixels(u, node, u->users[i].node))
            return false;
    }
    const net_window *w = &u->n->nodes.at[node].attr.window;
    return w->kh * w->kw <= CHEAP_TAPS;
}

/* Ends at which a kernel of elements has the depthwise convolution's result in a tile in shared memory. */
static bool reads_in_a_tile(const net *n, net_user end)
{
    const net_node *node = &n->nodes.at[end.node];
    return (node->prim == NET_conv || node->prim == NET_conv_dw) && end.operand == 0 &&
           net_is_pointwise(&node->attr.window) && node->type.c >= NARROW_LEAST && node->type.c <= NARROW;
}

/* Is it read by tiles alone, each of which computes it with little more than its own loads? Of a stride its source would
 * be larger than its result. */
static bool is_cheap_in_tiles(const fuser *u, int node)
{
    const net_node *v = &u->n->nodes.at[node];
    const net_window *w = &v->attr.window;
    const net_type *t = &v->type;
    return v->prim == NET_conv && net_is_depthwise(u->n, v) && w->sh == 1 && w->sw == 1 && w->kh <= QUAD_TAPS &&
           w->kw <= QUAD_TAPS && t->w % QUAD == 0 && t->h * t->w >= QUAD_PIXELS && t->c >= NARROW_LEAST &&
           all_ends(u, node, reads_in_a_tile);
}

/* Is it a share, but not the last, of those of a sum that one kernel makes? It stands in scratch until the last is made. */
static bool is_early_share(const fuser *u, int node)
{
    int share[NET_OPERANDS_MAX], sum = user_count(u, node) == 1 ? u->users[u->first_user[node]].node : -1;
    if (u->kernels != FUSE_TILES || u->is_output[node] || sum < 0 || !net_is_share(u->n, sum, node))
        return false;
    int shares = net_shares_of(u->n, sum, share), last = share[shares - 1];
    int first = shares - net_shares_together(u->n, &share[shares - 1], shares, -1);
    return node >= share[first] && node < last && !u->is_output[last] && user_count(u, last) == 1;
}

static bool stays_on_chip(const fuser *u, int node)
{
    const net_node *v = &u->n->nodes.at[node];
    if (u->kernels == FUSE_ELEMENTS)
        return is_cheap_in_tiles(u, node);
    if (v->prim == NET_max_pool || v->prim == NET_sum_pool)
        return is_cheap_pool(u, node);
    if (v->prim == NET_conv && net_is_depthwise(u->n, v))
        return all_ends(u, node, reads_at_its_pixel);
    if (v->prim == NET_conv_dx && net_is_pointwise(&v->attr.window) && all_ends(u, node, is_depthwise_gradient))
        return true;
    if (v->attr.fleeting && v->attr.again)
        return all_ends(u, node, takes_gradient);
    return is_early_share(u, node);
}

/* The window that alone reads `node` as its operand 0, through at least one map; -1: there is none. Each map has one
 * reader and, of full size, reads the one before it alone. */
static int lone_reader(const fuser *u, int node)
{
    int from = node;
    while (!u->is_output[node] && user_count(u, node) == 1) {
        net_user by = u->users[u->first_user[node]];
        const net_node *v = &u->n->nodes.at[by.node];
        if (v->region != u->n->nodes.at[from].region)
            return -1;
        if (fuse_class(u->n, by.node) == NET_WINDOW)
            return by.operand == 0 && node != from ? by.node : -1;
        if (fuse_class(u->n, by.node) != NET_MAP || !same_pixels(u, node, by.node))
            return -1;
        for (int k = 0; k < v->count; k++)
            if (k != by.operand && net_is_map_sized(&u->n->nodes.at[v->operand[k]].type))
                return -1;
        node = by.node;
    }
    return -1;
}

bool fuse_is_pointwise(const net *n, int node)
{
    return node >= 0 && n->nodes.at[node].prim == NET_conv && net_is_pointwise(&n->nodes.at[node].attr.window);
}

bool fuse_is_depthwise(const net *n, int node)
{
    return node >= 0 && n->nodes.at[node].prim == NET_conv && net_is_depthwise(n, &n->nodes.at[node]);
}

/* Is a depthwise convolution's input so large, and so much taller than what its window sees, that its rows are better
 * made as the window comes to them? Small maps stay in the caches anyway, and have nothing but edges. */
static bool is_worth_rows(const fuser *u, int depthwise)
{
    const net_node *v = &u->n->nodes.at[depthwise];
    const net_type *x = &u->n->nodes.at[v->operand[0]].type;
    return net_elements(x) >= ROWS_ELEMENTS && x->h >= ROWS_WINDOWS * v->attr.window.kh;
}

/* The pointwise gradient that, but for sums, alone reads what an activation's gradient makes of `node`, the gradient of a
 * depthwise convolution. -1: there is none. */
static int gradient_behind(const fuser *u, int node)
{
    const net_node *v = &u->n->nodes.at[node];
    int map = user_count(u, node) == 1 && !u->is_output[node] ? u->users[u->first_user[node]].node : -1, reader = -1;
    if (v->prim != NET_conv_dx || !net_is_depthwise(u->n, v) || map < 0 || u->n->nodes.at[map].prim != NET_act_dx ||
        u->is_output[map] || u->holds_window[map])
        return -1;
    for (int i = u->first_user[map]; i < u->first_user[map + 1]; i++) {
        net_user end = u->users[i];
        const net_node *by = &u->n->nodes.at[end.node];
        bool pointwise = by->prim == NET_conv_dx && end.operand == 0 && net_is_pointwise(&by->attr.window);
        if (by->region != v->region || (!pointwise && by->prim != NET_chan_sum) || (pointwise && reader >= 0))
            return -1;
        reader = pointwise ? end.node : reader;
    }
    bool around =
        reader >= 0 && all_ends(u, reader, is_depthwise_gradient); /* it is read so, on chip: rows around a tile */
    return around ? -1 : reader;
}

/* Does it read a tile that sums ride on? Both end in that tile's kernel. */
static bool reads_summed_tile(const fuser *u, int node)
{
    int x = u->n->nodes.at[node].operand[0];
    const net_node *map = &u->n->nodes.at[x];
    if (map->prim != NET_act_dx || u->f->place[x] != PLACE_INLINE)
        return false;
    int window = map->operand[1];
    return u->n->nodes.at[window].prim == NET_conv_dx && u->f->place[window] == PLACE_REGISTER;
}

/* Is a window finished in registers, maps and all, where the tile is written that its one reader needs? A depthwise
 * convolution before a pointwise one, forward or back, and the pointwise one before these two: their map between exists a
 * few rows at a time. */
static bool ends_in_a_tile(const fuser *u, int node)
{
    if (u->kernels != FUSE_TILES)
        return false;
    int reader = lone_reader(u, node);
    if (fuse_is_depthwise(u->n, node))
        return fuse_is_pointwise(u->n, reader);
    if (gradient_behind(u, node) >= 0)
        return true;
    if (!fuse_is_pointwise(u->n, node) || !fuse_is_depthwise(u->n, reader))
        return false;
    return u->n->nodes.at[node].attr.fleeting ||
           (is_worth_rows(u, reader) && fuse_is_pointwise(u->n, lone_reader(u, reader)));
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

void fuse_add_read(arena *a, node_list *list, int node)
{
    for (int i = 0; i < list->count; i++)
        if (list->at[i] == node)
            return;
    VEC_PUSH(a, list, node);
}

static void reads_of(arena *a, const fusion *f, int node, node_list *reads)
{
    switch (f->place[node]) {
    case PLACE_MEMORY:
        if (f->n->nodes.at[node].prim == NET_concat || f->n->nodes.at[node].prim == NET_select)
            for (int k = 0; k < f->n->nodes.at[node].count; k++)
                reads_of(a, f, f->n->nodes.at[node].operand[k], reads);
        else
            fuse_add_read(a, reads, node);
        break;
    case PLACE_LEAF:
        fuse_add_read(a, reads, node);
        break;
    default:
        fusion_reads(a, f, node, reads);
    }
}

void fusion_reads(arena *a, const fusion *f, int node, node_list *reads)
{
    const net_node *v = &f->n->nodes.at[node];
    for (int k = 0; k < v->count; k++)
        reads_of(a, f, v->operand[k], reads);
}

/* Full-size tensors that a map reads, windows on chip or in registers included; what is spread between zeros is none. */
static void sized_reads(const fuser *u, int node, node_list *list)
{
    const net_node *v = &u->n->nodes.at[node];
    for (int k = 0; k < v->count && v->prim != NET_subsample_dx; k++) {
        int x = v->operand[k];
        if (u->f->place[x] == PLACE_INLINE)
            sized_reads(u, x, list);
        else if (net_is_map_sized(&u->n->nodes.at[x].type))
            fuse_add_read(u->a, list, x);
    }
}

static int count_sized_reads(const fuser *u, int node)
{
    node_list list = {0};
    sized_reads(u, node, &list);
    return list.count;
}

bool fuse_reads_little(const fuser *u, int map)
{
    return count_sized_reads(u, map) <= INLINE_READS;
}

/* Those of them that are not on chip. */
static int count_stored_reads(const fuser *u, int node)
{
    node_list list = {0};
    int count = 0;
    sized_reads(u, node, &list);
    for (int i = 0; i < list.count; i++)
        count += u->f->place[list.at[i]] != PLACE_CHIP;
    return count;
}

static bool is_over_chip(const fuser *u, int node)
{
    const net_node *v = &u->n->nodes.at[node];
    for (int k = 0; k < v->count; k++) {
        enum place p = u->f->place[v->operand[k]];
        if (p == PLACE_CHIP || (p == PLACE_INLINE && is_over_chip(u, v->operand[k])))
            return true;
    }
    return false;
}

/* A home of its own for what lies elsewhere; net_settle makes these. */
bool fuse_is_copy(const net *n, int node)
{
    return n->nodes.at[node].prim == NET_add && n->nodes.at[node].count == 1;
}

/* Does a kernel of images, or a sample of pixels, read `node`, whole or a slice of it? Not at the pixels that a tile has. */
static bool is_read_apart(const fuser *u, int node)
{
    for (int i = u->first_user[node]; i < u->first_user[node + 1]; i++) {
        int by = u->users[i].node;
        enum net_prim prim = u->n->nodes.at[by].prim;
        if (fuse_class(u->n, by) == NET_IMAGE || prim == NET_subsample || (prim == NET_slice && is_read_apart(u, by)))
            return true;
    }
    return false;
}

/* Must a map be stored whatever it costs? Some views and small kernels read memory alone; those of images have no tiles. */
static bool must_store(const fuser *u, int node)
{
    if (u->is_output[node] || fuse_is_copy(u->n, node) || (is_over_chip(u, node) && is_read_apart(u, node)))
        return true;
    for (int i = u->first_user[node]; i < u->first_user[node + 1]; i++) {
        enum net_class c = fuse_class(u->n, u->users[i].node);
        enum net_prim by = u->n->nodes.at[u->users[i].node].prim;
        if ((c == NET_VECTOR && by != NET_first_pixel) || c == NET_LIBRARY || by == NET_concat ||
            by == NET_subsample_dx || c == NET_LEAF)
            return true;
    }
    return false;
}

/* Is the one reader of `node` a pool's gradient, which reads it once a pixel? */
static bool is_pool_gradient(const fuser *u, int node)
{
    enum net_prim by = u->n->nodes.at[u->users[u->first_user[node]].node].prim;
    return by == NET_max_pool_dx || by == NET_sum_pool_dx;
}

static enum place place_map(const fuser *u, int node)
{
    if (must_store(u, node))
        return PLACE_MEMORY;
    if (fuse_reads_little(u, node))
        return PLACE_INLINE;
    if (user_count(u, node) == 1) {
        enum net_class c = fuse_class(u->n, u->users[u->first_user[node]].node);
        if (c == NET_MAP || c == NET_REDUCE || c == NET_IMAGE || is_pool_gradient(u, node))
            return PLACE_INLINE;
    }
    return PLACE_MEMORY;
}

/* A stored window whose one reader is a map at the same pixels can be finished in registers and stored as that map. */
static bool ends_in_a_map(const fuser *u, int node, int *map)
{
    if (u->is_output[node] || user_count(u, node) != 1)
        return false;
    int m = u->users[u->first_user[node]].node;
    const net_type *a = &u->n->nodes.at[node].type, *b = &u->n->nodes.at[m].type;
    *map = m;
    return fuse_class(u->n, m) == NET_MAP && !u->holds_window[m] && a->h == b->h && a->w == b->w && a->c == b->c &&
           a->n == b->n && u->n->nodes.at[node].region == u->n->nodes.at[m].region;
}

/* Follows the chain of maps behind a window in registers to the one that is stored. Behind the last of several shares it
 * goes on further, since none of these is stored. */
static void place_carrier(fuser *u, int window, int map)
{
    bool adds = is_over_chip(u, map);
    u->f->place[window] = PLACE_REGISTER;
    for (int next;; map = next) {
        u->holds_window[map] = true;
        if (must_store(u, map) || !ends_in_a_map(u, map, &next) ||
            count_sized_reads(u, next) > (adds ? SUM_READS : INLINE_READS)) {
            u->f->place[map] = PLACE_MEMORY;
            return;
        }
        u->f->place[map] = PLACE_INLINE;
    }
}

/* The one norm that reads a sum of rows; -1: there is none, or several. `alone`: nothing else reads it. */
int fuse_norm_of(const fuser *u, int sum, bool *alone)
{
    const net_node *v = &u->n->nodes.at[sum];
    int norm = -1, norms = 0, others = u->is_output[sum];
    if (v->prim != NET_chan_sum || u->n->nodes.at[v->operand[0]].prim != NET_row_sum)
        return -1;
    for (int i = u->first_user[sum]; i < u->first_user[sum + 1]; i++) {
        int by = u->users[i].node;
        bool reads = u->n->nodes.at[by].prim == NET_bn_finish || u->n->nodes.at[by].prim == NET_bn_coef;
        norms += reads;
        others += !reads;
        norm = reads ? by : norm;
    }
    *alone = others == 0;
    return norms == 1 && u->n->nodes.at[norm].region == v->region ? norm : -1;
}

/* Does the norm add up its two sums of rows itself? */
bool fuse_adds_rows(const fuser *u, int norm)
{
    bool alone;
    for (int k = 0; k < 2; k++)
        if (norm < 0 || fuse_norm_of(u, u->n->nodes.at[norm].operand[k], &alone) != norm)
            return false;
    return true;
}

static bool is_inside_norm(const fuser *u, int sum)
{
    bool alone = false;
    return fuse_adds_rows(u, fuse_norm_of(u, sum, &alone)) && alone;
}

static void place_node(fuser *u, int node)
{
    enum place *place = &u->f->place[node];
    int map;
    if (*place != PLACE_DEAD)
        return; /* a carrier, placed with its window */
    switch (fuse_class(u->n, node)) {
    case NET_LEAF:
        *place = u->n->nodes.at[node].prim == NET_constant ? PLACE_INLINE : PLACE_LEAF;
        if (u->n->nodes.at[node].prim == NET_select)
            *place = PLACE_MEMORY;
        return;
    case NET_MAP:
        *place = place_map(u, node);
        return;
    case NET_VIEW:
        *place = u->n->nodes.at[node].prim == NET_concat ? PLACE_MEMORY : PLACE_INLINE;
        return;
    case NET_WINDOW:
        if (ends_in_a_tile(u, node)) {
            *place = PLACE_REGISTER;
            u->holds_window[u->users[u->first_user[node]].node] = true;
        } else if (stays_on_chip(u, node)) {
            *place = PLACE_CHIP;
        } else {
            *place = PLACE_MEMORY;
            if (!reads_summed_tile(u, node) && ends_in_a_map(u, node, &map) &&
                count_stored_reads(u, map) <= INLINE_READS + 1)
                place_carrier(u, node, map);
        }
        return;
    case NET_REDUCE:
        *place = is_inside_norm(u, node) ? PLACE_INLINE : PLACE_MEMORY;
        return;
    case NET_VECTOR:
        *place = u->n->nodes.at[node].prim == NET_first_pixel ? PLACE_INLINE : PLACE_MEMORY;
        return;
    case NET_IMAGE:
    case NET_LIBRARY:
        *place = PLACE_MEMORY;
        return;
    case NET_COMPOSITE:
        BUG("composite %s reached fuse", net_prim_info[u->n->nodes.at[node].prim].name);
    }
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

/* requires: verified, no composites. breaks: nothing (the net is not changed). */
fusion *net_fuse(arena *a, const net *n, enum fuse_kernels kernels)
{
    int count = n->nodes.count;
    fusion *f = NEW(a, fusion);
    f->n = n;
    f->place = NEW_ARRAY(a, enum place, count + 1);
    f->group_of = NEW_ARRAY(a, int, count + 1);
    memset(f->group_of, -1, (size_t)count * sizeof(int));
    fuser u = {.a = a, .n = n, .f = f, .kernels = kernels};
    find_users(&u);
    u.holds_window = NEW_ARRAY(a, bool, count + 1);
    for (int i = 0; i < count; i++)
        place_node(&u, i);
    fuse_groups(&u);
    return f;
}

void fusion_print(text *t, const fusion *f)
{
    static const char *const names[] = {"dead", "leaf", "inline", "register", "chip", "memory"};
    for (int g = 0; g < f->groups.count; g++) {
        text_add(t, "group %d\n", g);
        for (int i = 0; i < f->groups.at[g].roots.count; i++) {
            int r = f->groups.at[g].roots.at[i];
            const net_node *v = &f->n->nodes.at[r];
            text_add(t, "  %%%d = %s %dx%dx%d %s\n", r, net_prim_info[v->prim].name, v->type.h, v->type.w, v->type.c,
                     v->name ? v->name : "");
        }
    }
    for (int i = 0; i < f->n->nodes.count; i++)
        text_add(t, "%%%d %s %s\n", i, net_prim_info[f->n->nodes.at[i].prim].name, names[f->place[i]]);
}
