/* Whose weights are whose: the flat vector of weights as stretches, each of what always runs or of one candidate alone.
 * Optimisers step on the stretches of what is active; a gradient exists for those only. */
#include "net/copy.h"

#include <stdlib.h>
#include <string.h>

/* The region that alone uses each node, 0 where several do or all. */
static int *find_users(arena *a, const net *n)
{
    int *region = NEW_ARRAY(a, int, n->nodes.count + 1);
    memset(region, -1, (size_t)n->nodes.count * sizeof *region);
    for (int i = 0; i < n->nodes.count; i++)
        for (int k = 0; k < n->nodes.at[i].count; k++) {
            int *of = &region[n->nodes.at[i].operand[k]], by = n->nodes.at[i].region;
            *of = *of < 0 || *of == by ? by : 0;
        }
    return region;
}

static int by_offset(const void *x, const void *y)
{
    const net_path *a = x, *b = y;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static void find_stretches(arena *a, const net *n, net_paths *p)
{
    const int *region = find_users(a, n);
    VEC(net_path) leaves = {0};
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        net_path one = {v->attr.offset, net_elements(&v->type), 0, region[i] < 0 ? 0 : region[i]};
        if (v->prim == NET_input && v->attr.slot == SLOT_WEIGHTS)
            VEC_PUSH(a, &leaves, one);
    }
    if (leaves.count)
        qsort(leaves.at, (size_t)leaves.count, sizeof *leaves.at, by_offset);
    for (int i = 0; i < leaves.count; i++) {
        const net_path *one = &leaves.at[i];
        net_path *last = p->at.count ? &p->at.at[p->at.count - 1] : NULL;
        if (last && last->region == one->region && last->offset + last->count == one->offset)
            last->count += one->count;
        else
            VEC_PUSH(a, &p->at, *one);
    }
}

/* The region of candidate 0 of the select that `region` belongs to; -1: none. */
static int place_of(const net *n, int region)
{
    return region ? region - n->regions.at[region].candidate : -1;
}

/* Elements of the largest candidate of a place. */
static int64_t largest(arena *a, const net *n, const net_paths *p, int place)
{
    int64_t *sum = NEW_ARRAY(a, int64_t, n->regions.count), most = 0;
    for (int i = 0; i < p->at.count; i++) {
        const net_path *one = &p->at.at[i];
        if (place_of(n, one->region) == place)
            sum[one->region] += one->count;
        most = place_of(n, one->region) == place && sum[one->region] > most ? sum[one->region] : most;
    }
    return most;
}

net_paths *net_paths_of(arena *a, const net *n)
{
    net_paths *p = NEW(a, net_paths);
    int64_t *next = NEW_ARRAY(a, int64_t, n->regions.count); /* of each region: where its gradients go on */
    bool *placed = NEW_ARRAY(a, bool, n->regions.count), shared = false;
    find_stretches(a, n, p);
    for (int i = 0; i < p->at.count; i++) {
        net_path *one = &p->at.at[i];
        int place = place_of(n, one->region);
        if (place < 0) {
            one->grad = shared ? p->grad_elements : one->offset;
            p->grad_elements = one->grad + one->count;
            continue;
        }
        shared = true;
        if (!placed[place]) {
            placed[place] = true;
            for (int r = place; r < n->regions.count && place_of(n, r) == place; r++)
                next[r] = p->grad_elements;
            p->grad_elements += largest(a, n, p, place);
        }
        one->grad = next[one->region];
        next[one->region] += one->count;
    }
    return p;
}
