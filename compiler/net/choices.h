/* Sums behind choices. */
#ifndef NASC_CHOICES_H
#define NASC_CHOICES_H

#include "net/net.h"

/* What is added to a choice's result alone is added by each candidate, where that is made: one pass over the map less. A new
 * net, `n` itself where there is no such sum. requires: verified. breaks: nothing. */
const net *net_add_in_choices(arena *a, const net *n, nasc_diag *d);

#endif
