/* The LLVM JIT against the interpreter, bit for bit, on kernels that together use every instruction: on each target
 * that this machine executes. The others are compiled to assembly only, and listed as skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "jit_host.h"

enum { UNITS = 3, SPAN = 2304, PART = 768, ARGS = 6 }; /* an argument has SPAN elements; a unit writes PART */

/* ---- the two engines ------------------------------------------------------------------------------------------ */

/* Whole and half numbers with a few of the awkward ones; integers where the type has no others. */
static void fill(void *to, int dtype, int seed)
{
    static const double awkward[] = {0.0, -0.0, 1e-40, -1e-42, 65504.0, INFINITY, -INFINITY, 1.0 + 1e-7};
    for (int i = 0; i < SPAN; i++) {
        unsigned r = ((unsigned)i * 2654435761u + (unsigned)seed * 40503u) >> 8;
        double value = r % 11 == 0 ? awkward[r / 11 % COUNT(awkward)] : (double)(int)(r % 4001) / 16 - 125;
        switch (dtype) {
        case DT_F32:
            ((float *)to)[i] = (float)value;
            break;
        case DT_F64:
            ((double *)to)[i] = value;
            break;
        case DT_BF16:
            ((uint16_t *)to)[i] = (uint16_t)(0x3f00 + r % 0x100);
            break;
        case DT_I8:
            ((int8_t *)to)[i] = (int8_t)r;
            break;
        default:
            ((int32_t *)to)[i] = (int32_t)(r % 97) - 48;
        }
    }
}

static bool same_bits(const void *x, const void *y, int dtype)
{
    return !memcmp(x, y, (size_t)SPAN * (size_t)dtype_info[dtype].bytes);
}

static void compare_on(const kernel *k, const target *t)
{
    nasc_diag d = {0};
    kernel_fn *entry;
    jit_stats stats;
    double want[ARGS][SPAN], got[ARGS][SPAN];
    void *want_at[ARGS], *got_at[ARGS];
    int64_t sizes[ARGS];
    jit *j = jit_open(t, &d);
    if (!j || !jit_compile(j, (const kernel *[]){k}, 1, 1, &entry, &stats, &d))
        fail_msg("%s: %s: %s", k->name, d.where, d.message);
    for (int i = 0; i < k->args.count; i++) {
        fill(want[i], k->args.at[i].dtype, i);
        fill(got[i], k->args.at[i].dtype, i);
        want_at[i] = want[i], got_at[i] = got[i], sizes[i] = SPAN;
    }
    loop_call call = {.buffer = want_at, .sizes = sizes, .n = UNITS, .begin = 0, .end = UNITS};
    if (!loop_interpret(k, &call, &d))
        fail_msg("%s: %s: %s", k->name, d.where, d.message);
    void *scratch = aligned_alloc(64, (size_t)loop_scratch_offset(k, k->scratch.count) + 64);
    entry(got_at, UNITS, 0, 2, scratch);
    entry(got_at, UNITS, 2, UNITS, scratch);
    entry(got_at, UNITS, UNITS, UNITS, scratch); /* nothing */
    free(scratch);
    jit_close(j);
    for (int i = 0; i < k->args.count; i++)
        if (!same_bits(want[i], got[i], k->args.at[i].dtype))
            fail_msg("%s: argument %d differs on %s", k->name, i, t->name);
}

static void compare(const kernel *k)
{
    for (int i = 0; i < target_count; i++) {
        const target *t = &target_table[i];
        if (!t->triple)
            continue;
        if (host_executes(t)) {
            compare_on(k, t);
            continue;
        }
        arena a = {0};
        text assembly = {.arena = &a};
        nasc_diag d = {0};
        if (!emit_llvm_text(&assembly, k, t, true, &d))
            fail_msg("%s on %s: %s: %s", k->name, t->name, d.where, d.message);
        arena_free(&a);
    }
}

/* ---- kernels -------------------------------------------------------------------------------------------------- */

typedef struct bench {
    arena memory;
    kernel k;
    loop_pen pen;
    int unit, out, offset; /* the argument written to, and how far */
} bench;

static loop_pen *bench_open(bench *b, enum dtype out)
{
    *b = (bench){0};
    b->pen = (loop_pen){.arena = &b->memory, .k = &b->k};
    b->out = loop_arg(&b->pen, out, LOOP_OUT);
    return &b->pen;
}

static void keep(bench *b, int value)
{
    loop_store(&b->pen, b->out, loop_plus(loop_at(b->offset), b->unit, PART), value);
    b->offset += b->k.regs.at[value].lanes;
    assert_true(b->offset <= PART);
}

