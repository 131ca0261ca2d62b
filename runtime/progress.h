/* What a long run tells whoever started it. The library never prints: it calls `report` after each step. */
#ifndef NASC_PROGRESS_H
#define NASC_PROGRESS_H

#include <stdbool.h>

struct progress_state {
    const char *phase;     /* "search", "train", "eval", … */
    int epoch, epochs;     /* this one (from 0), all; epochs is 1 where there is no more than one pass */
    int step, steps;       /* steps done in it, steps an epoch */
    double loss, accuracy; /* running means of this epoch, accuracy in [0, 1]; NaN: not known */
};

struct progress {
    bool (*report)(void *user, const struct progress_state *state); /* false asks to stop at the next checkpoint */
    void (*warn)(void *user, const char *where, const char *what);  /* of what a run goes on without */
    void *user;
};

/* True when the run should go on. */
static inline bool progress_report(const struct progress *p, const struct progress_state *state)
{
    return !p || !p->report || p->report(p->user, state);
}

static inline void progress_warn(const struct progress *p, const char *where, const char *what)
{
    if (p && p->warn)
        p->warn(p->user, where, what);
}

#endif
