/* Batches filled ahead: while a step runs on the batches of one place of an epoch, a thread fills those of the next.
 *
 * What a place gets is a function of the place alone (see data.h), so that a run is the same, byte for byte, whether or
 * not it was filled ahead; where no thread can be had, prefetch_next fills by itself. */
#ifndef NASC_PREFETCH_H
#define NASC_PREFETCH_H

#include "runtime/data/data.h"
#include "runtime/runner.h"

enum { PREFETCH_FEEDS = 2 }; /* most batches a step: of a search, to learn weights and to learn alphas */

/* Fills the batches of step `at` into to[0 … feeds), whose n is the largest batch and is set to what there is. Runs on
 * another thread: it reads what does not change between prefetch_start and prefetch_stop. False with a diagnostic. */
typedef bool prefetch_fill(const void *user, int at, feed *to, nasc_diag *d);

typedef struct prefetch prefetch;

/* Room for one batch of the set's images; owned by `a`. */
feed feed_new(arena *a, const dataset *set, int batch);
/* Room for the batches of two steps, `feeds` each; owned by `a`. No thread yet. */
prefetch *prefetch_new(arena *a, const dataset *set, int batch, int feeds);
/* The batches of steps first … end - 1 will be asked for. Each start is followed by a stop, before anything that it
 * was given changes or dies. */
void prefetch_start(prefetch *p, prefetch_fill *fill, const void *user, int first, int end);
/* Those of the next step, PREFETCH_FEEDS of them (what there is no room for is empty), valid until the next call or the
 * stop. NULL with fill's diagnostic. */
const feed *prefetch_next(prefetch *p, nasc_diag *d);
/* Ends the thread, whatever it has filled; the room can be used again. */
void prefetch_stop(prefetch *p);
/* Images in the largest batch. */
int prefetch_batch(const prefetch *p);

#endif
