/* What a nasc that was built without LLVM says. Kernels still run through emit_c_kernel and `cc`, or the interpreter.
 */
#ifndef NASC_LLVM
#include "emit/emit.h"

#include <string.h>

static bool missing(nasc_diag *d)
{
    return diag_fail(d, DIAG_DEVICE, "LLVM", "this nasc was built without LLVM (NASC_LLVM=OFF)");
}

jit *jit_open(const target *t, nasc_diag *d)
{
    (void)t;
    missing(d);
    return NULL;
}

void jit_close(jit *j)
{
    (void)j;
}

bool jit_compile(jit *j, const kernel *const *kernels, int count, int threads, kernel_fn **entry, jit_stats *stats,
                 nasc_diag *d)
{
    (void)j, (void)kernels, (void)threads;
    memset(entry, 0, (size_t)count * sizeof *entry);
    *stats = (jit_stats){0};
    return missing(d);
}

bool emit_llvm_text(text *out, const kernel *k, const target *t, bool assembly, nasc_diag *d)
{
    (void)out, (void)k, (void)t, (void)assembly;
    return missing(d);
}
#endif
