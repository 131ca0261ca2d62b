/* ProxylessNAS: the steps of the search. */
#include "runtime/search/proxyless.h"
#include "runtime/elementary.h"
#include "runtime/rng.h"

#include <math.h>
#include <string.h>

static const double BASELINE_DECAY = 0.95;

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Rows of alpha in the order of their parameters: the net numbers its choices so. */
static void choices_new(proxyless *s, arena *a)
{
    const parameters *p = &s->config.parameters;
    for (int i = 0; i < p->count; i++)
        s->choice_count += p->at[i].slot == SLOT_MIX ? p->at[i].dim[2] : 0;
    s->choices = NEW_ARRAY(a, proxyless_choice, s->choice_count + 1);
    int made = 0;
    for (int i = 0; i < p->count; i++) {
        const net_param *q = &p->at[i];
        for (int row = 0; q->slot == SLOT_MIX && row < q->dim[2]; row++)
            s->choices[made++] = (proxyless_choice){q->offset + (int64_t)row * q->dim[3], q->dim[3]};
    }
}

static void buffers_new(proxyless *s, arena *a)
{
    const parameters *p = &s->config.parameters;
    const proxyless_programs *programs = s->config.programs;
    int samples = s->config.settings.samples > 0 ? s->config.settings.samples : 1;
    device *v = s->config.device;
    s->weights = sgd_new_in_place(a, v, &programs->method[METHOD_sgd], p->weights);
    s->alphas = adam_new(a, v, &programs->method[METHOD_adam], p->mix);
    s->stats = device_vector(v, a, p->stats);
    s->weight_grad = device_vector(v, a, programs->method[METHOD_sgd].program->slot_size[SLOT_USER + BIND_GRAD]);
    float **rows[] = {&s->p, &s->marks, &s->cost, &s->gate_grad, &s->alpha_grad, &s->rescaled};
    for (size_t i = 0; i < COUNT(rows); i++)
        *rows[i] = device_vector(v, a, p->mix);
    if (s->config.cost.of)
        memcpy(s->cost, s->config.cost.of, (size_t)p->mix * sizeof *s->cost);
    s->active = NEW_ARRAY(a, int, s->choice_count + 1);
    s->other = NEW_ARRAY(a, int, s->choice_count + 1);
    s->gates = NEW_ARRAY(a, uint64_t, s->choice_count + 1);
    s->paths = NEW_ARRAY(a, int, (int64_t)samples * s->choice_count + 1);
    s->rewards = NEW_ARRAY(a, double, samples);
}

static bool data_new(proxyless *s, arena *a, nasc_diag *d)
{
    const dataset *set = s->config.data;
    const proxyless_settings *q = &s->config.settings;
    uint32_t count = (uint32_t)set->train.count;
    s->held_count = data_held_out(count, q->held_out);
    s->learn_count = count - s->held_count;
    int steps = data_batches(s->learn_count, q->batch, true);
    int held = data_batches(s->held_count, q->batch, true);
    if (held < 1 || steps < 1)
        return diag_fail(d, DIAG_INPUT, set->spec,
                         "%u of its %u training images are held out (held_out), expected a batch of %d at least there "
                         "and in the rest",
                         (unsigned)s->held_count, (unsigned)count, q->batch);
    if (q->steps > 0 && q->steps < steps)
        steps = q->steps;
    int rounds = ((steps - 1) / q->alpha_every) / held + 1;
    s->split = NEW_ARRAY(a, uint32_t, count);
    s->order = NEW_ARRAY(a, uint32_t, s->learn_count);
    s->held_order = NEW_ARRAY(a, uint32_t, (int64_t)rounds * s->held_count);
    data_split(count, q->seed, s->split);
    s->course.settings.steps = steps;
    s->course.ahead = prefetch_new(a, set, q->batch, 2);
    return true;
}

