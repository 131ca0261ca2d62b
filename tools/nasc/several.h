/* Several searches in one run, by target and by seed, and what they found beside each other. */
#ifndef NASC_TOOL_SEVERAL_H
#define NASC_TOOL_SEVERAL_H

#include "front.h"
#include "record.h"

/* One search, as `r` has it. */
search_job search_job_of(const run_request *s, const char *folder, bool resume, const record *r);
/* How many searches the run is made of. */
int64_t several_count(const record *r);
/* Where one of them stands below RUN: target-A, run-K, or target-A/run-K. */
const char *several_folder(arena *a, const record *all, int64_t number);
/* Runs them all. RUN receives the most accurate one's genotype.json and, where there is a cost, pareto.svg; `f` all
 * points, owned by the session's arena. */
enum run_end search_several(run_request *s, front *f, nasc_diag *d);

#endif
