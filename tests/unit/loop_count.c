/* What a GPU's kernels ask of it: counts of kernels so small that they are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "loop/count.h"

enum { ELEMENTS = 1 << 20, THREADS = 256, UNITS = 1024, BLOCKS = UNITS / THREADS };

static const loop_latency latency = {.f32 = 4, .f64 = 8, .shared = 30, .l1 = 40, .l2 = 270, .memory = 600};

/* Of UNITS units: threads, or blocks where the text has such. */
static loop_counts count(const char *body)
{
    arena a = {0};
    nasc_diag d = {0};
    const int64_t elements[] = {ELEMENTS, ELEMENTS};
    const char *source =
        arena_printf(&a, "kernel \"k\" { arg 0 in f32 arg 1 out f32 scratch 0 f32 2048 parallel i1 { %s } }", body);
    kernel *k = loop_parse(&a, source, "k.loop", &d);
    if (!k || !loop_verify(k, &d))
        fail_msg("%s: %s: %s", source, d.where, d.message);
    loop_grid g = {.n = 1, .units = UNITS, .threads = THREADS, .elements = elements};
    loop_counts c = loop_count(&a, k, &g, &latency);
    arena_free(&a);
    return c;
}

static void transactions(void **state)
{
    (void)state;
    loop_counts c = count("f32 r0 = load a0[i1] store a1[i1] = r0");
    assert_true(c.blocks == BLOCKS && c.threads == THREADS && c.flops == 0);
    assert_true(c.sectors == 2 * UNITS * 4 / SECTOR && c.bytes == 2 * UNITS * 4);
    c = count("f32 r0 = load a0[8*i1] store a1[i1] = r0"); /* a transaction a thread */
    assert_true(c.sectors == UNITS + UNITS * 4 / SECTOR && c.bytes == UNITS * SECTOR + UNITS * 4);
    c = count("f32 r0 = load a0[0] store a1[i1] = r0"); /* one a warp, one a block, one in all */
    assert_true(c.sectors == UNITS / WARP + UNITS * 4 / SECTOR);
    assert_true(c.sectors_block == BLOCKS + UNITS * 4 / SECTOR && c.bytes == SECTOR + UNITS * 4);
}

static void banks(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int rows, conflicts; /* a block */
    } all[] = {
        {"f32 r0 = const 1 store s0[i2] = r0", 1, 0},
        {"f32 r0 = const 1 store s0[32*i2] = r0", 32, 31},
        {"f32 r0 = const 1 store s0[33*i2] = r0", 1, 0},
        {"f32 r0 = const 1 store s0[2*i2] = r0", 2, 1},
        {"f32x4 r0 = load s0[4*i2]", 4, 0},
        {"f32x4 r0 = load s0[16*i2]", 16, 12},
        {"f32 r0 = load s0[0]", 1, 0},
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        char body[128];
        snprintf(body, sizeof body, "threads i2 32 { %s }", all[i].body);
        loop_counts c = count(body);
        if (c.shared != (double)all[i].rows * UNITS || c.conflicts != (double)all[i].conflicts * UNITS)
            fail_msg("%s: %g rows, %g conflicts of %d units", all[i].body, c.shared, c.conflicts, UNITS);
    }
}

/* Threads that take no part in a branch compute nothing in it; loops count as often as they turn. */
static void control(void **state)
{
    (void)state;
    loop_counts c = count("f32 r0 = const 2 for i2 = 0 to 10 step 1 { f32 r0 = fma r0, r0, r0 }");
    assert_true(c.flops == 2.0 * 10 * UNITS && c.f32 == 10.0 * UNITS / WARP);
    c = count("threads i2 32 { f32 r0 = const 2 if i2 < 8 { f32 r0 = fma r0, r0, r0 } else { f32 r0 = add r0, r0 } }");
    assert_true(c.flops == (2.0 * 8 + 24) * UNITS && c.f32 == 2.0 * UNITS);
    c = count("threads i2 64 { i3 = idiv i2, 32 for i4 = 0 to i3 step 1 { f32 r0 = const 2 f32 r0 = mul r0, r0 } }");
    assert_true(c.flops == 32.0 * UNITS && c.blocks == UNITS);
}

/* A chain of sums waits for each; at a barrier all wait for the slowest warp. */
static void time_alone(void **state)
{
    (void)state;
    double ten = count("f32 r0 = const 2 for i2 = 0 to 10 step 1 { f32 r0 = fma r0, r0, r0 }").serial,
           twenty = count("f32 r0 = const 2 for i2 = 0 to 20 step 1 { f32 r0 = fma r0, r0, r0 }").serial;
    assert_true(twenty - ten == 10 * latency.f32);
    assert_true(count("f32 r0 = load a0[i1] f32 r0 = add r0, r0").serial > latency.memory);
    double first = count("threads i2 64 { f32 r0 = const 2 for i3 = 0 to 9 step 1 { f32 r0 = fma r0, r0, r0 } barrier "
                         "}")
                       .serial,
           second = count("threads i2 64 { f32 r0 = const 2 if 31 < i2 { for i3 = 0 to 9 step 1 { f32 r0 = fma r0, r0, "
                          "r0 } } barrier }")
                        .serial;
    assert_true(second >= first); /* the second warp alone works, and the first waits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(transactions), cmocka_unit_test(banks),
                                       cmocka_unit_test(control), cmocka_unit_test(time_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
