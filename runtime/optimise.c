/* Optimisers. Their arithmetic is a program; here are bindings and the numbers that change with the step. */
#include "runtime/optimise.h"

#include <float.h>
#include <math.h>

bool method_run(device *v, const runnable *program, float *const user[BINDINGS], float scalars[SCALAR_COUNT],
                const int *active, nasc_diag *d)
{
    device_run r = {.n = 1, .active = active};
    for (int b = 0; b < BINDINGS; b++)
        r.slot[SLOT_USER + b] = user[b];
    r.slot[SLOT_SCALARS] = scalars;
    return runnable_run(program, v, &r, d);
}

static void swap(float **a, float **b)
{
    float *kept = *a;
    *a = *b;
    *b = kept;
}

/* ---- SGD --------------------------------------------------------------------------------------------------------- */

sgd sgd_new_in_place(arena *a, device *v, const runnable *program, int64_t count)
{
    return (sgd){.program = program,
                 .count = count,
                 .value = device_vector(v, a, count),
                 .momentum = device_vector(v, a, count)};
}

sgd sgd_new(arena *a, device *v, const runnable *program, int64_t count)
{
    sgd s = sgd_new_in_place(a, v, program, count);
    s.spare = device_vector(v, a, count);
    s.spare_momentum = device_vector(v, a, count);
    return s;
}

void sgd_scalars(float scalars[SCALAR_COUNT], const sgd_rates *rates)
{
    scalars[SCALAR_LR] = (float)rates->lr;
    scalars[SCALAR_MOMENTUM] = (float)rates->momentum;
    scalars[SCALAR_DECAY] = (float)rates->decay;
    scalars[SCALAR_CLIP] = rates->clip > 0 && rates->clip < FLT_MAX ? (float)rates->clip : FLT_MAX;
}

bool sgd_step(sgd *s, device *v, const float *grad, const int *active, const sgd_rates *rates, nasc_diag *d)
{
    float scalars[SCALAR_COUNT] = {0};
    sgd_scalars(scalars, rates);
    float *user[BINDINGS] = {[BIND_VALUE] = s->value,
                             [BIND_GRAD] = (float *)grad,
                             [BIND_FIRST] = s->momentum,
                             [BIND_VALUE_OUT] = s->spare ? s->spare : s->value,
                             [BIND_FIRST_OUT] = s->spare ? s->spare_momentum : s->momentum};
    if (!method_run(v, s->program, user, scalars, active, d))
        return false;
    if (s->spare) {
        swap(&s->value, &s->spare);
        swap(&s->momentum, &s->spare_momentum);
    }
    return true;
}

/* ---- Adam -------------------------------------------------------------------------------------------------------- */

adam adam_new(arena *a, device *v, const runnable *program, int64_t count)
{
    adam s = {.program = program, .count = count};
    float **vectors[] = {&s.value, &s.first, &s.second, &s.spare, &s.spare_first, &s.spare_second};
    for (size_t i = 0; i < COUNT(vectors); i++)
        *vectors[i] = device_vector(v, a, count);
    return s;
}

/* b^t by squaring: multiplications alone, so that every machine has the same bits. */
static double power(double b, int64_t t)
{
    double result = 1;
    for (; t > 0; t >>= 1, b *= b)
        if (t & 1)
            result *= b;
    return result;
}

static void adam_scalars(float scalars[SCALAR_COUNT], const adam_rates *rates, int64_t step)
{
    scalars[SCALAR_BETA1] = (float)rates->beta1;
    scalars[SCALAR_BETA1_REST] = (float)(1 - rates->beta1);
    scalars[SCALAR_BETA2] = (float)rates->beta2;
    scalars[SCALAR_BETA2_REST] = (float)(1 - rates->beta2);
    scalars[SCALAR_ADAM_LR] = (float)(rates->lr / (1 - power(rates->beta1, step)));
    scalars[SCALAR_ADAM_ROOT] = (float)(1 / sqrt(1 - power(rates->beta2, step)));
    scalars[SCALAR_ADAM_EPS] = (float)rates->eps;
    scalars[SCALAR_ADAM_DECAY] = (float)rates->decay;
}

bool adam_step(adam *s, device *v, const float *grad, const adam_rates *rates, nasc_diag *d)
{
    float scalars[SCALAR_COUNT] = {0};
    adam_scalars(scalars, rates, s->steps + 1);
    float *user[BINDINGS] = {[BIND_VALUE] = s->value,
                             [BIND_GRAD] = (float *)grad,
                             [BIND_FIRST] = s->first,
                             [BIND_SECOND] = s->second,
                             [BIND_VALUE_OUT] = s->spare,
                             [BIND_FIRST_OUT] = s->spare_first,
                             [BIND_SECOND_OUT] = s->spare_second};
    if (!method_run(v, s->program, user, scalars, NULL, d))
        return false;
    swap(&s->value, &s->spare);
    swap(&s->first, &s->spare_first);
    swap(&s->second, &s->spare_second);
    s->steps++;
    return true;
}