static void bench_close(bench *b, const char *name)
{
    loop_end(&b->pen);
    snprintf(b->k.name, sizeof b->k.name, "%s", name);
    compare(&b->k);
    arena_free(&b->memory);
}

/* Every operation on floats; what is out of an operation's domain is brought into it. */
static void arithmetic(enum dtype t, int lanes)
{
    static const enum loop_op ops[] = {LOOP_MOVE, LOOP_ADD, LOOP_SUB,  LOOP_MUL,   LOOP_DIV,       LOOP_MAX,
                                       LOOP_MIN,  LOOP_FMA, LOOP_SQRT, LOOP_FLOOR, LOOP_SELECT_LT, LOOP_SELECT_EQ};
    bench b;
    loop_pen *p = bench_open(&b, t);
    int x = loop_arg(p, t, LOOP_IN), y = loop_arg(p, t, LOOP_IN);
    b.unit = loop_parallel(p);
    int v[4] = {loop_load(p, t, lanes, x, loop_plus(loop_at(1), b.unit, 3)),
                loop_load(p, t, lanes, y, loop_plus(loop_at(7), b.unit, 1)),
                loop_bcast(p, t, lanes, y, loop_plus(loop_at(9), b.unit, 5)),
                loop_load(p, t, lanes, x, loop_plus(loop_at(50), b.unit, 16))};
    for (size_t i = 0; i < COUNT(ops); i++)
        for (int order = 0; order < 2; order++) {
            int n = loop_op_info[ops[i]].operands, *w = (int[]){v[order], v[!order], v[2], v[3]};
            keep(&b, loop_math(p, ops[i], w[0], n > 1 ? w[1] : -1, n > 2 ? w[2] : -1, n > 3 ? w[3] : -1));
        }
    int zero[3] = {loop_const(p, t, lanes, 0.0), loop_const(p, t, lanes, -0.0), loop_const(p, t, lanes, NAN)};
    for (int i = 0; i < 3; i++) { /* which operand max and min take where neither is greater */
        keep(&b, loop_math(p, LOOP_MAX, zero[i], zero[(i + 1) % 3], -1, -1));
        keep(&b, loop_math(p, LOOP_MIN, zero[i], zero[(i + 1) % 3], -1, -1));
    }
    int low = loop_const(p, t, lanes, -126), high = loop_const(p, t, lanes, 127),
        least = loop_const(p, t, lanes, 0x1p-126);
    int whole = loop_math(p, LOOP_FLOOR, v[0], -1, -1, -1);
    whole = loop_math(p, LOOP_MIN, loop_math(p, LOOP_MAX, whole, low, -1, -1), high, -1, -1);
    int positive = loop_math(p, LOOP_MAX, v[1], least, -1, -1);
    keep(&b, loop_math(p, LOOP_POW2, whole, -1, -1, -1));
    keep(&b, loop_math(p, LOOP_EXPONENT, positive, -1, -1, -1));
    keep(&b, loop_math(p, LOOP_MANTISSA, positive, -1, -1, -1));
    keep(&b, loop_const(p, t, lanes, 0.1));
    keep(&b, loop_from_int(p, t, lanes, loop_plus(loop_at(16777217), b.unit, -33554433)));
    for (int lane = 0; lane < lanes; lane++)
        keep(&b, loop_lane(p, v[0], lane));
    for (int upper = 0; upper < 2 && lanes > 1; upper++)
        keep(&b, loop_half(p, v[0], upper));
    if (lanes > 1)
        keep(&b, loop_join(p, loop_half(p, v[0], 1), loop_half(p, v[1], 0)));
    bench_close(&b, "arithmetic");
}

static void operations(void **state)
{
    (void)state;
    for (int lanes = 1; lanes <= 16; lanes *= 2) {
        arithmetic(DT_F32, lanes);
        arithmetic(DT_F64, lanes);
    }
}

