/* Passes through a network. */
#include "runtime/runner.h"

static float *room(arena *a, device *v, const runnable *const *programs, int count, enum net_slot slot)
{
    int64_t most = 1;
    for (int i = 0; i < count; i++) {
        const program *p = programs[i]->program;
        int64_t elements = p->slot_size[slot] * p->batch;
        most = elements > most ? elements : most;
    }
    return device_vector(v, a, most);
}

bool runner_open(runner *r, arena *a, device *v, const runnable *const *programs, int count, nasc_diag *d)
{
    *r = (runner){.device = v, .scored = &r->own};
    r->logits = room(a, v, programs, count, SLOT_LOGITS);
    r->aux_logits = room(a, v, programs, count, SLOT_AUX_LOGITS);
    for (int i = 0; i < count; i++)
        if (!device_prepare(v, programs[i]->program, &programs[i]->code, d))
            return false;
    return true;
}

bool runnable_run(const runnable *what, device *v, device_run *bound, nasc_diag *d)
{
    bound->program = what->program;
    bound->code = &what->code;
    if (what->clock) {
        bound->instance_seconds = what->clock->instance_seconds;
        bound->instance_runs = what->clock->instance_runs;
    }
    return device_execute(v, bound, d);
}

bool runner_pass(runner *r, const pass *p, const feed *batch, nasc_diag *d)
{
    score *scored = p->unscored ? &r->unscored : r->scored;
    device_run run = {.n = batch->n, .keep_stats = p->keep_stats, .late = true, .active = p->active, .gates = p->gates};
    /* Programs write only to slots that they declare as outputs: what is const here is an input there. */
    run.slot[SLOT_IMAGES] = batch->x;
    run.slot[SLOT_LABELS] = batch->y;
    run.slot[SLOT_WEIGHTS] = (void *)p->weights;
    run.slot[SLOT_MIX] = (void *)p->mix;
    run.slot[SLOT_MASKS] = (void *)p->masks;
    run.slot[SLOT_STATS] = p->stats;
    run.slot[SLOT_WEIGHT_GRAD] = p->weight_grad;
    run.slot[SLOT_MIX_GRAD] = p->mix_grad;
    run.slot[SLOT_LOGITS] = r->logits;
    run.slot[SLOT_AUX_LOGITS] = r->aux_logits;
    run.slot[SLOT_LOSS] = &scored->loss;
    run.slot[SLOT_CORRECT] = &scored->correct;
    return runnable_run(p->what, r->device, &run, d);
}
