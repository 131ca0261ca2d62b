/* Data sets, and batches out of them. A batch is a pure function of (set, list of samples, place in it, seed, epoch):
 * what is drawn is keyed by the sample, not by its place in the batch or the thread that fills it. */
#ifndef NASC_DATA_H
#define NASC_DATA_H

#include "base/base.h"
#include "runtime/data/colour.h"
#include "runtime/progress.h"

struct image_files;

/* Samples come from pixels in memory or, where a set would be too large for that, from files, which are decoded when a
 * batch asks for them (files.h). */
struct data_part {
    int count;
    uint8_t *pixels; /* [count][h][w][c]; NULL: of files */
    int32_t *labels; /* [count], 0 … classes-1 */
    struct image_files *files;
};

typedef struct dataset {
    const char *spec;
    int h, w, c, classes;
    struct data_part train, test;
    float *mean, *std;        /* [c], of the training set in [0, 1]; a constant channel has std 1 */
    const char **class_names; /* [classes], or NULL where the files do not say */
    double centre;            /* of files: see data_options */
    int threads;              /* that decode files; 0: one */
    const char *note;         /* what a user should know of how the set was read, or NULL */
} dataset;

/* `seed`: of synthetic sets and of what is set aside for testing. The rest is for kinds whose images have no size of
 * their own; for others it does not count. */
typedef struct data_options {
    uint64_t seed;
    int h, w, c;   /* what images become; c 1: grey, 3: RGB */
    double centre; /* part of an image's shorter side that the view of evaluation keeps (0.875: 224 of 256) */
    int threads;
} data_options;

/* Opens "KIND:PATH": idx:DIR (MNIST family, plain or .gz), cifar10:DIR, cifar100:DIR (binary versions),
 * synthetic:HxWxC/CLASSES[/COUNT] (made from the seed: COUNT training samples, 2048 by default, and a quarter for
 * testing), images:DIR (JPEG and PNG, a folder a class, in DIR/train beside DIR/val or DIR/test; where these are not,
 * in DIR, and the seed sets a tenth of each class aside for testing). The set is owned by `a`. NULL with a diagnostic.
 */
dataset *data_open(arena *a, const char *spec, const data_options *o, nasc_diag *d);
/* Whether sets of this kind take the size that they are asked for. */
bool data_takes_size(const char *spec);
/* Of the files that samples are: a hash of their names, sizes and times of change; 0: the set is held in memory. */
uint64_t data_fingerprint(const dataset *set);
/* Tells `to` (NULL: nobody yet) of files that turned out bad since it was last told. On the thread that the progress
 * belongs to. */
void data_tell(const dataset *set, const struct progress *to);

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Some samples of a part of a data set, in an order. */
typedef struct samples {
    const struct data_part *part;
    const uint32_t *at; /* NULL: 0 … count-1 */
    uint32_t count;
} samples;

samples samples_of(const struct data_part *part);

/* In the order in which it happens. */
struct data_augment {
    double crop_area; /* a window of this part to all of the image's area, resized; 0: the view of evaluation */
    struct colour_jitter jitter;
    int crop;       /* random crop from an image padded by this many zeros (raw values) on each side; 0: none */
    bool flip;      /* left-right, one in two */
    bool normalise; /* (x/255 - mean) / std, each operation rounded to float32; otherwise x/255 */
    int cutout;     /* side of a square set to what normalises to zero; 0: none */
};

typedef struct batch_key {
    samples of; /* the list that the samples stand in */
    uint32_t first;
    int n;
    const struct data_augment *augment;
    uint64_t seed;
    uint32_t epoch;
} batch_key;

/* Fills x [n][h][w][c] and y [n] with samples first … first + n - 1 of the list. y may be NULL. A sample whose file is
 * bad is replaced by the next good one of the list, which begins anew at its end. The number of samples that were
 * replaced; -1 with a diagnostic: the list has no good one, or memory has run out. */
int data_batch(const dataset *set, const batch_key *key, float *x, int32_t *y, nasc_diag *d);

/* Samples 0 … n-1 shuffled by the seed: what a search learns weights from comes first, then what it holds out. */
void data_split(uint32_t n, uint64_t seed, uint32_t *to);
/* How many of n samples are held out. */
uint32_t data_held_out(uint32_t n, double share);

/* The order of an epoch: `to` is `samples` (NULL: 0 … n-1) shuffled. Sets that are walked side by side, as the parts
 * of a search are, take different `which`. */
void data_order(const uint32_t *samples, uint32_t n, uint64_t seed, uint32_t epoch, uint32_t which, uint32_t *to);

/* Batches in an epoch of n samples. */
int data_batches(uint32_t n, int batch, bool drop_last);
/* Samples in batch k of an epoch (its first is k · batch). */
int data_batch_size(uint32_t n, int batch, int k);

#endif
