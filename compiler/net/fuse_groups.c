/* Which stored values one kernel computes together: gradients that share a tile, sums that ride on what they are over,
 * convolutions of the same map, and maps that these read. Two sets are joined only where no third would have to run
 * between them. */
#include "net/fuse_parts.h"
#include "net/row_sums.h"

#include <string.h>

typedef struct dependency { /* of each root: the roots that it reads, and those that it reads around a pixel */
    node_list reads, around;
} dependency;

/* Roots as a graph of merged sets; answers whether joining two would close a cycle. */
typedef struct joiner {
    fuser *u;
    dependency *of;       /* by root id */
    int *parent;          /* union-find over roots */
    int *next;            /* ring of the roots of a set */
    int *oldest, *newest; /* of each set, its oldest root, its newest */
    int *mark, stamp;
    int *queue;
    int *last;     /* of each map, the last convolution that reads it, + 1 */
    int *siblings; /* of each convolution, how many of its set come up to it */
} joiner;

/* The set that a root stands in, by one of its roots. */
static int find(joiner *j, int root)
{
    while (j->parent[root] != root)
        root = j->parent[root] = j->parent[j->parent[root]];
    return root;
}

static bool is_root(const fuser *u, int node)
{
    return u->f->place[node] == PLACE_MEMORY && u->n->nodes.at[node].prim != NET_concat &&
           u->n->nodes.at[node].prim != NET_select;
}

/* Does the set of `from` read (over at least one set in between) something of the set of `to`? Only sets with a root
 * not older than the oldest of `to` can. */
static bool reads_around(joiner *j, int from, int to)
{
    int head = 0, tail = 0, target = find(j, to), start = find(j, from), oldest = j->oldest[target];
    j->stamp++;
    j->mark[start] = j->stamp;
    j->queue[tail++] = start;
    while (head < tail) {
        int set = j->queue[head++], r = set;
        do {
            for (int i = 0; i < j->of[r].reads.count; i++) {
                int read = j->of[r].reads.at[i];
                int other = is_root(j->u, read) ? find(j, read) : -1;
                if (other < 0 || j->newest[other] < oldest)
                    continue;
                if (other == target && set != start)
                    return true;
                if (other == target || j->mark[other] == j->stamp)
                    continue;
                j->mark[other] = j->stamp;
                j->queue[tail++] = other;
            }
            r = j->next[r];
        } while (r != set);
    }
    return false;
}

/* What computing `node` reads through windows. */
static void window_reads(const fuser *u, int node, node_list *list)
{
    const net_node *v = &u->n->nodes.at[node];
    if ((fuse_class(u->n, node) == NET_WINDOW && !fuse_is_pointwise(u->n, node)) || v->prim == NET_conv_dw) {
        fusion_reads(u->a, u->f, node, list);
        return;
    }
    for (int k = 0; k < v->count; k++) {
        enum place p = u->f->place[v->operand[k]];
        if (p == PLACE_INLINE || p == PLACE_REGISTER || p == PLACE_CHIP)
            window_reads(u, v->operand[k], list);
    }
}

/* Does a root of the set of `from` read around a pixel what the set of `to` computes, tile by tile? */
static bool reads_past_a_tile(joiner *j, int from, int to)
{
    int r = from, set = find(j, to);
    do {
        for (int i = 0; i < j->of[r].around.count; i++)
            if (is_root(j->u, j->of[r].around.at[i]) && find(j, j->of[r].around.at[i]) == set)
                return true;
        r = j->next[r];
    } while (r != from);
    return false;
}

static bool join(joiner *j, int a, int b)
{
    int x = find(j, a), y = find(j, b);
    if (x == y)
        return true;
    if (j->u->n->nodes.at[a].region != j->u->n->nodes.at[b].region || reads_past_a_tile(j, a, b) ||
        reads_past_a_tile(j, b, a) || reads_around(j, a, b) || reads_around(j, b, a))
        return false;
    j->parent[y] = x;
    j->oldest[x] = j->oldest[x] < j->oldest[y] ? j->oldest[x] : j->oldest[y];
    j->newest[x] = j->newest[x] > j->newest[y] ? j->newest[x] : j->newest[y];
    int swap = j->next[x]; /* splice the rings */
    j->next[x] = j->next[y];
    j->next[y] = swap;
    return true;
}

/* The newest map-sized root among what `node` reads, or -1. */
static int newest_read(const fuser *u, const dependency *d, const net_type *pixels)
{
    int newest = -1;
    for (int i = 0; i < d->reads.count; i++) {
        int r = d->reads.at[i];
        enum net_class c = fuse_class(u->n, r);
        const net_type *t = &u->n->nodes.at[r].type;
        if (is_root(u, r) && (c == NET_WINDOW || c == NET_MAP) && t->n == NET_BATCH && t->h == pixels->h &&
            t->w == pixels->w && r > newest)
            newest = r;
    }
    return newest;
}

