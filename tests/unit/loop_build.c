/* The pen: indices stay canonical, blocks know their ends, scratch is laid out aligned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "loop/loop.h"

static loop_index random_index(uint64_t *seed, int64_t at[LOOP_TERMS_MAX + 1])
{
    loop_index i = loop_at(at[LOOP_TERMS_MAX] = (int64_t)(*seed % 100) - 50);
    memset(at, 0, LOOP_TERMS_MAX * sizeof *at);
    for (int step = 0; step < 20; step++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        int var = (int)(*seed >> 40) % LOOP_TERMS_MAX;
        int64_t coef = (int64_t)(*seed >> 50) % 5 - 2;
        at[var] += coef;
        i = loop_plus(i, var, coef);
    }
    return i;
}

/* The index has the coefficients `at`, in the one form that it may have. */
static void expect_index(const loop_index *i, const int64_t at[LOOP_TERMS_MAX + 1])
{
    loop_index want = {.base = at[LOOP_TERMS_MAX]};
    for (int var = 0; var < LOOP_TERMS_MAX; var++)
        if (at[var])
            want.term[want.count++] = (loop_term){var, (int32_t)at[var]};
    assert_int_equal(i->base, want.base);
    assert_int_equal(i->count, want.count);
    assert_memory_equal(i->term, want.term, sizeof want.term);
}

static void indices_are_canonical(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 1000; round++) {
        int64_t a[LOOP_TERMS_MAX + 1], b[LOOP_TERMS_MAX + 1];
        loop_index x = random_index(&seed, a), y = random_index(&seed, b);
        expect_index(&x, a);
        expect_index(&y, b);
        int64_t factor = round % 7 - 3;
        for (int t = 0; t <= LOOP_TERMS_MAX; t++)
            a[t] = (a[t] + b[t]) * factor;
        a[LOOP_TERMS_MAX] += round;
        x = loop_offset(loop_times(loop_sum(x, y), factor), round);
        expect_index(&x, a);
    }
}

static void blocks_match(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    loop_pen p = {.arena = &a, .k = &k};
    loop_parallel(&p);
    loop_for(&p, loop_at(0), loop_at(4), 1);
    loop_if(&p, loop_at(0), loop_at(1));
    loop_const(&p, DT_F32, 1, 0);
    loop_else(&p);
    loop_end(&p);
    loop_if(&p, loop_at(0), loop_at(1));
    loop_end(&p);
    loop_end(&p);
    loop_end(&p);
    const int match[] = {9, 8, 4, 0, 5, 4, 7, 6, 1, 0};
    assert_int_equal(k.ins.count, COUNT(match));
    for (int i = 0; i < k.ins.count; i++)
        assert_int_equal(k.ins.at[i].match, match[i]);
    assert_int_equal(p.depth, 0);
    arena_free(&a);
}

static void scratch_is_aligned(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    loop_pen p = {.arena = &a, .k = &k};
    assert_int_equal(loop_scratch(&p, DT_I8, 65), LOOP_SCRATCH);
    assert_int_equal(loop_scratch(&p, DT_F64, 8), LOOP_SCRATCH + 1);
    assert_int_equal(loop_scratch(&p, DT_BF16, 1), LOOP_SCRATCH + 2);
    const int64_t offset[] = {0, 128, 192, 256};
    for (int i = 0; i < 4; i++)
        assert_int_equal(loop_scratch_offset(&k, i), offset[i]);
    arena_free(&a);
}

/* A streamed store prints as such, reads back the same, and is another instruction than a plain one. */
static void streamed_stores_have_a_text(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    kernel *k = NEW_ARRAY(&a, kernel, 2);
    unsigned char key[3][16];
    for (int streamed = 0; streamed < 2; streamed++) {
        loop_pen p = {.arena = &a, .k = &k[streamed]};
        int to = loop_arg(&p, DT_F32, LOOP_OUT), unit = loop_parallel(&p);
        int value = loop_const(&p, DT_F32, 8, 1);
        (streamed ? loop_stream : loop_store)(&p, to, loop_plus(loop_at(0), unit, 8), value);
        loop_end(&p);
        assert_true(loop_verify(&k[streamed], &d));
        loop_key(&k[streamed], key[streamed]);
    }
    text t = {.arena = &a};
    loop_print(&t, &k[1]);
    assert_non_null(strstr(t.at, "stream a0[8*i1] = r0"));
    kernel *again = loop_parse(&a, t.at, "printed", &d);
    assert_non_null(again);
    loop_key(again, key[2]);
    assert_memory_equal(key[1], key[2], 16);
    assert_memory_not_equal(key[0], key[1], 16);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_are_canonical),
        cmocka_unit_test(blocks_match),
        cmocka_unit_test(scratch_is_aligned),
        cmocka_unit_test(streamed_stores_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
