/* Data sets: what the files hold arrives, malformed files are named, batches are pure functions of their keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "runtime/data/data.h"
#include "runtime/rng.h"

static char folder[] = "/tmp/nasc-data-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

/* Removes what the tests write; names are few and known. */
static int empty_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"train-images-idx3-ubyte",
                                        "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte",
                                        "data_batch_1.bin",
                                        "data_batch_2.bin",
                                        "data_batch_3.bin",
                                        "data_batch_4.bin",
                                        "data_batch_5.bin",
                                        "test_batch.bin",
                                        "train.bin",
                                        "test.bin",
                                        "batches.meta.txt",
                                        "fine_label_names.txt"};
    char path[256];
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
        strcat(path, ".gz");
        unlink(path);
    }
    return 0;
}

static int drop_folder(void **state)
{
    empty_folder(state);
    return rmdir(folder);
}

static void put_bytes(const char *path, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_int_equal(write(file, bytes, size), size);
    assert_int_equal(close(file), 0);
}

/* Compressed if the name says so. */
static void put(const char *name, const void *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!strstr(name, ".gz")) {
        put_bytes(path, bytes, size);
        return;
    }
    gzFile file = gzopen(path, "wb");
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
    assert_int_equal(gzclose(file), Z_OK);
}

static dataset *open_kind(arena *a, const char *kind, nasc_diag *d)
{
    char spec[256];
    snprintf(spec, sizeof spec, "%s:%s", kind, folder);
    *d = (nasc_diag){0};
    return data_open(a, spec, &(data_options){.seed = 1}, d);
}

/* A batch of `n` samples of the training set. */
static int training_batch(const dataset *set, const uint32_t *at, int n, const struct data_augment *augment,
                          uint64_t seed, uint32_t epoch, float *x, int32_t *y)
{
    nasc_diag d = {0};
    batch_key key = {{&set->train, at, (uint32_t)n}, 0, n, augment, seed, epoch};
    int replaced = data_batch(set, &key, x, y, &d);
    assert_string_equal(d.message, "");
    return replaced;
}

static void assert_refused(const char *kind, const char *message)
{
    arena a = {0};
    nasc_diag d;
    assert_null(open_kind(&a, kind, &d));
    char both[1024];
    snprintf(both, sizeof both, "%s %s", d.where, d.message);
    if (!strstr(both, message))
        fail_msg("got '%s', expected '%s'", both, message);
    arena_free(&a);
}

/* Two training images and one test image of 2x3 pixels; pixel p of image n is 10 n + p. */
static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0,  0,  0,  2,  0,  0,
                                 0, 3, 0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 2};
static const uint8_t test_images[] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 20, 21, 22, 23, 24, 25};
static const uint8_t test_labels[] = {0, 0, 8, 1, 0, 0, 0, 1, 1};

static void put_idx(void)
{
    put("train-images-idx3-ubyte", images, sizeof images);
    put("train-labels-idx1-ubyte.gz", labels, sizeof labels);
    put("t10k-images-idx3-ubyte.gz", test_images, sizeof test_images);
    put("t10k-labels-idx1-ubyte", test_labels, sizeof test_labels);
}

static void idx_files_read(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d;
    put_idx();
    dataset *set = open_kind(&a, "idx", &d);
    assert_string_equal(d.message, "");
    assert_non_null(set);
    assert_true(set->h == 2 && set->w == 3 && set->c == 1 && set->classes == 3);
    assert_true(set->train.count == 2 && set->test.count == 1);
    assert_int_equal(set->train.pixels[6 + 4], 14);
    assert_int_equal(set->test.pixels[5], 25);
    assert_int_equal(set->train.labels[1], 2);
    assert_true(fabs(set->mean[0] - 7.5 / 255) < 1e-7);
    assert_true(fabs(set->std[0] - sqrt(25 + 35.0 / 12) / 255) < 1e-7);
    arena_free(&a);
}

