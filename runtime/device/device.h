/* Devices run programs: they own the arena, bind slots, and split units over threads. */
#ifndef NASC_DEVICE_H
#define NASC_DEVICE_H

#include "plan/program.h"

/* A program made ready: its code, its arena (shared between programs that never run at the same time), its scratch. */
typedef struct device device;

device *device_open_cpu(int threads, nasc_diag *d);
/* The first GPU, through its driver, which is looked for now; programs run on it by images made for its compute
 * capability (times ten). What a run binds lies in the processor's memory and is copied there and back. NULL with a
 * diagnostic: no driver, or no GPU. */
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
    const int *active;      /* of each choice, for select; NULL where there are none */
    const uint64_t *gates; /* of each choice: candidates whose gates' gradients are asked for, a bit each; NULL: none */
    double *instance_seconds; /* profile: adds the time of each instance (sum over threads; a GPU's own); NULL: off */
    int64_t *instance_runs;   /* likewise: how often each ran */
} device_run;

bool device_execute(device *v, const device_run *r, nasc_diag *d);

#endif
