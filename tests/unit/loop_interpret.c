/* The interpreter on small kernels whose results are known by hand, and each error that it reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "loop/loop.h"

enum { ROWS = 3, COLUMNS = 21 };

/* y = 3x + y, a row a unit, in vectors of 8, 4 and 1. */
static void build_axpy(loop_pen *p)
{
    int x = loop_arg(p, DT_F32, LOOP_IN), y = loop_arg(p, DT_F32, LOOP_INOUT);
    int unit = loop_parallel(p);
    const int widths[] = {8, 4, 1};
    for (int w = 0, column = 0; w < 3; w++) {
        int whole = (COLUMNS - column) / widths[w] * widths[w];
        int c = loop_for(p, loop_at(column), loop_at(column + whole), widths[w]);
        loop_index at = loop_plus(loop_plus(loop_at(0), unit, COLUMNS), c, 1);
        int a = loop_load(p, DT_F32, widths[w], x, at);
        int b = loop_load(p, DT_F32, widths[w], y, at);
        int three = loop_const(p, DT_F32, widths[w], 3);
        loop_math_to(p, b, LOOP_FMA, a, three, b, -1);
        loop_store(p, y, at, b);
        loop_end(p);
        column += whole;
    }
    loop_end(p);
}

static void vectors_with_tails(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    build_axpy(&(loop_pen){.arena = &a, .k = &k});
    float x[ROWS * COLUMNS], y[ROWS * COLUMNS];
    double wide_x[ROWS * COLUMNS], wide_y[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        wide_x[i] = x[i] = (float)i;
        wide_y[i] = y[i] = 0.5f * (float)i;
    }
    const int64_t sizes[] = {ROWS * COLUMNS, ROWS * COLUMNS};
    loop_call call = {.buffer = (void *[]){x, y}, .sizes = sizes, .n = 1, .begin = 1, .end = ROWS};
    nasc_diag d = {0};
    assert_true(loop_interpret(&k, &call, &d));
    call.buffer = (void *[]){wide_x, wide_y};
    call.wide = true;
    assert_true(loop_interpret(&k, &call, &d));
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double want = i < COLUMNS ? 0.5 * i : 3.5 * i;
        assert_true(y[i] == want);
        assert_true(wide_y[i] == want);
    }
    arena_free(&a);
}

/* Runs one unit of k on one argument of `size` floats and expects an error that contains `what`. */
static void expect_error(const kernel *k, int64_t size, const char *what)
{
    float x[64] = {0};
    double wide_x[64] = {0};
    for (int wide = 0; wide < 2; wide++) {
        void *buffer[] = {wide ? (void *)wide_x : (void *)x};
        loop_call call = {.buffer = buffer, .sizes = &size, .n = 1, .end = 1, .wide = wide};
        nasc_diag d = {0};
        assert_false(loop_interpret(k, &call, &d));
        assert_int_equal(d.kind, DIAG_INPUT);
        if (!strstr(d.message, what))
            fail_msg("'%s' does not contain '%s'", d.message, what);
    }
}

static void bounds_are_checked(void **state)
{
    (void)state;
    arena a = {0};
    for (int at = -1; at < 8; at += 6) {
        kernel k = {0};
        loop_pen p = {.arena = &a, .k = &k};
        int x = loop_arg(&p, DT_F32, LOOP_INOUT);
        loop_parallel(&p);
        loop_store(&p, x, loop_at(at), loop_const(&p, DT_F32, 4, 1));
        loop_end(&p);
        expect_error(&k, 8, at < 0 ? "element -1 of argument 0 is out of bounds" : "element 5 of argument 0");
    }
    arena_free(&a);
}

static void scratch_is_undefined_at_first(void **state)
{
    (void)state;
    arena a = {0};
    for (int t = 0; t < DT_QUAD; t++) {
        kernel k = {0};
        loop_pen p = {.arena = &a, .k = &k};
        int x = loop_arg(&p, DT_F32, LOOP_OUT);
        int s = loop_scratch(&p, (enum dtype)t, 16);
        loop_parallel(&p);
        enum dtype reg = t == DT_F64 ? DT_F64 : DT_F32;
        loop_store(&p, s, loop_at(0), loop_const(&p, reg, 4, 1));
        loop_store(&p, s, loop_at(5), loop_const(&p, reg, 4, 1));
        loop_store(&p, x, loop_at(0), loop_convert(&p, DT_F32, loop_load(&p, reg, 8, s, loop_at(0))));
        loop_end(&p);
        expect_error(&k, 8, "scratch 0 was never written");
    }
    arena_free(&a);
}

