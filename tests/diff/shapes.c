/* Shapes that are not round, on every engine and schedule: channels that are no multiple of a vector, odd maps, single
 * images and many; every kind of op, with strides 1 and 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine_variants.h"

static void shapes(void **state)
{
    (void)state;
    static const struct shape {
        const char *set[3];
        unsigned which;
        int batch;
    } shape[] = {
        {{"channels=12", "input=7x7x3"}, SCHEDULES | WITH_C, 3},
        {{"channels=20", "input=7x7x3"}, FEW, 1},
        {{"channels=36", "input=4x4x3"}, FEW, 3},
        {{"channels=48", "input=4x4x3"}, FEW, 1},
        {{"channels=4", "input=28x28x3"}, FEW, 1},
        {{"channels=12", "input=3x3x3"}, FEW, 96},
        {{"channels=16", "input=8x8x3"}, FEW, 9},
        {{"channels=4", "input=10x12x3"}, FEW, 17}, /* chunks of four images, rows of two, and of all four */
        {{"channels=12", "input=12x12x3"}, FEW, 9}, /* chunks of two, rows of one */
    };
    for (int i = 0; i < (int)COUNT(shape); i++)
        run_all(TESTS_DIR "/diff/shapes.json", shape[i].set, true, GRAD_WEIGHTS | GRAD_MIX, shape[i].which,
                shape[i].batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
