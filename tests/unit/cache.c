/* The object cache: what is stored comes back, what is damaged does not, what is old goes, no folder is trusted that
 * others may write, and processes that store, read and trim at once see whole objects or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "emit/cache.h"

typedef struct place {
    char root[64], folder[128];
    cache cache;
} place;

static int place_make(void **state)
{
    place *p = calloc(1, sizeof *p);
    strcpy(p->root, "/tmp/nasc_cache_XXXXXX");
    assert_non_null(mkdtemp(p->root));
    snprintf(p->folder, sizeof p->folder, "%s/a/b", p->root);
    setenv("NASC_CACHE", p->folder, 1);
    cache_open(&p->cache);
    *state = p;
    return 0;
}

static int place_remove(void **state)
{
    place *p = *state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", p->root);
    free(p);
    return system(command);
}

static void key_of(int i, unsigned char key[CACHE_KEY_BYTES])
{
    memset(key, 0xa0 + i, CACHE_KEY_BYTES);
}

static void path_of(const place *p, int i, char path[256])
{
    int n = snprintf(path, 256, "%s/", p->folder);
    for (int b = 0; b < CACHE_KEY_BYTES; b++)
        n += snprintf(path + n, 256 - (size_t)n, "%02x", 0xa0 + i);
    strcpy(path + n, ".o");
}

static void put(const place *p, int i, size_t size)
{
    unsigned char key[CACHE_KEY_BYTES];
    char *object = malloc(size);
    memset(object, i, size);
    key_of(i, key);
    cache_store(&p->cache, key, object, size);
    free(object);
}

static bool holds(const place *p, int i, size_t size)
{
    unsigned char key[CACHE_KEY_BYTES];
    size_t got = 0;
    key_of(i, key);
    char *object = cache_load(&p->cache, key, &got);
    if (!object)
        return false;
    assert_int_equal(got, size);
    for (size_t b = 0; b < size; b++)
        assert_int_equal(object[b], i);
    mem_free(object);
    return true;
}

static void what_is_stored_comes_back(void **state)
{
    place *p = *state;
    struct stat info;
    assert_string_equal(p->cache.folder, p->folder);
    assert_int_equal(stat(p->folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_false(holds(p, 1, 1000));
    put(p, 1, 1000);
    put(p, 2, 1);
    assert_true(holds(p, 1, 1000));
    assert_true(holds(p, 2, 1));
    put(p, 1, 500);
    assert_true(holds(p, 1, 500));
}

/* Every byte of an entry matters, and so does its end. */
static void damage_is_noticed(void **state)
{
    place *p = *state;
    char path[256];
    struct stat info;
    put(p, 1, 20);
    path_of(p, 1, path);
    assert_int_equal(stat(path, &info), 0);
    for (off_t at = 0; at < info.st_size; at++) {
        int fd = open(path, O_RDWR);
        char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_false(holds(p, 1, 20));
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        assert_true(holds(p, 1, 20));
    }
    for (off_t size = info.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_false(holds(p, 1, 20));
    }
    put(p, 1, 20);
    assert_true(holds(p, 1, 20));
}

/* Five entries of a block each; 0 is the oldest, but has been used since. */
static void the_longest_unused_go_first(void **state)
{
    place *p = *state;
    char path[256];
    for (int i = 0; i < 5; i++) {
        put(p, i, 1000);
        path_of(p, i, path);
        struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    cache_trim(&p->cache, 5 * 4096);
    assert_true(holds(p, 0, 1000));
    cache_trim(&p->cache, 4 * 4096 - 1);
    assert_false(holds(p, 1, 1000));
    assert_false(holds(p, 2, 1000));
    assert_true(holds(p, 0, 1000) && holds(p, 3, 1000) && holds(p, 4, 1000));
}

static void strangers_files_are_left_alone(void **state)
{
    place *p = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/notes.txt", p->folder);
    FILE *f = fopen(path, "w");
    fputs("mine", f);
    fclose(f);
    put(p, 1, 100);
    cache_trim(&p->cache, 0);
    assert_false(holds(p, 1, 100));
    assert_int_equal(access(path, F_OK), 0);
}

/* Object i has i in every byte, whoever stored it, and one of three sizes. False: a load gave anything else. */
static bool is_whole(const place *p, int i, int *found)
{
    unsigned char key[CACHE_KEY_BYTES];
    size_t size = 0;
    key_of(i, key);
    char *object = cache_load(&p->cache, key, &size);
    bool whole = !object || (size >= 40000 && size <= 40002);
    for (size_t b = 0; object && whole && b < size; b++)
        whole = object[b] == i;
    *found += object != NULL;
    mem_free(object);
    return whole;
}

/* Exit status of one of the processes: 0, or what it saw. */
static int store_read_and_trim(const place *p, int process)
{
    int found = 0;
    for (int turn = 0; turn < 150; turn++) {
        int i = (turn + process) % 5;
        put(p, i, 40000 + (size_t)(turn + process) % 3);
        for (int k = 0; k < 5; k++)
            if (!is_whole(p, k, &found))
                return 1;
        if (turn % 10 == process)
            cache_trim(&p->cache, 3 * 40960);
    }
    return found ? 0 : 2;
}

static void processes_share_it(void **state)
{
    enum { PROCESSES = 4 };
    place *p = *state;
    pid_t child[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0)
            _exit(store_read_and_trim(p, i));
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    cache_trim(&p->cache, 3 * 40960);
    int left = 0;
    for (int i = 0; i < 5; i++)
        assert_true(is_whole(p, i, &left));
    assert_in_range(left, 1, 3);
}

static void a_folder_that_others_may_write_is_not_used(void **state)
{
    place *p = *state;
    put(p, 1, 100);
    assert_int_equal(chmod(p->folder, 0770), 0);
    cache_open(&p->cache);
    assert_false(holds(p, 1, 100));
    put(p, 2, 100);
    cache_trim(&p->cache, 0);
    assert_int_equal(chmod(p->folder, 0700), 0);
    cache_open(&p->cache);
    assert_true(holds(p, 1, 100));
    assert_false(holds(p, 2, 100));
}

static void the_environment_chooses(void **state)
{
    place *p = *state;
    char want[160];
    unsetenv("NASC_CACHE");
    setenv("XDG_CACHE_HOME", p->root, 1);
    cache_open(&p->cache);
    snprintf(want, sizeof want, "%s/nasc", p->root);
    assert_string_equal(p->cache.folder, want);
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", p->root, 1);
    cache_open(&p->cache);
    snprintf(want, sizeof want, "%s/.cache/nasc", p->root);
    assert_string_equal(p->cache.folder, want);
    unsetenv("HOME");
    cache_open(&p->cache);
    assert_string_equal(p->cache.folder, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_stored_comes_back, place_make, place_remove),
        cmocka_unit_test_setup_teardown(damage_is_noticed, place_make, place_remove),
        cmocka_unit_test_setup_teardown(the_longest_unused_go_first, place_make, place_remove),
        cmocka_unit_test_setup_teardown(strangers_files_are_left_alone, place_make, place_remove),
        cmocka_unit_test_setup_teardown(processes_share_it, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_folder_that_others_may_write_is_not_used, place_make, place_remove),
        cmocka_unit_test_setup_teardown(the_environment_chooses, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
