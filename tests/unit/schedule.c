/* Learning-rate schedules at their ends and between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "runtime/schedule.h"

static void cosine_follows_its_formula(void **state)
{
    (void)state;
    assert_true(schedule_cosine(0.025, 0.001, 0, 50) == 0.025);
    assert_true(fabs(schedule_cosine(0.025, 0.001, 25, 50) - 0.013) < 1e-15);
    assert_true(schedule_cosine(0.025, 0.001, 50, 50) == 0.001);
    for (int epoch = 0; epoch < 50; epoch++) {
        double wanted = 0.001 + 0.024 * (1 + cos(3.14159265358979324 * epoch / 50)) / 2;
        assert_true(fabs(schedule_cosine(0.025, 0.001, epoch, 50) - wanted) < 1e-16);
    }
    assert_true(schedule_cosine(0.1, 0, 0, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosine_follows_its_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
