/* What engines and objectives refuse: no C compiler, one that fails, no room for its files, targets that are not this
 * machine's, networks that are not of one space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"

static void says(const nasc_diag *d, enum diag_kind kind, const char *where, const char *message)
{
    if (d->kind != kind || !strstr(d->where, where) || !strstr(d->message, message))
        fail_msg("kind %d: %s: %s", (int)d->kind, d->where, d->message);
}

static void build(arena *a, enum objective_use use, const char *assignment, objective *o)
{
    nasc_diag d = {0};
    settings set;
    space *s = space_read(TESTS_DIR "/golden/tiny.json", &d);
    assert_non_null(s);
    settings_defaults(&set, SETTINGS_DARTS);
    settings_from_space(&set, s);
    assert_true(settings_assign(&set, assignment, "test", &d));
    assert_true(objective_build(s, &set, use, a, o, &d));
    space_free(s);
}

/* Loads a small program into an engine of compiled C, with the environment variable set so. */
static void load_with(const char *variable, const char *value, nasc_diag *d)
{
    nasc_diag none = {0};
    arena a = {0};
    objective o;
    program_code code;
    target t = target_host();
    const char *before = getenv(variable);
    char *kept = before ? arena_strdup(&a, before) : NULL;
    build(&a, USE_EVAL, "batch=1", &o);
    pipeline_options options = {.batch = 1};
    program *p = pipeline_compile(&a, o.built.net, &t, &options, &none);
    engine *e = engine_open(ENGINE_CC, &t, 1, &none);
    assert_true(p && e);
    setenv(variable, value, 1);
    assert_false(engine_load(e, p, &code, d));
    if (kept)
        setenv(variable, kept, 1);
    else
        unsetenv(variable);
    engine_close(e);
    arena_free(&a);
}

static void c_compilers(void **state)
{
    (void)state;
    nasc_diag missing = {0}, failing = {0}, nowhere = {0};
    load_with("CC", "no-such-compiler", &missing);
    says(&missing, DIAG_DEVICE, "no-such-compiler", "cannot be run");
    load_with("CC", "false", &failing);
    says(&failing, DIAG_DEVICE, "false", "the C compiler failed");
    load_with("TMPDIR", "/nowhere", &nowhere);
    says(&nowhere, DIAG_IO, "/nowhere", "cannot make a temporary folder");
}

static void targets(void **state)
{
    (void)state;
    const char *host = target_host().name;
    for (int i = 0; i < target_count; i++) {
        const target *t = &target_table[i];
        bool foreign = t->triple && strstr(t->triple, strncmp(host, "x86", 3) == 0 ? "aarch64" : "x86_64");
        if (t->triple && !foreign)
            continue;
        nasc_diag d = {0};
        assert_null(engine_open(ENGINE_JIT, t, 1, &d));
#ifdef NASC_LLVM
        says(&d, DIAG_DEVICE, t->name, "");
#else
        says(&d, DIAG_DEVICE, "", "LLVM");
#endif
    }
}

static void other_network(void **state)
{
    (void)state;
    nasc_diag d = {0};
    arena a = {0};
    objective narrow, wide;
    build(&a, USE_EVAL, "channels=4", &narrow);
    build(&a, USE_EVAL, "channels=8", &wide);
    assert_false(objective_share(narrow.built.net, wide.built.net, &d));
    says(&d, DIAG_INPUT, "", "is not the same tensor in both networks");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c_compilers),
        cmocka_unit_test(targets),
        cmocka_unit_test(other_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
