/* Kernels for a GPU, without one: the emitted CUDA text itself runs on the CPU and gives the interpreter's bits, and
 * CUDA's own compiler makes code for every GPU of the table of all that a search runs, without spilling a register. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine_variants.h"
#include "net/methods.h"
#include "random_kernel.h"

static const char darts[] = SOURCE_DIR "/genotypes/spaces/darts.json";
static const char proxyless[] = SOURCE_DIR "/genotypes/spaces/proxyless_small.json";
static const char *const cells[] = {"input=8x8x3", "channels=4", "cells=2", NULL};
static const char *const blocks[] = {"input=8x8x3", "channels=4", "auxiliary=0", NULL};

/* ---- the text, on the CPU ---------------------------------------------------------------------------------------- */

static void searches(void **state)
{
    (void)state;
    if (!emulation_at_hand())
        return;
    run_all(darts, cells, true, GRAD_WEIGHTS | GRAD_MIX, CUDA, 9);
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

/* ---- CUDA's compiler --------------------------------------------------------------------------------------------- */

typedef struct compiler {
    nvrtc *nvrtc;
    int made, cached, registers; /* registers: most of a thread */
} compiler;

/* What is wrong with a kernel's code; NULL: nothing. */
static const char *fault_of(const cubin *made, const target *t)
{
    if (made->size < 64 || memcmp(made->image, "\177ELF", 4) != 0)
        return "is no cubin";
    if (made->use.registers < 1 || made->use.registers > t->registers)
        return "has not as many registers as it takes";
    if (made->use.spill_bytes || made->use.stack_bytes)
        return "spills registers";
    return made->use.shared_bytes > t->shared_bytes ? "takes too much shared memory" : NULL;
}

/* The kernels of a net's program, for one GPU. */
static void compile(compiler *c, const target *t, const net *n, unsigned grad, const char *what)
{
    arena a = {0};
    nasc_diag d = {0};
    pipeline_options o = {.batch = 64, .grad = grad};
    program *p = pipeline_compile(&a, n, t, &o, &d);
    fail_with(&d, what);
    for (int k = 0; k < p->kernels.count; k++) {
        cubin made;
        const char *name = p->kernels.at[k]->name;
        if (!nvrtc_compile(c->nvrtc, &a, p->kernels.at[k], t, &made, &d))
            fail_msg("%s, %s: %s: %s", what, t->name, d.where, d.message);
        if (fault_of(&made, t))
            fail_msg("%s, %s: %s %s", what, t->name, name, fault_of(&made, t));
        c->made++;
        c->cached += made.cached;
        c->registers = made.use.registers > c->registers ? made.use.registers : c->registers;
    }
    arena_free(&a);
}

/* Both passes of a search and the arithmetic between them. */
static void compile_search(compiler *c, const target *t, const char *file, const char *const *set)
{
    nasc_diag d = {0};
    arena a = {0};
    space *s = space_read(file, &d);
    fail_with(&d, file);
    settings to;
    settings_defaults(&to, SETTINGS_DARTS);
    settings_from_space(&to, s);
    for (int i = 0; set[i]; i++)
        assert_true(settings_assign(&to, set[i], "test", &d));
    for (enum objective_use use = USE_WEIGHTS; use <= USE_MIX; use++) {
        objective o;
        objective_build(s, &to, use, &a, &o, &d);
        fail_with(&d, file);
        compile(c, t, o.built.net, o.grad, file);
        method_shape shape = method_shape_of(&a, o.built.net);
        for (enum net_method m = 0; m < METHOD_COUNT && use == USE_WEIGHTS; m++) {
            net *n = method_build(&a, m, &shape, &d);
            fail_with(&d, file);
            compile(c, t, n, 0, "method");
        }
    }
    arena_free(&a);
    space_free(s);
}

static void every_gpu(void **state)
{
    (void)state;
    nasc_diag d = {0};
    compiler c = {.nvrtc = nvrtc_open(&d)};
    if (!c.nvrtc) {
        assert_int_equal(d.kind, DIAG_DEVICE);
        printf("skipped, cubins for every GPU: %s: %s\n", d.where, d.message);
        return;
    }
    for (int i = 0; i < target_gpu_count; i++)
        compile_search(&c, &target_gpus[i], darts, cells);
    for (int i = 0; i < target_gpu_count; i += target_gpu_count - 1) /* the oldest and the newest: it takes its time */
        compile_search(&c, &target_gpus[i], proxyless, blocks);
    printf("%d kernels compiled or found, %d of them found, at most %d registers a thread\n", c.made, c.cached,
           c.registers);
    nvrtc_close(c.nvrtc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches),
        cmocka_unit_test(random_kernels),
        cmocka_unit_test(every_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
