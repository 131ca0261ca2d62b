/* The Nth allocation fails, for every N until none does: verifying and interpreting a kernel say "out of memory", and
 * free what they had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "failing.h"
#include "loop/loop.h"

/* Large enough to need more than one block of an arena. */
static kernel *build(arena *a)
{
    kernel *k = NEW(a, kernel);
    loop_pen p = {.arena = a, .k = k};
    int x = loop_arg(&p, DT_F32, LOOP_OUT), s = loop_scratch(&p, DT_F32, 50000), i8 = loop_scratch(&p, DT_I8, 90000);
    loop_parallel(&p);
    for (int i = 0; i < 120; i++) { /* i8 holds up to 127 */
        int value = loop_const(&p, DT_F32, 16, i);
        loop_store(&p, i % 2 ? s : i8, loop_at(16 * i), loop_convert(&p, DT_F32, loop_convert(&p, DT_F64, value)));
        loop_store(&p, x, loop_at(0), value);
    }
    loop_end(&p);
    return k;
}

static bool interpret(const kernel *k, nasc_diag *d)
{
    float x[16];
    int64_t size = 16;
    loop_call call = {.buffer = (void *[]){x}, .sizes = &size, .n = 1, .end = 2};
    return loop_interpret(k, &call, d);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    arena a = {0};
    const kernel *k = build(&a);
    bool (*const work[])(const kernel *, nasc_diag *) = {loop_verify, interpret};
    for (int w = 0; w < 2; w++) {
        bool done = false;
        int failures = 0;
        for (long n = 0; !done; n++) {
            nasc_diag d = {0};
            failing_left = n;
            done = work[w](k, &d);
            failing_left = -1;
            assert_true(done || d.kind == DIAG_MEMORY);
            failures += !done;
        }
        assert_true(failures > w);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