static void floor_division(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    loop_pen p = {.arena = &a, .k = &k};
    int x = loop_arg(&p, DT_F32, LOOP_OUT);
    int unit = loop_parallel(&p);
    loop_index shifted = loop_plus(loop_at(-10), unit, 1);
    int quotient = loop_int(&p, LOOP_INT_DIV, shifted, loop_at(0), 4);
    int rest = loop_int(&p, LOOP_INT_MOD, shifted, loop_at(0), 4);
    loop_index value = loop_plus(loop_plus(loop_at(0), quotient, 100), rest, 1);
    loop_store(&p, x, loop_plus(loop_at(0), unit, 1), loop_from_int(&p, DT_F32, 1, value));
    loop_end(&p);
    float got[20];
    int64_t size = 20;
    loop_call call = {.buffer = (void *[]){got}, .sizes = &size, .n = 1, .end = 20};
    nasc_diag d = {0};
    assert_true(loop_interpret(&k, &call, &d));
    for (int i = 0; i < 20; i++) {
        int floored = (int)floor((i - 10) / 4.0);
        assert_true(got[i] == (float)(100 * floored + (i - 10 - 4 * floored)));
    }
    arena_free(&a);
}

/* a·b + c where rounding the product first would lose the answer. */
static void fma_rounds_once(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    loop_pen p = {.arena = &a, .k = &k};
    int x = loop_arg(&p, DT_F32, LOOP_OUT);
    loop_parallel(&p);
    int one = loop_const(&p, DT_F32, 8, 1 + 0x1p-23), minus = loop_const(&p, DT_F32, 8, -1 - 0x1p-22);
    loop_store(&p, x, loop_at(0), loop_math(&p, LOOP_FMA, one, one, minus, -1));
    loop_end(&p);
    float got[8];
    int64_t size = 8;
    loop_call call = {.buffer = (void *[]){got}, .sizes = &size, .n = 1, .end = 1};
    nasc_diag d = {0};
    assert_true(loop_interpret(&k, &call, &d));
    for (int l = 0; l < 8; l++)
        assert_true(got[l] == 0x1p-46f);
    arena_free(&a);
}

/* Every float is stored to each type and loaded back: what a float becomes there. */
static void types_convert(void **state)
{
    (void)state;
    static const float in[8] = {1.00390625f, 1.01171875f, -2.5f, 2.5f, 100.9f, -100.9f, 0, -7};
    static const float above[8] = {1.00390625f, 1.01171875f, 2.5f, 254.9f, 100.9f, 255, 0, 7};
    static const float out[DT_COUNT][8] = {
        [DT_F32] = {1.00390625f, 1.01171875f, -2.5f, 2.5f, 100.9f, -100.9f, 0, -7},
        [DT_F64] = {1.00390625f, 1.01171875f, -2.5f, 2.5f, 100.9f, -100.9f, 0, -7},
        [DT_BF16] = {1, 1.015625f, -2.5f, 2.5f, 101, -101, 0, -7}, /* ties to even, up and down */
        [DT_I8] = {1, 1, -2, 2, 100, -100, 0, -7},
        [DT_I32] = {1, 1, -2, 2, 100, -100, 0, -7},
        [DT_U8] = {1, 1, 2, 254, 100, 255, 0, 7}, /* of what is not below 0 */
    };
    for (int t = 0; t < DT_QUAD; t++) {
        arena a = {0};
        kernel k = {0};
        loop_pen p = {.arena = &a, .k = &k};
        int x = loop_arg(&p, DT_F32, LOOP_INOUT), s = loop_scratch(&p, (enum dtype)t, 8);
        loop_parallel(&p);
        loop_store(&p, s, loop_at(0), loop_load(&p, DT_F32, 8, x, loop_at(0)));
        loop_store(&p, x, loop_at(0), loop_load(&p, DT_F32, 8, s, loop_at(0)));
        loop_end(&p);
        float got[8];
        memcpy(got, t == DT_U8 ? above : in, sizeof in);
        int64_t size = 8;
        loop_call call = {.buffer = (void *[]){got}, .sizes = &size, .n = 1, .end = 1};
        nasc_diag d = {0};
        assert_true(loop_interpret(&k, &call, &d));
        assert_memory_equal(got, out[t], sizeof got);
        arena_free(&a);
    }
}

