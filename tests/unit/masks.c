/* Masks: 0 or 1/(1 - p), about as many dropped as asked for, and the same whatever the batch around an image. */
#include "runtime/train/masks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 64, CHANNELS = 48, SEED = 5 };

/* Drop-path at its full and at half the schedule's rate, and dropout of 0.4. */
static program *sample(arena *a)
{
    program *p = NEW(a, program);
    const struct program_mask masks[] = {{1, 1, 0}, {0.5, 1, BATCH}, {0.4, CHANNELS, 2 * BATCH}};
    p->batch = BATCH;
    for (size_t i = 0; i < COUNT(masks); i++)
        VEC_PUSH(a, &p->masks, masks[i]);
    return p;
}

static void rates(void **state)
{
    (void)state;
    static float masks[BATCH * (2 + CHANNELS)];
    const double drop[] = {0.3, 0.15, 0.4};
    const int first[] = {0, BATCH, 2 * BATCH, BATCH * (2 + CHANNELS)};
    double dropped[3] = {0};
    enum { STEPS = 200 };
    arena a = {0};
    program *p = sample(&a);
    assert_int_equal(masks_elements(p), BATCH * (2 + CHANNELS) + 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        masks_fill(p, masks, BATCH, 0.3, SEED, step);
        for (int m = 0; m < 3; m++)
            for (int i = first[m]; i < first[m + 1]; i++) {
                assert_true(masks[i] == 0 || masks[i] == (float)(1 / (1 - drop[m])));
                dropped[m] += masks[i] == 0;
            }
    }
    for (int m = 0; m < 3; m++) {
        double count = (double)STEPS * (first[m + 1] - first[m]), deviation = sqrt(drop[m] * (1 - drop[m]) / count);
        assert_true(fabs(dropped[m] / count - drop[m]) < 5 * deviation);
    }
    arena_free(&a);
}

static void of_an_image(void **state)
{
    (void)state;
    static float whole[BATCH * (2 + CHANNELS)], part[BATCH * (2 + CHANNELS)], later[BATCH * (2 + CHANNELS)];
    arena a = {0};
    program *p = sample(&a);
    masks_fill(p, whole, BATCH, 0.3, SEED, 7);
    masks_fill(p, part, 5, 0.3, SEED, 7);
    masks_fill(p, later, BATCH, 0.3, SEED, 8);
    for (int m = 0; m < p->masks.count; m++) {
        const struct program_mask *mask = &p->masks.at[m];
        size_t bytes = 5 * (size_t)mask->channels * sizeof(float);
        assert_memory_equal(whole + mask->offset, part + mask->offset, bytes);
    }
    assert_memory_not_equal(whole, later, sizeof whole);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rates), cmocka_unit_test(of_an_image)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
