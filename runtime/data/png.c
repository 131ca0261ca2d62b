/* PNG through libpng. */
#include "runtime/data/image.h"

#include <png.h>
#include <string.h>

enum { SIGNATURE = 8 };

typedef struct reader {
    png_structp png;
    png_infop info;
    const uint8_t *at;
    size_t left;
    jmp_buf failed;
    enum image_fault fault;
} reader;

/* ---- what libpng calls ------------------------------------------------------------------------------------------- */

/* The first fault stands: where reading or memory failed, the error that follows says less. */
static NORETURN void fail(reader *r, enum image_fault fault)
{
    if (r->fault == IMAGE_none)
        r->fault = fault;
    longjmp(r->failed, 1);
}

static PNG_NORETURN void error(png_structp png, png_const_charp message)
{
    (void)message;
    fail(png_get_error_ptr(png), IMAGE_damaged);
}

static void warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep to, size_t count)
{
    reader *r = png_get_io_ptr(png);
    if (count > r->left)
        fail(r, IMAGE_cut);
    memcpy(to, r->at, count);
    r->at += count;
    r->left -= count;
}

static void *take_memory(png_structp png, png_alloc_size_t size)
{
    reader *r = png_get_mem_ptr(png);
    void *memory = mem_alloc(size);
    if (!memory)
        r->fault = IMAGE_memory;
    return memory;
}

static void free_memory(png_structp png, void *memory)
{
    (void)png;
    mem_free(memory);
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* Every kind of pixel becomes 8-bit RGB. The number of passes over the rows. */
static int ask_for_rgb(reader *r)
{
    png_set_palette_to_rgb(r->png);
    png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_scale_16(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    return passes;
}

static void decode(reader *r, image_room *room, image *to)
{
    int passes = ask_for_rgb(r);
    size_t row = 3 * (size_t)to->w;
    if (png_get_rowbytes(r->png, r->info) != row)
        fail(r, IMAGE_damaged);
    if (!image_room_fit(room, row * (size_t)to->h))
        fail(r, IMAGE_memory);
    uint8_t *at = room->at;
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < to->h; y++)
            png_read_row(r->png, at + row * (size_t)y, NULL);
    png_read_end(r->png, NULL);
    to->rgb = at;
}

static void read_file(reader *r, image_room *room, image *to)
{
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, error, warning, r, take_memory, free_memory);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info)
        fail(r, IMAGE_memory);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
    to->h = (int)png_get_image_height(r->png, r->info);
    to->w = (int)png_get_image_width(r->png, r->info);
    if ((int64_t)to->h * to->w > IMAGE_PIXELS_MOST)
        fail(r, IMAGE_large);
    if (room)
        decode(r, room, to);
}

/* The first bytes of a file that ends within the signature count, too. */
bool png_is(const uint8_t *bytes, size_t size)
{
    return size > 0 && png_sig_cmp((png_bytep)bytes, 0, size < SIGNATURE ? size : SIGNATURE) == 0;
}

enum image_fault png_decode(const uint8_t *bytes, size_t size, image_room *room, image *to)
{
    reader r = {.at = bytes, .left = size, .fault = IMAGE_none};
    if (setjmp(r.failed) == 0)
        read_file(&r, room, to);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return r.fault;
}
