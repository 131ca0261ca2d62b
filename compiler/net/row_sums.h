/* Sums over the rows of maps, by kernels that compute these element by element (FUSE_ELEMENTS). */
#ifndef NASC_ROW_SUMS_H
#define NASC_ROW_SUMS_H

#include "net/fuse.h"

/* Does a pointwise convolution, or a gradient by its input, go by tiles of pixels and channels? */
bool net_goes_by_tiles(const net *n, int node);
/* May its tiles be whole rows of the map? They are of a multiple of so many pixels; 0: they may not. */
int net_row_tile(const net *n, int node);
/* May a depthwise convolution's gradient by its input go by whole rows of the map, four columns a thread? */
bool net_goes_by_rows(const net *n, int node);
/* Does the kernel of a root hold whole rows of it, so that sums over rows may ride on it? */
bool fusion_makes_rows(const fusion *f, int root);

/* A chan_sum over what a kernel has whole rows of becomes that of row_sums, which ride on it: so the map is not read again.
 * A norm has chan_sums for itself, which it adds up. All add in the order of the chan_sum before: no bit changes. A new net.
 * requires: net_settle. breaks: nothing. */
net *net_split_sums(arena *a, const net *n, nasc_diag *d);

#endif
