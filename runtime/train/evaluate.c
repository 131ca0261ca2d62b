/* Evaluation. */
#include "runtime/train/evaluate.h"

#include <string.h>

/* The first maximum. */
static int answer(const float *logits, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++)
        if (logits[k] > logits[best])
            best = k;
    return best;
}

static void count_answers(const runner *r, const feed *batch, int classes, evaluation *result)
{
    for (int i = 0; i < batch->n; i++) {
        int said = answer(r->logits + (int64_t)i * classes, classes), label = batch->y[i];
        result->right += said == label;
        if (result->confusion)
            result->confusion[label * classes + said]++;
        if (result->said)
            result->said[result->images + i] = said;
    }
    if (result->logits)
        memcpy(result->logits + result->images * classes, r->logits, sizeof(float) * (size_t)(batch->n * classes));
    result->images += batch->n;
}

typedef struct walk { /* over samples, in order */
    const dataset *set;
    const samples *of;
    int batch;
} walk;

static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    static const struct data_augment plain = {.normalise = true};
    const walk *w = user;
    to->n = data_batch_size(w->of->count, w->batch, at);
    batch_key key = {.of = *w->of, .first = (uint32_t)(at * w->batch), .n = to->n, .augment = &plain};
    to->skipped = data_batch(w->set, &key, to->x, to->y, d);
    return to->skipped >= 0;
}

/* Batches 0 … batches-1; the sum of their losses into result->loss. */
static bool run_batches(runner *r, const pass *pass, prefetch *ahead, int batches, const dataset *set,
                        evaluation *result, const struct progress *progress, nasc_diag *d)
{
    for (int k = 0; k < batches; k++) {
        const feed *batch = prefetch_next(ahead, d);
        data_tell(set, progress);
        if (!batch || !runner_pass(r, pass, batch, d) || !device_fetch(r->device, r->logits, d))
            return false;
        result->loss += (double)r->own.loss * batch->n;
        result->skipped += batch->skipped;
        count_answers(r, batch, set->classes, result);
        struct progress_state state = {.phase = "eval", .epochs = 1, .step = k + 1, .steps = batches};
        state.loss = result->loss / (double)result->images;
        state.accuracy = (double)result->right / (double)result->images;
        if (!progress_report(progress, &state) && k + 1 < batches)
            return false;
    }
    return true;
}

bool evaluate(runner *r, const pass *pass, const dataset *set, const samples *of, prefetch *ahead, evaluation *result,
              const struct progress *progress, nasc_diag *d)
{
    walk w = {.set = set, .of = of, .batch = prefetch_batch(ahead)};
    int batches = data_batches(of->count, w.batch, false);
    result->loss = 0;
    prefetch_start(ahead, fill, &w, 0, batches);
    r->scored = &r->own;
    bool ok = run_batches(r, pass, ahead, batches, set, result, progress, d);
    prefetch_stop(ahead);
    result->loss = result->images ? result->loss / (double)result->images : 0;
    return ok;
}
