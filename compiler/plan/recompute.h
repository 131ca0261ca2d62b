/* Less memory for more arithmetic. */
#ifndef NASC_RECOMPUTE_H
#define NASC_RECOMPUTE_H

#include "net/fuse.h"

/* Of the convolutions' results that the backward pass reads, as many are computed a second time as it takes for the
 * arena to hold at most `budget` elements (of 4 bytes) for `batch` images; 0: no bound. The result's bits do not
 * change. A new net, or `n` itself where nothing need be done. NULL with a diagnostic that says the least that would
 * do. requires: net_settle. breaks: nothing. */
const net *net_recompute(arena *a, const net *n, enum fuse_kernels kernels, int batch, int64_t budget, nasc_diag *d);

#endif
