/* Fused programs against nets by definition: the DARTS supernet, forward and gradients, in float64 on the interpreter.
 * What fuse, the lowering and the plan do to a net must not change what it computes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "net_reference.h"
#include "objective.h"
#include "pipeline.h"
#include "runtime/device/device.h"
#include "space/space.h"

typedef struct bound {
    double *slot[SLOT_COUNT];
    int64_t size[SLOT_COUNT];
    int32_t *labels;
} bound;

static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0 - 0.5;
}

static void fail_with(const nasc_diag *d)
{
    if (d->kind)
        fail_msg("%s: %s", d->where, d->message);
}

/* Every slot of the program, inputs at random (running variances positive). */
static void fill_slots(bound *b, const net *n, const program *p, int batch, uint64_t seed)
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
        b->slot[s] = calloc((size_t)b->size[s] + 64, sizeof(double));
        for (int64_t i = 0; i < b->size[s]; i++)
            b->slot[s][i] = noise(&seed);
    }
    for (int64_t i = 0; i < b->size[SLOT_MASKS]; i++)
        b->slot[SLOT_MASKS][i] = 1;
    for (int i = 0; i < n->params.count; i++) {
        const net_param *q = &n->params.at[i];
        if (q->slot == SLOT_STATS && strstr(q->name, "running_var"))
            for (int c = 0; c < q->dim[3]; c++)
                b->slot[SLOT_STATS][q->offset + c] += 1;
    }
    b->labels = calloc((size_t)batch, sizeof *b->labels);
    for (int i = 0; i < batch; i++)
        b->labels[i] = (int32_t)((seed >> (i % 32)) % 10);
}

static bound copy_slots(const bound *b)
{
    bound c = *b;
    for (int s = 1; s < SLOT_COUNT; s++) {
        c.slot[s] = malloc(((size_t)b->size[s] + 64) * sizeof(double));
        memcpy(c.slot[s], b->slot[s], ((size_t)b->size[s] + 64) * sizeof(double));
    }
    return c;
}

static void compare_slot(const bound *want, const bound *got, int slot, const char *what)
{
    double most = 0, error = 0;
    int64_t where = 0;
    for (int64_t i = 0; i < want->size[slot]; i++) {
        most = fabs(want->slot[slot][i]) > most ? fabs(want->slot[slot][i]) : most;
        double e = fabs(want->slot[slot][i] - got->slot[slot][i]);
        if (!(e <= error)) {
            error = e;
            where = i;
        }
    }
    if (!(error <= 1e-9 * (most > 1e-9 ? most : 1e-9)))
        fail_msg("%s, slot %d: error %g at %lld of %lld, largest %g (want %g, got %g)", what, slot, error,
                 (long long)where, (long long)want->size[slot], most, want->slot[slot][where], got->slot[slot][where]);
}

/* The net as the passes leave it, by definition. */
static net *reference_net(arena *a, const net *built, unsigned grad, nasc_diag *d)
{
    net *n = net_expand(a, built, d);
    for (int i = 0; n && grad && i < n->outputs.count; i++)
        if (n->outputs.at[i].slot == SLOT_LOSS) {
            assert_true(net_grad(n, n->outputs.at[i].value, grad, d));
            break;
        }
    return n;
}

