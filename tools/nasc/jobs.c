/* Searches and trainings, from settings to the run's end. */
#include "session.h"

#include <string.h>

/* ---- what both take from the settings ---------------------------------------------------------------------------- */

sgd_rates session_weight_rates(const settings *set)
{
    return (sgd_rates){.lr = settings_number(set, SETTING_lr),
                       .momentum = settings_number(set, SETTING_momentum),
                       .decay = settings_number(set, SETTING_weight_decay),
                       .clip = settings_number(set, SETTING_clip)};
}

adam_rates session_alpha_rates(const settings *set)
{
    return (adam_rates){.lr = settings_number(set, SETTING_alpha_lr),
                        .beta1 = settings_number(set, SETTING_alpha_beta1),
                        .beta2 = settings_number(set, SETTING_alpha_beta2),
                        .decay = settings_number(set, SETTING_alpha_weight_decay),
                        .eps = 1e-8};
}

struct data_augment session_augment(const settings *set)
{
    return (struct data_augment){.normalise = true,
                                 .crop = (int)settings_int(set, SETTING_crop),
                                 .flip = settings_int(set, SETTING_flip) != 0,
                                 .cutout = (int)settings_int(set, SETTING_cutout),
                                 .crop_area = settings_number(set, SETTING_crop_area),
                                 .jitter = {.brightness = (float)settings_number(set, SETTING_brightness),
                                            .contrast = (float)settings_number(set, SETTING_contrast),
                                            .saturation = (float)settings_number(set, SETTING_saturation)}};
}

bool session_lr_by_step(const settings *set)
{
    return strcmp(settings_text(set, SETTING_lr_schedule), "step") == 0;
}

/* Before anything takes time, so that a kill leaves a run to go on with. */
static bool open_folder(run_folder *folder, const char *path, bool resume, const json_t *record, nasc_diag *d)
{
    if (resume)
        return run_resume(folder, path, d);
    if (!run_create(folder, path, d))
        return false;
    if (run_write_json(path, "run.json", record, d))
        return true;
    run_give_up(folder);
    return false;
}

/* A run that was refused leaves nothing. */
static void close_folder(run_folder *folder, enum run_end end)
{
    if (end == RUN_FAILED)
        run_give_up(folder);
    else
        run_close(folder);
}

