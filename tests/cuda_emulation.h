/* Emitted CUDA text on the CPU: the text itself, behind cuda_device.hpp, through the C++ compiler at hand. Programs run
 * on it as on machine code, on a device of one thread, which gives a kernel all its units at once. */
#ifndef NASC_TESTS_CUDA_EMULATION_H
#define NASC_TESTS_CUDA_EMULATION_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "emit/emit.h"

static inline bool emulation_at_hand(void)
{
    if (system("c++ --version >/dev/null 2>&1") == 0)
        return true;
    printf("skipped, emitted CUDA text on the CPU: there is no C++ compiler\n");
    return false;
}

static inline void emulation_write(text *out, const kernel *const *kernels, int count, const target *t, nasc_diag *d)
{
    text_add(out, "#include \"%s/cuda_device.hpp\"\n", TESTS_DIR);
    emit_cuda_prelude(out);
    for (int i = 0; i < count && !d->kind; i++) {
        const char *name = arena_printf(out->arena, "k%d", i);
        text_add(out, "\n");
        emit_cuda_kernel(out, kernels[i], t, name, d);
        text_add(out, "ENTRY(%s, %d, %d)\n", name, cuda_block_threads(kernels[i]), loop_threads_of(kernels[i]) > 0);
    }
    text_add(out, "extern \"C\" void (*const kernels[])(void *const *, int64_t, int64_t, int64_t, void *);\n");
    text_add(out, "void (*const kernels[])(void *const *, int64_t, int64_t, int64_t, void *) = {");
    for (int i = 0; i < count; i++)
        text_add(out, "%srun_k%d", i ? ", " : "", i);
    text_add(out, "};\n");
}

/* A library whose kernels are entry[0] … entry[count - 1]; for dlclose. */
static inline void *emulation_open(const kernel *const *kernels, int count, const target *t, kernel_fn **entry)
{
    arena a = {0};
    nasc_diag d = {0};
    text source = {.arena = &a};
    char folder[] = "/tmp/nasc-cuda-XXXXXX";
    assert_non_null(mkdtemp(folder));
    emulation_write(&source, kernels, count, t, &d);
    char *file = arena_printf(&a, "%s/kernels.cpp", folder), *library = arena_printf(&a, "%s/kernels.so", folder);
    if (d.kind || !file_replace(file, source.at, source.length, &d))
        fail_msg("%s: %s", d.where, d.message);
    int status = system(arena_printf(&a,
                                     "c++ -std=c++17 -O1 -Wall -Wextra -Werror -Wno-unused -ffp-contract=off -fPIC "
                                     "-shared -o %s %s",
                                     library, file));
    void *handle = status == 0 ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!handle)
        fail_msg("%s: the emitted text does not compile", file);
    kernel_fn *const *table = dlsym(handle, "kernels");
    for (int i = 0; i < count; i++)
        entry[i] = table[i];
    unlink(file);
    unlink(library);
    rmdir(folder);
    arena_free(&a);
    return handle;
}

#endif
