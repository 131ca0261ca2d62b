/* Many edges leave a state, and each has a share in its gradient. A kernel that makes several of them needs the state once,
 * and no share but the last touches memory; one that makes all of them would keep their sources for too long, and has too
 * many weights at a time. */
#include "net/shares.h"
#include "net/copy.h"

#include <stdlib.h>

/* Elements: what is read and their gradients take 3/8 of a second cache of 1 MiB. */
enum { WEIGHTS_MOST = 48 << 10 };

typedef struct chainer {
    net *to;
    const net *from;
    int *map;
    enum fuse_kernels kernels;
    nasc_diag *d;
} chainer;

bool net_is_share(const net *n, int add, int x)
{
    const net_node *v = &n->nodes.at[add], *share = &n->nodes.at[x];
    return v->prim == NET_add && v->count > 1 && share->prim == NET_conv_dx &&
           (net_is_depthwise(n, share) || net_is_pointwise(&share->attr.window)) && share->region == v->region &&
           net_type_equal(&share->type, &v->type);
}

static int by_age(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

int net_shares_of(const net *n, int add, int *share)
{
    const net_node *v = &n->nodes.at[add];
    int count = 0;
    for (int k = 0; k < v->count; k++)
        if (net_is_share(n, add, v->operand[k]))
            share[count++] = v->operand[k];
    qsort(share, (size_t)count, sizeof *share, by_age);
    return count;
}

/* Elements of the weights that a share is made with: its own, and those of the convolution after it. */
static int64_t weights_of(const net *n, int share)
{
    const net_node *v = &n->nodes.at[share], *after = &n->nodes.at[v->operand[0]];
    int64_t own = net_elements(&n->nodes.at[v->operand[1]].type);
    return own + (after->prim == NET_conv_dx ? net_elements(&n->nodes.at[after->operand[1]].type) : 0);
}

int net_shares_together(const net *n, const int *share, int count, int step)
{
    int64_t weights = 0;
    int together = 0;
    while (together < count && together < FUSE_CONVOLUTIONS) {
        weights += weights_of(n, share[together * step]);
        if (together > 0 && weights > WEIGHTS_MOST)
            break;
        together++;
    }
    return together;
}

/* The sum `node` as a chain: shares by age, as many at a time as one kernel makes; all else at its end. -1: refused. */
static int chain(chainer *s, int node)
{
    const net_node *v = &s->from->nodes.at[node];
    int share[NET_OPERANDS_MAX], piece[NET_OPERANDS_MAX], count = 0, shares = net_shares_of(s->from, node, share);
    s->to->region = v->region;
    for (int k = 0, end; k < shares; k = end) {
        end = k + net_shares_together(s->from, share + k, shares - k, 1);
        for (; k < end; k++)
            piece[count++] = s->map[share[k]];
        if (end == shares || count == 1 || s->kernels == FUSE_ELEMENTS)
            continue;
        piece[0] = net_add(s->to, NET_add, piece, count, NULL, v->name, s->d);
        if (piece[0] < 0)
            return -1;
        count = 1;
    }
    for (int k = 0; k < v->count; k++)
        if (!net_is_share(s->from, node, v->operand[k]))
            piece[count++] = s->map[v->operand[k]];
    return net_add(s->to, NET_add, piece, count, NULL, v->name, s->d);
}

static bool has_many(const net *n, int node)
{
    int share[NET_OPERANDS_MAX];
    int shares = net_shares_of(n, node, share);
    return net_shares_together(n, share, shares, 1) < shares;
}

const net *net_chain_shares(arena *a, const net *n, enum fuse_kernels kernels, nasc_diag *d)
{
    int first = 0;
    while (first < n->nodes.count && !has_many(n, first))
        first++;
    if (first == n->nodes.count)
        return n;
    chainer s = {.to = net_copy_frame(a, n), .from = n, .kernels = kernels, .d = d};
    s.map = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        s.map[i] = has_many(n, i) ? chain(&s, i) : net_copy_node(s.to, n, i, s.map, d);
        if (s.map[i] < 0)
            return NULL;
    }
    net_copy_outputs(s.to, n, s.map);
    s.to->region = 0;
    return s.to;
}
