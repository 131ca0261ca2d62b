/* Reference cases on nets: what build, expand, grad and simplify make of the networks of the fixtures, run by
 * definition in float64, agrees with the oracle. Nothing is lowered here, so an error is one of the net level. */
#include "net_reference.h"
#include "uses/objective.h"
#include "runtime/tensors.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static const double LIMIT = 1e-9;

typedef struct fixture {
    arena a;
    nasc_diag d;
    json_t *config;
    struct tensors *set;
    space *space;
    settings settings;
    double *slot[SLOT_COUNT];
    int32_t *labels;
    int batch;
    double worst;
} fixture;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s: %s", #call, f->d.where, f->d.message);                                                   \
    } while (0)

static int number(const fixture *f, const char *key)
{
    return (int)json_number_value(json_object_get(f->config, key));
}

static void set(fixture *f, const char *name, const char *value)
{
    MUST(settings_set(&f->settings, name, value, "test", &f->d));
}

static void set_number(fixture *f, const char *name, const char *key)
{
    set(f, name, arena_printf(&f->a, "%g", json_number_value(json_object_get(f->config, key))));
}

/* Between the layouts of files and ours, element by element: file index of our (ky, kx, i, o). */
static void to_ours(const net_param *p, double *ours, double *file, bool back)
{
    int ky = p->dim[0], kx = p->dim[1], ci = p->dim[2], co = p->dim[3];
    for (int y = 0; y < ky; y++)
        for (int x = 0; x < kx; x++)
            for (int i = 0; i < ci; i++)
                for (int o = 0; o < co; o++) {
                    double *mine = &ours[((y * kx + x) * ci + i) * co + o];
                    double *theirs = &file[p->layout == LAYOUT_VECTOR ? i * co + o : ((o * ci + i) * ky + y) * kx + x];
                    *(back ? theirs : mine) = back ? *mine : *theirs;
                }
}

static int64_t count_of(const net_param *p)
{
    return (int64_t)p->dim[0] * p->dim[1] * p->dim[2] * p->dim[3];
}

static void softmax_rows(double *at, int rows, int columns)
{
    for (int row = 0; row < rows; row++, at += columns) {
        double sum = 0;
        for (int k = 0; k < columns; k++)
            sum += exp(at[k]);
        for (int k = 0; k < columns; k++)
            at[k] = exp(at[k]) / sum;
    }
}

static void load(fixture *f, const net *n)
{
    for (enum net_slot s = SLOT_WEIGHTS; s <= SLOT_MIX_GRAD; s++)
        f->slot[s] = NEW_ARRAY(&f->a, double,
                               n->slot_size[s == SLOT_WEIGHT_GRAD ? SLOT_WEIGHTS
                                            : s == SLOT_MIX_GRAD  ? SLOT_MIX
                                                                  : s] +
                                   1);
    for (int i = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        double *file = NEW_ARRAY(&f->a, double, count_of(p));
        MUST(tensors_doubles(f->set, arena_printf(&f->a, "param.%s", p->name), count_of(p), file, &f->d));
        to_ours(p, f->slot[p->slot] + p->offset, file, false);
        if (p->slot == SLOT_MIX)
            softmax_rows(f->slot[SLOT_MIX] + p->offset, p->dim[2], p->dim[3]);
    }
    for (enum net_slot s = SLOT_LOGITS; s <= SLOT_AUX_LOGITS; s++)
        f->slot[s] = NEW_ARRAY(&f->a, double, (int64_t)f->batch *number(f, "classes"));
}

static void load_batch(fixture *f, const char *x, const char *y)
{
    int n = f->batch, c = number(f, "channels"), plane = number(f, "size") * number(f, "size");
    double *from = NEW_ARRAY(&f->a, double, (int64_t)n *plane *c);
    int64_t *labels = NEW_ARRAY(&f->a, int64_t, n);
    f->slot[SLOT_IMAGES] = NEW_ARRAY(&f->a, double, (int64_t)n *plane *c);
    f->labels = NEW_ARRAY(&f->a, int32_t, n);
    MUST(tensors_doubles(f->set, x, (int64_t)n * plane * c, from, &f->d));
    MUST(tensors_integers(f->set, y, n, labels, &f->d));
    for (int i = 0; i < n; i++) {
        f->labels[i] = (int32_t)labels[i];
        for (int k = 0; k < c; k++)
            for (int p = 0; p < plane; p++)
                f->slot[SLOT_IMAGES][(i * plane + p) * c + k] = from[(i * c + k) * plane + p];
    }
}

static void compare(fixture *f, const char *name, const double *got, int64_t count)
{
    double *want = NEW_ARRAY(&f->a, double, count), largest = 0, worst = 0;
    MUST(tensors_doubles(f->set, name, count, want, &f->d));
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(got[i] - want[i]);
        largest = fmax(largest, fabs(want[i]));
        worst = error > worst || isnan(error) ? error : worst;
    }
    double relative = largest < 1e-12 ? worst : worst / largest;
    f->worst = relative > f->worst || isnan(relative) ? relative : f->worst;
    if (!(relative <= LIMIT))
        printf("%s: error %.3g\n", name, relative);
}

