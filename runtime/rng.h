/* Random numbers as a function of where they are used: Philox4x32-10 keyed by the seed, its counter made of purpose,
 * step (or epoch) and index (of a sample, a tensor, …). Nothing depends on threads, timing or what was drawn before;
 * a resumed run draws what it would have drawn. */
#ifndef NASC_RNG_H
#define NASC_RNG_H

#include <stdint.h>

/* The numbers are part of every recorded run: append, never reorder. */
enum rng_purpose {
    RNG_WEIGHTS = 1,
    RNG_ALPHAS = 2,
    RNG_SHUFFLE = 3,
    RNG_CROP = 4,
    RNG_FLIP = 5,
    RNG_CUTOUT = 6,
    RNG_DROP_PATH = 7,
    RNG_DROPOUT = 8,
    RNG_HALVES = 9,
    RNG_PATHS = 10,
    RNG_SYNTHETIC = 11,
    RNG_GENOTYPE = 12,
    RNG_LATENCY = 13,
    RNG_TEST = 14,
    RNG_GATES = 15,
    RNG_WINDOW = 16,
    RNG_COLOUR = 17,
    RNG_MEASURE = 18,
    RNG_SET_ASIDE = 19,
};

/* Block `block` (four words) of the stream (seed, purpose, step, index). */
void rng_bits(uint64_t seed, enum rng_purpose purpose, uint32_t step, uint32_t index, uint32_t block, uint32_t bits[4]);

/* A place in one stream, for drawing in sequence. */
typedef struct rng {
    uint64_t seed;
    enum rng_purpose purpose;
    uint32_t step, index, block;
    int left; /* words of `bits` not yet drawn */
    uint32_t bits[4];
} rng;

rng rng_open(uint64_t seed, enum rng_purpose purpose, uint32_t step, uint32_t index);
uint32_t rng_word(rng *r);
double rng_unit(rng *r);                /* [0, 1), 53 bits */
float rng_unit_float(rng *r);           /* [0, 1), 24 bits */
double rng_normal(rng *r);              /* mean 0, deviation 1 */
uint32_t rng_below(rng *r, uint32_t k); /* 0 … k-1, each as likely; k > 0 */
void rng_shuffle(rng *r, uint32_t *at, uint32_t n);

#endif
