/* CUDA's libraries: a row each. */
#include "base/cuda_libraries.h"

#include <dlfcn.h>
#include <stdio.h>

enum { NAMES_MAX = 5 };

static bool driver_version(void *asked, char *version, size_t size)
{
    int number = 0;
    bool ok = ((int (*)(int *))(uintptr_t)asked)(&number) == 0;
    snprintf(version, size, "%d.%d", number / 1000, number % 1000 / 10);
    return ok;
}

static bool nvrtc_version(void *asked, char *version, size_t size)
{
    int major = 0, minor = 0;
    bool ok = ((int (*)(int *, int *))(uintptr_t)asked)(&major, &minor) == 0;
    snprintf(version, size, "%d.%d", major, minor);
    return ok;
}

static bool cudnn_version(void *asked, char *version, size_t size)
{
    int number = (int)((size_t (*)(void))(uintptr_t)asked)();
    snprintf(version, size, "%d.%d.%d", number / 10000, number % 10000 / 100, number % 100);
    return true;
}

static const struct library {
    const char *word, *names[NAMES_MAX]; /* the newest first: an older NVRTC knows fewer GPUs */
    const char *symbol;                  /* what tells the version */
    bool (*version)(void *asked, char *version, size_t size);
} libraries[CUDA_LIBRARY_COUNT] = {
    [CUDA_DRIVER] = {"driver", {"libcuda.so.1"}, "cuDriverGetVersion", driver_version},
    [CUDA_NVRTC] = {"NVRTC",
                    {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"},
                    "nvrtcVersion",
                    nvrtc_version},
    [CUDA_CUDNN] = {"cuDNN", {"libcudnn.so.9"}, "cudnnGetVersion", cudnn_version}};

const char *cuda_library_word(enum cuda_library which)
{
    return libraries[which].word;
}

void *cuda_library_open(enum cuda_library which, const char **why)
{
    void *library = NULL;
    for (int i = 0; i < NAMES_MAX && libraries[which].names[i] && !library; i++)
        library =
            dlopen(libraries[which].names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); /* they keep what they take */
    if (!library && why)
        *why = dlerror();
    return library;
}

bool cuda_library_version(enum cuda_library which, char *version, size_t size)
{
    void *library = cuda_library_open(which, NULL);
    void *asked = library ? dlsym(library, libraries[which].symbol) : NULL;
    bool ok = asked && libraries[which].version(asked, version, size);
    if (library)
        dlclose(library);
    return ok;
}
