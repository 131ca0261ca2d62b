/* The reference cases of ProxylessNAS (see fixtures.c): the logits and gradients of one path, gradients of gates and
 * alphas for two candidates and for all, alphas after Adam's step and the shift; the network for phones. In float32 and
 * in float64; the search's also on CUDA's doubles.
 *     diff_proxyless [FOLDER [CASE]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "case.h"
#include "proxyless_space.h"
#include "runtime/search/proxyless.h"
#include "wide_slots.h"

static const double MOVED = 1e-6; /* alphas after a step */
static const char *folder;

static void fixture_settings(fixture *f, enum settings_use use)
{
    char input[64];
    settings_defaults(&f->settings, use);
    settings_from_space(&f->settings, f->space);
    set_number(f, "channels", 8);
    set_number(f, "classes", number(f, "classes"));
    set_number(f, "label_smoothing", 0);
    snprintf(input, sizeof input, "%dx%dx%d", number(f, "size"), number(f, "size"), number(f, "channels"));
    MUST(settings_set(&f->settings, "input", input, "test", &f->w.d));
}

/* ---- the supernet ------------------------------------------------------------------------------------------------ */

typedef struct supernet {
    objective weights, gates;
    proxyless_programs programs;
    proxyless *search;
    const net_paths *paths;
    feed batch;
} supernet;

static void supernet_open(fixture *f, supernet *s)
{
    workshop *w = &f->w;
    *s = (supernet){0};
    MUST(workshop_use(w, f->space, &f->settings, USE_WEIGHTS, f->batch, NULL, &s->weights, &s->programs.weights));
    const net *model = s->weights.built.net;
    MUST(workshop_use(w, f->space, &f->settings, USE_MIX, f->batch, model, &s->gates, &s->programs.gates));
    for (int m = 0; m < METHOD_COUNT; m++)
        MUST(workshop_method(w, model, m, &s->programs.method[m]));
    s->paths = net_paths_of(&w->arena, model);
    json_t *betas = json_object_get(f->config, "arch_betas");
    proxyless_config c = {.programs = &s->programs,
                          .parameters = parameters_of(model),
                          .settings = {.batch = f->batch,
                                       .alphas = {json_number_value(json_object_get(f->config, "arch_lr")),
                                                  json_number_value(json_array_get(betas, 0)),
                                                  json_number_value(json_array_get(betas, 1)), 0,
                                                  json_number_value(json_object_get(f->config, "arch_eps"))}},
                          .device = w->device};
    MUST(s->search = proxyless_open(&w->arena, &c, &w->d));
    parameter_values values = {s->search->weights.value, s->search->stats, s->search->alphas.value};
    MUST(parameters_read(&c.parameters, "param.", f->set, &values, &w->d));
    s->batch = read_batch(f, "in.x", "in.y");
}

static int listed(const fixture *f, const char *key, int i)
{
    return (int)json_integer_value(json_array_get(json_object_get(f->config, key), (size_t)i));
}

/* Whether a parameter is used on the path: always, or by the active candidate. */
static bool on_path(const supernet *s, const net_param *p, int64_t *grad)
{
    const net *n = s->weights.built.net;
    for (int i = 0; i < s->paths->at.count; i++) {
        const net_path *path = &s->paths->at.at[i];
        if (p->offset < path->offset || p->offset >= path->offset + path->count)
            continue;
        const net_region *r = &n->regions.at[path->region];
        *grad = path->grad + p->offset - path->offset;
        return path->region == 0 || s->search->active[r->select] == r->candidate;
    }
    return false;
}

static void check_path(fixture *f, supernet *s)
{
    proxyless *q = s->search;
    const parameters *p = &q->config.parameters;
    pass one = {.what = &s->programs.weights,
                .weights = q->weights.value,
                .stats = q->stats,
                .weight_grad = q->weight_grad,
                .active = q->active,
                .keep_stats = true};
    MUST(runner_pass(&q->run, &one, &s->batch, &f->w.d));
    MUST(device_fetch_all(f->w.device, &f->w.d));
    compare(f, "want.path_logits", q->run.logits, (int64_t)f->batch * number(f, "classes"), OUTPUT);
    compare(f, "want.path_loss", &q->run.own.loss, 1, OUTPUT);
    for (int i = 0; i < p->count; i++) {
        const net_param *one_of = &p->at[i];
        int64_t grad = 0;
        if (one_of->slot != SLOT_WEIGHTS || !on_path(s, one_of, &grad))
            continue;
        float *got = NEW_ARRAY(&f->w.arena, float, parameter_count(one_of));
        parameter_to_file(one_of, got, q->weight_grad + grad);
        compare(f, joined(f, "want.path_grad.", one_of->name), got, parameter_count(one_of), GRADIENT);
    }
}