static void an_integer_has_its_range(void **state)
{
    (void)state;
    arena a = {0};
    static const double value[] = {128, -129, 2147483648.0, -2147483904.0, NAN};
    for (int i = 0; i < (int)COUNT(value); i++) {
        kernel k = {0};
        loop_pen p = {.arena = &a, .k = &k};
        loop_arg(&p, DT_F32, LOOP_OUT);
        int s = loop_scratch(&p, i < 2 ? DT_I8 : DT_I32, 8);
        loop_parallel(&p);
        loop_store(&p, s, loop_at(0), loop_const(&p, DT_F32, 4, value[i]));
        loop_end(&p);
        expect_error(&k, 8, "cannot hold the value");
    }
    arena_free(&a);
}

static void halves_and_lanes(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    loop_pen p = {.arena = &a, .k = &k};
    int x = loop_arg(&p, DT_F32, LOOP_INOUT);
    loop_parallel(&p);
    int all = loop_load(&p, DT_F32, 8, x, loop_at(0));
    loop_store(&p, x, loop_at(8), loop_half(&p, all, 1));
    loop_store(&p, x, loop_at(12), loop_half(&p, loop_half(&p, all, 0), 1));
    loop_store(&p, x, loop_at(14), loop_lane(&p, all, 5));
    loop_store(&p, x, loop_at(16), loop_join(&p, loop_half(&p, all, 1), loop_half(&p, all, 0)));
    loop_store(&p, x, loop_at(24), loop_join(&p, loop_lane(&p, all, 3), loop_lane(&p, all, 6)));
    loop_store(&p, x, loop_at(15), loop_bcast(&p, DT_F32, 1, x, loop_at(7)));
    loop_end(&p);
    float got[26] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const float want[26] = {0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 2, 3, 5, 7, 4, 5, 6, 7, 0, 1, 2, 3, 3, 6};
    int64_t size = 26;
    loop_call call = {.buffer = (void *[]){got}, .sizes = &size, .n = 1, .end = 1};
    nasc_diag d = {0};
    assert_true(loop_interpret(&k, &call, &d));
    assert_memory_equal(got, want, sizeof got);
    arena_free(&a);
}

/* What one unit leaves in scratch, the next may not read. */
static void units_share_no_scratch(void **state)
{
    (void)state;
    arena a = {0};
    kernel k = {0};
    loop_pen p = {.arena = &a, .k = &k};
    int x = loop_arg(&p, DT_F32, LOOP_OUT), s = loop_scratch(&p, DT_F32, 1);
    int unit = loop_parallel(&p);
    loop_if(&p, loop_plus(loop_at(0), unit, 1), loop_at(1));
    loop_store(&p, s, loop_at(0), loop_const(&p, DT_F32, 1, 1));
    loop_end(&p);
    loop_store(&p, x, loop_plus(loop_at(0), unit, 1), loop_load(&p, DT_F32, 1, s, loop_at(0)));
    loop_end(&p);
    float got[2];
    int64_t size = 2;
    loop_call call = {.buffer = (void *[]){got}, .sizes = &size, .n = 1, .end = 2};
    nasc_diag d = {0};
    assert_false(loop_interpret(&k, &call, &d));
    assert_non_null(strstr(d.message, "never written"));
    assert_true(got[0] == 1);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_with_tails),
        cmocka_unit_test(bounds_are_checked),
        cmocka_unit_test(scratch_is_undefined_at_first),
        cmocka_unit_test(floor_division),
        cmocka_unit_test(fma_rounds_once),
        cmocka_unit_test(types_convert),
        cmocka_unit_test(an_integer_has_its_range),
        cmocka_unit_test(halves_and_lanes),
        cmocka_unit_test(units_share_no_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