static void run_case(const char *file, const char *const *set, bool train, unsigned grad, int batch, int tile_rows)
{
    nasc_diag d = {0};
    char path[512], what[256];
    snprintf(path, sizeof path, SOURCE_DIR "/%s", file);
    snprintf(what, sizeof what, "%s train=%d grad=%u batch=%d tile=%d", file, train, grad, batch, tile_rows);
    space *s = space_read(path, &d);
    fail_with(&d);
    settings set_to;
    settings_defaults(&set_to, space_is_genotype(s) ? SETTINGS_TRAIN : SETTINGS_DARTS);
    settings_from_space(&set_to, s);
    for (int i = 0; set[i]; i++)
        assert_true(settings_assign(&set_to, set[i], "test", &d));
    arena a = {0};
    space_net built;
    space_build(s, &set_to, (space_mode){train, train}, &a, &built, &d);
    fail_with(&d);
    assert_true(objective_add(&built, 0, 0.4, &d) >= 0);
    target t = target_host();
    pipeline_options o = {.batch = batch, .grad = grad, .tile_rows = tile_rows};
    program *p = pipeline_compile(&a, built.net, &t, &o, &d);
    fail_with(&d);
    engine *e = engine_open(ENGINE_INTERPRETER_WIDE, &t, 1, &d);
    program_code code;
    assert_true(engine_load(e, p, &code, &d));
    device *v = device_open_cpu(1, &d);
    assert_true(device_prepare(v, p, &code, &d));
    bound want, got;
    fill_slots(&want, built.net, p, batch, 7);
    got = copy_slots(&want);
    net *n = reference_net(&a, built.net, grad, &d);
    fail_with(&d);
    double **values = reference_run(n, batch, want.slot, want.labels, NULL);
    reference_free(n, values);
    device_run run = {.program = p, .code = &code, .n = batch};
    for (int k = 1; k < SLOT_COUNT; k++)
        run.slot[k] = got.slot[k];
    run.slot[SLOT_LABELS] = got.labels;
    device_execute(v, &run, &d);
    fail_with(&d);
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
    arena_free(&a);
    space_free(s);
}

static const char *const small[] = {"input=8x8x3", "channels=4", "cells=3", NULL};

static void supernet_by_definition(void **state)
{
    (void)state;
    run_case("genotypes/spaces/darts.json", small, true, 0, 3, 0);
    run_case("genotypes/spaces/darts.json", small, true, GRAD_MIX, 3, 0);
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS, 3, 0);
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS | GRAD_MIX, 9, 0);
}

static void tiles_change_nothing(void **state)
{
    (void)state;
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS | GRAD_MIX, 3, 1);
    run_case("genotypes/spaces/darts.json", small, true, GRAD_WEIGHTS | GRAD_MIX, 3, 2);
}

static void odd_maps_by_definition(void **state)
{
    (void)state;
    static const char *const odd[] = {"input=7x9x3", "channels=6", "cells=3", NULL};
    run_case("genotypes/spaces/darts.json", odd, true, GRAD_WEIGHTS | GRAD_MIX, 2, 0);
}

static void nasbench201_by_definition(void **state)
{
    (void)state;
    static const char *const tiny[] = {"input=8x8x3", "channels=4", "cells=2", NULL};
    run_case("genotypes/spaces/nasbench201.json", tiny, true, GRAD_WEIGHTS | GRAD_MIX, 2, 0);
    run_case("genotypes/spaces/nasbench201.json", tiny, true, GRAD_WEIGHTS, 2, 2);
}

static void genotypes_by_definition(void **state)
{
    (void)state;
    static const char *const cifar[] = {"input=32x32x3", "channels=4", "cells=5", "auxiliary=0.4", NULL};
    static const char *const imagenet[] = {"input=64x64x3", "channels=4",  "cells=5",
                                           "stem=imagenet", "auxiliary=0", NULL};
    static const char *const masked[] = {"input=32x32x3", "channels=6",  "cells=3", "drop_path=0.2",
                                         "dropout=0.1",   "auxiliary=0", NULL};
    run_case("genotypes/darts_v2.json", cifar, true, GRAD_WEIGHTS, 2, 0);
    run_case("genotypes/darts_v2.json", cifar, false, 0, 2, 0);
    run_case("genotypes/darts_v1.json", imagenet, true, GRAD_WEIGHTS, 2, 0);
    run_case("genotypes/darts_v1.json", imagenet, false, 0, 1, 4);
    run_case("genotypes/darts_v1.json", masked, true, GRAD_WEIGHTS, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supernet_by_definition),  cmocka_unit_test(tiles_change_nothing),
        cmocka_unit_test(odd_maps_by_definition),  cmocka_unit_test(nasbench201_by_definition),
        cmocka_unit_test(genotypes_by_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
