/* In which order groups run, and where stored values lie: both known without lowering anything, so that other passes
 * can ask what a net would cost. */
#ifndef NASC_SCHEDULE_H
#define NASC_SCHEDULE_H

#include "net/fuse.h"

/* Launches in order; the groups of one do not depend on each other. */
typedef struct schedule {
    int launches;
    int *launch_of; /* of each group */
    int *order;     /* groups by launch, then by number */
    int *beside;    /* of each launch: see program_launch */
} schedule;

/* sequential: one group a launch, in the net's order (least memory). Choices in the net: in its order, neighbours that
 * do not depend on each other in one launch. Else all that is ready; values that are computed again (attr.again) as
 * late as they may. What moves running statistics comes last. */
schedule *schedule_groups(arena *a, const fusion *f, bool sequential);

/* A stored value's memory: its own, or a part of the concat (or select) that it fills. */
typedef struct home {
    int owner;                /* the value whose object it lies in */
    int64_t channel;          /* elements from the object's start */
    const net_output *output; /* of owners: bound to a slot */
} home;

typedef struct memory {
    const home *home;      /* of each value */
    const int *stride;     /* elements from pixel to pixel */
    const int *channel;    /* elements from the object's start, of its home */
    const int64_t *offset; /* of each owner in the arena; -1: none */
    int64_t elements;      /* of the whole arena, for `batch` images */
    int64_t alive;         /* of them at once, at most: the arena's lower bound, where there are no choices */
    const bool *lines;     /* of each value: maps in the arena whose pixels begin on cache lines */
    const bool *row_lines; /* others, whose rows begin and end on cache lines */
    const struct planner *planner;
} memory;

memory *memory_layout(arena *a, const fusion *f, const schedule *s, int batch);
/* The most elements in a row that no tensor has while a launch runs, the arena's end taken to be `below`. */
int64_t memory_gap(const memory *m, int launch, int64_t below);
/* Where a launch finds so many elements that no tensor has while it runs; maybe beyond the arena's end. */
int64_t memory_scratch(const memory *m, int launch, int64_t elements);
/* Elements of a value for a batch; of bytes, words of four, with what readers of quads touch behind them. */
int64_t memory_elements(const net *n, int value, int batch);

#endif
