/* The predictor: features to numbers around 0, training, and the mean over networks. */
#include "runtime/predictor.h"
#include "runtime/elementary.h"
#include "runtime/schedule.h"

#include <math.h>
#include <string.h>

enum { STEPS = 3000 };
static const double RATE = 0.01, DECAY = 1e-2;

bool predictor_open(predictor *p, arena *a, const predictor_programs *programs, parameters q, device *v, int features,
                    int room, nasc_diag *d)
{
    const runnable *wanted[] = {&programs->fit, &programs->predict, &programs->adam};
    *p = (predictor){.programs = programs,
                     .parameters = q,
                     .device = v,
                     .features = features,
                     .room = room,
                     .mean = NEW_ARRAY(a, double, features + 1),
                     .deviation = NEW_ARRAY(a, double, features + 1),
                     .x = NEW_ARRAY(a, float, (int64_t)room *(features + 1)),
                     .arena = a};
    return runner_open(&p->run, a, v, wanted, COUNT(wanted), d);
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

/* Mean and deviation of at[0], at[step], …; what is the same everywhere deviates by 1. */
static void spread(const double *at, int step, int n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++)
        sum += at[(int64_t)i * step];
    *mean = sum / n;
    for (int i = 0; i < n; i++)
        squares += (at[(int64_t)i * step] - *mean) * (at[(int64_t)i * step] - *mean);
    *deviation = squares > 0 ? sqrt(squares / n) : 1;
}

/* What the networks read: features about their means; the logarithm of y, negated, in the last place. */
static feed take(predictor *p, const double *x, const double *log_y, int n)
{
    for (int i = 0; i < n; i++) {
        float *row = p->x + (int64_t)i * (p->features + 1);
        for (int f = 0; f < p->features; f++)
            row[f] = (float)((x[(int64_t)i * p->features + f] - p->mean[f]) / p->deviation[f]);
        row[p->features] = log_y ? (float)(-(log_y[i] - p->log_mean) / p->log_deviation) : 0;
    }
    return (feed){.x = p->x, .n = n};
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

static bool fit_one(predictor *p, const feed *samples, int number, uint64_t seed, nasc_diag *d)
{
    adam a = adam_new(p->arena, p->device, &p->programs->adam, p->parameters.weights);
    float *grad = device_vector(p->device, p->arena, p->parameters.weights);
    adam_rates rates = {.beta1 = 0.9, .beta2 = 0.999, .decay = DECAY, .eps = 1e-8};
    parameter_values start = {.weights = a.value};
    parameters_init(&p->parameters, &start, seed * PREDICTOR_NETWORKS + (uint64_t)number);
    for (int step = 0; step < STEPS; step++) {
        pass one = {.what = &p->programs->fit, .weights = a.value, .weight_grad = grad};
        rates.lr = schedule_cosine(RATE, 0, step, STEPS);
        if (!runner_pass(&p->run, &one, samples, d) || !adam_step(&a, p->device, grad, &rates, d))
            return false;
    }
    p->weights[number] = a.value;
    return true;
}

bool predictor_fit(predictor *p, const double *x, const double *y, int n, uint64_t seed, nasc_diag *d)
{
    CHECK(n >= 2 && n <= p->room);
    double *log_y = NEW_ARRAY(p->arena, double, n);
    for (int i = 0; i < n; i++)
        log_y[i] = exact_log(y[i]);
    for (int f = 0; f < p->features; f++)
        spread(x + f, p->features, n, &p->mean[f], &p->deviation[f]);
    spread(log_y, 1, n, &p->log_mean, &p->log_deviation);
    feed samples = take(p, x, log_y, n);
    for (int k = 0; k < PREDICTOR_NETWORKS; k++)
        if (!fit_one(p, &samples, k, seed, d))
            return false;
    return true;
}

bool predictor_apply(predictor *p, const double *x, int n, double *y, nasc_diag *d)
{
    CHECK(n >= 1 && n <= p->room);
    feed samples = take(p, x, NULL, n);
    memset(y, 0, (size_t)n * sizeof *y);
    for (int k = 0; k < PREDICTOR_NETWORKS; k++) {
        pass one = {.what = &p->programs->predict, .weights = p->weights[k]};
        if (!runner_pass(&p->run, &one, &samples, d) || !device_fetch(p->device, p->run.logits, d))
            return false;
        for (int i = 0; i < n; i++)
            y[i] += (double)p->run.logits[i] / PREDICTOR_NETWORKS;
    }
    for (int i = 0; i < n; i++)
        y[i] = exact_exp(p->log_mean + p->log_deviation * y[i]);
    return true;
}
