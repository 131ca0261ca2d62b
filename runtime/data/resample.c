/* Resampling: columns, then rows. A pixel's weights sum to ONE exactly, so that what is even stays as it is. */
#include "runtime/data/resample.h"
#include "runtime/elementary.h"

#include <math.h>
#include <string.h>

enum { ONE_BITS = 16, ONE = 1 << ONE_BITS, ATTEMPTS = 10 };
static const double SHAPE_LEAST = 3.0 / 4, SHAPE_MOST = 4.0 / 3;

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static window centred(int h, int w, double window_h, double window_w)
{
    return (window){(h - window_h) / 2, (w - window_w) / 2, window_h, window_w};
}

window window_centre(int h, int w, int to_h, int to_w, double part)
{
    double scale = fmin((double)h / to_h, (double)w / to_w) * part;
    return centred(h, w, to_h * scale, to_w * scale);
}

window window_random(int h, int w, double least, rng *r)
{
    double low = exact_log(SHAPE_LEAST), high = exact_log(SHAPE_MOST);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        double area = (double)h * w * (least + (1 - least) * rng_unit(r));
        double shape = exact_exp(low + (high - low) * rng_unit(r));
        double window_w = floor(sqrt(area * shape) + 0.5), window_h = floor(sqrt(area / shape) + 0.5);
        if (window_h < 1 || window_w < 1 || window_h > h || window_w > w)
            continue;
        uint32_t y = rng_below(r, (uint32_t)(h - (int)window_h + 1)),
                 x = rng_below(r, (uint32_t)(w - (int)window_w + 1));
        return (window){y, x, window_h, window_w};
    }
    double shape = fmin(fmax((double)w / h, SHAPE_LEAST), SHAPE_MOST);
    return centred(h, w, fmin(h, w / shape), fmin(w, h * shape));
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* Along one axis: pixel i is Σ weight[i · taps + t] · from[first[i] + t], t < count[i]. */
typedef struct axis {
    int taps; /* most of them */
    int32_t *first, *count, *weight;
} axis;

/* What a triangle of this half-width reaches, and one more at each side for where it begins within a pixel. */
static double radius_of(double length, int to)
{
    return fmax(length / to, 1);
}

static int taps_of(double length, int to)
{
    return 2 * (int)ceil(radius_of(length, to)) + 1;
}

static size_t axis_words(double length, int to)
{
    return (size_t)to * (size_t)(2 + taps_of(length, to));
}

/* The triangle about `centre` at the pixels that it reaches, rounded; the largest takes what rounding left over. */
static void pixel_weights(axis *a, int i, int pixels, double centre, double radius)
{
    int first = (int)fmax(floor(centre - radius + 0.5), 0), end = (int)fmin(floor(centre + radius + 0.5), pixels);
    int32_t *weight = a->weight + (ptrdiff_t)i * a->taps, left = ONE;
    double sum = 0;
    for (int at = first; at < end; at++)
        sum += fmax(1 - fabs(at + 0.5 - centre) / radius, 0);
    int largest = 0;
    for (int at = first; at < end; at++) {
        int32_t *one = &weight[at - first];
        *one = (int32_t)floor(fmax(1 - fabs(at + 0.5 - centre) / radius, 0) / sum * ONE + 0.5);
        left -= *one;
        if (*one > weight[largest])
            largest = at - first;
    }
    weight[largest] += left;
    a->first[i] = first;
    a->count[i] = end - first;
}

