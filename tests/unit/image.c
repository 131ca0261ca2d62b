/* Pictures: pixels of every kind of file are exact, damaged files are refused wherever they are damaged, windows keep
 * to their bounds, resampling and colours do what their definitions say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "pictures.h"
#include "runtime/data/colour.h"
#include "runtime/data/resample.h"

enum { H = 21, W = 34 };

/* Smooth enough that JPEG keeps it, different in each channel. */
static void draw(uint8_t *to, int h, int w, int channels)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < channels; c++)
                to[(y * w + x) * channels + c] = (uint8_t)(40 + 3 * y + (c + 1) * x + 25 * c);
}

/* ---- exactness --------------------------------------------------------------------------------------------------- */

static enum image_fault decode(const uint8_t *bytes, size_t size, int reduce, image_room *room, image *to)
{
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read beyond the end */
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    enum image_fault fault = image_decode(exact, size, reduce, room, to);
    free(exact);
    return fault;
}

static uint8_t grey_at(const uint8_t *row, int x, int bits)
{
    if (bits == 16)
        return (uint8_t)(((row[2 * x] << 8 | row[2 * x + 1]) * 255 + 32895) >> 16);
    int per = 8 / bits, levels = (1 << bits) - 1;
    return (uint8_t)((row[x / per] >> (8 - bits - x % per * bits) & levels) * 255 / levels);
}

/* Grey of every depth, with rows of bytes that are drawn at random. */
static void grey_png_is_exact(void **state)
{
    (void)state;
    static const int depths[] = {1, 2, 4, 8, 16};
    image_room room = {0};
    for (size_t i = 0; i < 2 * COUNT(depths); i++) {
        const png_style style = {.bits = depths[i / 2], .colour = PNG_COLOR_TYPE_GRAY, .interlaced = i % 2};
        uint8_t rows[H * 2 * W], *bytes;
        rng r = rng_open(5, RNG_TEST, (uint32_t)i, 0);
        size_t row = ((size_t)W * (size_t)style.bits + 7) / 8;
        for (size_t k = 0; k < row * H; k++)
            rows[k] = (uint8_t)rng_below(&r, 256);
        size_t size = png_make(rows, H, W, &style, &bytes);
        image got;
        assert_int_equal(decode(bytes, size, 8, &room, &got), IMAGE_none);
        assert_true(got.h == H && got.w == W && got.reduced == 1);
        for (int p = 0; p < H * W; p++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(got.rgb[3 * p + c], grey_at(rows + (size_t)(p / W) * row, p % W, style.bits));
        free(bytes);
    }
    image_room_free(&room);
}

/* Colours; alpha is dropped, 16 bits become 8. */
static void colour_png_is_exact(void **state)
{
    (void)state;
    static const struct {
        int colour, bits, channels;
    } kinds[] = {{PNG_COLOR_TYPE_RGB, 8, 3},
                 {PNG_COLOR_TYPE_RGB, 16, 3},
                 {PNG_COLOR_TYPE_RGB_ALPHA, 8, 4},
                 {PNG_COLOR_TYPE_RGB_ALPHA, 16, 4},
                 {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2}};
    image_room room = {0};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        uint8_t rows[H * W * 8], *bytes;
        rng r = rng_open(6, RNG_TEST, (uint32_t)i, 0);
        int channels = kinds[i].channels, wide = kinds[i].bits / 8;
        for (int k = 0; k < H * W * channels * wide; k++)
            rows[k] = (uint8_t)rng_below(&r, 256);
        const png_style style = {.colour = kinds[i].colour, .bits = kinds[i].bits};
        size_t size = png_make(rows, H, W, &style, &bytes);
        image got;
        assert_int_equal(decode(bytes, size, 1, &room, &got), IMAGE_none);
        for (int p = 0; p < H * W; p++)
            for (int c = 0; c < 3; c++) {
                const uint8_t *at = rows + (p * channels + (channels == 2 ? 0 : c)) * wide;
                assert_int_equal(got.rgb[3 * p + c], wide == 2 ? grey_at(at, 0, 16) : at[0]);
            }
        free(bytes);
    }
    image_room_free(&room);
}

