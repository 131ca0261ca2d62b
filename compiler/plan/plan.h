/* From groups to a program: kernels, launches, and every tensor's place in the arena. */
#ifndef NASC_PLAN_H
#define NASC_PLAN_H

#include "loop/lower.h"
#include "plan/program.h"

typedef struct plan_options {
    int batch;
    bool sequential; /* one group a launch in the net's order: least memory; else all that is ready */
    lower_options lower;
    arena *kernels; /* where what kernels consist of goes; NULL: where the program goes */
} plan_options;

program *plan_program(arena *a, const fusion *f, const target *t, const plan_options *o, nasc_diag *d);
/* Leaves no more of the program's kernels than their names, before the arena of the rest dies. */
void program_forget_kernels(program *p);

#endif
