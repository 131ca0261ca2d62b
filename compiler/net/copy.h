/* What passes that make a new net of an old one are written with. */
#ifndef NASC_NET_COPY_H
#define NASC_NET_COPY_H

#include "net/net.h"

/* A net without nodes and outputs: regions, parameters, masks and slots of `from`. */
net *net_copy_frame(arena *a, const net *from);
/* The node with its operands through `map`, by the builder. -1 with a diagnostic where the shape rule refuses. */
int net_copy_node(net *to, const net *from, int node, const int *map, nasc_diag *d);
void net_copy_outputs(net *to, const net *from, const int *map);
/* Who reads each node, and as which operand: node i's are at[first[i]] to at[first[i + 1]], by number; and which leave. */
typedef struct net_user {
    int node, operand;
} net_user;
typedef struct net_users {
    int *first;
    net_user *at;
    bool *is_output; /* by node */
} net_users;
const net_users *net_users_of(arena *a, const net *n);
/* Nodes that an output needs. */
bool *net_live(arena *a, const net *n);
/* A copy of those; leaves that are parameters stay findable by name. NULL with a diagnostic where a shape rule refuses. */
net *net_sweep(arena *a, const net *n, nasc_diag *d);

int net_picks(const net *n, const net_node *node);      /* length of the node's attr.pick */
void net_name_leaf(net *n, const char *name, int leaf); /* makes net_weight and its like find the leaf */
bool net_is_zero(const net *n, int node);               /* constant 0 */

#endif
