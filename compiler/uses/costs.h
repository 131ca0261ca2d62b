/* What the candidates of a net's choices cost, by its rules. */
#ifndef NASC_COSTS_H
#define NASC_COSTS_H

#include "net/net.h"

enum cost_kind { COST_MACS, COST_PARAMS };

typedef struct costs {
    double *of;         /* of each candidate, laid out like SLOT_MIX; where several places share a choice, their sum */
    int64_t count;      /* of them */
    double fixed;       /* of what stands outside of choices */
    double least, most; /* of a whole network */
} costs;

/* Multiply-adds of an image, or parameters. Of a net as built, whose choices are all selects. */
costs costs_of(arena *a, const net *n, enum cost_kind kind);
/* The least and the most that a network of the space costs, from `of` and `fixed`. */
void costs_bounds(costs *c, const net *n);

#endif
