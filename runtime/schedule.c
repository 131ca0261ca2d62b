/* The cosine has the same bits on every machine. */
#include "runtime/schedule.h"
#include "runtime/elementary.h"

double schedule_cosine(double first, double last, int64_t at, int64_t total)
{
    if (at >= total)
        return last;
    double turns = (double)at / (double)total / 2;
    return last + (first - last) * (1 + exact_cos_turns(turns)) / 2;
}
