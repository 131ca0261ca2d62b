/* Runs @NAME@ on one image and compares its logits with those that nasc computed.
@if FILE
 *     @NAME@_test [--bench N] [WEIGHTS]     WEIGHTS: @NAME@.bin beside this program unless said
@end
@if ARRAY
 *     @NAME@_test [--bench N]
@end
 * --bench N prints the shortest and the median time of N runs instead. */
#define _POSIX_C_SOURCE 199309L /* where there is POSIX: the program's own time */
#include "@NAME@.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIXELS = @NAME@_INPUT_H * @NAME@_INPUT_W * @NAME@_INPUT_C };

/* On processors of the target's kind every bit must be the same. */
#if @OWN@
enum { EXACT = 1 };
#else
enum { EXACT = 0 };
#endif

static const unsigned char image[PIXELS] = { /* grey levels; the network's input is these by 255 */
@IMAGE_VALUES@};
static const float expected[@NAME@_CLASSES] = {
@EXPECTED@};

static _Alignas(@ARENA_ALIGN@) unsigned char arena[@NAME@_ARENA_BYTES];
static float in[PIXELS], out[@NAME@_CLASSES];
@if GREY

/* Grey levels are the bytes that the network takes: they must give the same logits. */
static int bytes_agree(const @NAME@ *model)
{
    static uint8_t bytes[@NAME@_CLASSES];
    int same = @NAME@_run_u8(model, image, bytes, arena) == @NAME@_OK;
    for (int k = 0; k < @NAME@_CLASSES; k++)
        same &= ((float)bytes[k] - @NAME@_OUTPUT_ZERO) * @NAME@_OUTPUT_SCALE == expected[k];
    return same;
}
@end
@if FILE
static _Alignas(@ARENA_ALIGN@) unsigned char weights[@NAME@_WEIGHTS_BYTES + 1];

/* Bytes read; one more than there should be where the file is longer. */
static size_t read_weights(const char *program, const char *file)
{
    static const char name[] = "@NAME@.bin";
    const char *slash = strrchr(program, '/');
    size_t folder = slash ? (size_t)(slash - program) + 1 : 0;
    char path[1024];
    if (!file && folder + sizeof name <= sizeof path) {
        memcpy(path, program, folder);
        memcpy(path + folder, name, sizeof name);
        file = path;
    }
    FILE *f = file ? fopen(file, "rb") : NULL;
    size_t size = f ? fread(weights, 1, sizeof weights, f) : 0;
    if (f)
        fclose(f);
    if (size == 0)
        fprintf(stderr, "@NAME@_test: %s: cannot be read\n", file ? file : name);
    return size;
}
@end

@BENCH@

static int compare(const @NAME@ *model)
{
    float most = 1, error = 0;
    int result = @NAME@_run(model, in, out, arena);
    if (result != @NAME@_OK) {
        fprintf(stderr, "@NAME@_test: @NAME@_run returns %d\n", result);
        return 1;
    }
    int same = memcmp(out, expected, sizeof out) == 0, finite = 1;
@if GREY
    same &= bytes_agree(model);
@end
    for (int k = 0; k < @NAME@_CLASSES; k++) {
        float size = expected[k] < 0 ? -expected[k] : expected[k];
        float off = out[k] < expected[k] ? expected[k] - out[k] : out[k] - expected[k];
        finite &= out[k] - out[k] == 0;
        most = size > most ? size : most;
        error = off > error ? off : error;
    }
    int passed = EXACT ? same : finite && error <= 1e-5f * most;
    printf("@NAME@_test: %s: largest difference %g, %s\n", passed ? "passed" : "FAILED", (double)error,
           same ? "equal bits" : "bits differ");
    return !passed;
}

int main(int argc, char **argv)
{
    long runs = argc > 2 && strcmp(argv[1], "--bench") == 0 ? strtol(argv[2], NULL, 10) : 0;
    @NAME@ model;
@if FILE
    int named = runs ? 3 : 1;
    size_t size = read_weights(argv[0], argc > named ? argv[named] : NULL);
    if (size == 0)
        return 1;
    int result = @NAME@_init(&model, weights, size);
@end
@if ARRAY
    int result = @NAME@_init(&model, &@NAME@_weights, sizeof @NAME@_weights);
@end
    if (result != @NAME@_OK) {
        fprintf(stderr, "@NAME@_test: @NAME@_init returns %d\n", result);
        return 1;
    }
    for (int i = 0; i < PIXELS; i++)
        in[i] = (float)image[i] / 255.0f;
    memset(arena, 0xff, sizeof arena); /* contents do not matter: NaN */
    return runs ? bench(&model, runs) : compare(&model);
}