/* Sums ride on the kernel that makes what they are over, of elements where that has whole rows; so do copies. */
static bool rides(const fuser *u, int node, int on)
{
    const net_node *v = &u->n->nodes.at[node];
    if (u->kernels == FUSE_ELEMENTS)
        return v->prim == NET_row_sum && fusion_makes_rows(u->f, on) &&
               net_type_equal(&u->n->nodes.at[v->operand[0]].type, &u->n->nodes.at[on].type);
    return v->prim == NET_chan_sum || (fuse_is_copy(u->n, node) && net_is_map_sized(&v->type));
}

/* Appends to `roots` the stored values whose computation evaluates `node`. */
static void roots_over(const fuser *u, int node, node_list *roots)
{
    if (u->f->place[node] == PLACE_MEMORY) {
        if (is_root(u, node))
            fuse_add_read(u->a, roots, node);
        return;
    }
    for (int i = u->first_user[node]; i < u->first_user[node + 1]; i++)
        roots_over(u, u->users[i].node, roots);
}

/* Gradients of one convolution share their gradient's tile; gradients on chip bring all their readers together. A Gram matrix
 * comes with the sums of what it is of. */
static void join_gradients(joiner *j, int node)
{
    const fuser *u = j->u;
    const net_node *v = &u->n->nodes.at[node];
    node_list roots = {0};
    if (v->prim == NET_conv_dx && u->f->place[node] != PLACE_MEMORY)
        roots_over(u, node, &roots);
    if (v->prim == NET_conv_dw) {
        int g = v->operand[1];
        bool gram = g == v->operand[0];
        fuse_add_read(u->a, &roots, node);
        for (int i = u->first_user[g]; i < u->first_user[g + 1]; i++) {
            const net_node *by = &u->n->nodes.at[u->users[i].node];
            if ((by->prim == NET_conv_dx && u->users[i].operand == 0) || (gram && by->prim == NET_chan_sum))
                roots_over(u, u->users[i].node, &roots);
        }
    }
    for (int i = 1; i < roots.count; i++)
        join(j, roots.at[0], roots.at[i]);
}

/* Sums that ride on no kernel: those of one tensor come together, up to FUSE_SUMS. `over`: of each value, the last sum
 * that reads it, + 1; `count`: of each set, how many sums it has. */
static void join_sums(joiner *j, int sum, int *over, int *count)
{
    fuser *u = j->u;
    bool joined = false;
    const net_type *t = &u->n->nodes.at[u->n->nodes.at[sum].operand[0]].type;
    count[sum] = 1;
    for (int i = 0; i < j->of[sum].reads.count; i++) {
        int read = j->of[sum].reads.at[i], other = over[read] - 1;
        if (!net_is_map_sized(&u->n->nodes.at[read].type))
            continue;
        over[read] = sum + 1;
        if (other < 0 || joined || count[find(j, other)] >= FUSE_SUMS ||
            !net_type_equal(t, &u->n->nodes.at[u->n->nodes.at[other].operand[0]].type))
            continue;
        int sums = count[find(j, other)] + 1;
        joined = join(j, other, sum);
        if (joined)
            count[find(j, sum)] = sums;
    }
}

/* Is it computed a second time, by the pass that needs it? */
static bool is_again(const fuser *u, int node)
{
    return u->n->nodes.at[node].attr.again;
}

/* Pointwise convolutions of one size, each by itself or behind a depthwise one, share the tile that the map is read into. */
static void join_siblings(joiner *j, int node)
{
    const fuser *u = j->u;
    if (u->f->place[node] != PLACE_MEMORY || !fuse_is_pointwise(u->n, node))
        return;
    int x = u->n->nodes.at[node].operand[0];
    if (fuse_is_depthwise(u->n, x) && u->f->place[x] == PLACE_CHIP)
        x = u->n->nodes.at[x].operand[0];
    int other = j->last[x] - 1;
    bool joins = other >= 0 && j->siblings[other] < FUSE_CONVOLUTIONS && is_again(u, other) == is_again(u, node) &&
                 net_type_equal(&u->n->nodes.at[other].type, &u->n->nodes.at[node].type) && join(j, other, node);
    j->last[x] = node + 1;
    j->siblings[node] = joins ? j->siblings[other] + 1 : 1;
}

/* Maps that a pointwise convolution reads at its pixels are made, and stored for others, as it comes to them. */
static void join_maps(joiner *j, int node)
{
    const fuser *u = j->u;
    if (u->f->place[node] != PLACE_MEMORY || !fuse_is_pointwise(u->n, node))
        return;
    const net_type *t = &u->n->nodes.at[node].type;
    for (int i = 0; i < j->of[node].reads.count; i++) {
        int map = j->of[node].reads.at[i];
        const net_type *m = &u->n->nodes.at[map].type;
        bool made = is_root(u, map) && fuse_class(u->n, map) == NET_MAP && !u->holds_window[map];
        if (made && net_is_map_sized(m) && m->h == t->h && m->w == t->w && is_again(u, map) == is_again(u, node) &&
            fuse_reads_little(u, map))
            join(j, node, map);
    }
}