static void malformed_idx_files_are_named(void **state)
{
    (void)state;
    assert_refused("idx", "train-images-idx3-ubyte cannot be opened: No such file or directory (nor with .gz)");
    put_idx();
    for (size_t cut = 0; cut < sizeof images; cut++) {
        put("train-images-idx3-ubyte", images, cut);
        assert_refused("idx", cut < 16 ? "is too short for an idx file" : "its header announces 12");
    }
    put("train-images-idx3-ubyte", labels, sizeof labels);
    assert_refused("idx", "is too short");
    uint8_t changed[sizeof images];
    memcpy(changed, images, sizeof images);
    changed[3] = 1;
    put("train-images-idx3-ubyte", changed, sizeof changed);
    assert_refused("idx", "magic number is 0x00000801, expected 0x00000803");
    memcpy(changed, images, sizeof images);
    changed[4] = changed[8] = changed[12] = 0x7f;
    put("train-images-idx3-ubyte", changed, sizeof changed);
    assert_refused("idx", "size 2 is"); /* the product overflows */
    memcpy(changed, images, sizeof images);
    changed[7] = 1;
    put("train-images-idx3-ubyte", changed, sizeof changed - 6);
    assert_refused("idx", "train-labels-idx1-ubyte.gz has 2 labels for 1 images");
    put_idx();
    const uint8_t beyond[] = {0, 0, 8, 1, 0, 0, 0, 1, 3};
    put("t10k-labels-idx1-ubyte", beyond, sizeof beyond);
    assert_refused("idx", "label 0 is 3, the training set has 3 classes");
    uint8_t wider[sizeof test_images];
    memcpy(wider, test_images, sizeof wider);
    wider[11] = 3;
    wider[15] = 2;
    put("t10k-images-idx3-ubyte.gz", wider, sizeof wider);
    assert_refused("idx", "images are 3x2, the training set's are 2x3");
}

static void damaged_gzip_files_are_named(void **state)
{
    (void)state;
    char path[256];
    uint8_t bytes[256];
    put_idx();
    snprintf(path, sizeof path, "%s/train-labels-idx1-ubyte.gz", folder);
    int file = open(path, O_RDONLY);
    ssize_t size = read(file, bytes, sizeof bytes);
    close(file);
    assert_true(size > 20 && (size_t)size < sizeof bytes);
    for (ssize_t cut = 2; cut < size; cut++) {
        put_bytes(path, bytes, (size_t)cut);
        assert_refused("idx", "train-labels-idx1-ubyte.gz");
    }
    bytes[size - 6] ^= 1; /* of the checksum */
    put_bytes(path, bytes, (size_t)size);
    assert_refused("idx", "cannot be read: incorrect data check");
}

/* Record n of a CIFAR file: its labels, and plane c of value 50 c + n. */
static size_t make_record(uint8_t *to, int n, int label_bytes, int label)
{
    uint8_t *at = to;
    if (label_bytes == 2)
        *at++ = 19;
    *at++ = (uint8_t)label;
    for (int c = 0; c < 3; c++, at += 1024)
        memset(at, 50 * c + n, 1024);
    return (size_t)(at - to);
}

static void cifar_files_read(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d;
    uint8_t bytes[2 * 3074];
    char name[32];
    for (int file = 0; file < 5; file++) {
        size_t size = make_record(bytes, 2 * file, 1, file);
        size += make_record(bytes + size, 2 * file + 1, 1, 9 - file);
        snprintf(name, sizeof name, "data_batch_%d.bin", file + 1);
        put(name, bytes, file == 4 ? size / 2 : size);
    }
    put("test_batch.bin", bytes, make_record(bytes, 0, 1, 9));
    put("batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\r\nhorse\nship\ntruck\n\n", 62);
    dataset *set = open_kind(&a, "cifar10", &d);
    assert_string_equal(d.message, "");
    assert_true(set->train.count == 9 && set->test.count == 1 && set->classes == 10 && set->c == 3);
    assert_int_equal(set->train.labels[3], 8);
    assert_int_equal(set->train.pixels[3 * 3072 + 3 * 7 + 2], 103);
    assert_string_equal(set->class_names[6], "frog");
    put("test_batch.bin", bytes, make_record(bytes, 0, 1, 10));
    assert_refused("cifar10", "test_batch.bin label 0 is 10, expected less than 10");
    put("data_batch_3.bin", bytes, 3072);
    assert_refused("cifar10", "data_batch_3.bin has 3072 bytes, expected a multiple of 3073");
    put("data_batch_3.bin", bytes, 0);
    assert_refused("cifar10", "data_batch_3.bin has 0 bytes");
    size_t size = make_record(bytes, 1, 2, 99);
    put("train.bin", bytes, size);
    put("test.bin", bytes, size);
    set = open_kind(&a, "cifar100", &d);
    assert_string_equal(d.message, "");
    assert_true(set->train.labels[0] == 99 && set->classes == 100 && !set->class_names);
    assert_true(set->std[0] == 1); /* a constant channel */
    arena_free(&a);
}

