/* From a sample's number to its pixels. */
#include "runtime/data/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { PATH = 4096 };
static const int64_t BYTES_MOST = INT64_C(1) << 30; /* of a file */

void sample_room_free(sample_room *r)
{
    image_room_free(&r->file);
    image_room_free(&r->decoded);
    image_room_free(&r->work);
    image_room_free(&r->image);
}

/* ---- which are bad ----------------------------------------------------------------------------------------------- */

bool files_path(const struct data_part *part, uint32_t k, char *to, size_t size)
{
    const struct image_files *f = part->files;
    int length = snprintf(to, size, "%s/%s/%s", f->root, f->class_names[part->labels[k]], f->names + f->name[k]);
    return length > 0 && (size_t)length < size;
}

void files_mark(const struct data_part *part, uint32_t k, enum image_fault fault)
{
    uint8_t none = IMAGE_none;
    if (atomic_compare_exchange_strong(&part->files->fault[k], &none, (uint8_t)fault))
        atomic_fetch_add(&part->files->untold, 1);
}

bool files_bad(const struct data_part *part, uint32_t k)
{
    return part->files && atomic_load_explicit(&part->files->fault[k], memory_order_relaxed) != IMAGE_none;
}

/* Names are counted from the folder of the classes, so that the set may be moved. */
static uint64_t hash_part(uint64_t hash, const struct data_part *part)
{
    char path[PATH];
    size_t root = strlen(part->files->root);
    for (uint32_t k = 0; k < (uint32_t)part->count; k++) {
        struct stat about;
        if (!files_path(part, k, path, sizeof path) || stat(path, &about) < 0)
            about = (struct stat){0}; /* gone since the folder was read */
        const int64_t facts[] = {about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
        hash = XXH3_64bits_withSeed(path + root, strlen(path + root), hash);
        hash = XXH3_64bits_withSeed(facts, sizeof facts, hash);
    }
    return hash;
}

uint64_t data_fingerprint(const dataset *set)
{
    if (!set->train.files)
        return 0;
    return hash_part(hash_part(0, &set->train), &set->test);
}

static void tell_part(const struct data_part *part, const struct progress *to)
{
    char path[PATH];
    if (!to || !part->files || atomic_exchange(&part->files->untold, 0) == 0)
        return;
    for (uint32_t k = 0; k < (uint32_t)part->count; k++) {
        uint8_t fault = atomic_load(&part->files->fault[k]);
        if (fault == IMAGE_none || fault & FAULT_TOLD)
            continue;
        atomic_store(&part->files->fault[k], fault | FAULT_TOLD);
        if (files_path(part, k, path, sizeof path))
            progress_warn(to, path, image_fault_text((enum image_fault)fault));
        else
            progress_warn(to, part->files->names + part->files->name[k], image_fault_text((enum image_fault)fault));
    }
}

void data_tell(const dataset *set, const struct progress *to)
{
    tell_part(&set->train, to);
    tell_part(&set->test, to);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* What says nothing of the file itself is no fault of the file's. */
static enum image_fault fault_of(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE ? IMAGE_memory : IMAGE_unreadable;
}

static enum image_fault read_open(int file, image_room *room, size_t *size)
{
    struct stat about;
    if (fstat(file, &about) < 0 || !S_ISREG(about.st_mode) || about.st_size > BYTES_MOST)
        return IMAGE_unreadable;
    if (!image_room_fit(room, (size_t)about.st_size))
        return IMAGE_memory;
    uint8_t *to = room->at;
    for (*size = 0; *size < (size_t)about.st_size;) {
        ssize_t got = read(file, to + *size, (size_t)about.st_size - *size);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return fault_of(errno);
        *size += got > 0 ? (size_t)got : 0;
    }
    return IMAGE_none;
}

static enum image_fault read_file(const struct data_part *part, uint32_t k, image_room *room, size_t *size)
{
    char path[PATH];
    if (!files_path(part, k, path, sizeof path))
        return IMAGE_unreadable;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return fault_of(errno);
    enum image_fault fault = read_open(file, room, size);
    close(file);
    return fault;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

static window choose_window(const dataset *set, const batch_key *key, uint32_t k, int h, int w, bool in_memory)
{
    if (key->augment->crop_area > 0) {
        rng r = rng_open(key->seed, RNG_WINDOW, key->epoch, k);
        return window_random(h, w, key->augment->crop_area, &r);
    }
    return in_memory ? (window){.h = h, .w = w} : window_centre(h, w, set->h, set->w, set->centre);
}

/* The most that a picture can be reduced by and still have as many pixels in the window as are wanted. */
static int reduction(const window *of, int to_h, int to_w)
{
    int reduce = 8;
    while (reduce > 1 && (of->h < (double)to_h * reduce || of->w < (double)to_w * reduce))
        reduce /= 2;
    return reduce;
}

static int divided_up(int a, int b)
{
    return (a + b - 1) / b;
}

/* The window as [h][w][3] in room->image. */
static enum image_fault window_of_file(const dataset *set, const batch_key *key, uint32_t k, sample_room *room)
{
    size_t size;
    image picture;
    enum image_fault fault = read_file(key->of.part, k, &room->file, &size);
    if (fault == IMAGE_none)
        fault = image_measure(room->file.at, size, &picture);
    if (fault != IMAGE_none)
        return fault;
    window of = choose_window(set, key, k, picture.h, picture.w, false);
    fault = image_decode(room->file.at, size, reduction(&of, set->h, set->w), &room->decoded, &picture);
    if (fault != IMAGE_none)
        return fault;
    int by = picture.reduced;
    window reduced = {of.y / by, of.x / by, of.h / by, of.w / by};
    bool ok = resample(picture.rgb, divided_up(picture.h, by), divided_up(picture.w, by), 3, &reduced, set->h, set->w,
                       &room->work, room->image.at);
    return ok ? IMAGE_none : IMAGE_memory;
}

static enum image_fault window_of_pixels(const dataset *set, const batch_key *key, uint32_t k, sample_room *room)
{
    size_t bytes = (size_t)set->h * (size_t)set->w * (size_t)set->c;
    window of = choose_window(set, key, k, set->h, set->w, true);
    bool ok = resample(key->of.part->pixels + bytes * k, set->h, set->w, set->c, &of, set->h, set->w, &room->work,
                       room->image.at);
    return ok ? IMAGE_none : IMAGE_memory;
}

enum image_fault sample_view(const dataset *set, const batch_key *key, uint32_t k, sample_room *room,
                             const uint8_t **to)
{
    const struct colour_jitter *j = &key->augment->jitter;
    const struct data_part *part = key->of.part;
    bool jitter = j->brightness > 0 || j->contrast > 0 || j->saturation > 0;
    size_t pixels = (size_t)set->h * (size_t)set->w;
    CHECK(k < (uint32_t)part->count);
    if (part->pixels && !jitter && key->augment->crop_area <= 0) {
        *to = part->pixels + pixels * (size_t)set->c * k;
        return IMAGE_none;
    }
    if (!image_room_fit(&room->image, pixels * (size_t)(set->c > 3 ? set->c : 3)))
        return IMAGE_memory;
    enum image_fault fault = (part->pixels ? window_of_pixels : window_of_file)(set, key, k, room);
    if (fault == IMAGE_none && part->files && set->c == 1)
        colour_to_grey(room->image.at, pixels, room->image.at);
    if (fault == IMAGE_none && jitter) {
        rng r = rng_open(key->seed, RNG_COLOUR, key->epoch, k);
        colour_shift(room->image.at, pixels, set->c, j, &r);
    }
    *to = room->image.at;
    return fault;
}
