/* Images without files: each class has its own pattern of plane waves in each channel, each sample its own noise.
 * Hard enough that a network must look at space (the mean of a channel tells little), easy enough to be learnt in an
 * epoch. */
#include "runtime/data/source.h"
#include "runtime/elementary.h"
#include "runtime/rng.h"

#include <stdio.h>
#include <string.h>

enum { WAVES = 3, TRAIN = 2048, SIDE_MOST = 1024, CHANNELS_MOST = 64, CLASSES_MOST = 10000, COUNT_MOST = 10000000 };
static const double AMPLITUDE = 20; /* of one wave, in grey levels; the noise has a deviation of 37 */

/* Index 0 of stream step 0 … are patterns; samples are steps 1 (train) and 2 (test). */
static float *make_patterns(struct source *s)
{
    const dataset *set = s->set;
    size_t plane = (size_t)set->h * (size_t)set->w, image = plane * (size_t)set->c;
    float *patterns = NEW_ARRAY(s->a, float, image *(size_t)set->classes);
    for (int k = 0; k < set->classes; k++) {
        rng r = rng_open(s->options->seed, RNG_SYNTHETIC, 0, (uint32_t)k);
        for (int wave = 0; wave < WAVES * set->c; wave++) {
            double fx = (double)rng_below(&r, 4) / set->w, fy = (double)(1 + rng_below(&r, 3)) / set->h;
            double phase = rng_unit(&r);
            float *to = patterns + (size_t)k * image + wave % set->c;
            for (size_t p = 0; p < plane; p++) {
                size_t x = p % (size_t)set->w, y = p / (size_t)set->w;
                to[p * (size_t)set->c] += (float)(AMPLITUDE * exact_cos_turns(fx * (double)x + fy * (double)y + phase));
            }
        }
    }
    return patterns;
}

/* The four bytes of a word, summed: nearly normal, deviation 148. */
static float noise(rng *r)
{
    uint32_t word = rng_word(r);
    return (float)((word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24)) - 510;
}

static void make_part(struct source *s, const float *patterns, struct data_part *part, int count, uint32_t step)
{
    const dataset *set = s->set;
    size_t image = (size_t)set->h * (size_t)set->w * (size_t)set->c;
    part->count = count;
    part->pixels = arena_alloc(s->a, image * (size_t)count);
    part->labels = NEW_ARRAY(s->a, int32_t, count);
    for (int n = 0; n < count; n++) {
        part->labels[n] = n % set->classes;
        rng r = rng_open(s->options->seed, RNG_SYNTHETIC, step, (uint32_t)n);
        const float *from = patterns + image * (size_t)part->labels[n];
        uint8_t *to = part->pixels + image * (size_t)n;
        for (size_t i = 0; i < image; i++) {
            float value = 128 + from[i] + 0.25f * noise(&r);
            to[i] = value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
        }
    }
}

bool synthetic_open(struct source *s)
{
    dataset *set = s->set;
    int count = TRAIN, used = 0;
    int found =
        sscanf(s->path, "%4dx%4dx%2d/%5d%n/%8d%n", &set->h, &set->w, &set->c, &set->classes, &used, &count, &used);
    if (found < 4 || s->path[used])
        return diag_fail(s->d, DIAG_INPUT, s->spec, "is not synthetic:HxWxC/CLASSES or synthetic:HxWxC/CLASSES/COUNT");
    if (set->h < 1 || set->h > SIDE_MOST || set->w < 1 || set->w > SIDE_MOST || set->c < 1 || set->c > CHANNELS_MOST ||
        set->classes < 2 || set->classes > CLASSES_MOST || count < 4 || count > COUNT_MOST)
        return diag_fail(s->d, DIAG_INPUT, s->spec,
                         "sizes are 1 to %d, channels 1 to %d, classes 2 to %d, samples 4 to %d", SIDE_MOST,
                         CHANNELS_MOST, CLASSES_MOST, COUNT_MOST);
    const float *patterns = make_patterns(s);
    make_part(s, patterns, &set->train, count, 1);
    make_part(s, patterns, &set->test, count / 4, 2);
    return true;
}
