/* Norms of expansions: which there are, and what takes their place. */
#include "net/gram.h"
#include "net/copy.h"
#include "net/fuse.h"

enum {
    WIDER = 3,          /* times as many channels as what is expanded: the Gram matrix costs a third of the products */
    CHANNELS_MOST = 48, /* of what is expanded: products for an element, against its way through memory */
    PIXELS_LEAST = 400  /* of a map: smaller ones stay in the caches */
};

/* An expansion with its norm, by the nodes of the net. */
typedef struct expansion {
    int conv, centre, sum, square, norm, map; /* norm: its rows; map: normalise */
    int bn_dx, dx;                            /* the gradient by the norm's input, and by the convolution's; -1: none */
    int product;                              /* (a·w)ᵀ·g, in the new net */
} expansion;

typedef struct seer {
    arena *a;
    const net *from;
    net *to;
    const net_users *users;
    int *map;       /* of each old node, its copy */
    int *expansion; /* of each old node that one replaces, its number; else -1 */
    struct {
        bool wanted;
        int gram, sum, pivot;
    } *of;     /* of each old node that is expanded, in the new net */
    int *back; /* of each old node that a gradient passes on to such a norm, the expansion; else -1 */
    VEC(expansion) all;
    nasc_diag *d;
} seer;

static const net_node *at(const seer *s, int node)
{
    return &s->from->nodes.at[node];
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static bool is_expanding(const seer *s, const net_node *v)
{
    if (v->prim != NET_conv || v->count != 2 || !net_is_pointwise(&v->attr.window))
        return false;
    const net_type *x = &at(s, v->operand[0])->type;
    return at(s, v->operand[1])->prim == NET_input && !at(s, v->operand[1])->attr.panel && v->type.c >= WIDER * x->c &&
           x->c <= CHANNELS_MOST && x->h * x->w >= PIXELS_LEAST;
}

static int user_count(const seer *s, int node)
{
    return s->users->first[node + 1] - s->users->first[node];
}

static net_user user_of(const seer *s, int node, int i)
{
    return s->users->at[s->users->first[node] + i];
}

/* The only user of `node` of this kind that reads it as operand k; -1: there is none, or there are several. */
static int only_user(const seer *s, int node, enum net_prim prim, int k)
{
    int found = -1;
    for (int i = 0; i < user_count(s, node); i++) {
        net_user by = user_of(s, node, i);
        if (at(s, by.node)->prim != prim || by.operand != k)
            continue;
        if (found >= 0)
            return -1;
        found = by.node;
    }
    return found;
}

/* Is the map read, through others, by one depthwise convolution, but for what takes gradients back through it? */
static bool goes_to_depthwise(const seer *s, int map)
{
    int reader = -1;
    for (int i = 0; i < user_count(s, map); i++) {
        int by = user_of(s, map, i).node;
        if (at(s, by)->prim == NET_act_dx)
            continue;
        if (reader >= 0)
            return false;
        reader = by;
    }
    const net_node *v = reader >= 0 ? at(s, reader) : NULL;
    if (v && v->prim == NET_conv)
        return net_is_depthwise(s->from, v) && v->operand[0] == map;
    return v && net_prim_info[v->prim].class == NET_MAP && v->count == 1 && goes_to_depthwise(s, reader);
}

/* Its sums, over x less the running mean, are the norm's alone. */
static bool find_sums(const seer *s, expansion *e)
{
    e->centre = only_user(s, e->conv, NET_centre, 0);
    if (e->centre < 0 || user_count(s, e->centre) != 3)
        return false;
    e->norm = -1;
    for (int i = 0; i < user_count(s, e->centre); i++) {
        int sum = user_of(s, e->centre, i).node;
        if (at(s, sum)->prim != NET_chan_sum || user_count(s, sum) != 1)
            return false;
        *(at(s, sum)->count == 1 ? &e->sum : &e->square) = sum;
        e->norm = user_of(s, sum, 0).node;
    }
    const net_node *norm = at(s, e->norm);
    return norm->prim == NET_bn_finish && norm->operand[0] == e->sum && norm->operand[1] == e->square &&
           norm->operand[2] == at(s, e->centre)->operand[1];
}

/* The way back, if there is one: to x alone, by a norm without a candidate's weight. */
static bool find_gradient(const seer *s, expansion *e)
{
    e->bn_dx = only_user(s, e->conv, NET_bn_dx, 1);
    e->dx = -1;
    if (e->bn_dx < 0)
        return true;
    const net_node *v = at(s, e->bn_dx), *coef = at(s, v->operand[2]);
    e->dx = user_count(s, e->bn_dx) == 1 ? only_user(s, e->bn_dx, NET_conv_dx, 0) : -1;
    if (e->dx < 0 || coef->prim != NET_bn_coef || coef->count != 3 || coef->operand[2] != e->norm)
        return false;
    const net_node *w = at(s, at(s, e->dx)->operand[1]);
    return w->prim == NET_transpose && w->count == 1 && w->operand[0] == at(s, e->conv)->operand[1];
}

static bool find_expansion(const seer *s, int conv, expansion *e)
{
    *e = (expansion){.conv = conv};
    if (!is_expanding(s, at(s, conv)) || !find_sums(s, e) || !find_gradient(s, e))
        return false;
    e->map = only_user(s, conv, NET_normalise, 0);
    int standard = only_user(s, conv, NET_standard, 0);
    int known = 2 + (standard >= 0) + (e->bn_dx >= 0);
    return e->map >= 0 && at(s, e->map)->operand[1] == e->norm &&
           (standard < 0 || at(s, standard)->operand[1] == e->norm) && user_count(s, conv) == known &&
           goes_to_depthwise(s, e->map);
}

static void find_all(seer *s)
{
    for (int i = 0; i < s->from->nodes.count; i++) {
        expansion e;
        if (!find_expansion(s, i, &e))
            continue;
        const int replaced[] = {e.conv, e.centre, e.sum, e.square, e.norm, e.bn_dx, e.dx};
        bool leaves = false;
        for (int k = 0; k < (int)COUNT(replaced); k++)
            leaves |= replaced[k] >= 0 && s->users->is_output[replaced[k]];
        if (leaves)
            continue;
        for (int k = 0; k < (int)COUNT(replaced); k++)
            if (replaced[k] >= 0)
                s->expansion[replaced[k]] = s->all.count;
        s->of[at(s, i)->operand[0]].wanted = true;
        if (e.dx >= 0)
            s->back[at(s, e.bn_dx)->operand[0]] = s->all.count;
        VEC_PUSH(s->a, &s->all, e);
    }
}

/* ---- rewriting --------------------------------------------------------------------------------------------------- */

static int add(seer *s, enum net_prim prim, const net_attr *attr, const char *name, int x, int y)
{
    return net_add(s->to, prim, (int[]){x, y}, y < 0 ? 1 : 2, attr, name, s->d);
}

static const net_window pixel_window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .groups = 1};

