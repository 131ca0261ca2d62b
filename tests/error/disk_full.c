/* The disk is full after N bytes, for every N: a write that fails says so, and the file that stood there still stands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "runtime/run_folder.h"
#include "runtime/tensors.h"

static char folder[] = "/tmp/nasc-full-XXXXXX";
static char path[64];

/* Files may grow to `bytes` from here on; RLIM_INFINITY: as they like. */
static void limit(rlim_t bytes)
{
    struct rlimit l;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes < l.rlim_max ? bytes : l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static int files_in_folder(void)
{
    int files = 0;
    DIR *all = opendir(folder);
    for (struct dirent *one; (one = readdir(all));)
        files += one->d_name[0] != '.';
    closedir(all);
    return files;
}

static bool write_tensor(float value, nasc_diag *d)
{
    const float data[4] = {value, 2, 3, 4};
    const struct tensor t = {.name = "w", .dtype = TENSOR_F32, .rank = 1, .shape = {4}, .data = data};
    return tensors_write(path, &t, 1, NULL, 0, d);
}

static void checkpoints_keep_the_previous_one(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    size_t size, now;
    assert_true(write_tensor(1, &d));
    char *stood = file_read(&a, path, &size, &d);
    for (size_t room = 0; room < size; room++) {
        d = (nasc_diag){0};
        limit(room);
        bool ok = write_tensor(9, &d);
        limit(RLIM_INFINITY);
        assert_false(ok);
        assert_int_equal(d.kind, DIAG_IO);
        assert_string_equal(d.message, "cannot be written: File too large");
        char *stands = file_read(&a, path, &now, &(nasc_diag){0});
        assert_int_equal(now, size);
        assert_memory_equal(stands, stood, size);
        assert_int_equal(files_in_folder(), 1);
    }
    assert_int_equal(unlink(path), 0);
    arena_free(&a);
}

static void logs_say_so_and_resume(void **state)
{
    (void)state;
    run_folder run;
    nasc_diag d = {0};
    char file[RUN_PATH + 64];
    assert_true(run_create(&run, folder, &d));
    json_t *line = json_pack("{s:i}", "step", 1);
    assert_true(run_log_add(&run, line, &d));
    for (rlim_t room = 12; room < 24; room++) {
        d = (nasc_diag){0};
        limit(room);
        bool ok = run_log_add(&run, line, &d);
        limit(RLIM_INFINITY);
        assert_false(ok);
        assert_int_equal(d.kind, DIAG_IO);
        d = (nasc_diag){0};
        assert_true(run_log_cut(&run, 1, 1, &d));
        arena a = {0};
        size_t size;
        assert_string_equal(file_read(&a, run_file(folder, "log.jsonl", file), &size, &d), "{\"step\": 1}\n");
        arena_free(&a);
    }
    json_decref(line);
    run_close(&run);
    assert_int_equal(unlink(file), 0);
}

static int make_folder(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.safetensors", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_keep_the_previous_one),
        cmocka_unit_test(logs_say_so_and_resume),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
