/* Measured schedules: what is kept is found again by the same kernel on the same machine, what is damaged or another's
 * is not, and a kernel is lowered as the book says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tuned.h"

static const unsigned char KEY[16] = "a kernel's key  ", OTHER[16] = "another kernel's";

static int folder_make_one(void **state)
{
    char *folder = strdup("/tmp/nasc_tuned_XXXXXX");
    assert_non_null(mkdtemp(folder));
    setenv("NASC_CACHE", folder, 1);
    *state = folder;
    return 0;
}

static int folder_remove(void **state)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    free(*state);
    return system(command);
}

static bool look(const target *t, const unsigned char key[16], lower_options *found)
{
    tuned book;
    tuned_open(&book, t);
    schedule_book b = tuned_book(&book);
    bool any = b.find(b.user, key, found);
    assert_int_equal(any, b.find(b.user, key, found)); /* from memory, as from the disk */
    tuned_close(&book);
    return any;
}

static void kept_and_found(void **state)
{
    (void)state;
    target here = target_host(), there = here;
    tuned book;
    lower_options found, best = {.tile_rows = 4, .vectors = 3};
    assert_false(look(&here, KEY, &found));
    tuned_open(&book, &here);
    schedule_book b = tuned_book(&book);
    assert_false(b.find(b.user, KEY, &found));
    tuned_keep(&book, KEY, &best);
    assert_true(b.find(b.user, KEY, &found)); /* what was looked up before is known to have changed */
    tuned_close(&book);
    assert_true(look(&here, KEY, &found));
    assert_memory_equal(&found, &best, sizeof best);
    assert_false(look(&here, OTHER, &found));
    there.model++;
    assert_false(look(&there, KEY, &found));
    there = here;
    there.l2_bytes *= 2;
    assert_false(look(&there, KEY, &found));
}

static void damaged_is_unknown(void **state)
{
    target here = target_host();
    tuned book;
    lower_options found, best = {.tile_rows = 4};
    char command[128];
    tuned_open(&book, &here);
    tuned_keep(&book, KEY, &best);
    tuned_close(&book);
    assert_true(look(&here, KEY, &found));
    snprintf(command, sizeof command, "for f in '%s'/*; do truncate -s -1 \"$f\"; done", (char *)*state);
    assert_int_equal(system(command), 0);
    assert_false(look(&here, KEY, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_and_found, folder_make_one, folder_remove),
        cmocka_unit_test_setup_teardown(damaged_is_unknown, folder_make_one, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
