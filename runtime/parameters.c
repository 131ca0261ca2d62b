/* Named tensors: initial values, and the way between flat vectors and files. */
#include "runtime/parameters.h"
#include "runtime/rng.h"

#include <string.h>

int64_t parameter_count(const net_param *p)
{
    return (int64_t)p->dim[0] * p->dim[1] * p->dim[2] * p->dim[3];
}

/* Where parameter p begins; NULL: not held. */
static float *place(const net_param *p, const parameter_values *values)
{
    float *flat = p->slot == SLOT_WEIGHTS ? values->weights : p->slot == SLOT_STATS ? values->stats : values->alphas;
    return flat ? flat + p->offset : NULL;
}

/* ---- initial values ---------------------------------------------------------------------------------------------- */

static float draw(const net_param *p, rng *r)
{
    switch (p->init_kind) {
    case INIT_UNIFORM:
        return (float)((2 * rng_unit(r) - 1) * p->init);
    case INIT_NORMAL:
        return (float)(rng_normal(r) * p->init);
    case INIT_ONE:
        return 1;
    default:
        return 0;
    }
}

void parameters_init(const parameters *p, const parameter_values *to, uint64_t seed)
{
    for (int i = 0; i < p->count; i++) {
        const net_param *q = &p->at[i];
        float *values = place(q, to);
        rng r = rng_open(seed, q->slot == SLOT_MIX ? RNG_ALPHAS : RNG_WEIGHTS, 0, (uint32_t)i);
        for (int64_t k = 0; values && k < parameter_count(q); k++)
            values[k] = draw(q, &r);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

void parameter_to_file(const net_param *p, float *to, const float *from)
{
    if (p->layout == LAYOUT_CONV)
        tensor_hwio_to_oihw(to, from, p->dim[3], p->dim[2], p->dim[0], p->dim[1]);
    else if (p->layout == LAYOUT_LINEAR)
        tensor_transpose(to, from, p->dim[2], p->dim[3]);
    else
        memcpy(to, from, (size_t)parameter_count(p) * sizeof *to);
}

void parameter_from_file(const net_param *p, float *to, const float *from)
{
    if (p->layout == LAYOUT_CONV)
        tensor_oihw_to_hwio(to, from, p->dim[3], p->dim[2], p->dim[0], p->dim[1]);
    else if (p->layout == LAYOUT_LINEAR)
        tensor_transpose(to, from, p->dim[3], p->dim[2]);
    else
        memcpy(to, from, (size_t)parameter_count(p) * sizeof *to);
}

bool parameters_read(const parameters *p, const char *prefix, struct tensors *from, const parameter_values *to,
                     nasc_diag *d)
{
    arena a = {0};
    jmp_buf out_of_memory;
    if (setjmp(out_of_memory)) {
        arena_free(&a);
        return diag_memory(d);
    }
    a.unwind = &out_of_memory;
    bool ok = true;
    for (int i = 0; ok && i < p->count; i++) {
        const net_param *q = &p->at[i];
        float *values = place(q, to);
        if (!values)
            continue;
        float *read = NEW_ARRAY(&a, float, parameter_count(q));
        ok = tensors_floats(from, arena_printf(&a, "%s%s", prefix, q->name), parameter_count(q), read, d);
        if (ok)
            parameter_from_file(q, values, read);
    }
    arena_free(&a);
    return ok;
}

/* As PyTorch would shape it. */
static void file_shape(const net_param *p, struct tensor *t)
{
    const int *dim = p->dim;
    int64_t conv[4] = {dim[3], dim[2], dim[0], dim[1]}, linear[2] = {dim[3], dim[2]}, rows[2] = {dim[2], dim[3]};
    int64_t vector[1] = {dim[3]};
    const int64_t *shape = p->layout == LAYOUT_CONV ? conv : p->layout == LAYOUT_LINEAR ? linear : vector;
    t->rank = p->layout == LAYOUT_CONV ? 4 : p->layout == LAYOUT_LINEAR ? 2 : 1;
    if (p->slot == SLOT_MIX) {
        t->rank = 2;
        shape = rows;
    }
    memcpy(t->shape, shape, (size_t)t->rank * sizeof *shape);
}

int parameters_tensors(const parameters *p, const char *prefix, const parameter_values *from, struct tensor *at,
                       arena *a)
{
    int made = 0;
    for (int i = 0; i < p->count; i++) {
        const net_param *q = &p->at[i];
        const float *values = place(q, from);
        if (!values)
            continue;
        float *data = NEW_ARRAY(a, float, parameter_count(q));
        parameter_to_file(q, data, values);
        struct tensor *t = &at[made++];
        *t = (struct tensor){.name = arena_printf(a, "%s%s", prefix, q->name), .dtype = TENSOR_F32, .data = data};
        file_shape(q, t);
    }
    return made;
}
