/* Inside quantise: the values that become bytes, a unit each. */
#ifndef NASC_QUANTISE_PLAN_H
#define NASC_QUANTISE_PLAN_H

#include "quantise.h"

enum unit_kind { UNIT_IMAGES, UNIT_CONV, UNIT_ADD, UNIT_CONCAT, UNIT_MAX_POOL, UNIT_AVG_POOL, UNIT_GLOBAL_POOL };

/* A step of what is folded into a convolution: bias, or normalise from a channel on. */
typedef struct folded {
    int node;  /* a bias or a normalise */
    int begin; /* its first channel that is this unit's */
} folded;

typedef struct unit {
    enum unit_kind kind;
    int node;       /* that computes it: conv, add, pool, … */
    int value;      /* that it stands for, behind all that is folded in */
    VEC(int) input; /* units */
    VEC(folded) folded;
    bool floor;      /* of its input the larger of it and zero (a relu before it) */
    bool part;       /* normalised behind the concat that it is a part of, which alone has its values */
    bool normalised; /* images are taken as they come; mean and deviation are folded in */
    int like;        /* the unit whose scale it has; itself */
    double lo, hi;   /* seen */
    int64_t probe;   /* where the probe has its values; -1: not asked for */
    quantised_scale scale;
} unit;

struct quantiser {
    arena *arena;
    const net *n; /* simplified */
    VEC(unit) units;
    int images, logits; /* units */
    int mean, std;      /* leaves by which the network normalises; -1 */
    int64_t probed;     /* elements */
};

static inline const net_node *unit_node(const quantiser *q, const unit *u)
{
    return &q->n->nodes.at[u->node];
}

/* quantise_fold.c: the constants of both nets, in words. */
typedef struct packing {
    const quantiser *q;
    const float *constants;
    const target *t;
    VEC(int32_t) words;
    nasc_diag *d;
} packing;

/* A place in the constants, of a layer. */
typedef struct packed {
    int64_t weights, weight_bytes; /* word; of a convolution */
    int64_t rows, row_words;       /* word */
    int step;
} packed;

bool quantise_pack(packing *p, const unit *u, packed *to);

#endif
