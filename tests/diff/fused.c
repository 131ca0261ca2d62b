/* Fused programs against nets by definition: the DARTS supernet, forward and gradients, in float64 on the interpreter.
 * What fuse, the lowering and the plan do to a net must not change what it computes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "fused_compare.h"
#include "uses/objective.h"
#include "space/space.h"

/* `t`: for that alone; NULL: for this machine and a GPU. */
static void run_case_for(const target *t, const char *file, const char *const *set, bool train, unsigned grad,
                         int batch, int tile_rows)
{
    nasc_diag d = {0};
    char path[512], what[256];
    snprintf(path, sizeof path, SOURCE_DIR "/%s", file);
    snprintf(what, sizeof what, "%s train=%d grad=%u batch=%d tile=%d", file, train, grad, batch, tile_rows);
    space *s = space_read(path, &d);
    fail_with(&d, what);
    settings set_to;
    settings_defaults(&set_to, space_is_genotype(s) ? SETTINGS_TRAIN : SETTINGS_DARTS);
    settings_from_space(&set_to, s);
    for (int i = 0; set[i]; i++)
        assert_true(settings_assign(&set_to, set[i], "test", &d));
    arena a = {0};
    space_net built;
    space_build(s, &set_to, (space_mode){train, train}, &a, &built, &d);
    fail_with(&d, what);
    assert_true(objective_add(&built, 0, 0.4, &d));
    if (t)
        compare_fused_for(t, built.net, grad, batch, tile_rows, false, 10, NULL, what);
    else
        compare_fused(built.net, grad, batch, tile_rows, false, 10, NULL, what);
    arena_free(&a);
    space_free(s);
}

static void run_case(const char *file, const char *const *set, bool train, unsigned grad, int batch, int tile_rows)
{
    run_case_for(NULL, file, set, train, grad, batch, tile_rows);
}

/* The DARTS space and an op more, of squeeze-excite and hard-swish. */
static const char custom[] = "examples/custom_space/space.json";
static const char *const small[] = {"input=8x8x3", "channels=4", "cells=3", NULL};

static void supernet_by_definition(void **state)
{
    (void)state;
    run_case("genotypes/spaces/darts.json", small, true, 0, 3, 0);
    run_case(custom, small, true, GRAD_MIX, 3, 0);
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS, 3, 0);
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS | GRAD_MIX, 9, 0);
}

static void tiles_change_nothing(void **state)
{
    (void)state;
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS | GRAD_MIX, 3, 1);
    run_case(custom, small, true, GRAD_WEIGHTS | GRAD_MIX, 3, 2);
}

static void odd_maps_by_definition(void **state)
{
    (void)state;
    static const char *const odd[] = {"input=7x9x3", "channels=6", "cells=3", NULL};
    run_case(custom, odd, true, GRAD_WEIGHTS | GRAD_MIX, 2, 0);
}

/* Channels that fill vectors in part, of maps that no cache holds: of several convolutions of one kernel each has a tail,
 * and rows that it gathers; and states that a convolution's kernel makes and reads again. */
static void tails_by_definition(void **state)
{
    (void)state;
    static const char *const tails[] = {"input=8x8x3", "channels=20", "cells=3", NULL};
    target t = target_host();
    t.l3_bytes = 0;
    run_case_for(&t, "genotypes/spaces/darts.json", tails, true, GRAD_WEIGHTS | GRAD_MIX, 2, 0);
    static const char *const states[] = {"input=16x16x3", "channels=20", "cells=4", "auxiliary=0", NULL};
    static const char *const dropped[] = {"input=16x16x3", "channels=20",   "cells=4",
                                          "auxiliary=0",   "drop_path=0.2", NULL};
    run_case_for(&t, "genotypes/darts_v2.json", dropped, true, GRAD_WEIGHTS, 2, 4);
    run_case_for(&t, "genotypes/darts_v2.json", states, true, GRAD_WEIGHTS, 9, 0); /* small maps pass together */
}

static void nasbench201_by_definition(void **state)
{
    (void)state;
    static const char *const tiny[] = {"input=8x8x3", "channels=4", "cells=2", NULL};
    run_case("genotypes/spaces/nasbench201.json", tiny, true, GRAD_WEIGHTS | GRAD_MIX, 2, 0);
    run_case("genotypes/spaces/nasbench201.json", tiny, true, GRAD_WEIGHTS, 2, 2);
    run_case("genotypes/spaces/nasbench201.json", tiny, true, GRAD_MIX, 9, 0); /* small maps pass together */
}

static void genotypes_by_definition(void **state)
{
    (void)state;
    static const char *const cifar[] = {"input=32x32x3", "channels=4", "cells=5", "auxiliary=0.4", NULL};
    static const char *const imagenet[] = {"input=64x64x3", "channels=4",  "cells=5",
                                           "stem=imagenet", "auxiliary=0", NULL};
    static const char *const masked[] = {"input=32x32x3", "channels=6",  "cells=3", "drop_path=0.2",
                                         "dropout=0.1",   "auxiliary=0", NULL};
    run_case("genotypes/darts_v2.json", cifar, true, GRAD_WEIGHTS, 2, 0);
    run_case("genotypes/darts_v2.json", cifar, false, 0, 2, 0);
    run_case("genotypes/darts_v1.json", imagenet, true, GRAD_WEIGHTS, 2, 0);
    run_case("genotypes/darts_v1.json", imagenet, false, 0, 1, 4);
    run_case("genotypes/darts_v1.json", masked, true, GRAD_WEIGHTS, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supernet_by_definition),    cmocka_unit_test(tiles_change_nothing),
        cmocka_unit_test(odd_maps_by_definition),    cmocka_unit_test(tails_by_definition),
        cmocka_unit_test(nasbench201_by_definition), cmocka_unit_test(genotypes_by_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
