/* Pictures out of the bytes of a file, JPEG or PNG, told apart by what they begin with and not by the file's name. What
 * leaves is always 8-bit RGB: grey becomes three equal channels, a palette its colours, 16 bits 8; an alpha channel is
 * dropped; CMYK is converted. Orientation tags and colour profiles do not count, as in the training of published
 * networks. A file is read to its end whatever part of it is wanted, so that it is good or bad once and for all. */
#ifndef NASC_DATA_IMAGE_H
#define NASC_DATA_IMAGE_H

#include "base/base.h"

enum { IMAGE_PIXELS_MOST = 1 << 26 };

/* X(name, text): what can be wrong with a file. */
#define IMAGE_FAULTS(X)                                                                                                \
    X(none, "")                                                                                                        \
    X(unreadable, "cannot be read")                                                                                    \
    X(unknown, "is neither JPEG nor PNG")                                                                              \
    X(cut, "ends early")                                                                                               \
    X(damaged, "is damaged")                                                                                           \
    X(unsupported, "is of a kind of JPEG that cannot be read")                                                         \
    X(large, "has more than 67108864 pixels")                                                                          \
    X(memory, "out of memory")

enum image_fault {
#define X(name, text) IMAGE_##name,
    IMAGE_FAULTS(X)
#undef X
        IMAGE_FAULT_COUNT
};
const char *image_fault_text(enum image_fault fault);

/* Memory that grows and is kept for the next picture; all zeros: none yet. */
typedef struct image_room {
    void *at;
    size_t size;
} image_room;

/* At least `size` bytes, contents undefined; false: memory has run out. */
bool image_room_fit(image_room *r, size_t size);
void image_room_free(image_room *r);

typedef struct image {
    int h, w;           /* of the whole picture */
    int reduced;        /* pixels of the picture a pixel of what was decoded, each way: 1, 2, 4 or 8 */
    const uint8_t *rgb; /* [⌈h/reduced⌉][⌈w/reduced⌉][3] */
} image;

/* Height and width alone. */
enum image_fault image_measure(const uint8_t *bytes, size_t size, image *to);
/* Decodes into `room`. `reduce` is the most that the picture may be reduced by, which spares a JPEG's decoder the work;
 * a PNG stays whole. */
enum image_fault image_decode(const uint8_t *bytes, size_t size, int reduce, image_room *room, image *to);

/* ---- by format ---- */

bool jpeg_is(const uint8_t *bytes, size_t size);
/* room NULL: height and width alone. */
enum image_fault jpeg_decode(const uint8_t *bytes, size_t size, int reduce, image_room *room, image *to);
bool png_is(const uint8_t *bytes, size_t size);
enum image_fault png_decode(const uint8_t *bytes, size_t size, image_room *room, image *to);

#endif
