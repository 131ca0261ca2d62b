/* RUN folders: refusal, JSON that reads back, the log cut where the checkpoint stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/json_text.h"
#include "base/json.h"
#include "runtime/rng.h"
#include "runtime/run_folder.h"

static char parent[] = "/tmp/nasc-run-XXXXXX";
static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(parent))
        return -1;
    snprintf(folder, sizeof folder, "%s/a/run", parent);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    char path[RUN_PATH + 64];
    unlink(run_file(folder, "run.json", path));
    unlink(run_file(folder, "log.jsonl", path));
    rmdir(folder);
    snprintf(path, sizeof path, "%s/a", parent);
    rmdir(path);
    return rmdir(parent);
}

/* A run that was given up without state leaves nothing that was not there; one with a line in its log, or that was
 * resumed, stays. */
static void what_is_given_up_is_gone(void **state)
{
    (void)state;
    run_folder run;
    nasc_diag d = {0};
    char path[RUN_PATH + 64];
    json_t *line = json_pack("{s:i}", "epoch", 1);
    assert_true(run_create(&run, folder, &d) && run_write_json(folder, "run.json", line, &d));
    run_give_up(&run);
    assert_int_equal(access(parent, F_OK), 0);
    snprintf(path, sizeof path, "%s/a", parent);
    assert_int_not_equal(access(path, F_OK), 0);

    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s//", folder);
    assert_true(run_create(&run, path, &d));
    run_give_up(&run);
    assert_int_not_equal(access(folder, F_OK), 0);
    snprintf(path, sizeof path, "%s/a", parent);
    assert_int_equal(access(path, F_OK), 0);

    assert_true(run_create(&run, folder, &d) && run_write_json(folder, "run.json", line, &d));
    run_close(&run);
    assert_true(run_resume(&run, folder, &d));
    run_give_up(&run);
    assert_int_equal(access(run_file(folder, "run.json", path), F_OK), 0);
    unlink(path);

    assert_true(run_create(&run, folder, &d) && run_log_add(&run, line, &d));
    run_give_up(&run);
    assert_int_equal(access(run_file(folder, "log.jsonl", path), F_OK), 0);
    unlink(path);
    json_decref(line);
}

static void runs_are_made_once_and_resumed(void **state)
{
    (void)state;
    run_folder run, second;
    nasc_diag d = {0};
    assert_false(run_resume(&run, folder, &d));
    assert_non_null(strstr(d.message, "holds no run to resume"));
    d = (nasc_diag){0};
    assert_true(run_create(&run, folder, &d));
    json_t *value = json_pack("{s:f, s:i}", "lr", 0.025, "format", 1);
    assert_true(run_write_json(folder, "run.json", value, &d));
    json_decref(value);
    assert_false(run_create(&second, folder, &d));
    assert_string_equal(d.where, folder);
    assert_non_null(strstr(d.message, "holds a run already (run.json)"));
    d = (nasc_diag){0};
    assert_false(run_resume(&second, folder, &d));
    assert_non_null(strstr(d.message, "another process"));
    run_close(&run);
    d = (nasc_diag){0};
    assert_true(run_resume(&second, folder, &d));
    run_close(&second);
}

static void damaged_json_is_placed(void **state)
{
    (void)state;
    nasc_diag d = {0};
    char path[RUN_PATH + 64];
    const char bytes[] = "{\"format\": 1,\n \"lr\" 2}";
    assert_true(file_replace(run_file(folder, "run.json", path), bytes, sizeof bytes - 1, &d));
    assert_null(json_file_read(path, &d));
    assert_non_null(strstr(d.where, "run.json:2:7"));
    d = (nasc_diag){0};
    assert_null(json_file_read(folder, &d));
    assert_string_equal(d.message, "is not a regular file");
    d = (nasc_diag){0};
    assert_null(json_file_read(run_file(folder, "missing.json", path), &d));
    assert_int_equal(d.kind, DIAG_IO);
    assert_non_null(strstr(d.message, "cannot be opened: "));
}

/* Starts from an empty log of lines "step" 1 … count with an "epoch" every 4 steps, as a search writes them. */
static void write_log(run_folder *run, int count)
{
    nasc_diag d = {0};
    assert_true(run_log_cut(run, -1, -1, &d));
    for (int step = 1; step <= count; step++) {
        json_t *line = json_pack("{s:i, s:f}", "step", step, "loss", 1.0 / step);
        assert_true(run_log_add(run, line, &d));
        json_decref(line);
        if (step % 4 == 0) {
            line = json_pack("{s:i, s:i, s:[f,f]}", "epoch", step / 4, "step", step, "alphas", 0.1, 1e-3);
            assert_true(run_log_add(run, line, &d));
            json_decref(line);
        }
    }
    assert_true(run_log_sync(run, &d));
}

