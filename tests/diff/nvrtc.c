/* CUDA's own compiler makes code, for every GPU of the table, of all that a search runs, without spilling a register. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fused_compare.h"
#include "net/methods.h"
#include "uses/objective.h"
#include "random_kernel.h"
#include "space/space.h"

/* What is compiled: the spaces as they are, for one GPU of each kind of multiprocessor (they hold 1024, 1536 and 2048
 * threads) and the newest; for the others small ones, which have the same kernels of other shapes. */
static const char *const whole[] = {"sm_75", "sm_89", "sm_90", "sm_100"};
static const struct subject {
    const char *file, *small;
    const char *set[4]; /* what makes the small one small */
} subjects[] = {
    {SOURCE_DIR "/genotypes/spaces/darts.json",
     SOURCE_DIR "/genotypes/spaces/darts.json",
     {"input=8x8x3", "channels=4", "cells=1"}},
    {SOURCE_DIR "/genotypes/spaces/proxyless.json",
     SOURCE_DIR "/genotypes/spaces/proxyless_small.json",
     {"input=8x8x3", "channels=4", "auxiliary=0"}},
};

typedef struct compiler {
    nvrtc *nvrtc;
    int made, cached, bad, registers; /* registers: most of a thread */
} compiler;

/* What is wrong with a kernel's code; NULL: nothing. */
static const char *fault_of(const cubin *made, const target *t)
{
    if (made->size < 64 || memcmp(made->image, "\177ELF", 4) != 0)
        return "is no cubin";
    if (made->use.registers < 1 || made->use.registers > t->registers)
        return "has not as many registers as it takes";
    if (made->use.spill_bytes || made->use.stack_bytes)
        return "spills registers, or has a stack";
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
    for (int f = 0; f < p->functions.count; f++) {
        cubin made;
        const char *name = program_function_name(&a, p, &p->functions.at[f]);
        if (!nvrtc_compile(c->nvrtc, &a, &p->functions.at[f], p->kernels.at, t, &made, &d))
            fail_msg("%s, %s: %s: %s", what, t->name, d.where, d.message);
        if (fault_of(&made, t)) {
            printf("%s, %s: %s %s\n", what, t->name, name, fault_of(&made, t));
            c->bad++;
        }
        c->made++;
        c->cached += made.cached;
        c->registers = made.use.registers > c->registers ? made.use.registers : c->registers;
    }
    arena_free(&a);
}

/* All passes of a search and the arithmetic between them. */
static void compile_search(compiler *c, const target *t, const char *file, const char *const *set)
{
    nasc_diag d = {0};
    arena a = {0};
    space *s = space_read(file, &d);
    fail_with(&d, file);
    settings to;
    settings_defaults(&to, SETTINGS_DARTS);
    settings_from_space(&to, s);
    for (int i = 0; set && set[i]; i++)
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

/* A GPU that no NVRTC of today knows gets text, for its driver to compile. */
static void newer_than_nvrtc(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    cubin made;
    nvrtc *r = nvrtc_open(&d);
    if (!r) {
        printf("skipped, PTX for newer GPUs: %s: %s\n", d.where, d.message);
        return;
    }
    target t = target_gpus[target_gpu_count - 1];
    t.capability = 9990;
    random_options o = {.lanes = 1, .fma = true, .expand = true};
    const kernel *k = loop_expand_math(&a, random_kernel_make(&a, 1, o).k, true);
    program_function f = cuda_function_of(k);
    if (!nvrtc_compile(r, &a, &f, &k, &t, &made, &d))
        fail_msg("%s: %s", d.where, d.message);
    assert_non_null(strstr(made.image, "\n.target sm_"));
    assert_int_equal(((const char *)made.image)[made.size - 1], 0); /* the driver wants its end */
    nvrtc_close(r);
    arena_free(&a);
}

enum { PARTS_MOST = 16 };

static bool is_whole(const target *t)
{
    for (size_t i = 0; i < COUNT(whole); i++)
        if (!strcmp(whole[i], t->name))
            return true;
    return false;
}

/* Part `part` of the work: a GPU's kernels for a space. */
static void compile_part(compiler *c, int part)
{
    const target *t = &target_gpus[part % target_gpu_count];
    const struct subject *s = &subjects[part / target_gpu_count];
    if (is_whole(t))
        compile_search(c, t, s->file, NULL);
    else
        compile_search(c, t, s->small, s->set);
}

/* The compiler of one process works on one text at a time: so a process takes every so-many-th part. */
static void compile_share(int share, int shares)
{
    nasc_diag d = {0};
    compiler c = {.nvrtc = nvrtc_open(&d)};
    fail_with(&d, "NVRTC");
    for (int part = share; part < target_gpu_count * (int)COUNT(subjects); part += shares)
        compile_part(&c, part);
    printf("%d functions compiled or found, %d of them found, at most %d registers a thread\n", c.made, c.cached,
           c.registers);
    nvrtc_close(c.nvrtc);
    assert_int_equal(c.bad, 0);
}

static void every_gpu(void **state)
{
    (void)state;
    nasc_diag d = {0};
    nvrtc *r = nvrtc_open(&d);
    if (!r) {
        assert_int_equal(d.kind, DIAG_DEVICE);
        printf("skipped, cubins for every GPU: %s: %s\n", d.where, d.message);
        return;
    }
    nvrtc_close(r);
    int shares = (int)sysconf(_SC_NPROCESSORS_ONLN), status, bad = 0;
    shares = shares < 1 ? 1 : shares > PARTS_MOST ? PARTS_MOST : shares;
    fflush(stdout);
    for (int share = 1; share < shares; share++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            compile_share(share, shares); /* what fails does not come back */
            fflush(stdout);
            _exit(0);
        }
    }
    compile_share(0, shares);
    while (wait(&status) > 0)
        bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(newer_than_nvrtc), cmocka_unit_test(every_gpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
