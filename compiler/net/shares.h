/* Sums of gradients. */
#ifndef NASC_SHARES_H
#define NASC_SHARES_H

#include "net/fuse.h"

/* A share of the sum `add`: an operand that is a convolution's gradient by its input, which may be made where it is added
 * up. Depthwise or pointwise: all others are stored. */
bool net_is_share(const net *n, int add, int x);
/* Those of a sum, by age, at most NET_OPERANDS_MAX; answers how many. */
int net_shares_of(const net *n, int add, int *share);
/* How many of the shares, counted from the first by steps of 1 or from the last by steps of -1, one kernel makes. */
int net_shares_together(const net *n, const int *share, int count, int step);

/* A sum of more shares than one kernel of tiles makes becomes a sum of sums, those first that are there first. For kernels
 * of elements it stays one sum, in the same order. A new net; `n` where there is no such sum. requires: net_settle. breaks:
 * nothing. */
const net *net_chain_shares(arena *a, const net *n, enum fuse_kernels kernels, nasc_diag *d);

#endif
