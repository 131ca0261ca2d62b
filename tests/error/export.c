/* Exports that fail: every allocation in turn, folders and files that cannot be written, weights that are not numbers.
 * What was there before stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "failing.h"
#include "emit/export.h"
#include "uses/inference.h"
#include "pipeline.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLASSES = 10, PIXELS = 8 * 8 * 3 };

typedef struct world {
    arena a;
    space *space;
    settings settings;
    inference network;
    export_model model;
    char folder[32];
} world;

static bool build(void *user, arena *a, nasc_diag *d)
{
    world *w = user;
    return inference_build(w->space, &w->settings, &(inference_options){.normalise = true}, a, &w->network, d);
}

static int setup(void **state)
{
    nasc_diag d = {0};
    world *w = *state = calloc(1, sizeof *w);
    memcpy(w->folder, "/tmp/nasc-export-XXXXXX", sizeof "/tmp/nasc-export-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->space = space_read(SOURCE_DIR "/genotypes/darts_v2.json", &d);
    settings_defaults(&w->settings, SETTINGS_TRAIN);
    settings_from_space(&w->settings, w->space);
    static const char *const small[] = {"input=8x8x3", "channels=2", "cells=1"};
    for (size_t i = 0; i < COUNT(small); i++)
        assert_true(settings_assign(&w->settings, small[i], "test", &d));
    assert_true(arena_guard(&w->a, build, w, &d));
    const target *t = target_find("generic");
    w->model = (export_model){
        .program = pipeline_compile(&w->a, w->network.net, t, &(pipeline_options){.batch = 1, .sequential = true}, &d),
        .target = t,
        .name = "tiny",
        .facts = "",
        .h = 8,
        .w = 8,
        .c = 3,
        .classes = CLASSES,
        .weights_as_file = true,
        .constants = NEW_ARRAY(&w->a, float, w->network.constants),
        .constant_count = w->network.constants,
        .image = arena_alloc(&w->a, PIXELS),
        .expected = NEW_ARRAY(&w->a, float, CLASSES)};
    return d.kind != DIAG_NONE;
}

static int teardown(void **state)
{
    world *w = *state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", w->folder);
    assert_int_equal(system(command), 0);
    space_free(w->space);
    arena_free(&w->a);
    free(w);
    return 0;
}

static void every_allocation_may_fail(void **state)
{
    world *w = *state;
    int failures[2] = {0};
    for (int work = 0; work < 2; work++) {
        bool done = false;
        for (long n = 0; !done; n++) {
            nasc_diag d = {0};
            arena a = {0};
            export_sizes sizes;
            failing_left = n;
            done = work ? export_c(&w->model, w->folder, &sizes, &d) : arena_guard(&a, build, w, &d);
            failing_left = -1;
            arena_free(&a);
            assert_true(done || d.kind == DIAG_MEMORY);
            failures[work] += !done;
        }
    }
    assert_true(failures[0] > 1 && failures[1] > 1);
}

static void refused(const export_model *m, const char *folder, enum diag_kind kind, const char *says)
{
    nasc_diag d = {0};
    export_sizes sizes;
    assert_false(export_c(m, folder, &sizes, &d));
    assert_int_equal(d.kind, kind);
    if (!strstr(d.where, says) && !strstr(d.message, says))
        fail_msg("said %s: %s, expected %s", d.where, d.message, says);
}

static void places(void **state)
{
    world *w = *state;
    char path[64];
    snprintf(path, sizeof path, "%s/tiny.c", w->folder); /* a folder where a file should go */
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    refused(&w->model, w->folder, DIAG_IO, "tiny.c");
    rmdir(path);
    refused(&w->model, "/dev/null/below", DIAG_IO, "/dev/null");
}

static void weights(void **state)
{
    world *w = *state;
    float *constants = (float *)w->model.constants;
    char path[64];
    snprintf(path, sizeof path, "%s/not_made", w->folder);
    constants[7] = NAN;
    refused(&w->model, path, DIAG_INPUT, "not finite");
    constants[7] = 0;
    assert_int_not_equal(access(path, F_OK), 0);
}

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "_x1", "Net_2"};
    static const char *const bad[] = {"",    "1a",       "a-b",
                                      "a b", "\303\251", "a_name_that_is_longer_than_anyone_would_want_to_type_"};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(export_name_fits(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(export_name_fits(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(places, setup, teardown),
        cmocka_unit_test_setup_teardown(weights, setup, teardown),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
