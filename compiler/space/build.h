/* What the two halves of building share: the network's walk (build.c) and the ops' (build_steps.c). */
#ifndef NASC_SPACE_BUILD_H
#define NASC_SPACE_BUILD_H

#include "space/model.h"

/* A value on its way through the network, with the stride between the image and it. */
typedef struct flow {
    int value; /* net node; -1 after an error */
    int64_t stride;
} flow;

/* What an op is told by the place where it stands. */
typedef struct place {
    const scope *outer;
    int64_t C, s, c_in;
} place;

typedef struct builder {
    const struct space *space;
    const settings *set;
    space_mode mode;
    bool search;
    net *net;
    arena *arena;
    nasc_diag *diag;
    char path[512];
    int64_t steps;
} builder;

/* The path of names, joined by dots; empty names leave no trace. One that grows too long is told with `where`. */
size_t path_enter(builder *b, const char *name, const char *where);
size_t path_enter_index(builder *b, const char *name, int index, const char *where);
void path_leave(builder *b, size_t mark);
const char *path_of(builder *b, const char *last); /* in the arena */

bool build_failed(const builder *b);
int flow_channels(const builder *b, flow x);
/* The value of an expression of the network's sections, within [low, high]. */
int64_t build_number(builder *b, const expr *e, const scope *s, const char *where, const char *key, int64_t low,
                     int64_t high);
/* Adds a node; a refusal of its shape rule is told with the pointer `where`. */
int build_node(builder *b, enum net_prim prim, const int *operand, int count, const net_attr *attr, const char *where);
/* Drop-path: x times a mask of one number an image, in the training of a genotype. */
flow build_drop(builder *b, flow x, double rate, const char *where);
flow build_steps(builder *b, const steps *list, flow x, const place *p);
/* An op at a place that wants p->C channels. */
flow build_op(builder *b, const op *o, flow x, const place *p, const char *where);
bool build_condition(builder *b, const expr *e, flow x, const place *p, const char *where);

#endif
