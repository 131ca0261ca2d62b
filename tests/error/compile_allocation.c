/* From a space to programs and their engine with each allocation failing in turn, ours and Jansson's: an error that
 * says so or the whole result, no crash, and nothing left (the sanitizers look). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "failing.h"
#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"

static bool compile(arena *a, const space *s, const settings *set, enum objective_use use, engine *e, nasc_diag *d)
{
    objective o;
    program_code code;
    target t = *target_find("x86-64-v3");
    if (!objective_build(s, set, use, a, &o, d))
        return false;
    pipeline_options options = {.batch = 4, .grad = o.grad, .sequential = use == USE_EVAL};
    program *p = pipeline_compile(a, o.built.net, &t, &options, d);
    if (!p || !engine_load(e, p, &code, d))
        return false;
    options.memory = o.grad ? p->arena_elements * 4 - 1 : 0; /* something is computed again */
    return !o.grad || pipeline_compile(a, o.built.net, &t, &options, d);
}

typedef struct world {
    const space *space;
    const settings *set;
    engine *engine;
} world;

static bool compile_both(void *user, arena *a, nasc_diag *d)
{
    const world *w = user;
    return compile(a, w->space, w->set, USE_BOTH, w->engine, d) && compile(a, w->space, w->set, USE_EVAL, w->engine, d);
}

static bool everything(nasc_diag *d)
{
    settings set;
    space *s = space_read(TESTS_DIR "/golden/tiny.json", d);
    if (!s)
        return false;
    settings_defaults(&set, SETTINGS_DARTS);
    settings_from_space(&set, s);
    settings_assign(&set, "cells=3", "test", d); /* what is computed again is tried in more than a block of an arena */
    target t = *target_find("x86-64-v3");
    engine *e = engine_open(ENGINE_INTERPRETER, &t, 1, d);
    world w = {s, &set, e};
    bool ok = e && arena_within(compile_both, &w, d);
    engine_close(e);
    space_free(s);
    return ok;
}

static void each_failure(void **state)
{
    failing_of = *state ? ALLOCATOR_JANSSON : ALLOCATOR_OURS;
    json_set_alloc_funcs(failing_jansson, free);
    long n = 0;
    for (bool whole = false; !whole; n++) {
        nasc_diag d = {0};
        failing_left = n;
        bool done = everything(&d);
        whole = failing_left >= 0;
        failing_left = -1;
        if (done ? d.kind != DIAG_NONE : d.kind != DIAG_MEMORY)
            fail_msg("allocation %ld: %s: %s", n, d.where, d.message);
    }
    json_set_alloc_funcs(malloc, free);
    print_message("%ld allocations\n", n - 1);
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"nasc's allocations", each_failure, NULL, NULL, NULL},
        {"Jansson's allocations", each_failure, NULL, NULL, (void *)"jansson"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
