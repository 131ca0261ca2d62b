/* Batches: crop and flip on the raw image, then normalise, then cutout, the order of DARTS' transforms. */
#include "runtime/data/data.h"
#include "runtime/rng.h"

#include <math.h>

enum { LEVELS = 256 };

/* What happens to one sample. */
struct view {
    int dy, dx; /* the crop's corner in the unpadded image, may be negative */
    bool flip;
    int top, bottom, left, right; /* cutout: [top, bottom) x [left, right) */
};

static int clip(int v, int most)
{
    return v < 0 ? 0 : v > most ? most : v;
}

static struct view choose_view(const dataset *set, const struct data_augment *g, uint64_t seed, uint32_t epoch,
                               uint32_t sample)
{
    struct view v = {0};
    if (g->crop) {
        rng r = rng_open(seed, RNG_CROP, epoch, sample);
        uint32_t places = 2 * (uint32_t)g->crop + 1;
        v.dy = (int)rng_below(&r, places) - g->crop;
        v.dx = (int)rng_below(&r, places) - g->crop;
    }
    if (g->flip) {
        rng r = rng_open(seed, RNG_FLIP, epoch, sample);
        v.flip = rng_below(&r, 2);
    }
    if (g->cutout) {
        rng r = rng_open(seed, RNG_CUTOUT, epoch, sample);
        int y = (int)rng_below(&r, (uint32_t)set->h), x = (int)rng_below(&r, (uint32_t)set->w);
        v.top = clip(y - g->cutout / 2, set->h);
        v.bottom = clip(y + g->cutout / 2, set->h);
        v.left = clip(x - g->cutout / 2, set->w);
        v.right = clip(x + g->cutout / 2, set->w);
    }
    return v;
}

static float level(const dataset *set, bool normalise, int c, int pixel)
{
    float x = (float)pixel / 255.0f;
    return normalise ? (x - set->mean[c]) / set->std[c] : x;
}

/* Channel c of one sample; `of` is what each grey level becomes. Outside the image pixels are raw zeros. */
static void fill_channel(const dataset *set, const uint8_t *from, const struct view *v, int c, const float *of,
                         float blank, float *to)
{
    int h = set->h, w = set->w, pixel = set->c;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int sy = y + v->dy, sx = (v->flip ? w - 1 - x : x) + v->dx;
            bool inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
            float value = of[inside ? from[((size_t)sy * (size_t)w + (size_t)sx) * (size_t)pixel + (size_t)c] : 0];
            if (y >= v->top && y < v->bottom && x >= v->left && x < v->right)
                value = blank;
            to[((size_t)y * (size_t)w + (size_t)x) * (size_t)pixel + (size_t)c] = value;
        }
}

void data_batch(const dataset *set, const struct data_part *part, const uint32_t *indices, int n,
                const struct data_augment *augment, uint64_t seed, uint32_t epoch, float *x, int32_t *y)
{
    size_t image = (size_t)set->h * (size_t)set->w * (size_t)set->c;
    for (int c = 0; c < set->c; c++) {
        float of[LEVELS];
        for (int p = 0; p < LEVELS; p++)
            of[p] = level(set, augment->normalise, c, p);
        for (int i = 0; i < n; i++) {
            CHECK(indices[i] < (uint32_t)part->count);
            struct view v = choose_view(set, augment, seed, epoch, indices[i]);
            fill_channel(set, part->pixels + image * indices[i], &v, c, of, augment->normalise ? 0 : set->mean[c],
                         x + image * (size_t)i);
        }
    }
    for (int i = 0; y && i < n; i++)
        y[i] = part->labels[indices[i]];
}

void data_halves(uint32_t n, uint64_t seed, uint32_t *to)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = i;
    rng r = rng_open(seed, RNG_HALVES, 0, 0);
    rng_shuffle(&r, to, n);
}

void data_order(const uint32_t *samples, uint32_t n, uint64_t seed, uint32_t epoch, uint32_t which, uint32_t *to)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = samples ? samples[i] : i;
    rng r = rng_open(seed, RNG_SHUFFLE, epoch, which);
    rng_shuffle(&r, to, n);
}

int data_batches(uint32_t n, int batch, bool drop_last)
{
    return (int)(drop_last ? n / (uint32_t)batch : (n + (uint32_t)batch - 1) / (uint32_t)batch);
}

int data_batch_size(uint32_t n, int batch, int k)
{
    uint32_t left = n - (uint32_t)k * (uint32_t)batch;
    return left < (uint32_t)batch ? (int)left : batch;
}
