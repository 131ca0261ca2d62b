/* Brightness, contrast, saturation: each blends a picture with a plainer one. */
#include "runtime/data/colour.h"

enum { ONE_BITS = 16, ONE = 1 << ONE_BITS, GREY_R = 19595, GREY_G = 38470, GREY_B = 7471 };

static uint8_t grey_of(const uint8_t *rgb)
{
    return (uint8_t)((GREY_R * rgb[0] + GREY_G * rgb[1] + GREY_B * rgb[2] + ONE / 2) >> ONE_BITS);
}

void colour_to_grey(const uint8_t *rgb, size_t pixels, uint8_t *to)
{
    for (size_t p = 0; p < pixels; p++)
        to[p] = grey_of(rgb + 3 * p);
}

/* (1 - factor) · plain + factor · value; factor in units of 1/ONE. */
static uint8_t blend(int plain, int value, int factor)
{
    int sum = plain * (ONE - factor) + value * factor + ONE / 2;
    return (uint8_t)(sum < 0 ? 0 : sum >> ONE_BITS > 255 ? 255 : sum >> ONE_BITS);
}

static void blend_all(uint8_t *image, size_t count, int plain, int factor)
{
    for (size_t i = 0; i < count; i++)
        image[i] = blend(plain, image[i], factor);
}

static int mean_grey(const uint8_t *image, size_t pixels, int c)
{
    uint64_t sum = 0;
    for (size_t p = 0; p < pixels; p++)
        sum += c == 3 ? grey_of(image + 3 * p) : image[p];
    return pixels ? (int)((sum + pixels / 2) / pixels) : 0;
}

static void saturate(uint8_t *image, size_t pixels, int factor)
{
    for (size_t p = 0; p < pixels; p++) {
        uint8_t *at = image + 3 * p;
        int grey = grey_of(at);
        for (int k = 0; k < 3; k++)
            at[k] = blend(grey, at[k], factor);
    }
}

static int draw_factor(float by, rng *r)
{
    double low = by < 1 ? 1 - (double)by : 0, high = 1 + (double)by;
    return (int)((low + (high - low) * rng_unit(r)) * ONE + 0.5);
}

void colour_shift(uint8_t *image, size_t pixels, int c, const struct colour_jitter *by, rng *r)
{
    enum { BRIGHTNESS, CONTRAST, SATURATION, SHIFTS };
    const float most[SHIFTS] = {by->brightness, by->contrast, by->saturation};
    uint32_t order[SHIFTS] = {BRIGHTNESS, CONTRAST, SATURATION};
    int factor[SHIFTS];
    for (int k = 0; k < SHIFTS; k++)
        factor[k] = draw_factor(most[k], r);
    rng_shuffle(r, order, SHIFTS);
    for (int k = 0; k < SHIFTS && (c == 1 || c == 3); k++) {
        int f = factor[order[k]];
        if (most[order[k]] == 0)
            continue;
        if (order[k] == BRIGHTNESS)
            blend_all(image, pixels * (size_t)c, 0, f);
        else if (order[k] == CONTRAST)
            blend_all(image, pixels * (size_t)c, mean_grey(image, pixels, c), f);
        else if (c == 3)
            saturate(image, pixels, f);
    }
}
