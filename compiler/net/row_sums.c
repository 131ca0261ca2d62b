/* A GPU's blocks hold some rows of a map, not an image as a CPU's threads do: of a sum over all pixels each can add up its
 * own rows, while it has them, and what is left are the sums of rows. */
#include "net/row_sums.h"
#include "net/copy.h"
#include "net/fuse.h"

typedef struct splitter {
    const net *n;
    int *readers; /* of each node */
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

/* Is the map `node` how the window `core` ends? */
static bool ends(const splitter *p, int node, int core)
{
    const net_node *v = &p->n->nodes.at[node];
    if (p->readers[core] > 1 || net_prim_info[v->prim].class != NET_MAP)
        return false;
    for (int k = 0; k < v->count; k++)
        if (v->operand[k] == core)
            return true;
    return false;
}

static bool rides(const splitter *p, const net_node *sum)
{
    int core = newest_source(p->n, sum->operand[0]);
    if (core < 0 || newest_source(p->n, sum->operand[sum->count - 1]) > core ||
        p->n->nodes.at[core].region != sum->region)
        return false;
    if (p->n->nodes.at[core].prim == NET_conv)
        return net_row_tile(p->n, core) > 0;
    return net_goes_by_rows(p->n, core) && ends(p, sum->operand[0], core);
}

static void count_readers(splitter *p)
{
    for (int i = 0; i < p->n->nodes.count; i++)
        for (int k = 0; k < p->n->nodes.at[i].count; k++)
            p->readers[p->n->nodes.at[i].operand[k]]++;
}

net *net_split_sums(arena *a, const net *n, nasc_diag *d)
{
    net *to = net_copy_frame(a, n);
    int *map = NEW_ARRAY(a, int, n->nodes.count + 1);
    splitter p = {.n = n, .readers = NEW_ARRAY(a, int, n->nodes.count + 1)};
    count_readers(&p);
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        map[i] = -1;
        if (v->prim == NET_chan_sum && rides(&p, v)) {
            const int operand[] = {map[v->operand[0]], map[v->operand[v->count - 1]]};
            to->region = v->region;
            int rows = net_add(to, NET_row_sum, operand, v->count, NULL, v->name, d);
            map[i] = rows < 0 ? -1 : net_add(to, NET_chan_sum, &rows, 1, NULL, v->name, d);
        } else {
            map[i] = net_copy_node(to, n, i, map, d);
        }
        if (map[i] < 0)
            return NULL;
    }
    net_copy_outputs(to, n, map);
    to->region = 0;
    return to;
}
