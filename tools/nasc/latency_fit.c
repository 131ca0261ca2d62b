/* The latency predictor on a table's samples: what of a candidate it is told, and how well it does. */
#include "latency.h"
#include "uses/predictor.h"
#include "runtime/elementary.h"
#include "runtime/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 10 }; /* features beside the op's */

static int rising(const void *x, const void *y)
{
    const double *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

double latency_median(double *at, int count)
{
    if (!count)
        return 0;
    qsort(at, (size_t)count, sizeof *at, rising);
    return 0.5 * (at[(count - 1) / 2] + at[count / 2]);
}

int latency_candidates(const latency_table *t, arena *a, const sample ***at)
{
    int count = 0;
    *at = NEW_ARRAY(a, const sample *, t->samples.count + 1);
    for (int i = 0; i < t->samples.count; i++)
        if (*t->samples.at[i].traits.op && t->samples.at[i].time.median_ms > 0)
            (*at)[count++] = &t->samples.at[i];
    return count;
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

static int op_number(const latency_predictor *p, const char *op)
{
    for (int i = 0; i < p->op_count; i++)
        if (strcmp(p->ops[i], op) == 0)
            return i;
    return -1;
}

bool latency_predictor_knows(const latency_predictor *p, const char *op)
{
    return op_number(p, op) >= 0;
}

static void features_of(const latency_predictor *p, const part_traits *t, double *to)
{
    const double sizes[] = {(double)t->in[0] * t->in[1],
                            (double)t->out[0] * t->out[1],
                            t->in[2],
                            t->out[2],
                            t->kernel,
                            t->expansion,
                            t->stride,
                            (double)t->macs + 1,
                            (double)t->bytes};
    for (int i = 0; i < p->op_count; i++)
        to[i] = i == op_number(p, t->op);
    for (size_t i = 0; i < COUNT(sizes); i++)
        to[p->op_count + (int)i] = exact_log(sizes[i]);
    to[p->op_count + (int)COUNT(sizes)] = t->shortcut;
}

/* ---- the predictor ----------------------------------------------------------------------------------------------- */

static bool compile(latency_predictor *p, session *s, int features, int room, const net **model, nasc_diag *d)
{
    net *fit = predictor_net(s->arena, features, true, d), *apply = predictor_net(s->arena, features, false, d);
    net *adam = fit ? predictor_adam(s->arena, fit, d) : NULL;
    pipeline_options learns = {.batch = room, .grad = GRAD_WEIGHTS}, runs = {.batch = room}, once = {.batch = 1};
    *model = fit;
    return fit && apply && adam && session_compile(s, fit, &learns, &p->programs.fit, d) &&
           session_compile(s, apply, &runs, &p->programs.predict, d) &&
           session_compile(s, adam, &once, &p->programs.adam, d);
}

bool latency_predictor_open(latency_predictor *p, session *s, const latency_table *t, int room, nasc_diag *d)
{
    const net *model;
    *p = (latency_predictor){.ops = NEW_ARRAY(s->arena, const char *, t->samples.count + 1)};
    for (int i = 0; i < t->samples.count; i++)
        if (*t->samples.at[i].traits.op && !latency_predictor_knows(p, t->samples.at[i].traits.op))
            p->ops[p->op_count++] = t->samples.at[i].traits.op;
    int features = p->op_count + NUMBERS;
    p->device = device_open_cpu(1, d); /* its layers are too small to be shared out */
    return p->device && compile(p, s, features, room, &model, d) &&
           predictor_open(&p->p, s->arena, &p->programs, session_parameters(model), p->device, features, room, d);
}

void latency_predictor_close(latency_predictor *p)
{
    device_close(p->device);
    p->device = NULL;
}

bool latency_predictor_fit(latency_predictor *p, const sample *const *at, int count, uint64_t seed, nasc_diag *d)
{
    double *x = NEW_ARRAY(p->p.arena, double, (int64_t)count * p->p.features),
           *y = NEW_ARRAY(p->p.arena, double, count);
    for (int i = 0; i < count; i++) {
        features_of(p, &at[i]->traits, x + (int64_t)i * p->p.features);
        y[i] = at[i]->time.median_ms;
    }
    return predictor_fit(&p->p, x, y, count, seed, d);
}

bool latency_predictor_apply(latency_predictor *p, const part_traits *const *at, int count, double *ms, nasc_diag *d)
{
    double *x = NEW_ARRAY(p->p.arena, double, (int64_t)count * p->p.features);
    for (int i = 0; i < count; i++)
        features_of(p, at[i], x + (int64_t)i * p->p.features);
    return predictor_apply(&p->p, x, count, ms, d);
}

/* ---- how well it does -------------------------------------------------------------------------------------------- */

bool latency_held_out(session *s, const latency_table *t, int *held, double *error, nasc_diag *d)
{
    latency_predictor p;
    const sample **at;
    int count = latency_candidates(t, s->arena, &at);
    *held = 0;
    if (count < LATENCY_FIT_LEAST)
        return true;
    *held = count / 5;
    uint32_t *order = NEW_ARRAY(s->arena, uint32_t, count);
    const sample **shuffled = NEW_ARRAY(s->arena, const sample *, count);
    const part_traits **asked = NEW_ARRAY(s->arena, const part_traits *, count);
    double *ms = NEW_ARRAY(s->arena, double, count);
    for (uint32_t i = 0; i < (uint32_t)count; i++)
        order[i] = i;
    rng r = rng_open((uint64_t)t->seed, RNG_HALVES, 0, 0);
    rng_shuffle(&r, order, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        shuffled[i] = at[order[i]];
        asked[i] = &shuffled[i]->traits;
    }
    bool ok = latency_predictor_open(&p, s, t, count, d) &&
              latency_predictor_fit(&p, shuffled + *held, count - *held, (uint64_t)t->seed, d) &&
              latency_predictor_apply(&p, asked, *held, ms, d);
    for (int i = 0; ok && i < *held; i++)
        ms[i] = fabs(ms[i] / shuffled[i]->time.median_ms - 1);
    *error = ok ? latency_median(ms, *held) : 0;
    latency_predictor_close(&p);
    return ok;
}
