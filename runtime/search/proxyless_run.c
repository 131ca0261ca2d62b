/* ProxylessNAS: what its course does. */
#include "runtime/search/alphas.h"
#include "runtime/search/proxyless.h"

static checkpoint state_of(void *user)
{
    proxyless *s = user;
    checkpoint c = {.parameters = &s->config.parameters,
                    .set = {{"", {s->weights.value, s->stats, s->alphas.value}},
                            {"momentum.", {.weights = s->weights.momentum}},
                            {"adam.first.", {.alphas = s->alphas.first}},
                            {"adam.second.", {.alphas = s->alphas.second}}},
                    .sets = 4,
                    .counter = {{"epoch", &s->course.epoch},
                                {"step", &s->course.step},
                                {"alpha_steps", &s->alphas.steps},
                                {"rewarded", &s->rewarded}},
                    .counters = 4,
                    .sums = &s->course.sums.loss,
                    .sum_count = sizeof s->course.sums / sizeof(double)};
    return c;
}

static bool add_alphas(void *user, json_t *line, nasc_diag *d)
{
    proxyless *s = user;
    if (!proxyless_probabilities(s, d) || !device_fetch(s->config.device, s->alphas.value, d) ||
        !alphas_log(line, &s->config.parameters, s->alphas.value, d))
        return false;
    return s->config.cost.term == COST_NONE ||
           json_object_set_new(line, "expected_cost", json_real(proxyless_expected_cost(s))) == 0 || diag_memory(d);
}

static bool learns_alphas(const proxyless *s, int at)
{
    return s->course.epoch >= s->config.settings.warmup_epochs && at % s->config.settings.alpha_every == 0;
}

/* Step `at` takes a held-out batch from which of the orders in held_order, and the place where the batch begins. */
static uint32_t held_round(const proxyless *s, int at, uint32_t *first)
{
    uint32_t batch = (uint32_t)s->config.settings.batch, batches = s->held_count / batch;
    uint32_t number = (uint32_t)(at / s->config.settings.alpha_every);
    *first = number % batches * batch;
    return number / batches;
}

static bool fill_one(const proxyless *s, const uint32_t *order, uint32_t count, uint32_t first, feed *to, nasc_diag *d)
{
    const proxyless_settings *q = &s->config.settings;
    batch_key key = {.of = {&s->config.data->train, order, count},
                     .first = first,
                     .n = q->batch,
                     .augment = &q->augment,
                     .seed = q->seed,
                     .epoch = (uint32_t)s->course.epoch};
    to->skipped = data_batch(s->config.data, &key, to->x, to->y, d);
    return to->skipped >= 0;
}

/* Orders and epoch stay as they are while the steps are taken. */
static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    const proxyless *s = user;
    uint32_t first;
    const uint32_t *held = s->held_order + (int64_t)held_round(s, at, &first) * s->held_count;
    return fill_one(s, s->order, s->learn_count, (uint32_t)(at * s->config.settings.batch), to, d) &&
           (!learns_alphas(s, at) || fill_one(s, held, s->held_count, first, to + 1, d));
}

static bool step(void *user, int at, const feed *batch, nasc_diag *d)
{
    proxyless *s = user;
    const feed *held = batch + 1;
    s->run.scored = course_learned(&s->course, batch->n);
    if (!proxyless_weight_step(s, batch, d))
        return false;
    if (!learns_alphas(s, at))
        return true;
    s->run.scored = course_held_out(&s->course, held->n);
    return proxyless_alpha_step(s, held, d);
}

static void begin(void *user)
{
    proxyless *s = user;
    uint64_t seed = s->config.settings.seed;
    uint32_t epoch = (uint32_t)s->course.epoch;
    uint32_t first, last = held_round(s, s->course.settings.steps - 1, &first);
    data_order(s->split, s->learn_count, seed, epoch, 0, s->order);
    for (uint32_t k = 0; k <= last; k++)
        data_order(s->split + s->learn_count, s->held_count, seed, epoch, 1 + k,
                   s->held_order + (int64_t)k * s->held_count);
}

void proxyless_course(proxyless *s)
{
    const proxyless_settings *q = &s->config.settings;
    s->course = (course){.owner = {s, "search", begin, fill, step, add_alphas, state_of},
                         .settings = {.epochs = q->epochs,
                                      .checkpoint_steps = q->checkpoint_steps,
                                      .lr_by_step = q->lr_by_step,
                                      .lr = q->weights.lr,
                                      .lr_min = q->lr_min},
                         .folder = s->config.folder,
                         .progress = s->config.progress,
                         .data = s->config.data,
                         .device = s->config.device,
                         .lr = q->weights.lr};
}

bool proxyless_resume(proxyless *s, nasc_diag *d)
{
    return course_resume(&s->course, d);
}

enum run_end proxyless_search(proxyless *s, nasc_diag *d)
{
    enum run_end end = course_run(&s->course, d);
    return end == RUN_DONE && !device_fetch(s->config.device, s->alphas.value, d) ? RUN_FAILED : end;
}
