/* Of the processor's time, what this program had, in milliseconds; 0 where nothing says so, or several threads run. */
static double own_time(void)
{
    struct timespec t = {0, 0};
#if defined(CLOCK_THREAD_CPUTIME_ID) && !defined(_OPENMP)
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
#endif
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

#ifndef TIME_UTC /* a C library older than C11 */
#define TIME_UTC 1
static int timespec_get(struct timespec *now, int base)
{
    clock_t ticks = clock();
    now->tv_sec = (time_t)(ticks / CLOCKS_PER_SEC);
    now->tv_nsec = (long)(1e9 / CLOCKS_PER_SEC * (double)(ticks % CLOCKS_PER_SEC));
    return base;
}
#endif

static double since(const struct timespec *start) /* milliseconds */
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e3 * (double)(now.tv_sec - start->tv_sec) + 1e-6 * (double)(now.tv_nsec - start->tv_nsec);
}

static int by_value(const void *x, const void *y)
{
    const double *a = (const double *)x, *b = (const double *)y;
    return (*a > *b) - (*a < *b);
}

/* Time that others had the processor for in the midst of a run does not count. */
static int bench(const @NAME@ *model, long runs)
{
    double *time = runs > 0 ? (double *)malloc((size_t)runs * sizeof *time) : NULL;
    if (!time)
        return 1;
    @NAME@_run(model, in, out, arena);
    for (long i = 0; i < runs; i++) {
@if TIMED
        before_run();
@end
        struct timespec start;
        double own = own_time();
        timespec_get(&start, TIME_UTC);
        @NAME@_run(model, in, out, arena);
        time[i] = since(&start);
        own = own_time() - own;
        time[i] = own > 0 && own < time[i] ? own : time[i];
    }
    qsort(time, (size_t)runs, sizeof *time, by_value);
    printf("min_ms %.6f median_ms %.6f\n", time[0], time[runs / 2]);
    free(time);
    return 0;
}