static bool is_flat(const net_type *t)
{
    return t->n == 1 && t->h == 1 && t->w == 1;
}

static void join_all(joiner *j)
{
    const fuser *u = j->u;
    int flat = -1;
    bool tiles = u->kernels == FUSE_TILES;
    int *over = NEW_ARRAY(u->a, int, u->n->nodes.count + 1), *sums = NEW_ARRAY(u->a, int, u->n->nodes.count + 1);
    for (int i = 0; i < u->n->nodes.count && tiles; i++) {
        join_gradients(j, i);
        join_siblings(j, i);
    }
    for (int i = 0; i < u->n->nodes.count && tiles; i++)
        join_maps(j, i);
    for (int i = 0; i < u->n->nodes.count; i++) {
        const net_node *v = &u->n->nodes.at[i];
        if (u->f->place[i] != PLACE_MEMORY)
            continue;
        int newest = v->count ? newest_read(u, &j->of[i], &u->n->nodes.at[v->operand[0]].type) : -1;
        bool alone, riding = newest >= 0 && rides(u, i, newest) && join(j, newest, i);
        int norm = fuse_norm_of(u, i, &alone);
        if (fuse_adds_rows(u, norm))
            join(j, i, norm);
        else if (!riding && v->prim == NET_chan_sum)
            join_sums(j, i, over, sums);
        if (fuse_class(u->n, i) == NET_MAP && is_flat(&v->type)) { /* steps of optimisers: one pass over the vectors */
            if (flat >= 0 && u->n->nodes.at[flat].type.c == v->type.c)
                join(j, flat, i);
            flat = i;
        }
    }
}

/* Numbers the sets so that each comes after what it reads, the net's own order first. */
static void order_groups(joiner *j)
{
    fuser *u = j->u;
    int count = u->n->nodes.count, head, done = 0, total = 0;
    bool *ready = NEW_ARRAY(u->a, bool, count + 1);
    for (int i = 0; i < count; i++)
        total += is_root(u, i) && find(j, i) == i;
    int *pending = NEW_ARRAY(u->a, int, total + 1); /* sets by their oldest root */
    int pendings = 0;
    for (int i = 0; i < count; i++)
        if (is_root(u, i) && j->mark[find(j, i)] != -1) {
            j->mark[find(j, i)] = -1;
            pending[pendings++] = find(j, i);
        }
    while (done < total) {
        int before = done, kept = 0;
        for (head = 0; head < pendings; head++) {
            int set = pending[head], r = set;
            bool now = true;
            do {
                for (int i = 0; i < j->of[r].reads.count && now; i++) {
                    int read = j->of[r].reads.at[i];
                    if (is_root(u, read) && find(j, read) != set && !ready[find(j, read)])
                        now = false;
                }
                r = j->next[r];
            } while (r != set && now);
            if (!now) {
                pending[kept++] = set;
                continue;
            }
            ready[set] = true;
            done++;
            VEC_PUSH(u->a, &u->f->groups, (group){0});
            r = set;
            do {
                u->f->group_of[r] = u->f->groups.count - 1;
                r = j->next[r];
            } while (r != set);
        }
        pendings = kept;
        CHECK(done > before); /* join never closes a cycle */
    }
    for (int i = 0; i < count; i++)
        if (is_root(u, i))
            VEC_PUSH(u->a, &u->f->groups.at[u->f->group_of[i]].roots, i);
}

void fuse_groups(fuser *u)
{
    int count = u->n->nodes.count;
    joiner j = {.u = u,
                .of = NEW_ARRAY(u->a, dependency, count + 1),
                .parent = NEW_ARRAY(u->a, int, count + 1),
                .next = NEW_ARRAY(u->a, int, count + 1),
                .oldest = NEW_ARRAY(u->a, int, count + 1),
                .newest = NEW_ARRAY(u->a, int, count + 1),
                .mark = NEW_ARRAY(u->a, int, count + 1),
                .queue = NEW_ARRAY(u->a, int, count + 1),
                .last = NEW_ARRAY(u->a, int, count + 1),
                .siblings = NEW_ARRAY(u->a, int, count + 1)};
    for (int i = 0; i < count; i++) {
        j.parent[i] = j.next[i] = j.oldest[i] = j.newest[i] = i;
        if (is_root(u, i)) {
            fusion_reads(u->a, u->f, i, &j.of[i].reads);
            window_reads(u, i, &j.of[i].around);
        }
    }
    join_all(&j);
    order_groups(&j);
}
