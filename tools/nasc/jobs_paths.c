/* Searches of spaces that select candidates: the programs of one path, what candidates cost, and what was found. */
#include "uses/probable.h"
#include "session.h"

#include <math.h>
#include <string.h>

static const double ABOUT_TARGET = 0.02; /* of the target: how far from it a network may be that add#absolute finds */

static bool selects_all(const space *of, const space_net *built, nasc_diag *d)
{
    for (int i = 0; i < built->choice_count; i++)
        if (built->choices[i].combine != COMBINE_SELECT)
            return diag_fail(d, DIAG_INPUT, space_name(of),
                             "has choices whose candidates are mixed beside such that are "
                             "selected: one method cannot learn both");
    return built->choice_count > 0 ||
           diag_fail(d, DIAG_INPUT, space_name(of), "has no choices: there is nothing to search");
}

static enum proxyless_cost_term cost_term(const settings *set)
{
    static const struct {
        const char *name;
        enum proxyless_cost_term term;
    } losses[] = {{"mul#log", COST_MUL_LOG}, {"add#linear", COST_ADD_LINEAR}, {"add#absolute", COST_ADD_ABSOLUTE}};
    for (size_t i = 0; i < COUNT(losses); i++)
        if (strcmp(settings_text(set, SETTING_cost_loss), losses[i].name) == 0)
            return losses[i].term;
    BUG("cost_loss %s", settings_text(set, SETTING_cost_loss));
}

/* What candidates cost, and what the loss makes of it. */
static proxyless_cost loss_cost(arena *a, const search_job *job)
{
    const settings *set = &job->settings;
    const costs *c = job->costs;
    if (!c)
        return (proxyless_cost){.term = COST_NONE};
    enum proxyless_cost_term term = cost_term(set);
    float *of = NEW_ARRAY(a, float, c->count + 1);
    for (int64_t i = 0; i < c->count; i++)
        of[i] = (float)(c->of[i] / job->cost_unit);
    return (proxyless_cost){.term = term,
                            .of = of,
                            .fixed = c->fixed / job->cost_unit,
                            .target = job->target / job->cost_unit,
                            .factor =
                                settings_number(set, term == COST_MUL_LOG ? SETTING_cost_beta : SETTING_cost_lambda),
                            .exponent = settings_number(set, SETTING_cost_exponent)};
}

bool session_path_supernet(session *s, const search_job *job, path_supernet *n, nasc_diag *d)
{
    static const enum net_method methods[] = {METHOD_softmax, METHOD_sgd,     METHOD_adam,
                                              METHOD_gates,   METHOD_rescale, METHOD_reinforce};
    bool nesterov = settings_int(&job->settings, SETTING_nesterov) != 0;
    bool reinforce = job->method->rule == PROXYLESS_REINFORCE;
    const settings *set = &job->settings;
    proxyless_programs *p = &n->programs;
    if (!session_network(s, job->space, set, USE_WEIGHTS, NULL, &n->weights, &p->weights, d) ||
        !selects_all(job->space, &n->weights.built, d))
        return false;
    const net *model = n->weights.built.net;
    CHECK(!job->costs || job->costs->count == model->slot_size[SLOT_MIX]);
    n->cost = loss_cost(s->arena, job);
    bool ok = session_network(s, job->space, set, reinforce ? USE_FORWARD : USE_MIX, model, &n->other,
                              reinforce ? &p->forward : &p->gates, d);
    for (size_t m = 0; ok && m < COUNT(methods); m++)
        ok = session_method(s, model, methods[m], nesterov, &p->method[methods[m]], d);
    return ok;
}

proxyless_settings session_proxyless_settings(const search_job *job)
{
    const settings *set = &job->settings;
    return (proxyless_settings){.rule = job->method->rule,
                                .batch = (int)settings_int(set, SETTING_batch),
                                .epochs = (int)settings_int(set, SETTING_epochs),
                                .steps = (int)settings_int(set, SETTING_steps),
                                .alpha_every = (int)settings_int(set, SETTING_alpha_every),
                                .warmup_epochs = (int)settings_int(set, SETTING_warmup_epochs),
                                .held_out = settings_number(set, SETTING_held_out),
                                .samples = (int)settings_int(set, SETTING_alpha_samples),
                                .checkpoint_steps = job->checkpoint_steps,
                                .lr_by_step = session_lr_by_step(set),
                                .lr_min = settings_number(set, SETTING_lr_min),
                                .weights = session_weight_rates(set),
                                .alphas = session_alpha_rates(set),
                                .augment = session_augment(set),
                                .seed = job->seed};
}

enum run_end session_search_paths(session *s, const search_job *job, path_supernet *n, run_folder *folder,
                                  const float **alphas, nasc_diag *d)
{
    if (!session_path_supernet(s, job, n, d))
        return RUN_FAILED;
    proxyless_config config = {.programs = &n->programs,
                               .parameters = session_parameters(n->weights.built.net),
                               .data = job->data,
                               .settings = session_proxyless_settings(job),
                               .cost = n->cost,
                               .device = s->device,
                               .folder = folder,
                               .progress = &s->progress};
    proxyless *search = proxyless_open(s->arena, &config, d);
    if (!search || (job->resume && !proxyless_resume(search, d)))
        return RUN_FAILED;
    enum run_end end = proxyless_search(search, d);
    *alphas = search->alphas.value;
    return end;
}

/* ---- what was found ---------------------------------------------------------------------------------------------- */

/* A copy, -INFINITY where the space forbids the candidate. */
static float *allowed_alphas(arena *a, const space *of, const space_net *built, const float *alphas)
{
    const net *n = built->net;
    float *allowed = NEW_ARRAY(a, float, n->slot_size[SLOT_MIX] + 1);
    memcpy(allowed, alphas, (size_t)n->slot_size[SLOT_MIX] * sizeof *allowed);
    for (int i = 0; i < built->choice_count; i++) {
        const space_choice *c = &built->choices[i];
        parameters p = session_parameters(n);
        float *at = allowed + session_alpha_place(&p, c);
        for (int k = 0; k < c->rows * c->columns; k++)
            if (!space_allows(of, c, k % c->columns))
                at[k] = -INFINITY;
    }
    return allowed;
}

const float *session_found(arena *a, const space *of, const settings *set, const space_net *built, const costs *c,
                           double target, const float *alphas)
{
    if (!c || cost_term(set) != COST_ADD_ABSOLUTE)
        return alphas;
    return probable_network(a, built->net, c, allowed_alphas(a, of, built, alphas), (1 - ABOUT_TARGET) * target,
                            (1 + ABOUT_TARGET) * target);
}
