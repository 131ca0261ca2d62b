/* A GPU's blocks hold some rows of a map, not an image as a CPU's threads do: of a sum over all pixels each can add up its
 * own rows, while it has them, and what is left are the sums of rows. */
#include "net/row_sums.h"
#include "net/copy.h"
#include "net/fuse.h"

enum { NONE = -1, SEVERAL = -2 };

/* The one tensor of full size that a value is made of through maps of its pixels. */
static int source_of(const net *n, int node)
{
    const net_node *v = &n->nodes.at[node];
    int source = NONE;
    if (!net_is_map_sized(&v->type))
        return NONE;
    if (net_prim_info[v->prim].class != NET_MAP)
        return node;
    for (int k = 0; k < v->count && source != SEVERAL; k++) {
        int other = source_of(n, v->operand[k]);
        if (other != NONE)
            source = source == NONE || source == other ? other : SEVERAL;
    }
    return source;
}

static bool rides_on_tiles(const net *n, const net_node *sum)
{
    int source = source_of(n, sum->operand[0]);
    if (source < 0 || source_of(n, sum->operand[sum->count - 1]) != source)
        return false;
    const net_node *v = &n->nodes.at[source];
    return v->prim == NET_conv && v->region == sum->region && net_row_tile(n, source) > 0;
}

net *net_split_sums(arena *a, const net *n, nasc_diag *d)
{
    net *to = net_copy_frame(a, n);
    int *map = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        map[i] = -1;
        if (v->prim == NET_chan_sum && rides_on_tiles(n, v)) {
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