static void compare_gradients(fixture *f, const net *n)
{
    for (int i = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        if (p->slot == SLOT_STATS)
            continue;
        double *file = NEW_ARRAY(&f->a, double, count_of(p)), *at = f->slot[SLOT_WEIGHT_GRAD] + p->offset;
        if (p->slot == SLOT_MIX) { /* from the candidate weights to alpha */
            double *g = f->slot[SLOT_MIX_GRAD] + p->offset, *w = f->slot[SLOT_MIX] + p->offset;
            for (int row = 0; row < p->dim[2]; row++) {
                double dot = 0;
                for (int k = row * p->dim[3]; k < (row + 1) * p->dim[3]; k++)
                    dot += w[k] * g[k];
                for (int k = row * p->dim[3]; k < (row + 1) * p->dim[3]; k++)
                    g[k] = w[k] * (g[k] - dot);
            }
            at = g;
        }
        to_ours(p, at, file, true);
        compare(f, arena_printf(&f->a, "want.grad.%s", p->name), file, count_of(p));
    }
}

static void run(fixture *f, enum objective_use use, unsigned grad, const char *x, const char *y)
{
    objective o;
    MUST(objective_build(f->space, &f->settings, use, &f->a, &o, &f->d));
    net *n = NULL;
    MUST(n = net_expand(&f->a, o.built.net, &f->d));
    for (int i = 0; grad && i < n->outputs.count; i++)
        if (n->outputs.at[i].slot == SLOT_LOSS) {
            MUST(net_grad(n, n->outputs.at[i].value, grad, &f->d));
            break;
        }
    MUST(n = net_simplify(&f->a, n, &f->d));
    MUST(net_verify(n, &f->d));
    load(f, o.built.net);
    load_batch(f, x, y);
    reference_free(n, reference_run(n, f->batch, f->slot, f->labels, NULL));
    int64_t logits = (int64_t)f->batch * number(f, "classes");
    if (use == USE_EVAL) {
        compare(f, "want.eval_logits", f->slot[SLOT_LOGITS], logits);
        return;
    }
    compare(f, "want.logits", f->slot[SLOT_LOGITS], logits);
    compare(f, "want.loss", f->slot[SLOT_LOSS], 1);
    if (o.built.auxiliary >= 0)
        compare(f, "want.aux_logits", f->slot[SLOT_AUX_LOGITS], logits);
    compare_gradients(f, o.built.net);
}

/* As published. */
static const char *genotype_of(fixture *f)
{
    static const char *const names[] = {"normal", "reduce"};
    json_t *genotype = json_object_get(f->config, "genotype"), *item;
    text t = {.arena = &f->a};
    size_t i;
    text_add(&t, "Genotype(");
    for (size_t k = 0; k < COUNT(names); k++) {
        text_add(&t, "%s%s=[", k ? ", " : "", names[k]);
        json_array_foreach(json_object_get(genotype, names[k]), i, item)
            text_add(&t, "%s('%s', %d)", i ? ", " : "", json_string_value(json_array_get(item, 0)),
                     (int)json_integer_value(json_array_get(item, 1)));
        text_add(&t, "], %s_concat=range(2, 6)", names[k]);
    }
    text_add(&t, ")");
    return t.at;
}

static void check(const char *name, bool fixed)
{
    fixture at = {0}, *f = &at;
    const char *x = fixed ? "in.x" : "in.train_x", *y = fixed ? "in.y" : "in.train_y";
    MUST(f->config = json_load_file(arena_printf(&f->a, TESTS_DIR "/fixtures/%s.json", name), 0, NULL));
    MUST(f->set = tensors_read(&f->a, arena_printf(&f->a, TESTS_DIR "/fixtures/%s.safetensors", name), &f->d));
    MUST(f->space = space_read(SOURCE_DIR "/genotypes/spaces/darts.json", &f->d));
    if (fixed) {
        char *made = NULL;
        MUST(made = space_import(f->space, genotype_of(f), name, &f->a, &f->d));
        space_free(f->space);
        MUST(f->space = space_parse(made, strlen(made), name, &f->d));
    }
    f->batch = number(f, "batch");
    settings_defaults(&f->settings, fixed ? SETTINGS_TRAIN : SETTINGS_DARTS);
    settings_from_space(&f->settings, f->space);
    set_number(f, "channels", "c");
    set_number(f, "cells", "layers");
    set_number(f, "classes", "classes");
    set(f, "drop_path", "0");
    set(f, "input", arena_printf(&f->a, "%dx%dx%d", number(f, "size"), number(f, "size"), number(f, "channels")));
    if (fixed) {
        set(f, "stem", json_string_value(json_object_get(f->config, "stem")));
        set_number(f, "auxiliary", "auxiliary");
    }
    run(f, USE_EVAL, 0, x, y);
    run(f, fixed ? USE_WEIGHTS : USE_BOTH, GRAD_WEIGHTS | (fixed ? 0 : GRAD_MIX), x, y);
    printf("%s: largest error %.3g\n", name, f->worst);
    double worst = f->worst;
    json_decref(f->config);
    space_free(f->space);
    arena_free(&f->a);
    assert_true(worst <= LIMIT);
}

static void supernet(void **state)
{
    (void)state;
    check("darts_search", false);
}

static void cifar(void **state)
{
    (void)state;
    check("darts_fixed_cifar", true);
}

static void imagenet(void **state)
{
    (void)state;
    check("darts_fixed_imagenet", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(supernet), cmocka_unit_test(cifar), cmocka_unit_test(imagenet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