/* Loads and stores between each float register type and each buffer type that LLVM is told of, and CONVERT. */
static void conversions(void **state)
{
    (void)state;
    for (int from = 0; from < DT_U8; from++)
        for (int to = 0; to < DT_U8; to++)
            for (int wide = 0; wide < 2; wide++) {
                enum dtype t = wide ? DT_F64 : DT_F32;
                bench b;
                loop_pen *p = bench_open(&b, (enum dtype)to);
                int x = loop_arg(p, (enum dtype)from, LOOP_IN);
                b.unit = loop_parallel(p);
                for (int lanes = 1; lanes <= 16; lanes *= 2) {
                    int v = loop_load(p, t, lanes, x, loop_plus(loop_at(2 * lanes + 1), b.unit, 37));
                    int least = loop_const(p, t, lanes, -100.75), most = loop_const(p, t, lanes, 100.75);
                    if (to == DT_I8 || to == DT_I32)
                        v = loop_math(p, LOOP_MIN, loop_math(p, LOOP_MAX, v, least, -1, -1), most, -1, -1);
                    keep(&b, v);
                    keep(&b, loop_convert(p, wide ? DT_F32 : DT_F64, v));
                }
                bench_close(&b, "conversions");
            }
}

static int index_as_float(loop_pen *p, loop_index i)
{
    return loop_from_int(p, DT_F32, 1, i);
}

/* Integer operations on both signs, branches with and without else, loops that run never, once, and unevenly. */
static void integers_and_control(void **state)
{
    (void)state;
    bench b;
    loop_pen *p = bench_open(&b, DT_F32);
    int table = loop_arg(p, DT_I32, LOOP_IN), bytes = loop_arg(p, DT_I8, LOOP_IN);
    b.unit = loop_parallel(p);
    int word = loop_int_load(p, table, loop_plus(loop_at(5), b.unit, 11));
    int byte = loop_int_load(p, bytes, loop_plus(loop_plus(loop_at(100), b.unit, 7), word, 1));
    const int steps[] = {1, 2, 3, 7, 8, 1000};
    for (size_t s = 0; s < COUNT(steps); s++)
        for (int negative = 0; negative < 2; negative++) {
            loop_index lo = loop_plus(loop_plus(loop_at(negative ? -3 : 3), word, negative ? -5 : 5), 0, 1);
            keep(&b, index_as_float(p, loop_plus(loop_at(0), loop_int(p, LOOP_INT_DIV, lo, loop_at(0), steps[s]), 1)));
            keep(&b, index_as_float(p, loop_plus(loop_at(0), loop_int(p, LOOP_INT_MOD, lo, loop_at(0), steps[s]), 1)));
        }
    loop_index v = loop_plus(loop_at(1), word, 2), w = loop_plus(loop_at(-1), byte, 1);
    int least = loop_int(p, LOOP_INT_MIN, v, w, 0), most = loop_int(p, LOOP_INT_MAX, v, w, 0);
    keep(&b, index_as_float(p, loop_plus(loop_plus(loop_at(0), least, 1), most, 1000)));
    int sum = loop_const(p, DT_F32, 1, 0);
    int outer = loop_for(p, loop_plus(loop_at(0), b.unit, 1), loop_plus(loop_at(9), b.unit, -4), 2);
    int inner = loop_for(p, loop_plus(loop_at(0), outer, 1), loop_at(5), 3);
    loop_if(p, loop_plus(loop_at(0), inner, 1), loop_at(4));
    loop_math_to(p, sum, LOOP_ADD, sum, index_as_float(p, loop_plus(loop_plus(loop_at(1), inner, 1), outer, 100)), -1,
                 -1);
    loop_else(p);
    loop_if(p, loop_plus(loop_at(0), outer, 1), loop_at(2));
    loop_math_to(p, sum, LOOP_MUL, sum, loop_const(p, DT_F32, 1, -1.5), -1, -1);
    loop_end(p);
    loop_end(p);
    loop_end(p);
    loop_end(p);
    keep(&b, sum);
    bench_close(&b, "integers");
}

/* An integer that a branch sets, and a register that two branches set. */
static void values_that_meet(void **state)
{
    (void)state;
    bench b;
    loop_pen *p = bench_open(&b, DT_F32);
    int x = loop_arg(p, DT_F32, LOOP_IN);
    b.unit = loop_parallel(p);
    int at = loop_int(p, LOOP_INT_SET, loop_at(3), loop_at(0), 0);
    int v = loop_load(p, DT_F32, 8, x, loop_at(0));
    loop_if(p, loop_plus(loop_at(1), b.unit, 1), loop_at(2));
    loop_int(p, LOOP_INT_SET, loop_plus(loop_at(1), at, 2), loop_at(0), 0);
    p->k->ins.at[p->k->ins.count - 1].dst = at;
    loop_math_to(p, v, LOOP_ADD, v, loop_load(p, DT_F32, 8, x, loop_plus(loop_at(0), at, 1)), -1, -1);
    loop_else(p);
    loop_math_to(p, v, LOOP_MUL, v, v, -1, -1);
    loop_end(p);
    keep(&b, loop_math(p, LOOP_SUB, loop_load(p, DT_F32, 8, x, loop_plus(loop_at(0), at, 1)), v, -1, -1));
    bench_close(&b, "meet");
}

