/* Which decoder a file is for, and what all of them share. */
#include "runtime/data/image.h"

const char *image_fault_text(enum image_fault fault)
{
    static const char *const texts[] = {
#define X(name, text) text,
        IMAGE_FAULTS(X)
#undef X
    };
    CHECK((size_t)fault < COUNT(texts));
    return texts[fault];
}

bool image_room_fit(image_room *r, size_t size)
{
    if (size <= r->size)
        return true;
    mem_free(r->at);
    r->at = mem_alloc(size);
    r->size = r->at ? size : 0;
    return r->at != NULL;
}

void image_room_free(image_room *r)
{
    mem_free(r->at);
    *r = (image_room){0};
}

enum image_fault image_measure(const uint8_t *bytes, size_t size, image *to)
{
    return image_decode(bytes, size, 1, NULL, to);
}

enum image_fault image_decode(const uint8_t *bytes, size_t size, int reduce, image_room *room, image *to)
{
    *to = (image){.reduced = 1};
    if (jpeg_is(bytes, size))
        return jpeg_decode(bytes, size, reduce, room, to);
    return png_is(bytes, size) ? png_decode(bytes, size, room, to) : size == 0 ? IMAGE_cut : IMAGE_unknown;
}
