/* Sums of kernels that compute a map element by element. */
#ifndef NASC_ROW_SUMS_H
#define NASC_ROW_SUMS_H

#include "net/net.h"

/* A chan_sum over what a tile of whole rows computes becomes that of row_sums, which ride on the tile: so the map is not
 * read again. Both add in the same order: no bit changes. A new net.
 * requires: net_settle. breaks: nothing. */
net *net_split_sums(arena *a, const net *n, nasc_diag *d);

#endif
