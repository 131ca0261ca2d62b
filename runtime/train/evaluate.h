/* Evaluation with running statistics: accuracy, mean loss, and which class was taken for which. */
#ifndef NASC_EVALUATE_H
#define NASC_EVALUATE_H

#include "runtime/data/prefetch.h"
#include "runtime/parameters.h"
#include "runtime/progress.h"
#include "runtime/runner.h"

typedef struct evaluation {
    int64_t images, right;
    int64_t skipped;    /* images whose files are bad: others were asked in their place */
    double loss;        /* mean */
    int64_t *confusion; /* [classes][classes]: label, then what was said; NULL: not wanted */
    int32_t *said;      /* of each image, in order; NULL: not wanted */
    float *logits;      /* [images][classes]; NULL: not wanted */
} evaluation;

/* `pass.what` is a program with running statistics. Batches are as large as `ahead`'s (one a step, not started); the
 * short last one is kept. `result` comes with its tables (zeroed) or NULL. False with nothing in `d`: progress asked to
 * stop. */
bool evaluate(runner *r, const pass *pass, const dataset *set, const samples *of, prefetch *ahead, evaluation *result,
              const struct progress *progress, nasc_diag *d);

#endif
