/* From groups to a program: kernels, launches, and every tensor's place in the arena. */
#ifndef NASC_PLAN_H
#define NASC_PLAN_H

#include "loop/lower.h"
#include "net/library.h"
#include "plan/program.h"

/* Where kernels' schedules are known from. */
typedef struct schedule_book {
    /* `key`: of the kernel as plan_options.lower makes it; false: nothing better is known. */
    bool (*find)(void *user, const unsigned char key[16], lower_options *found);
    void *user;
} schedule_book;

typedef struct plan_options {
    int batch;
    bool sequential; /* one group a launch in the net's order: least memory; else all that is ready */
    bool lean;       /* tiles are as high as scratch finds place between tensors, for one thread; else as is fast */
    int parts;       /* sequential: a kernel's tiles are run in so many parts at once, each with its scratch; 0: one */
    lower_options lower;
    const schedule_book *book;  /* NULL: all kernels as `lower` has them */
    const net_library *library; /* of the net's lib_conv…; NULL: it has none */
    arena *kernels;             /* where what kernels consist of goes; NULL: where the program goes */
} plan_options;

program *plan_program(arena *a, const fusion *f, const target *t, const plan_options *o, nasc_diag *d);
/* For people: "conv1, bn_finish", and with how many instances each has: "48 conv1, then 6 bn_finish". */
const char *program_function_name(arena *a, const program *p, const program_function *f);
const char *program_grid_name(arena *a, const program *p, const program_grid *g);
/* Leaves no more of the program's kernels than their names, before the arena of the rest dies. */
void program_forget_kernels(program *p);

#endif
