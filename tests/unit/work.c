/* The arithmetic that a program says its kernels do (profiles stand on it) against what their instructions do: the
 * control of every kernel is walked, and every operation counted. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "uses/objective.h"
#include "pipeline.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 8 };

static int64_t at(const loop_index *i, const int64_t *var)
{
    int64_t value = i->base;
    for (int t = 0; t < i->count; t++)
        value += i->term[t].coef * var[i->term[t].var];
    return value;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void integer(const loop_ins *i, int64_t *var)
{
    int64_t lo = at(&i->lo, var), hi = at(&i->hi, var);
    switch (i->op) {
    case LOOP_INT_SET:
        var[i->dst] = lo;
        break;
    case LOOP_INT_MIN:
        var[i->dst] = lo < hi ? lo : hi;
        break;
    case LOOP_INT_MAX:
        var[i->dst] = lo > hi ? lo : hi;
        break;
    case LOOP_INT_DIV:
        var[i->dst] = floor_div(lo, i->step);
        break;
    case LOOP_INT_MOD:
        var[i->dst] = lo - i->step * floor_div(lo, i->step);
        break;
    default:
        var[i->dst] = 0;
        break; /* a label: no loop depends on it */
    }
}

static int64_t arithmetic(const kernel *k, const loop_ins *i)
{
    switch (i->op) {
    case LOOP_FMA:
        return 2 * k->regs.at[i->dst].lanes;
    case LOOP_ADD:
    case LOOP_SUB:
    case LOOP_MUL:
    case LOOP_DIV:
    case LOOP_MAX:
    case LOOP_MIN:
    case LOOP_SQRT:
        return k->regs.at[i->dst].lanes;
    case LOOP_SELECT_LT:
    case LOOP_SELECT_EQ: /* compares and chooses */
        return 2 * k->regs.at[i->dst].lanes;
    default:
        return 0;
    }
}

/* Instructions [from, to). */
static int64_t walk(const kernel *k, int from, int to, int64_t *var)
{
    int64_t done = 0;
    for (int i = from; i < to; i++) {
        const loop_ins *q = &k->ins.at[i];
        int end = q->match;
        if (q->op == LOOP_FOR) {
            for (int64_t v = at(&q->lo, var), hi = at(&q->hi, var); v < hi; v += q->step) {
                var[q->dst] = v;
                done += walk(k, i + 1, end, var);
            }
            i = end;
        } else if (q->op == LOOP_IF) {
            int other = k->ins.at[end].op == LOOP_ELSE ? k->ins.at[end].match : end;
            if (at(&q->lo, var) < at(&q->hi, var))
                done += walk(k, i + 1, end, var);
            else if (other != end)
                done += walk(k, end + 1, other, var);
            i = other;
        } else if (loop_op_info[q->op].kind == LOOP_INT) {
            integer(q, var);
        } else {
            done += arithmetic(k, q);
        }
    }
    return done;
}

static int64_t counted(const kernel *k, const program_instance *i)
{
    int64_t images = i->unit_images ? (BATCH + i->unit_images - 1) / i->unit_images : 1;
    int64_t units = images * i->unit_tiles, done = 0;
    int64_t *var = calloc((size_t)k->ints + 1, sizeof *var);
    var[0] = BATCH;
    for (int64_t u = 0; u < units; u++) {
        var[k->ins.at[0].dst] = u;
        done += walk(k, 1, k->ins.at[0].match, var);
    }
    free(var);
    return done;
}

static program *compile(arena *a, const char *path, const char *const *set, int tile_rows)
{
    nasc_diag d = {0};
    space *s = space_read(path, &d);
    assert_non_null(s);
    settings all;
    settings_defaults(&all, space_is_genotype(s) ? SETTINGS_TRAIN : SETTINGS_DARTS);
    settings_from_space(&all, s);
    for (int i = 0; set[i]; i++)
        assert_true(settings_assign(&all, set[i], "test", &d));
    objective o;
    assert_true(objective_build(s, &all, USE_BOTH, a, &o, &d));
    target t = *target_find("x86-64-v3");
    pipeline_options options = {.batch = BATCH, .grad = o.grad, .lower = {.tile_rows = tile_rows}};
    program *p = pipeline_compile(a, o.built.net, &t, &options, &d);
    assert_non_null(p);
    space_free(s);
    return p;
}

/* Kernels that hold a convolution, one by one and together. */
static void compare(const program *p)
{
    double all_said = 0, all_does = 0;
    for (int i = 0; i < p->instances.count; i++) {
        const program_instance *in = &p->instances.at[i];
        const kernel *k = p->kernels.at[in->kernel];
        if (!strstr(k->name, "conv"))
            continue;
        double said = (double)in->flops_image * BATCH, does = (double)counted(k, in);
        if (said > 1.05 * does || said < 0.9 * does)
            fail_msg("%s of %s: said %.0f, does %.0f", k->name, in->name ? in->name : "?", said, does);
        assert_true(in->bytes_image > 0);
        all_said += said;
        all_does += does;
    }
    print_message("convolutions: said %.0f, does %.0f\n", all_said, all_does);
    assert_true(all_said > 0.95 * all_does && all_said < 1.02 * all_does);
}

static void test_search(void **state)
{
    (void)state;
    static const char *const set[] = {"nodes=2", "channels=16", "cells=3", "input=16x16x3", NULL};
    for (int rows = 0; rows <= 2; rows += 2) {
        arena a = {0};
        compare(compile(&a, SOURCE_DIR "/genotypes/spaces/darts.json", set, rows));
        arena_free(&a);
    }
}

static void test_genotype(void **state)
{
    (void)state;
    static const char *const set[] = {"channels=8", "cells=3", "input=16x16x3", "auxiliary=0", NULL};
    arena a = {0};
    compare(compile(&a, SOURCE_DIR "/genotypes/darts_v2.json", set, 0));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_search), cmocka_unit_test(test_genotype)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
