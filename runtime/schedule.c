/* Cosine with an optional linear warm-up. */
#include "runtime/schedule.h"
#include "runtime/elementary.h"

double schedule_cosine(double first, double last, int64_t at, int64_t total)
{
    if (at >= total)
        return last;
    double turns = (double)at / (double)total / 2;
    return last + (first - last) * (1 + exact_cos_turns(turns)) / 2;
}

double schedule_warm_cosine(double start, double first, double last, int64_t at, int64_t warm, int64_t total)
{
    if (at < warm)
        return start + (first - start) * (double)at / (double)warm;
    return schedule_cosine(first, last, at - warm, total - warm);
}
