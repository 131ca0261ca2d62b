/* The MNIST family's idx files: a magic number 00 00 08 RANK, big-endian sizes, bytes. */
#include "runtime/data/source.h"

#include <string.h>

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Checks magic, sizes and length of the file at hand. */
static bool check_idx(struct source *s, int rank, uint32_t *sizes)
{
    size_t header = 4 + 4 * (size_t)rank;
    if (s->size < header)
        return diag_fail(s->d, DIAG_INPUT, s->file, "is too short for an idx file (%zu bytes)", s->size);
    uint32_t magic = big_endian(s->bytes), wanted = 0x800u + (uint32_t)rank;
    if (magic != wanted)
        return diag_fail(s->d, DIAG_INPUT, s->file, "magic number is 0x%08x, expected 0x%08x", magic, wanted);
    size_t bytes = 1;
    for (int i = 0; i < rank; i++) {
        sizes[i] = big_endian(s->bytes + 4 + 4 * i);
        if (sizes[i] == 0 || sizes[i] > INT32_MAX || __builtin_mul_overflow(bytes, (size_t)sizes[i], &bytes))
            return diag_fail(s->d, DIAG_INPUT, s->file, "size %d is %u", i, sizes[i]);
    }
    if (s->size - header != bytes)
        return diag_fail(s->d, DIAG_INPUT, s->file, "holds %zu bytes of data, its header announces %zu",
                         s->size - header, bytes);
    return true;
}

static bool read_images(struct source *s, const char *name, struct data_part *part)
{
    uint32_t sizes[3] = {0};
    if (!source_read(s, s->path, name) || !check_idx(s, 3, sizes))
        return false;
    dataset *set = s->set;
    if (set->h && (set->h != (int)sizes[1] || set->w != (int)sizes[2]))
        return diag_fail(s->d, DIAG_INPUT, s->file, "images are %ux%u, the training set's are %dx%d", sizes[1],
                         sizes[2], set->h, set->w);
    set->h = (int)sizes[1];
    set->w = (int)sizes[2];
    set->c = 1;
    part->count = (int)sizes[0];
    part->pixels = arena_copy(s->a, s->bytes + 16, s->size - 16);
    return true;
}

static bool read_labels(struct source *s, const char *name, struct data_part *part, bool training)
{
    uint32_t count = 0;
    if (!source_read(s, s->path, name) || !check_idx(s, 1, &count))
        return false;
    if ((int)count != part->count)
        return diag_fail(s->d, DIAG_INPUT, s->file, "has %u labels for %d images", count, part->count);
    part->labels = NEW_ARRAY(s->a, int32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        int label = s->bytes[8 + i];
        if (training && label >= s->set->classes)
            s->set->classes = label + 1;
        if (label >= s->set->classes)
            return diag_fail(s->d, DIAG_INPUT, s->file, "label %u is %d, the training set has %d classes", i, label,
                             s->set->classes);
        part->labels[i] = label;
    }
    return true;
}

bool idx_open(struct source *s)
{
    return read_images(s, "train-images-idx3-ubyte", &s->set->train) &&
           read_labels(s, "train-labels-idx1-ubyte", &s->set->train, true) &&
           read_images(s, "t10k-images-idx3-ubyte", &s->set->test) &&
           read_labels(s, "t10k-labels-idx1-ubyte", &s->set->test, false);
}
