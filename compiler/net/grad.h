/* What gradient rules see. A rule grad_NAME(g, node, gradient) runs once for a node whose value the loss depends on,
 * with the whole gradient by that value; it gives each operand that needs one its share. */
#ifndef NASC_NET_GRAD_H
#define NASC_NET_GRAD_H

#include "net/net.h"

typedef struct grad_gift {
    int consumer; /* node whose rule gave it */
    int value;
    int region; /* backward region of the consumer */
} grad_gift;

/* Candidate weights' gradients of one mix or scale: a (1,1,1,m) row for `pick` of row `row`. */
typedef struct grad_piece {
    int value, row, region;
    const int *pick;
} grad_piece;

struct net_grad_context {
    net *n;
    nasc_diag *d;
    bool ok;
    int consumer;           /* node whose rule runs */
    bool *needs;            /* by forward node: depends on a wanted leaf, or holds a wanted gate */
    bool gates;             /* gates' gradients are wanted */
    const net_paths *paths; /* where the weights' gradients go; NULL: they are not wanted */
    VEC(struct grad_gate {
        int64_t offset;
        int value;
    })
    gate_values;   /* by place in SLOT_MIX, in the order of the walk */
    int *backward; /* by forward region: its backward region, 0 where none is made yet */
    struct grad_shares {
        VEC(grad_gift) gifts;
        VEC(grad_piece) pieces;
    } *shares; /* by forward node */
};

/* Whether operand i of the node needs a gradient. What nobody needs must not be computed. */
bool grad_needs(const net_grad_context *g, int node, int i);
/* A share of the gradient by node `to`. */
void grad_give(net_grad_context *g, int to, int value);
/* A share of the gradient by candidate weights `to`. */
void grad_give_row(net_grad_context *g, int to, int row, const int *pick, int value);
/* Σ gradient · x over everything, a (1,1,1,1). */
int grad_dot(net_grad_context *g, int gradient, int x);
int grad_new(net_grad_context *g, enum net_prim prim, const int *operand, int count, const net_attr *attr);
#define GRAD_NEW(g, prim, attr, ...) grad_new(g, prim, (int[]){__VA_ARGS__}, COUNT(((int[]){__VA_ARGS__})), attr)

#endif
