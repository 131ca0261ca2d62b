/* NVIDIA's library of convolutions, opened at run time: nasc is built without CUDA. By the backend API of its version 9 a
 * convolution becomes a graph of one operation, the library names engines for it, best first, and the first one that keeps
 * nasc's promises is made a plan: the same bits every time, float32 unless tensor cores are allowed. */
#ifndef NASC_CUDNN_H
#define NASC_CUDNN_H

#include "plan/program.h"

typedef struct cudnn cudnn;

/* What the library is told of a GPU that is not here. Sizes in bytes, clocks in kHz. */
typedef struct cudnn_gpu {
    const char *name;
    int capability, multiprocessors, clock, memory_clock, threads, blocks; /* threads, blocks: of a multiprocessor */
    int64_t l2, shared, memory;                                            /* shared: a block's, at most */
} cudnn_gpu;
extern const cudnn_gpu cudnn_gpus[];
extern const int cudnn_gpu_count;
/* The GPU of that compute capability (times ten); NULL with a diagnostic: there is none in the table. */
const cudnn_gpu *cudnn_gpu_of(int capability, nasc_diag *d);

/* `gpu` NULL: the GPU of the context that is current, which can then run plans; else plans are made for it, and none runs.
 * tensor_cores: engines may round what they multiply (to TF32). NULL with a diagnostic: there is no library, or it is too
 * old. */
cudnn *cudnn_open(const cudnn_gpu *gpu, bool tensor_cores, nasc_diag *d);
void cudnn_close(cudnn *c);
/* Whether there is an engine for a batch of n that works in `most` bytes; what it takes of them. Plans are kept. */
bool cudnn_takes(cudnn *c, const program_conv *conv, int n, int64_t most, int64_t *workspace, nasc_diag *d);
/* What a device runs plans by. */
program_library cudnn_library(cudnn *c);

#endif
