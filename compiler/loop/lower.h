/* Lowering: a fused group becomes one kernel. */
#ifndef NASC_LOWER_H
#define NASC_LOWER_H

#include "loop/loop.h"
#include "loop/target.h"
#include "net/fuse.h"

/* Where the plan puts stored values: a concat's operands lie inside it, so their pixels are further apart. */
typedef struct lower_layout {
    int batch;          /* the most images that it runs on */
    const int *stride;  /* elements from pixel to pixel, of each value in PLACE_MEMORY */
    const int *channel; /* elements from where its memory begins: of maps of bytes, which are bound whole */
    bool large;         /* the program's tensors overflow their half of the last cache: what is read is fetched ahead */
    /* Of each value that no cache will hold until it is read: its pixels' vectors lie on cache lines; each whole row
     * does. NULL: of none. */
    const bool *lines, *row_lines;
} lower_layout;

/* Tables over all nodes of a net, which one lowering hands to the next: a kernel touches few of them. */
typedef struct lower_room {
    int *arg_of; /* node → buffer number + 1, once it is an argument; all zero between lowerings */
    int *seen;   /* node → number of the walk that saw it last */
    int walks;
} lower_room;

lower_room lower_room_new(arena *a, const net *n);

/* How a kernel goes about its work; no choice changes a result. 0: as the lowering's own model says; what does not fit
 * a kernel is passed over. */
typedef struct lower_options {
    int tile_rows;        /* rows of the smallest map a tile, wherever that divides it */
    int vectors;          /* of output channels that a block of a dense convolution holds in registers */
    int64_t scratch_most; /* bytes; where no height of a tile keeps to it, the least is taken */
    int tiles_least;      /* wherever the smallest map has as many rows */
    bool small;           /* short code before fast code: small blocks, loops over taps and channels */
    bool rolled;          /* channels that are taken together stay a loop, for C's compilers to unroll */
} lower_options;

/* One argument of the kernel: which value of the net is bound to it. */
typedef struct lower_arg {
    int value;
    int access;     /* enum loop_access */
    int64_t offset; /* elements into the value: so that kernels of different candidates are equal */
} lower_arg;

typedef struct lowered {
    kernel *k;
    VEC(lower_arg) args;
    int unit_images, unit_tiles; /* see program_instance */
    int64_t flops_image, bytes_image;
} lowered;

/* By the simd lowering, where the target is a CPU: vectors over channels, tile by tile, one thread a unit. By the simt
 * lowering, where it is a GPU: an element a thread, or a tile a block; `o` does not concern it. requires: what net_fuse gives for such
 * kernels, room for its net. */
lowered *lower_group(arena *a, const fusion *f, const group *g, const lower_layout *layout, const target *t,
                     const lower_options *o, lower_room *room);

/* How many output channels a panel has, where kernels for `t` want a convolution's weights in panels (see net_attr); 0: as
 * they are. `small`: of lower_options. */
int lower_panel(const net *n, const net_node *conv, const target *t, bool small);

#endif
