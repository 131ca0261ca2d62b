/* Kernels for a GPU, without one: the emitted CUDA text itself runs on the CPU and gives the interpreter's bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine_variants.h"
#include "random_kernel.h"

static const char darts[] = SOURCE_DIR "/genotypes/spaces/darts.json";
static const char proxyless[] = SOURCE_DIR "/genotypes/spaces/proxyless_small.json";
static const char *const cells[] = {"input=8x8x3", "channels=4", "cells=2", NULL};
static const char shapes[] = TESTS_DIR "/diff/shapes.json";
static const char *const rows[] = {"input=10x12x3", "channels=4", NULL}; /* parts of chunks, tiles that are not whole */
static const char *const blocks[] = {"input=8x8x3", "channels=4", "auxiliary=0", NULL};

static void searches(void **state)
{
    (void)state;
    if (!emulation_at_hand())
        return;
    run_all(darts, cells, true, GRAD_WEIGHTS | GRAD_MIX, CUDA, 9);
    run_all(shapes, rows, true, GRAD_WEIGHTS, CUDA, 17);
    run_all(proxyless, blocks, true, GRAD_WEIGHTS, CUDA, 5);
    run_all(proxyless, blocks, true, GRAD_MIX, CUDA, 5);
}

enum { RANDOM_KERNELS = 24 };

/* Loops, branches and operations that no lowering writes; units are threads. */
static void random_kernels(void **state)
{
    (void)state;
    if (!emulation_at_hand())
        return;
    arena a = {0};
    nasc_diag d = {0};
    random_kernel r[RANDOM_KERNELS];
    const kernel *kernels[RANDOM_KERNELS];
    kernel_fn *entry[RANDOM_KERNELS];
    uint64_t seed = getenv("NASC_TEST_SEED") ? strtoull(getenv("NASC_TEST_SEED"), NULL, 10) : 1;
    printf("seeds %llu to %llu\n", (unsigned long long)seed, (unsigned long long)seed + RANDOM_KERNELS - 1);
    for (int i = 0; i < RANDOM_KERNELS; i++) {
        random_options o = {.lanes = 1, .fma = true, .narrow = true, .wide = true, .expand = true};
        r[i] = random_kernel_make(&a, seed + (uint64_t)i, o);
        kernels[i] = r[i].k = loop_expand_math(&a, r[i].k, true);
    }
    void *library = emulation_open(kernels, RANDOM_KERNELS, &target_gpus[0], entry);
    for (int i = 0; i < RANDOM_KERNELS; i++) {
        void **x = random_kernel_buffers(&a, &r[i], seed, false), **y = random_kernel_buffers(&a, &r[i], seed, false);
        loop_call call = {x, r[i].sizes, r[i].n, 0, r[i].units, false};
        if (!loop_interpret(r[i].k, &call, &d))
            fail_msg("%s: %s", d.where, d.message);
        entry[i](y, r[i].n, 0, r[i].units, NULL);
        if (!random_kernel_equal(&r[i], x, y, false))
            fail_msg("seed %llu: other bits", (unsigned long long)seed + (unsigned)i);
    }
    dlclose(library);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(searches), cmocka_unit_test(random_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
