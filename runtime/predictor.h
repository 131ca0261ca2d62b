/* Learns a positive quantity (a latency) from features, by a few small networks whose mean is taken: squared error of
 * the logarithm, Adam over all samples at once. The same samples and seed give the same bits. */
#ifndef NASC_PREDICTOR_H
#define NASC_PREDICTOR_H

#include "runtime/optimise.h"
#include "runtime/parameters.h"

enum { PREDICTOR_NETWORKS = 5 };

/* What predictor_net and predictor_adam of the compiler became. */
typedef struct predictor_programs {
    runnable fit, predict; /* forward and backward; forward alone */
    runnable adam;
} predictor_programs;

typedef struct predictor {
    const predictor_programs *programs;
    parameters parameters;
    device *device;
    runner run;
    int features, room;             /* room: samples at a time, the programs' batch */
    double *mean, *deviation;       /* of each feature */
    double log_mean, log_deviation; /* of the logarithm of what is learned */
    float *weights[PREDICTOR_NETWORKS];
    float *x; /* room × (features + 1) */
    arena *arena;
} predictor;

/* `features`, `room`: as the programs were built. In `a`. */
bool predictor_open(predictor *p, arena *a, const predictor_programs *programs, parameters q, device *v, int features,
                    int room, nasc_diag *d);
/* From n samples: x, n × features; y > 0. 2 ≤ n ≤ room. */
bool predictor_fit(predictor *p, const double *x, const double *y, int n, uint64_t seed, nasc_diag *d);
/* What n ≤ room samples have. */
bool predictor_apply(predictor *p, const double *x, int n, double *y, nasc_diag *d);

#endif
