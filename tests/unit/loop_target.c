/* The table of targets and the host's place in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "loop/target.h"

static void host_is_a_row_with_real_caches(void **state)
{
    (void)state;
    target host = target_host();
    const target *row = target_find(host.name);
    assert_non_null(row);
    assert_int_equal(row->lanes, host.lanes);
    assert_in_range(host.l1_bytes, 4 << 10, 1 << 20);
    assert_in_range(host.l2_bytes, host.l1_bytes, 1 << 30);
    assert_in_range(host.l3_bytes, host.l2_bytes, INT32_MAX);
}

static void an_unknown_name_has_no_row(void **state)
{
    (void)state;
    assert_null(target_find("x86-64-v9"));
    assert_null(target_find_gpu("sm_9"));
}

/* What asks for a CPU gets none of the GPUs, and the other way round. */
/* The newest row that it executes; of a newer generation, that row for its own capability. */
static void gpus_have_rows(void **state)
{
    (void)state;
    static const struct {
        int capability, row, made;
    } gpus[] = {{75, 75, 75}, {87, 86, 86}, {90, 90, 90}, {103, 100, 100}, {120, 100, 120}};
    target t;
    for (size_t i = 0; i < COUNT(gpus); i++) {
        assert_true(target_gpu(gpus[i].capability, &t));
        assert_int_equal(t.capability, gpus[i].made);
        assert_int_equal(atoi(t.name + 3), gpus[i].row);
    }
    assert_false(target_gpu(70, &t));
}

static void gpus_stand_apart(void **state)
{
    (void)state;
    for (int i = 0; i < target_gpu_count; i++) {
        const target *gpu = &target_gpus[i];
        assert_ptr_equal(target_find_gpu(gpu->name), gpu);
        assert_null(target_find(gpu->name));
        assert_true(gpu->capability && gpu->lanes == 1 && gpu->fma);
        assert_true(i == 0 || gpu->capability > target_gpus[i - 1].capability);
    }
    for (int i = 0; i < target_count; i++) {
        assert_null(target_find_gpu(target_table[i].name));
        assert_int_equal(target_table[i].capability, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_is_a_row_with_real_caches),
        cmocka_unit_test(an_unknown_name_has_no_row),
        cmocka_unit_test(gpus_stand_apart),
        cmocka_unit_test(gpus_have_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
