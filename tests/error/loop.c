/* One case a diagnostic of the loop IR: text that does not parse, kernels that do not verify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "loop/loop.h"

typedef struct error_case {
    const char *source, *where, *message;
} error_case;

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

static void bad_text(void **state)
{
    (void)state;
    static const error_case cases[] = {
        {"kernle {}", "k.loop:1:1", "expected 'kernel', found 'kernle'"},
        {"kernel \"long", "k.loop:1:9", "closing quote"},
        {"kernel {\n  arg 1 in f32\n}", "k.loop:2:8", "numbered from 0"},
        {"kernel {\n  arg 0 on f32\n}", "k.loop:2:9", "expected in, out or inout, found 'on'"},
        {"kernel {\n  arg 0 in f16\n}", "k.loop:2:12", "expected a type, found 'f16'"},
        {"kernel {\n  parallel i1 {\n    f32x8 r0 = lod a0[0]\n", "k.loop:3:16",
         "an operation on registers, found 'lod'"},
        {"kernel {\n  parallel i1 {\n    i2 = add i1\n", "k.loop:3:10", "an operation on integers, found 'add'"},
        {"kernel {\n  parallel i1 {\n    f32x8 r0 = load a0[i1 + i1]\n", "k.loop:3:31", "each variable once"},
        {"kernel {\n  parallel i1 {\n    f32x8 r0 = load a0[99999999999*i1]\n", "k.loop:3:36", "smaller coefficient"},
        {"kernel {\n  parallel i1 {\n    f32 r0 = const x\n", "k.loop:3:20", "expected a number, found 'x'"},
        {"kernel {\n  parallel i1 {\n    f32 r0 = const 1 f64 r0 = const 1\n", "k.loop:3:22", "has above"},
        {"kernel {\n  parallel i1 {\n    f32 r0 = const 1\n  } else {", "k.loop:4:9", "else to follow an if"},
        {"kernel {\n  parallel i1 {\n    store a0[0] = r0\n  }\n}\n", "k.loop:6:1", "every register to be defined"},
        {"kernel {\n}\nkernel", "k.loop:3:1", "the end of the file"},
        {"kernel {\n  parallel i1 {\n", "k.loop:3:1", "found ''"},
    };
    for (int i = 0; i < (int)COUNT(cases); i++) {
        arena a = {0};
        nasc_diag d = {0};
        assert_null(loop_parse(&a, cases[i].source, "k.loop", &d));
        assert_int_equal(d.kind, DIAG_INPUT);
        contains(d.message, cases[i].message);
        if (strcmp(d.where, cases[i].where))
            fail_msg("%s: found at %s, wanted %s", d.message, d.where, cases[i].where);
        arena_free(&a);
    }
}

/* What stands in the parallel loop (or, if it begins with !, in the kernel); the instruction at fault; the message. */
static const error_case wrong_kernels[] = {
    {"parallel i2 { }", "1 (parallel)", "parallel is not the first"},
    {"!i1 = set 0 parallel i2 { }", "0 (set)", "the first instruction is not parallel"},
    {"!parallel i1 { } i2 = set 0", "1 (end)", "instructions follow"},
    {"!", "", "no instructions"},
    {"reg f32x3 r0", "", "register 0 is neither"},
    {"f32 r0 = const 1 f32 r1 = add r0, r2 f32 r2 = const 1", "2 (add)", "r2 is not defined on every path"},
    {"if i1 < 1 { f32 r0 = const 1 } store a1[0] = r0", "4 (store)", "r0 is not defined on every path"},
    {"if i1 < 1 { f32 r0 = const 1 } else { f32 r1 = const 1 } store a1[0] = r0", "6 (store)", "r0 is not defined"},
    {"for i2 = 0 to n step 1 { f32 r0 = const 1 } store a1[0] = r0", "4 (store)", "r0 is not defined"},
    {"for i2 = 0 to 4 step 1 { } i3 = set i2", "3 (set)", "i2, which is not defined"},
    {"for i2 = 0 to 4 step 0 { }", "1 (for)", "a step of 0"},
    {"i2 = idiv i1, 0", "1 (idiv)", "a step of 0"},
    {"for i2 = 0 to 4 step 1 { i2 = set 3 }", "2 (set)", "i2 is assigned in the loop"},
    {"i2 = set 1 for i3 = 0 to i2 step 1 { i2 = set 3 }", "3 (set)", "i2 is assigned in the loop"},
    {"i1 = set 1", "1 (set)", "i1 is assigned in the loop"},
    {"f32 r0 = const 1 store a0[0] = r0", "2 (store)", "argument 0 may not be written"},
    {"f32 r0 = load a1[0]", "1 (load)", "argument 1 may not be read"},
    {"f32 r0 = load a9[0]", "1 (load)", "there is no argument 9"},
    {"f32 r0 = load s9[0]", "1 (load)", "there is no scratch array 9"},
    {"i2 = iload a0[0]", "1 (iload)", "an integer is read from a buffer of f32"},
    {"f64 r0 = const 1 store a2[0] = r0", "2 (store)", "f64 is stored to a buffer of i8"},
    {"f32 r0 = const 1 f64 r1 = const 1 f32 r2 = add r0, r1", "3 (add)", "operand r1 has another type"},
    {"f32x2 r0 = const 1 f32 r1 = move r0", "2 (move)", "operand r0 has another type"},
    {"f64 r0 = const 1 f64 r1 = exp r0", "2 (exp)", "only f32 registers"},
    {"f32x4 r0 = const 1 f64x2 r1 = convert r0", "2 (convert)", "lanes change from 4 to 2"},
    {"f32x4 r0 = const 1 f32 r1 = lane r0, 4", "2 (lane)", "lane 4 of 4"},
    {"f32x4 r0 = const 1 f64 r1 = lane r0, 1", "2 (lane)", "not the type of a lane"},
    {"f32x4 r0 = const 1 f32x2 r1 = half r0, 2", "2 (half)", "half 2 of 2"},
    {"f32x4 r0 = const 1 f32 r1 = half r0, 1", "2 (half)", "not the type of a half"},
    {"f32x4 r0 = const 1 f32x2 r1 = const 1 f32x8 r2 = join r0, r1", "3 (join)", "operand r1 has another type"},
    {"f32x4 r0 = const 1 f32x4 r1 = join r0, r0", "2 (join)", "not the type of two operands"},
    {"f32x4 r0 = const 1 stream a1[4*i1 + 2] = r0", "2 (store)", "no whole vector of an argument"},
    {"f32x4 r0 = const 1 for i2 = 0 to 8 step 2 { stream a1[i2] = r0 }", "3 (store)", "no whole vector of an argument"},
    {"f32x4 r0 = const 1 i2 = imod i1, 4 stream a1[i2] = r0", "3 (store)", "no whole vector of an argument"},
    {"!scratch 0 f32 4 parallel i1 { f32x4 r0 = const 1 stream s0[0] = r0 }", "2 (store)", "no whole vector"},
    {"i2 = set 1 threads i3 8 { }", "2 (threads)", "threads do not begin the parallel loop"},
    {"threads i2 0 { }", "1 (threads)", "0 threads, at least 1 and at most 1024"},
    {"threads i2 1025 { }", "1 (threads)", "1025 threads, at least 1"},
    {"threads i2 8 { } i3 = set 1", "2 (end)", "the threads are not all of the parallel loop"},
    {"threads i2 8 { i2 = set 1 }", "2 (set)", "i2 is assigned in the loop"},
    {"barrier", "1 (barrier)", "not all threads may reach it"},
    {"threads i2 8 { if i2 < 4 { barrier } }", "3 (barrier)", "not all threads may reach it"},
    {"threads i2 8 { if i1 < i2 { } else { barrier } }", "4 (barrier)", "not all threads may reach it"},
    {"threads i2 8 { i3 = idiv i2, 2 for i4 = 0 to i3 step 1 { barrier } }", "4 (barrier)", "not all threads"},
    {"threads i2 8 { i3 = iload a2[0] if i3 < 4 { barrier } }", "4 (barrier)", "not all threads may reach it"},
    {"threads i2 8 { i3 = set 1 if i2 < 4 { i3 = set 2 } if i3 < 2 { barrier } }", "7 (barrier)", "not all threads"},
};

