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

/* A function of the runtime's kind for kernel number `i`. */
static inline void emulation_entry(text *out, const kernel *k, int i)
{
    int threads = cuda_block_threads(k);
    bool blocks = loop_threads_of(k) > 0;
    text_add(out, "GRID(k%d, %s)\n", i, blocks ? "true" : "false");
    text_add(out, "static void run_k%d(void *const *buffer, int64_t n, int64_t begin, int64_t end, void *)\n{\n", i);
    text_add(out, "    int images = (int)n, units = (int)end;\n    void *parameters[] = {");
    for (int arg = 0; arg < k->args.count; arg++)
        text_add(out, "(void *)&buffer[%d], ", arg);
    text_add(out, "&images, &units};\n    if (begin != 0)\n        abort();\n");
    text_add(out, "    k%d_grid(parameters, (units + %d) / %d, %d);\n}\n", i, blocks ? 0 : threads - 1,
             blocks ? 1 : threads, threads);
}

static inline void emulation_write(text *out, const kernel *const *kernels, int count, const target *t, nasc_diag *d)
{
    text_add(out, "#include \"%s/cuda_device.hpp\"\n", TESTS_DIR);
    emit_cuda_prelude(out);
    for (int i = 0; i < count && !d->kind; i++) {
        text_add(out, "\n");
        emit_cuda_kernel(out, kernels[i], t, arena_printf(out->arena, "k%d", i), d);
        emulation_entry(out, kernels[i], i);
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
