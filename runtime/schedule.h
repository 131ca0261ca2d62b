/* Learning rates over time. `at` counts epochs or steps done before this one, `total` all of them: the same function
 * is DARTS' cosine per epoch and ProxylessNAS' cosine per step. */
#ifndef NASC_SCHEDULE_H
#define NASC_SCHEDULE_H

#include <stdint.h>

/* From `first` (at = 0) to `last` (at = total): last + (first - last)(1 + cos(π at / total)) / 2. */
double schedule_cosine(double first, double last, int64_t at, int64_t total);

#endif
