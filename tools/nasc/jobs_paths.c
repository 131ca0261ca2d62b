/* Searches of spaces that select candidates: the programs of one path, and what candidates cost. */
#include "costs.h"
#include "session.h"

#include <string.h>

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

static enum cost_kind cost_kind(const char *cost)
{
    return strcmp(cost, "params") == 0 ? COST_PARAMS : COST_MACS;
}

bool session_least_cost(session *s, const space *of, const settings *set, const char *cost, double *least, nasc_diag *d)
{
    space_net built;
    if (!space_build(of, set, (space_mode){0}, s->arena, &built, d) || !selects_all(of, &built, d))
        return false;
    *least = costs_of(s->arena, built.net, cost_kind(cost)).least;
    return true;
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
static bool take_costs(session *s, const search_job *job, const net *model, proxyless_cost *to, nasc_diag *d)
{
    const settings *set = &job->settings;
    enum proxyless_cost_term term = cost_term(set);
    *to = (proxyless_cost){.term = COST_NONE};
    if (!job->cost)
        return true;
    costs c = job->latency ? *job->latency : costs_of(s->arena, model, cost_kind(job->cost));
    if (c.count != model->slot_size[SLOT_MIX])
        return diag_fail(d, DIAG_INPUT, job->folder, "has latencies of %lld candidates, its space has %lld",
                         (long long)c.count, (long long)model->slot_size[SLOT_MIX]);
    *to =
        (proxyless_cost){.term = term,
                         .of = c.of,
                         .fixed = c.fixed,
                         .target = job->target,
                         .factor = settings_number(set, term == COST_MUL_LOG ? SETTING_cost_beta : SETTING_cost_lambda),
                         .exponent = settings_number(set, SETTING_cost_exponent)};
    return true;
}

/* A genotype has no choices: all that it costs is fixed. */
bool session_counted_cost(session *s, const search_job *job, const char *genotype, double *cost, nasc_diag *d)
{
    if (!job->cost || job->latency)
        return true;
    space_net built;
    space *of = space_parse(genotype, strlen(genotype), job->folder, d);
    bool ok = of && space_build(of, &job->settings, (space_mode){0}, s->arena, &built, d);
    if (ok)
        *cost = costs_of(s->arena, built.net, cost_kind(job->cost)).fixed;
    if (of)
        space_free(of);
    return ok;
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
    bool ok = take_costs(s, job, model, &n->cost, d) &&
              session_network(s, job->space, set, reinforce ? USE_FORWARD : USE_MIX, model, &n->other,
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

/* Of the network that takes each choice's strongest candidate. */
static double preferred_cost(const proxyless *s)
{
    double cost = s->config.cost.fixed;
    for (int c = 0; c < s->choice_count; c++) {
        const float *alpha = s->alphas.value + s->choices[c].first;
        int best = 0;
        for (int k = 1; k < s->choices[c].candidates; k++)
            best = alpha[k] > alpha[best] ? k : best;
        cost += s->cost[s->choices[c].first + best];
    }
    return cost;
}

enum run_end session_search_paths(session *s, const search_job *job, path_supernet *n, run_folder *folder,
                                  const float **alphas, double *cost, nasc_diag *d)
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
    *cost = n->cost.of ? preferred_cost(search) : 0;
    return end;
}
