/* Writes a picture for examples.sh: examples HEIGHT WIDTH FILE <PIXELS, RGB, as PNG or, where FILE ends in .jpg, as JPEG of
 * the best quality. */
#include <string.h>
#include "pictures.h"

int main(int count, char **argv)
{
    int h = count == 4 ? atoi(argv[1]) : 0, w = count == 4 ? atoi(argv[2]) : 0;
    size_t size = (size_t)h * (size_t)w * 3;
    uint8_t *pixels = size ? malloc(size) : NULL, *bytes;
    if (!pixels || fread(pixels, 1, size, stdin) != size)
        return 2;
    bool jpeg = strstr(argv[3], ".jpg") != NULL;
    size = jpeg ? jpeg_make(pixels, h, w, &(jpeg_style){.quality = 100}, &bytes)
                : png_make(pixels, h, w, &(png_style){.colour = PNG_COLOR_TYPE_RGB, .bits = 8}, &bytes);
    FILE *file = fopen(argv[3], "wb");
    bool ok = file && fwrite(bytes, 1, size, file) == size;
    ok = file && fclose(file) == 0 && ok;
    free(bytes);
    free(pixels);
    return ok ? 0 : 1;
}
