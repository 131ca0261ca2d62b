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

static double since(const struct timespec *start) /* milliseconds */
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e3 * (double)(now.tv_sec - start->tv_sec) + 1e-6 * (double)(now.tv_nsec - start->tv_nsec);
}

/* Of the processor's time, what this program had; 0 where the system does not say. */
static double own_milliseconds(void)
{
    struct timespec t = {0, 0};
#ifdef CLOCK_THREAD_CPUTIME_ID
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
#endif
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int by_value(const void *x, const void *y)
{
    const double *a = (const double *)x, *b = (const double *)y;
    return (*a > *b) - (*a < *b);
}

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

static int bench(const @NAME@ *model, long runs)
{
    double *time = runs > 0 ? (double *)malloc((size_t)runs * sizeof *time) : NULL;
    if (!time)
        return 1;
    @NAME@_run(model, in, out, arena);
    for (long i = 0; i < runs; i++) {
        before_run();
        struct timespec start;
        double own = own_milliseconds();
        timespec_get(&start, TIME_UTC);
        @NAME@_run(model, in, out, arena);
        time[i] = since(&start);
        own = own_milliseconds() - own;
        time[i] = own > 0 && own < time[i] ? own : time[i]; /* others had the processor in between */
    }
    qsort(time, (size_t)runs, sizeof *time, by_value);
    printf("min_ms %.6f median_ms %.6f\n", time[0], time[runs / 2]);
    free(time);
    return 0;
}

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
