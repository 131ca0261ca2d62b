/* Cleaning up after build and grad. One walk forward makes a new net: each node is rewritten by the local rules below,
 * then looked up among those that stand already (common subexpressions); a second walk copies what outputs need.
 * requires: verified. breaks: nothing. */
#include "net/copy.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct simplifier {
    const net *from;
    net *to, *result; /* to: before it is swept */
    arena *scratch;
    nasc_diag *d;
    int *bucket; /* heads of chains of equal hashes, -1 ends */
    int buckets;
    struct known {
        int64_t *key;
        size_t words;
        int next;
        int norm; /* the first bn_finish or bn_exact of this value; 0: none */
    } *known;     /* by node of the new net */
    int known_capacity;
} simplifier;

/* ---- common subexpressions --------------------------------------------------------------------------------------- */

static int64_t bits_of(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* All that tells two nodes apart, but for region and name. */
static int64_t *node_key(simplifier *s, const net_node *v, size_t *words)
{
    const net_attr *a = &v->attr;
    const net_window *w = &a->window;
    const net_type *t = &v->type, *u = &a->type;
    const int64_t head[] = {v->prim,
                            v->count,
                            t->dtype,
                            t->chunked,
                            t->n,
                            t->h,
                            t->w,
                            t->c,
                            w->kh,
                            w->kw,
                            w->sh,
                            w->sw,
                            w->dh,
                            w->dw,
                            w->top,
                            w->left,
                            w->bottom,
                            w->right,
                            w->groups,
                            u->dtype,
                            u->chunked,
                            u->n,
                            u->h,
                            u->w,
                            u->c,
                            a->h,
                            a->w,
                            a->begin,
                            a->count,
                            a->row,
                            a->act,
                            a->select,
                            a->first_region,
                            a->step,
                            a->floor,
                            a->slot,
                            a->offset,
                            bits_of(a->value),
                            bits_of(a->eps),
                            bits_of(a->momentum),
                            a->train,
                            a->move};
    int picks = a->pick ? net_picks(s->to, v) : 0, rows = a->rows ? v->count : 0;
    *words = COUNT(head) + (size_t)(v->count + picks + rows);
    int64_t *key = NEW_ARRAY(s->scratch, int64_t, *words), *at = key + COUNT(head);
    memcpy(key, head, sizeof head);
    for (int i = 0; i < v->count; i++)
        *at++ = v->operand[i];
    for (int i = 0; i < picks; i++)
        *at++ = a->pick[i];
    for (int i = 0; i < rows; i++)
        *at++ = a->rows[i];
    return key;
}

/* The node just added, or an equal one that stands already where it can be seen (then the new one is taken back). */
static int node_unique(simplifier *s, int id)
{
    size_t words = 0;
    const net_node *v = &s->to->nodes.at[id];
    int64_t *key = node_key(s, v, &words);
    int *head = &s->bucket[XXH3_64bits(key, words * sizeof *key) & (uint64_t)(s->buckets - 1)];
    for (int i = *head; i >= 0; i = s->known[i].next)
        if (s->known[i].words == words && memcmp(s->known[i].key, key, words * sizeof *key) == 0 &&
            net_region_sees(s->to, v->region, s->to->nodes.at[i].region)) {
            s->to->nodes.count--;
            return i;
        }
    if (id >= s->known_capacity) {
        struct known *wider = NEW_ARRAY(s->scratch, struct known, 2 * id + 64);
        if (s->known_capacity)
            memcpy(wider, s->known, (size_t)s->known_capacity * sizeof *wider);
        s->known = wider;
        s->known_capacity = 2 * id + 64;
    }
    s->known[id] = (struct known){key, words, *head, 0};
    *head = id;
    return id;
}

/* ---- local rules: each returns the value that takes the node's place, or -1 -------------------------------------- */

typedef struct draft { /* a node of the new net that is not added yet */
    const net_node *old;
    net_type type;
    net_attr attr;
    const char *name;
    int count;
    int operand[NET_OPERANDS_MAX];
    int pick[NET_OPERANDS_MAX];
} draft;

static const net_node *at(const simplifier *s, int id)
{
    return &s->to->nodes.at[id];
}

static int new_node(simplifier *s, enum net_prim prim, const int *operand, int count, const net_attr *attr,
                    const char *name)
{
    int id = net_add(s->to, prim, operand, count, attr, name, s->d);
    return id < 0 ? -1 : node_unique(s, id);
}

static int zero_like(simplifier *s, const net_type *type)
{
    net_attr attr = {.type = *type};
    return new_node(s, NET_constant, NULL, 0, &attr, NULL);
}

/* Channel pads of disjoint ranges that leave no gap are a concat. */
static int add_as_concat(simplifier *s, draft *v)
{
    int operand[NET_OPERANDS_MAX], end = 0;
    for (int found = 0; found < v->count; found++) {
        int next = -1;
        for (int i = 0; i < v->count; i++) {
            if (at(s, v->operand[i])->prim != NET_channel_pad)
                return -1;
            if (at(s, v->operand[i])->attr.begin == end)
                next = next < 0 ? i : NET_OPERANDS_MAX;
        }
        if (next < 0 || next == NET_OPERANDS_MAX)
            return -1;
        operand[found] = at(s, v->operand[next])->operand[0];
        end += at(s, operand[found])->type.c;
    }
    return end == v->type.c ? new_node(s, NET_concat, operand, v->count, NULL, v->name) : -1;
}

/* Gradients of pools and activations, and what is linear between a pool's and a norm's: linear in their last operand. */
static bool is_linear(enum net_prim prim)
{
    return prim == NET_max_pool_dx || prim == NET_sum_pool_dx || prim == NET_pool_scale || prim == NET_act_dx;
}

/* Are both the same linear function, of other arguments? */
static bool same_function(const net_node *a, const net_node *b)
{
    return a->prim == b->prim && is_linear(a->prim) && a->region == b->region &&
           memcmp(&a->attr.window, &b->attr.window, sizeof a->attr.window) == 0 && a->attr.h == b->attr.h &&
           a->attr.w == b->attr.w && a->attr.act == b->attr.act && (a->count == 1 || a->operand[0] == b->operand[0]);
}

static int sum_of(simplifier *s, const draft *like, const int *operand, int count);

/* f(a) + f(b) = f(a + b): many edges leave a state through the same pool, or activation, and one gradient serves them all. */
static void add_within(simplifier *s, draft *v)
{
    for (int i = 0; i < v->count; i++) {
        net_node f = *at(s, v->operand[i]);
        int inner[NET_OPERANDS_MAX], found = 0, kept = i;
        if (!is_linear(f.prim))
            continue;
        for (int k = i; k < v->count; k++)
            if (same_function(&f, at(s, v->operand[k])))
                inner[found++] = at(s, v->operand[k])->operand[f.count - 1];
        if (found < 2)
            continue;
        int operand[2] = {f.operand[0], 0};
        operand[f.count - 1] = sum_of(s, v, inner, found);
        int whole = new_node(s, f.prim, operand, f.count, &f.attr, v->name);
        for (int k = i; k < v->count; k++)
            if (k == i || !same_function(&f, at(s, v->operand[k])))
                v->operand[kept++] = k == i ? whole : v->operand[k];
        v->count = kept;
    }
}

static int rule_add(simplifier *s, draft *v)
{
    int kept = 0;
    bool whole = false; /* an operand that stays has the result's type */
    for (int i = 0; i < v->count; i++)
        whole = whole || (!net_is_zero(s->to, v->operand[i]) && net_type_equal(&at(s, v->operand[i])->type, &v->type));
    for (int i = 0; i < v->count; i++)
        if (!net_is_zero(s->to, v->operand[i]) || !whole)
            v->operand[kept++] = v->operand[i];
    if (!whole && net_is_zero(s->to, v->operand[0])) {
        bool all = true;
        for (int i = 0; i < v->count; i++)
            all = all && net_is_zero(s->to, v->operand[i]);
        return all ? zero_like(s, &v->type) : -1;
    }
    v->count = kept;
    add_within(s, v);
    return v->count == 1 ? v->operand[0] : add_as_concat(s, v);
}

/* A sum that stands inside of the one that is being rewritten. */
static int sum_of(simplifier *s, const draft *like, const int *operand, int count)
{
    draft v = {.old = like->old, .type = at(s, operand[0])->type, .name = like->name, .count = count};
    memcpy(v.operand, operand, (size_t)count * sizeof *operand);
    int value = rule_add(s, &v);
    return value >= 0 ? value : new_node(s, NET_add, v.operand, v.count, NULL, v.name);
}

/* The tensor that a norm is of, if its sums are those of batch norm; else -1. */
static int normed(const simplifier *s, const draft *v)
{
    if (v->old->prim == NET_bn_exact)
        return v->operand[0];
    const net_node *sum = at(s, v->operand[0]);
    const net_node *centred = at(s, sum->operand[0]);
    return sum->prim == NET_chan_sum && centred->prim == NET_centre ? centred->operand[0] : -1;
}

/* Norms of one tensor share its sums, about the running mean of the first: any pivot near the mean will do. */
static int rule_norm(simplifier *s, draft *v)
{
    int x = normed(s, v), shared = v->old->prim == NET_bn_finish ? 3 : 2;
    int first = x < 0 ? 0 : s->known[x].norm;
    if (first && at(s, first)->prim == v->old->prim && net_region_sees(s->to, v->old->region, at(s, first)->region))
        memcpy(v->operand, at(s, first)->operand, (size_t)shared * sizeof *v->operand);
    int bn = new_node(s, v->old->prim, v->operand, v->count, &v->attr, v->name);
    if (x >= 0 && !first)
        s->known[x].norm = bn;
    return bn;
}

static int rule_mix(simplifier *s, draft *v)
{
    int kept = 1;
    for (int j = 1; j < v->count; j++)
        if (!net_is_zero(s->to, v->operand[j])) {
            v->pick[kept - 1] = v->attr.pick[j - 1];
            v->operand[kept++] = v->operand[j];
        }
    v->attr.pick = v->pick;
    v->count = kept;
    return kept == 1 ? zero_like(s, &v->type) : -1;
}

static int rule_mul(simplifier *s, draft *v)
{
    for (int i = 0; i < 2; i++) {
        const net_node *one = at(s, v->operand[i]);
        if (one->prim == NET_constant && one->attr.value == 1 &&
            net_type_equal(&at(s, v->operand[1 - i])->type, &v->type))
            return v->operand[1 - i];
    }
    return -1;
}

static int rule_slice(simplifier *s, draft *v)
{
    const net_node *x = at(s, v->operand[0]);
    int end = 0;
    while (x->prim == NET_slice) {
        v->attr.begin += x->attr.begin;
        v->operand[0] = x->operand[0];
        x = at(s, v->operand[0]);
    }
    if (v->attr.begin == 0 && v->attr.count == x->type.c)
        return v->operand[0];
    for (int i = 0; x->prim == NET_concat && i < x->count; i++) {
        int count = at(s, x->operand[i])->type.c;
        if (end == v->attr.begin && count == v->attr.count)
            return x->operand[i];
        end += count;
    }
    return -1;
}

/* A window that pads `inner` more and then `outer`: one padding, unless the inner one cuts and the outer one adds,
 * which would bring back what was cut off. */
static bool pads_join(int inner, int outer)
{
    return inner >= 0 || outer <= 0;
}

static bool windows_join(const net_window *inner, const net_window *outer)
{
    return pads_join(inner->top, outer->top) && pads_join(inner->left, outer->left) &&
           pads_join(inner->bottom, outer->bottom) && pads_join(inner->right, outer->right);
}

static void pads_add(net_window *to, const net_window *more, int sign)
{
    to->top += sign * more->top;
    to->left += sign * more->left;
    to->bottom += sign * more->bottom;
    to->right += sign * more->right;
}

/* conv, conv_dw, sum_pool of a pad. A max pool never chooses its own padding but would choose the pad's zeros. */
static int rule_window(simplifier *s, draft *v)
{
    const net_node *x = at(s, v->operand[0]);
    const net_window *inner = &x->attr.window, *outer = &v->attr.window;
    if (x->prim != NET_pad || !windows_join(inner, outer))
        return -1;
    net_window joined = *outer;
    pads_add(&joined, inner, 1);
    if (v->old->prim == NET_sum_pool &&
        (joined.top > (joined.kh - 1) * joined.dh || joined.left > (joined.kw - 1) * joined.dw ||
         joined.bottom > (joined.kh - 1) * joined.dh || joined.right > (joined.kw - 1) * joined.dw))
        return -1;
    v->attr.window = joined;
    v->operand[0] = x->operand[0];
    return -1;
}

/* The gradient of the same: a pad of conv_dx or sum_pool_dx that undoes the forward pad. */
static int rule_pad(simplifier *s, draft *v)
{
    const net_node *x = at(s, v->operand[0]);
    const net_window *pad = &v->attr.window;
    net_window forward = {0};
    if (!pad->top && !pad->left && !pad->bottom && !pad->right)
        return v->operand[0];
    pads_add(&forward, pad, -1);
    if ((x->prim != NET_conv_dx && x->prim != NET_sum_pool_dx) || !windows_join(&forward, &x->attr.window))
        return -1;
    net_attr attr = x->attr;
    pads_add(&attr.window, &forward, 1);
    attr.h = v->type.h;
    attr.w = v->type.w;
    return new_node(s, x->prim, x->operand, x->count, &attr, v->name);
}

static int rewrite(simplifier *s, draft *v)
{
    switch (v->old->prim) {
    case NET_identity:
        return v->operand[0];
    case NET_add:
        return rule_add(s, v);
    case NET_mix:
        return rule_mix(s, v);
    case NET_mul:
        return rule_mul(s, v);
    case NET_concat:
        return v->count == 1 ? v->operand[0] : -1;
    case NET_slice:
        return rule_slice(s, v);
    case NET_conv:
    case NET_conv_dw:
    case NET_sum_pool:
        return rule_window(s, v);
    case NET_pad:
        return rule_pad(s, v);
    case NET_bn_finish:
    case NET_bn_exact:
        return rule_norm(s, v);
    default:
        return -1;
    }
}

/* ---- the walks --------------------------------------------------------------------------------------------------- */

static int simplify_node(simplifier *s, const net *n, int id, const int *map)
{
    const net_node *old = &n->nodes.at[id];
    draft v = {.old = old, .type = old->type, .attr = old->attr, .name = old->name, .count = old->count};
    for (int i = 0; i < old->count; i++)
        v.operand[i] = map[old->operand[i]];
    s->to->region = old->region;
    int value = rewrite(s, &v);
    return value >= 0 ? value : new_node(s, old->prim, v.operand, v.count, &v.attr, v.name);
}

static bool walk(simplifier *s)
{
    const net *n = s->from;
    const bool *live = net_live(s->scratch, n);
    int *map = NEW_ARRAY(s->scratch, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        map[i] = live[i] ? simplify_node(s, n, i, map) : -1;
        if (live[i] && map[i] < 0)
            return false;
    }
    net_copy_outputs(s->to, n, map);
    return true;
}

static bool simplify(void *user, arena *a, nasc_diag *d)
{
    simplifier *s = user;
    s->scratch->unwind = a->unwind;
    s->d = d;
    s->to = net_copy_frame(s->scratch, s->from);
    for (s->buckets = 1024; s->buckets < s->from->nodes.count;)
        s->buckets *= 2;
    s->bucket = NEW_ARRAY(s->scratch, int, s->buckets);
    for (int i = 0; i < s->buckets; i++)
        s->bucket[i] = -1;
    s->result = walk(s) ? net_sweep(a, s->to, d) : NULL;
    return s->result != NULL;
}

net *net_simplify(arena *a, const net *n, nasc_diag *d)
{
    arena scratch = {0};
    simplifier s = {.from = n, .scratch = &scratch};
    bool ok = arena_guard(a, simplify, &s, d);
    arena_free(&scratch);
    return ok ? s.result : NULL;
}
