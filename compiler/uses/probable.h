/* The most probable network that costs about so much.
 *
 * A search that ends at a target holds the mean of the cost there, over all networks that its probabilities still allow.
 * The strongest candidates together may cost something else: as long as the probabilities are not sharp, cheap
 * candidates lead by a little in many choices while dear ones hold the rest of the weight. So the network is taken, among
 * those that cost what was wanted, whose candidates are most probable together: the strongest ones where these fit. */
#ifndef NASC_PROBABLE_H
#define NASC_PROBABLE_H

#include "costs.h"

/* Alphas that are 1 at the candidates of that network and 0 elsewhere, in `a`. It costs from `low` to `high` (as
 * nearly as a choice's cost is counted in 2^-14 of what the dearest may have above the cheapest); where no network does,
 * it is the dearest that costs less. An alpha of -INFINITY bars its candidate. `n`, `c`: as costs_of has them. */
float *probable_network(arena *a, const net *n, const costs *c, const float *alphas, double low, double high);

#endif
