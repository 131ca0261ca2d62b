/* CUDA's compiler where it is missing, too old, or does not know the GPU: what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "emit/emit.h"

static bool missing, old;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);

void *__wrap_dlopen(const char *name, int flags)
{
    return __real_dlopen(missing && name && strstr(name, "nvrtc") ? "/nowhere/libnvrtc.so" : name, flags);
}

void *__wrap_dlsym(void *library, const char *name)
{
    return old && strcmp(name, "nvrtcGetCUBIN") == 0 ? NULL : __real_dlsym(library, name);
}

static void expect(const nasc_diag *d, const char *where, const char *message)
{
    assert_int_equal(d->kind, DIAG_DEVICE);
    assert_string_equal(d->where, where);
    if (!strstr(d->message, message))
        fail_msg("'%s' does not contain '%s'", d->message, message);
}

static void a_missing_compiler(void **state)
{
    (void)state;
    nasc_diag d = {0};
    missing = true;
    assert_null(nvrtc_open(&d));
    missing = false;
    expect(&d, "NVRTC", "CUDA's compiler is not installed");
}

/* The real one, where there is one. */
static nvrtc *compiler_at_hand(void)
{
    nasc_diag d = {0};
    nvrtc *r = nvrtc_open(&d);
    if (!r)
        printf("skipped: %s: %s\n", d.where, d.message);
    return r;
}

static void an_old_compiler(void **state)
{
    (void)state;
    nasc_diag d = {0};
    nvrtc *r = compiler_at_hand();
    if (!r)
        return;
    nvrtc_close(r);
    old = true;
    assert_null(nvrtc_open(&d));
    old = false;
    expect(&d, "NVRTC", "the library has no nvrtcGetCUBIN: CUDA 11.2 or newer is needed");
}

static void an_unknown_gpu(void **state)
{
    (void)state;
    static const char copy[] = "kernel \"copy\" { arg 0 in f32 arg 1 out f32 parallel i1 {"
                               " f32 r0 = load a0[i1] store a1[i1] = r0 } }";
    arena a = {0};
    nasc_diag d = {0};
    cubin made;
    nvrtc *r = compiler_at_hand();
    if (!r)
        return;
    const kernel *k = loop_parse(&a, copy, "copy.loop", &d);
    target first = target_gpus[0], t = first;
    t.capability = 20;
    assert_non_null(k);
    program_function f = cuda_function_of(k);
    assert_false(nvrtc_compile(r, &a, &f, &k, &t, &made, &d));
    expect(&d, first.name, "does not know this GPU, only sm_");
    d = (nasc_diag){0};
    assert_true(nvrtc_compile(r, &a, &f, &k, &first, &made, &d));
    nvrtc_close(r);
    arena_free(&a);
}

/* What a GPU's kernel cannot say. */
static void kernels_that_are_not_for_a_gpu(void **state)
{
    (void)state;
    static const struct {
        const char *kernel, *message;
    } rows[] = {
        {"kernel { arg 0 out f32 parallel i1 { f32x4 r0 = const 1 store a0[i1] = r0 } }",
         "instruction 1: target sm_75 has no such vectors"},
        {"kernel { arg 0 out f32 scratch 0 f32 16384 parallel i1 { threads i2 32 { f32 r0 = const 1"
         " store s0[i2] = r0 } } }",
         "65536 bytes of shared memory, target sm_75 has 49152"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        arena a = {0};
        nasc_diag d = {0};
        text out = {.arena = &a};
        const kernel *k = loop_parse(&a, rows[i].kernel, "k.loop", &d);
        assert_true(k && loop_verify(k, &d));
        assert_false(emit_cuda_kernel(&out, k, &target_gpus[0], "k", &d));
        assert_string_equal(d.message, rows[i].message);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_compiler),
        cmocka_unit_test(an_old_compiler),
        cmocka_unit_test(an_unknown_gpu),
        cmocka_unit_test(kernels_that_are_not_for_a_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
