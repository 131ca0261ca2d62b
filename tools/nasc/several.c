/* Several searches in one run: one for each target and seed. What each finds is trained for a few epochs on the part of
 * the training images that the weights learned from and scored on the part that was held out, so that they can be
 * compared. Each search and each training is a run of its own, below RUN; one that is there goes on where it stands. */
#include "several.h"

#include <inttypes.h>
#include <string.h>

search_job search_job_of(const run_request *s, const char *folder, bool resume, const record *r)
{
    const cost_row *cost = cost_find(r->cost);
    search_job job = {.space = s->of,
                      .settings = s->settings,
                      .data = s->data,
                      .seed = (uint64_t)r->seed,
                      .checkpoint_steps = (int)r->checkpoint_steps,
                      .folder = folder,
                      .resume = resume,
                      .record = s->run,
                      .method = search_method_find(r->method),
                      .costs = s->costs,
                      .target = cost ? r->targets.at[0] : 0,
                      .cost_unit = cost ? cost->loss_unit : 1};
    return job;
}

/* The search of one target and one seed, on the data of all. */
static record record_at(const run_request *s, int64_t number)
{
    record one = s->record;
    one.seed += number % s->record.runs;
    one.runs = 1;
    if (one.targets.count > 0)
        one.targets = (numbers){{s->record.targets.at[number / s->record.runs]}, 1};
    return one;
}

const char *several_folder(arena *a, const record *all, int64_t number)
{
    const char *run = arena_printf(a, "run-%" PRId64, number % all->runs);
    if (all->targets.count <= 1)
        return run;
    const char *target = arena_printf(a, "target-%.15g", all->targets.at[number / all->runs]);
    return all->runs > 1 ? arena_printf(a, "%s/%s", target, run) : target;
}

/* ---- the search, and what is made of what it found --------------------------------------------------------------- */

static enum run_end search_one(run_request *s, const char *folder, const record *r, search_result *found, nasc_diag *d)
{
    search_job job = search_job_of(s, folder, record_exists(folder), r);
    json_t *run = record_new(r, s->of, &s->settings, s->session.arena, d);
    job.record = run;
    enum run_end end = run ? session_search(&s->session, &job, found, d) : RUN_FAILED;
    json_decref(run);
    return end;
}

/* Settings of a short training: the genotype's own, but as large as the search's network, so that it costs no more, and
 * without what only long trainings need. */
static void judge_settings(const run_request *s, const space *genotype, settings *set)
{
    static const enum setting_id like_search[] = {SETTING_channels, SETTING_cells,   SETTING_batch, SETTING_stem,
                                                  SETTING_input,    SETTING_classes, SETTING_steps};
    static const enum setting_id none[] = {SETTING_auxiliary, SETTING_drop_path, SETTING_dropout, SETTING_cutout};
    settings plain;
    settings_defaults(&plain, SETTINGS_TRAIN);
    settings_defaults(set, SETTINGS_TRAIN);
    settings_from_space(set, genotype);
    if (data_takes_size(s->record.data))
        settings_for_images(set);
    for (size_t i = 0; i < COUNT(like_search); i++)
        set->at[like_search[i]] = s->settings.at[like_search[i]];
    for (size_t i = 0; i < COUNT(none); i++)
        set->at[none[i]] = plain.at[none[i]];
    set->at[SETTING_epochs] = s->settings.at[SETTING_select_epochs];
}

static enum run_end judge(run_request *s, const char *folder, const char *genotype, const record *of_search,
                          double *accuracy, nasc_diag *d)
{
    uint32_t count = (uint32_t)s->data->train.count;
    uint32_t learn = count - data_held_out(count, settings_number(&s->settings, SETTING_held_out));
    uint32_t *split = NEW_ARRAY(s->session.arena, uint32_t, count);
    space *of = space_parse(genotype, strlen(genotype), folder, d);
    if (!of)
        return RUN_FAILED;
    record r = *of_search;
    r.command = "select";
    data_split(count, (uint64_t)r.seed, split);
    train_job job = {.genotype = of,
                     .data = s->data,
                     .learn = {&s->data->train, split, learn},
                     .judge = {&s->data->train, split + learn, count - learn},
                     .seed = (uint64_t)r.seed,
                     .checkpoint_steps = (int)r.checkpoint_steps,
                     .folder = folder,
                     .resume = record_exists(folder)};
    judge_settings(s, of, &job.settings);
    json_t *run = record_new(&r, of, &job.settings, s->session.arena, d);
    job.record = run;
    enum run_end end = run ? session_train(&s->session, &job, accuracy, d) : RUN_FAILED;
    json_decref(run);
    space_free(of);
    return end;
}

static enum run_end find_point(run_request *s, int64_t number, front_point *to, nasc_diag *d)
{
    arena *a = s->session.arena;
    record r = record_at(s, number);
    search_result found = {0};
    *to = (front_point){.folder = several_folder(a, &s->record, number), .seed = r.seed};
    const char *folder = arena_printf(a, "%s/%s", s->arguments->out, to->folder);
    enum run_end end = search_one(s, folder, &r, &found, d);
    if (end != RUN_DONE)
        return end;
    to->genotype = found.genotype;
    to->target = r.targets.at[0];
    to->cost = found.cost;
    return judge(s, arena_printf(a, "%s/train", folder), found.genotype, &r, &to->accuracy, d);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

int64_t several_count(const record *r)
{
    return r->runs * (r->targets.count > 1 ? r->targets.count : 1);
}

static bool write_front(const run_request *s, const front *f, nasc_diag *d)
{
    char path[RUN_PATH + 64];
    const char *out = s->arguments->out, *best = front_best(f)->genotype;
    if (!file_replace(run_file(out, "genotype.json", path), best, strlen(best), d))
        return false;
    if (!f->cost)
        return true;
    text picture = front_draw(f, s->session.arena);
    return file_replace(run_file(out, "pareto.svg", path), picture.at, picture.length, d);
}

static enum run_end search_each(run_request *s, front *f, nasc_diag *d)
{
    for (; f->count < several_count(&s->record); f->count++) {
        enum run_end end = find_point(s, f->count, &f->at[f->count], d);
        if (end != RUN_DONE)
            return end;
    }
    front_mark(f);
    return write_front(s, f, d) ? RUN_DONE : RUN_FAILED;
}

/* Whether the first of the searches has a folder: one that was refused has none. */
static bool has_begun(const run_request *s)
{
    arena *a = s->session.arena;
    return record_exists(arena_printf(a, "%s/%s", s->arguments->out, several_folder(a, &s->record, 0)));
}

enum run_end search_several(run_request *s, front *f, nasc_diag *d)
{
    const char *out = s->arguments->out;
    const record *r = &s->record;
    run_folder folder;
    *f = (front){.name = arena_strdup(s->session.arena, space_name(s->of)),
                 .cost = cost_find(r->cost),
                 .several_targets = r->targets.count > 1,
                 .several_seeds = r->runs > 1,
                 .at = NEW_ARRAY(s->session.arena, front_point, several_count(r))};
    if (!(s->arguments->resume ? run_resume(&folder, out, d) : run_create(&folder, out, d)))
        return RUN_FAILED;
    bool ok = s->arguments->resume || run_write_json(out, "run.json", s->run, d);
    enum run_end end = ok ? search_each(s, f, d) : RUN_FAILED;
    if (end == RUN_FAILED && f->count == 0 && !has_begun(s))
        run_give_up(&folder);
    else
        run_close(&folder);
    return end;
}