static void compare_alphas(fixture *f, const supernet *s, const char *what, const char *which, const float *got,
                           double limit)
{
    const parameters *p = &s->search->config.parameters;
    for (int i = 0; i < p->count; i++)
        if (p->at[i].slot == SLOT_MIX) {
            const char *number_of = strchr(p->at[i].name, '.');
            compare(f, arena_printf(&f->w.arena, "want.%s.%s%s", what, which, number_of), got + p->at[i].offset,
                    parameter_count(&p->at[i]), limit);
        }
}

static void check_alphas(fixture *f, supernet *s, const char *what, enum proxyless_rule rule)
{
    proxyless *q = s->search;
    q->config.settings.rule = rule;
    parameter_values alphas = {.alphas = q->alphas.value};
    MUST(parameters_read(&q->config.parameters, "param.", f->set, &alphas, &f->w.d));
    memset(q->alphas.second, 0, (size_t)q->alphas.count * sizeof(float));
    device_changed(f->w.device, q->alphas.value);
    device_changed(f->w.device, q->alphas.second);
    q->alphas.steps = 0;
    for (int c = 0; c < q->choice_count; c++)
        q->gates[c] = rule == PROXYLESS_TWO
                          ? UINT64_C(1) << listed(f, "second", c)
                          : ((UINT64_C(1) << q->choices[c].candidates) - 1) & ~(UINT64_C(1) << q->active[c]);
    MUST(proxyless_gate_gradient(q, &s->batch, &f->w.d));
    MUST(device_fetch_all(f->w.device, &f->w.d));
    compare_alphas(f, s, what, "gate_grad", q->gate_grad, GRADIENT);
    compare_alphas(f, s, what, "alpha_grad", q->alpha_grad, GRADIENT);
    MUST(proxyless_alpha_move(q, &f->w.d));
    MUST(device_fetch_all(f->w.device, &f->w.d));
    compare_alphas(f, s, what, "alpha_after", q->alphas.value, MOVED);
}

static void search_case(enum engine_kind kind)
{
    fixture at, *f = &at;
    supernet s;
    case_open(f, folder, "proxyless_search", kind);
    f->space = search_space();
    fixture_settings(f, SETTINGS_PROXYLESS);
    supernet_open(f, &s);
    for (int c = 0; c < s.search->choice_count; c++)
        s.search->active[c] = listed(f, "active", c);
    check_path(f, &s);
    check_alphas(f, &s, "two", PROXYLESS_TWO);
    check_alphas(f, &s, "full", PROXYLESS_ALL);
    case_close(f);
}

/* ---- the network for phones -------------------------------------------------------------------------------------- */

static void fixed_case(enum engine_kind kind)
{
    fixture at, *f = &at;
    objective built;
    runnable run;
    runner r;
    case_open(f, folder, "proxyless_fixed", kind);
    char *genotype = mobile_genotype(&f->w.arena);
    MUST(f->space = space_parse(genotype, strlen(genotype), "mobile", &f->w.d));
    fixture_settings(f, SETTINGS_TRAIN);
    MUST(workshop_use(&f->w, f->space, &f->settings, USE_EVAL, f->batch, NULL, &built, &run));
    parameters p = parameters_of(built.built.net);
    MUST(runner_open(&r, &f->w.arena, f->w.device, (const runnable *[]){&run}, 1, &f->w.d));
    float *w = NEW_ARRAY(&f->w.arena, float, p.weights), *stats = NEW_ARRAY(&f->w.arena, float, p.stats);
    parameter_values values = {.weights = w, .stats = stats};
    MUST(parameters_read(&p, "param.", f->set, &values, &f->w.d));
    feed batch = read_batch(f, "in.x", "in.y");
    pass one = {.what = &run, .weights = w, .stats = stats, .keep_stats = true};
    MUST(runner_pass(&r, &one, &batch, &f->w.d));
    MUST(device_fetch_all(f->w.device, &f->w.d));
    compare(f, "want.eval_logits", r.logits, (int64_t)f->batch * number(f, "classes"), OUTPUT);
    case_close(f);
}

#define RUN(name, engine, kind)                                                                                        \
    static void name##_##engine(void **state)                                                                          \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        name##_case(kind);                                                                                             \
    }
#define CASE(name)                                                                                                     \
    RUN(name, interpreted, ENGINE_INTERPRETER)                                                                         \
    RUN(name, compiled, ENGINE_JIT)                                                                                    \
    RUN(name, interpreted_wide, ENGINE_INTERPRETER_WIDE)                                                               \
    RUN(name, compiled_wide, ENGINE_JIT_WIDE)
CASE(search)
CASE(fixed)
RUN(search, cuda, ENGINE_CUDA)

#define TESTS(name)                                                                                                    \
    cmocka_unit_test(name##_interpreted), cmocka_unit_test(name##_compiled),                                           \
        cmocka_unit_test(name##_interpreted_wide), cmocka_unit_test(name##_compiled_wide)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {TESTS(search), TESTS(fixed), cmocka_unit_test(search_cuda)};
    setvbuf(stdout, NULL, _IOLBF, 0);
    folder = argc > 1 ? argv[1] : TESTS_DIR "/fixtures";
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
