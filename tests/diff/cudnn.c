/* Convolutions that cuDNN computes: on its double, both passes of a search agree with the CPU's kernels, in float32; and the
 * one engine that varies is never used. The library itself is asked in cudnn_plans.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "cuda_doubles.h"
#include "emit/cudnn.h"
#include "fixture.h"
#include "fused_compare.h"
#include "net/settle.h"

static const char cells[] = SOURCE_DIR "/genotypes/spaces/nasbench201.json";
enum { BATCH = 8, CLASSES = 10 };
/* Largest errors, relative to a slot's largest value: see case.h. */
static const double SUMS = 2e-6, GRADIENTS = 1e-5;

static void read_space(const char *file, const char *const *set, space **s, settings *to)
{
    nasc_diag d = {0};
    *s = space_read(file, &d);
    fail_with(&d, file);
    settings_defaults(to, SETTINGS_DARTS);
    settings_from_space(to, *s);
    for (int i = 0; set[i]; i++)
        assert_true(settings_assign(to, set[i], "test", &d));
}

/* ---- on the double ----------------------------------------------------------------------------------------------- */

typedef struct side {
    workshop w;
    runnable run;
    void *slot[SLOT_COUNT];
} side;

static void side_open(side *s, enum engine_kind kind, const char *library, const net *n, unsigned grad)
{
    if (!workshop_open(&s->w, kind, 1) ||
        (library && !engine_open_library(s->w.engine, strcmp(library, "tf32") == 0, &s->w.d)))
        fail_msg("%s: %s", s->w.d.where, s->w.d.message);
    pipeline_options o = {.batch = BATCH, .grad = grad, .library = engine_library(s->w.engine)};
    if (!workshop_compile(&s->w, n, &o, &s->run) || !device_prepare(s->w.device, s->run.program, &s->run.code, &s->w.d))
        fail_msg("%s: %s", s->w.d.where, s->w.d.message);
}

static void side_close(side *s)
{
    for (int k = 1; k < SLOT_COUNT; k++)
        free(s->slot[k]);
    workshop_close(&s->w);
}

/* From the same numbers every time. */
static void side_run(side *s, const bound *given, int n)
{
    device_run r = {.program = s->run.program, .code = &s->run.code, .n = n};
    for (int k = 1; k < SLOT_COUNT; k++) {
        float *to = s->slot[k] = realloc(s->slot[k], ((size_t)given->size[k] + 64) * sizeof *to);
        for (int64_t i = 0; i < given->size[k] + 64; i++)
            to[i] = (float)given->slot[k][i];
        r.slot[k] = to;
    }
    r.slot[SLOT_LABELS] = given->labels;
    if (!device_execute(s->w.device, &r, &s->w.d) || !device_fetch_all(s->w.device, &s->w.d))
        fail_msg("%s: %s", s->w.d.where, s->w.d.message);
}

