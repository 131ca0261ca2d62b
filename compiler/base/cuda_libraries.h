/* CUDA's libraries: what they are called, and which versions this machine has. All of them are opened when they are asked
 * for; nasc is built, and runs on the CPU, without any. */
#ifndef NASC_CUDA_LIBRARIES_H
#define NASC_CUDA_LIBRARIES_H

#include "base/base.h"

enum cuda_library { CUDA_DRIVER, CUDA_NVRTC, CUDA_CUDNN, CUDA_LIBRARY_COUNT };

/* "driver", "NVRTC", "cuDNN". */
const char *cuda_library_word(enum cuda_library which);
/* The newest whose name is known, for dlclose. NULL: there is none; `why` (may be NULL) is what the loader says. */
void *cuda_library_open(enum cuda_library which, const char **why);
/* As "12.4", "9.1.0", into `version`; false: it is not found, or does not say. */
bool cuda_library_version(enum cuda_library which, char *version, size_t size);

#endif
