/* Inside the simt lowering: kernels for GPUs, by elements.
 *
 * A thread computes one element of what a group stores, or a few side by side, and all that is inline for itself; a
 * unit is a thread, and neighbours in memory are neighbours among threads. Where threads would compute the same, or one
 * of them sum too much, they work in blocks, which meet in scratch. Values are read, and their maps written, as the simd
 * lowering does it, whose context this is: one lane, no tiles, no stages. Sums keep the net's order, so that results are
 * the same bits. */
#ifndef NASC_SIMT_H
#define NASC_SIMT_H

#include "loop/simd.h"

void simt_lower(simd *s);

/* i / by, and in *i what is left: one coordinate of an element's number. */
loop_index simt_split(simd *s, loop_index *i, int64_t by);
/* Opens the parallel loop over the elements of a value; where the unit's lies. */
spot simt_open(simd *s, const net_type *t);
/* A kernel of `count` units, each an element of a vector. */
void simt_each(simd *s, int64_t count, void (*body)(simd *s, loop_index c, int lanes));

/* One axis of a window over a source of `size` rows (or columns) that gives a map of `out`. */
typedef struct axis {
    int taps, stride, dilation, before, size, out;
    bool back; /* a gradient's: from the window's result to what it saw */
} axis;
typedef struct axes {
    axis rows, columns;
} axes;
axes simt_axes_of(const net_window *w, const net_type *source, const net_type *out, bool back);
axes simt_axes(const simd *s, int window);
/* Of the window between operands 0, x, and 1, g, of a gradient. */
axes simt_weight_axes(const simd *s, int window);
/* The row of the source that tap k of position `at` sees. Of a gradient with a stride some taps see none: then an IF is
 * opened and counted. */
loop_index simt_tap(simd *s, const axis *q, loop_index at, loop_index k, int *opened);
/* Opens IFs around what is done where that row lies inside the source; none where all do. */
void simt_inside(simd *s, const axis *q, loop_index row, int *opened);
void simt_close(simd *s, int opened);

/* Loads the per-channel rows and candidate weights that reading `node` at spots of this channel needs: simt_read finds
 * them, as long as they stand in s->channel_memo. */
void simt_load_rows(simd *s, int node, const spot *at);
int simt_read(simd *s, int node, const spot *at);

/* Are all full-size tensors that reading `node` needs maps of t's height and width, so that a pixel's number, image
 * after image, says where it lies in each? */
bool simt_is_flat(const simd *s, int node, const net_type *t);
bool simt_is_flat_root(const simd *s, int root, const net_type *t); /* and all that a root's maps need */

/* A variable as an index. */
static inline loop_index simt_variable(int var)
{
    return loop_plus(loop_at(0), var, 1);
}

/* Tiles of so many that cover `count`. */
static inline int simt_tiles(int count, int each)
{
    return (count + each - 1) / each;
}

/* Opens an IF for i < most where i, in blocks of `at_once` from 0 on, may reach it. How many were opened: 0 or 1. */
int simt_below(simd *s, loop_index i, int most, int at_once);

/* Stores a root at a spot, whose window `core` (-1: none) has the result `result` there; what it stores. */
int simt_store(simd *s, int root, int core, int result, const spot *at);

/* simt_tile.c: pointwise convolutions, of maps that are large enough for tiles */
bool simt_goes_by_tiles(const simd *s, int core);
void simt_lower_tile(simd *s, int root, int core);
/* simt_columns.c: depthwise convolutions */
bool simt_goes_by_columns(const simd *s, int core);
void simt_lower_columns(simd *s, int root, int core);
/* Of one that stays on chip: do its results come by four? Those at `at` and behind it, a multiple of four columns from
 * the map's edge. */
enum { SIMT_QUAD = 4 };
bool simt_has_quads(const simd *s, int node);
void simt_quad(simd *s, int core, const spot *at, int value[SIMT_QUAD]);
/* simt_weights.c: partial weight gradients of dense convolutions that have weights enough for tiles */
bool simt_weights_go_by_tiles(const simd *s, int root);
void simt_weight_tile(simd *s, int root);
/* simt_stream.c: filling shared memory and using it at the same time */
typedef struct stream {
    int thread, threads, users; /* the thread's variable; how many there are, and of them those that use, the first */
    /* Step `step` into part 0 or 1; a thread's share are elements turn, turn + turns, … */
    void (*fill)(simd *s, void *user, loop_index step, loop_index part, loop_index turn, int turns);
    void (*use)(simd *s, void *user, loop_index step, loop_index part);
} stream;
void simt_stream(simd *s, const stream *q, loop_index steps, void *user);
/* simt_depthwise.c: those of depthwise convolutions */
bool simt_weights_stream(const simd *s, int root);
void simt_weight_stream(simd *s, int root);
/* simt_window.c: a window's result at a spot */
int simt_window(simd *s, int node, const spot *at);
int simt_first_maximum(simd *s, const net_node *max_pool_dx, const spot *at);
/* simt_max_pool.c: the gradient of a max pool, of maps whose rows make whole bands */
bool simt_has_bands(const simd *s, int core);
void simt_lower_bands(simd *s, int root, int core);
/* simt_sum.c: sums over images and pixels */
/* A row of a channel: its kernel has left it in scratch, pixels so far apart. -1: it is made now, or stands in memory. */
typedef struct made_row {
    int w, scratch, pitch;
    loop_index first;
} made_row;
/* The group's row_sums over a row of `root`, at its first pixel; -1: over what stands in memory. By one thread. */
void simt_sum_row(simd *s, int root, const spot *row, const made_row *made);
void simt_row_sums(simd *s);           /* a group of its own */
void simt_row_maps(simd *s, int root); /* of a map, which they ride on */
void simt_weights(simd *s, int root);  /* another conv_dw's partial rows: a thread a weight */
void simt_channel_sums(simd *s);       /* the group's chan_sums: threads a row of pixels each */
void simt_total_channels(simd *s, int root);
/* simt_norm.c: does a norm add up the sums of rows itself? A kernel of all its channels, with s->totals of each. */
bool simt_norms_rows(const simd *s, int root);
void simt_norm_rows(simd *s, int root, void (*body)(simd *s, loop_index c, int lanes));
void simt_sum_squares(simd *s, int root);

#endif
