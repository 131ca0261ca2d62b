/* What is asked of a network: its loss and scores, and that networks built for different uses share their vectors. */
#ifndef NASC_OBJECTIVE_H
#define NASC_OBJECTIVE_H

#include "space/space.h"

/* Adds the labels, the mean cross-entropy (with label smoothing; plus `auxiliary` times the auxiliary head's, where
 * there is one) and the fraction of right answers, and binds logits, loss and score to their slots. */
bool objective_add(space_net *built, double smoothing, double auxiliary, nasc_diag *d);

/* The network of a space or genotype for one use, with its loss. */
enum objective_use {
    USE_WEIGHTS, /* learns weights: batch statistics, running ones move */
    USE_MIX,     /* learns candidate weights: batch statistics */
    USE_BOTH,    /* the gradient by both */
    USE_FORWARD, /* batch statistics, no gradient */
    USE_EVAL     /* running statistics, no gradient, no auxiliary head */
};
typedef struct objective {
    space_net built;
    unsigned grad; /* for pipeline_options */
} objective;
bool objective_build(const space *s, const settings *set, enum objective_use use, arena *a, objective *o, nasc_diag *d);

/* Moves the named leaves of `n` to where `model` has those names, so that one vector of weights serves both (evaluation
 * has no auxiliary head; its weights are a part of training's). requires: built, not yet expanded. */
bool objective_share(net *n, const net *model, nasc_diag *d);

#endif