static void palette_png_is_exact(void **state)
{
    (void)state;
    const png_color palette[4] = {{1, 2, 3}, {250, 128, 0}, {7, 77, 177}, {255, 255, 255}};
    const png_style style = {.colour = PNG_COLOR_TYPE_PALETTE, .bits = 2, .palette = palette};
    uint8_t rows[H * ((W + 3) / 4)], *bytes;
    for (size_t k = 0; k < sizeof rows; k++)
        rows[k] = (uint8_t)(k * 37);
    size_t size = png_make(rows, H, W, &style, &bytes);
    image_room room = {0};
    image got;
    assert_int_equal(decode(bytes, size, 1, &room, &got), IMAGE_none);
    for (int p = 0; p < H * W; p++) {
        int x = p % W, index = rows[p / W * ((W + 3) / 4) + x / 4] >> (6 - x % 4 * 2) & 3;
        assert_int_equal(got.rgb[3 * p], palette[index].red);
        assert_int_equal(got.rgb[3 * p + 1], palette[index].green);
        assert_int_equal(got.rgb[3 * p + 2], palette[index].blue);
    }
    free(bytes);
    image_room_free(&room);
}

/* What libjpeg says by itself of a good file. */
static void by_libjpeg(const uint8_t *bytes, size_t size, int reduce, uint8_t *to)
{
    struct jpeg_decompress_struct j;
    struct jpeg_error_mgr errors;
    j.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, bytes, size);
    jpeg_read_header(&j, TRUE);
    j.out_color_space = JCS_RGB;
    j.scale_num = 1;
    j.scale_denom = (unsigned)reduce;
    jpeg_start_decompress(&j);
    while (j.output_scanline < j.output_height) {
        JSAMPROW row = to + (size_t)j.output_scanline * j.output_width * 3;
        jpeg_read_scanlines(&j, &row, 1);
    }
    jpeg_finish_decompress(&j);
    jpeg_destroy_decompress(&j);
}

static void jpeg_is_exact(void **state)
{
    (void)state;
    static const jpeg_style styles[] = {
        {.channels = 3}, {.channels = 3, .progressive = true}, {.channels = 3, .restart = 1}, {.channels = 1}};
    image_room room = {0};
    for (size_t i = 0; i < COUNT(styles); i++) {
        uint8_t pixels[H * W * 3], expected[H * W * 3], *bytes;
        int channels = styles[i].channels;
        draw(pixels, H, W, channels);
        size_t size = jpeg_make(pixels, H, W, &styles[i], &bytes);
        for (int reduce = 1; reduce <= 8; reduce *= 2) {
            image got;
            int h = (H + reduce - 1) / reduce, w = (W + reduce - 1) / reduce;
            assert_int_equal(decode(bytes, size, reduce, &room, &got), IMAGE_none);
            assert_true(got.h == H && got.w == W && got.reduced == reduce);
            by_libjpeg(bytes, size, reduce, expected);
            assert_memory_equal(got.rgb, expected, (size_t)h * (size_t)w * 3);
            for (int p = 0; reduce == 1 && p < H * W; p++)
                for (int c = 0; c < 3; c++)
                    assert_in_range(got.rgb[3 * p + c] + 256 - pixels[p * channels + (channels == 1 ? 0 : c)], 246,
                                    266);
        }
        free(bytes);
    }
    image_room_free(&room);
}

