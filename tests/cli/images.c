/* Makes a folder a class out of a data set that is pixels: images KIND:PATH COUNT DIR [png] writes the first COUNT
 * training images into DIR/train/CLASS, COUNT / 4 test images into DIR/val/CLASS, every other one as JPEG unless "png"
 * is said. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "pictures.h"
#include "runtime/data/data.h"

static bool write_file(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(bytes, 1, size, file) == size;
    return file && fclose(file) == 0 && ok;
}

static bool write_image(const dataset *set, const struct data_part *part, int k, bool jpeg, const char *folder,
                        arena *a, nasc_diag *d)
{
    const uint8_t *pixels = part->pixels + (size_t)k * (size_t)set->h * (size_t)set->w * (size_t)set->c;
    char *class = set->class_names ? arena_strdup(a, set->class_names[part->labels[k]])
                                   : arena_printf(a, "class-%d", part->labels[k]);
    class = arena_printf(a, "%s/%s", folder, class);
    const char *path = arena_printf(a, "%s/%06d.%s", class, k, jpeg ? "jpg" : "png");
    const jpeg_style as_jpeg = {.channels = set->c};
    const png_style as_png = {.colour = set->c == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, .bits = 8};
    uint8_t *bytes;
    size_t size =
        jpeg ? jpeg_make(pixels, set->h, set->w, &as_jpeg, &bytes) : png_make(pixels, set->h, set->w, &as_png, &bytes);
    bool ok = folder_make(class, d) &&
              (write_file(path, bytes, size) || diag_fail(d, DIAG_IO, path, "cannot be written: %s", strerror(errno)));
    free(bytes);
    return ok;
}

int main(int count, char **argv)
{
    arena a = {0};
    nasc_diag d = {0};
    bool png_alone = count == 5 && strcmp(argv[4], "png") == 0;
    if (count != 4 && !png_alone) {
        fputs("images KIND:PATH COUNT DIR [png]\n", stderr);
        return 2;
    }
    const dataset *set = data_open(&a, argv[1], &(data_options){.seed = 0}, &d);
    bool ok = set != NULL;
    for (int test = 0; ok && test < 2; test++) {
        const struct data_part *part = test ? &set->test : &set->train;
        const char *folder = arena_printf(&a, "%s/%s", argv[3], test ? "val" : "train");
        int wanted = atoi(argv[2]) / (test ? 4 : 1);
        for (int k = 0; ok && k < wanted && k < part->count; k++)
            ok = write_image(set, part, k, !png_alone && k % 2, folder, &a, &d);
    }
    if (!ok)
        fprintf(stderr, "%s: %s\n", d.where, d.message);
    arena_free(&a);
    return ok ? 0 : 1;
}
