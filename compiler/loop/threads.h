/* Inside the loop IR: kernels of threads, for the verifier and the interpreter. */
#ifndef NASC_THREADS_H
#define NASC_THREADS_H

#include "loop.h"

/* The first barrier that some threads of a block may reach and others not, or -1: one outside of threads, or in a loop
 * or branch whose bounds are not the same for all threads. requires: nesting and ranges as loop_verify checks them. */
int loop_lone_barrier(arena *a, const kernel *k);

#endif
