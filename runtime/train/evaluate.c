/* Evaluation. */
#include "runtime/train/evaluate.h"

#include <string.h>

samples samples_of(const struct data_part *part)
{
    return (samples){.part = part, .count = (uint32_t)part->count};
}

feed feed_new(arena *a, const dataset *set, int batch)
{
    feed f = {.n = batch};
    f.x = NEW_ARRAY(a, float, (int64_t)batch * set->h * set->w * set->c);
    f.y = NEW_ARRAY(a, int32_t, batch);
    return f;
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

bool evaluate(runner *r, const pass *pass, const dataset *set, const samples *of, feed *room, evaluation *result,
              const struct progress *progress, nasc_diag *d)
{
    static const struct data_augment plain = {.normalise = true};
    int most = room->n, batches = data_batches(of->count, most, false);
    uint32_t numbers[256];
    double loss = 0;
    for (int k = 0; k < batches; k++) {
        feed batch = *room;
        batch.n = data_batch_size(of->count, most, k);
        for (int done = 0; done < batch.n; done += (int)COUNT(numbers)) {
            int some = batch.n - done < (int)COUNT(numbers) ? batch.n - done : (int)COUNT(numbers);
            for (int i = 0; i < some; i++) {
                uint32_t at = (uint32_t)((int64_t)k * most + done + i);
                numbers[i] = of->at ? of->at[at] : at;
            }
            int64_t pixels = (int64_t)set->h * set->w * set->c;
            data_batch(set, of->part, numbers, some, &plain, 0, 0, batch.x + done * pixels, batch.y + done);
        }
        if (!runner_pass(r, pass, &batch, d))
            return false;
        loss += (double)r->loss * batch.n;
        count_answers(r, &batch, set->classes, result);
        struct progress_state state = {.phase = "eval", .epochs = 1, .step = k + 1, .steps = batches};
        state.loss = loss / (double)result->images;
        state.accuracy = (double)result->right / (double)result->images;
        if (!progress_report(progress, &state) && k + 1 < batches)
            return false;
    }
    result->loss = result->images ? loss / (double)result->images : 0;
    return true;
}
