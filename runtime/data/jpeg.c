/* JPEG through libjpeg-turbo. Its decoder makes up what is missing and goes on with a warning; here what is missing or
 * garbled is a fault, while warnings that leave the picture whole (bytes between segments, odd headers) are none. */
#include "runtime/data/image.h"

#include <stdio.h> /* which jpeglib.h needs and does not include */
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

typedef struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    enum image_fault fault;
} reader;

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static NORETURN void fail(reader *r, enum image_fault fault)
{
    r->fault = fault;
    longjmp(r->failed, 1);
}

static void error_exit(j_common_ptr c)
{
    reader *r = c->client_data;
    switch (c->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        fail(r, IMAGE_memory);
    case JERR_INPUT_EMPTY:
    case JERR_INPUT_EOF:
        fail(r, IMAGE_cut);
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
        fail(r, IMAGE_unsupported);
    default:
        fail(r, IMAGE_damaged);
    }
}

/* Warnings have a negative level. */
static void emit_message(j_common_ptr c, int level)
{
    if (level >= 0)
        return;
    switch (c->err->msg_code) {
    case JWRN_JPEG_EOF:
        fail(c->client_data, IMAGE_cut);
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
        fail(c->client_data, IMAGE_damaged);
    default:
        break;
    }
}

static void output_message(j_common_ptr c)
{
    (void)c;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* Adobe's files hold the paper that shows through, others the ink. */
static void cmyk_row(const uint8_t *from, int w, bool adobe, uint8_t *to)
{
    for (int x = 0; x < w; x++)
        for (int c = 0; c < 3; c++) {
            int paper = adobe ? from[4 * x + c] : 255 - from[4 * x + c];
            int light = adobe ? from[4 * x + 3] : 255 - from[4 * x + 3];
            to[3 * x + c] = (uint8_t)((paper * light + 127) / 255);
        }
}

static void read_rows(reader *r, uint8_t *to, uint8_t *row)
{
    struct jpeg_decompress_struct *j = &r->jpeg;
    const int w = (int)j->output_width;
    while (j->output_scanline < j->output_height) {
        JSAMPROW at = to + 3 * (size_t)w * j->output_scanline, into = row ? row : at;
        if (jpeg_read_scanlines(j, &into, 1) == 1 && row)
            cmyk_row(row, w, j->saw_Adobe_marker, at);
    }
}

static void decode(reader *r, int reduce, image_room *room, image *to)
{
    struct jpeg_decompress_struct *j = &r->jpeg;
    bool cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    j->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    j->dct_method = JDCT_ISLOW;
    j->scale_num = 1;
    j->scale_denom = (unsigned)reduce;
    jpeg_start_decompress(j);
    size_t row = 3 * (size_t)j->output_width, rows = row * j->output_height;
    if (!image_room_fit(room, rows + (cmyk ? 4 * (size_t)j->output_width : 0)))
        fail(r, IMAGE_memory);
    uint8_t *at = room->at;
    read_rows(r, at, cmyk ? at + rows : NULL);
    jpeg_finish_decompress(j); /* reads up to the end's marker */
    to->reduced = reduce;
    to->rgb = at;
}

static void read_file(reader *r, const uint8_t *bytes, size_t size, int reduce, image_room *room, image *to)
{
    jpeg_create_decompress(&r->jpeg);
    jpeg_mem_src(&r->jpeg, bytes, size);
    jpeg_read_header(&r->jpeg, TRUE);
    to->h = (int)r->jpeg.image_height;
    to->w = (int)r->jpeg.image_width;
    if ((int64_t)to->h * to->w > IMAGE_PIXELS_MOST)
        fail(r, IMAGE_large);
    if (room)
        decode(r, reduce, room, to);
}

bool jpeg_is(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8;
}

enum image_fault jpeg_decode(const uint8_t *bytes, size_t size, int reduce, image_room *room, image *to)
{
    reader r = {.fault = IMAGE_none};
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.jpeg.client_data = &r;
    r.errors.error_exit = error_exit;
    r.errors.emit_message = emit_message;
    r.errors.output_message = output_message;
    if (setjmp(r.failed) == 0)
        read_file(&r, bytes, size, reduce, room, to);
    jpeg_destroy_decompress(&r.jpeg);
    return r.fault;
}
