/* Folders of images: what is found there and what is refused, samples as they are in memory, bad files that others
 * stand in for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pictures.h"
#include "runtime/data/files.h"

enum { H = 9, W = 12, IMAGE = H * W * 3 };

static char folder[] = "/tmp/nasc-images-XXXXXX";

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *level)
{
    (void)about;
    (void)type;
    return level->level > 0 ? remove(path) : 0;
}

static int empty_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int drop_folder(void **state)
{
    empty_folder(state);
    return rmdir(folder);
}

/* Writes folder/NAME, whose folders are made. */
static void put(const char *name, const void *bytes, size_t size)
{
    char path[256];
    nasc_diag d = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *strrchr(path, '/') = 0;
    assert_true(folder_make(path, &d));
    path[strlen(path)] = '/';
    assert_true(file_replace(path, bytes, size, &d));
}

/* Pixel p of picture n. */
static uint8_t pixel(int n, int p)
{
    return (uint8_t)(n * 31 + p * 7 % 200);
}

static void put_png(const char *name, int n)
{
    uint8_t pixels[IMAGE], *bytes;
    for (int p = 0; p < IMAGE; p++)
        pixels[p] = pixel(n, p);
    size_t size = png_make(pixels, H, W, &(png_style){.colour = PNG_COLOR_TYPE_RGB, .bits = 8}, &bytes);
    put(name, bytes, size);
    free(bytes);
}

static void put_jpeg(const char *name, int h, int w)
{
    uint8_t *pixels = calloc((size_t)h * (size_t)w, 3), *bytes;
    for (int p = 0; pixels && p < h * w * 3; p++)
        pixels[p] = (uint8_t)(p / 3 % w + p / 3 / w + 60 * (p % 3));
    size_t size = jpeg_make(pixels, h, w, &(jpeg_style){.channels = 3}, &bytes);
    put(name, bytes, size);
    free(bytes);
    free(pixels);
}

/* Pictures first … first + count - 1 of a class. */
static void put_class(const char *class, int first, int count)
{
    char name[128];
    for (int n = first; n < first + count; n++) {
        snprintf(name, sizeof name, "%s/%03d.png", class, n);
        put_png(name, n);
    }
}

static dataset *open_images(arena *a, int threads, uint64_t seed, nasc_diag *d)
{
    char spec[64];
    snprintf(spec, sizeof spec, "images:%s", folder);
    *d = (nasc_diag){0};
    return data_open(a, spec, &(data_options){.seed = seed, .h = H, .w = W, .c = 3, .centre = 1, .threads = threads},
                     d);
}

