/* Training. */
#include "runtime/train/train.h"
#include "runtime/schedule.h"
#include "runtime/train/masks.h"

static int steps_of(const train_config *c)
{
    int batch = c->settings.batch, steps = data_batches(c->learn.count, batch, false);
    if (steps > 1 && data_batch_size(c->learn.count, batch, steps - 1) == 1)
        steps--;
    return c->settings.steps > 0 && c->settings.steps < steps ? c->settings.steps : steps;
}

train *train_open(arena *a, const train_config *config, nasc_diag *d)
{
    train *t = NEW(a, train);
    const train_programs *p = config->programs;
    const parameters *q = &config->parameters;
    t->config = *config;
    t->lr = config->settings.weights.lr;
    t->weights = sgd_new(a, &p->sgd, q->weights);
    t->stats = NEW_ARRAY(a, float, q->stats);
    t->weight_grad = NEW_ARRAY(a, float, q->weights);
    t->masks = NEW_ARRAY(a, float, masks_elements(p->weights.program));
    t->steps = steps_of(config);
    t->order = NEW_ARRAY(a, uint32_t, config->learn.count);
    t->ahead = prefetch_new(a, config->data, config->settings.batch, 1);
    const runnable *all[] = {&p->weights, &p->eval, &p->sgd};
    if (!runner_open(&t->run, a, config->device, all, COUNT(all), d))
        return NULL;
    parameter_values values = {.weights = t->weights.value, .stats = t->stats};
    parameters_init(q, &values, config->settings.seed);
    return t;
}

/* ---- checkpoints and log ----------------------------------------------------------------------------------------- */

static checkpoint state_of(train *t)
{
    checkpoint c = {.parameters = &t->config.parameters,
                    .set = {{"", {.weights = t->weights.value, .stats = t->stats}},
                            {"momentum.", {.weights = t->weights.momentum}}},
                    .sets = 2,
                    .counter = {{"epoch", &t->epoch}, {"step", &t->step}},
                    .counters = 2,
                    .sums = &t->sums.loss,
                    .sum_count = sizeof t->sums / sizeof(double)};
    return c;
}

static bool save(train *t, nasc_diag *d)
{
    if (!t->config.folder)
        return true;
    checkpoint c = state_of(t);
    return run_log_sync(t->config.folder, d) && checkpoint_write(&c, t->config.folder->path, d);
}

bool train_resume(train *t, nasc_diag *d)
{
    run_folder *folder = t->config.folder;
    checkpoint c = state_of(t);
    if (checkpoint_exists(folder->path) && !checkpoint_read(&c, folder->path, d))
        return false;
    return run_log_cut(folder, t->epoch, t->step, d);
}

static bool log_epoch(train *t, const evaluation *judged, nasc_diag *d)
{
    double images = t->sums.images > 0 ? t->sums.images : 1;
    json_t *line = json_pack("{sI sI sf sf sf}", "epoch", (json_int_t)t->epoch, "step", (json_int_t)t->step, "lr",
                             t->lr, "loss", t->sums.loss / images, "accuracy", t->sums.correct / images);
    bool ok = line != NULL;
    if (ok && judged->images > 0)
        ok = !json_object_set_new(line, "eval_loss", json_real(judged->loss)) &&
             !json_object_set_new(line, "eval_accuracy", json_real(t->accuracy));
    if (!ok)
        diag_memory(d);
    ok = ok && (!t->config.folder || run_log_add(t->config.folder, line, d));
    json_decref(line);
    return ok;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

bool train_step(train *t, const feed *batch, nasc_diag *d)
{
    const train_settings *q = &t->config.settings;
    const runnable *what = &t->config.programs->weights;
    double drop = q->epochs > 0 ? q->drop_path * (double)t->epoch / q->epochs : 0;
    masks_fill(what->program, t->masks, batch->n, drop, q->seed, (uint32_t)t->step);
    pass p = {
        .what = what, .weights = t->weights.value, .stats = t->stats, .weight_grad = t->weight_grad, .masks = t->masks};
    sgd_rates rates = q->weights;
    rates.lr = t->lr;
    return runner_pass(&t->run, &p, batch, d) && sgd_step(&t->weights, t->config.device, t->weight_grad, NULL, &rates, d);
}

/* The batch of a step, ahead of it: order and epoch stay as they are while the steps are taken. */
static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    const train *t = user;
    const train_settings *q = &t->config.settings;
    const samples *learn = &t->config.learn;
    (void)d;
    to->n = data_batch_size(learn->count, q->batch, at);
    data_batch(t->config.data, learn->part, t->order + (int64_t)at * q->batch, to->n, &q->augment, q->seed,
               (uint32_t)t->epoch, to->x, to->y);
    return true;
}

