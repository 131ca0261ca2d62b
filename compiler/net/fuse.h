/* Fusion: where each value of a net lives, and which values one kernel computes together. */
#ifndef NASC_FUSE_H
#define NASC_FUSE_H

#include "net/net.h"

/* Where a value lives. Only PLACE_MEMORY costs memory traffic; the others are computed again by each reader. */
enum place {
    PLACE_DEAD,
    PLACE_LEAF,     /* bound from outside */
    PLACE_INLINE,   /* a map, evaluated where it is read */
    PLACE_REGISTER, /* a window, in registers while the one map that reads it is stored, or stands in scratch */
    PLACE_CHIP,     /* a window, tile by tile in scratch, in each group that needs it */
    PLACE_MEMORY,   /* stored: the root of a group (a concat: filled by its operands) */
};

typedef struct group {
    VEC(int) roots;  /* values in PLACE_MEMORY, rising */
    const char *why; /* what brought them together, for people */
} group;

typedef struct fusion {
    const net *n;
    enum place *place; /* of each node */
    int *group_of;     /* of each root, its group; else -1 */
    VEC(group) groups; /* in an order in which each comes after all it reads */
} fusion;

/* What kernels the lowering makes of groups. Those of tiles keep windows on chip between one stage and the next and sum
 * what they have made; those of elements compute each value for itself, so that what windows compute is stored; sums
 * over one tensor they take together. */
enum fuse_kernels { FUSE_TILES, FUSE_ELEMENTS };
enum {
    FUSE_CONVOLUTIONS = 4, /* that a kernel of tiles makes of one map, or adds up to one gradient, at most */
    FUSE_SUMS = 8          /* that a kernel of elements takes of what it reads, at most */
};

/* requires: verified, no composites. Outputs are in PLACE_MEMORY, each bound once (net_simplify inserts copies). */
fusion *net_fuse(arena *a, const net *n, enum fuse_kernels kernels);
void fusion_print(text *t, const fusion *f);

/* The distinct values in PLACE_MEMORY and PLACE_LEAF that computing `node` reads, through all that is recomputed. */
typedef VEC(int) node_list;
void fusion_reads(arena *a, const fusion *f, int node, node_list *reads);

/* Is a value full size: more than a vector, a scalar, or one number an image? Maps are cheap only over few of these. */
bool net_is_map_sized(const net_type *t);
bool net_is_pointwise(const net_window *w); /* 1×1, stride 1, no padding, one group */

#endif
