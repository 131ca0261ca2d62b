/* What the backward pass needs of the forward pass is mostly the raw results of convolutions. One that is computed
 * again just before its first reader there need not be kept from one pass to the other. Cheap ones go first, and only
 * as many as the budget asks for: the layout of each choice is known without lowering it. */
#include "plan/recompute.h"
#include "net/copy.h"
#include "plan/schedule.h"

#include <stdlib.h>

typedef struct candidate {
    int value;
    double cost; /* multiply-adds an element */
} candidate;

typedef struct rewriter {
    arena *a;
    const net *from;
    net *to;
    const fusion *f; /* of `from` */
    const bool *late, *chosen;
    int *map, *again; /* of each old node: its copy; its second computation, or -1 */
    nasc_diag *d;
} rewriter;

/* Nodes of the backward pass: whatever depends on the loss's gradient. */
static bool *find_late(arena *a, const net *n)
{
    bool *late = NEW_ARRAY(a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        late[i] = v->prim == NET_xent_dx || v->prim == NET_mean_dx;
        for (int k = 0; k < v->count && !late[i]; k++)
            late[i] = late[v->operand[k]];
    }
    return late;
}

/* ---- rewriting --------------------------------------------------------------------------------------------------- */

static bool needs_again(const rewriter *r, int node)
{
    enum place p = r->f->place[node];
    if (r->chosen[node])
        return true;
    if (r->late[node] || p == PLACE_MEMORY || p == PLACE_LEAF)
        return false;
    for (int k = 0; k < r->from->nodes.at[node].count; k++)
        if (needs_again(r, r->from->nodes.at[node].operand[k]))
            return true;
    return false;
}

static int copy_with(rewriter *r, int node, int (*operand)(rewriter *r, int node), bool again)
{
    const net_node *old = &r->from->nodes.at[node];
    int *x = NEW_ARRAY(r->a, int, old->count + 1);
    for (int k = 0; k < old->count; k++)
        if ((x[k] = operand(r, old->operand[k])) < 0)
            return -1;
    net_attr attr = old->attr;
    attr.again = again;
    r->to->region = old->region;
    return net_add(r->to, old->prim, x, old->count, &attr, old->name, r->d);
}

/* What a node of the backward pass reads in place of `node`. */
static int late_version(rewriter *r, int node)
{
    if (!needs_again(r, node))
        return r->map[node];
    if (r->again[node] < 0)
        r->again[node] = copy_with(r, node, late_version, r->chosen[node] || r->from->nodes.at[node].attr.again);
    return r->again[node];
}

static const net *rewrite(arena *a, const fusion *f, const bool *late, const bool *chosen, nasc_diag *d)
{
    const net *n = f->n;
    rewriter r = {.a = a, .from = n, .to = net_copy_frame(a, n), .f = f, .late = late, .chosen = chosen, .d = d};
    r.map = NEW_ARRAY(a, int, n->nodes.count + 1);
    r.again = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++)
        r.again[i] = -1;
    for (int i = 0; i < n->nodes.count; i++) {
        r.map[i] = late[i] ? copy_with(&r, i, late_version, false) : net_copy_node(r.to, n, i, r.map, d);
        if (r.map[i] < 0)
            return NULL;
    }
    net_copy_outputs(r.to, n, r.map);
    r.to->region = 0;
    return net_sweep(a, r.to, d);
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static int by_cost(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    return a->cost != b->cost ? (a->cost > b->cost) - (a->cost < b->cost)
                              : (a->value > b->value) - (a->value < b->value);
}

static double cost_of(const fusion *f, int node)
{
    const net_node *v = &f->n->nodes.at[node];
    double macs = (double)net_prim_info[v->prim].cost(f->n, v).macs;
    for (int k = 0; k < v->count; k++)
        if (f->place[v->operand[k]] == PLACE_CHIP)
            macs += cost_of(f, v->operand[k]);
    return macs;
}

