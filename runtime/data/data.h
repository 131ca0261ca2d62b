/* Data sets in memory, and batches out of them. A batch is a pure function of (set, sample indices, seed, epoch):
 * augmentation is keyed by the sample, not by its place in the batch or the thread that fills it. */
#ifndef NASC_DATA_H
#define NASC_DATA_H

#include "base/base.h"

struct data_part {
    int count;
    uint8_t *pixels; /* [count][h][w][c] */
    int32_t *labels; /* [count], 0 … classes-1 */
};

typedef struct dataset {
    const char *spec;
    int h, w, c, classes;
    struct data_part train, test;
    float *mean, *std;        /* [c], of the training set in [0, 1]; a constant channel has std 1 */
    const char **class_names; /* [classes], or NULL where the files do not say */
} dataset;

/* Opens "KIND:PATH": idx:DIR (MNIST family, plain or .gz), cifar10:DIR, cifar100:DIR (binary versions),
 * synthetic:HxWxC/CLASSES[/COUNT] (made from the seed: COUNT training samples, 2048 by default, and a quarter for
 * testing). The set is owned by `a`. NULL with a diagnostic. */
dataset *data_open(arena *a, const char *spec, uint64_t seed, nasc_diag *d);

struct data_augment {
    bool normalise; /* (x/255 - mean) / std, each operation rounded to float32; otherwise x/255 */
    int crop;       /* random crop from an image padded by this many zeros (raw values) on each side; 0: none */
    bool flip;      /* left-right, one in two */
    int cutout;     /* side of a square set to what normalises to zero; 0: none */
};

/* Fills x [n][h][w][c] and y [n] with samples `indices` of `part`. y may be NULL. */
void data_batch(const dataset *set, const struct data_part *part, const uint32_t *indices, int n,
                const struct data_augment *augment, uint64_t seed, uint32_t epoch, float *x, int32_t *y);

/* Splits samples 0 … n-1 by the seed: the first half is to[0 … n/2), the second the rest. */
void data_halves(uint32_t n, uint64_t seed, uint32_t *to);

/* The order of an epoch: `to` is `samples` (NULL: 0 … n-1) shuffled. Sets that are walked side by side, as the halves
 * of a search are, take different `which`. */
void data_order(const uint32_t *samples, uint32_t n, uint64_t seed, uint32_t epoch, uint32_t which, uint32_t *to);

/* Batches in an epoch of n samples. */
int data_batches(uint32_t n, int batch, bool drop_last);
/* Samples in batch k of an epoch (its first is k · batch). */
int data_batch_size(uint32_t n, int batch, int k);

#endif
