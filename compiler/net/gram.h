/* Norms of expansions, without what is expanded. */
#ifndef NASC_GRAM_H
#define NASC_GRAM_H

#include "net/net.h"

/* A pointwise convolution e = conv(x, w) to many more channels than it reads, and a batch norm behind it that a depthwise
 * convolution reads. The norm's statistics are a linear map's: mean w·E[x], variances diag(w·Cov[x]·wᵀ), of the Gram matrix
 * Σ x·xᵀ. So e need not be there before it is normalised, and is made where it is read, tile by tile (attr.fleeting).
 * Backward, too, the gradient by x, wᵀ·(a·g + b·(e - mean) + d), is (a·w)ᵀ·g + (wᵀ·b·w)·x + wᵀ·(d - b·mean), which reads x and
 * not e, and g before its sums are known.
 *
 * Sums are taken about a pixel of x: its distance from the mean is of the order of the deviation, however large the mean.
 *
 * For maps large enough that passes over e cost more than products; where e's weights get a gradient, which reads e, all
 * stays as it is. On all machines alike, though kernels of elements, which have no tiles, keep e: bits are to be the same. A
 * new net, `n` itself where there is no such norm. requires: net_simplify. breaks: nothing. */
const net *net_norms_by_gram(arena *a, const net *n, nasc_diag *d);

#endif
