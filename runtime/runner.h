/* Runs passes through a network: one place that knows which buffer goes to which slot. */
#ifndef NASC_RUNNER_H
#define NASC_RUNNER_H

#include "runtime/device/device.h"

/* What a profile learns of a program: every run adds to it. */
typedef struct run_clock {
    double *instance_seconds; /* see device_run */
    int64_t *instance_runs;
} run_clock;

/* A program and its code. */
typedef struct runnable {
    const program *program;
    program_code code;
    struct run_clock *clock; /* NULL: no profile */
} runnable;

/* How a loop over batches ended. */
enum run_end { RUN_FAILED, RUN_DONE, RUN_STOPPED };

/* Images and labels of one batch. */
typedef struct feed {
    float *x;
    int32_t *y;
    int n;
    int skipped; /* samples that others stand in for, because their files are bad */
} feed;

/* What a pass says of its batch: means. */
typedef struct score {
    float loss, correct;
} score;

/* What a pass through the network reads and writes besides its batch. Those that the program does not use may be NULL.
 */
typedef struct pass {
    const runnable *what;
    const float *weights, *mix;
    float *stats;
    float *weight_grad, *mix_grad;
    const float *masks;
    const int *active; /* see device_run */
    const uint64_t *gates;
    bool keep_stats;
    bool unscored; /* its score is of no interest */
} pass;

/* The device and what every pass leaves there. */
typedef struct runner {
    device *device;
    float *logits, *aux_logits; /* of the largest batch; the device keeps them */
    score *scored;              /* where the score of passes goes, once the device has been waited for */
    score own, unscored;        /* that is `own`, where nobody says otherwise */
} runner;

/* Room for what these programs write; prepares the device for them. Owned by `a`. `r` stays where it is. */
bool runner_open(runner *r, arena *a, device *v, const runnable *const *programs, int count, nasc_diag *d);
/* Runs a program with everything bound; its clock, if it has one, counts. */
bool runnable_run(const runnable *what, device *v, device_run *bound, nasc_diag *d);
/* Weights and all that the pass writes but its score are vectors that the device keeps, or are waited for. */
bool runner_pass(runner *r, const pass *p, const feed *batch, nasc_diag *d);

#endif
