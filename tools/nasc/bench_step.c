/* What nasc bench step and infer time: the programs and steps of search, train and eval, on random data. */
#include "bench.h"
#include "runtime/rng.h"
#include "runtime/train/masks.h"
#include "trained.h"

feed bench_feed(session *s, const model *m, uint32_t number)
{
    const settings *set = &m->settings;
    feed f = {.n = (int)settings_int(set, SETTING_batch)};
    int64_t pixels = (int64_t)f.n * m->h * m->w * m->c;
    f.x = NEW_ARRAY(s->arena, float, pixels);
    f.y = NEW_ARRAY(s->arena, int32_t, f.n);
    rng r = rng_open((uint64_t)s->arguments->seed, RNG_SYNTHETIC, 0, number);
    for (int64_t i = 0; i < pixels; i++)
        f.x[i] = (float)rng_normal(&r);
    for (int i = 0; i < f.n; i++)
        f.y[i] = (int32_t)rng_below(&r, (uint32_t)settings_int(set, SETTING_classes));
    return f;
}

/* ---- steps of a search ------------------------------------------------------------------------------------------- */

typedef struct search_step {
    supernet net;
    darts *search;
    feed train, held;
} search_step;

static bool one_pass(void *user, nasc_diag *d)
{
    search_step *t = user;
    return darts_alpha_gradient(t->search, &t->train, &t->held, d);
}

static bool one_search_step(void *user, nasc_diag *d)
{
    search_step *t = user;
    return darts_alpha_step(t->search, &t->train, &t->held, d) && darts_weight_step(t->search, &t->train, d);
}

/* Order 0 is first order's gradient of alpha by a program that computes that of the weights, too. */
static bool compile_one_pass(session *s, const search_job *job, supernet *n, nasc_diag *d)
{
    static const enum net_method methods[] = {METHOD_softmax, METHOD_alpha};
    if (!session_network(s, job->space, &job->settings, USE_BOTH, NULL, &n->weights, &n->programs.mix, d))
        return false;
    bool ok = session_mixes(job->space, &n->programs.mix, d);
    for (size_t i = 0; ok && i < COUNT(methods); i++)
        ok = session_method(s, n->weights.built.net, methods[i], false, &n->programs.method[methods[i]], d);
    return ok;
}

static bool search_workload(session *s, const model *m, int order, workload *w, nasc_diag *d)
{
    search_step *t = NEW(s->arena, search_step);
    search_job job = {.space = m->space,
                      .settings = m->settings,
                      .method = search_method_find(order == 2 ? "darts-2nd" : "darts-1st"),
                      .seed = (uint64_t)s->arguments->seed};
    if (!(order == 0 ? compile_one_pass(s, &job, &t->net, d) : session_supernet(s, &job, &t->net, d)))
        return false;
    darts_programs *p = &t->net.programs;
    darts_config config = {.programs = p,
                           .parameters = session_parameters(t->net.weights.built.net),
                           .settings = session_darts_settings(&job),
                           .device = s->device};
    t->search = darts_open(s->arena, &config, d);
    t->train = bench_feed(s, m, 0);
    t->held = bench_feed(s, m, 1);
    workload_add(w, &p->weights);
    workload_add(w, &p->mix);
    workload_add(w, &p->both);
    for (int i = 0; i < METHOD_COUNT; i++)
        workload_add(w, &p->method[i]);
    w->once = order == 0 ? one_pass : one_search_step;
    w->user = t;
    return t->search != NULL;
}

/* ---- passes of a network ----------------------------------------------------------------------------------------- */

typedef struct network_pass {
    objective built;
    runnable network, optimiser; /* training alone has an optimiser */
    runner run;
    pass pass;
    feed batch;
    sgd weights;
    sgd_rates rates;
    float *masks;
    double drop_path;
} network_pass;

static bool infer_once(void *user, nasc_diag *d)
{
    network_pass *t = user;
    return runner_pass(&t->run, &t->pass, &t->batch, d);
}

static bool train_once(void *user, nasc_diag *d)
{
    network_pass *t = user;
    masks_fill(t->network.program, t->masks, t->batch.n, t->drop_path, 0, 0);
    t->pass.weights = t->weights.value;
    return runner_pass(&t->run, &t->pass, &t->batch, d) &&
           sgd_step(&t->weights, t->run.device, t->pass.weight_grad, NULL, &t->rates, d);
}

