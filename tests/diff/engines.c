/* Whole networks, every engine and schedule, the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine_variants.h"

static void supernet(void **state)
{
    (void)state;
    static const char *const small[] = {"input=8x8x3", "channels=12", "cells=1", NULL};
    static const char *const smaller[] = {"input=6x6x3", "channels=4", "cells=1", NULL};
    run_all(SOURCE_DIR "/examples/custom_space/space.json", small, true, GRAD_WEIGHTS | GRAD_MIX, SCHEDULES, 9);
    run_all(SOURCE_DIR "/genotypes/spaces/darts.json", smaller, true, GRAD_WEIGHTS | GRAD_MIX, SCHEDULES, 9);
}

/* Weights of one path, gates of all candidates; a cell whose places share their choices. */
static void choices(void **state)
{
    (void)state;
    static const char *const tiny[] = {NULL};
    static const char *const blocks[] = {"input=8x8x3", "channels=4", "auxiliary=0", NULL};
    static const char *const large[] = {"input=20x20x3", "channels=4", "auxiliary=0", NULL};
    static const char *const cells[] = {"input=8x8x3", "channels=4", "cells=3", NULL};
    run_all(TESTS_DIR "/diff/select.json", tiny, true, GRAD_WEIGHTS, SCHEDULES | WITH_C | FLOAT64, 5);
    run_all(TESTS_DIR "/diff/select.json", tiny, true, GRAD_MIX, SCHEDULES | WITH_C | FLOAT64, 5);
    run_all(SOURCE_DIR "/genotypes/spaces/proxyless_small.json", blocks, true, GRAD_MIX, SCHEDULES, 5);
    run_all(SOURCE_DIR "/genotypes/spaces/proxyless_small.json", large, true, GRAD_MIX, SCHEDULES, 5);
    run_all(SOURCE_DIR "/genotypes/spaces/proxyless_cells.json", cells, true, GRAD_WEIGHTS | GRAD_MIX, SCHEDULES, 9);
}

static void memory_changes_nothing(void **state)
{
    (void)state;
    static const char *const set[] = {"input=16x16x3", "channels=4", "cells=6", NULL};
    run_all(SOURCE_DIR "/genotypes/spaces/darts.json", set, true, GRAD_WEIGHTS | GRAD_MIX, MEMORY, 32);
}

static void genotype(void **state)
{
    (void)state;
    static const char *const small[] = {"input=16x16x3", "channels=8", "cells=3", "auxiliary=0", NULL};
    run_all(SOURCE_DIR "/genotypes/darts_v2.json", small, true, GRAD_WEIGHTS, SCHEDULES, 9);
    run_all(SOURCE_DIR "/genotypes/darts_v1.json", small, false, 0, SCHEDULES, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(supernet), cmocka_unit_test(genotype),
                                       cmocka_unit_test(choices), cmocka_unit_test(memory_changes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
