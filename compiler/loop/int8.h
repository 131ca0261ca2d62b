/* Inside the lowering of quantised primitives: maps of bytes, sums of 32 bits, one kernel a primitive.
 *
 * A dense convolution multiplies four input channels at once (dot4), a depthwise one four rows of its window: bytes of
 * four rows are set side by side (quads), column by column, and every column's quads serve all taps of the window's
 * width. Sums come back to bytes by requantise, whose coefficients lie in rows beside the weights, so that layers of
 * one shape share a kernel. Everything that needs padding, or a floor (relu), is copied into a tile first. */
#ifndef NASC_INT8_H
#define NASC_INT8_H

#include "loop/simd.h"

/* What the weights of a q_conv begin with, in bytes: the floor, four times, then from INT8_FILL on a pixel of what lies
 * beyond the edge, c_in bytes; the weights follow at the next multiple of INT8_ALIGN. */
enum { INT8_FILL = 64, INT8_ALIGN = 64 };
/* Rows of a q_conv's coefficients. */
enum { INT8_BIAS, INT8_SHIFT, INT8_MULTIPLIER, INT8_ZERO, INT8_ROWS };

bool int8_is(enum net_prim prim);
void int8_lower(simd *s, int root);

/* Lanes of the vector of output channels that begins at channel c: the widest that still fits, for all before it. */
int int8_lanes_at(int lanes, int channels, int c);
/* Quads of weights a channel has: of a dense convolution taps · ⌈c_in/4⌉, of a depthwise one ⌈kh/4⌉ · kw. The weights of
 * the vector that begins at channel c begin at 4·c times that, a quad a lane. Depthwise vectors of less than four lanes
 * have bytes instead, tap by tap. */
int int8_quads(const net_window *w, int c_in);
/* Where the weights begin. */
int64_t int8_weights_at(int c_in);

/* ---- int8.c ---- */
view int8_map(simd *s, int node, enum loop_access access); /* of bytes in memory, of the unit's image */
/* The buffer of what weights begin with: floor and fill are unsigned. */
int int8_edge(simd *s, int weights);
/* A band of x as a window needs it for `rows` rows of its result from row `first` on, in scratch: element (row, column,
 * channel) of the window's first tap at rel = row·stride, x = column·stride. `edge`: see int8_edge; -1: what lies
 * beyond the edge is zero. */
view int8_tile(simd *s, int x, const net_window *w, const net_type *result, int rows, loop_index first, int edge,
               bool floor);
/* Opens the unit: as many rows of the result as keep a tile's bytes within the cache; their number, s->tile the first. */
int int8_open_band(simd *s, const net_node *v, int64_t row_bytes);
/* Do x's pixels, of so many channels, lie side by side? */
static inline bool int8_is_dense(const view *v, int channels)
{
    return v->column == channels;
}

/* ---- int8_conv.c, int8_depthwise.c, int8_maps.c ---- */
void int8_dense(simd *s, int root);
void int8_depthwise(simd *s, int root);
void int8_images(simd *s, int root);
void int8_logits(simd *s, int root);
void int8_add(simd *s, int root);
void int8_max_pool(simd *s, int root);
void int8_avg_pool(simd *s, int root);
void int8_global_pool(simd *s, int root);
/* The coefficients of channels from c on: row `row` of rows that have `channels` each. */
int int8_row(simd *s, int rows, int row, int channels, loop_index c, int lanes);

#endif