/* A matrix product through scratch, its tile's edge, and a sum over lanes; the result is read back in place. */
static void tiles_through_scratch(void **state)
{
    (void)state;
    enum { ROWS = 3, DEPTH = 13, COLUMNS = 16 };
    bench b;
    loop_pen *p = bench_open(&b, DT_F32);
    int x = loop_arg(p, DT_F32, LOOP_IN), w = loop_arg(p, DT_F32, LOOP_IN);
    int odd = loop_scratch(p, DT_F64, 3), tile = loop_scratch(p, DT_F32, ROWS * COLUMNS);
    int acc[ROWS][2];
    b.unit = loop_parallel(p);
    loop_store(p, odd, loop_at(1), loop_const(p, DT_F64, 2, 0.25));
    for (int i = 0; i < 2 * ROWS; i++)
        acc[i / 2][i % 2] = loop_const(p, DT_F32, 8, 0);
    int k = loop_for(p, loop_at(0), loop_at(DEPTH), 1);
    for (int r = 0; r < ROWS; r++) {
        int s = loop_bcast(p, DT_F32, 8, x, loop_plus(loop_plus(loop_at(r * DEPTH), k, 1), b.unit, ROWS * DEPTH));
        for (int v = 0; v < 2; v++)
            loop_math_to(p, acc[r][v], LOOP_FMA, s, loop_load(p, DT_F32, 8, w, loop_plus(loop_at(8 * v), k, COLUMNS)),
                         acc[r][v], -1);
    }
    loop_end(p);
    for (int i = 0; i < 2 * ROWS; i++)
        loop_store(p, tile, loop_at(8 * i), acc[i / 2][i % 2]);
    int i = loop_for(p, loop_at(0), loop_at(ROWS * COLUMNS), 16);
    int v = loop_load(p, DT_F32, 16, tile, loop_plus(loop_at(0), i, 1));
    loop_store(p, b.out, loop_plus(loop_plus(loop_at(64), i, 1), b.unit, PART), v);
    for (int h = 0; h < 4; h++)
        v = loop_math(p, LOOP_ADD, loop_half(p, v, 0), loop_half(p, v, 1), -1, -1);
    int scale = loop_convert(p, DT_F32, loop_load(p, DT_F64, 1, odd, loop_at(2)));
    loop_store(p, b.out, loop_plus(loop_plus(loop_at(32), i, 1), b.unit, PART),
               loop_math(p, LOOP_MUL, v, scale, -1, -1));
    loop_end(p);
    bench_close(&b, "tiles");
}

/* ---- the JIT itself ------------------------------------------------------------------------------------------- */

static kernel *adder(arena *a, double value)
{
    kernel *k = NEW(a, kernel);
    loop_pen *p = &(loop_pen){.arena = a, .k = k};
    int x = loop_arg(p, DT_F32, LOOP_IN), y = loop_arg(p, DT_F32, LOOP_OUT);
    loop_index at = loop_plus(loop_at(0), loop_parallel(p), 8);
    loop_store(p, y, at,
               loop_math(p, LOOP_ADD, loop_load(p, DT_F32, 8, x, at), loop_const(p, DT_F32, 8, value), -1, -1));
    loop_end(p);
    return k;
}