static void assert_refused(const char *message)
{
    arena a = {0};
    nasc_diag d;
    assert_null(open_images(&a, 1, 1, &d));
    char both[1024];
    snprintf(both, sizeof both, "%s %s", d.where, d.message);
    if (!strstr(both, message))
        fail_msg("got '%s', expected '%s'", both, message);
    arena_free(&a);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void two_parts_are_found(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d;
    put_class("train/b", 0, 3);
    put_class("train/a", 10, 2);
    put_class("test/b", 20, 1);
    put("train/a/notes.txt", "x", 1);
    put("train/.hidden/x.png", "x", 1);
    put("train/list.csv", "x", 1);
    put_jpeg("train/a/photo.JPEG", 20, 30);
    dataset *set = open_images(&a, 1, 1, &d);
    assert_string_equal(d.message, "");
    assert_non_null(set);
    assert_true(set->classes == 2 && set->train.count == 6 && set->test.count == 1 && !set->note);
    assert_string_equal(set->class_names[0], "a");
    assert_string_equal(set->class_names[1], "b");
    static const int32_t labels[] = {0, 0, 0, 1, 1, 1};
    assert_memory_equal(set->train.labels, labels, sizeof labels);
    assert_int_equal(set->test.labels[0], 1);
    char path[256], expected[256];
    assert_true(files_path(&set->train, 2, path, sizeof path));
    snprintf(expected, sizeof expected, "%s/train/a/photo.JPEG", folder);
    assert_string_equal(path, expected);
    assert_false(files_path(&set->train, 2, path, strlen(expected)));
    put_class("val/a", 30, 4); /* goes before test/ */
    set = open_images(&a, 1, 1, &d);
    assert_int_equal(set->test.count, 4);
    arena_free(&a);
}

/* Where there is one part, a tenth of each class is for testing, at least one, by the seed. */
static void a_tenth_is_set_aside(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d;
    put_class("a", 0, 40);
    put_class("b", 40, 3);
    put_class("c", 50, 1);
    dataset *set = open_images(&a, 1, 1, &d), *same = open_images(&a, 2, 1, &d), *other = open_images(&a, 1, 2, &d);
    assert_string_equal(d.message, "");
    assert_true(set->train.count == 39 && set->test.count == 5 && set->classes == 3);
    assert_non_null(strstr(set->note, "of its 44 images 5 are set aside for testing"));
    int seen[60] = {0}, differ = 0;
    for (int test = 0; test < 2; test++) {
        const struct data_part *part = test ? &set->test : &set->train, *again = test ? &same->test : &same->train;
        const struct data_part *others = test ? &other->test : &other->train;
        for (int k = 0; k < part->count; k++) {
            const char *name = part->files->names + part->files->name[k];
            assert_string_equal(name, again->files->names + again->files->name[k]);
            differ += strcmp(name, others->files->names + others->files->name[k]) != 0;
            seen[atoi(name)]++;
            assert_int_equal(part->labels[k], atoi(name) < 40 ? 0 : atoi(name) < 50 ? 1 : 2);
        }
    }
    for (int n = 0; n < 60; n++)
        assert_int_equal(seen[n], n < 43 || n == 50);
    assert_true(differ > 0);
    arena_free(&a);
}

static void poor_folders_are_named(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    assert_null(data_open(&a, "images:/nonexistent", &(data_options){0}, &d));
    assert_string_equal(d.where, "/nonexistent");
    assert_string_equal(d.message, "cannot be opened: No such file or directory");
    assert_refused("holds no folders: expected one for each class");
    put_class("a", 0, 1);
    assert_refused("holds the folder of one class (a): expected two classes or more");
    put_class("b", 1, 1);
    assert_refused("has one image a class: none can be set aside for testing");
    put("c/notes.txt", "x", 1);
    assert_refused("/c holds no images: expected .jpg, .jpeg or .png files of one class");
    empty_folder(NULL);
    put_class("train/a", 0, 2);
    put_class("train/b", 2, 2);
    put("val/notes.txt", "x", 1);
    assert_refused("/val holds no folders");
    put_class("val/c", 4, 1);
    assert_refused("/val/c is of a class that the training images do not have");
    empty_folder(NULL);
    put("a/1.png", "", 0);
    put("a/2.png", "GIF89a", 6);
    put("b/1.png", "GIF89a", 6);
    put("b/2.png", "GIF89a", 6);
    assert_refused("none of 2 of its images can be read: the first");
    d = (nasc_diag){0};
    assert_null(data_open(&a, arena_printf(&a, "images:%s", folder), &(data_options){.h = 8, .w = 8, .c = 4}, &d));
    assert_string_equal(d.message, "images have 1 or 3 channels, the input asked for has 4");
    d = (nasc_diag){0};
    char *lengthy = arena_alloc(&a, 5001);
    memset(memcpy(lengthy, "images:", 7) + 7, 'x', 4990);
    assert_null(data_open(&a, lengthy, &(data_options){0}, &d));
    assert_string_equal(d.message, "the path is too long");
    arena_free(&a);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static int take(const dataset *set, const uint32_t *list, uint32_t count, uint32_t first, int n,
                const struct data_augment *augment, float *x, int32_t *y, nasc_diag *d)
{
    batch_key key = {{&set->train, list, count}, first, n, augment, 7, 3};
    return data_batch(set, &key, x, y, d);
}

static const struct data_augment plain = {.normalise = false};
static const struct data_augment all = {.normalise = true,
                                        .flip = true,
                                        .crop_area = 0.3,
                                        .cutout = 3,
                                        .jitter = {.brightness = 0.4F, .contrast = 0.4F, .saturation = 0.4F}};

/* A picture of the size asked for arrives byte by byte; mean and deviation are those of all pixels. */
static void pixels_arrive(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d;
    put_class("train/a", 0, 3);
    put_class("train/b", 3, 2);
    put_class("val/b", 5, 2);
    dataset *set = open_images(&a, 1, 1, &d);
    static float x[5 * IMAGE];
    int32_t y[5];
    assert_int_equal(take(set, NULL, 5, 0, 5, &plain, x, y, &d), 0);
    double sum = 0;
    for (int i = 0; i < 5 * IMAGE; i++) {
        assert_true(x[i] == (float)pixel(i / IMAGE, i % IMAGE) / 255.0F);
        sum += i % 3 == 1 ? pixel(i / IMAGE, i % IMAGE) : 0;
    }
    assert_true(y[2] == 0 && y[3] == 1);
    assert_true(set->mean[1] == (float)(sum / (5 * H * W) / 255));
    arena_free(&a);
}

/* A grey input is the luma of what is RGB, and of grey files the very bytes. */
static void grey_is_grey(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    uint8_t pixels[H * W], *bytes;
    for (int p = 0; p < H * W; p++)
        pixels[p] = (uint8_t)(p * 2);
    size_t size = png_make(pixels, H, W, &(png_style){.colour = PNG_COLOR_TYPE_GRAY, .bits = 8}, &bytes);
    put("a/1.png", bytes, size);
    put("a/2.png", bytes, size);
    free(bytes);
    put_class("b", 0, 2);
    data_options o = {.h = H, .w = W, .c = 1, .centre = 1};
    dataset *set = data_open(&a, arena_printf(&a, "images:%s", folder), &o, &d);
    assert_string_equal(d.message, "");
    static float x[2 * H * W];
    assert_int_equal(take(set, NULL, 2, 0, 2, &plain, x, NULL, &d), 0);
    for (int p = 0; p < H * W; p++)
        assert_true(x[p] == (float)pixels[p] / 255.0F);
    arena_free(&a);
}

/* Any number of threads, any company: the same bytes; another epoch: others. */
static void batches_are_pure(void **state)
{
    (void)state;
    enum { N = 24 };
    arena a = {0};
    nasc_diag d;
    char name[64];
    for (int n = 0; n < N; n++) {
        snprintf(name, sizeof name, "%s/%02d.jpg", n % 2 ? "a" : "b", n);
        put_jpeg(name, 20 + 7 * n, 90 - 2 * n);
    }
    static float x[N * IMAGE], z[N * IMAGE], one[IMAGE];
    dataset *alone = open_images(&a, 1, 1, &d), *many = open_images(&a, 7, 1, &d);
    int n = alone->train.count;
    assert_memory_equal(alone->mean, many->mean, 3 * sizeof(float));
    assert_memory_equal(alone->std, many->std, 3 * sizeof(float));
    assert_int_equal(take(alone, NULL, (uint32_t)n, 0, n, &all, x, NULL, &d), 0);
    for (int attempt = 0; attempt < 20; attempt++) {
        memset(z, 0, sizeof z);
        assert_int_equal(take(many, NULL, (uint32_t)n, 0, n, &all, z, NULL, &d), 0);
        assert_memory_equal(x, z, (size_t)n * IMAGE * sizeof *x);
    }
    for (uint32_t k = 0; k < (uint32_t)n; k++) {
        assert_int_equal(take(alone, &k, 1, 0, 1, &all, one, NULL, &d), 0);
        assert_memory_equal(x + k * IMAGE, one, sizeof one);
    }
    batch_key key = {samples_of(&alone->train), 0, n, &all, 7, 4};
    assert_int_equal(data_batch(alone, &key, z, NULL, &d), 0);
    assert_memory_not_equal(x, z, (size_t)n * IMAGE * sizeof *x);
    arena_free(&a);
}

/* A reduced JPEG shows what the whole one does: smooth pictures differ by little. */
static void large_files_are_reduced(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d;
    for (int n = 0; n < 4; n++) {
        char name[64];
        snprintf(name, sizeof name, "%s/%d.jpg", n % 2 ? "a" : "b", n);
        put_jpeg(name, 90, 120);
    }
    dataset *set = open_images(&a, 1, 1, &d);
    static float x[IMAGE];
    assert_int_equal(take(set, NULL, 1, 0, 1, &plain, x, NULL, &d), 0);
    for (int y = 1; y + 1 < H; y++)
        for (int column = 1; column + 1 < W; column++) {
            float expected = (float)(10 * y + 10 * column + 9);
            float got = x[(y * W + column) * 3] * 255;
            assert_true(got - expected < 3 && expected - got < 3);
        }
    arena_free(&a);
}

/* ---- bad files --------------------------------------------------------------------------------------------------- */

typedef struct told {
    int count;
    char text[16][320];
} told;

static void hear(void *user, const char *where, const char *what)
{
    told *t = user;
    assert_true(t->count < 16);
    snprintf(t->text[t->count++], sizeof t->text[0], "%s: %s", where + strlen(folder), what);
}

/* Samples 1, 2 and 5 of eight are bad, each in its way. */
static void put_some_bad(void)
{
    put_class("train/a", 0, 5);
    put_class("train/b", 5, 3);
    put_class("val/a", 8, 1);
    uint8_t pixels[IMAGE] = {0}, *bytes;
    size_t size = jpeg_make(pixels, H, W, &(jpeg_style){.channels = 3}, &bytes);
    put("train/a/001.png", bytes, size - 5);
    bytes[size / 2] = 0xff;
    put("train/a/002.png", "GIF89a", 6);
    free(bytes);
    char path[256];
    snprintf(path, sizeof path, "%s/train/b/005.png", folder);
    assert_int_equal(remove(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
}

static void others_stand_in_for_bad_files(void **state)
{
    (void)state;
    static const uint32_t list[] = {0, 1, 2, 3, 4, 5, 6, 7}, stands[] = {0, 3, 3, 3, 4, 6, 6, 7};
    static float x[8 * IMAGE], z[IMAGE];
    put_some_bad();
    for (int threads = 1; threads <= 4; threads += 3) {
        arena a = {0};
        nasc_diag d;
        told heard = {0};
        struct progress progress = {.warn = hear, .user = &heard};
        dataset *set = open_images(&a, threads, 1, &d);
        int32_t y[8];
        assert_string_equal(d.message, "");
        for (int attempt = 0; attempt < 3; attempt++) {
            assert_int_equal(take(set, list, 8, 0, 8, &all, x, y, &d), 3);
            data_tell(set, NULL);
            for (int i = 0; i < 8; i++) {
                assert_int_equal(take(set, &stands[i], 1, 0, 1, &all, z, NULL, &d), 0);
                assert_memory_equal(x + i * IMAGE, z, sizeof z);
                assert_int_equal(y[i], stands[i] > 4);
            }
            data_tell(set, &progress);
        }
        assert_int_equal(heard.count, 3);
        assert_string_equal(heard.text[0], "/train/a/001.png: ends early");
        assert_string_equal(heard.text[1], "/train/a/002.png: is neither JPEG nor PNG");
        assert_string_equal(heard.text[2], "/train/b/005.png: cannot be read");
        assert_int_equal(take(set, list, 6, 5, 1, &all, x, y, &d), 1); /* the list begins anew at its end */
        assert_int_equal(take(set, &list[0], 1, 0, 1, &all, z, NULL, &d), 0);
        assert_memory_equal(x, z, sizeof z);
        assert_int_equal(take(set, list + 1, 2, 0, 1, &all, x, y, &d), -1);
        assert_string_equal(d.message, "none of the 2 images of this part can be read");
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(two_parts_are_found, empty_folder),
        cmocka_unit_test_teardown(a_tenth_is_set_aside, empty_folder),
        cmocka_unit_test_teardown(poor_folders_are_named, empty_folder),
        cmocka_unit_test_teardown(pixels_arrive, empty_folder),
        cmocka_unit_test_teardown(grey_is_grey, empty_folder),
        cmocka_unit_test_teardown(batches_are_pure, empty_folder),
        cmocka_unit_test_teardown(large_files_are_reduced, empty_folder),
        cmocka_unit_test_teardown(others_stand_in_for_bad_files, empty_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
