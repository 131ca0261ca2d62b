/* Passes from kernel to kernel on pairs of files: pass/loop/NAME/in.loop becomes out.loop. The first line of in.loop
 * says by which: `# widen` by loop_widen, `# fma` by loop_expand_math for a target that has fma, else for one without.
 * NASC_UPDATE=1 writes the outputs anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include "loop/loop.h"

static bool begins(const char *source, const char *word)
{
    return strncmp(source, word, strlen(word)) == 0;
}

static void check_pair(const char *in)
{
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    char *source = file_read(&a, in, &size, &d);
    kernel *k = source ? loop_parse(&a, source, in, &d) : NULL;
    if (!k || !loop_verify(k, &d))
        fail_msg("%s: %s", d.where, d.message);
    kernel *made = begins(source, "# widen") ? loop_widen(&a, k) : loop_expand_math(&a, k, begins(source, "# fma"));
    if (!loop_verify(made, &d))
        fail_msg("%s: %s: %s", in, d.where, d.message);
    text got = {.arena = &a};
    loop_print(&got, made);
    char *out = arena_printf(&a, "%.*s/out.loop", (int)(strrchr(in, '/') - in), in);
    if (getenv("NASC_UPDATE"))
        assert_true(file_replace(out, got.at, got.length, &d));
    char *want = file_read(&a, out, &size, &d);
    if (!want)
        fail_msg("%s: %s", d.where, d.message);
    if (strcmp(got.at, want))
        fail_msg("%s: the pass yields\n%s", in, got.at);
    arena_free(&a);
}

static void pairs(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(TESTS_DIR "/pass/loop/*/in.loop", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_pair(found.gl_pathv[i]);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