/* Of `pixels` pixels, those from `start` on for `length`, to `to` pixels. Takes its words from `*words`. */
static axis axis_new(int pixels, double start, double length, int to, int32_t **words)
{
    axis a = {.taps = taps_of(length, to)};
    double scale = length / to;
    a.first = *words;
    a.count = a.first + to;
    a.weight = a.count + to;
    *words += axis_words(length, to);
    for (int i = 0; i < to; i++)
        pixel_weights(&a, i, pixels, start + (i + 0.5) * scale, radius_of(length, to));
    return a;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* Three channels, side by side: most pictures. */
static void along_rgb(const axis *a, const uint8_t *from, int to_w, uint8_t *to)
{
    for (int x = 0; x < to_w; x++, to += 3) {
        const int32_t *weight = a->weight + (ptrdiff_t)x * a->taps;
        const uint8_t *at = from + (ptrdiff_t)a->first[x] * 3;
        int32_t red = ONE / 2, green = ONE / 2, blue = ONE / 2;
        for (int t = 0; t < a->count[x]; t++, at += 3) {
            red += weight[t] * at[0];
            green += weight[t] * at[1];
            blue += weight[t] * at[2];
        }
        to[0] = (uint8_t)(red >> ONE_BITS);
        to[1] = (uint8_t)(green >> ONE_BITS);
        to[2] = (uint8_t)(blue >> ONE_BITS);
    }
}

static void along_row(const axis *a, const uint8_t *from, int c, int to_w, uint8_t *to)
{
    for (int i = 0; i < to_w * c; i++) {
        int x = i / c;
        const int32_t *weight = a->weight + (ptrdiff_t)x * a->taps;
        const uint8_t *at = from + (ptrdiff_t)a->first[x] * c + i % c;
        int32_t sum = ONE / 2;
        for (int t = 0; t < a->count[x]; t++)
            sum += weight[t] * at[t * c];
        to[i] = (uint8_t)(sum >> ONE_BITS);
    }
}

/* Row y of `to` out of rows of `bytes` each; `sums` holds as many. */
static void across_rows(const axis *a, int y, const uint8_t *from, size_t bytes, int32_t *sums, uint8_t *to)
{
    for (size_t i = 0; i < bytes; i++)
        sums[i] = ONE / 2;
    for (int t = 0; t < a->count[y]; t++) {
        const uint8_t *row = from + (size_t)t * bytes;
        int32_t weight = a->weight[(ptrdiff_t)y * a->taps + t];
        for (size_t i = 0; i < bytes; i++)
            sums[i] += weight * row[i];
    }
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(sums[i] >> ONE_BITS);
}

/* The columns of rows first … end - 1, each of `w` pixels. */
static void columns(const axis *a, const uint8_t *from, int first, int end, int w, int c, int to_w, uint8_t *to)
{
    for (int y = first; y < end; y++) {
        const uint8_t *row = from + (size_t)y * (size_t)w * (size_t)c;
        uint8_t *into = to + (size_t)(y - first) * (size_t)to_w * (size_t)c;
        if (c == 3)
            along_rgb(a, row, to_w, into);
        else
            along_row(a, row, c, to_w, into);
    }
}

static bool whole(int h, int w, const window *of, int to_h, int to_w)
{
    return h == to_h && w == to_w && of->y == 0 && of->x == 0 && of->h == h && of->w == w;
}

bool resample(const uint8_t *from, int h, int w, int c, const window *of, int to_h, int to_w, image_room *work,
              uint8_t *to)
{
    if (whole(h, w, of, to_h, to_w)) {
        memcpy(to, from, (size_t)h * (size_t)w * (size_t)c);
        return true;
    }
    size_t bytes = (size_t)to_w * (size_t)c;
    size_t words = axis_words(of->w, to_w) + axis_words(of->h, to_h) + bytes;
    if (!image_room_fit(work, 4 * words + bytes * (size_t)h))
        return false;
    int32_t *next = work->at;
    axis across = axis_new(w, of->x, of->w, to_w, &next), down = axis_new(h, of->y, of->h, to_h, &next);
    int first = down.first[0], end = down.first[to_h - 1] + down.count[to_h - 1];
    uint8_t *between = (uint8_t *)(next + bytes);
    columns(&across, from, first, end, w, c, to_w, between);
    for (int y = 0; y < to_h; y++)
        across_rows(&down, y, between + bytes * (size_t)(down.first[y] - first), bytes, next, to + bytes * (size_t)y);
    return true;
}
