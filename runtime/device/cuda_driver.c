/* The driver of an NVIDIA GPU: finding it, and what it says of errors. */
#include "cuda_driver.h"
#include "base/cuda_libraries.h"

#include <dlfcn.h>

static bool find_calls(driver *v, nasc_diag *d)
{
#define X(name, symbol, parameters)                                                                                    \
    v->name = (int(*) parameters)(uintptr_t)dlsym(v->library, symbol);                                                 \
    if (!v->name)                                                                                                      \
        return diag_fail(d, DIAG_DEVICE, "CUDA", "the driver has no %s: it is too old, CUDA 11.6 or newer is needed",  \
                         symbol);
    DRIVER_CALLS(X)
#undef X
    return true;
}

static bool is_new_enough(const driver *v, nasc_diag *d)
{
    int version = 0;
    if (!driver_done(v, v->version(&version), "its version", d))
        return false;
    return version >= DRIVER_OLDEST ||
           diag_fail(d, DIAG_DEVICE, "CUDA", "the driver is one for CUDA %d.%d; 11.6 or newer is needed",
                     version / 1000, version % 1000 / 10);
}

bool driver_open(driver *v, nasc_diag *d)
{
    const char *why = "";
    v->library = cuda_library_open(CUDA_DRIVER, &why);
    if (!v->library)
        return diag_fail(d, DIAG_DEVICE, "CUDA", "there is no driver of an NVIDIA GPU: %s", why);
    return find_calls(v, d) && is_new_enough(v, d);
}

void driver_close(driver *v)
{
    if (v->library)
        dlclose(v->library);
}

bool driver_done(const driver *v, int code, const char *what, nasc_diag *d)
{
    const char *words = NULL;
    if (code == 0)
        return true;
    if (v->error_text(code, &words) != 0 || !words)
        words = "an error that it has no words for";
    return diag_fail(d, DIAG_DEVICE, "CUDA", "%s: the driver says: %s (%d)", what, words, code);
}
