/* The ground: arenas, diagnostics, suggestions, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/base.h"

static void suggests_the_nearest_word(void **state)
{
    (void)state;
    const char *known[] = {"kernel", "stride", "groups"};
    assert_string_equal(text_suggest("strid", known, 3), "stride");
    assert_string_equal(text_suggest("kernal", known, 3), "kernel");
    assert_null(text_suggest("zebra", known, 3));
}

static void first_error_wins(void **state)
{
    (void)state;
    nasc_diag d = {0};
    assert_false(diag_fail(&d, DIAG_INPUT, "a.json:1:2", "found %d", 7));
    diag_fail(&d, DIAG_IO, "later", "later");
    assert_string_equal(d.message, "found 7");
    assert_string_equal(d.where, "a.json:1:2");
}

static void text_for_json(void **state)
{
    (void)state;
    arena a = {0};
    text t = {.arena = &a};
    static const double reals[] = {0.025, 1, 1e100, -0.0, 1.0 / 3, 100};
    text_quoted(&t, "a \"b\" \\ \n\x01\xc3\xa9\0", 13);
    for (size_t i = 0; i < COUNT(reals); i++) {
        text_add(&t, " ");
        text_json_real(&t, reals[i]);
    }
    assert_string_equal(t.at, "\"a \\\"b\\\" \\\\ \\u000a\\u0001\xc3\xa9\\u0000\""
                              " 0.025 1.0 1e+100 -0.0 0.3333333333333333 1e+02");
    arena_free(&a);
}

static void vectors_keep_what_was_pushed(void **state)
{
    (void)state;
    arena a = {0};
    VEC(int) v = {0};
    for (int i = 0; i < 1000; i++)
        VEC_PUSH(&a, &v, i * i);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v.at[i], i * i);
    arena_free(&a);
}

/* Asks for more than there is. */
static bool take_too_much(void *user, arena *a, nasc_diag *d)
{
    (void)user, (void)d;
    arena_alloc(a, SIZE_MAX);
    return true;
}

/* Asks for an array of so many items that their bytes, counted, are few. */
static bool take_too_long_an_array(void *user, arena *a, nasc_diag *d)
{
    (void)user, (void)d;
    int64_t *array = NEW_ARRAY(a, int64_t, SIZE_MAX / sizeof(int64_t) + 2);
    return array != NULL;
}

/* Notes that the guard around it stands again after those within it. */
static bool nested(void *user, arena *a, nasc_diag *d)
{
    const jmp_buf *here = a->unwind;
    bool *stands = user;
    nasc_diag inner = {0};
    assert_false(arena_guard(a, take_too_much, NULL, &inner));
    assert_false(arena_within(take_too_much, NULL, &inner));
    assert_int_equal(inner.kind, DIAG_MEMORY);
    *stands = a->unwind == here;
    return take_too_much(NULL, a, d);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    bool stands = false;
    assert_false(arena_guard(&a, nested, &stands, &d));
    assert_int_equal(d.kind, DIAG_MEMORY);
    assert_true(stands);
    assert_null(a.unwind);
    d = (nasc_diag){0};
    assert_false(arena_guard(&a, take_too_long_an_array, NULL, &d));
    assert_int_equal(d.kind, DIAG_MEMORY);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suggests_the_nearest_word),
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(text_for_json),
        cmocka_unit_test(vectors_keep_what_was_pushed),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