/* Behind what is expanded: its Gram matrix and sums. */
static bool add_gram(seer *s, int x)
{
    const char *name = at(s, x)->name;
    net_attr attr = {.window = pixel_window};
    int pivot = s->of[x].pivot = add(s, NET_first_pixel, NULL, name, s->map[x], -1);
    int d = pivot < 0 ? -1 : add(s, NET_centre, NULL, name, s->map[x], pivot);
    s->of[x].gram = d < 0 ? -1 : add(s, NET_conv_dw, &attr, name, d, d);
    s->of[x].sum = s->of[x].gram < 0 ? -1 : add(s, NET_chan_sum, NULL, name, d, -1);
    return s->of[x].sum >= 0;
}

static int add_norm(seer *s, const expansion *e)
{
    const net_node *norm = at(s, e->norm), *conv = at(s, e->conv);
    int x = conv->operand[0], count = 4;
    int operand[6] = {s->of[x].gram, s->of[x].sum, s->of[x].pivot, s->map[conv->operand[1]]};
    for (int k = 3; k < norm->count; k++)
        operand[count++] = s->map[norm->operand[k]];
    return net_add(s->to, NET_bn_gram, operand, count, &norm->attr, norm->name, s->d);
}

/* (a·w)ᵀ·g, behind g: the sums over g come after. */
static bool add_product(seer *s, expansion *e, int g)
{
    CHECK(e);
    const net_node *dx = at(s, e->dx);
    s->to->region = dx->region;
    int scaled = add(s, NET_transpose, NULL, dx->name, s->map[at(s, e->conv)->operand[1]], s->map[e->norm]);
    e->product = scaled < 0 ? -1 : add(s, NET_conv_dx, &dx->attr, dx->name, g, scaled);
    return e->product >= 0;
}

