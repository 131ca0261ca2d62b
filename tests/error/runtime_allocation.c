/* The Nth allocation fails, ours or Jansson's, for every N until none does: reading and writing tensors, opening data,
 * run.json and the log give "out of memory" and leak nothing (the leak sanitizer watches), files stay whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "failing.h"
#include "pictures.h"
#include "runtime/data/data.h"
#include "base/json.h"
#include "runtime/run_folder.h"
#include "runtime/tensors.h"

static char folder[] = "/tmp/nasc-allocation-XXXXXX";
static char path[64];

/* Runs `work` with the Nth allocation failing, for N = 0, 1, … until it succeeds. */
static void every_failure(bool (*work)(nasc_diag *d))
{
    int runs = 0;
    for (bool failed = true; failed; runs++) {
        nasc_diag d = {0};
        failing_failed = 0;
        failing_left = runs;
        bool ok = work(&d);
        failing_left = -1;
        failed = failing_failed != 0;
        assert_int_equal(ok, !failed);
        /* Jansson takes some of its own failures for bad tokens */
        if (failing_failed != ALLOCATOR_JANSSON || d.kind != DIAG_INPUT)
            assert_int_equal(d.kind, failed ? DIAG_MEMORY : DIAG_NONE);
    }
    assert_true(runs > 1);
}

static bool write_tensors(nasc_diag *d)
{
    static const float data[5000];
    const struct tensor at[] = {{.name = "a", .dtype = TENSOR_F32, .rank = 2, .shape = {2, 2}, .data = data},
                                {.name = "b", .dtype = TENSOR_F32, .rank = 1, .shape = {5000}, .data = data}};
    const struct tensor_text metadata[] = {{"epoch", "1"}};
    return tensors_write(path, at, COUNT(at), metadata, COUNT(metadata), d);
}

static bool read_tensors(nasc_diag *d)
{
    arena a = {0};
    bool ok = tensors_read(&a, path, d) != NULL;
    arena_free(&a);
    return ok;
}

static void tensors_survive(void **state)
{
    (void)state;
    nasc_diag d = {0};
    assert_true(write_tensors(&d));
    every_failure(read_tensors);
    every_failure(write_tensors);
    assert_true(read_tensors(&d));
}

static bool open_synthetic(nasc_diag *d)
{
    arena a = {0};
    bool ok = data_open(&a, "synthetic:32x32x3/4/64", &(data_options){.seed = 1}, d) != NULL;
    arena_free(&a);
    return ok;
}

static bool open_cifar(nasc_diag *d)
{
    arena a = {0};
    char spec[96];
    snprintf(spec, sizeof spec, "cifar100:%s", folder);
    bool ok = data_open(&a, spec, &(data_options){.seed = 1}, d) != NULL;
    arena_free(&a);
    return ok;
}

/* Opened, and a batch of it taken. */
static bool open_images(nasc_diag *d)
{
    static const struct data_augment augment = {.normalise = true, .crop_area = 0.5};
    static float x[2 * 4 * 4 * 3];
    arena a = {0};
    char spec[96];
    snprintf(spec, sizeof spec, "images:%s", folder);
    dataset *set = data_open(&a, spec, &(data_options){.h = 4, .w = 4, .c = 3}, d);
    bool ok = set != NULL;
    if (ok) {
        batch_key key = {.of = samples_of(&set->train), .n = 2, .augment = &augment};
        ok = data_batch(set, &key, x, NULL, d) == 0;
    }
    arena_free(&a);
    return ok;
}

static void put(const char *name, const char *bytes, size_t size)
{
    nasc_diag d = {0};
    char file[128];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    assert_true(file_replace(file, bytes, size, &d));
}

static void data_survives(void **state)
{
    (void)state;
    enum { RECORDS = 40 };
    static char records[RECORDS * 3074], names[100 * 2];
    for (int i = 0; i < 200; i += 2) {
        names[i] = 'x';
        names[i + 1] = '\n';
    }
    put("train.bin", records, sizeof records);
    put("test.bin", records, sizeof records);
    put("fine_label_names.txt", names, sizeof names);
    every_failure(open_cifar);
    every_failure(open_synthetic);
}

static void make_pictures(const uint8_t *png, size_t png_size, const uint8_t *jpeg, size_t jpeg_size)
{
    static const char *const classes[] = {"a", "b"};
    nasc_diag d = {0};
    char path[64], name[16];
    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "%s/%s", folder, classes[k]);
        assert_true(folder_make(path, &d));
        snprintf(name, sizeof name, "%s/1.png", classes[k]);
        put(name, (const char *)png, png_size);
        snprintf(name, sizeof name, "%s/2.jpg", classes[k]);
        put(name, (const char *)jpeg, jpeg_size);
    }
}

/* Memory that runs out is no fault of a file's, that would be left out from then on. */
static void images_survive(void **state)
{
    (void)state;
    uint8_t pixels[16 * 16 * 3] = {0}, *png, *jpeg;
    size_t png_size = png_make(pixels, 16, 16, &(png_style){.colour = PNG_COLOR_TYPE_RGB, .bits = 8}, &png);
    size_t jpeg_size = jpeg_make(pixels, 16, 16, &(jpeg_style){.channels = 3}, &jpeg);
    make_pictures(png, png_size, jpeg, jpeg_size);
    free(png);
    free(jpeg);
    every_failure(open_images);
}

static bool write_run(nasc_diag *d)
{
    long kept = failing_left;
    failing_left = -1;
    json_t *value = json_pack("{s:f, s:[i, i]}", "lr", 0.1, "l", 1, 2);
    failing_left = kept;
    bool ok = run_write_json(folder, "run.json", value, d);
    failing_left = -1;
    json_decref(value);
    return ok;
}

static bool read_run(nasc_diag *d)
{
    char file[128];
    snprintf(file, sizeof file, "%s/run.json", folder);
    json_t *value = json_file_read(file, d);
    json_decref(value);
    return value != NULL;
}

static bool resume_run(nasc_diag *d)
{
    run_folder run;
    bool ok = run_resume(&run, folder, d) && run_log_cut(&run, 0, 0, d);
    failing_left = -1;
    char file[128];
    arena a = {0};
    nasc_diag none = {0};
    size_t size;
    snprintf(file, sizeof file, "%s/log.jsonl", folder);
    assert_non_null(file_read(&a, file, &size, &none));
    assert_int_equal(size, ok ? 12 : 24); /* a failure cuts nothing */
    arena_free(&a);
    run_close(&run);
    return ok;
}

static void runs_survive(void **state)
{
    (void)state;
    every_failure(write_run);
    every_failure(read_run);
    put("log.jsonl", "{\"step\": 0}\n{\"step\": 1}\n", 24);
    every_failure(resume_run);
}

static int make_folder(void **state)
{
    (void)state;
    json_set_alloc_funcs(failing_jansson, free);
    failing_left = -1;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.safetensors", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a/1.png",  "a/2.jpg",       "b/1.png",   "b/2.jpg",  "a",
                                        "b",        "t.safetensors", "train.bin", "test.bin", "fine_label_names.txt",
                                        "run.json", "log.jsonl"};
    char file[128];
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        remove(file);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_survive),
        cmocka_unit_test(data_survives),
        cmocka_unit_test(images_survive),
        cmocka_unit_test(runs_survive),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
