/* Predicted memory: programs are compiled as the commands compile them, but only the optimisers' become machine code;
 * what the runtime allocates beside their arenas is counted here, vector by vector. What the process takes by itself is
 * measured: this one has gone the same way as far as the first step. */
#include "memory.h"

#include "net/methods.h"
#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

/* A row a command: the networks that it compiles, and how many vectors of each kind its runtime keeps. SGD keeps
 * values, momentum and, where choices are mixed, a spare of each; Adam values, two moments and spares; a gradient
 * belongs to either. */
static const struct use {
    const char *name;
    bool genotype, mixes; /* what it is for; a space: whose candidates are mixed, or selected */
    int network_count;
    enum objective_use network[3];
    int weights, gradients, mix, stats; /* vectors */
    int feeds;                          /* batches in memory: of this step and the next */
    bool one;                           /* of one image: inference */
    bool learns;                        /* runs the methods' programs */
} uses[] = {
    {"search darts-1st", false, true, 2, {USE_WEIGHTS, USE_MIX}, 4, 1, 12, 1, 4, false, true},
    {"search darts-2nd", false, true, 3, {USE_WEIGHTS, USE_MIX, USE_BOTH}, 4, 2, 12, 1, 4, false, true},
    {"search darts-reinforce", false, true, 2, {USE_WEIGHTS, USE_FORWARD}, 4, 1, 12, 1, 4, false, true},
    {"search proxyless", false, false, 2, {USE_WEIGHTS, USE_MIX}, 2, 1, 12, 1, 4, false, true},
    {"search proxyless-reinforce", false, false, 2, {USE_WEIGHTS, USE_FORWARD}, 2, 1, 12, 1, 4, false, true},
    {"train", true, false, 2, {USE_WEIGHTS, USE_EVAL}, 4, 1, 0, 1, 2, false, true},
    {"inference", true, false, 1, {USE_EVAL}, 1, 0, 0, 1, 1, true, false},
};

/* What one program needs; each is compiled once for all uses. */
typedef struct need {
    bool known;
    int64_t arena, scratch;                 /* scratch: a thread's */
    int64_t kept;                           /* nets and programs */
    int64_t planning;                       /* what the process took more than before while it was compiled, at most */
    int64_t weights, gradients, stats, mix; /* elements */
    int64_t logits, masks;                  /* elements an image */
} need;

typedef struct predictor {
    const model *model;
    target target;
    engine *engine; /* NULL: this nasc makes no machine code by itself */
    int64_t budget;
    need network[2][USE_EVAL + 1]; /* [one image] */
    need methods;                  /* the largest of them */
    bool mixes;                    /* the space has choices whose candidates are summed */
} predictor;

static void take_program(need *n, const program *p)
{
    int64_t bytes = p->arena_elements * 4;
    n->arena = bytes > n->arena ? bytes : n->arena;
    n->scratch = p->scratch_bytes > n->scratch ? p->scratch_bytes : n->scratch;
    n->known = true;
}

/* `load`: as machine code, too. */
static bool compile(predictor *p, need *n, arena *a, const net *of, pipeline_options o, bool load, nasc_diag *d)
{
    arena kernels = {0};
    program_code code;
    o.kernels = &kernels;
    const program *q = pipeline_compile(a, of, &p->target, &o, d);
    bool ok = q && (!load || !p->engine || engine_load(p->engine, q, &code, d));
    arena_free(&kernels);
    if (ok)
        take_program(n, q);
    return ok;
}

static bool compile_methods(predictor *p, arena *a, const net *model, nasc_diag *d)
{
    method_shape shape = method_shape_of(a, model);
    int64_t before = (int64_t)a->total;
    for (int m = 0; m < METHOD_COUNT; m++) {
        bool alphas = m != METHOD_sgd && m != METHOD_unroll && m != METHOD_perturb;
        if (alphas && shape.alphas == 0)
            continue;
        net *n = method_build(a, m, &shape, d);
        if (!n || !compile(p, &p->methods, a, n, (pipeline_options){.batch = 1}, true, d))
            return false;
    }
    p->methods.kept = (int64_t)a->total - before;
    return true;
}

typedef struct network {
    predictor *p;
    enum objective_use use;
    bool one;
} network;