/* Two arguments may be one buffer: nothing may be moved across a store to the other. */
static void arguments_may_alias(void **state)
{
    (void)state;
    target t = target_host();
    if (!t.triple)
        skip();
    arena a = {0};
    kernel k = {0};
    loop_pen *p = &(loop_pen){.arena = &a, .k = &k};
    int x = loop_arg(p, DT_F32, LOOP_IN), y = loop_arg(p, DT_F32, LOOP_OUT);
    loop_parallel(p);
    int i = loop_for(p, loop_at(0), loop_at(8), 1);
    int first = loop_load(p, DT_F32, 1, x, loop_at(0)), v = loop_load(p, DT_F32, 1, x, loop_plus(loop_at(0), i, 1));
    loop_store(p, y, loop_plus(loop_at(0), i, 1), loop_math(p, LOOP_ADD, first, v, -1, -1));
    loop_end(p);
    loop_end(p);
    float z[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    nasc_diag d = {0};
    kernel_fn *entry = NULL;
    jit_stats stats;
    jit *j = jit_open(&t, &d);
    assert_true(j && jit_compile(j, (const kernel *[]){&k}, 1, 1, &entry, &stats, &d));
    entry((void *[]){z, z}, 1, 0, 1, NULL);
    assert_true(z[0] == 2 && z[7] == 3);
    jit_close(j);
    arena_free(&a);
}

/* Many kernels, several threads, equal ones among them; a second JIT finds all of them in the cache. */
static void cache_and_threads(void **state)
{
    (void)state;
    enum { KERNELS = 40, DIFFERENT = 25 };
    target t = target_host();
    if (!t.triple)
        skip();
    arena a = {0};
    const kernel *k[KERNELS];
    kernel_fn *entry[KERNELS], *again[2];
    for (int i = 0; i < KERNELS; i++)
        k[i] = adder(&a, i % DIFFERENT);
    for (int round = 0; round < 2; round++) {
        nasc_diag d = {0};
        jit_stats stats;
        jit *j = jit_open(&t, &d);
        assert_true(j && jit_compile(j, k, KERNELS, 3, entry, &stats, &d));
        assert_int_equal(stats.compiled, round ? 0 : DIFFERENT);
        assert_int_equal(stats.cached, round ? DIFFERENT : 0);
        float x[8] = {0, 1, 2, 3, 4, 5, 6, 7}, y[8];
        for (int i = 0; i < KERNELS; i++) {
            entry[i]((void *[]){x, y}, 1, 0, 1, NULL);
            assert_true(y[7] == (float)(7 + i % DIFFERENT));
        }
        assert_ptr_equal(entry[DIFFERENT], entry[0]);
        assert_true(jit_compile(j, k + 3, 2, 1, again, &stats, &d));
        assert_int_equal(stats.compiled + stats.cached, 0);
        assert_ptr_equal(again[0], entry[3]);
        jit_close(j);
    }
    arena_free(&a);
}

/* IR and assembly for machines that are not this one: fma is one instruction, and never comes of mul and add. */
static void text_for_any_target(void **state)
{
    (void)state;
    static const struct {
        const char *target, *one;
    } rows[] = {{"x86-64-v3", "vfmadd"}, {"x86-64-v4", "vfmadd"}, {"aarch64", "fmla"}};
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int fused = 0; fused < 2; fused++) {
            arena a = {0};
            kernel k = {0};
            loop_pen *p = &(loop_pen){.arena = &a, .k = &k};
            int x = loop_arg(p, DT_F32, LOOP_INOUT);
            loop_parallel(p);
            int v = loop_load(p, DT_F32, 4, x, loop_at(0)), w = loop_load(p, DT_F32, 4, x, loop_at(4));
            int sum = fused ? loop_math(p, LOOP_FMA, v, w, w, -1)
                            : loop_math(p, LOOP_ADD, loop_math(p, LOOP_MUL, v, w, -1, -1), w, -1, -1);
            loop_store(p, x, loop_at(0), sum);
            loop_end(p);
            text ir = {.arena = &a}, assembly = {.arena = &a};
            nasc_diag d = {0};
            const target *t = target_find(rows[i].target);
            assert_true(emit_llvm_text(&ir, &k, t, false, &d) && emit_llvm_text(&assembly, &k, t, true, &d));
            assert_non_null(strstr(ir.at, "define void @k_"));
            assert_int_equal(strstr(ir.at, "@llvm.fma.v4f32") != NULL, fused);
            assert_int_equal(strstr(assembly.at, rows[i].one) != NULL, fused);
            arena_free(&a);
        }
}

static void what_cannot_run_is_refused(void **state)
{
    (void)state;
    nasc_diag d = {0};
    assert_null(jit_open(target_find("generic"), &d));
    assert_int_equal(d.kind, DIAG_DEVICE);
#if defined(__x86_64__) && defined(NASC_LLVM)
    d = (nasc_diag){0};
    assert_null(jit_open(target_find("aarch64"), &d));
    assert_non_null(strstr(d.message, "aarch64"));
#endif
}

int main(void)
{
    char folder[] = "/tmp/nasc_jit_XXXXXX";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations),
        cmocka_unit_test(conversions),
        cmocka_unit_test(integers_and_control),
        cmocka_unit_test(values_that_meet),
        cmocka_unit_test(tiles_through_scratch),
        cmocka_unit_test(arguments_may_alias),
        cmocka_unit_test(cache_and_threads),
        cmocka_unit_test(text_for_any_target),
        cmocka_unit_test(what_cannot_run_is_refused),
    };
    int failed = jit_host_begin(folder) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
    jit_host_end(folder);
    return failed;
}
