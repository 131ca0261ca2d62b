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
    if (!proxyless_probabilities(s, d) || !alphas_log(line, &s->config.parameters, s->alphas.value, d))
        return false;
    return s->config.cost.term == COST_NONE ||
           json_object_set_new(line, "expected_cost", json_real(proxyless_expected_cost(s))) == 0 || diag_memory(d);
}

static bool learns_alphas(const proxyless *s, int at)
{
    return s->course.epoch >= s->config.settings.warmup_epochs && at % s->config.settings.alpha_every == 0;
}

/* Where the held-out batch of step `at` begins in held_order. */
static int64_t held_place(const proxyless *s, int at)
{
    int batch = s->config.settings.batch, batches = (int)s->held_count / batch,
        number = at / s->config.settings.alpha_every;
    return (int64_t)(number / batches) * s->held_count + (int64_t)(number % batches) * batch;
}

/* Orders and epoch stay as they are while the steps are taken. */
static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    const proxyless *s = user;
    const proxyless_settings *q = &s->config.settings;
    const struct data_part *part = &s->config.data->train;
    uint32_t epoch = (uint32_t)s->course.epoch;
    (void)d;
    data_batch(s->config.data, part, s->order + (int64_t)at * q->batch, q->batch, &q->augment, q->seed, epoch, to->x,
               to->y);
    if (learns_alphas(s, at))
        data_batch(s->config.data, part, s->held_order + held_place(s, at), q->batch, &q->augment, q->seed, epoch,
                   to[1].x, to[1].y);
    return true;
}

static bool step(void *user, int at, const feed *batch, nasc_diag *d)
{
    proxyless *s = user;
    const feed *held = batch + 1;
    if (!proxyless_weight_step(s, batch, d))
        return false;
    course_learned(&s->course, &s->run, batch->n);
    if (!learns_alphas(s, at))
        return true;
    if (!proxyless_alpha_step(s, held, d))
        return false;
    course_held_out(&s->course, &s->run, held->n);
    return true;
}

static void begin(void *user)
{
    proxyless *s = user;
    uint64_t seed = s->config.settings.seed;
    uint32_t epoch = (uint32_t)s->course.epoch;
    int64_t last = held_place(s, s->course.settings.steps - 1);
    data_order(s->split, s->learn_count, seed, epoch, 0, s->order);
    for (int64_t at = 0; at <= last; at += s->held_count)
        data_order(s->split + s->learn_count, s->held_count, seed, epoch, (uint32_t)(1 + at / s->held_count),
                   s->held_order + at);
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
                         .lr = q->weights.lr};
}

bool proxyless_resume(proxyless *s, nasc_diag *d)
{
    return course_resume(&s->course, d);
}

enum run_end proxyless_search(proxyless *s, nasc_diag *d)
{
    return course_run(&s->course, d);
}
