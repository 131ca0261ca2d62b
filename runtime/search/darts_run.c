/* DARTS: epochs, log and checkpoints around the steps. */
#include "runtime/search/darts.h"
#include "runtime/schedule.h"

static checkpoint state_of(darts *s)
{
    checkpoint c = {.parameters = &s->config.parameters,
                    .set = {{"", {s->weights.value, s->stats, s->alphas.value}},
                            {"momentum.", {.weights = s->weights.momentum}},
                            {"adam.first.", {.alphas = s->alphas.first}},
                            {"adam.second.", {.alphas = s->alphas.second}}},
                    .sets = 4,
                    .counter = {{"epoch", &s->epoch},
                                {"step", &s->step},
                                {"alpha_steps", &s->alphas.steps},
                                {"rewards", &s->rewards}},
                    .counters = 4,
                    .sums = &s->sums.loss,
                    .sum_count = sizeof s->sums / sizeof(double)};
    return c;
}

static bool save(darts *s, nasc_diag *d)
{
    if (!s->config.folder)
        return true;
    checkpoint c = state_of(s);
    return run_log_sync(s->config.folder, d) && checkpoint_write(&c, s->config.folder->path, d);
}

bool darts_resume(darts *s, nasc_diag *d)
{
    run_folder *folder = s->config.folder;
    checkpoint c = state_of(s);
    if (checkpoint_exists(folder->path) && !checkpoint_read(&c, folder->path, d))
        return false;
    return run_log_cut(folder, s->epoch, s->step, d);
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

/* Every alpha exactly: a float32 printed as a double reads back as itself. */
static json_t *alphas_json(const darts *s)
{
    const parameters *p = &s->config.parameters;
    json_t *all = json_object();
    for (int i = 0; i < p->count; i++) {
        const net_param *q = &p->at[i];
        if (q->slot != SLOT_MIX)
            continue;
        json_t *rows = json_array();
        for (int row = 0; row < q->dim[2]; row++) {
            json_t *values = json_array();
            for (int k = 0; k < q->dim[3]; k++)
                json_array_append_new(values, json_real(s->alphas.value[q->offset + (int64_t)row * q->dim[3] + k]));
            json_array_append_new(rows, values);
        }
        json_object_set_new(all, q->name, rows);
    }
    return all;
}

static double mean(double sum, double count)
{
    return count > 0 ? sum / count : 0;
}

static bool log_epoch(darts *s, nasc_diag *d)
{
    const darts_sums *sums = &s->sums;
    json_t *line =
        json_pack("{sI sI sf sf sf}", "epoch", (json_int_t)s->epoch, "step", (json_int_t)s->step, "lr", s->lr, "loss",
                  mean(sums->loss, sums->images), "accuracy", mean(sums->correct, sums->images));
    bool ok = line != NULL;
    if (ok && sums->held_images > 0)
        ok = !json_object_set_new(line, "held_out_loss", json_real(mean(sums->held_loss, sums->held_images))) &&
             !json_object_set_new(line, "held_out_accuracy", json_real(mean(sums->held_correct, sums->held_images)));
    ok = ok && !json_object_set_new(line, "alphas", alphas_json(s));
    if (!ok)
        diag_memory(d);
    ok = ok && (!s->config.epoch_done || s->config.epoch_done(s->config.user, s, line, d)) &&
         (!s->config.folder || run_log_add(s->config.folder, line, d));
    json_decref(line);
    return ok;
}

/* ---- epochs ------------------------------------------------------------------------------------------------------ */

static bool learns_alphas(const darts *s, int at)
{
    return s->epoch >= s->config.settings.warmup_epochs && at % s->config.settings.alpha_every == 0;
}

/* The batches of a step, ahead of it: orders and epoch stay as they are while the steps are taken. */
static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    const darts *s = user;
    const darts_settings *q = &s->config.settings;
    const uint32_t *order[] = {s->order, s->held_order};
    (void)d;
    for (int f = 0; f < (learns_alphas(s, at) ? 2 : 1); f++)
        data_batch(s->config.data, &s->config.data->train, order[f] + (int64_t)at * q->batch, q->batch, &q->augment,
                   q->seed, (uint32_t)s->epoch, to[f].x, to[f].y);
    return true;
}

static bool step_taken(darts *s, int at, nasc_diag *d)
{
    const darts_settings *q = &s->config.settings;
    if (q->lr_by_step)
        s->lr = schedule_cosine(q->weights.lr, q->lr_min, s->step, (int64_t)s->steps * q->epochs);
    const feed *batch = prefetch_next(s->ahead, d);
    if (!batch)
        return false;
    if (learns_alphas(s, at)) {
        const feed *held = batch + 1;
        if (!darts_alpha_step(s, batch, held, d))
            return false;
        s->sums.held_loss += (double)s->run.loss * held->n;
        s->sums.held_correct += (double)s->run.correct * held->n;
        s->sums.held_images += held->n;
    }
    if (!darts_weight_step(s, batch, d))
        return false;
    s->sums.loss += (double)s->run.loss * batch->n;
    s->sums.correct += (double)s->run.correct * batch->n;
    s->sums.images += batch->n;
    s->step++;
    return true;
}

static bool goes_on(const darts *s, int done)
{
    struct progress_state state = {.phase = "search",
                                   .epoch = (int)s->epoch,
                                   .epochs = s->config.settings.epochs,
                                   .step = done,
                                   .steps = s->steps,
                                   .loss = mean(s->sums.loss, s->sums.images),
                                   .accuracy = mean(s->sums.correct, s->sums.images)};
    return progress_report(s->config.progress, &state);
}

/* Steps first … s->steps - 1 of the epoch. `go`: nobody has asked to stop. */
static enum run_end steps_run(darts *s, int first, bool *go, nasc_diag *d)
{
    const darts_settings *q = &s->config.settings;
    for (int at = first; at < s->steps; at++) {
        if (!step_taken(s, at, d))
            return RUN_FAILED;
        *go = goes_on(s, at + 1);
        bool last = at + 1 == s->steps, due = q->checkpoint_steps > 0 && s->step % q->checkpoint_steps == 0;
        if (!last && (due || !*go) && !save(s, d))
            return RUN_FAILED;
        if (!last && !*go)
            return RUN_STOPPED;
    }
    return RUN_DONE;
}

static enum run_end epoch_run(darts *s, nasc_diag *d)
{
    const darts_settings *q = &s->config.settings;
    uint32_t count = (uint32_t)s->config.data->train.count, half = count / 2;
    data_order(s->halves, half, q->seed, (uint32_t)s->epoch, 0, s->order);
    data_order(s->halves + half, count - half, q->seed, (uint32_t)s->epoch, 1, s->held_order);
    if (!q->lr_by_step)
        s->lr = schedule_cosine(q->weights.lr, q->lr_min, s->epoch, q->epochs);
    bool go = true;
    int first = (int)(s->step - s->epoch * s->steps);
    prefetch_start(s->ahead, fill, s, first, s->steps);
    enum run_end end = steps_run(s, first, &go, d);
    prefetch_stop(s->ahead);
    if (end != RUN_DONE)
        return end;
    s->epoch++;
    bool ok = log_epoch(s, d);
    s->sums = (darts_sums){.baseline = s->sums.baseline};
    if (!ok || !save(s, d))
        return RUN_FAILED;
    return go ? RUN_DONE : RUN_STOPPED;
}

enum run_end darts_search(darts *s, nasc_diag *d)
{
    enum run_end end = RUN_DONE;
    while (end == RUN_DONE && s->epoch < s->config.settings.epochs)
        end = epoch_run(s, d);
    return end;
}
