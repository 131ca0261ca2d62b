/* Runs a net by definition and as the fused programs, for this CPU and for a GPU, on the float64 interpreter, and
 * compares every slot. */
#ifndef NASC_TESTS_FUSED_COMPARE_H
#define NASC_TESTS_FUSED_COMPARE_H

#include "net_reference.h"
#include "engine.h"
#include "pipeline.h"
#include "runtime/device/device.h"
#include <stdio.h>

typedef struct bound {
    double *slot[SLOT_COUNT];
    int64_t size[SLOT_COUNT];
    int32_t *labels;
    double *terms; /* of each alpha's gradient, a sum over pixels: the sum of its terms' magnitudes */
} bound;

static inline double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0 - 0.5;
}

static inline void fail_with(const nasc_diag *d, const char *what)
{
    if (d->kind)
        fail_msg("%s: %s: %s", what, d->where, d->message);
}

static inline int64_t images_of(const net *n, int batch)
{
    for (int i = 0; i < n->nodes.count; i++)
        if (n->nodes.at[i].prim == NET_input && n->nodes.at[i].attr.slot == SLOT_IMAGES)
            return net_elements(&n->nodes.at[i].type) * batch;
    return 0;
}

/* Every slot of the program, inputs at random (running variances positive). */
static inline void fill_slots(bound *b, const net *n, const program *p, int batch, int classes, uint64_t seed)
{
    for (int s = 1; s < SLOT_COUNT; s++) {
        b->size[s] = p->slot_size[s];
        if (s == SLOT_IMAGES || s == SLOT_LOGITS || s == SLOT_AUX_LOGITS || s == SLOT_MASKS)
            b->size[s] *= batch;
        if (s == SLOT_WEIGHT_GRAD)
            b->size[s] = p->slot_size[SLOT_WEIGHTS];
        if (s == SLOT_MIX_GRAD)
            b->size[s] = p->slot_size[SLOT_MIX];
        if (s == SLOT_LOSS || s == SLOT_CORRECT)
            b->size[s] = 1;
        if (s == SLOT_IMAGES && b->size[s] == 0) /* the program reads none; the definition does */
            b->size[s] = images_of(n, batch);
        b->slot[s] = calloc((size_t)b->size[s] + 64, sizeof(double));
        for (int64_t i = 0; i < b->size[s]; i++)
            b->slot[s][i] = noise(&seed);
    }
    for (int64_t i = 0; i < b->size[SLOT_WEIGHT_GRAD]; i++)
        b->slot[SLOT_WEIGHT_GRAD][i] = 0; /* of parts that are not active */
    for (int64_t i = 0; i < b->size[SLOT_MASKS]; i++)
        b->slot[SLOT_MASKS][i] = noise(&seed) > 0 ? 1.25 : 0;
    for (int i = 0; i < n->params.count; i++) {
        const net_param *q = &n->params.at[i];
        if (q->slot == SLOT_STATS && strstr(q->name, "running_var"))
            for (int c = 0; c < q->dim[3]; c++)
                b->slot[SLOT_STATS][q->offset + c] += 1;
    }
    b->labels = calloc((size_t)batch, sizeof *b->labels);
    for (int i = 0; i < batch; i++)
        b->labels[i] = (int32_t)((seed >> (i % 32)) % (uint64_t)classes);
}

/* A gradient of alpha may be near zero where its terms are not; their roundings remain. */
static inline void note_terms(bound *b, const net *n, int batch, double *const *value, const int *active)
{
    reference r = {.n = n, .batch = batch, .value = calloc((size_t)n->nodes.count + 1, sizeof(double *))};
    b->terms = calloc((size_t)b->size[SLOT_MIX_GRAD] + 1, sizeof(double));
    for (int i = 0; i < n->nodes.count; i++) {
        r.node = &n->nodes.at[i];
        int64_t elements = reference_elements(&r, &r.node->type);
        r.out = r.value[i] = calloc((size_t)elements, sizeof(double));
        if (r.node->prim == NET_chan_sum)
            ref_sum(&r);
        else if (r.node->prim == NET_channel_total)
            ref_channel_total(&r);
        else if (r.node->prim == NET_scatter_rows)
            ref_scatter_rows(&r);
        else
            for (int64_t e = 0; e < elements; e++)
                r.out[e] = fabs(value[i][e]);
    }
    for (int i = 0; i < n->outputs.count; i++) {
        const net_output *out = &n->outputs.at[i];
        if (out->slot == SLOT_MIX_GRAD && reference_writes(n, out->value, active))
            memcpy(b->terms + out->offset, r.value[out->value],
                   (size_t)reference_elements(&r, &n->nodes.at[out->value].type) * sizeof(double));
    }
    reference_free(n, r.value);
}

static inline bound copy_slots(const bound *b)
{
    bound c = *b;
    for (int s = 1; s < SLOT_COUNT; s++) {
        size_t bytes = ((size_t)b->size[s] + 64) * sizeof(double);
        c.slot[s] = malloc(bytes);
        memcpy(c.slot[s], b->slot[s], bytes);
    }
    return c;
}

