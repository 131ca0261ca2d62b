/* The compiler's front door: from a net to a program (and engine.h: from a program to code). The pass table stands in
 * pipeline.c. */
#ifndef NASC_PIPELINE_H
#define NASC_PIPELINE_H

#include "net/net.h"
#include "plan/plan.h"

typedef struct pipeline_options {
    int batch;       /* the largest n of the program */
    unsigned grad;   /* GRAD_WEIGHTS | GRAD_MIX of what is output to SLOT_LOSS; 0: a forward program */
    bool sequential; /* launches in the net's order, least memory (inference); else widest launches (training) */
    bool lean;       /* tiles are as high as scratch finds place between tensors, for one thread; else as is fast */
    int parts;       /* sequential: a kernel's tiles are run in so many parts at once, each with its scratch; 0: one */
    int64_t memory;  /* most bytes of the arena: beyond, results are computed again in the backward pass; 0: no bound */
    arena *kernels;  /* where what kernels consist of goes, for program_forget_kernels; NULL: with the program */
    lower_options lower;        /* schedules asked for; results do not change */
    const schedule_book *book;  /* better ones, kernel by kernel; NULL: none */
    const net_library *library; /* what dense convolutions are given to where it takes them; NULL: to none */
} pipeline_options;

/* Compiles a net as built (composites and all). The program lives in `a`. */
program *pipeline_compile(arena *a, const net *n, const target *t, const pipeline_options *o, nasc_diag *d);

/* Writes the net, groups, kernels, … of one stage (`all`: of each) as text. False with a list of names when unknown. */
bool pipeline_dump(text *out, const net *n, const target *t, const pipeline_options *o, const char *stage,
                   nasc_diag *d);

#endif