static candidate *find_candidates(arena *a, const fusion *f, const bool *late, int *count)
{
    const net *n = f->n;
    candidate *found = NEW_ARRAY(a, candidate, n->nodes.count + 1);
    bool *read_late = NEW_ARRAY(a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        node_list reads = {0};
        if (late[i])
            fusion_reads(a, f, i, &reads);
        for (int k = 0; k < reads.count; k++)
            read_late[reads.at[k]] = true;
    }
    *count = 0;
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        if ((v->prim == NET_conv || v->prim == NET_lib_conv) && f->place[i] == PLACE_MEMORY && !late[i] &&
            read_late[i] && v->region == 0 && net_is_map_sized(&v->type))
            found[(*count)++] = (candidate){i, cost_of(f, i) / (double)net_elements(&v->type)};
    }
    qsort(found, (size_t)*count, sizeof *found, by_cost);
    return found;
}

static int64_t arena_of(arena *a, const net *n, enum fuse_kernels kernels, int batch)
{
    const fusion *f = net_fuse(a, n, kernels);
    return memory_layout(a, f, schedule_groups(a, f, false), batch)->elements;
}

typedef struct chooser {
    const fusion *f;
    const bool *late;
    const candidate *at;
    enum fuse_kernels kernels;
    int count, batch;
    int many;         /* the first of the candidates are tried */
    int64_t elements; /* of the arena with them */
} chooser;

static const net *with_first(arena *a, const chooser *c, int many, nasc_diag *d)
{
    bool *chosen = NEW_ARRAY(a, bool, c->f->n->nodes.count + 1);
    for (int i = 0; i < many; i++)
        chosen[c->at[i].value] = true;
    return rewrite(a, c->f, c->late, chosen, d);
}

static bool try_many(void *user, arena *a, nasc_diag *d)
{
    chooser *c = user;
    const net *n = with_first(a, c, c->many, d);
    if (n)
        c->elements = arena_of(a, n, c->kernels, c->batch);
    return n != NULL;
}

/* Elements of the arena when the first `many` candidates are computed again; -1: refused. */
static int64_t try_first(chooser *c, int many, nasc_diag *d)
{
    c->many = many;
    return arena_within(try_many, c, d) ? c->elements : -1;
}

/* Values that are not kept, where kernels have tiles to make them in, are made by each pass. */
static const net *with_fleeting(arena *a, const net *n, enum fuse_kernels kernels, nasc_diag *d)
{
    bool *chosen = NEW_ARRAY(a, bool, n->nodes.count + 1), any = false;
    for (int i = 0; i < n->nodes.count; i++)
        any |= chosen[i] = kernels == FUSE_TILES && n->nodes.at[i].attr.fleeting;
    return any ? rewrite(a, net_fuse(a, n, kernels), find_late(a, n), chosen, d) : n;
}

const net *net_recompute(arena *a, const net *n, enum fuse_kernels kernels, int batch, int64_t budget, nasc_diag *d)
{
    n = with_fleeting(a, n, kernels, d);
    if (!n)
        return NULL;
    if (budget <= 0 || arena_of(a, n, kernels, batch) <= budget)
        return n;
    chooser c = {.f = net_fuse(a, n, kernels), .kernels = kernels, .late = find_late(a, n), .batch = batch};
    c.at = find_candidates(a, c.f, c.late, &c.count);
    int64_t least = try_first(&c, c.count, d);
    if (least < 0)
        return NULL;
    if (least > budget) {
        diag_fail(d, DIAG_MEMORY, "--memory",
                  "%.1f MiB are too little for the tensors of a step: %.1f MiB is the least",
                  (double)budget * 4 / 1048576, (double)least * 4 / 1048576);
        return NULL;
    }
    int enough = c.count, few = 0; /* few do not suffice */
    while (enough - few > (c.count + 31) / 32) {
        int middle = few + (enough - few) / 2;
        int64_t elements = try_first(&c, middle, d);
        if (elements < 0)
            return NULL;
        if (elements <= budget)
            enough = middle;
        else
            few = middle;
    }
    return with_first(a, &c, enough, d);
}