/* How far apart two numbers are; what is no number, or infinite, must be so on both sides. */
static inline double distance(double want, double got)
{
    if (want == got || (isnan(want) && isnan(got)))
        return 0;
    double e = fabs(want - got);
    return isnan(e) ? INFINITY : e;
}

static inline void compare_slot(const bound *want, const bound *got, int slot, const char *what)
{
    double most = 1e-2, error = 0;
    int64_t where = 0;
    for (int64_t i = 0; i < want->size[slot]; i++)
        if (isfinite(want->slot[slot][i]))
            most = fmax(most, fabs(want->slot[slot][i]));
    for (int64_t i = 0; i < want->size[slot]; i++) {
        bool terms = slot == SLOT_MIX_GRAD && want->terms[i] > most && isfinite(want->terms[i]);
        double e = distance(want->slot[slot][i], got->slot[slot][i]) / (terms ? want->terms[i] : most);
        if (e > error) {
            error = e;
            where = i;
        }
    }
    if (error > 1e-8) /* exp, log and tanh are those of float32: 1e-9 */
        fail_msg("%s, slot %d: relative error %g at %lld of %lld, largest %g (want %g, got %g)", what, slot, error,
                 (long long)where, (long long)want->size[slot], most, want->slot[slot][where], got->slot[slot][where]);
}

static inline net *net_with_gradient(arena *a, const net *built, unsigned grad, nasc_diag *d)
{
    net *n = net_expand(a, built, d);
    for (int i = 0; n && grad && i < n->outputs.count; i++)
        if (n->outputs.at[i].slot == SLOT_LOSS)
            return net_grad(n, n->outputs.at[i].value, grad, d) ? n : NULL;
    return n;
}

/* No block of threads has more shared memory than the GPU gives it. */
static inline void check_shared(const program *p, const target *t, const char *what)
{
    for (int i = 0; i < p->kernels.count && t->capability; i++) {
        int64_t bytes = loop_shared_bytes(p->kernels.at[i]);
        if (bytes > t->shared_bytes)
            fail_msg("%s: %s has %lld bytes of shared memory", what, p->kernels.at[i]->name, (long long)bytes);
    }
}

/* Of each choice, all candidates but the active one. */
static inline uint64_t *other_gates(arena *a, const net *n, const int *active)
{
    uint64_t *gates = NEW_ARRAY(a, uint64_t, n->regions.count + 1);
    for (int i = 1; i < n->regions.count; i++)
        if (n->regions.at[i].candidate != active[n->regions.at[i].select])
            gates[n->regions.at[i].select] |= UINT64_C(1) << n->regions.at[i].candidate;
    return gates;
}

static inline void compare_fused_for(const target *t, const net *built, unsigned grad, int batch, int tile_rows,
                                     bool sequential, int classes, const int *active, const char *what)
{
    nasc_diag d = {0};
    arena a = {0};
    pipeline_options o = {.batch = batch, .grad = grad, .lower = {.tile_rows = tile_rows}, .sequential = sequential};
    program *p = pipeline_compile(&a, built, t, &o, &d);
    fail_with(&d, what);
    check_shared(p, t, what);
    engine *e = engine_open(ENGINE_INTERPRETER_WIDE, t, 1, &d);
    program_code code;
    assert_true(engine_load(e, p, &code, &d));
    device *v = device_open_cpu(1, &d);
    assert_true(device_prepare(v, p, &code, &d));
    bound want, got;
    fill_slots(&want, built, p, batch, classes, 7);
    got = copy_slots(&want);
    net *n = net_with_gradient(&a, built, grad, &d);
    fail_with(&d, what);
    double **values = reference_run(n, batch, want.slot, want.labels, active);
    note_terms(&want, n, batch, values, active);
    reference_free(n, values);
    device_run run = {.program = p, .code = &code, .n = batch, .active = active};
    run.gates = active ? other_gates(&a, n, active) : NULL;
    for (int k = 1; k < SLOT_COUNT; k++)
        run.slot[k] = got.slot[k];
    run.slot[SLOT_LABELS] = got.labels;
    device_execute(v, &run, &d);
    fail_with(&d, what);
    for (int k = 1; k < SLOT_COUNT; k++)
        if (k != SLOT_LABELS)
            compare_slot(&want, &got, k, what);
    device_close(v);
    engine_close(e);
    for (int k = 1; k < SLOT_COUNT; k++) {
        free(want.slot[k]);
        free(got.slot[k]);
    }
    free(want.labels);
    free(want.terms);
    arena_free(&a);
}

static inline void compare_fused(const net *built, unsigned grad, int batch, int tile_rows, bool sequential,
                                 int classes, const int *active, const char *what)
{
    target host = target_host();
    char gpu[320];
    snprintf(gpu, sizeof gpu, "%s, GPU", what);
    compare_fused_for(&host, built, grad, batch, tile_rows, sequential, classes, active, what);
    compare_fused_for(&target_gpus[0], built, grad, batch, tile_rows, sequential, classes, active, gpu);
}

#endif