/* The logarithms of mul#log are to be positive: of the target, and of whatever a network of the space can cost. */
static bool cost_fits(const proxyless *s, nasc_diag *d)
{
    double least = s->config.cost.fixed;
    for (int c = 0; c < s->choice_count; c++) {
        const float *of = s->cost + s->choices[c].first;
        double low = of[0];
        for (int k = 1; k < s->choices[c].candidates; k++)
            low = of[k] < low ? of[k] : low;
        least += low;
    }
    return s->config.cost.term != COST_MUL_LOG || (least > 1 && s->config.cost.target > 1) ||
           diag_fail(d, DIAG_INPUT, "cost_loss",
                     "mul#log takes the logarithm of costs, and here they begin at %g with the target %g: they must be "
                     "above 1, or the loss add#linear",
                     least, s->config.cost.target);
}

proxyless *proxyless_open(arena *a, const proxyless_config *config, nasc_diag *d)
{
    proxyless *s = NEW(a, proxyless);
    const proxyless_programs *p = config->programs;
    const runnable *wanted[3 + METHOD_COUNT] = {&p->weights, &p->gates, &p->forward};
    int count = 0;
    s->config = *config;
    proxyless_course(s);
    choices_new(s, a);
    buffers_new(s, a);
    for (int i = 0; i < 3 + METHOD_COUNT; i++) {
        const runnable *one = i < 3 ? wanted[i] : &p->method[i - 3];
        if (one->program)
            wanted[count++] = one;
    }
    if (!cost_fits(s, d) || !runner_open(&s->run, a, config->device, wanted, count, d) ||
        (config->data && !data_new(s, a, d)))
        return NULL;
    parameter_values values = {s->weights.value, s->stats, s->alphas.value};
    parameters_init(&config->parameters, &values, config->settings.seed);
    return s;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

bool proxyless_probabilities(proxyless *s, nasc_diag *d)
{
    float scalars[SCALAR_COUNT] = {0};
    float *user[BINDINGS] = {[BIND_VALUE] = s->alphas.value, [BIND_VALUE_OUT] = s->p};
    device *v = s->config.device;
    return method_run(v, &s->config.programs->method[METHOD_softmax], user, scalars, NULL, d) &&
           device_fetch(v, s->p, d);
}

/* One of the choice's candidates with probability proportional to p, but not `without`. -1: none is left. */
static int draw(const float *p, int candidates, int without, rng *r)
{
    double sum = 0, left;
    int chosen = -1;
    for (int k = 0; k < candidates; k++)
        sum += k == without ? 0 : p[k];
    left = rng_unit(r) * sum;
    for (int k = 0; k < candidates; k++) { /* the last with any weight, should rounding leave something over */
        if (k == without || p[k] <= 0)
            continue;
        chosen = k;
        left -= p[k];
        if (left < 0)
            break;
    }
    return chosen;
}

static void draw_active(const proxyless *s, enum rng_purpose purpose, int sample, int *active)
{
    for (int c = 0; c < s->choice_count; c++) {
        uint32_t index = (uint32_t)(sample * s->choice_count + c);
        rng r = rng_open(s->config.settings.seed, purpose, (uint32_t)s->course.step, index);
        active[c] = draw(s->p + s->choices[c].first, s->choices[c].candidates, -1, &r);
    }
}

void proxyless_draw_path(proxyless *s)
{
    draw_active(s, RNG_PATHS, 0, s->active);
}

/* Two with p, then the active one with their softmax; alone, a candidate is active. */
static void draw_two(proxyless *s, int c)
{
    const proxyless_choice *choice = &s->choices[c];
    const float *p = s->p + choice->first;
    rng r = rng_open(s->config.settings.seed, RNG_GATES, (uint32_t)s->course.step, (uint32_t)c);
    int one = draw(p, choice->candidates, -1, &r), two = draw(p, choice->candidates, one, &r);
    bool first = two < 0 || rng_unit(&r) * ((double)p[one] + p[two]) < p[one];
    s->active[c] = first ? one : two;
    s->other[c] = first ? two : one;
    s->gates[c] = two < 0 ? 0 : UINT64_C(1) << s->other[c];
}

void proxyless_draw_gates(proxyless *s)
{
    bool two = s->config.settings.rule == PROXYLESS_TWO;
    if (!two)
        draw_active(s, RNG_GATES, 0, s->active);
    for (int c = 0; c < s->choice_count; c++)
        if (two)
            draw_two(s, c);
        else
            s->gates[c] = ((UINT64_C(1) << s->choices[c].candidates) - 1) & ~(UINT64_C(1) << s->active[c]);
}

/* ---- cost -------------------------------------------------------------------------------------------------------- */

double proxyless_expected_cost(const proxyless *s)
{
    double cost = s->config.cost.fixed;
    for (int64_t i = 0; i < s->config.parameters.mix; i++)
        cost += (double)s->p[i] * s->cost[i];
    return cost;
}

double proxyless_path_cost(const proxyless *s, const int *active)
{
    double cost = s->config.cost.fixed;
    for (int c = 0; c < s->choice_count; c++)
        cost += s->cost[s->choices[c].first + active[c]];
    return cost;
}

/* The gradient of the loss by p_j is scale·dCE/dp_j + price·F_j. */
static void cost_scales(const proxyless *s, double loss, double *scale, double *price)
{
    const proxyless_cost *c = &s->config.cost;
    *scale = 1;
    *price = 0;
    if (c->term == COST_ADD_LINEAR || (c->term == COST_ADD_ABSOLUTE && proxyless_expected_cost(s) > c->target))
        *price = c->factor / c->target;
    else if (c->term == COST_ADD_ABSOLUTE)
        *price = -c->factor / c->target;
    if (c->term != COST_MUL_LOG)
        return;
    double expected = proxyless_expected_cost(s), log_expected = exact_log(expected);
    *scale = exact_power(log_expected / exact_log(c->target), c->factor);
    *price = loss * *scale * c->factor / (log_expected * expected);
}

/* ---- alpha ------------------------------------------------------------------------------------------------------- */

static pass pass_of(proxyless *s, const runnable *what)
{
    return (pass){.what = what,
                  .weights = s->weights.value,
                  .mix = s->p,
                  .stats = s->stats,
                  .weight_grad = s->weight_grad,
                  .mix_grad = s->gate_grad,
                  .active = s->active,
                  .gates = s->gates,
                  .keep_stats = true};
}

static void mark_path(const proxyless *s, const int *active)
{
    memset(s->marks, 0, (size_t)s->config.parameters.mix * sizeof *s->marks);
    for (int c = 0; c < s->choice_count; c++)
        s->marks[s->choices[c].first + active[c]] = 1;
    device_changed(s->config.device, s->marks);
}

bool proxyless_binary_connect(proxyless *s, double loss, nasc_diag *d)
{
    mark_path(s, s->active);
    for (int c = 0; c < s->choice_count; c++)
        for (int k = 0; k < s->choices[c].candidates; k++)
            if (s->gates[c] >> k & 1)
                s->marks[s->choices[c].first + k] = 1;
    double scale, price;
    cost_scales(s, loss, &scale, &price);
    float scalars[SCALAR_COUNT] = {[SCALAR_LOSS_SCALE] = (float)scale, [SCALAR_COST_SCALE] = (float)price};
    float *user[BINDINGS] = {[BIND_VALUE] = s->alphas.value,
                             [BIND_GRAD] = s->gate_grad,
                             [BIND_SAMPLE] = s->marks,
                             [BIND_COST] = s->cost,
                             [BIND_VALUE_OUT] = s->alpha_grad};
    return method_run(s->config.device, &s->config.programs->method[METHOD_gates], user, scalars, NULL, d);
}

static void clear_rows(const proxyless *s, float *rows)
{
    memset(rows, 0, (size_t)s->config.parameters.mix * sizeof *rows);
    device_changed(s->config.device, rows);
}

/* The loss is waited for where it counts alone: mul#log multiplies by it. */
bool proxyless_gate_gradient(proxyless *s, const feed *held, nasc_diag *d)
{
    pass on_held = pass_of(s, &s->config.programs->gates);
    bool counts = s->config.cost.term == COST_MUL_LOG;
    clear_rows(s, s->gate_grad);
    return runner_pass(&s->run, &on_held, held, d) && (!counts || device_wait(s->config.device, d)) &&
           proxyless_binary_connect(s, counts ? s->run.scored->loss : 0, d);
}

bool proxyless_alpha_move(proxyless *s, nasc_diag *d)
{
    device *v = s->config.device;
    if (!adam_step(&s->alphas, v, s->alpha_grad, &s->config.settings.alphas, d))
        return false;
    if (s->config.settings.rule != PROXYLESS_TWO)
        return true;
    float scalars[SCALAR_COUNT] = {0}, *moved = s->alphas.value;
    float *user[BINDINGS] = {[BIND_VALUE] = s->alphas.spare, /* Adam leaves the old ones there */
                             [BIND_GRAD] = moved,
                             [BIND_SAMPLE] = s->marks,
                             [BIND_VALUE_OUT] = s->rescaled};
    if (!method_run(v, &s->config.programs->method[METHOD_rescale], user, scalars, NULL, d))
        return false;
    s->alphas.value = s->rescaled;
    s->rescaled = moved;
    return true;
}

/* A path's reward: accuracy, and less of it the more it costs. */
static double reward_of(const proxyless *s, const int *active)
{
    const proxyless_cost *c = &s->config.cost;
    double accuracy = s->run.scored->correct;
    if (c->term == COST_NONE)
        return accuracy;
    double cost = proxyless_path_cost(s, active);
    if (c->term == COST_ADD_ABSOLUTE)
        return accuracy - c->factor * fabs(cost - c->target) / c->target;
    return accuracy * exact_power(c->target / cost, c->exponent);
}

/* The paths of this step and their rewards. Their score is the mean. */
static bool run_paths(proxyless *s, const feed *held, nasc_diag *d)
{
    int samples = s->config.settings.samples;
    double loss = 0, correct = 0;
    for (int m = 0; m < samples; m++) {
        int *active = s->paths + (int64_t)m * s->choice_count;
        draw_active(s, RNG_GATES, m, active);
        pass path = pass_of(s, &s->config.programs->forward);
        path.active = active;
        if (!runner_pass(&s->run, &path, held, d) || !device_wait(s->config.device, d))
            return false;
        s->rewards[m] = reward_of(s, active);
        loss += s->run.scored->loss / (double)samples;
        correct += s->run.scored->correct / (double)samples;
    }
    *s->run.scored = (score){(float)loss, (float)correct};
    return true;
}

/* Its gradient into s->alpha_grad. */
static bool reinforce(proxyless *s, const feed *held, nasc_diag *d)
{
    int samples = s->config.settings.samples;
    if (!run_paths(s, held, d))
        return false;
    double mean = 0;
    for (int m = 0; m < samples; m++)
        mean += s->rewards[m] / samples;
    if (s->rewarded == 0)
        s->course.sums.baseline = mean;
    clear_rows(s, s->alpha_grad);
    for (int m = 0; m < samples; m++) {
        mark_path(s, s->paths + (int64_t)m * s->choice_count);
        float scalars[SCALAR_COUNT] = {[SCALAR_ADVANTAGE] =
                                           (float)((s->rewards[m] - s->course.sums.baseline) / samples)};
        float *user[BINDINGS] = {[BIND_VALUE] = s->p,
                                 [BIND_SAMPLE] = s->marks,
                                 [BIND_GRAD] = s->alpha_grad,
                                 [BIND_VALUE_OUT] = s->alpha_grad};
        if (!method_run(s->config.device, &s->config.programs->method[METHOD_reinforce], user, scalars, NULL, d))
            return false;
    }
    s->course.sums.baseline = BASELINE_DECAY * s->course.sums.baseline + (1 - BASELINE_DECAY) * mean;
    s->rewarded++;
    return true;
}

bool proxyless_alpha_step(proxyless *s, const feed *held, nasc_diag *d)
{
    if (!proxyless_probabilities(s, d))
        return false;
    if (s->config.settings.rule == PROXYLESS_REINFORCE)
        return reinforce(s, held, d) && proxyless_alpha_move(s, d);
    proxyless_draw_gates(s);
    return proxyless_gate_gradient(s, held, d) && proxyless_alpha_move(s, d);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

bool proxyless_weight_step(proxyless *s, const feed *train, nasc_diag *d)
{
    if (!proxyless_probabilities(s, d))
        return false;
    proxyless_draw_path(s);
    pass on_train = pass_of(s, &s->config.programs->weights);
    on_train.keep_stats = false;
    sgd_rates rates = s->config.settings.weights;
    rates.lr = s->course.lr;
    return runner_pass(&s->run, &on_train, train, d) &&
           sgd_step(&s->weights, s->config.device, s->weight_grad, s->active, &rates, d);
}
