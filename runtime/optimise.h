/* Optimisers: they write the step's scalars, run the method's program and swap the old vectors with the new. */
#ifndef NASC_OPTIMISE_H
#define NASC_OPTIMISE_H

#include "runtime/runner.h"

/* SGD with momentum. `spare` is where the next values are written: free between steps. Without it (NULL) they are
 * written over the old: where candidates rest, theirs stay. */
typedef struct sgd {
    const runnable *program; /* METHOD_sgd */
    int64_t count;
    float *value, *momentum, *spare, *spare_momentum;
} sgd;
typedef struct sgd_rates {
    double lr, momentum, decay, clip; /* clip 0: no bound */
} sgd_rates;

/* Adam. */
typedef struct adam {
    const runnable *program; /* METHOD_adam */
    int64_t count, steps;    /* elements; steps taken */
    float *value, *first, *second, *spare, *spare_first, *spare_second;
} adam;
typedef struct adam_rates {
    double lr, beta1, beta2, decay, eps;
} adam_rates;

/* Vectors of `count` zeros that the device keeps, in `a`. */
sgd sgd_new(arena *a, device *v, const runnable *program, int64_t count);
adam adam_new(arena *a, device *v, const runnable *program, int64_t count);
/* Without spare vectors. */
sgd sgd_new_in_place(arena *a, device *v, const runnable *program, int64_t count);
/* `active`: of each choice, the candidate whose weights move; NULL where there are no choices. */
bool sgd_step(sgd *s, device *v, const float *grad, const int *active, const sgd_rates *rates, nasc_diag *d);
bool adam_step(adam *s, device *v, const float *grad, const adam_rates *rates, nasc_diag *d);

/* The scalars that sgd and unroll read. */
void sgd_scalars(float scalars[SCALAR_COUNT], const sgd_rates *rates);

/* A method's program with user[b], a vector that the device keeps, bound to SLOT_USER + b; `active` as for sgd_step. */
enum { BINDINGS = BIND_SECOND_OUT + 1 };
bool method_run(device *v, const runnable *program, float *const user[BINDINGS], float scalars[SCALAR_COUNT],
                const int *active, nasc_diag *d);

#endif
