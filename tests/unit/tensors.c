/* Safetensors: what is written reads back, fixtures read, and no damaged file gets past the header check. */
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
#include "runtime/rng.h"
#include "runtime/tensors.h"

static char folder[] = "/tmp/nasc-tensors-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.safetensors", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666); /* not file_replace: thousands of fsyncs */
    assert_int_equal(write(file, bytes, size), size);
    assert_int_equal(close(file), 0);
}

/* A file of this header and so many bytes of data 0, 1, 2, … */
static void put_header(const char *header, size_t data)
{
    char bytes[4096];
    uint64_t length = strlen(header);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length + 1);
    for (size_t i = 0; i < data; i++)
        bytes[8 + length + i] = (char)i;
    put(bytes, 8 + length + data);
}

static void write_sample(void)
{
    static const float weights[6] = {1, -2, 3.5f, 4, 5, 6e-20f};
    static const int64_t labels[2] = {-7, INT64_MAX};
    static const uint8_t order[3] = {3, 1, 2};
    static const double scalar = 0.1;
    const struct tensor at[] = {
        {.name = "w.\"odd\"", .dtype = TENSOR_F32, .rank = 2, .shape = {2, 3}, .data = weights},
        {.name = "order", .dtype = TENSOR_U8, .rank = 1, .shape = {3}, .data = order},
        {.name = "labels", .dtype = TENSOR_I64, .rank = 1, .shape = {2}, .data = labels},
        {.name = "empty", .dtype = TENSOR_F32, .rank = 2, .shape = {0, 4}},
        {.name = "lr", .dtype = TENSOR_F64, .rank = 0, .data = &scalar},
    };
    const struct tensor_text metadata[] = {{"epoch", "12"}, {"note", "a \\ b\n"}, {"bad", "12x"}};
    nasc_diag d = {0};
    assert_true(tensors_write(path, at, COUNT(at), metadata, COUNT(metadata), &d));
}

static void written_tensors_read_back(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    write_sample();
    struct tensors *set = tensors_read(&a, path, &d);
    assert_non_null(set);
    assert_int_equal(set->count, 5);
    float w[6];
    double lr;
    int64_t labels[2], number;
    assert_true(tensors_floats(set, "w.\"odd\"", 6, w, &d));
    assert_true(w[2] == 3.5f && w[5] == 6e-20f);
    assert_true(tensors_doubles(set, "lr", 1, &lr, &d) && lr == 0.1);
    assert_true(tensors_integers(set, "labels", 2, labels, &d) && labels[0] == -7 && labels[1] == INT64_MAX);
    assert_true(tensors_text_integer(set, "epoch", &number, &d) && number == 12);
    assert_string_equal(tensors_text(set, "note"), "a \\ b\n");
    text names = {.arena = &a};
    assert_int_equal(tensors_unused(set, &names), 2);
    assert_string_equal(names.at, "empty, order");
    assert_false(tensors_text_integer(set, "bad", &number, &d));
    assert_non_null(strstr(d.message, "'12x'"));
    arena_free(&a);
}

static void equal_content_is_equal_bytes(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    size_t first_size, second_size;
    write_sample();
    char *first = file_read(&a, path, &first_size, &d);
    write_sample();
    char *second = file_read(&a, path, &second_size, &d);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    assert_int_equal(first[0] & 7, 0); /* data is aligned */
    arena_free(&a);
}

static void wrong_takes_are_errors(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    write_sample();
    struct tensors *set = tensors_read(&a, path, &d);
    float w[8];
    int64_t n[6];
    assert_false(tensors_floats(set, "missing", 1, w, &d));
    assert_string_equal(d.message, "tensor 'missing' is missing");
    assert_string_equal(d.where, path);
    d = (nasc_diag){0};
    assert_false(tensors_floats(set, "order", 4, w, &d));
    assert_string_equal(d.message, "tensor 'order' has 3 elements, expected 4");
    d = (nasc_diag){0};
    assert_false(tensors_integers(set, "w.\"odd\"", 6, n, &d));
    assert_non_null(strstr(d.message, "expected integers"));
    arena_free(&a);
}

static void small_types_convert(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    /* one, -2, the least subnormal, infinity in half precision; 1, -3.5 in bfloat16; a byte that shifts what follows */
    const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x7c00}, brain[2] = {0x3f80, 0xc060};
    const int8_t byte[1] = {-5};
    const int32_t word[2] = {1 << 24, -3};
    const struct tensor at[] = {
        {.name = "i8", .dtype = TENSOR_I8, .rank = 1, .shape = {1}, .data = byte},
        {.name = "f16", .dtype = TENSOR_F16, .rank = 1, .shape = {4}, .data = half},
        {.name = "bf16", .dtype = TENSOR_BF16, .rank = 1, .shape = {2}, .data = brain},
        {.name = "i32", .dtype = TENSOR_I32, .rank = 1, .shape = {2}, .data = word},
    };
    assert_true(tensors_write(path, at, COUNT(at), NULL, 0, &d));
    struct tensors *set = tensors_read(&a, path, &d);
    assert_non_null(set);
    float v[4];
    assert_true(tensors_floats(set, "f16", 4, v, &d));
    assert_true(v[0] == 1 && v[1] == -2 && v[2] == 0x1p-24f && isinf(v[3]));
    assert_true(tensors_floats(set, "bf16", 2, v, &d) && v[0] == 1 && v[1] == -3.5f);
    assert_true(tensors_floats(set, "i8", 1, v, &d) && v[0] == -5);
    assert_true(tensors_floats(set, "i32", 2, v, &d) && v[0] == 0x1p24f && v[1] == -3);
    arena_free(&a);
}