static void bad_specs_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *spec, *message;
    } cases[] = {
        {"nonsense", "is not KIND:PATH"},
        {"idx:", "is not KIND:PATH"},
        {"cifar:x", "did you mean 'cifar10'?"},
        {"tfrecord:x", "kinds are idx"},
        {"image:x", "did you mean 'images'?"},
        {"synthetic:8x8", "is not synthetic:HxWxC/CLASSES"},
        {"synthetic:8x8x3/10/64/", "is not synthetic:"},
        {"synthetic:8x8x3/10/64x", "is not synthetic:"},
        {"synthetic:8x8x3/1", "classes 2 to"},
        {"synthetic:8x-8x3/10", "sizes are 1 to"},
        {"synthetic:8x9999x3/10", "sizes are 1 to"},
        {"synthetic:8x8x3/10/99999999", "samples 4 to"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        arena a = {0};
        nasc_diag d = {0};
        assert_null(data_open(&a, cases[i].spec, &(data_options){.seed = 1}, &d));
        assert_string_equal(d.where, cases[i].spec);
        if (!strstr(d.message, cases[i].message))
            fail_msg("%s: got '%s', expected '%s'", cases[i].spec, d.message, cases[i].message);
        arena_free(&a);
    }
}

/* The nearest class mean of the training set classifies the test set: classes differ, and beyond a channel's mean. */
static void synthetic_classes_can_be_learnt(void **state)
{
    (void)state;
    enum { IMAGE = 12 * 12 * 3, CLASSES = 10 };
    arena a = {0};
    nasc_diag d = {0};
    dataset *set = data_open(&a, "synthetic:12x12x3/10", &(data_options){.seed = 5}, &d),
            *same = data_open(&a, "synthetic:12x12x3/10", &(data_options){.seed = 5}, &d);
    dataset *other = data_open(&a, "synthetic:12x12x3/10", &(data_options){.seed = 6}, &d);
    assert_true(set->train.count == 2048 && set->test.count == 512 && set->classes == CLASSES);
    assert_memory_equal(set->train.pixels, same->train.pixels, 2048 * IMAGE);
    assert_memory_not_equal(set->train.pixels, other->train.pixels, 2048 * IMAGE);
    static double means[CLASSES][IMAGE];
    for (int n = 0; n < set->train.count; n++)
        for (int i = 0; i < IMAGE; i++)
            means[set->train.labels[n]][i] += set->train.pixels[n * IMAGE + i] / 204.8;
    int right = 0;
    for (int n = 0; n < set->test.count; n++) {
        int best = -1;
        double least = 1e30;
        for (int k = 0; k < CLASSES; k++) {
            double distance = 0;
            for (int i = 0; i < IMAGE; i++)
                distance += pow(set->test.pixels[n * IMAGE + i] - means[k][i], 2);
            if (distance < least) {
                least = distance;
                best = k;
            }
        }
        right += best == set->test.labels[n];
    }
    assert_true(right > 500);
    assert_true(set->mean[0] > 0.3 && set->mean[0] < 0.7 && set->std[0] > 0.1 && set->std[0] < 0.3);
    arena_free(&a);
}

