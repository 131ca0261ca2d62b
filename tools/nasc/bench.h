/* What the parts of nasc bench share: a workload, how long it takes, and the machine's peaks to compare with. */
#ifndef NASC_TOOL_BENCH_H
#define NASC_TOOL_BENCH_H

#include "session.h"

typedef struct bench_arguments {
    arguments common;
    const char *order, *pass, *predict;
    int64_t steps, memory;
    bool profile, tune;
} bench_arguments;

/* Something to be timed: what it runs, and a call that runs it once. */
typedef struct workload {
    runnable *programs[4 + METHOD_COUNT];
    int count;
    bool (*once)(void *user, nasc_diag *d);
    bool (*alpha)(void *user, nasc_diag *d); /* timed after it, by itself; may be NULL */
    void *user;
    device *device; /* which may be at work when a call returns */
} workload;
void workload_add(workload *w, runnable *program);

/* ---- bench_step.c, bench_paths.c ---- */

/* Random images and labels. `number`: which of several batches. */
feed bench_feed(session *s, const model *m, uint32_t number);

/* Compiles what a step of `m` runs and fills its buffers with random numbers; `order`: 0, 1, 2, of spaces alone. */
bool bench_step(session *s, const model *m, int order, workload *w, nasc_diag *d);
/* The same of a space that selects; `which`: weights, alpha, or NULL for both. */
bool bench_paths(session *s, const model *m, const char *which, workload *w, nasc_diag *d);
/* The same for one batch through the inference program, as export writes it. */
bool bench_infer(session *s, const model *m, workload *w, nasc_diag *d);

/* ---- bench_peak.c ---- */

typedef struct peaks {
    int threads;
    double flops, read, copy; /* a second, of all threads together: operations, bytes, bytes read and written */
} peaks;
bool peaks_measure(session *s, int threads, peaks *p, nasc_diag *d);

/* ---- bench_profile.c ---- */

/* A line of the table: a kernel with all its instances. */
typedef struct profile_row {
    uintptr_t code;             /* the address of its machine code */
    const char *kernel, *where; /* where: the first instance's name in the network */
    double seconds, flops, bytes;
    double calls; /* of instances */
} profile_row;
typedef struct profile {
    VEC(profile_row) rows; /* by falling time */
    profile_row total;
    double wall;             /* seconds a step takes while it is measured */
    double flops, bandwidth; /* the peaks of a thread, a second: operations, bytes read; 0: not known */
    int threads;
} profile;
/* Runs the workload `steps` times with clocks on; figures are those of one step. */
bool profile_take(session *s, const workload *w, int steps, profile *p, nasc_diag *d);
void profile_print(const profile *p);
json_t *profile_json(const profile *p);

/* ---- bench_predict.c ---- */

/* Prints what a step takes on the GPU of a->predict, on paper. */
bool bench_predict(const model *m, const bench_arguments *a, nasc_diag *d);

/* ---- bench_tune.c ---- */

/* Compiles what is to be timed: bench_tune does so once for every schedule. */
typedef bool workload_open(session *s, const model *m, const bench_arguments *a, workload *w, nasc_diag *d);
typedef struct tuning {
    int kernels, better;  /* measured; those that another schedule serves better than the model's */
    int others;           /* schedules that made other code of one of them, all in all */
    double before, after; /* seconds of a step in all kernels that were measured, thread by thread */
} tuning;
/* Measures the kernels of a workload under other schedules and keeps what serves each best in the cache. */
bool bench_tune(session *s, const model *m, const bench_arguments *a, workload_open *open, tuning *t, nasc_diag *d);

#endif
