/* Less memory for more arithmetic. */
#ifndef NASC_RECOMPUTE_H
#define NASC_RECOMPUTE_H

#include "net/fuse.h"

/* What is fleeting is computed a second time by the backward pass, where kernels have tiles to make it in. Of the
 * convolutions' results that it reads, as many are, too, as it takes for the arena to hold at most `budget` elements (of 4
 * bytes) for `batch` images; 0: no bound. The result's bits do not change. A new net, or `n` itself where nothing need be
 * done. NULL with a diagnostic that says the least that would do. requires: net_settle. breaks: nothing. */
const net *net_recompute(arena *a, const net *n, enum fuse_kernels kernels, int batch, int64_t budget, nasc_diag *d);

#endif
