/* Devices run programs: they own the arena, bind slots, and split units over threads.
 *
 * A device may have memory of its own, and work while the host goes on. Vectors that it keeps stay in its memory from
 * run to run; whoever reads one on the host fetches it first, and whoever writes one says so. All else that a run binds
 * is taken along when the run is asked for, so that the host may change it at once. On the CPU all of that costs
 * nothing: there is one memory, and a run has ended when it was asked for. */
#ifndef NASC_DEVICE_H
#define NASC_DEVICE_H

#include "plan/program.h"

/* A program made ready: its code, its arena (shared between programs that never run at the same time), its scratch. */
typedef struct device device;

device *device_open_cpu(int threads, nasc_diag *d);
/* The first GPU, through its driver, which is looked for now; programs run on it by images made for its compute
 * capability (times ten). NULL with a diagnostic: no driver, one that is too old, or no GPU. */
device *device_open_cuda(int *capability, nasc_diag *d);
void device_close(device *v);
/* The arena is as large as the largest program that was prepared. */
bool device_prepare(device *v, const program *p, const program_code *code, nasc_diag *d);

typedef struct device_run {
    const program *program;
    const program_code *code;
    void *slot[SLOT_COUNT]; /* bindings */
    int n;                  /* images in this batch */
    bool keep_stats;        /* leave out the launches that move running statistics */
    bool late;              /* what it writes beside kept vectors may arrive late: see device_submit */
    const int *active;      /* of each choice, for select; NULL where there are none */
    const uint64_t
        *gates; /* of each choice: candidates whose gates' gradients are asked for, a bit each; NULL: none. That of
                              the active candidate, the way back through it has anyway */
    /* Profile: adds the time of each instance (sum over threads); on a GPU that of each grid, to its first. NULL: off. */
    double *instance_seconds;
    int64_t *instance_runs; /* likewise: how often each ran */
} device_run;

/* A run sees what those before it have written. What it writes to vectors that are not kept, and is not late, is there
 * when this returns. */
bool device_execute(device *v, const device_run *r, nasc_diag *d);

/* ---- vectors that stay on the device ------------------------------------------------------------------------- */

/* A vector of zeros in `a`, which outlives the device. Slots are bound to what is returned here, as it stands. */
float *device_vector(device *v, arena *a, int64_t elements);
/* The host's copy becomes what the runs so far have written. */
bool device_fetch(device *v, const void *at, nasc_diag *d);
bool device_fetch_all(device *v, nasc_diag *d);
/* The host has written to its copy, which had been fetched: runs from here on see that. */
void device_changed(device *v, const void *at);

/* ---- work that goes on while the host does ------------------------------------------------------------------- */

/* What was asked for begins; what was begun before that is waited for, and what it wrote late is there. `all`: what was
 * begun now is there, too. */
bool device_submit(device *v, bool *all, nasc_diag *d);
/* All that was asked for has ended, and what it wrote late is there. */
bool device_wait(device *v, nasc_diag *d);
/* Bytes of the device's own memory that are taken; 0: it has none. */
int64_t device_bytes(const device *v);

#endif
