/* From groups to a program: kernels, launches, and every tensor's place in the arena. */
#ifndef NASC_PLAN_H
#define NASC_PLAN_H

#include "loop/lower.h"
#include "plan/program.h"

typedef struct plan_options {
    int batch;
    bool sequential; /* one group a launch in the net's order: least memory; else all that is ready */
    lower_options lower;
} plan_options;

program *plan_program(arena *a, const fusion *f, const target *t, const plan_options *o, nasc_diag *d);

#endif
