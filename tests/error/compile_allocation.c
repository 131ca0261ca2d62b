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
    return p && engine_load(e, p, &code, d);
}

static bool everything(nasc_diag *d)
{
    settings set;
    space *s = space_read(TESTS_DIR "/golden/tiny.json", d);
    if (!s)
        return false;
    settings_defaults(&set, SETTINGS_DARTS);
    settings_from_space(&set, s);
    target t = *target_find("x86-64-v3");
    engine *e = engine_open(ENGINE_INTERPRETER, &t, 1, d);
    arena a = {0};
    jmp_buf out_of_memory;
    volatile bool ok = false;
    if (setjmp(out_of_memory) == 0) {
        a.unwind = &out_of_memory;
        ok = e && compile(&a, s, &set, USE_BOTH, e, d) && compile(&a, s, &set, USE_EVAL, e, d);
    } else {
        diag_memory(d);
    }
    engine_close(e);
    arena_free(&a);
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
