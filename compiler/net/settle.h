/* The last rewriting before fuse. */
#ifndef NASC_SETTLE_H
#define NASC_SETTLE_H

#include "net/net.h"

/* Inserts copies where one value would have to live in two places, or where a place must be filled by a kernel:
 * outputs, parts of a concat and results of a select's regions are each a value of their own afterwards. A new net.
 * requires: net_simplify. breaks: "no add of one operand". */
net *net_settle(arena *a, const net *n, nasc_diag *d);
/* Of a settled net: the value that fills the memory that each value lies in, a concat (or select) or itself. */
int *net_owners(arena *a, const net *n);

#endif
