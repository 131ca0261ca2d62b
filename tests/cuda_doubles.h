/* CUDA's doubles (doubles/) in a test's own process: opened first, they are what nasc finds by the libraries' names. */
#ifndef NASC_TEST_CUDA_DOUBLES_H
#define NASC_TEST_CUDA_DOUBLES_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CUDA_DOUBLES_NO_FIBERS
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define CUDA_DOUBLES_NO_FIBERS
#endif

/* Why the doubles cannot run here; NULL: they are open, or NASC_TEST_GPU is set: then tests run on the GPU at hand. */
static inline const char *cuda_doubles_open(void)
{
    if (getenv("NASC_TEST_GPU"))
        return NULL;
#ifdef CUDA_DOUBLES_NO_FIBERS
    return "fibers are not for the sanitizers";
#else
    if (system("c++ --version >/dev/null 2>&1") != 0)
        return "there is no C++ compiler";
    bool ok = dlopen(DOUBLES_DIR "/libcuda.so.1", RTLD_NOW | RTLD_LOCAL) &&
              dlopen(DOUBLES_DIR "/libnvrtc.so.13", RTLD_NOW | RTLD_LOCAL);
    return ok ? NULL : dlerror();
#endif
}

#endif
