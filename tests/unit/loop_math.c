/* The expansions of exp, log, tanh and sigmoid against libm in double: error in units of the last place, over a sweep
 * of the bit patterns, with and without fma; NaN and infinities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "loop/loop.h"

enum { CHUNK = 16, SWEEP = 1 << 18 };

/* y[8·unit + l] = op(x[8·unit + l]), expanded. */
static kernel *build(arena *a, enum loop_op op, bool fma)
{
    kernel k = {0};
    loop_pen p = {.arena = a, .k = &k};
    int x = loop_arg(&p, DT_F32, LOOP_IN), y = loop_arg(&p, DT_F32, LOOP_OUT);
    loop_index at = loop_plus(loop_at(0), loop_parallel(&p), CHUNK);
    loop_store(&p, y, at, loop_math(&p, op, loop_load(&p, DT_F32, CHUNK, x, at), -1, -1, -1));
    loop_end(&p);
    kernel *expanded = loop_expand_math(a, &k, fma);
    nasc_diag d = {0};
    assert_true(loop_verify(expanded, &d));
    return expanded;
}

static void evaluate(enum loop_op op, bool fma, const float *x, float *y, int count)
{
    arena a = {0};
    kernel *k = build(&a, op, fma);
    const int64_t sizes[] = {count, count};
    loop_call call = {.buffer = (void *[]){(void *)x, y}, .sizes = sizes, .n = 1, .end = count / CHUNK};
    nasc_diag d = {0};
    assert_true(loop_interpret(k, &call, &d));
    arena_free(&a);
}

static double ulp(double want)
{
    int exponent;
    frexp(want, &exponent);
    return ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Every 2^14th bit pattern or so of x in [least, most], both signs as they come. */
static void sweep(enum loop_op op, double (*exact)(double), float least, float most, double bound)
{
    float *x = malloc(SWEEP * sizeof *x), *y = malloc(SWEEP * sizeof *y);
    for (int i = 0; i < SWEEP; i++) {
        uint32_t bits = (uint32_t)i * 16381u;
        memcpy(&x[i], &bits, sizeof bits);
        if (!(x[i] >= least && x[i] <= most))
            x[i] = least + (most - least) * ((float)i / SWEEP);
    }
    for (int fma = 0; fma < 2; fma++) {
        evaluate(op, fma, x, y, SWEEP);
        double worst = 0;
        float where = 0;
        for (int i = 0; i < SWEEP; i++) {
            double want = exact(x[i]), error = fabs(y[i] - want) / ulp(want);
            if (!(error <= worst)) {
                worst = error;
                where = x[i];
            }
        }
        print_message("%s, fma %d: %.2f ulp at %a\n", loop_op_info[op].text, fma, worst, (double)where);
        assert_true(worst <= bound);
    }
    free(x);
    free(y);
}

static void errors_are_small(void **state)
{
    (void)state;
    sweep(LOOP_EXP, exp, -103.9f, 0x1.62e42ep+6f, 2);
    sweep(LOOP_LOG, log, FLT_MIN, FLT_MAX, 2);
    sweep(LOOP_LOG, log, 0.5f, 2, 2);
    sweep(LOOP_TANH, tanh, -20, 20, 3);
    sweep(LOOP_TANH, tanh, -1, 1, 3);
    sweep(LOOP_SIGMOID, sigmoid, -87, 87, 4);
}

static void extremes_saturate(void **state)
{
    (void)state;
    const enum loop_op op[] = {LOOP_EXP, LOOP_LOG, LOOP_TANH, LOOP_SIGMOID};
    const float x[CHUNK] = {-INFINITY, -FLT_MAX, -1000, 0, FLT_MIN / 4, 1000, FLT_MAX, INFINITY, NAN};
    for (int i = 0; i < 4; i++)
        for (int fma = 0; fma < 2; fma++) {
            float y[CHUNK];
            evaluate(op[i], fma, x, y, CHUNK);
            for (int l = 0; l < 8; l++)
                assert_true(isfinite(y[l]));
            for (int l = 1; l < 8; l++)
                assert_true(y[l - 1] <= y[l]);
            assert_true(isnan(y[8]));
            assert_true(op[i] != LOOP_EXP || (y[0] == 0 && y[3] == 1 && y[7] > 3.4e38f));
            assert_true(op[i] != LOOP_TANH || (y[0] == -1 && y[3] == 0 && y[7] == 1));
            assert_true(op[i] != LOOP_SIGMOID || (y[0] < 1e-38f && y[3] == 0.5f && y[7] == 1));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_small),
        cmocka_unit_test(extremes_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
