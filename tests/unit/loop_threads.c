/* Kernels of threads on the interpreter: what barriers order, and each error that threads can make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "loop/loop.h"

enum { FLOATS = 64 };

static kernel *read_kernel(arena *a, const char *source)
{
    nasc_diag d = {0};
    kernel *k = loop_parse(a, source, "k.loop", &d);
    if (!k)
        fail_msg("%s: %s: %s", source, d.where, d.message);
    return k;
}

/* Two units on argument 0 of FLOATS numbers 0, 1, 2 …; argument 1 begins at its element 8. */
static bool interpret(const kernel *k, float *x, nasc_diag *d)
{
    for (int i = 0; i < FLOATS; i++)
        x[i] = (float)i;
    const int64_t sizes[] = {FLOATS, FLOATS - 8};
    loop_call call = {.buffer = (void *[]){x, x + 8}, .sizes = sizes, .n = 1, .end = 2};
    return loop_interpret(k, &call, d);
}

/* Every thread leaves a number in scratch, thread 0 adds them in order: what each wrote before the barrier stands. */
static const char sum_text[] = "kernel \"sum\" {\n"
                               "  arg 0 inout f32\n"
                               "  scratch 0 f32 8\n"
                               "  parallel i1 {\n"
                               "    threads i2 8 {\n"
                               "      f32 r0 = load a0[8*i1 + i2]\n"
                               "      store s0[i2] = r0\n"
                               "      barrier\n"
                               "      if i2 < 1 {\n"
                               "        f32 r1 = const 0\n"
                               "        for i3 = 0 to 8 step 1 {\n"
                               "          f32 r2 = load s0[i3]\n"
                               "          f32 r1 = add r1, r2\n"
                               "        }\n"
                               "        store a0[i1 + 32] = r1\n"
                               "      }\n"
                               "    }\n"
                               "  }\n"
                               "}\n";

static void a_barrier_orders(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    kernel *k = read_kernel(&a, sum_text);
    float x[FLOATS];
    assert_true(loop_verify(k, &d));
    if (!interpret(k, x, &d))
        fail_msg("%s: %s", d.where, d.message);
    assert_true(x[32] == 28 && x[33] == 92);
    text printed = {.arena = &a};
    loop_print(&printed, k);
    assert_string_equal(printed.at, sum_text);
    assert_int_equal(loop_threads_of(k), 8);
    arena_free(&a);
}

/* A register keeps its value over barriers, thread by thread; here three of them pass their numbers round. */
static void registers_are_each_threads_own(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    kernel *k = read_kernel(&a, "kernel { arg 0 inout f32 scratch 0 f32 3 parallel i1 { threads i2 3 {"
                                "  f32 r0 = load a0[3*i1 + i2]"
                                "  for i3 = 0 to 2 step 1 {"
                                "    store s0[i2] = r0 barrier"
                                "    i4 = imod i2 + 1, 3 f32 r0 = load s0[i4] barrier"
                                "  } store a0[3*i1 + i2] = r0 } } }");
    float x[FLOATS], want[] = {2, 0, 1, 5, 3, 4};
    assert_true(loop_verify(k, &d) && interpret(k, x, &d));
    assert_memory_equal(x, want, sizeof want);
    arena_free(&a);
}

/* exp's constants stand where each thread has them. */
static void expanded_math_has_threads(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    kernel *k = read_kernel(&a, "kernel { arg 0 inout f32 parallel i1 { threads i2 4 {"
                                "  f32 r0 = const 0 f32 r1 = exp r0 store a0[4*i1 + i2] = r1 } } }");
    k = loop_expand_math(&a, k, true);
    float x[FLOATS];
    assert_true(loop_verify(k, &d) && interpret(k, x, &d));
    assert_true(x[0] == 1 && x[7] == 1 && x[8] == 8);
    arena_free(&a);
}

/* What stands among eight threads, and what the interpreter says of it. */
static const struct {
    const char *body, *where, *message;
} wrong[] = {
    {"f32 r0 = const 1 store s0[0] = r0", "3 (store)", "thread 1 races for element 0 of scratch"},
    {"f32 r0 = const 1 store s0[i2] = r0 i3 = imod i2 + 7, 8 f32 r0 = load s0[i3] ", "5 (load)",
     "element 7 of scratch 0 was never written (it has 8)"},
    {"f32 r0 = const 1 store s0[i2] = r0 f32 r0 = load s0[0]", "4 (load)", "thread 1 races for element 0 of scratch"},
    {"f32 r0 = load a0[i2 + 1] store a0[i2] = r0", "3 (store)", "thread 1 races for element 1 of an argument"},
    {"f32 r0 = load a0[i2 + 8] barrier store a0[8*i1 + i2 + 8] = r0", "2 (load)",
     "thread 0 races for element 8 of an argument"},
    {"f32 r0 = const 1 if i2 < 1 { store a0[8] = r0 } f32 r0 = load a1[0]", "6 (load)",
     "thread 1 races for element 0 of an argument"},
    {"f32 r0 = const 1 store a0[8*i1 + i2 + 50] = r0", "3 (store)",
     "element 64 of argument 0 is out of bounds (it has 64)"},
    {"f32x4 r0 = load s0[i2 + 1]", "2 (load)", "element 1 of scratch begins no vector of 4"},
    {"if i2 < 3 { barrier }", "3 (barrier)", "thread 0 comes to it and thread 3 does not"},
    {"if 3 < i2 { barrier }", "3 (barrier)", "thread 4 comes to it and thread 0 does not"},
    {"if i2 < 3 { barrier } else { barrier }", "5 (barrier)", "thread 3 comes to it and thread 0 does not"},
};

static void errors(void **state)
{
    (void)state;
    for (int i = 0; i < (int)COUNT(wrong); i++) {
        arena a = {0};
        nasc_diag d = {0};
        float x[FLOATS];
        kernel *k = read_kernel(&a, arena_printf(&a,
                                                 "kernel { arg 0 inout f32 arg 1 inout f32 scratch 0 f32 8"
                                                 " parallel i1 { threads i2 8 { %s } } }",
                                                 wrong[i].body));
        if (interpret(k, x, &d))
            fail_msg("%s: no error", wrong[i].body);
        if (!strstr(d.where, wrong[i].where) || strcmp(d.message, wrong[i].message) != 0)
            fail_msg("%s: %s: %s", wrong[i].body, d.where, d.message);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_barrier_orders),
        cmocka_unit_test(registers_are_each_threads_own),
        cmocka_unit_test(expanded_math_has_threads),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
