/* The compiler's front door: from a net to a program, and from a program to code. The pass table stands in pipeline.c.
 */
#ifndef NASC_PIPELINE_H
#define NASC_PIPELINE_H

#include "emit/cudnn.h"
#include "emit/emit.h"
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

/* cuDNN as the library of pipeline_options; lives as long as `c`. */
net_library pipeline_library(cudnn *c);

/* Compiles a net as built (composites and all). The program lives in `a`. */
program *pipeline_compile(arena *a, const net *n, const target *t, const pipeline_options *o, nasc_diag *d);

/* CUDA's images are for the device of that name; all others run on the CPU. The wide ones compute in float64: what is bound to a program's slots, labels aside, are doubles then. They are for
 * tests, where they agree bit for bit as the others do. */
enum engine_kind { ENGINE_JIT, ENGINE_INTERPRETER, ENGINE_CC, ENGINE_JIT_WIDE, ENGINE_INTERPRETER_WIDE, ENGINE_CUDA };

/* Machine code (or the interpreter) for programs; equal kernels of all programs are compiled once. */
typedef struct engine engine;
engine *engine_open(enum engine_kind kind, const target *t, int threads, nasc_diag *d);
/* Has cuDNN compute what it takes, on the GPU whose context is current: see net/library.h. tensor_cores: its engines may
 * round what they multiply. */
bool engine_open_library(engine *e, bool tensor_cores, nasc_diag *d);
/* What programs for this engine are compiled with; NULL: it has no library. Lives as long as the engine. */
const net_library *engine_library(const engine *e);
bool engine_load(engine *e, const program *p, program_code *code, nasc_diag *d);
/* What machine code took so far: kernels compiled, kernels found in the cache, seconds. Zero where none is made. */
jit_stats engine_stats(const engine *e);
/* A line for each kernel, compiled since this was last asked, that spills registers to memory; NULL: there is none. */
const char *engine_spills(engine *e);
void engine_close(engine *e);

/* Writes the net, groups, kernels, … of one stage (`all`: of each) as text. False with a list of names when unknown. */
bool pipeline_dump(text *out, const net *n, const target *t, const pipeline_options *o, const char *stage,
                   nasc_diag *d);

#endif
