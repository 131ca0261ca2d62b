/* Which samples come when. */
#include "runtime/data/data.h"
#include "runtime/rng.h"

samples samples_of(const struct data_part *part)
{
    return (samples){.part = part, .count = (uint32_t)part->count};
}

void data_split(uint32_t n, uint64_t seed, uint32_t *to)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = i;
    rng r = rng_open(seed, RNG_HALVES, 0, 0);
    rng_shuffle(&r, to, n);
}

uint32_t data_held_out(uint32_t n, double share)
{
    return (uint32_t)(n * share + 0.5);
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