static bool step_taken(train *t, nasc_diag *d)
{
    const train_settings *q = &t->config.settings;
    if (q->lr_by_step)
        t->lr = schedule_cosine(q->weights.lr, q->lr_min, t->step, (int64_t)t->steps * q->epochs);
    const feed *batch = prefetch_next(t->ahead, d);
    if (!batch || !train_step(t, batch, d))
        return false;
    t->sums.loss += (double)t->run.loss * batch->n;
    t->sums.correct += (double)t->run.correct * batch->n;
    t->sums.images += batch->n;
    t->step++;
    return true;
}

static bool goes_on(const train *t, int done)
{
    double images = t->sums.images > 0 ? t->sums.images : 1;
    struct progress_state state = {.phase = "train",
                                   .epoch = (int)t->epoch,
                                   .epochs = t->config.settings.epochs,
                                   .step = done,
                                   .steps = t->steps,
                                   .loss = t->sums.loss / images,
                                   .accuracy = t->sums.correct / images};
    return progress_report(t->config.progress, &state);
}

static bool judge(train *t, evaluation *judged, nasc_diag *d)
{
    pass p = {.what = &t->config.programs->eval, .weights = t->weights.value, .stats = t->stats, .keep_stats = true};
    if (t->config.judge.count == 0)
        return true;
    if (!evaluate(&t->run, &p, t->config.data, &t->config.judge, t->ahead, judged, NULL, d))
        return false;
    t->accuracy = (double)judged->right / (double)judged->images;
    return true;
}

/* The epoch is over: judged, logged, saved. */
static bool epoch_end(train *t, nasc_diag *d)
{
    evaluation judged = {0};
    t->epoch++;
    bool ok = judge(t, &judged, d) && log_epoch(t, &judged, d);
    t->sums = (train_sums){0};
    return ok && save(t, d);
}

/* Steps first … t->steps - 1 of the epoch. `go`: nobody has asked to stop. */
static enum run_end steps_run(train *t, int first, bool *go, nasc_diag *d)
{
    const train_settings *q = &t->config.settings;
    for (int at = first; at < t->steps; at++) {
        if (!step_taken(t, d))
            return RUN_FAILED;
        *go = goes_on(t, at + 1);
        bool last = at + 1 == t->steps, due = q->checkpoint_steps > 0 && t->step % q->checkpoint_steps == 0;
        if (!last && (due || !*go) && !save(t, d))
            return RUN_FAILED;
        if (!last && !*go)
            return RUN_STOPPED;
    }
    return RUN_DONE;
}

static enum run_end epoch_run(train *t, nasc_diag *d)
{
    const train_settings *q = &t->config.settings;
    data_order(t->config.learn.at, t->config.learn.count, q->seed, (uint32_t)t->epoch, 0, t->order);
    if (!q->lr_by_step)
        t->lr = schedule_cosine(q->weights.lr, q->lr_min, t->epoch, q->epochs);
    bool go = true;
    int first = (int)(t->step - t->epoch * t->steps);
    prefetch_start(t->ahead, fill, t, first, t->steps);
    enum run_end end = steps_run(t, first, &go, d);
    prefetch_stop(t->ahead);
    if (end != RUN_DONE)
        return end;
    if (!epoch_end(t, d))
        return RUN_FAILED;
    return go ? RUN_DONE : RUN_STOPPED;
}

enum run_end train_run(train *t, nasc_diag *d)
{
    enum run_end end = RUN_DONE;
    evaluation judged = {0};
    if (t->epoch >= t->config.settings.epochs) /* done before: judged again, for who wants the accuracy */
        return judge(t, &judged, d) ? RUN_DONE : RUN_FAILED;
    while (end == RUN_DONE && t->epoch < t->config.settings.epochs)
        end = epoch_run(t, d);
    return end;
}
