/* From a program to code that a device runs: by the interpreter, LLVM, the C compiler or NVRTC. */
#ifndef NASC_ENGINE_H
#define NASC_ENGINE_H

#include "emit/cudnn.h"
#include "emit/emit.h"
#include "net/library.h"

/* cuDNN as the library that a net is compiled for; lives as long as `c`. */
net_library cudnn_as_library(cudnn *c);

/* CUDA's images are for the device of that name; all others run on the CPU. The wide ones compute in float64: what is
 * bound to a program's slots, labels aside, are doubles then. They are for tests, where they agree bit for bit as the
 * others do. */
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

#endif