/* Ink as Adobe writes it, 255 for none, and as the standard has it. */
static void cmyk_becomes_rgb(void **state)
{
    (void)state;
    static const uint8_t ink[4] = {200, 100, 50, 180};
    uint8_t pixels[16 * 16 * 4], *bytes;
    image_room room = {0};
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = ink[i % 4];
    size_t size = jpeg_make(pixels, 16, 16, &(jpeg_style){.channels = 4, .quality = 100}, &bytes);
    for (int adobe = 1; adobe >= 0; adobe--) {
        image got;
        assert_int_equal(decode(bytes, size, 1, &room, &got), IMAGE_none);
        for (int p = 0; p < 256 * 3; p++) {
            int paper = adobe ? ink[p % 3] : 255 - ink[p % 3], light = adobe ? ink[3] : 255 - ink[3];
            assert_in_range(got.rgb[p] + 256 - (paper * light + 127) / 255, 254, 258);
        }
        for (size_t k = 0; k + 5 < size; k++) /* without its marker a reader takes it as the standard has it */
            if (memcmp(bytes + k, "Adobe", 5) == 0)
                bytes[k] = 'a';
    }
    free(bytes);
    image_room_free(&room);
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

/* Each cut of it is refused, and says that it ends early; a changed byte may pass or be refused, no more than that. */
static void damage(uint8_t *bytes, size_t size)
{
    image_room room = {0};
    image got;
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(decode(bytes, cut, 1, &room, &got),
                         cut < 2 && cut > 0 && bytes[0] == 0xff ? IMAGE_unknown : IMAGE_cut);
    assert_int_equal(decode(bytes, size, 1, &room, &got), IMAGE_none);
    rng r = rng_open(9, RNG_TEST, (uint32_t)size, 0);
    int refused = 0;
    for (size_t at = 0; at < size; at++)
        for (int attempt = 0; attempt < 4; attempt++) {
            uint8_t kept = bytes[at];
            bytes[at] = attempt == 0 ? 0xff : attempt == 1 ? 0 : (uint8_t)rng_below(&r, 256);
            refused += decode(bytes, size, attempt == 3 ? 8 : 1, &room, &got) != IMAGE_none;
            bytes[at] = kept;
        }
    assert_true(refused > 0);
    image_room_free(&room);
    free(bytes);
}

static void damaged_jpeg_is_refused(void **state)
{
    (void)state;
    static const jpeg_style styles[] = {
        {.channels = 3}, {.channels = 3, .progressive = true}, {.channels = 3, .restart = 1}, {.channels = 4}};
    for (size_t i = 0; i < COUNT(styles); i++) {
        uint8_t pixels[H * W * 4], *bytes;
        draw(pixels, H, W, styles[i].channels);
        size_t size = jpeg_make(pixels, H, W, &styles[i], &bytes);
        damage(bytes, size);
    }
}

static void damaged_png_is_refused(void **state)
{
    (void)state;
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        uint8_t pixels[H * W * 3], *bytes;
        draw(pixels, H, W, 3);
        const png_style style = {.colour = PNG_COLOR_TYPE_RGB, .bits = 8, .interlaced = interlaced};
        size_t size = png_make(pixels, H, W, &style, &bytes);
        damage(bytes, size);
    }
}

/* Sizes that a header announces are believed only so far. */
static void large_pictures_are_refused(void **state)
{
    (void)state;
    uint8_t pixels[H * W * 3], *bytes;
    image_room room = {0};
    image got;
    draw(pixels, H, W, 3);
    size_t size = jpeg_make(pixels, H, W, &(jpeg_style){.channels = 3}, &bytes), at = 2;
    while (bytes[at] != 0xff || bytes[at + 1] != 0xc0)
        at++;
    memset(bytes + at + 5, 0xf0, 4);
    assert_int_equal(decode(bytes, size, 8, &room, &got), IMAGE_large);
    free(bytes);
    const uint8_t gif[] = "GIF89a";
    assert_int_equal(decode(gif, sizeof gif, 1, &room, &got), IMAGE_unknown);
    assert_string_equal(image_fault_text(IMAGE_large), "has more than 67108864 pixels");
    assert_int_equal(IMAGE_PIXELS_MOST, 67108864);
    image_room_free(&room);
}

/* Some cameras and tools leave bytes behind a picture. */
static void what_follows_the_end_does_not_count(void **state)
{
    (void)state;
    uint8_t pixels[H * W * 3], *bytes;
    image_room room = {0};
    image got;
    draw(pixels, H, W, 3);
    size_t size = jpeg_make(pixels, H, W, &(jpeg_style){.channels = 3}, &bytes);
    uint8_t *longer = malloc(size + 64);
    assert_non_null(longer);
    memcpy(longer, bytes, size);
    memset(longer + size, 7, 64);
    assert_int_equal(decode(longer, size + 64, 1, &room, &got), IMAGE_none);
    free(longer);
    free(bytes);
    image_room_free(&room);
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static void random_windows_keep_their_bounds(void **state)
{
    (void)state;
    static const int sizes[][2] = {{375, 500}, {500, 333}, {28, 28}, {1, 1}, {3, 700}, {900, 2}};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        int h = sizes[i][0], w = sizes[i][1];
        bool usual = i < 2;
        double smallest = 1, largest = 0, left = 1e9, right = 0;
        for (uint32_t k = 0; k < 2000; k++) {
            rng r = rng_open(3, RNG_WINDOW, k, 0);
            window v = window_random(h, w, 0.08, &r);
            double part = v.h * v.w / ((double)h * w), shape = v.w / v.h;
            assert_true(v.y >= 0 && v.x >= 0 && v.y + v.h <= h && v.x + v.w <= w && v.h > 0 && v.w > 0);
            if (usual) /* a pixel's rounding each way */
                assert_true(part > 0.075 && shape > 0.74 && shape < 1.35);
            smallest = fmin(smallest, part);
            largest = fmax(largest, part);
            left = fmin(left, v.x);
            right = fmax(right, v.x + v.w);
        }
        if (usual)
            assert_true(smallest < 0.1 && largest > 0.85 && left == 0 && right == w);
    }
    rng r = rng_open(3, RNG_WINDOW, 0, 0);
    window v = window_random(3, 700, 0.5, &r); /* none fits: the largest of a shape that is allowed */
    assert_true(v.h == 3 && v.w == 4 && v.y == 0 && v.x == 348);
}