static bool network_open(session *s, const model *m, network_pass *t, workload *w, nasc_diag *d)
{
    const runnable *all[] = {&t->network, &t->optimiser};
    t->batch = bench_feed(s, m, 0);
    workload_add(w, &t->network);
    workload_add(w, &t->optimiser);
    w->user = t;
    return runner_open(&t->run, s->arena, s->device, all, w->count, d);
}

/* Candidate weights, where a space is run: all alike. */
static float *even_mix(session *s, const parameters *p)
{
    float *mix = NEW_ARRAY(s->arena, float, p->mix + 1);
    for (int i = 0; i < p->count; i++)
        for (int64_t k = 0; p->at[i].slot == SLOT_MIX && k < parameter_count(&p->at[i]); k++)
            mix[p->at[i].offset + k] = 1.0F / (float)p->at[i].dim[3];
    return mix;
}

/* Initial weights folded into constants; images that are noise are normal as they come. */
static bool fill_constants(session *s, const model *m, const inference *i, network_pass *t, nasc_diag *d)
{
    parameters p = session_parameters(i->built.net);
    parameter_values values = {.weights = NEW_ARRAY(s->arena, float, p.weights + 1),
                               .stats = NEW_ARRAY(s->arena, float, p.stats + 1)};
    float *mean = NEW_ARRAY(s->arena, float, m->c), *std = NEW_ARRAY(s->arena, float, m->c);
    for (int c = 0; c < m->c; c++)
        std[c] = 1;
    parameters_init(&p, &values, (uint64_t)s->arguments->seed);
    float *constants = session_constants(s, i, &values, mean, std, d);
    if (constants)
        inference_arrange(i, &s->target, false, constants, s->arena);
    t->pass = (pass){.what = &t->network, .weights = constants, .mix = even_mix(s, &p)};
    return constants != NULL;
}

/* The network that export writes. */
bool bench_infer(session *s, const model *m, workload *w, nasc_diag *d)
{
    network_pass *t = NEW(s->arena, network_pass);
    inference *i = NEW(s->arena, inference);
    pipeline_options o = {.batch = (int)settings_int(&m->settings, SETTING_batch), .sequential = true};
    w->once = infer_once;
    if (!inference_build(m->space, &m->settings, &(inference_options){.normalise = true}, s->arena, i, d))
        return false;
    if (i->net->regions.count > 1)
        return diag_fail(d, DIAG_INPUT, space_name(m->space),
                         "has choices of which one candidate runs (combine: select); expected a genotype, or a space "
                         "of mixtures");
    return fill_constants(s, m, i, t, d) && session_compile(s, i->net, &o, &t->network, d) &&
           network_open(s, m, t, w, d);
}

/* Initial weights. */
static void fill_parameters(session *s, network_pass *t)
{
    parameters p = session_parameters(t->built.built.net);
    t->weights = sgd_new(s->arena, s->device, &t->optimiser, p.weights);
    t->masks = NEW_ARRAY(s->arena, float, masks_elements(t->network.program));
    parameter_values values = {.weights = t->weights.value, .stats = device_vector(s->device, s->arena, p.stats)};
    parameters_init(&p, &values, (uint64_t)s->arguments->seed);
    t->pass = (pass){.what = &t->network,
                     .weights = t->weights.value,
                     .stats = values.stats,
                     .masks = t->masks,
                     .weight_grad = device_vector(s->device, s->arena, p.weights)};
}

bool bench_step(session *s, const model *m, int order, workload *w, nasc_diag *d)
{
    if (!m->genotype)
        return search_workload(s, m, order, w, d);
    network_pass *t = NEW(s->arena, network_pass);
    const settings *set = &m->settings;
    bool nesterov = settings_int(set, SETTING_nesterov) != 0;
    t->rates = session_weight_rates(set);
    t->drop_path = settings_number(set, SETTING_drop_path);
    w->once = train_once;
    if (!session_network(s, m->space, set, USE_WEIGHTS, NULL, &t->built, &t->network, d) ||
        !session_method(s, t->built.built.net, METHOD_sgd, nesterov, &t->optimiser, d))
        return false;
    fill_parameters(s, t);
    return network_open(s, m, t, w, d);
}
