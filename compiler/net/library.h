/* Convolutions that a library computes in place of a kernel. */
#ifndef NASC_LIBRARY_H
#define NASC_LIBRARY_H

#include "net/net.h"

/* What the library says of a convolution: whether it takes it for a batch, and the bytes that it works in. */
typedef struct net_library {
    bool (*takes)(void *user, const program_conv *conv, int batch, int64_t *workspace);
    void *user;
} net_library;

/* Gives dense convolutions of maps, and their gradients, to the library where it takes them. Each then stands alone,
 * operands and result in memory; filters are laid out for it once a run. Those of candidates that are selected stay
 * kernels: a graph can leave out a kernel, but not what a library launches. A new net.
 * requires: net_settle. breaks: "reductions are chunked". */
net *net_give_to_library(arena *a, const net *n, const net_library *l, int batch, nasc_diag *d);

/* What the node, a convolution of either kind, is to a library; `owner`: net_owners. */
program_conv net_library_conv(const net *n, int node, const int *owner);

#endif
