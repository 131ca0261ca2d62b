/* Masks. A stream of random numbers belongs to (step, mask, image), so that batches may be filled in any order. */
#include "runtime/train/masks.h"
#include "runtime/rng.h"

enum { IMAGES_MAX = 65536 };

int64_t masks_elements(const program *p)
{
    int64_t total = 1;
    for (int m = 0; m < p->masks.count; m++)
        total += (int64_t)p->masks.at[m].channels * p->batch;
    return total;
}

void masks_fill(const program *p, float *masks, int n, double drop_path, uint64_t seed, uint32_t step)
{
    CHECK(n <= IMAGES_MAX);
    for (int m = 0; m < p->masks.count; m++) {
        const struct program_mask *mask = &p->masks.at[m];
        bool path = mask->channels == 1;
        double drop = path ? mask->rate * drop_path : mask->rate;
        float stays = (float)(1 / (1 - drop));
        for (int image = 0; image < n; image++) {
            float *to = masks + mask->offset + (int64_t)image * mask->channels;
            rng r = rng_open(seed, path ? RNG_DROP_PATH : RNG_DROPOUT, step, (uint32_t)(m * IMAGES_MAX + image));
            for (int c = 0; c < mask->channels; c++)
                to[c] = rng_unit(&r) < drop ? 0 : stays;
        }
    }
}