static kernel *kernel_of(arena *a, const char *body)
{
    static const char head[] = "arg 0 in f32 arg 1 out f32 arg 2 inout i8";
    nasc_diag d = {0};
    const char *source;
    if (body[0] == '!')
        source = arena_printf(a, "kernel { %s %s }", head, body + 1);
    else if (!strncmp(body, "reg", 3))
        source = arena_printf(a, "kernel { %s %s parallel i1 { } }", head, body);
    else
        source = arena_printf(a, "kernel { %s parallel i1 { %s } }", head, body);
    kernel *k = loop_parse(a, source, "k.loop", &d);
    if (!k)
        fail_msg("%s: %s: %s", source, d.where, d.message);
    return k;
}

static void expect_wrong(const kernel *k, const char *where, const char *message)
{
    nasc_diag d = {0};
    assert_false(loop_verify(k, &d));
    assert_int_equal(d.kind, DIAG_INPUT);
    contains(d.message, message);
    contains(d.where, where);
}

static void bad_kernels(void **state)
{
    (void)state;
    for (int i = 0; i < (int)COUNT(wrong_kernels); i++) {
        arena a = {0};
        expect_wrong(kernel_of(&a, wrong_kernels[i].source), wrong_kernels[i].where, wrong_kernels[i].message);
        arena_free(&a);
    }
}

