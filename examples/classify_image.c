/* Classifies a JPEG or PNG file with an exported model, here one called `net` whose weights are a file: the five most
 * probable classes on stdout, a class and its probability a line.
 *
 *     nasc export RUN --to c --weights-as file --name net --out net
 *     cc -std=c11 -O3 -ffp-contract=off -Inet examples/classify_image.c net/net.c -o classify_image -ljpeg -lpng -lm
 *     ./classify_image net/net.bin photo.jpg
 *
 * As in nasc's own evaluation, the network sees the middle of the picture: 7/8 of the shorter side, or all of it where the
 * picture has the input's size. */
#include "net.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

enum { H = net_INPUT_H, W = net_INPUT_W, C = net_INPUT_C, BEST = net_CLASSES < 5 ? net_CLASSES : 5 };
_Static_assert(C == 1 || C == 3, "an input of one channel is grey, of three RGB");

typedef struct picture {
    int h, w;
    unsigned char *pixels; /* h x w x C */
} picture;

static void end(const char *path, const char *why)
{
    fprintf(stderr, "classify_image: %s: %s\n", path, why);
    exit(1);
}

/* ---- files ---- */

/* A file in memory; the system reads its pages when they are touched, and programs that map it share them. */
static const void *map_file(const char *path, size_t *size)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0 || status.st_size == 0)
        end(path, "cannot be read");
    *size = (size_t)status.st_size;
    void *bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        end(path, "cannot be mapped");
    close(file);
    return bytes;
}

static picture new_picture(const char *path, size_t h, size_t w)
{
    picture p = {(int)h, (int)w, calloc(h * w, C)};
    if (!p.pixels)
        end(path, "is too large");
    return p;
}

/* What is no JPEG ends the program: libjpeg's own way. */
static picture read_jpeg(const char *path, const unsigned char *bytes, size_t size)
{
    struct jpeg_decompress_struct j;
    struct jpeg_error_mgr errors;
    j.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, bytes, size);
    jpeg_read_header(&j, TRUE);
    j.out_color_space = C == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&j);
    picture p = new_picture(path, j.output_height, j.output_width);
    while (j.output_scanline < j.output_height) {
        JSAMPROW row = p.pixels + (size_t)j.output_scanline * j.output_width * C;
        jpeg_read_scanlines(&j, &row, 1);
    }
    jpeg_finish_decompress(&j);
    jpeg_destroy_decompress(&j);
    return p;
}

static picture read_png(const char *path, const unsigned char *bytes, size_t size)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_memory(&image, bytes, size))
        end(path, "is neither JPEG nor PNG");
    picture p = new_picture(path, image.height, image.width);
    image.format = C == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    if (!png_image_finish_read(&image, NULL, p.pixels, 0, NULL))
        end(path, image.message);
    return p;
}

static picture read_picture(const char *path)
{
    size_t size;
    const unsigned char *bytes = map_file(path, &size);
    return size > 2 && bytes[0] == 0xff && bytes[1] == 0xd8 ? read_jpeg(path, bytes, size)
                                                            : read_png(path, bytes, size);
}

/* ---- from a picture to the network's input ---- */

/* The mean of channel c over the part [y, y + h) x [x, x + w) of the picture, whose edges lie within pixels. */
static float mean_of(const picture *p, double y, double x, double h, double w, int c)
{
    double sum = 0, area = 0;
    for (int row = (int)y; row < p->h && row < y + h; row++)
        for (int column = (int)x; column < p->w && column < x + w; column++) {
            double covered = (fmin(row + 1, y + h) - fmax(row, y)) * (fmin(column + 1, x + w) - fmax(column, x));
            sum += covered * p->pixels[((size_t)row * (size_t)p->w + (size_t)column) * C + (size_t)c];
            area += covered;
        }
    return (float)(sum / area / 255);
}

static void fill_input(const picture *p, float *in)
{
    double step = fmin((double)p->h / H, (double)p->w / W); /* pixels of the picture to one of the input */
    if (p->h != H || p->w != W)
        step *= 7.0 / 8;
    double top = (p->h - H * step) / 2, left = (p->w - W * step) / 2;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < C; c++)
                in[(y * W + x) * C + c] = mean_of(p, top + y * step, left + x * step, step, step, c);
}

/* ---- from logits to classes ---- */

/* Softmax; the largest logit is subtracted first, so that nothing overflows. */
static void print_best(const float *logits)
{
    double most = -INFINITY, sum = 0;
    char printed[net_CLASSES] = {0};
    for (int k = 0; k < net_CLASSES; k++)
        most = fmax(most, logits[k]);
    for (int k = 0; k < net_CLASSES; k++)
        sum += exp(logits[k] - most);
    for (int i = 0; i < BEST; i++) {
        int best = -1;
        for (int k = 0; k < net_CLASSES; k++)
            if (!printed[k] && (best < 0 || logits[k] > logits[best]))
                best = k;
        printed[best] = 1;
        printf("%d %.4f\n", best, exp(logits[best] - most) / sum);
    }
}

int main(int argc, char **argv)
{
    static float in[H * W * C], out[net_CLASSES];
    static _Alignas(net_ARENA_ALIGN) unsigned char arena[net_ARENA_BYTES];
    if (argc != 3) {
        fputs("usage: classify_image WEIGHTS PICTURE\n", stderr);
        return 2;
    }
    size_t size;
    const void *weights = map_file(argv[1], &size);
    net model;
    if (net_init(&model, weights, size) != net_OK)
        end(argv[1], "is damaged, or of another network");
    picture p = read_picture(argv[2]);
    fill_input(&p, in);
    free(p.pixels);
    if (net_run(&model, in, out, arena) != net_OK)
        end(argv[2], "net_run failed");
    print_best(out);
    return 0;
}
