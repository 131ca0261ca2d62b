/* Progress lines, on a terminal and off it, with the clock in hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../tools/nasc/progress.c" /* NOLINT(bugprone-suspicious-include): the command is no library */

static void lines_say_what_is_known(void **state)
{
    (void)state;
    char line[200];
    struct progress_state s = {"search", 2, 50, 120, 469, 0.53211, 0.8125};
    progress_line(line, sizeof line, &s, 0);
    assert_string_equal(line, "search epoch 3/50  step 120/469  loss 0.5321  accuracy 81.25 %");
    progress_line(line, sizeof line, &s, 2);
    assert_string_equal(line,
                        "search epoch 3/50  step 120/469  loss 0.5321  accuracy 81.25 %  2.0 steps/s  3:06:36 left");
    s = (struct progress_state){"eval", 0, 1, 3, 10, NAN, NAN};
    progress_line(line, sizeof line, &s, 0.25);
    assert_string_equal(line, "eval  step 3/10  4.00 s/step  0:28 left");
    char little[12];
    assert_int_equal(progress_line(little, sizeof little, &s, 0.25), 11);
    assert_string_equal(little, "eval  step ");
}

/* What a bar writes for a run of 2 epochs of 25 steps, one step every 0.05 seconds. */
static char *run(progress_bar bar)
{
    char *written = NULL;
    size_t size;
    bar.to = open_memstream(&written, &size);
    for (int step = 0; step < 50; step++) {
        struct progress_state s = {"train", step / 25, 2, step % 25 + 1, 25, 1, NAN};
        assert_true(progress_show(&bar, &s, 100 + 0.05 * step));
    }
    progress_close(&bar);
    fclose(bar.to);
    return written;
}

static int count(const char *s, const char *what)
{
    int found = 0;
    for (; (s = strstr(s, what)) != NULL; s++)
        found++;
    return found;
}

static void files_get_a_line_a_group(void **state)
{
    (void)state;
    char *written = run((progress_bar){0});
    assert_int_equal(count(written, "\n"), 18); /* steps 3, 6, … 24 and 25 */
    assert_int_equal(count(written, "\033"), 0);
    assert_non_null(strstr(written, "train epoch 2/2  step 25/25  loss 1.0000  20.0 steps/s  0:00 left\n"));
    free(written);
}

static void terminals_get_a_bar(void **state)
{
    (void)state;
    char *written = run((progress_bar){.terminal = true});
    assert_int_equal(count(written, "\n"), 2);
    assert_true(count(written, "\r") >= 20 && count(written, "\r") <= 30); /* ten a second, and the ends */
    assert_int_equal(count(written, "\033[32m"), 0);
    assert_non_null(strstr(written, "[#----"));
    assert_non_null(strstr(written, "###] train epoch 2/2  step 25/25"));
    free(written);
    written = run((progress_bar){.terminal = true, .colour = true});
    assert_true(count(written, "\033[32m[") > 0);
    free(written);
}

static void quiet_and_interrupted(void **state)
{
    (void)state;
    char *written = run((progress_bar){.quiet = true, .terminal = true});
    assert_string_equal(written, "");
    free(written);
    volatile sig_atomic_t stop = 1;
    progress_bar bar = {.quiet = true, .interrupted = &stop};
    struct progress reporter = progress_reporter(&bar);
    assert_false(progress_report(&reporter, &(struct progress_state){"train", 0, 1, 1, 2, 0, 0}));
    assert_true(progress_report(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_say_what_is_known),
        cmocka_unit_test(files_get_a_line_a_group),
        cmocka_unit_test(terminals_get_a_bar),
        cmocka_unit_test(quiet_and_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
