/* Writes JPEG and PNG files, for tests that read them. */
#ifndef NASC_TEST_PICTURES_H
#define NASC_TEST_PICTURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <png.h>

/* How a JPEG is to be written; zeros: baseline, halved chroma, as most files are. */
typedef struct jpeg_style {
    int channels; /* 1 grey, 3 RGB (0 too), 4 CMYK as it comes */
    int quality;  /* 0: 90 */
    bool progressive;
    int restart; /* rows between restart markers */
} jpeg_style;

/* `pixels` [h][w][channels] as JPEG; the bytes are the caller's. */
static inline size_t jpeg_make(const uint8_t *pixels, int h, int w, const jpeg_style *style, uint8_t **to)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    int channels = style->channels ? style->channels : 3;
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &bytes, &size);
    j.image_height = (JDIMENSION)h;
    j.image_width = (JDIMENSION)w;
    j.input_components = channels;
    j.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, style->quality ? style->quality : 90, TRUE);
    j.restart_in_rows = style->restart;
    if (style->progressive)
        jpeg_simple_progression(&j);
    jpeg_start_compress(&j, TRUE);
    for (int y = 0; y < h; y++) {
        JSAMPROW row = (JSAMPROW)pixels + (size_t)y * (size_t)w * (size_t)channels;
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    *to = bytes;
    return size;
}

/* `rows` as libpng wants them: 16 bits with the high byte first, fewer than 8 packed. */
typedef struct png_style {
    int colour; /* PNG_COLOR_TYPE_… */
    int bits;
    bool interlaced;
    const png_color *palette; /* with 1 << bits colours */
} png_style;

typedef struct png_bytes {
    uint8_t *at;
    size_t size;
} png_bytes;

static inline void png_take(png_structp png, png_bytep from, size_t count)
{
    png_bytes *to = png_get_io_ptr(png);
    uint8_t *longer = realloc(to->at, to->size + count);
    if (!longer)
        png_error(png, "out of memory");
    for (size_t i = 0; i < count; i++)
        longer[to->size + i] = from[i];
    to->at = longer;
    to->size += count;
}

/* The bytes are the caller's. */
static inline size_t png_make(const uint8_t *rows, int h, int w, const png_style *style, uint8_t **to)
{
    png_bytes bytes = {NULL, 0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &bytes, png_take, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, style->bits, style->colour,
                 style->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (style->palette)
        png_set_PLTE(png, info, style->palette, 1 << style->bits);
    png_write_info(png, info);
    size_t row = png_get_rowbytes(png, info);
    png_bytep *at = malloc((size_t)h * sizeof(png_bytep));
    for (int y = 0; at && y < h; y++)
        at[y] = (png_bytep)rows + row * (size_t)y;
    png_write_image(png, at);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(at);
    *to = bytes.at;
    return bytes.size;
}

#endif
