/* The LLVM JIT against the interpreter, bit for bit, on random kernels and on the same in float64: on each target that
 * this machine executes.
 * NASC_TEST_SEED repeats a run, NASC_TEST_KERNELS says how many kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>
#include "jit_host.h"
#include "random_kernel.h"

enum { BATCH = 40 };

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given ? strtoull(given, NULL, 10) : otherwise;
}

static const kernel *kernel_make(arena *a, uint64_t seed, const target *t, random_kernel *r)
{
    *r = random_kernel_make(a, seed,
                            (random_options){.lanes = 1 << seed % 5,
                                             .fma = t->fma && seed / 5 % 2,
                                             .expand = seed / 10 % 2,
                                             .narrow = seed / 20 % 2,
                                             .wide = seed / 40 % 2});
    return loop_expand_math(a, r->k, t->fma);
}

/* The units in two calls, as threads would share them. The machine code in `entry` is that of `k`, or of `k` in
 * float64.
 */
static void compare(const random_kernel *r, const kernel *k, kernel_fn *entry, bool wide, uint64_t seed,
                    const target *t)
{
    arena a = {0};
    nasc_diag d = {0};
    void **want = random_kernel_buffers(&a, r, seed, wide), **got = random_kernel_buffers(&a, r, seed, wide);
    char *scratch = arena_alloc(&a, 2 * (size_t)loop_scratch_offset(k, k->scratch.count) + 64);
    loop_call call = {.buffer = want, .sizes = r->sizes, .n = r->n, .begin = 0, .end = r->units, .wide = wide};
    if (!loop_interpret(k, &call, &d))
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
    scratch += -(uintptr_t)scratch & 63;
    entry(got, r->n, r->units / 2, r->units, scratch);
    entry(got, r->n, 0, r->units / 2, scratch);
    if (!random_kernel_equal(r, want, got, wide))
        fail_msg("seed %llu: JIT and interpreter differ on %s%s", (unsigned long long)seed, t->name,
                 wide ? " in float64" : "");
    arena_free(&a);
}

static void batch(jit *j, const target *t, uint64_t seed, int count)
{
    arena a = {0};
    random_kernel r[BATCH];
    const kernel *k[2 * BATCH]; /* and all of them once more in float64 */
    kernel_fn *entry[2 * BATCH];
    jit_stats stats;
    nasc_diag d = {0};
    for (int i = 0; i < count; i++) {
        k[i] = kernel_make(&a, seed + (uint64_t)i, t, &r[i]);
        k[count + i] = loop_widen(&a, k[i]);
    }
    if (!jit_compile(j, k, 2 * count, 2, entry, &stats, &d))
        fail_msg("seeds from %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
    for (int i = 0; i < 2 * count; i++)
        compare(&r[i % count], k[i % count], entry[i], i >= count, seed + (uint64_t)(i % count), t);
    arena_free(&a);
}

static void random_kernels(void **state)
{
    (void)state;
    const uint64_t first = from_environment("NASC_TEST_SEED", (uint64_t)time(NULL) * 1000);
    const int kernels = (int)from_environment("NASC_TEST_KERNELS", 2 * BATCH);
    print_message("NASC_TEST_SEED=%llu\n", (unsigned long long)first);
    for (int i = 0; i < target_count; i++) {
        nasc_diag d = {0};
        if (!host_executes(&target_table[i]))
            continue;
        jit *j = jit_open(&target_table[i], &d);
        if (!j)
            fail_msg("%s: %s", d.where, d.message);
        for (int done = 0; done < kernels; done += BATCH)
            batch(j, &target_table[i], first + (uint64_t)done, kernels - done < BATCH ? kernels - done : BATCH);
        jit_close(j);
    }
}

int main(void)
{
    char folder[] = "/tmp/nasc_jit_XXXXXX";
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_kernels)};
    int failed = jit_host_begin(folder) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
    jit_host_end(folder);
    return failed;
}
