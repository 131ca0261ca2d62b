/* Schedules that were measured on this machine, kept in the cache beside the objects: an entry a kernel, known by the
 * kernel's key and by what the measurement depends on, the CPU and its caches. As with objects, what cannot be read is
 * not there, and what cannot be written is lost: a schedule changes no result. */
#ifndef NASC_TUNED_H
#define NASC_TUNED_H

#include "emit/cache.h"
#include "loop/target.h"
#include "plan/plan.h"

typedef struct tuned {
    cache cache;
    target target;
    VEC(struct tuned_entry {
        unsigned char key[16];
        lower_options options;
        bool found;
    })
    seen; /* what the disk said */
    arena arena;
} tuned;

void tuned_open(tuned *t, const target *of);
void tuned_close(tuned *t);
/* The book that the disk is. Valid until tuned_close. */
schedule_book tuned_book(tuned *t);
/* Puts the schedule of the kernel known by `key`, for later runs. */
void tuned_keep(tuned *t, const unsigned char key[16], const lower_options *options);

#endif
