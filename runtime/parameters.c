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

static const char data_parallel[] = "module.", counter[] = ".num_batches_tracked";

const char *parameters_prefix(const struct tensors *from)
{
    for (int i = 0; i < from->count; i++)
        if (strncmp(from->at[i].name, data_parallel, strlen(data_parallel)) != 0)
            return "";
    return data_parallel;
}

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

static void add_shape(text *to, const struct tensor *t)
{
    for (int i = 0; i < t->rank; i++)
        text_add(to, "%s%lld", i ? "x" : "", (long long)t->shape[i]);
    if (!t->rank)
        text_add(to, "a number");
}

static void compare_one(const net_param *q, const char *name, const struct tensor *found, parameters_fit *fit,
                        text *report)
{
    struct tensor wanted;
    file_shape(q, &wanted);
    if (!found) {
        fit->missing++;
        text_add(report, "missing: %s\n", name);
    } else if (!same_shape(found, &wanted)) {
        fit->reshaped++;
        text_add(report, "another shape: %s is ", name);
        add_shape(report, found);
        text_add(report, ", expected ");
        add_shape(report, &wanted);
        text_add(report, "\n");
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), last = strlen(end);
    return length >= last && strcmp(name + length - last, end) == 0;
}

parameters_fit parameters_compare(const parameters *p, const char *prefix, const struct tensors *from,
                                  const parameter_values *held, text *report)
{
    parameters_fit fit = {0};
    bool *used = NEW_ARRAY(report->arena, bool, from->count + 1);
    for (int i = 0; i < p->count; i++) {
        const char *name = arena_printf(report->arena, "%s%s", prefix, p->at[i].name);
        const struct tensor *found = tensors_find(from, name);
        if (!place(&p->at[i], held))
            continue;
        compare_one(&p->at[i], name, found, &fit, report);
        if (found)
            used[found - from->at] = true;
    }
    for (int i = 0; i < from->count; i++)
        if (!used[i] && !ends_with(from->at[i].name, counter)) {
            fit.left_over++;
            text_add(report, "left over: %s\n", from->at[i].name);
        }
    return fit;
}

typedef struct reading {
    const parameters *p;
    const char *prefix;
    struct tensors *from;
    const parameter_values *to;
} reading;

static bool read_all(void *user, arena *a, nasc_diag *d)
{
    const reading *r = user;
    for (int i = 0; i < r->p->count; i++) {
        const net_param *q = &r->p->at[i];
        float *values = place(q, r->to);
        if (!values)
            continue;
        float *read = NEW_ARRAY(a, float, parameter_count(q));
        if (!tensors_floats(r->from, arena_printf(a, "%s%s", r->prefix, q->name), parameter_count(q), read, d))
            return false;
        parameter_from_file(q, values, read);
    }
    return true;
}

bool parameters_read(const parameters *p, const char *prefix, struct tensors *from, const parameter_values *to,
                     nasc_diag *d)
{
    reading r = {p, prefix, from, to};
    return arena_within(read_all, &r, d);
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