static void fixtures_read(void **state)
{
    (void)state;
    const struct {
        const char *name;
        int count;
    } files[] = {{"darts_search", 3645}, {"darts_fixed_cifar", 452}, {"proxyless_search", 455}};
    for (size_t i = 0; i < COUNT(files); i++) {
        arena a = {0};
        nasc_diag d = {0};
        char file[512];
        snprintf(file, sizeof file, "%s/fixtures/%s.safetensors", TESTS_DIR, files[i].name);
        struct tensors *set = tensors_read(&a, file, &d);
        assert_string_equal(d.message, "");
        assert_non_null(set);
        assert_int_equal(set->count, files[i].count);
        for (int k = 0; k < set->count; k++) {
            struct tensor *t = &set->at[k];
            float *to = NEW_ARRAY(&a, float, t->count);
            assert_true(tensors_floats(set, t->name, t->count, to, &d));
            for (int64_t e = 0; e < t->count; e++)
                assert_true(isfinite(to[e]));
        }
        assert_int_equal(tensors_unused(set, &(text){.arena = &a}), 0);
        arena_free(&a);
    }
}

static void no_cut_file_reads(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    write_sample();
    char *whole = file_read(&a, path, &size, &d);
    for (size_t cut = 0; cut < size; cut++) {
        arena b = {0};
        put(whole, cut);
        d = (nasc_diag){0};
        assert_null(tensors_read(&b, path, &d));
        assert_int_equal(d.kind, DIAG_INPUT);
        arena_free(&b);
    }
    arena_free(&a);
}

/* Any one byte changed gives a set or an error; what sanitizers watch is that nothing is read outside. */
static void damaged_headers_do_no_harm(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    write_sample();
    char *whole = file_read(&a, path, &size, &d);
    uint64_t header;
    memcpy(&header, whole, 8);
    rng r = rng_open(1, RNG_TEST, 0, 0);
    for (size_t at = 0; at < 8 + header; at++) {
        char kept = whole[at];
        whole[at] = at < 8 ? (char)~kept : "0123456789{}[]\",:\\\xff"[rng_below(&r, 19)];
        put(whole, size);
        whole[at] = kept;
        arena b = {0};
        d = (nasc_diag){0};
        struct tensors *set = tensors_read(&b, path, &d);
        assert_int_equal(set == NULL, d.kind != DIAG_NONE);
        for (int i = 0; set && i < set->count; i++) {
            double *to = NEW_ARRAY(&b, double, set->at[i].count);
            assert_true(tensors_doubles(set, set->at[i].name, set->at[i].count, to, &d));
        }
        arena_free(&b);
    }
    arena_free(&a);
}

static void bad_headers_are_named(void **state)
{
    (void)state;
    const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"[]", 0, "not a JSON object"},
        {"{\"a\":1,\"a\":2}", 0, "duplicate"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "'a' is not described by"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype F31"},
        {"{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype (no text)"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "size 0 of its shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 8 sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4, "too large"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[1152921504606846975,2],\"data_offsets\":[0,4]}}", 4, "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "shape and dtype make 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "which has 4 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,0]}}", 4, "bytes 4 to 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "not a pair"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "'a' leaves a gap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "4 bytes at the end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8, "'b' overlaps"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is not a text"},
        {"{\"__metadata__\":7}", 0, "__metadata__ is not an object"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        arena a = {0};
        nasc_diag d = {0};
        put_header(cases[i].header, cases[i].data);
        assert_null(tensors_read(&a, path, &d));
        if (!strstr(d.message, cases[i].message))
            fail_msg("%s: got '%s', expected '%s'", cases[i].header, d.message, cases[i].message);
        arena_free(&a);
    }
}

static void layouts_are_inverse(void **state)
{
    (void)state;
    enum { O = 4, I = 3, H = 2, W = 5, N = O * I * H * W };
    float file[N], ours[N], back[N];
    for (int i = 0; i < N; i++)
        file[i] = (float)i;
    tensor_oihw_to_hwio(ours, file, O, I, H, W);
    assert_true(ours[((1 * W + 3) * I + 2) * O + 1] == file[((1 * I + 2) * H + 1) * W + 3]);
    tensor_hwio_to_oihw(back, ours, O, I, H, W);
    assert_memory_equal(back, file, sizeof file);
    tensor_transpose(ours, file, 6, 20);
    assert_true(ours[7 * 6 + 2] == file[2 * 20 + 7]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_tensors_read_back),
        cmocka_unit_test(equal_content_is_equal_bytes),
        cmocka_unit_test(wrong_takes_are_errors),
        cmocka_unit_test(small_types_convert),
        cmocka_unit_test(fixtures_read),
        cmocka_unit_test(no_cut_file_reads),
        cmocka_unit_test(damaged_headers_do_no_harm),
        cmocka_unit_test(bad_headers_are_named),
        cmocka_unit_test(layouts_are_inverse),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
