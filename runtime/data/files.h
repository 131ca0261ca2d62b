/* Samples that are files: where they lie, and which of them are bad. */
#ifndef NASC_DATA_FILES_H
#define NASC_DATA_FILES_H

#include "runtime/data/data.h"
#include "runtime/data/image.h"
#include "runtime/data/resample.h"

#include <stdatomic.h>

/* All that is held of a sample is its name and a byte. */
struct image_files {
    const char *root;         /* the folder of the classes */
    const char **class_names; /* by label */
    const char *names;        /* each ended by a zero byte */
    size_t *name;             /* [count]: where in `names` */
    _Atomic uint8_t *fault;   /* [count]: enum image_fault, once it is known; told ones have FAULT_TOLD besides */
    atomic_int untold;
};

enum { FAULT_TOLD = 0x80 };

/* Working memory of one thread. */
typedef struct sample_room {
    image_room file, decoded, work, image;
} sample_room;
void sample_room_free(sample_room *r);

/* The path of sample k; false: it is too long. */
bool files_path(const struct data_part *part, uint32_t k, char *to, size_t size);
/* Sample k is bad, for good. */
void files_mark(const struct data_part *part, uint32_t k, enum image_fault fault);
bool files_bad(const struct data_part *part, uint32_t k);

/* Pixels of sample k as [h][w][c] in `*to`, valid until the room is used again: the window that `augment` has drawn, in
 * its colours. IMAGE_none, or why there are none. */
enum image_fault sample_view(const dataset *set, const batch_key *key, uint32_t k, sample_room *room,
                             const uint8_t **to);

/* Sets mean and deviation: of all pixels in memory; of files those of a bounded number of images, drawn by the seed, as
 * evaluation sees them. */
bool data_measure(arena *a, dataset *set, uint64_t seed, nasc_diag *d);

#endif
