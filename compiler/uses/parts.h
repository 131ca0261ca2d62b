/* A net of choices in parts, each a net of its own that can run alone: every candidate of every choice, and what stands
 * outside of the choices. The time of a network is the sum of its parts' times, so measuring each distinct part once
 * tells the time of every network of a space.
 *
 * Parts are found by structure. A sum of a choice and that choice's own input (the shortcut of a block) belongs to the
 * choice's candidates: with one that is zero it goes as well. Parts that are equal but for names are one shape. A part
 * of which nothing is left (an identity, zeros that a sum drops) is empty and takes no time. */
#ifndef NASC_PARTS_H
#define NASC_PARTS_H

#include "costs.h"
#include "space/space.h"

/* What the time of a part is told by. */
typedef struct part_traits {
    const char *op;      /* the candidate's name; "": outside of choices */
    int in[3], out[3];   /* h, w, c of the first input and output */
    int kernel, stride;  /* largest window; input height by output height */
    double expansion;    /* most channels inside by those of the input */
    bool shortcut;       /* the input is added */
    int64_t macs, bytes; /* of an image: multiply-adds; memory for inputs, outputs and weights */
} part_traits;

typedef struct part {
    net *net;   /* simplified; reads SLOT_IMAGES, SLOT_WEIGHTS and SLOT_STATS of its own, writes SLOT_LOGITS */
    bool empty; /* takes no time */
    int64_t in; /* elements of an image: of all inputs, of all outputs */
    int64_t out;
    uint64_t shape; /* equal for equal parts, whatever they are called */
    part_traits traits;
} part;

/* Where a part stands. */
typedef struct part_use {
    int part;
    int64_t place;     /* of the candidate, in SLOT_MIX; -1: outside of choices */
    const char *where; /* a path of names */
} part_use;

typedef struct parts {
    VEC(part) at; /* distinct ones, in the order of the net */
    VEC(part_use) uses;
} parts;

/* Of a space built for evaluation, whose choices are all selects. Lives in `a`. */
bool parts_of(arena *a, const space_net *built, parts *p, nasc_diag *d);
/* A hash of the candidates' shapes in order. */
uint64_t parts_key(const parts *p);
/* Costs of a network's choices from the cost of each part. `n`: the net that the parts were made of. */
costs parts_costs(arena *a, const parts *p, const net *n, const double *cost);

#endif
