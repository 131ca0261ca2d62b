/* Every diagnostic of reading and building a space: error/space/NAME.json must give what NAME.txt says, place and
 * message. A new case is a new pair of files. NASC_WRITE=1 writes the expectations; read them before you commit them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "space/space.h"

#define FOLDER TESTS_DIR "/error/space/"

/* Reads, and where that succeeds builds for training. */
static void run(const char *name, nasc_diag *d)
{
    char path[512];
    arena a = {0};
    size_t size;
    snprintf(path, sizeof path, FOLDER "%s.json", name);
    char *source = file_read(&a, path, &size, d);
    if (!source)
        fail_msg("%s: %s", d->where, d->message);
    snprintf(path, sizeof path, "%s.json", name);
    space *s = space_parse(source, size, path, d);
    if (s) {
        settings set;
        space_net net;
        settings_defaults(&set, space_is_genotype(s) ? SETTINGS_TRAIN : SETTINGS_DARTS);
        settings_from_space(&set, s);
        space_build(s, &set, (space_mode){true, true}, &a, &net, d);
    }
    space_free(s);
    arena_free(&a);
}

static int check(const char *name)
{
    char got[1024], path[512];
    nasc_diag d = {0}, file = {0};
    arena a = {0};
    size_t size;
    run(name, &d);
    snprintf(got, sizeof got, "%s: %s\n", d.where, d.message);
    snprintf(path, sizeof path, FOLDER "%s.txt", name);
    if (getenv("NASC_WRITE"))
        assert_true(file_replace(path, got, strlen(got), &file));
    const char *want = file_read(&a, path, &size, &file);
    bool same = want && strcmp(want, got) == 0;
    if (!same)
        print_error("%s\n  want %s  got  %s", name, want ? want : "no file\n", got);
    arena_free(&a);
    return !same;
}

static void diagnostics(void **state)
{
    (void)state;
    int wrong = 0, count = 0;
    DIR *folder = opendir(FOLDER);
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        char name[256];
        size_t n = strlen(e->d_name);
        if (n <= 5 || n >= sizeof name || strcmp(e->d_name + n - 5, ".json") != 0)
            continue;
        memcpy(name, e->d_name, n - 5);
        name[n - 5] = 0;
        wrong += check(name);
        count++;
    }
    closedir(folder);
    assert_true(count > 0);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diagnostics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
