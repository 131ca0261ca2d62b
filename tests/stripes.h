/* Data for planted spaces: horizontal and vertical stripes of equal brightness. */
#ifndef NASC_TEST_STRIPES_H
#define NASC_TEST_STRIPES_H

#include "runtime/data/data.h"
#include "runtime/rng.h"

enum { STRIPES_SIZE = 8, STRIPES_IMAGES = 512, STRIPES_PERIOD = 2 };

/* Stripes of period 4 at a random phase, with noise; label 0: horizontal, 1: vertical. */
static inline void stripes_draw(arena *a, dataset *set)
{
    static float mean = 0.5f, deviation = 0.3f;
    *set = (dataset){.spec = "stripes",
                     .h = STRIPES_SIZE,
                     .w = STRIPES_SIZE,
                     .c = 1,
                     .classes = 2,
                     .mean = &mean,
                     .std = &deviation};
    set->train.count = STRIPES_IMAGES;
    set->train.pixels = NEW_ARRAY(a, uint8_t, STRIPES_IMAGES *STRIPES_SIZE *STRIPES_SIZE);
    set->train.labels = NEW_ARRAY(a, int32_t, STRIPES_IMAGES);
    for (int i = 0; i < STRIPES_IMAGES; i++) {
        rng r = rng_open(1, RNG_TEST, 0, (uint32_t)i);
        int label = i % 2, phase = (int)rng_below(&r, 2 * STRIPES_PERIOD);
        set->train.labels[i] = label;
        for (int y = 0; y < STRIPES_SIZE; y++)
            for (int x = 0; x < STRIPES_SIZE; x++) {
                int bright = ((label ? x : y) + phase) / STRIPES_PERIOD % 2;
                set->train.pixels[(i * STRIPES_SIZE + y) * STRIPES_SIZE + x] =
                    (uint8_t)(60 + 120 * bright + (int)rng_below(&r, 16));
            }
    }
}

#endif