static void centres_have_the_shape_asked_for(void **state)
{
    (void)state;
    window v = window_centre(256, 512, 224, 224, 0.875);
    assert_true(v.h == 224 && v.w == 224 && v.y == 16 && v.x == 144);
    v = window_centre(100, 100, 50, 25, 1);
    assert_true(v.h == 100 && v.w == 50 && v.y == 0 && v.x == 25);
    v = window_centre(28, 28, 28, 28, 1);
    assert_true(v.h == 28 && v.w == 28 && v.y == 0 && v.x == 0);
}

/* ---- resampling -------------------------------------------------------------------------------------------------- */

static void resample_all(const uint8_t *from, int h, int w, int c, int to_h, int to_w, uint8_t *to)
{
    image_room work = {0};
    window all = {0, 0, h, w};
    assert_true(resample(from, h, w, c, &all, to_h, to_w, &work, to));
    image_room_free(&work);
}

static void what_is_even_stays(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {7, 5}, {33, 64}, {100, 3}};
    uint8_t from[H * W * 3], to[100 * 64 * 3];
    for (int level = 0; level < 256; level += 5)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            size_t count = (size_t)sizes[i][0] * (size_t)sizes[i][1] * 3;
            memset(from, level, sizeof from);
            resample_all(from, H, W, 3, sizes[i][0], sizes[i][1], to);
            for (size_t k = 0; k < count; k++)
                assert_int_equal(to[k], level);
        }
}

/* Halved, a pixel has weights 1/8 3/8 3/8 1/8, at the edge 3/7 3/7 1/7; doubled, 3/4 1/4. */
static void weights_are_triangles(void **state)
{
    (void)state;
    const uint8_t row[8] = {0, 80, 160, 240, 16, 56, 200, 8};
    uint8_t half[4], twice[16];
    resample_all(row, 1, 8, 1, 1, 4, half);
    assert_int_equal(half[0], (3 * 0 + 3 * 80 + 160 + 3) / 7);
    assert_int_equal(half[1], (80 + 3 * 160 + 3 * 240 + 16 + 4) / 8);
    assert_int_equal(half[2], (240 + 3 * 16 + 3 * 56 + 200 + 4) / 8);
    resample_all(row, 1, 8, 1, 1, 16, twice);
    assert_int_equal(twice[0], 0);
    assert_int_equal(twice[1], 20);
    assert_int_equal(twice[2], 60);
    assert_int_equal(twice[3], 100);
    resample_all(row, 8, 1, 1, 4, 1, twice); /* the other way */
    assert_memory_equal(half, twice, 4);
}

/* By definition in floating point, for windows at random. */
static double triangle_mean(const uint8_t *from, int pixels, int step, double centre, double radius)
{
    double sum = 0, weights = 0;
    for (int i = 0; i < pixels; i++) {
        double weight = fmax(1 - fabs(i + 0.5 - centre) / radius, 0);
        sum += weight * from[i * step];
        weights += weight;
    }
    return sum / weights;
}

