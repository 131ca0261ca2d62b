/* Links an exported model, here one called `fashion` (nasc export RUN --to c --name fashion --out DIR), and classifies
 * the images of an uncompressed IDX file: a class a line on stdout, the time an image takes on stderr.
 *
 *     cc -std=c11 -O3 -ffp-contract=off -IDIR examples/classify.c DIR/fashion.c -o classify
 *     ./classify DIR/fashion.bin t10k-images-idx3-ubyte */
#include "fashion.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A whole file; ends the program where it cannot be read. */
static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    long length = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    unsigned char *bytes = length < 0 ? NULL : malloc((size_t)length + 1);
    if (!bytes || fseek(f, 0, SEEK_SET) != 0 || fread(bytes, 1, (size_t)length, f) != (size_t)length) {
        fprintf(stderr, "classify: %s: cannot be read\n", path);
        exit(1);
    }
    fclose(f);
    *size = (size_t)length;
    return bytes;
}

static uint32_t big_endian(const unsigned char *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { PIXELS = fashion_INPUT_H * fashion_INPUT_W * fashion_INPUT_C, IDX_HEADER = 16 };

static int classify(const fashion *model, const unsigned char *pixels, void *arena)
{
    float in[PIXELS], out[fashion_CLASSES];
    for (int i = 0; i < PIXELS; i++)
        in[i] = (float)pixels[i] / 255.0f;
    if (fashion_run(model, in, out, arena) != 0) {
        fputs("classify: fashion_run failed\n", stderr);
        exit(1);
    }
    int best = 0;
    for (int k = 1; k < fashion_CLASSES; k++)
        if (out[k] > out[best])
            best = k;
    return best;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: classify WEIGHTS IMAGES\n", stderr);
        return 2;
    }
    size_t weights_size, images_size;
    unsigned char *weights = read_file(argv[1], &weights_size), *images = read_file(argv[2], &images_size);
    fashion model;
    int error = fashion_init(&model, weights, weights_size);
    if (error != 0) {
        fprintf(stderr, "classify: %s: fashion_init says %d\n", argv[1], error);
        return 1;
    }
    size_t count = images_size < IDX_HEADER ? 0 : big_endian(images + 4);
    if (images_size < IDX_HEADER || images_size != IDX_HEADER + count * PIXELS) {
        fprintf(stderr, "classify: %s: not %d x %d images in IDX\n", argv[2], fashion_INPUT_H, fashion_INPUT_W);
        return 1;
    }
    size_t align = fashion_ARENA_ALIGN;
    void *arena = aligned_alloc(align, (fashion_ARENA_BYTES + align - 1) / align * align);
    if (!arena)
        return 1;
    double start = seconds();
    for (size_t n = 0; n < count; n++)
        printf("%d\n", classify(&model, images + IDX_HEADER + n * PIXELS, arena));
    fprintf(stderr, "%.3f ms an image\n", 1e3 * (seconds() - start) / (double)(count ? count : 1));
    free(arena);
    free(images);
    free(weights);
    return 0;
}
