/* loop_expand_math on pairs of files: pass/loop/NAME/in.loop becomes out.loop. A first line `# fma` in in.loop says
 * that the target has fma. NASC_UPDATE=1 writes the outputs anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include "loop/loop.h"

static void check_pair(const char *in)
{
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    char *source = file_read(&a, in, &size, &d);
    kernel *k = source ? loop_parse(&a, source, in, &d) : NULL;
    if (!k || !loop_verify(k, &d))
        fail_msg("%s: %s", d.where, d.message);
    kernel *expanded = loop_expand_math(&a, k, !strncmp(source, "# fma", 5));
    if (!loop_verify(expanded, &d))
        fail_msg("%s: %s: %s", in, d.where, d.message);
    text got = {.arena = &a};
    loop_print(&got, expanded);
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

static void expand_math(void **state)
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
        cmocka_unit_test(expand_math),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