static bool compile_network(void *user, arena *a, nasc_diag *d)
{
    const network *of = user;
    predictor *p = of->p;
    need *n = &p->network[of->one][of->use];
    objective o;
    const settings *set = &p->model->settings;
    if (!objective_build(p->model->space, set, of->use, a, &o, d))
        return false;
    const net *built = o.built.net;
    for (int i = 0; i < o.built.choice_count; i++)
        p->mixes |= o.built.choices[i].combine == COMBINE_MIX;
    pipeline_options options = {.batch = of->one ? 1 : (int)settings_int(set, SETTING_batch),
                                .grad = o.grad,
                                .sequential = of->use == USE_EVAL};
    options.memory = o.grad ? p->budget : 0;
    if (!compile(p, n, a, built, options, false, d))
        return false;
    n->kept = (int64_t)a->total;
    n->weights = built->slot_size[SLOT_WEIGHTS];
    n->gradients = net_paths_of(a, built)->grad_elements;
    n->stats = built->slot_size[SLOT_STATS];
    n->mix = built->slot_size[SLOT_MIX];
    n->logits = built->slot_size[SLOT_LOGITS] + built->slot_size[SLOT_AUX_LOGITS];
    n->masks = built->slot_size[SLOT_MASKS];
    return of->use != USE_WEIGHTS || p->methods.known || compile_methods(p, a, built, d);
}

/* A line of what the kernel says of this process, in bytes; 0: it says nothing. */
static int64_t status_of_process(const char *line)
{
    char text[160];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && kib == 0 && fgets(text, sizeof text, file))
        if (strncmp(text, line, strlen(line)) == 0)
            (void)sscanf(text + strlen(line), ": %lld", &kib);
    if (file)
        fclose(file);
    return kib * 1024;
}

/* The process at its largest, from now on. Where the kernel refuses, it stays that from the beginning. */
static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file)
        return;
    (void)fputs("5", file);
    (void)fclose(file);
}

/* In an arena of its own, which what was learned outlives. */
static bool learn(predictor *p, enum objective_use use, bool one, nasc_diag *d)
{
    network n = {p, use, one};
    if (p->network[one][use].known)
        return true;
    malloc_trim(0);
    forget_peak();
    int64_t before = status_of_process("VmRSS");
    bool ok = arena_within(compile_network, &n, d);
    p->network[one][use].planning = status_of_process("VmHWM") - before;
    return ok;
}

static memory sum_of(const predictor *p, const struct use *u, int threads)
{
    memory m = {.use = u->name, .threads = threads};
    m.batch = u->one ? 1 : (int)settings_int(&p->model->settings, SETTING_batch);
    const need *first = &p->network[u->one][u->network[0]];
    need most = {0};
    for (int i = 0; i < u->network_count + u->learns; i++) {
        const need *n = i < u->network_count ? &p->network[u->one][u->network[i]] : &p->methods;
        most.arena = n->arena > most.arena ? n->arena : most.arena;
        most.scratch = n->scratch > most.scratch ? n->scratch : most.scratch;
        most.planning = m.process + n->planning > most.planning ? m.process + n->planning : most.planning;
        m.process += n->kept;
    }
    int64_t images = p->model->h * (int64_t)p->model->w * p->model->c;
    m.arena = most.arena;
    m.scratch = most.scratch * threads;
    m.planning = most.planning;
    m.candidates = 4 * u->weights * first->weights;
    m.gradients = 4 * u->gradients * first->gradients;
    m.vectors = m.candidates + m.gradients + 4 * (u->stats * first->stats + u->mix * first->mix);
    m.batches = 4 * m.batch * (u->feeds * (images + 1) + first->logits + first->masks);
    return m;
}

/* The rows, without what the process takes before it has any program. */
static int predict(predictor *p, int threads, memory rows[MEMORY_USES], nasc_diag *d)
{
    const model *m = p->model;
    int count = 0;
    if (!m->genotype && !learn(p, USE_WEIGHTS, false, d))
        return -1;
    for (size_t i = 0; i < COUNT(uses); i++) {
        const struct use *u = &uses[i];
        if (u->genotype != m->genotype || u->mixes != p->mixes)
            continue;
        nasc_diag problem = {0};
        for (int k = 0; k < u->network_count && !problem.kind; k++)
            learn(p, u->network[k], u->one, &problem);
        if (problem.kind != DIAG_NONE && problem.kind != DIAG_INPUT) {
            *d = problem;
            return -1;
        }
        CHECK(count < MEMORY_USES);
        memory row = {.use = u->name, .problem = problem};
        rows[count++] = problem.kind ? row : sum_of(p, u, threads);
    }
    return count;
}

int memory_predict(const model *m, int threads, int64_t budget, memory rows[MEMORY_USES], nasc_diag *d)
{
    nasc_diag none = {0};
    predictor p = {.model = m, .target = target_host(), .budget = budget};
    p.engine = engine_open(ENGINE_JIT, &p.target, threads, &none);
    int count = predict(&p, threads, rows, d);
    malloc_trim(0);
    int64_t process = status_of_process("VmRSS");
    for (int i = 0; i < count; i++) {
        rows[i].process += process;
        rows[i].planning += process;
    }
    engine_close(p.engine);
    return count;
}

int64_t memory_total(const memory *m)
{
    int64_t step = m->arena + m->scratch + m->vectors + m->batches + m->process;
    return step > m->planning ? step : m->planning;
}