/* The worst error of a slot, relative to its largest value. */
static double error_of(const side *want, const side *got, int slot, int64_t count)
{
    const float *x = want->slot[slot], *y = got->slot[slot];
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        worst = fmax(worst, isfinite(x[i]) && isfinite(y[i]) ? fabs((double)x[i] - (double)y[i]) : INFINITY);
        largest = fmax(largest, fabs((double)x[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

static void compare_sides(const side *want, const side *got, const bound *given, int n, const char *what)
{
    static const struct {
        int slot;
        const double *most;
    } all[] = {{SLOT_LOSS, &SUMS}, {SLOT_LOGITS, &SUMS}, {SLOT_WEIGHT_GRAD, &GRADIENTS}, {SLOT_MIX_GRAD, &GRADIENTS}};
    for (size_t i = 0; i < COUNT(all); i++) {
        int slot = all[i].slot;
        int64_t count = slot == SLOT_LOGITS ? given->size[slot] / BATCH * n : given->size[slot];
        double error = error_of(want, got, slot, count);
        printf("%s, %d images, slot %d: %.2e of %.0e\n", what, n, slot, error, *all[i].most);
        if (error > *all[i].most)
            fail_msg("%s, slot %d: error %g", what, slot, error);
    }
}

static int count_convs(const program *p, enum conv_kind kind)
{
    int count = 0;
    for (int i = 0; i < p->convs.count; i++)
        count += p->convs.at[i].kind == kind;
    return count;
}

/* Whole batches, three times, of which the last is a graph, and a short one. */
static void agree(const net *n, unsigned grad, const char *what)
{
    side cpu = {0}, gpu = {0};
    bound given;
    side_open(&cpu, ENGINE_JIT, NULL, n, grad);
    side_open(&gpu, ENGINE_CUDA, "float32", n, grad);
    const program *p = gpu.run.program;
    printf("%s: cuDNN computes %d convolutions, %d gradients of data, %d of filters\n", what,
           count_convs(p, CONV_FORWARD), count_convs(p, CONV_DATA), count_convs(p, CONV_FILTER));
    assert_true(count_convs(p, CONV_FORWARD) > 30 && count_convs(p, CONV_DATA) > 30);
    assert_true((count_convs(p, CONV_FILTER) > 30) == ((grad & GRAD_WEIGHTS) != 0));
    fill_slots(&given, n, p, BATCH, CLASSES, 7);
    static const int images[] = {BATCH, BATCH, BATCH, BATCH - 3};
    for (size_t i = 0; i < COUNT(images); i++) {
        side_run(&cpu, &given, images[i]);
        side_run(&gpu, &given, images[i]);
        compare_sides(&cpu, &gpu, &given, images[i], what);
    }
    for (int s = 1; s < SLOT_COUNT; s++)
        free(given.slot[s]);
    free(given.labels);
    side_close(&cpu);
    side_close(&gpu);
}

static const char *doubles_missing(void)
{
    const char *why = cuda_doubles_open();
    if (why || getenv("NASC_TEST_GPU"))
        return why;
    return dlopen(DOUBLES_DIR "/libcudnn.so.9", RTLD_NOW | RTLD_LOCAL) ? NULL : dlerror();
}

static void passes_agree(void **state)
{
    (void)state;
    static const char *const set[] = {"input=8x8x3", "channels=4", "cells=1", NULL};
    const char *why = doubles_missing();
    if (why || !target_host().fma) {
        printf("skipped, cuDNN's double: %s\n", why ? why : "the CPU has no fused multiply-add");
        return;
    }
    space *s;
    settings to;
    arena a = {0};
    nasc_diag d = {0};
    read_space(cells, set, &s, &to);
    for (enum objective_use use = USE_WEIGHTS; use <= USE_MIX; use++) {
        objective o;
        objective_build(s, &to, use, &a, &o, &d);
        fail_with(&d, cells);
        agree(o.built.net, o.grad, use == USE_WEIGHTS ? "weights" : "alpha");
    }
    arena_free(&a);
    space_free(s);
}

/* A library that has no engine that will do is asked, and does nothing. */
static void no_engine(void **state)
{
    (void)state;
    static const char *const set[] = {"input=8x8x3", "channels=4", "cells=1", NULL};
    if (doubles_missing() || getenv("NASC_TEST_GPU"))
        return;
    space *s;
    settings to;
    arena a = {0};
    nasc_diag d = {0};
    objective o;
    side gpu = {0};
    read_space(cells, set, &s, &to);
    objective_build(s, &to, USE_WEIGHTS, &a, &o, &d);
    fail_with(&d, cells);
    setenv("CUDNN_DOUBLE", "none", 1);
    assert_true(workshop_open(&gpu.w, ENGINE_CUDA, 1) && engine_open_library(gpu.w.engine, true, &gpu.w.d));
    pipeline_options with = {.batch = BATCH, .grad = o.grad, .library = engine_library(gpu.w.engine)};
    program *asked = pipeline_compile(&a, o.built.net, &gpu.w.target, &with, &d);
    fail_with(&d, cells);
    assert_int_equal(asked->convs.count, 0);
    program_conv one = {.x_h = 4,
                        .x_w = 4,
                        .x_c = 4,
                        .x_pixel = 4,
                        .y_h = 4,
                        .y_w = 4,
                        .y_c = 4,
                        .y_pixel = 4,
                        .kh = 1,
                        .kw = 1,
                        .sh = 1,
                        .sw = 1,
                        .dh = 1,
                        .dw = 1};
    cudnn *c = cudnn_open(NULL, false, &d);
    int64_t workspace;
    assert_non_null(c);
    assert_false(cudnn_takes(c, &one, 1, 0, &workspace, &d));
    assert_non_null(strstr(d.message, "no engine for this convolution"));
    cudnn_close(c);
    unsetenv("CUDNN_DOUBLE");
    side_close(&gpu);
    arena_free(&a);
    space_free(s);
}

/* ---- by a library that says what it is told to -------------------------------------------------------------------- */

typedef struct answers {
    int left; /* so many convolutions it takes */
    int64_t workspace;
} answers;

static bool answer(void *user, const program_conv *conv, int batch, int64_t *workspace)
{
    answers *a = user;
    (void)conv, (void)batch;
    *workspace = a->workspace;
    return a->left-- > 0;
}

/* The program's convolutions, or -1 with the diagnostic; the arena's bytes. */
static int compile_by(answers say, const net *n, int64_t memory, int64_t *bytes, nasc_diag *d)
{
    arena a = {0};
    net_library l = {answer, &say};
    pipeline_options o = {.batch = BATCH, .grad = GRAD_WEIGHTS, .library = &l, .memory = memory};
    const program *p = pipeline_compile(&a, n, target_find_gpu("sm_90"), &o, d);
    int convs = p ? p->convs.count : -1;
    *bytes = p ? p->arena_elements * 4 : 0;
    arena_free(&a);
    return convs;
}

static void what_plans_refuse(void **state)
{
    (void)state;
    static const char *const set[] = {"input=8x8x3", "channels=4", "cells=1", NULL};
    const answers none = {0, 0}, all = {INT32_MAX, 0}, wide = {INT32_MAX, 1 << 20};
    space *s;
    settings to;
    arena a = {0};
    nasc_diag d = {0};
    objective o;
    int64_t bytes, lean;
    read_space(cells, set, &s, &to);
    objective_build(s, &to, USE_WEIGHTS, &a, &o, &d);
    fail_with(&d, cells);
    const net *n = o.built.net;
    assert_int_equal(compile_by(none, n, 0, &bytes, &d), 0);
    int convs = compile_by(all, n, 0, &lean, &d);
    assert_true(convs > 100);
    assert_int_equal(compile_by(wide, n, 0, &bytes, &d), convs);
    assert_true(bytes >= lean + (1 << 20));
    fail_with(&d, cells);
    assert_int_equal(compile_by(wide, n, lean, &bytes, &d), -1);
    assert_int_equal(d.kind, DIAG_MEMORY);
    assert_non_null(strstr(d.message, "for the tensors of a step and what cuDNN works in"));
    d = (nasc_diag){0};
    assert_int_equal(compile_by((answers){convs, 0}, n, 0, &bytes, &d), -1); /* none is left when it is planned */
    assert_int_equal(d.kind, DIAG_DEVICE);
    assert_non_null(strstr(d.message, "dense in memory, but not where it stands now"));
    arena_free(&a);
    space_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_agree), cmocka_unit_test(no_engine),
                                       cmocka_unit_test(what_plans_refuse)};
    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