/* (wᵀ·b·w)·x + wᵀ·(d - b·mean), added to that. */
static int add_gradient(seer *s, const expansion *e)
{
    const net_node *dx = at(s, e->dx), *bn_dx = at(s, e->bn_dx);
    int turned = s->map[dx->operand[1]], coef = s->map[bn_dx->operand[2]];
    int weights = add(s, NET_bn_dx_weights, NULL, bn_dx->name, turned, coef);
    int bias = weights < 0 ? -1 : add(s, NET_bn_dx_bias, NULL, bn_dx->name, turned, coef);
    net_attr attr = {.window = pixel_window};
    int x = bias < 0 ? -1 : add(s, NET_conv, &attr, bn_dx->name, s->map[at(s, e->conv)->operand[0]], weights);
    int shifted = x < 0 ? -1 : add(s, NET_bias, NULL, bn_dx->name, x, bias);
    return shifted < 0 ? -1 : add(s, NET_add, NULL, dx->name, e->product, shifted);
}

static int add_fleeting(seer *s, int conv)
{
    const net_node *v = at(s, conv);
    net_attr attr = v->attr;
    attr.fleeting = true;
    return add(s, v->prim, &attr, v->name, s->map[v->operand[0]], s->map[v->operand[1]]);
}

/* The copy of a node, or what takes its place. False: refused. */
static bool rewrite(seer *s, int node)
{
    const expansion *e = s->expansion[node] < 0 ? NULL : &s->all.at[s->expansion[node]];
    s->to->region = at(s, node)->region;
    if (!e)
        s->map[node] = net_copy_node(s->to, s->from, node, s->map, s->d);
    else if (node == e->conv)
        s->map[node] = add_fleeting(s, node);
    else if (node == e->norm)
        s->map[node] = add_norm(s, e);
    else if (node == e->dx)
        s->map[node] = add_gradient(s, e);
    else
        return true; /* nothing reads it any more */
    return s->map[node] >= 0 && (!s->of[node].wanted || add_gram(s, node)) &&
           (s->back[node] < 0 || add_product(s, &s->all.at[s->back[node]], s->map[node]));
}

const net *net_norms_by_gram(arena *a, const net *n, nasc_diag *d)
{
    seer s = {.a = a, .from = n, .d = d};
    int count = n->nodes.count;
    s.expansion = NEW_ARRAY(a, int, count + 1);
    s.back = NEW_ARRAY(a, int, count + 1);
    for (int i = 0; i < count; i++)
        s.expansion[i] = s.back[i] = -1;
    s.of = arena_alloc(a, (size_t)(count + 1) * sizeof *s.of);
    s.users = net_users_of(a, n);
    find_all(&s);
    if (s.all.count == 0)
        return n;
    s.to = net_copy_frame(a, n);
    s.map = NEW_ARRAY(a, int, count + 1);
    for (int i = 0; i < count; i++)
        if (!rewrite(&s, i))
            return NULL;
    net_copy_outputs(s.to, n, s.map);
    s.to->region = 0;
    return s.to;
}
