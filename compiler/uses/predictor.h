/* The network that predicts a cost from features: y = W·x + b + MLP(x), an MLP of two hidden layers of relu. */
#ifndef NASC_PREDICTOR_NET_H
#define NASC_PREDICTOR_NET_H

#include "net/net.h"

/* Reads SLOT_IMAGES (N,1,1,features + 1), whose last channel is minus the wanted value, and writes y (N,1,1,1) to
 * SLOT_LOGITS; `fit`: the mean of (y - wanted)² to SLOT_LOSS too. */
net *predictor_net(arena *a, int features, bool fit, nasc_diag *d);
/* The method that moves its weights: Adam on all of them. */
net *predictor_adam(arena *a, const net *n, nasc_diag *d);

#endif
