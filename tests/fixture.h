/* Compiled networks for tests: a space or genotype, an engine and a device, and what a test wants of them. */
#ifndef NASC_TEST_FIXTURE_H
#define NASC_TEST_FIXTURE_H

#include "net/methods.h"
#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"
#include "runtime/parameters.h"
#include "runtime/runner.h"

#include <stdio.h>

typedef struct workshop {
    arena arena;
    target target;
    engine *engine;
    device *device;
    nasc_diag d;
} workshop;

static inline bool workshop_open(workshop *w, enum engine_kind kind, int threads)
{
    int capability = 0;
    *w = (workshop){.target = target_host()};
    w->device = kind == ENGINE_CUDA ? device_open_cuda(&capability, &w->d) : device_open_cpu(threads, &w->d);
    if (w->device && (!capability || target_gpu(capability, &w->target)))
        w->engine = engine_open(kind, &w->target, threads, &w->d);
    return w->engine != NULL;
}

static inline void workshop_close(workshop *w)
{
    device_close(w->device);
    if (w->engine)
        engine_close(w->engine);
    arena_free(&w->arena);
}

static inline bool workshop_compile(workshop *w, const net *n, const pipeline_options *o, runnable *to)
{
    *to = (runnable){.program = pipeline_compile(&w->arena, n, &w->target, o, &w->d)};
    return to->program && engine_load(w->engine, to->program, &to->code, &w->d);
}

/* One use of a network; `model` (may be NULL): whose layout of weights it shares. */
static inline bool workshop_use(workshop *w, const space *s, const settings *set, enum objective_use use, int batch,
                                const net *model, objective *built, runnable *to)
{
    if (!objective_build(s, set, use, &w->arena, built, &w->d) ||
        (model && !objective_share(built->built.net, model, &w->d)))
        return false;
    pipeline_options o = {.batch = batch, .grad = built->grad, .sequential = use == USE_EVAL};
    return workshop_compile(w, built->built.net, &o, to);
}

static inline bool workshop_method(workshop *w, const net *n, enum net_method method, runnable *to)
{
    method_shape shape = method_shape_of(&w->arena, n);
    net *built = method_build(&w->arena, method, &shape, &w->d);
    pipeline_options o = {.batch = 1};
    return built && workshop_compile(w, built, &o, to);
}

static inline parameters parameters_of(const net *n)
{
    return (parameters){.at = n->params.at,
                        .count = n->params.count,
                        .weights = n->slot_size[SLOT_WEIGHTS],
                        .stats = n->slot_size[SLOT_STATS],
                        .mix = n->slot_size[SLOT_MIX]};
}

#endif
