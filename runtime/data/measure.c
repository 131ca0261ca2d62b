/* Mean and deviation a channel over a training set; sums of bytes are exact, and so the same in any order. */
#include "runtime/data/files.h"
#include "runtime/data/lanes.h"

#include <math.h>

enum { MEASURED_MOST = 1024 };

static void moments(uint64_t sum, uint64_t squares, uint64_t pixels, float *mean, float *std)
{
    double middle = (double)sum / (double)pixels;
    double variance = (double)squares / (double)pixels - middle * middle;
    *mean = (float)(middle / 255);
    *std = variance > 1e-9 ? (float)(sqrt(variance) / 255) : 1;
}

static void measure_pixels(dataset *set)
{
    size_t pixels = (size_t)set->train.count * (size_t)set->h * (size_t)set->w;
    for (int c = 0; c < set->c; c++) {
        uint64_t sum = 0, squares = 0;
        for (size_t i = 0; i < pixels; i++) {
            uint64_t p = set->train.pixels[i * (size_t)set->c + (size_t)c];
            sum += p;
            squares += p * p;
        }
        moments(sum, squares, pixels, &set->mean[c], &set->std[c]);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

enum { CHANNELS_MOST = 3 };

typedef struct sums {
    uint64_t sum[CHANNELS_MOST], squares[CHANNELS_MOST], pixels;
} sums;

typedef struct measuring {
    const dataset *set;
    batch_key key; /* its list: the images that are measured */
    sample_room rooms[LANES_MOST];
    sums *of;            /* [lane] */
    atomic_bool no_room; /* memory has run out */
} measuring;

static void measure_one(void *user, int lane, int item)
{
    measuring *m = user;
    const dataset *set = m->set;
    uint32_t k = m->key.of.at[item];
    const uint8_t *image;
    enum image_fault fault = sample_view(set, &m->key, k, &m->rooms[lane], &image);
    if (fault == IMAGE_memory)
        atomic_store(&m->no_room, true);
    else if (fault != IMAGE_none)
        files_mark(m->key.of.part, k, fault);
    if (fault != IMAGE_none)
        return;
    sums *s = &m->of[lane];
    size_t pixels = (size_t)set->h * (size_t)set->w;
    for (size_t p = 0; p < pixels; p++)
        for (int c = 0; c < set->c; c++) {
            uint64_t value = image[p * (size_t)set->c + (size_t)c];
            s->sum[c] += value;
            s->squares[c] += value * value;
        }
    s->pixels += pixels;
}

/* All images of a small set; of a large one as many as are measured at most, drawn. */
static samples choose_measured(arena *a, const struct data_part *part, uint64_t seed)
{
    uint32_t all = (uint32_t)part->count, count = all < MEASURED_MOST ? all : MEASURED_MOST;
    uint32_t *at = NEW_ARRAY(a, uint32_t, count);
    rng r = rng_open(seed, RNG_MEASURE, 0, 0);
    for (uint32_t i = 0; i < count; i++)
        at[i] = count == all ? i : rng_below(&r, all);
    return (samples){part, at, count};
}

static bool take_measure(dataset *set, const measuring *m, nasc_diag *d)
{
    sums all = {.pixels = 0};
    for (int lane = 0; lane < LANES_MOST; lane++) {
        all.pixels += m->of[lane].pixels;
        for (int c = 0; c < set->c; c++) {
            all.sum[c] += m->of[lane].sum[c];
            all.squares[c] += m->of[lane].squares[c];
        }
    }
    if (all.pixels == 0)
        return diag_fail(d, DIAG_INPUT, set->train.files->root, "none of %u of its images can be read: the first %s",
                         (unsigned)m->key.of.count,
                         image_fault_text(atomic_load(&set->train.files->fault[m->key.of.at[0]]) & ~FAULT_TOLD));
    for (int c = 0; c < set->c; c++)
        moments(all.sum[c], all.squares[c], all.pixels, &set->mean[c], &set->std[c]);
    return true;
}

static bool measure_files(arena *a, dataset *set, uint64_t seed, nasc_diag *d)
{
    static const struct data_augment plain = {.normalise = true};
    measuring *m = NEW(a, measuring);
    m->set = set;
    m->of = NEW_ARRAY(a, sums, LANES_MOST);
    m->key = (batch_key){.of = choose_measured(a, &set->train, seed), .augment = &plain};
    CHECK(set->c <= CHANNELS_MOST);
    lanes_run(set->threads, (int)m->key.of.count, measure_one, m);
    for (int lane = 0; lane < LANES_MOST; lane++)
        sample_room_free(&m->rooms[lane]);
    return m->no_room ? diag_memory(d) : take_measure(set, m, d);
}

bool data_measure(arena *a, dataset *set, uint64_t seed, nasc_diag *d)
{
    set->mean = NEW_ARRAY(a, float, set->c);
    set->std = NEW_ARRAY(a, float, set->c);
    if (set->train.files)
        return measure_files(a, set, seed, d);
    measure_pixels(set);
    return true;
}
