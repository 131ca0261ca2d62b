/* Progress on stderr: a bar that redraws itself on a terminal, a line a step group elsewhere. The library reports
 * through runtime/progress.h and never prints. */
#ifndef NASC_TOOL_PROGRESS_H
#define NASC_TOOL_PROGRESS_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include "runtime/progress.h"

/* Seconds since some moment. */
double clock_seconds(void);

typedef struct progress_bar {
    FILE *to;
    bool quiet, terminal, colour;
    const volatile sig_atomic_t *interrupted; /* NULL, or non-zero when the user wants to stop */
    const char *phase;                        /* of the last report; a new one measures anew */
    int64_t first_done;                       /* steps done at its first report */
    double first_time, drawn_time;            /* seconds */
    bool open_line;                           /* the terminal's line has no end yet */
} progress_bar;

/* A bar on stderr, as the terminal, NO_COLOR and TERM have it. */
progress_bar progress_open(bool quiet, const volatile sig_atomic_t *interrupted);
/* What a run takes; `bar` outlives it. */
struct progress progress_reporter(progress_bar *bar);
/* Ends the terminal's line, so that a message can follow. */
void progress_close(progress_bar *bar);

/* The line for `state` without bar and colours, into `to`. steps_per_second 0: not known yet. Returns its length. */
int progress_line(char *to, size_t size, const struct progress_state *state, double steps_per_second);
/* Reports at `now` seconds; split from the clock for tests. False asks to stop. */
bool progress_show(progress_bar *bar, const struct progress_state *state, double now);

#endif
