/* Times @NAME@, on weights and input that are made up here: `@NAME@_test --bench N` prints the shortest and the median
 * time of N runs, in milliseconds.
@if AROUND
 *
 * This is a part of a network. Between two runs, what the rest of the network reads is touched and the input is written
 * anew, so that the part finds the caches as it would find them there.
@end
 */
#define _POSIX_C_SOURCE 199309L /* where there is POSIX: the program's own time */
#include "@NAME@.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    INPUTS = @NAME@_INPUT_H * @NAME@_INPUT_W * @NAME@_INPUT_C,
@if AROUND
    LINE = 64,
    AROUND = @AROUND@,
@end
    WEIGHTS = @CONSTANTS@
};

static _Alignas(@ARENA_ALIGN@) unsigned char arena[@NAME@_ARENA_BYTES];
static _Alignas(@ARENA_ALIGN@) float weights[WEIGHTS + 1], in[INPUTS];
static float out[@NAME@_CLASSES];
@if AROUND
static unsigned char around[AROUND];
@end

/* Numbers between -1/16 and 1/16, none of them tiny. */
static void make_up(float *to, size_t count)
{
    unsigned state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        to[i] = ((float)(state >> 16 & 0xffff) - 32767.5f) / 524288.0f;
    }
}

static void before_run(void)
{
@if AROUND
    for (size_t i = 0; i < AROUND; i += LINE)
        around[i]++;
@end
    for (size_t i = 0; i < INPUTS; i++)
        in[i] = 0.5f - in[i];
}

@BENCH@

int main(int argc, char **argv)
{
    long runs = argc > 2 && strcmp(argv[1], "--bench") == 0 ? strtol(argv[2], NULL, 10) : 0;
    @NAME@ model = {weights};
    if (runs < 1) {
        fprintf(stderr, "usage: @NAME@_test --bench N\n");
        return 1;
    }
    make_up(weights, WEIGHTS);
    make_up(in, INPUTS);
    memset(arena, 0xff, sizeof arena); /* contents do not matter: NaN */
    return bench(&model, runs);
}