const search_method *search_method_find(const char *name)
{
#define ROW(name, selects, order, rule) {name, selects, order, rule},
    static const search_method methods[] = {SEARCH_METHODS(ROW)};
#undef ROW
    for (size_t i = 0; name && i < COUNT(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

/* ---- search ------------------------------------------------------------------------------------------------------ */

bool session_mixes(const space *of, const runnable *network, nasc_diag *d)
{
    return (network->program->slot_size[SLOT_MIX] > 0 && network->program->selects == 0) ||
           diag_fail(d, DIAG_INPUT, space_name(of), "has choices that DARTS cannot learn, or none (combine: mix)");
}

bool session_supernet(session *s, const search_job *job, supernet *n, nasc_diag *d)
{
    bool nesterov = settings_int(&job->settings, SETTING_nesterov) != 0;
    const settings *set = &job->settings;
    darts_programs *p = &n->programs;
    if (!session_network(s, job->space, set, USE_WEIGHTS, NULL, &n->weights, &p->weights, d))
        return false;
    const net *model = n->weights.built.net;
    bool ok = session_mixes(job->space, &p->weights, d);
    if (job->method->order == DARTS_REINFORCE)
        ok = ok && session_network(s, job->space, set, USE_FORWARD, model, &n->other, &p->forward, d);
    else
        ok = ok && session_network(s, job->space, set, USE_MIX, model, &n->other, &p->mix, d);
    if (job->method->order == DARTS_SECOND)
        ok = ok && session_network(s, job->space, set, USE_BOTH, model, &n->other, &p->both, d);
    for (int m = 0; ok && m < METHOD_COUNT; m++)
        ok = session_method(s, model, m, nesterov, &p->method[m], d);
    return ok;
}

darts_settings session_darts_settings(const search_job *job)
{
    const settings *set = &job->settings;
    return (darts_settings){.order = job->method->order,
                            .batch = (int)settings_int(set, SETTING_batch),
                            .epochs = (int)settings_int(set, SETTING_epochs),
                            .steps = (int)settings_int(set, SETTING_steps),
                            .alpha_every = (int)settings_int(set, SETTING_alpha_every),
                            .warmup_epochs = (int)settings_int(set, SETTING_warmup_epochs),
                            .checkpoint_steps = job->checkpoint_steps,
                            .lr_by_step = session_lr_by_step(set),
                            .lr_min = settings_number(set, SETTING_lr_min),
                            .weights = session_weight_rates(set),
                            .alphas = session_alpha_rates(set),
                            .augment = session_augment(set),
                            .seed = job->seed};
}

int64_t session_alpha_place(const parameters *p, const space_choice *c)
{
    for (int i = 0; i < p->count; i++)
        if (p->at[i].slot == SLOT_MIX && strcmp(p->at[i].name, c->alpha) == 0)
            return p->at[i].offset;
    BUG("alpha %s", c->alpha);
}

char *session_derive(arena *a, const space *of, const space_net *built, const parameters *p, const float *alphas,
                     nasc_diag *d)
{
    const float **rows = NEW_ARRAY(a, const float *, built->choice_count + 1);
    for (int c = 0; c < built->choice_count; c++)
        rows[c] = alphas + session_alpha_place(p, &built->choices[c]);
    return space_derive(of, built, rows, space_name(of), a, d);
}

/* Of the network that session_derive makes of a space which selects. */
static double cost_of_found(const costs *by, const space *of, const space_net *built, const parameters *p,
                            const float *alphas)
{
    double cost = by->fixed;
    for (int i = 0; i < built->choice_count; i++) {
        const space_choice *c = &built->choices[i];
        int64_t place = session_alpha_place(p, c);
        for (int row = 0; row < c->rows; row++)
            cost += by->of[place + (int64_t)row * c->columns + space_strongest(of, c, alphas + place, row)];
    }
    return cost;
}

static enum run_end search_mixtures(session *s, const search_job *job, supernet *n, run_folder *folder,
                                    const float **alphas, nasc_diag *d)
{
    darts_config config = {.programs = &n->programs,
                           .data = job->data,
                           .settings = session_darts_settings(job),
                           .device = s->device,
                           .folder = folder,
                           .progress = &s->progress};
    if (!session_supernet(s, job, n, d))
        return RUN_FAILED;
    config.parameters = session_parameters(n->weights.built.net);
    darts *search = darts_open(s->arena, &config, d);
    if (!search || (job->resume && !darts_resume(search, d)))
        return RUN_FAILED;
    enum run_end end = darts_search(search, d);
    *alphas = search->alphas.value;
    return end;
}

static enum run_end search_in(session *s, const search_job *job, run_folder *folder, search_result *found, nasc_diag *d)
{
    const float *alphas = NULL;
    supernet *mixed = NEW(s->arena, supernet);
    path_supernet *paths = NEW(s->arena, path_supernet);
    enum run_end end = job->method->selects ? session_search_paths(s, job, paths, folder, &alphas, d)
                                            : search_mixtures(s, job, mixed, folder, &alphas, d);
    if (end != RUN_DONE)
        return end;
    const space_net *built = job->method->selects ? &paths->weights.built : &mixed->weights.built;
    parameters p = session_parameters(built->net);
    char path[RUN_PATH + 64];
    alphas = session_found(s->arena, job->space, &job->settings, built, job->costs, job->target, alphas);
    char *text = session_derive(s->arena, job->space, built, &p, alphas, d);
    *found = (search_result){.genotype = text};
    if (text && job->costs)
        found->cost = cost_of_found(job->costs, job->space, built, &p, alphas);
    bool ok = text && file_replace(run_file(job->folder, "genotype.json", path), text, strlen(text), d);
    return ok ? RUN_DONE : RUN_FAILED;
}

enum run_end session_search(session *s, const search_job *job, search_result *found, nasc_diag *d)
{
    run_folder folder;
    if (!open_folder(&folder, job->folder, job->resume, job->record, d))
        return RUN_FAILED;
    enum run_end end = search_in(s, job, &folder, found, d);
    close_folder(&folder, end);
    return end;
}

/* ---- train ------------------------------------------------------------------------------------------------------- */

static train_settings train_settings_of(const train_job *job)
{
    const settings *set = &job->settings;
    return (train_settings){.batch = (int)settings_int(set, SETTING_batch),
                            .epochs = (int)settings_int(set, SETTING_epochs),
                            .steps = (int)settings_int(set, SETTING_steps),
                            .checkpoint_steps = job->checkpoint_steps,
                            .lr_by_step = session_lr_by_step(set),
                            .lr_min = settings_number(set, SETTING_lr_min),
                            .drop_path = settings_number(set, SETTING_drop_path),
                            .weights = session_weight_rates(set),
                            .augment = session_augment(set),
                            .seed = job->seed};
}

static enum run_end train_in(session *s, const train_job *job, run_folder *folder, double *accuracy, nasc_diag *d)
{
    objective *weights = NEW(s->arena, objective), *eval = NEW(s->arena, objective);
    train_programs *programs = NEW(s->arena, train_programs);
    const settings *set = &job->settings;
    bool nesterov = settings_int(set, SETTING_nesterov) != 0;
    if (!session_network(s, job->genotype, set, USE_WEIGHTS, NULL, weights, &programs->weights, d) ||
        !session_network(s, job->genotype, set, USE_EVAL, weights->built.net, eval, &programs->eval, d) ||
        !session_method(s, weights->built.net, METHOD_sgd, nesterov, &programs->sgd, d))
        return RUN_FAILED;
    train_config config = {.programs = programs,
                           .parameters = session_parameters(weights->built.net),
                           .data = job->data,
                           .learn = job->learn,
                           .judge = job->judge,
                           .settings = train_settings_of(job),
                           .device = s->device,
                           .folder = folder,
                           .progress = &s->progress};
    train *t = train_open(s->arena, &config, d);
    if (!t || (job->resume && !train_resume(t, d)))
        return RUN_FAILED;
    enum run_end end = train_run(t, d);
    *accuracy = t->accuracy;
    return end;
}

enum run_end session_train(session *s, const train_job *job, double *accuracy, nasc_diag *d)
{
    run_folder folder;
    if (!open_folder(&folder, job->folder, job->resume, job->record, d))
        return RUN_FAILED;
    enum run_end end = train_in(s, job, &folder, accuracy, d);
    close_folder(&folder, end);
    return end;
}
