/* Pointwise convolutions with a stride. */
#ifndef NASC_STRIDES_H
#define NASC_STRIDES_H

#include "net/net.h"

/* A convolution of one pixel's channels that leaves out pixels becomes one without a stride of those that it reads
 * (subsample), and so do its gradients: that by x is stored without the zeros between (subsample_dx puts them there where
 * it is read). A new net, `n` itself where there is none. requires: verified; biases apart. breaks: nothing. */
const net *net_sample_strides(arena *a, const net *n, nasc_diag *d);

#endif