/* A loop that surely runs, and both branches of an if, define what follows. */
static void definitions_on_every_path(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    assert_true(loop_verify(kernel_of(&a, "for i2 = 0 to 4 step 1 { f32 r0 = const 1 } store a1[0] = r0"), &d));
    assert_true(
        loop_verify(kernel_of(&a, "if i1 < 3 { f32 r0 = const 1 } else { f32 r0 = const 2 } store a1[0] = r0"), &d));
    arena_free(&a);
}

/* Barriers that all threads reach: in loops and branches that depend on the unit, the batch, and what nobody writes. */
static void barriers_for_all(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "threads i2 8 { for i3 = 0 to i1 step 1 { barrier } if i1 < n { barrier } }",
        "threads i2 8 { if i2 < 4 { i3 = set 1 } barrier }",
        "!arg 3 in i32 parallel i1 { threads i2 8 { i3 = iload a3[i1] if i3 < 4 { barrier } } }",
    };
    for (int i = 0; i < (int)COUNT(bodies); i++) {
        arena a = {0};
        nasc_diag d = {0};
        if (!loop_verify(kernel_of(&a, bodies[i]), &d))
            fail_msg("%s: %s: %s", bodies[i], d.where, d.message);
        arena_free(&a);
    }
}

/* What text cannot express. */
static void bad_fields(void **state)
{
    (void)state;
    arena a = {0};
    static const char body[] =
        "i2 = set i1 f32 r0 = load a0[2*i1 + i2] if i1 < 2 { f32 r1 = add r0, r0 } f32 r2 = const 1";
    kernel *k = kernel_of(&a, body);
    nasc_diag d = {0};
    assert_true(loop_verify(k, &d));
    loop_ins *load = &k->ins.at[2], *opener = &k->ins.at[3], *add = &k->ins.at[4];
    loop_ins intact[3] = {*load, *opener, *add};
#define BREAK(change, where, message)                                                                                  \
    do {                                                                                                               \
        change;                                                                                                        \
        expect_wrong(k, where, message);                                                                               \
        *load = intact[0], *opener = intact[1], *add = intact[2];                                                      \
    } while (0)
    BREAK(load->place.index.term[1].coef = 0, "2 (load)", "the place is not canonical");
    BREAK(load->place.index.term[1].var = 1, "2 (load)", "the place is not canonical");
    BREAK(load->place.index.term[5].var = 1, "2 (load)", "the place is not canonical");
    BREAK(load->place.index.count = 9, "2 (load)", "the place has 9 terms");
    BREAK(load->place.index.term[1].var = 77, "2 (load)", "variable 77 of");
    BREAK(load->dst = 50, "2 (load)", "register 50 of");
    BREAK(load->src[0] = 1, "2 (load)", "a field that the operation does not use");
    BREAK(load->lo.base = 1, "2 (load)", "an index that the operation does not use");
    BREAK(add->src[1] = 50, "4 (add)", "register 50 of");
    BREAK(add->op = LOOP_OP_COUNT, "4 (?)", "operation");
    BREAK(opener->match = 4, "5 (end)", "do not match");
    BREAK(add->op = LOOP_ELSE; add->dst = add->src[0] = add->src[1] = 0, "4 (else)", "does not match its else");
#undef BREAK
    k->args.at[1].access = 0;
    expect_wrong(k, "kernel", "argument 1 is declared wrongly");
    k->args.at[1].access = LOOP_OUT;
    loop_buffer endless = {.dtype = DT_F32};
    VEC_PUSH(&a, &k->scratch, endless);
    expect_wrong(k, "kernel", "scratch array 0 is declared wrongly");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_text),         cmocka_unit_test(bad_kernels), cmocka_unit_test(definitions_on_every_path),
        cmocka_unit_test(barriers_for_all), cmocka_unit_test(bad_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
