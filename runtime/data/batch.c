/* Batches: window, colours, crop and flip on bytes, then normalise, then cutout, the order of DARTS' transforms. */
#include "runtime/data/files.h"
#include "runtime/data/lanes.h"

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

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* A batch on its way, which several threads fill. */
typedef struct filling {
    const dataset *set;
    const batch_key *key;
    const float *of; /* [c][LEVELS]: what each grey level becomes */
    float *x;
    int32_t *y;
    sample_room rooms[LANES_MOST];
    atomic_int replaced;
    atomic_bool no_room, no_sample;
} filling;

static uint32_t sample_at(const samples *of, uint32_t place)
{
    uint32_t k = place % of->count;
    return of->at ? of->at[k] : k;
}

/* The first good sample of the list from `place` on, once around. */
static enum image_fault find_sample(const filling *f, uint32_t place, sample_room *room, uint32_t *k,
                                    const uint8_t **image, bool *replaced)
{
    const samples *of = &f->key->of;
    enum image_fault fault = IMAGE_unreadable;
    for (uint32_t i = 0; i < of->count; i++) {
        *k = sample_at(of, place + i);
        *replaced = i > 0;
        if (files_bad(of->part, *k))
            continue;
        fault = sample_view(f->set, f->key, *k, room, image);
        if (fault == IMAGE_none || fault == IMAGE_memory)
            return fault;
        files_mark(of->part, *k, fault);
    }
    return fault == IMAGE_none ? IMAGE_unreadable : fault;
}

static void fill_sample(void *user, int lane, int item)
{
    filling *f = user;
    const dataset *set = f->set;
    const struct data_augment *g = f->key->augment;
    uint32_t k;
    const uint8_t *image;
    bool replaced;
    enum image_fault fault = find_sample(f, f->key->first + (uint32_t)item, &f->rooms[lane], &k, &image, &replaced);
    if (fault == IMAGE_memory)
        atomic_store(&f->no_room, true);
    else if (fault != IMAGE_none)
        atomic_store(&f->no_sample, true);
    if (fault != IMAGE_none)
        return;
    atomic_fetch_add(&f->replaced, replaced);
    struct view v = choose_view(set, g, f->key->seed, f->key->epoch, k);
    float *x = f->x + (size_t)set->h * (size_t)set->w * (size_t)set->c * (size_t)item;
    for (int c = 0; c < set->c; c++)
        fill_channel(set, image, &v, c, f->of + (ptrdiff_t)c * LEVELS, g->normalise ? 0 : set->mean[c], x);
    if (f->y)
        f->y[item] = f->key->of.part->labels[k];
}

static int fill_all(filling *f, nasc_diag *d)
{
    const struct data_part *part = f->key->of.part;
    lanes_run(part->files ? f->set->threads : 1, f->key->n, fill_sample, f);
    for (int lane = 0; lane < LANES_MOST; lane++)
        sample_room_free(&f->rooms[lane]);
    if (f->no_room)
        diag_memory(d);
    else if (f->no_sample)
        diag_fail(d, DIAG_INPUT, part->files->root, "none of the %u images of this part can be read",
                  (unsigned)f->key->of.count);
    return f->no_room || f->no_sample ? -1 : f->replaced;
}

int data_batch(const dataset *set, const batch_key *key, float *x, int32_t *y, nasc_diag *d)
{
    float *of = mem_alloc((size_t)set->c * LEVELS * sizeof *of);
    if (!of) {
        diag_memory(d);
        return -1;
    }
    for (int c = 0; c < set->c; c++)
        for (int p = 0; p < LEVELS; p++)
            of[c * LEVELS + p] = level(set, key->augment->normalise, c, p);
    filling f = {.set = set, .key = key, .of = of, .x = x, .y = y};
    int replaced = fill_all(&f, d);
    mem_free(of);
    return replaced;
}