static void windows_are_resampled_by_definition(void **state)
{
    (void)state;
    uint8_t from[H * W * 3], to[9 * 40 * 3];
    image_room work = {0};
    rng r = rng_open(11, RNG_TEST, 0, 0);
    for (size_t k = 0; k < sizeof from; k++)
        from[k] = (uint8_t)rng_below(&r, 256);
    for (int attempt = 0; attempt < 200; attempt++) {
        window v = {.h = 1 + 19 * rng_unit(&r), .w = 1 + 32 * rng_unit(&r)};
        v.y = (H - v.h) * rng_unit(&r);
        v.x = (W - v.w) * rng_unit(&r);
        int h = 1 + (int)rng_below(&r, 9), w = 1 + (int)rng_below(&r, 40);
        assert_true(resample(from, H, W, 3, &v, h, w, &work, to));
        for (int p = 0; p < h * w * 3; p++) {
            int y = p / 3 / w, x = p / 3 % w;
            uint8_t column[H];
            for (int row = 0; row < H; row++)
                column[row] = (uint8_t)(triangle_mean(from + 3 * row * W + p % 3, W, 3, v.x + (x + 0.5) * v.w / w,
                                                      fmax(v.w / w, 1)) +
                                        0.5);
            double expected = triangle_mean(column, H, 1, v.y + (y + 0.5) * v.h / h, fmax(v.h / h, 1));
            assert_true(fabs(to[p] - expected) <= 1.6); /* two roundings, one of them through the other's weights */
        }
    }
    image_room_free(&work);
}

/* ---- colours ----------------------------------------------------------------------------------------------------- */

static void shifted(uint8_t *to, uint32_t k, const struct colour_jitter *by)
{
    rng r = rng_open(4, RNG_COLOUR, 0, k);
    colour_shift(to, 16, 3, by, &r);
}

static void colours_shift_as_far_as_asked(void **state)
{
    (void)state;
    const struct colour_jitter bright = {.brightness = 0.4F}, contrast = {.contrast = 0.5F},
                               saturation = {.saturation = 0.5F};
    int low = 255, high = 0;
    for (uint32_t k = 0; k < 500; k++) {
        uint8_t image[48], grey[48];
        memset(image, 100, sizeof image);
        shifted(image, k, &bright);
        low = image[0] < low ? image[0] : low;
        high = image[0] > high ? image[0] : high;
        memset(grey, 100, sizeof grey);
        shifted(grey, k, &contrast);   /* about its own mean */
        shifted(grey, k, &saturation); /* about each pixel's grey */
        for (int i = 0; i < 48; i++) {
            assert_int_equal(grey[i], 100);
            assert_int_equal(image[i], image[0]);
        }
        for (int i = 0; i < 48; i++)
            image[i] = i % 3 == 0 ? 200 : i % 6 < 3 ? 60 : 40;
        shifted(image, k, &saturation);
        uint8_t before[3] = {200, 60, 60}, luma[2];
        colour_to_grey(before, 1, &luma[0]);
        colour_to_grey(image, 1, &luma[1]);
        assert_in_range(luma[1] + 256 - luma[0], 255, 257);
    }
    assert_in_range(low, 60, 62);
    assert_in_range(high, 138, 140);
}

static void colours_keep_to_bytes_and_seeds(void **state)
{
    (void)state;
    const struct colour_jitter much = {.brightness = 10, .contrast = 10, .saturation = 10};
    for (uint32_t k = 0; k < 200; k++) {
        uint8_t image[48], again[48];
        draw(image, 4, 4, 3);
        draw(again, 4, 4, 3);
        shifted(image, k, &much);
        shifted(again, k, &much);
        assert_memory_equal(image, again, sizeof image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_png_is_exact),
        cmocka_unit_test(colour_png_is_exact),
        cmocka_unit_test(palette_png_is_exact),
        cmocka_unit_test(jpeg_is_exact),
        cmocka_unit_test(cmyk_becomes_rgb),
        cmocka_unit_test(damaged_jpeg_is_refused),
        cmocka_unit_test(damaged_png_is_refused),
        cmocka_unit_test(large_pictures_are_refused),
        cmocka_unit_test(what_follows_the_end_does_not_count),
        cmocka_unit_test(random_windows_keep_their_bounds),
        cmocka_unit_test(centres_have_the_shape_asked_for),
        cmocka_unit_test(what_is_even_stays),
        cmocka_unit_test(weights_are_triangles),
        cmocka_unit_test(windows_are_resampled_by_definition),
        cmocka_unit_test(colours_shift_as_far_as_asked),
        cmocka_unit_test(colours_keep_to_bytes_and_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
