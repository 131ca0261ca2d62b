/* Training. */
#include "runtime/train/train.h"
#include "runtime/train/masks.h"

static int steps_of(const train_config *c)
{
    int batch = c->settings.batch, steps = data_batches(c->learn.count, batch, false);
    if (steps > 1 && data_batch_size(c->learn.count, batch, steps - 1) == 1)
        steps--;
    return c->settings.steps > 0 && c->settings.steps < steps ? c->settings.steps : steps;
}

/* ---- what its course does ---------------------------------------------------------------------------------------- */

static checkpoint state_of(void *user)
{
    train *t = user;
    checkpoint c = {.parameters = &t->config.parameters,
                    .set = {{"", {.weights = t->weights.value, .stats = t->stats}},
                            {"momentum.", {.weights = t->weights.momentum}}},
                    .sets = 2,
                    .counter = {{"epoch", &t->course.epoch}, {"step", &t->course.step}},
                    .counters = 2,
                    .sums = &t->course.sums.loss,
                    .sum_count = 4 /* loss, correct, images, skipped */};
    return c;
}

/* Order and epoch stay as they are while the steps are taken. */
static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    const train *t = user;
    const train_settings *q = &t->config.settings;
    const samples *learn = &t->config.learn;
    to->n = data_batch_size(learn->count, q->batch, at);
    batch_key key = {.of = {learn->part, t->order, learn->count},
                     .first = (uint32_t)(at * q->batch),
                     .n = to->n,
                     .augment = &q->augment,
                     .seed = q->seed,
                     .epoch = (uint32_t)t->course.epoch};
    to->skipped = data_batch(t->config.data, &key, to->x, to->y, d);
    return to->skipped >= 0;
}

/* At the present learning rate, with the masks of the present step. */
static bool step(void *user, int at, const feed *batch, nasc_diag *d)
{
    train *t = user;
    const train_settings *q = &t->config.settings;
    const runnable *what = &t->config.programs->weights;
    double drop = q->epochs > 0 ? q->drop_path * (double)t->course.epoch / q->epochs : 0;
    (void)at;
    t->run.scored = course_learned(&t->course, batch->n);
    masks_fill(what->program, t->masks, batch->n, drop, q->seed, (uint32_t)t->course.step);
    pass p = {
        .what = what, .weights = t->weights.value, .stats = t->stats, .weight_grad = t->weight_grad, .masks = t->masks};
    sgd_rates rates = q->weights;
    rates.lr = t->course.lr;
    return runner_pass(&t->run, &p, batch, d) &&
           sgd_step(&t->weights, t->config.device, t->weight_grad, NULL, &rates, d);
}

static void begin(void *user)
{
    train *t = user;
    data_order(t->config.learn.at, t->config.learn.count, t->config.settings.seed, (uint32_t)t->course.epoch, 0,
               t->order);
}

static bool judge(train *t, evaluation *judged, nasc_diag *d)
{
    pass p = {.what = &t->config.programs->eval, .weights = t->weights.value, .stats = t->stats, .keep_stats = true};
    if (t->config.judge.count == 0)
        return true;
    if (!evaluate(&t->run, &p, t->config.data, &t->config.judge, t->course.ahead, judged, NULL, d))
        return false;
    data_tell(t->config.data, t->config.progress);
    t->accuracy = (double)judged->right / (double)judged->images;
    return true;
}

static bool add_judgement(void *user, json_t *line, nasc_diag *d)
{
    train *t = user;
    evaluation judged = {0};
    if (!judge(t, &judged, d))
        return false;
    bool ok = judged.images == 0 || (!json_object_set_new(line, "eval_loss", json_real(judged.loss)) &&
                                     !json_object_set_new(line, "eval_accuracy", json_real(t->accuracy)));
    if (ok && judged.skipped > 0)
        ok = !json_object_set_new(line, "eval_skipped", json_integer((json_int_t)judged.skipped));
    return ok || diag_memory(d);
}

static void train_course(train *t)
{
    const train_settings *q = &t->config.settings;
    t->course = (course){.owner = {t, "train", begin, fill, step, add_judgement, state_of},
                         .settings = {.epochs = q->epochs,
                                      .checkpoint_steps = q->checkpoint_steps,
                                      .lr_by_step = q->lr_by_step,
                                      .lr = q->weights.lr,
                                      .lr_min = q->lr_min},
                         .folder = t->config.folder,
                         .progress = t->config.progress,
                         .data = t->config.data,
                         .device = t->config.device,
                         .lr = q->weights.lr};
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

train *train_open(arena *a, const train_config *config, nasc_diag *d)
{
    train *t = NEW(a, train);
    const train_programs *p = config->programs;
    const parameters *q = &config->parameters;
    t->config = *config;
    train_course(t);
    t->weights = sgd_new(a, config->device, &p->sgd, q->weights);
    t->stats = device_vector(config->device, a, q->stats);
    t->weight_grad = device_vector(config->device, a, q->weights);
    t->masks = NEW_ARRAY(a, float, masks_elements(p->weights.program));
    t->course.settings.steps = steps_of(config);
    t->order = NEW_ARRAY(a, uint32_t, config->learn.count);
    t->course.ahead = prefetch_new(a, config->data, config->settings.batch, 1);
    const runnable *all[] = {&p->weights, &p->eval, &p->sgd};
    if (!runner_open(&t->run, a, config->device, all, COUNT(all), d))
        return NULL;
    parameter_values values = {.weights = t->weights.value, .stats = t->stats};
    parameters_init(q, &values, config->settings.seed);
    return t;
}

bool train_resume(train *t, nasc_diag *d)
{
    return course_resume(&t->course, d);
}

enum run_end train_run(train *t, nasc_diag *d)
{
    evaluation judged = {0};
    if (t->course.epoch >= t->config.settings.epochs) /* done before: judged again, for who wants the accuracy */
        return judge(t, &judged, d) ? RUN_DONE : RUN_FAILED;
    return course_run(&t->course, d);
}
