/* clang-format off */ /* tables and the comments beside them are laid out by hand */
/* Emitters: loop IR to machine code (LLVM) and to C text. They make no scheduling decision. */
#ifndef NASC_EMIT_H
#define NASC_EMIT_H

#include "loop/loop.h"
#include "loop/target.h"
#include "plan/program.h" /* kernel_fn */

/* ---- LLVM: objects, kept in a cache on disk, linked by LLJIT --------------------------------------------------
 * The cache stands in $NASC_CACHE, else $XDG_CACHE_HOME/nasc, else ~/.cache/nasc; mode 0700; bounded (oldest use goes
 * first); key: loop_key, target, LLVM version, emitter version. Entries carry a checksum and are replaced atomically;
 * a damaged one is compiled anew. Concurrent processes are safe. */
typedef struct jit jit;

typedef struct jit_stats {
    int compiled, cached; /* kernels */
    double seconds;
} jit_stats;

/* `t` must be a target that the host executes. NULL with a diagnostic: LLVM is missing (built with NASC_LLVM=OFF). */
jit *jit_open(const target *t, nasc_diag *d);
void jit_close(jit *j);
/* Compiles (with `threads` threads) or finds `count` kernels; entry[i] is valid until jit_close. Equal kernels, in this
 * call or an earlier one, share an entry. requires: loop_verify, loop_expand_math. */
bool jit_compile(jit *j, const kernel *const *kernels, int count, int threads, kernel_fn **entry, jit_stats *stats, nasc_diag *d);

/* The kernel's LLVM IR, or its assembly, as text. */
bool emit_llvm_text(text *out, const kernel *k, const target *t, bool assembly, nasc_diag *d);

/* ---- C ---------------------------------------------------------------------------------------------------------
 * Writes `static void NAME(void *const *buffer, …)` with the kernel ABI of loop.h. The file that receives it begins with
 * the target's prelude (templates/c/prelude_*.h), which defines vector types and every operation. Strict C11 for the
 * generic target. Readable: loops, named buffers, one statement an operation where a line would grow too long. */
bool emit_c_kernel(text *out, const kernel *k, const target *t, const char *name, nasc_diag *d);
/* Kernels of one file; loops that several have in common are functions, which they call. `instructions`: of loop IR that
 * stand in the file, those of such a function once. */
bool emit_c_kernels(text *out, const kernel *const *kernels, int count, const target *t, const char *const *names,
                    int64_t *instructions, nasc_diag *d);
/* The prelude for `t`: what a file of emitted kernels begins with. */
void emit_c_prelude(text *out, const target *t);
/* What follows it where kernels have integer registers. */
void emit_c_integers(text *out, const target *t);

/* ---- CUDA ------------------------------------------------------------------------------------------------------
 * Writes `extern "C" __global__ void NAME(float *a0, …, int n, int units)`, a parameter an argument: all units of a run,
 * as one grid. Each block has cuda_block_threads; there are as many as units where the kernel has threads, else enough for
 * a thread a unit. The file begins with the prelude. `t`: a GPU. requires: loop_verify, loop_expand_math with fma. */
enum { CUDA_VECTOR = 4 }; /* floats that shared memory gives at once, at most */
bool emit_cuda_kernel(text *out, const kernel *k, const target *t, const char *name, nasc_diag *d);
/* A program's function; `kernels` are the program's. */
bool emit_cuda_function(text *out, const program_function *f, const kernel *const *kernels, const target *t,
                        const char *name, nasc_diag *d);
void emit_cuda_prelude(text *out);
int cuda_block_threads(const kernel *k);

/* NVRTC, opened at run time: NULL with a diagnostic where it is not installed. */
typedef struct nvrtc nvrtc;
nvrtc *nvrtc_open(nasc_diag *d);
void nvrtc_close(nvrtc *r);

/* Machine code of one function, by the name CUDA_SYMBOL, and what it takes of the machine. */
#define CUDA_SYMBOL "kernel"
typedef struct cubin {
    void *image; /* the arena's */
    size_t size;
    bool cached; /* found in the cache that jit_compile uses */
    struct cubin_use {
        int32_t registers;    /* a thread's */
        int32_t shared_bytes; /* a block's */
        int32_t stack_bytes;  /* a thread's local memory */
        int32_t spill_bytes;  /* stores and loads of registers that it has not, in bytes of code's own count */
    } use;
} cubin;
/* A function that spills is compiled once more, so that its block has a multiprocessor's registers to itself.
 * For a target that is newer than NVRTC the image is PTX, which the GPU's driver compiles; nothing is known of its use.
 * Fails with a diagnostic where NVRTC does not know the target, or refuses the text. Threads may call it at once. */
bool nvrtc_compile(const nvrtc *r, arena *a, const program_function *f, const kernel *const *kernels, const target *t,
                   cubin *made, nasc_diag *d);
/* Key of everything that the text of a function depends on but the target. */
void cuda_function_key(const program_function *f, const kernel *const *kernels, unsigned char key[16]);
/* The function that is one kernel, kernels[0]. */
program_function cuda_function_of(const kernel *k);

/* Compiles emitted C with the host's `cc` (or $CC) into a shared object and opens it: how tests compare engines, and how a
 * nasc without LLVM runs. entry[i] is valid until cc_close. */
typedef struct cc_library cc_library;
cc_library *cc_open(const kernel *const *kernels, int count, const target *t, kernel_fn **entry, nasc_diag *d);
void cc_close(cc_library *l);

#endif
