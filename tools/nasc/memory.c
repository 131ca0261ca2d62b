/* Predicted memory: programs are compiled as the commands compile them (but not made machine code of), and what the
 * runtime allocates beside their arenas is counted here, vector by vector. */
#include "memory.h"

#include "net/methods.h"
#include "objective.h"
#include "pipeline.h"

/* A row a command: the networks that it compiles, and how many vectors of each kind its runtime keeps. SGD keeps
 * values, momentum and a spare of each; Adam values, two moments and spares; a gradient belongs to either. */
static const struct use {
    const char *name;
    bool genotype, mixes; /* what it is for; a space: with or without candidate weights */
    int network_count;
    enum objective_use network[3];
    int weights, mix, stats; /* vectors */
    int feeds;               /* batches in memory: of this step and the next */
    bool one;                /* of one image: inference */
    bool learns;             /* runs the methods' programs */
} uses[] = {
    {"search darts-1st", false, true, 2, {USE_WEIGHTS, USE_MIX}, 5, 12, 1, 4, false, true},
    {"search darts-2nd", false, true, 3, {USE_WEIGHTS, USE_MIX, USE_BOTH}, 6, 12, 1, 4, false, true},
    {"search darts-reinforce", false, true, 1, {USE_WEIGHTS}, 5, 12, 1, 4, false, true}, /* forward alone: less */
    {"weights of one path", false, false, 1, {USE_WEIGHTS}, 5, 0, 1, 2, false, true},
    {"train", true, false, 2, {USE_WEIGHTS, USE_EVAL}, 5, 0, 1, 2, false, true},
    {"inference", true, false, 1, {USE_EVAL}, 1, 0, 1, 1, true, false},
};

/* What one program needs; each is compiled once for all uses. */
typedef struct need {
    bool known;
    int64_t arena, scratch;      /* scratch: a thread's */
    int64_t weights, stats, mix; /* elements */
    int64_t logits, masks;       /* elements an image */
} need;

typedef struct predictor {
    const model *model;
    target target;
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

static bool compile(need *n, arena *a, const target *t, const net *of, const pipeline_options *o, nasc_diag *d)
{
    const program *p = pipeline_compile(a, of, t, o, d);
    if (p)
        take_program(n, p);
    return p != NULL;
}

static bool compile_methods(predictor *p, arena *a, const net *model, nasc_diag *d)
{
    method_shape shape = method_shape_of(a, model);
    pipeline_options o = {.batch = 1};
    for (int m = 0; m < METHOD_COUNT; m++) {
        bool alphas = m != METHOD_sgd && m != METHOD_unroll && m != METHOD_perturb;
        if (alphas && shape.alphas == 0)
            continue;
        net *n = method_build(a, m, &shape, d);
        if (!n || !compile(&p->methods, a, &p->target, n, &o, d))
            return false;
    }
    return true;
}

static bool compile_network(predictor *p, arena *a, enum objective_use use, bool one, nasc_diag *d)
{
    need *n = &p->network[one][use];
    objective o;
    const settings *set = &p->model->settings;
    if (!objective_build(p->model->space, set, use, a, &o, d))
        return false;
    const net *built = o.built.net;
    for (int i = 0; i < o.built.choice_count; i++)
        p->mixes |= o.built.choices[i].combine == COMBINE_MIX;
    pipeline_options options = {
        .batch = one ? 1 : (int)settings_int(set, SETTING_batch), .grad = o.grad, .sequential = use == USE_EVAL};
    if (!compile(n, a, &p->target, built, &options, d))
        return false;
    n->weights = built->slot_size[SLOT_WEIGHTS];
    n->stats = built->slot_size[SLOT_STATS];
    n->mix = built->slot_size[SLOT_MIX];
    n->logits = built->slot_size[SLOT_LOGITS] + built->slot_size[SLOT_AUX_LOGITS];
    n->masks = built->slot_size[SLOT_MASKS];
    return use != USE_WEIGHTS || p->methods.known || compile_methods(p, a, built, d);
}

/* In an arena of its own, which what was learned outlives. */
static bool learn(predictor *p, enum objective_use use, bool one, nasc_diag *d)
{
    if (p->network[one][use].known)
        return true;
    arena a = {0};
    jmp_buf out_of_memory;
    bool ok;
    if (setjmp(out_of_memory) == 0) {
        a.unwind = &out_of_memory;
        ok = compile_network(p, &a, use, one, d);
    } else {
        ok = diag_memory(d);
    }
    arena_free(&a);
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
    }
    int64_t images = p->model->h * (int64_t)p->model->w * p->model->c;
    m.arena = most.arena;
    m.scratch = most.scratch * threads;
    m.vectors = 4 * (u->weights * first->weights + u->stats * first->stats + u->mix * first->mix);
    m.batches = 4 * m.batch * (u->feeds * (images + 1) + first->logits + first->masks);
    return m;
}

int memory_predict(const model *m, int threads, memory rows[MEMORY_USES], nasc_diag *d)
{
    predictor p = {.model = m, .target = target_host()};
    int count = 0;
    if (!m->genotype && !learn(&p, USE_WEIGHTS, false, d))
        return -1;
    for (size_t i = 0; i < COUNT(uses); i++) {
        const struct use *u = &uses[i];
        if (u->genotype != m->genotype || u->mixes != p.mixes)
            continue;
        nasc_diag problem = {0};
        for (int k = 0; k < u->network_count && !problem.kind; k++)
            learn(&p, u->network[k], u->one, &problem);
        if (problem.kind != DIAG_NONE && problem.kind != DIAG_INPUT) {
            *d = problem;
            return -1;
        }
        CHECK(count < MEMORY_USES);
        memory row = {.use = u->name, .problem = problem};
        rows[count++] = problem.kind ? row : sum_of(&p, u, threads);
    }
    return count;
}

int64_t memory_total(const memory *m)
{
    return m->arena + m->scratch + m->vectors + m->batches;
}
