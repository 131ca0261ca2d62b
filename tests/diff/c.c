/* Emitted C against the interpreter, bit for bit: random kernels through each compiler at hand, for the generic target
 * and for what this machine executes. NASC_SEED repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "emit/emit.h"
#include "random_kernel.h"

enum { KERNELS = 40 };

/* What emitted code must compile under without a word: the generic target is strict C11. */
#define STRICT " -Wall -Wextra -Wpedantic -Wconversion -Werror"
#define CLEAN  " -Wall -Wextra -Werror"

static uint64_t seed_of_run(void)
{
    const char *given = getenv("NASC_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu (NASC_SEED)\n", (unsigned long long)seed);
    return seed;
}

/* `compiler` is a command with options. */
static bool at_hand(const char *compiler)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %.*s >/dev/null", (int)strcspn(compiler, " "), compiler);
    if (system(command) == 0)
        return true;
    printf("skipped: %s is not installed\n", compiler);
    return false;
}

static void run_both(arena *a, const random_kernel *r, kernel_fn *entry, uint64_t seed)
{
    nasc_diag d = {0};
    void **want = random_kernel_buffers(a, r, seed, false), **got = random_kernel_buffers(a, r, seed, false);
    loop_call call = {want, r->sizes, r->n, 0, r->units, false};
    if (!loop_interpret(r->k, &call, &d))
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
    size_t bytes = (size_t)loop_scratch_offset(r->k, r->k->scratch.count) + 64;
    void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(scratch, 0xff, bytes / 64 * 64);
    entry(got, r->n, 0, r->units, scratch);
    free(scratch);
    if (!random_kernel_equal(r, want, got, false)) {
        text listing = {.arena = a};
        loop_print(&listing, r->k);
        emit_c_kernel(&listing, r->k, target_find("x86-64-v4"), "kernel", &d);
        fail_msg("seed %llu: results differ\n%s", (unsigned long long)seed, listing.at);
    }
}

/* Random kernels for t, checked and with their functions expanded. */
static void make_kernels(arena *a, random_kernel *r, const kernel **kernels, const target *t, uint64_t seed)
{
    random_options options = {
        .lanes = t->lanes == 1 ? 1 : 16, .fma = t->fma, .narrow = true, .wide = true, .expand = true};
    for (int i = 0; i < KERNELS; i++) {
        nasc_diag d = {0};
        r[i] = random_kernel_make(a, seed + (uint64_t)i, options);
        r[i].k = loop_expand_math(a, r[i].k, t->fma);
        if (!loop_verify(r[i].k, &d))
            fail_msg("seed %llu: %s", (unsigned long long)seed + (unsigned)i, d.message);
        kernels[i] = r[i].k;
    }
}

static cc_library *compile(arena *a, const char *compiler, const target *t, random_kernel *r, kernel_fn **entry,
                           uint64_t seed)
{
    const kernel *kernels[KERNELS];
    nasc_diag d = {0};
    setenv("CC", compiler, 1);
    make_kernels(a, r, kernels, t, seed);
    cc_library *l = cc_open(kernels, KERNELS, t, entry, &d);
    if (!l)
        fail_msg("%s: %s", d.where, d.message);
    return l;
}

static void compare(const char *compiler, const target *t)
{
    if (!at_hand(compiler))
        return;
    uint64_t seed = seed_of_run();
    arena a = {0};
    random_kernel r[KERNELS];
    kernel_fn *entry[KERNELS];
    cc_library *l = compile(&a, compiler, t, r, entry, seed);
    for (int i = 0; i < KERNELS; i++)
        run_both(&a, &r[i], entry[i], seed + (uint64_t)i);
    cc_close(l);
    arena_free(&a);
}

static void compile_only(const char *compiler, const target *t)
{
    arena a = {0};
    random_kernel r[KERNELS];
    kernel_fn *entry[KERNELS];
    cc_close(compile(&a, compiler, t, r, entry, seed_of_run()));
    arena_free(&a);
}

static void generic_gcc(void **state)
{
    (void)state;
    compare("gcc" STRICT, target_find("generic"));
}

static void generic_clang(void **state)
{
    (void)state;
    compare("clang-19" STRICT, target_find("generic"));
}

static void host_gcc(void **state)
{
    (void)state;
    target host = target_host();
    compare("gcc" CLEAN, &host);
}

static void host_clang(void **state)
{
    (void)state;
    target host = target_host();
    compare("clang-19" CLEAN, &host);
}

/* Code for machines that this one is not must compile at least. */
static void foreign(void **state)
{
    (void)state;
    const target *wide = target_find("x86-64-v4");
    if (strcmp(target_host().name, "x86-64-v3") == 0 && at_hand("gcc"))
        compile_only("gcc" CLEAN, wide);
}

static void refuses_what_the_target_lacks(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    kernel *k = NEW(&a, kernel);
    loop_pen pen = {.arena = &a, .k = k};
    int out = loop_arg(&pen, DT_F32, LOOP_OUT), unit = loop_parallel(&pen);
    int x = loop_const(&pen, DT_F32, 1, 0.5);
    loop_store(&pen, out, loop_plus(loop_at(0), unit, 1), loop_math(&pen, LOOP_FMA, x, x, x, -1));
    loop_end(&pen);
    text t = {.arena = &a};
    assert_false(emit_c_kernel(&t, k, target_find("generic"), "k", &d));
    assert_non_null(strstr(d.message, "no fused multiply-add"));
    arena_free(&a);
}

static void reports_the_compiler(void **state)
{
    (void)state;
    arena a = {0};
    kernel_fn *entry;
    const kernel *k = random_kernel_make(&a, 1, (random_options){.lanes = 1}).k;
    static const char *const command[] = {"gcc -ffast-math", "no-such-compiler"};
    static const char *const said[] = {"error: #error", "No such file"};
    for (size_t i = 0; i < COUNT(command); i++) {
        nasc_diag d = {0};
        setenv("CC", command[i], 1);
        assert_null(cc_open(&k, 1, target_find("generic"), &entry, &d));
        if (!strstr(d.message, said[i]))
            fail_msg("%s: %s", d.where, d.message);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generic_gcc),
        cmocka_unit_test(generic_clang),
        cmocka_unit_test(host_gcc),
        cmocka_unit_test(host_clang),
        cmocka_unit_test(foreign),
        cmocka_unit_test(refuses_what_the_target_lacks),
        cmocka_unit_test(reports_the_compiler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
