/* Philox from Random123 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) and what is drawn from it.
 */
#include "runtime/rng.h"
#include "runtime/elementary.h"

#include <math.h>
#include <Random123/philox.h>

void rng_bits(uint64_t seed, enum rng_purpose purpose, uint32_t step, uint32_t index, uint32_t block, uint32_t bits[4])
{
    philox4x32_ctr_t counter = {{block, index, step, (uint32_t)purpose}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t out = philox4x32(counter, key);
    for (int i = 0; i < 4; i++)
        bits[i] = out.v[i];
}

rng rng_open(uint64_t seed, enum rng_purpose purpose, uint32_t step, uint32_t index)
{
    return (rng){.seed = seed, .purpose = purpose, .step = step, .index = index};
}

uint32_t rng_word(rng *r)
{
    if (r->left == 0) {
        rng_bits(r->seed, r->purpose, r->step, r->index, r->block++, r->bits);
        r->left = 4;
    }
    return r->bits[4 - r->left--];
}

double rng_unit(rng *r)
{
    uint64_t high = rng_word(r);
    uint64_t low = rng_word(r);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

float rng_unit_float(rng *r)
{
    return (float)(rng_word(r) >> 8) * 0x1p-24f;
}

/* Box and Muller's transform; its second value is not used, so that one call is always four words. */
double rng_normal(rng *r)
{
    double radius = sqrt(-2 * exact_log(1 - rng_unit(r)));
    return radius * exact_cos_turns(rng_unit(r));
}

/* Lemire, "Fast random integer generation in an interval", 2019. */
uint32_t rng_below(rng *r, uint32_t k)
{
    uint64_t product = (uint64_t)rng_word(r) * k;
    if ((uint32_t)product < k) {
        uint32_t biased = -k % k;
        while ((uint32_t)product < biased)
            product = (uint64_t)rng_word(r) * k;
    }
    return (uint32_t)(product >> 32);
}

void rng_shuffle(rng *r, uint32_t *at, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = rng_below(r, i);
        uint32_t last = at[i - 1];
        at[i - 1] = at[j];
        at[j] = last;
    }
}
