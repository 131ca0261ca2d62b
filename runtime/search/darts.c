/* DARTS: the two steps of the bilevel search. */
#include "runtime/search/darts.h"
#include "runtime/rng.h"

#include <string.h>

static const double BASELINE_DECAY = 0.95, RADIUS = 0.01;

static bool has(const runnable *r)
{
    return r->program != NULL;
}

static void buffers_new(darts *s, arena *a)
{
    const parameters *p = &s->config.parameters;
    device *v = s->config.device;
    s->weights = sgd_new(a, v, &s->config.programs->method[METHOD_sgd], p->weights);
    s->alphas = adam_new(a, v, &s->config.programs->method[METHOD_adam], p->mix);
    s->stats = device_vector(v, a, p->stats);
    s->weight_grad = device_vector(v, a, p->weights);
    s->direction = s->config.settings.order == DARTS_SECOND ? device_vector(v, a, p->weights) : NULL;
    s->epsilon = device_vector(v, a, 1);
    float **rows[] = {&s->mix, &s->sample, &s->mix_grad, &s->mix_plus, &s->mix_minus, &s->alpha_grad};
    for (size_t i = 0; i < COUNT(rows); i++)
        *rows[i] = device_vector(v, a, p->mix);
}

static bool data_new(darts *s, arena *a, nasc_diag *d)
{
    const dataset *set = s->config.data;
    const darts_settings *q = &s->config.settings;
    uint32_t count = (uint32_t)set->train.count, half = count / 2;
    int steps = data_batches(half, q->batch, true);
    if (steps < 1)
        return diag_fail(d, DIAG_INPUT, set->spec, "half of its %u training images is less than one batch of %d",
                         (unsigned)count, q->batch);
    if (q->steps > 0 && q->steps < steps)
        steps = q->steps;
    s->halves = NEW_ARRAY(a, uint32_t, count);
    s->order = NEW_ARRAY(a, uint32_t, count);
    s->held_order = s->order + half;
    data_split(count, q->seed, s->halves);
    s->course.settings.steps = steps;
    s->course.ahead = prefetch_new(a, set, q->batch, 2);
    return true;
}

