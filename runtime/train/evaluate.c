/* Evaluation. */
#include "runtime/train/evaluate.h"

#include <string.h>

samples samples_of(const struct data_part *part)
{
    return (samples){.part = part, .count = (uint32_t)part->count};
}

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
    const int64_t pixels = (int64_t)w->set->h * w->set->w * w->set->c;
    uint32_t numbers[256];
    (void)d;
    to->n = data_batch_size(w->of->count, w->batch, at);
    for (int done = 0; done < to->n; done += (int)COUNT(numbers)) {
        int some = to->n - done < (int)COUNT(numbers) ? to->n - done : (int)COUNT(numbers);
        for (int i = 0; i < some; i++) {
            uint32_t k = (uint32_t)((int64_t)at * w->batch + done + i);
            numbers[i] = w->of->at ? w->of->at[k] : k;
        }
        data_batch(w->set, w->of->part, numbers, some, &plain, 0, 0, to->x + done * pixels, to->y + done);
    }
    return true;
}

/* Batches 0 … batches-1; the sum of their losses into result->loss. */
static bool run_batches(runner *r, const pass *pass, prefetch *ahead, int batches, int classes, evaluation *result,
                        const struct progress *progress, nasc_diag *d)
{
    for (int k = 0; k < batches; k++) {
        const feed *batch = prefetch_next(ahead, d);
        if (!batch || !runner_pass(r, pass, batch, d))
            return false;
        result->loss += (double)r->loss * batch->n;
        count_answers(r, batch, classes, result);
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
    bool ok = run_batches(r, pass, ahead, batches, set->classes, result, progress, d);
    prefetch_stop(ahead);
    result->loss = result->images ? result->loss / (double)result->images : 0;
    return ok;
}
