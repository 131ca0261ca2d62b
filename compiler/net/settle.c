/* Gives every value one home: a concat, a select and an output slot are filled by whoever computes what lies in them.
 * What many read gets a home of its own, dense in memory: neither the place inside a concat nor the slice of one that
 * it would be, where a pixel's channels are few among many. So does what has none and is read by a kernel of small
 * tensors, which reads memory alone: a slice, a constant. */
#include "net/settle.h"
#include "net/copy.h"
#include "net/fuse.h"

enum { MANY_READERS = 6 }; /* from here on a copy costs less than reading channels that lie apart */

typedef struct settler {
    arena *a;
    net *to;
    const net *from;
    int *map;
    bool *taken;     /* of nodes of `to`: lives in some place already */
    int *readers;    /* of nodes of `from` */
    bool *in_memory; /* of nodes of `from`: read by a kernel that evaluates nothing */
    nasc_diag *d;
} settler;

/* Can the kernel of `node` write its result into any place? */
static bool is_movable(const settler *s, int node)
{
    const net_node *v = &s->to->nodes.at[node];
    enum net_class c = net_prim_info[v->prim].class;
    return c != NET_LEAF && c != NET_VIEW && !s->taken[node];
}

static int copy_of(settler *s, int node, int region)
{
    s->to->region = region;
    return net_add(s->to, NET_add, &node, 1, NULL, s->to->nodes.at[node].name, s->d);
}

/* `node` itself where it may be placed, else a copy. -1: refused. */
static int place(settler *s, int node, int region)
{
    int own = is_movable(s, node) && s->to->nodes.at[node].region == region ? node : copy_of(s, node, region);
    if (own >= 0)
        s->taken[own] = true;
    return own;
}

static bool is_dense_home(const settler *s, int node)
{
    const net_type *t = &s->from->nodes.at[node].type; /* bytes are few anyway */
    return s->readers[node] > MANY_READERS && net_is_map_sized(t) && t->dtype != DT_U8;
}

/* Has `node` no memory that a kernel could read as it is? */
static bool is_homeless(const settler *s, int node)
{
    enum net_prim prim = s->from->nodes.at[node].prim;
    return s->in_memory[node] && (prim == NET_slice || prim == NET_constant || net_moves_pixels(prim));
}

/* Who reads each node: how many, and whether in memory alone. */
static void find_readers(settler *s)
{
    s->readers = NEW_ARRAY(s->a, int, s->from->nodes.count + 1);
    s->in_memory = NEW_ARRAY(s->a, bool, s->from->nodes.count + 1);
    for (int i = 0; i < s->from->nodes.count; i++) {
        const net_node *v = &s->from->nodes.at[i];
        for (int k = 0; k < v->count; k++) {
            s->readers[v->operand[k]]++;
            s->in_memory[v->operand[k]] |= net_prim_info[v->prim].class == NET_VECTOR;
        }
    }
}

static int add_filled(settler *s, const net_node *old)
{
    int *part = NEW_ARRAY(s->a, int, old->count);
    for (int k = 0; k < old->count; k++) {
        int region = old->prim == NET_select ? old->attr.first_region + k : old->region, x = s->map[old->operand[k]];
        part[k] =
            old->prim == NET_concat && is_dense_home(s, old->operand[k]) ? copy_of(s, x, region) : place(s, x, region);
        if (part[k] < 0)
            return -1;
    }
    s->to->region = old->region;
    return net_add(s->to, old->prim, part, old->count, &old->attr, old->name, s->d);
}

int *net_owners(arena *a, const net *n)
{
    int *owner = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++)
        owner[i] = i;
    for (int i = n->nodes.count - 1; i >= 0; i--) { /* owners before their parts */
        const net_node *v = &n->nodes.at[i];
        for (int k = 0; k < v->count && (v->prim == NET_concat || v->prim == NET_select); k++)
            owner[v->operand[k]] = owner[i];
    }
    return owner;
}

net *net_settle(arena *a, const net *n, nasc_diag *d)
{
    int copies = n->outputs.count;
    for (int i = 0; i < n->nodes.count; i++)
        copies += n->nodes.at[i].prim == NET_concat || n->nodes.at[i].prim == NET_select ? n->nodes.at[i].count : 1;
    settler s = {.a = a, .to = net_copy_frame(a, n), .from = n, .d = d};
    s.map = NEW_ARRAY(a, int, n->nodes.count + 1);
    find_readers(&s);
    s.taken = NEW_ARRAY(a, bool, n->nodes.count + copies + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        bool filled = v->prim == NET_concat || v->prim == NET_select;
        s.map[i] = filled ? add_filled(&s, v) : net_copy_node(s.to, n, i, s.map, d);
        if (s.map[i] >= 0 && ((v->prim == NET_slice && is_dense_home(&s, i)) || is_homeless(&s, i)))
            s.map[i] = copy_of(&s, s.map[i], v->region);
        if (s.map[i] < 0)
            return NULL;
    }
    for (int i = 0; i < n->outputs.count; i++) {
        const net_output *o = &n->outputs.at[i];
        int value = s.map[o->value];
        int own = place(&s, value, s.to->nodes.at[value].region);
        if (own < 0)
            return NULL;
        net_output_add(s.to, own, o->slot, o->offset);
    }
    s.to->region = 0;
    return s.to;
}