darts *darts_open(arena *a, const darts_config *config, nasc_diag *d)
{
    darts *s = NEW(a, darts);
    s->config = *config;
    darts_course(s);
    buffers_new(s, a);
    const darts_programs *p = config->programs;
    const runnable *wanted[4 + METHOD_COUNT] = {&p->weights, &p->mix, &p->both, &p->forward};
    int count = 0;
    for (int i = 0; i < 4; i++)
        if (has(wanted[i]))
            wanted[count++] = wanted[i];
    for (int i = 0; i < METHOD_COUNT; i++)
        if (has(&p->method[i]))
            wanted[count++] = &p->method[i];
    if (!runner_open(&s->run, a, config->device, wanted, count, d) || (config->data && !data_new(s, a, d)))
        return NULL;
    parameter_values values = {s->weights.value, s->stats, s->alphas.value};
    parameters_init(&config->parameters, &values, config->settings.seed);
    return s;
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static pass pass_of(darts *s, const runnable *what)
{
    return (pass){.what = what,
                  .weights = s->weights.value,
                  .mix = s->mix,
                  .stats = s->stats,
                  .weight_grad = s->weight_grad,
                  .mix_grad = s->mix_grad,
                  .keep_stats = true};
}

bool darts_mix(darts *s, nasc_diag *d)
{
    float scalars[SCALAR_COUNT] = {0};
    float *user[BINDINGS] = {[BIND_VALUE] = s->alphas.value, [BIND_VALUE_OUT] = s->mix};
    return method_run(s->config.device, &s->config.programs->method[METHOD_softmax], user, scalars, NULL, d);
}

static bool first_order(darts *s, const feed *held, nasc_diag *d)
{
    const darts_programs *p = s->config.programs;
    pass on_held = pass_of(s, &p->mix);
    float scalars[SCALAR_COUNT] = {0};
    float *user[BINDINGS] = {[BIND_VALUE] = s->mix, [BIND_GRAD] = s->mix_grad, [BIND_VALUE_OUT] = s->alpha_grad};
    return runner_pass(&s->run, &on_held, held, d) &&
           method_run(s->config.device, &p->method[METHOD_alpha], user, scalars, NULL, d);
}

/* dL_train/dp at weights w. */
static bool side(darts *s, const float *w, float *mix_grad, const feed *train, nasc_diag *d)
{
    pass at = pass_of(s, &s->config.programs->mix);
    at.weights = w;
    at.mix_grad = mix_grad;
    at.unscored = true;
    return runner_pass(&s->run, &at, train, d);
}

/* The spare vectors of SGD are free between its steps: w' and w⁻ lie in one, w⁺ in the other. */
static bool second_order(darts *s, const feed *train, const feed *held, nasc_diag *d)
{
    const darts_programs *p = s->config.programs;
    device *v = s->config.device;
    float scalars[SCALAR_COUNT] = {[SCALAR_RADIUS] = (float)RADIUS};
    sgd_rates rates = s->config.settings.weights;
    rates.lr = s->course.lr;
    sgd_scalars(scalars, &rates);
    float *unrolled = s->weights.spare, *plus = s->weights.spare_momentum, *minus = s->weights.spare;
    float *unroll[BINDINGS] = {[BIND_VALUE] = s->weights.value,
                               [BIND_GRAD] = s->weight_grad,
                               [BIND_FIRST] = s->weights.momentum,
                               [BIND_VALUE_OUT] = unrolled};
    float *perturb[BINDINGS] = {[BIND_VALUE] = s->weights.value,
                                [BIND_GRAD] = s->direction,
                                [BIND_PLUS] = plus,
                                [BIND_MINUS] = minus,
                                [BIND_EPSILON] = s->epsilon};
    float *combine[BINDINGS] = {
        [BIND_VALUE] = s->mix,       [BIND_GRAD] = s->mix_grad,   [BIND_PLUS] = s->mix_plus,
        [BIND_MINUS] = s->mix_minus, [BIND_EPSILON] = s->epsilon, [BIND_VALUE_OUT] = s->alpha_grad};
    pass on_train = pass_of(s, &p->weights), on_held = pass_of(s, &p->both);
    on_held.weights = unrolled;
    on_held.weight_grad = s->direction;
    on_train.unscored = true;
    return runner_pass(&s->run, &on_train, train, d) &&
           method_run(v, &p->method[METHOD_unroll], unroll, scalars, NULL, d) &&
           runner_pass(&s->run, &on_held, held, d) &&
           method_run(v, &p->method[METHOD_perturb], perturb, scalars, NULL, d) &&
           side(s, plus, s->mix_plus, train, d) && side(s, minus, s->mix_minus, train, d) &&
           method_run(v, &p->method[METHOD_alpha_2nd], combine, scalars, NULL, d);
}

/* ---- REINFORCE --------------------------------------------------------------------------------------------------- */

/* One candidate for each row, with the row's probabilities. */
static void draw_path(darts *s)
{
    const parameters *p = &s->config.parameters;
    memset(s->sample, 0, (size_t)p->mix * sizeof *s->sample);
    for (int i = 0; i < p->count; i++) {
        const net_param *q = &p->at[i];
        for (int row = 0; q->slot == SLOT_MIX && row < q->dim[2]; row++) {
            int columns = q->dim[3], chosen = 0;
            int64_t first = q->offset + (int64_t)row * columns;
            rng r = rng_open(s->config.settings.seed, RNG_PATHS, (uint32_t)s->course.step, (uint32_t)first);
            double left = rng_unit(&r);
            for (int k = 0; k < columns; k++) { /* the last with any weight, should rounding leave something over */
                chosen = s->mix[first + k] > 0 ? k : chosen;
                left -= s->mix[first + k];
                if (left < 0)
                    break;
            }
            s->sample[first + chosen] = 1;
        }
    }
}

static bool reinforce(darts *s, const feed *held, nasc_diag *d)
{
    const darts_programs *p = s->config.programs;
    device *v = s->config.device;
    if (!device_fetch(v, s->mix, d))
        return false;
    draw_path(s);
    device_changed(v, s->sample);
    pass path = pass_of(s, &p->forward);
    path.mix = s->sample;
    if (!runner_pass(&s->run, &path, held, d) || !device_wait(v, d))
        return false;
    double reward = s->run.scored->correct;
    if (s->rewards == 0)
        s->course.sums.baseline = reward;
    float scalars[SCALAR_COUNT] = {[SCALAR_ADVANTAGE] = (float)(reward - s->course.sums.baseline)};
    s->course.sums.baseline = BASELINE_DECAY * s->course.sums.baseline + (1 - BASELINE_DECAY) * reward;
    s->rewards++;
    memset(s->alpha_grad, 0, (size_t)s->config.parameters.mix * sizeof *s->alpha_grad);
    device_changed(v, s->alpha_grad);
    float *user[BINDINGS] = {[BIND_VALUE] = s->mix,
                             [BIND_SAMPLE] = s->sample,
                             [BIND_GRAD] = s->alpha_grad,
                             [BIND_VALUE_OUT] = s->alpha_grad};
    return method_run(v, &p->method[METHOD_reinforce], user, scalars, NULL, d);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

bool darts_alpha_gradient(darts *s, const feed *train, const feed *held, nasc_diag *d)
{
    if (!darts_mix(s, d))
        return false;
    switch (s->config.settings.order) {
    case DARTS_FIRST:
        return first_order(s, held, d);
    case DARTS_SECOND:
        return second_order(s, train, held, d);
    default:
        return reinforce(s, held, d);
    }
}

bool darts_alpha_step(darts *s, const feed *train, const feed *held, nasc_diag *d)
{
    return darts_alpha_gradient(s, train, held, d) &&
           adam_step(&s->alphas, s->config.device, s->alpha_grad, &s->config.settings.alphas, d);
}

bool darts_weight_step(darts *s, const feed *train, nasc_diag *d)
{
    pass on_train = pass_of(s, &s->config.programs->weights);
    on_train.keep_stats = false;
    sgd_rates rates = s->config.settings.weights;
    rates.lr = s->course.lr;
    return darts_mix(s, d) && runner_pass(&s->run, &on_train, train, d) &&
           sgd_step(&s->weights, s->config.device, s->weight_grad, NULL, &rates, d);
}
