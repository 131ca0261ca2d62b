/* DARTS: what its course does. */
#include "runtime/search/alphas.h"
#include "runtime/search/darts.h"

static checkpoint state_of(void *user)
{
    darts *s = user;
    checkpoint c = {.parameters = &s->config.parameters,
                    .set = {{"", {s->weights.value, s->stats, s->alphas.value}},
                            {"momentum.", {.weights = s->weights.momentum}},
                            {"adam.first.", {.alphas = s->alphas.first}},
                            {"adam.second.", {.alphas = s->alphas.second}}},
                    .sets = 4,
                    .counter = {{"epoch", &s->course.epoch},
                                {"step", &s->course.step},
                                {"alpha_steps", &s->alphas.steps},
                                {"rewards", &s->rewards}},
                    .counters = 4,
                    .sums = &s->course.sums.loss,
                    .sum_count = sizeof s->course.sums / sizeof(double)};
    return c;
}

static bool add_alphas(void *user, json_t *line, nasc_diag *d)
{
    const darts *s = user;
    return device_fetch(s->config.device, s->alphas.value, d) &&
           alphas_log(line, &s->config.parameters, s->alphas.value, d);
}

static bool learns_alphas(const darts *s, int at)
{
    return s->course.epoch >= s->config.settings.warmup_epochs && at % s->config.settings.alpha_every == 0;
}

/* Orders and epoch stay as they are while the steps are taken. */
static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    const darts *s = user;
    const darts_settings *q = &s->config.settings;
    const struct data_part *part = &s->config.data->train;
    uint32_t count = (uint32_t)part->count, half = count / 2;
    const samples of[] = {{part, s->order, half}, {part, s->held_order, count - half}};
    for (int f = 0; f < (learns_alphas(s, at) ? 2 : 1); f++) {
        batch_key key = {of[f], (uint32_t)(at * q->batch), q->batch, &q->augment, q->seed, (uint32_t)s->course.epoch};
        to[f].skipped = data_batch(s->config.data, &key, to[f].x, to[f].y, d);
        if (to[f].skipped < 0)
            return false;
    }
    return true;
}

static bool step(void *user, int at, const feed *batch, nasc_diag *d)
{
    darts *s = user;
    const feed *held = batch + 1;
    if (learns_alphas(s, at)) {
        s->run.scored = course_held_out(&s->course, held->n);
        if (!darts_alpha_step(s, batch, held, d))
            return false;
    }
    s->run.scored = course_learned(&s->course, batch->n);
    return darts_weight_step(s, batch, d);
}

static void begin(void *user)
{
    darts *s = user;
    uint64_t seed = s->config.settings.seed;
    uint32_t count = (uint32_t)s->config.data->train.count, half = count / 2;
    data_order(s->halves, half, seed, (uint32_t)s->course.epoch, 0, s->order);
    data_order(s->halves + half, count - half, seed, (uint32_t)s->course.epoch, 1, s->held_order);
}

void darts_course(darts *s)
{
    const darts_settings *q = &s->config.settings;
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

bool darts_resume(darts *s, nasc_diag *d)
{
    return course_resume(&s->course, d);
}

enum run_end darts_search(darts *s, nasc_diag *d)
{
    enum run_end end = course_run(&s->course, d);
    return end == RUN_DONE && !device_fetch(s->config.device, s->alphas.value, d) ? RUN_FAILED : end;
}