/* Cut and written again, the log is what it would have been; whatever a kill left of its last line. */
static void resumed_logs_are_whole(void **state)
{
    (void)state;
    run_folder run;
    nasc_diag d = {0};
    arena a = {0};
    char path[RUN_PATH + 64];
    size_t whole_size, cut_size;
    assert_true(run_resume(&run, folder, &d));
    write_log(&run, 4);
    char *wanted = file_read(&a, run_file(folder, "log.jsonl", path), &whole_size, &d);
    assert_non_null(
        strstr(wanted, "{\"step\": 4, \"loss\": 0.25}\n{\"epoch\": 1, \"step\": 4, \"alphas\": [0.1, 0.001]}\n"));
    write_log(&run, 11);
    size_t full_size;
    assert_non_null(file_read(&a, path, &full_size, &d));
    for (size_t torn = full_size; torn >= whole_size; torn -= 7) {
        assert_int_equal(truncate(path, (off_t)torn), 0);
        assert_true(run_log_cut(&run, 1, 4, &d));
        char *got = file_read(&a, path, &cut_size, &d);
        assert_string_equal(got, wanted);
        write_log(&run, 11);
    }
    /* A checkpoint after the epoch's last step that does not know that the epoch has ended. */
    assert_true(run_log_cut(&run, 0, 4, &d));
    assert_non_null(file_read(&a, path, &cut_size, &d));
    assert_int_equal(cut_size, strstr(wanted, "{\"epoch\"") - wanted);
    run_close(&run);
    arena_free(&a);
}

/* A line that no kill has left so is an error: to cut from there on would lose what follows. */
static void damaged_logs_are_kept(void **state)
{
    (void)state;
    run_folder run;
    nasc_diag d = {0};
    arena a = {0};
    char path[RUN_PATH + 64];
    size_t size;
    const char lines[] = "{\"step\": 1}\n{\"step\" 2}\n{\"step\": 3}\n";
    assert_true(file_replace(run_file(folder, "log.jsonl", path), lines, sizeof lines - 1, &d));
    assert_true(run_resume(&run, folder, &d));
    assert_false(run_log_cut(&run, 9, 9, &d));
    assert_non_null(strstr(d.where, "log.jsonl:2:9"));
    assert_string_equal(file_read(&a, path, &size, &(nasc_diag){0}), lines);
    run_close(&run);
    arena_free(&a);
}

static void reals_are_short_and_exact(void **state)
{
    (void)state;
    arena a = {0};
    rng r = rng_open(1, RNG_TEST, 0, 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = (uint64_t)rng_word(&r) << 32 | rng_word(&r);
        double value;
        memcpy(&value, &bits, sizeof value);
        json_t *real = json_real(value), *back;
        if (!real)
            continue; /* Jansson refuses NaN and infinity */
        text t = {.arena = &a};
        json_print(&t, real, false);
        back = json_loads(t.at, JSON_DECODE_ANY, NULL);
        assert_true(json_is_real(back) && json_real_value(back) == value);
        json_decref(real);
        json_decref(back);
    }
    json_t *value = json_pack("{s:[f,f,f], s:{s:s, s:n, s:b}, s:[], s:{}, s:[[i],[i]]}", "r", 0.025, 1.0, 1e300, "o",
                              "k", "a\"\n\t\xc3\xa9", "n", "b", 1, "e", "f", "l", 1, 2);
    text t = {.arena = &a};
    json_print(&t, value, true);
    assert_string_equal(t.at,
                        "{\n  \"r\": [0.025, 1.0, 1e+300],\n  \"o\": {\n    \"k\": \"a\\\"\\u000a\\u0009\xc3\xa9\",\n"
                        "    \"n\": null,\n    \"b\": true\n  },\n  \"e\": [],\n  \"f\": {},\n"
                        "  \"l\": [\n    [1],\n    [2]\n  ]\n}");
    json_t *back = json_loads(t.at, 0, NULL);
    assert_true(json_equal(value, back));
    json_decref(back);
    json_decref(value);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_up_is_gone), cmocka_unit_test(runs_are_made_once_and_resumed),
        cmocka_unit_test(damaged_json_is_placed),   cmocka_unit_test(resumed_logs_are_whole),
        cmocka_unit_test(damaged_logs_are_kept),    cmocka_unit_test(reals_are_short_and_exact),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