/* A 3x3 image 1 … 9 padded by one, at the place and flip that the batch itself shows. */
static void crops_pad_with_raw_zeros(void **state)
{
    (void)state;
    uint8_t pixels[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    int32_t label = 1;
    float mean = 0.5f, std = 0.25f, x[9];
    dataset set = {
        .h = 3, .w = 3, .c = 1, .classes = 2, .train = {1, pixels, &label, NULL}, .mean = &mean, .std = &std};
    struct data_augment augment = {.normalise = true, .crop = 1, .flip = true};
    uint32_t zero = 0;
    bool seen[3][3][2] = {{{0}}};
    for (uint32_t epoch = 0; epoch < 400; epoch++) {
        training_batch(&set, &zero, 1, &augment, 9, epoch, x, NULL);
        int matches = 0;
        for (int place = 0; place < 18; place++) {
            int dy = place / 6 - 1, dx = place / 2 % 3 - 1, flip = place % 2, equal = 1;
            for (int i = 0; i < 9; i++) {
                int y = i / 3 + dy, column = (flip ? 2 - i % 3 : i % 3) + dx;
                int raw = y < 0 || y > 2 || column < 0 || column > 2 ? 0 : pixels[3 * y + column];
                equal &= x[i] == ((float)raw / 255.0f - mean) / std;
            }
            seen[dy + 1][dx + 1][flip] |= equal;
            matches += equal;
        }
        assert_int_equal(matches, 1);
    }
    for (int place = 0; place < 18; place++)
        assert_true(seen[place / 6][place / 2 % 3][place % 2]);
}

static void cutout_blanks_a_square(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    dataset *set = data_open(&a, "synthetic:12x12x2/2/64", &(data_options){.seed = 1}, &d);
    float plain[288], cut[288];
    int areas[17] = {0};
    for (uint32_t sample = 0; sample < 64; sample++) {
        struct data_augment augment = {.normalise = true};
        training_batch(set, &sample, 1, &augment, 1, 0, plain, NULL);
        augment.cutout = 4;
        training_batch(set, &sample, 1, &augment, 1, 0, cut, NULL);
        int changed = 0;
        for (int i = 0; i < 288; i += 2) {
            changed += cut[i] != plain[i];
            assert_true(cut[i] == plain[i] ? cut[i + 1] == plain[i + 1] : cut[i] == 0 && cut[i + 1] == 0);
        }
        assert_true(changed <= 16);
        areas[changed]++;
    }
    assert_true(areas[16] > 20 && areas[16] < 64); /* some squares are clipped at the edge */
    arena_free(&a);
}

/* The same sample gives the same pixels wherever it stands in a batch, and others in another epoch. */
static void batches_are_keyed_by_sample(void **state)
{
    (void)state;
    enum { IMAGE = 8 * 8 * 3 };
    arena a = {0};
    nasc_diag d = {0};
    dataset *set = data_open(&a, "synthetic:8x8x3/4/64", &(data_options){.seed = 1}, &d);
    struct data_augment augment = {.normalise = true, .crop = 4, .flip = true, .cutout = 2};
    uint32_t forth[3] = {5, 17, 40}, back[2] = {40, 5};
    float x[3 * IMAGE], z[2 * IMAGE];
    int32_t y[3];
    training_batch(set, forth, 3, &augment, 3, 7, x, y);
    training_batch(set, back, 2, &augment, 3, 7, z, NULL);
    assert_memory_equal(x, z + IMAGE, IMAGE * sizeof *x);
    assert_memory_equal(x + 2 * IMAGE, z, IMAGE * sizeof *x);
    assert_true(y[0] == 1 && y[1] == 1 && y[2] == 0);
    training_batch(set, back, 2, &augment, 3, 8, z, NULL);
    assert_memory_not_equal(x + 2 * IMAGE, z, IMAGE * sizeof *x);
    arena_free(&a);
}

static void parts_and_orders_are_permutations(void **state)
{
    (void)state;
    enum { N = 101 };
    uint32_t split[N], order[N], again[N];
    int seen[N] = {0};
    data_split(N, 3, split);
    for (int i = 0; i < N; i++)
        seen[split[i]]++;
    data_order(split + N / 2, N - N / 2, 3, 0, 1, order);
    for (int i = 0; i < N - N / 2; i++)
        seen[order[i]]++;
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[split[i]], i < N / 2 ? 1 : 2);
    data_order(NULL, N, 3, 0, 0, order);
    data_order(NULL, N, 3, 0, 0, again);
    assert_memory_equal(order, again, sizeof order);
    data_order(NULL, N, 3, 1, 0, again);
    assert_memory_not_equal(order, again, sizeof order);
    assert_int_equal(data_held_out(N, 0.5), 51);
    assert_int_equal(data_held_out(60000, 0.1), 6000);
    assert_int_equal(data_batches(N, 20, true), 5);
    assert_int_equal(data_batches(N, 20, false), 6);
    assert_int_equal(data_batch_size(N, 20, 4), 20);
    assert_int_equal(data_batch_size(N, 20, 5), 1);
}

static void fashion_mnist_is_what_is_published(void **state)
{
    (void)state;
    if (access("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz", R_OK) < 0)
        skip();
    arena a = {0};
    nasc_diag d = {0};
    dataset *set = data_open(&a, "idx:/usr/share/datasets/fashion-mnist", &(data_options){.seed = 1}, &d);
    assert_string_equal(d.message, "");
    assert_true(set->train.count == 60000 && set->test.count == 10000 && set->classes == 10);
    assert_true(set->h == 28 && set->w == 28);
    assert_true(fabs(set->mean[0] - 0.2860) < 5e-5 && fabs(set->std[0] - 0.3530) < 5e-5);
    assert_true(set->train.labels[0] == 9 && set->test.labels[0] == 9);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(idx_files_read, empty_folder),
        cmocka_unit_test_teardown(malformed_idx_files_are_named, empty_folder),
        cmocka_unit_test_teardown(damaged_gzip_files_are_named, empty_folder),
        cmocka_unit_test_teardown(cifar_files_read, empty_folder),
        cmocka_unit_test(bad_specs_are_refused),
        cmocka_unit_test(synthetic_classes_can_be_learnt),
        cmocka_unit_test(crops_pad_with_raw_zeros),
        cmocka_unit_test(cutout_blanks_a_square),
        cmocka_unit_test(batches_are_keyed_by_sample),
        cmocka_unit_test(parts_and_orders_are_permutations),
        cmocka_unit_test(fashion_mnist_is_what_is_published),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
