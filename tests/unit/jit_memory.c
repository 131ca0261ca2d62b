/* The JIT when the Nth allocation fails, for every N, with an empty cache and with a full one: it says so, or did not
 * need the memory; afterwards the same JIT compiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "failing.h"
#include "jit_host.h"

static kernel *doubler(arena *a, int lanes)
{
    kernel *k = NEW(a, kernel);
    loop_pen *p = &(loop_pen){.arena = a, .k = k};
    int x = loop_arg(p, DT_F32, LOOP_INOUT);
    loop_parallel(p);
    int v = loop_load(p, DT_F32, lanes, x, loop_at(0));
    loop_store(p, x, loop_at(0), loop_math(p, LOOP_ADD, v, v, -1, -1));
    loop_end(p);
    return k;
}

/* One attempt whose Nth allocation fails; false when there are not that many. */
static bool attempt(const target *t, const kernel *const *k, int nth)
{
    nasc_diag d = {0};
    kernel_fn *entry[2] = {NULL, NULL};
    jit_stats stats;
    failing_left = nth;
    jit *j = jit_open(t, &d);
    bool ok = j && jit_compile(j, k, 2, 1, entry, &stats, &d);
    bool failed = failing_left < 0;
    failing_left = -1;
    assert_true(ok ? d.kind == DIAG_NONE : d.kind == DIAG_MEMORY);
    d = (nasc_diag){0};
    if (j && !ok)
        assert_true(jit_compile(j, k, 2, 1, entry, &stats, &d));
    if (j) {
        float x[4] = {1, 2, 3, 4};
        entry[1]((void *[]){x}, 1, 0, 1, NULL);
        assert_true(x[0] == 2 && x[3] == 8);
    }
    jit_close(j);
    return failed;
}

static void every_allocation(void **state)
{
    (void)state;
    target t = target_host();
    for (int warm = 0; warm < 2; warm++) {
        int nth = 0;
        arena a = {0};
        do { /* with a cold cache each attempt has kernels that no other has */
            const kernel *k[] = {doubler(&a, 1), doubler(&a, 4)};
            for (int i = 0; i < 2 && !warm; i++)
                loop_scratch(&(loop_pen){.arena = &a, .k = (kernel *)k[i]}, DT_F32, 2 * nth + i + 1);
            if (!attempt(&t, k, nth))
                break;
        } while (++nth < 100);
        assert_in_range(nth, 4, 99);
        arena_free(&a);
    }
}

int main(void)
{
    char folder[] = "/tmp/nasc_jit_XXXXXX";
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    int failed = jit_host_begin(folder) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
    jit_host_end(folder);
    return failed;
}
