/* The binary versions of CIFAR: records of one or two label bytes and a 3x32x32 image, channel planes first. */
#include "runtime/data/source.h"

#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE };

struct layout {
    const char *folder; /* as the archive unpacks; the files may also lie in DIR itself */
    const char *const *train;
    int train_files;
    const char *test, *names;
    int label_bytes; /* the last one counts (CIFAR-100: coarse, fine) */
    int classes;
};

/* Appends the records of one file to `part`, whose arrays have room. */
static bool add_records(struct source *s, const struct layout *l, struct data_part *part)
{
    size_t record = (size_t)l->label_bytes + IMAGE, count = s->size / record;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *from = s->bytes + i * record;
        int label = from[l->label_bytes - 1];
        if (label >= l->classes)
            return diag_fail(s->d, DIAG_INPUT, s->file, "label %zu is %d, expected less than %d", i, label, l->classes);
        uint8_t *to = part->pixels + (size_t)part->count * IMAGE;
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < PLANE; p++)
                to[3 * p + c] = from[l->label_bytes + c * PLANE + p];
        part->labels[part->count++] = label;
    }
    return true;
}

static bool read_part(struct source *s, const struct layout *l, const char *folder, const char *const *files, int n,
                      struct data_part *part)
{
    size_t record = (size_t)l->label_bytes + IMAGE;
    int room = 0;
    for (int i = 0; i < n; i++) {
        if (!source_read(s, folder, files[i]))
            return false;
        size_t count = s->size / record;
        if (count == 0 || s->size % record || count > 1000000)
            return diag_fail(s->d, DIAG_INPUT, s->file, "has %zu bytes, expected a multiple of %zu", s->size, record);
        if (part->count + (int)count > room) { /* all files of a set are as long as its first */
            room = part->count + (int)count * (n - i);
            uint8_t *pixels = arena_alloc(s->a, (size_t)room * IMAGE);
            int32_t *labels = NEW_ARRAY(s->a, int32_t, room);
            if (part->count) {
                memcpy(pixels, part->pixels, (size_t)part->count * IMAGE);
                memcpy(labels, part->labels, (size_t)part->count * sizeof *labels);
            }
            part->pixels = pixels;
            part->labels = labels;
        }
        if (!add_records(s, l, part))
            return false;
    }
    return true;
}

static bool cifar_open(struct source *s, const struct layout *l)
{
    s->set->h = s->set->w = SIDE;
    s->set->c = 3;
    s->set->classes = l->classes;
    const char *inner = arena_printf(s->a, "%s/%s", s->path, l->folder);
    const char *folder = source_has(inner, l->test) ? inner : s->path;
    if (!read_part(s, l, folder, l->train, l->train_files, &s->set->train) ||
        !read_part(s, l, folder, &l->test, 1, &s->set->test))
        return false;
    source_class_names(s, folder, l->names);
    return s->d->kind == DIAG_NONE;
}

bool cifar10_open(struct source *s)
{
    static const char *const train[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                        "data_batch_5.bin"};
    static const struct layout layout = {
        .folder = "cifar-10-batches-bin",
        .train = train,
        .train_files = COUNT(train),
        .test = "test_batch.bin",
        .names = "batches.meta.txt",
        .label_bytes = 1,
        .classes = 10,
    };
    return cifar_open(s, &layout);
}

bool cifar100_open(struct source *s)
{
    static const char *const train[] = {"train.bin"};
    static const struct layout layout = {
        .folder = "cifar-100-binary",
        .train = train,
        .train_files = COUNT(train),
        .test = "test.bin",
        .names = "fine_label_names.txt",
        .label_bytes = 2,
        .classes = 100,
    };
    return cifar_open(s, &layout);
}
