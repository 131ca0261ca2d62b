/* run.json, and runs as it has them. */
#include "record.h"
#include "front.h"
#include "latency.h"
#include "runtime/json_text.h"
#include "runtime/run_folder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "run.json";

bool record_exists(const char *path)
{
    char file[RUN_PATH + 64];
    return access(run_file(path, file_name, file), F_OK) == 0;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

/* Numbers as numbers, exactly as they were given. */
static json_t *setting_json(const setting_value *v, enum setting_type type)
{
    json_t *number = type == SETTING_TEXT ? NULL : json_loads(v->text, JSON_DECODE_ANY, NULL);
    return number ? number : json_string(v->text);
}

static json_t *numbers_json(const numbers *n)
{
    json_t *all = json_array();
    for (int i = 0; i < n->count; i++)
        json_array_append_new(all, run_number(n->at[i]));
    return all;
}

json_t *record_new(const record *r, const space *of, const settings *set, arena *a, nasc_diag *d)
{
    const char *text = space_text(of, a);
    json_t *all = json_object();
    bool ok = all != NULL;
    for (int i = 0; ok && i < SETTING_COUNT; i++)
        ok = !json_object_set_new(all, setting_table[i].name, setting_json(&set->at[i], setting_table[i].type));
    json_t *targets = r->cost ? numbers_json(&r->targets) : NULL;
    json_t *run = json_pack("{si ss ss* ss* so* sO* sI sI sI sI ss ss* ss* so* so}", "format", 1, "command", r->command,
                            "method", r->method, "cost", r->cost, "targets", targets, "latency", r->latency, "seed",
                            (json_int_t)r->seed, "runs", (json_int_t)r->runs, "checkpoint_steps",
                            (json_int_t)r->checkpoint_steps, "data_seed", (json_int_t)r->data_seed, "data", r->data,
                            "files", r->files, "cudnn", r->cudnn, "settings", all, "space", json_loads(text, 0, NULL));
    if (!run || !ok) {
        json_decref(run);
        diag_memory(d);
        return NULL;
    }
    return run;
}

bool record_images(json_t *run, const dataset *data, nasc_diag *d)
{
    json_t *mean = json_array(), *std = json_array(), *classes = data->class_names ? json_array() : NULL;
    for (int c = 0; c < data->c; c++) {
        json_array_append_new(mean, json_real((double)data->mean[c]));
        json_array_append_new(std, json_real((double)data->std[c]));
    }
    for (int k = 0; classes && k < data->classes; k++)
        json_array_append_new(classes, json_string(data->class_names[k]));
    json_t *images = json_pack("{so so so*}", "mean", mean, "std", std, "classes", classes);
    return (images && json_object_set_new(run, "images", images) == 0) || diag_memory(d);
}

bool record_result(const char *folder, json_t *run, json_t *result, nasc_diag *d)
{
    if (!result || json_object_set_new(run, "result", result) < 0)
        return diag_memory(d);
    return run_write_json(folder, file_name, run, d);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static bool settings_read(const json_t *from, const char *where, settings *set, nasc_diag *d)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)from, name, value)
    {
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
        bool ok = text ? settings_set(set, name, text, where, d) : diag_memory(d);
        free(text);
        if (!ok)
            return false;
    }
    return true;
}

static bool numbers_read(const json_t *from, numbers *to)
{
    size_t i;
    json_t *one;
    json_array_foreach(from, i, one) if (!json_is_number(one) || !numbers_add(to, json_number_value(one))) return false;
    return true;
}

static bool space_of(const json_t *run, const char *where, space **of, nasc_diag *d)
{
    char *text = json_dumps(json_object_get(run, "space"), 0);
    if (!text)
        return diag_memory(d);
    *of = space_parse(text, strlen(text), where, d);
    free(text);
    return *of != NULL;
}

json_t *record_read(const char *folder, const char *command, record *r, space **of, settings *set, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    *r = (record){0};
    run_file(folder, file_name, file);
    json_t *run = json_file_read(file, d);
    json_int_t seed = 0, runs = 1, steps = 0, data_seed = 0;
    json_t *targets = NULL;
    int format = 0;
    if (!run)
        return NULL;
    bool ok = json_unpack(run, "{si ss s?s s?s s?o s?o sI s?I s?I sI ss s?s s?s so so}", "format", &format, "command",
                          &r->command, "method", &r->method, "cost", &r->cost, "targets", &targets, "latency",
                          &r->latency, "seed", &seed, "runs", &runs, "checkpoint_steps", &steps, "data_seed",
                          &data_seed, "data", &r->data, "files", &r->files, "cudnn", &r->cudnn, "settings",
                          &(json_t *){NULL}, "space", &(json_t *){NULL}) == 0;
    ok = ok && runs >= 1 && steps >= 0 && numbers_read(targets, &r->targets) && (!r->cost || r->targets.count > 0);
    r->seed = seed;
    r->runs = runs;
    r->data_seed = data_seed;
    r->checkpoint_steps = steps;
    if (!ok || format != 1)
        ok = diag_fail(d, DIAG_INPUT, file, "is not the record of a run that this version of nasc can read");
    if (ok && r->cost && !cost_find(r->cost))
        ok = diag_fail(d, DIAG_INPUT, folder, "has the cost '%s', which this nasc does not know", r->cost);
    if (ok && command && strcmp(command, r->command) != 0)
        ok = diag_fail(d, DIAG_INPUT, file, "is the record of a %s, expected one of a %s", r->command, command);
    if (ok && set) {
        settings_defaults(set, SETTINGS_DARTS);
        ok = settings_read(json_object_get(run, "settings"), file, set, d);
    }
    if (ok && of)
        ok = space_of(run, file, of, d);
    if (!ok) {
        json_decref(run);
        return NULL;
    }
    return run;
}

bool record_settings(const char *file, settings *set, nasc_diag *d)
{
    json_t *run = json_file_read(file, d);
    if (!run)
        return false;
    json_t *values = json_object_get(run, "settings");
    bool ok = values ? settings_read(values, file, set, d) : diag_fail(d, DIAG_INPUT, file, "has no \"settings\"");
    json_decref(run);
    return ok;
}

bool record_costs(const record *r, const space_net *built, const char *folder, arena *a, costs *c, nasc_diag *d)
{
    int64_t candidates = built->net->slot_size[SLOT_MIX];
    if (strcmp(r->cost, "latency") != 0) {
        *c = costs_of(a, built->net, strcmp(r->cost, "params") == 0 ? COST_PARAMS : COST_MACS);
        return true;
    }
    bool ok = latency_costs_read(r->latency, a, c) && c->count == candidates;
    return ok || diag_fail(d, DIAG_INPUT, folder, "has latencies of %lld candidates, its space has %lld",
                           (long long)c->count, (long long)candidates);
}

/* ---- runs ------------------------------------------------------------------------------------------------ */

static bool request_new(run_request *r, const record *like, bool genotype, nasc_diag *d)
{
    const run_arguments *a = r->arguments;
    const char *operand = a->common.operand_count == 1 ? a->common.operand[0] : NULL;
    model m;
    if (!operand || !a->data)
        return diag_fail(d, DIAG_INPUT, like->command, "%s and --data are needed, or --resume",
                         genotype ? "GENOTYPE" : "SPACE");
    bool ok = model_open(&m, &a->common, operand, d);
    if (ok && genotype != m.genotype)
        ok = diag_fail(d, DIAG_INPUT, operand,
                       genotype ? "is a space: its choices are still to be made (nasc search)"
                                : "is a genotype: every choice is made");
    if (ok && a->config) /* below --set: once more from the start */
        ok = record_settings(a->config, &m.settings, d) && model_settings(&m.settings, &a->common, d);
    r->of = m.space;
    r->settings = m.settings;
    r->record = *like;
    r->record.data = a->data;
    r->record.cudnn = a->common.cudnn;
    r->record.seed = r->record.data_seed = a->common.seed;
    r->record.checkpoint_steps = a->checkpoint_steps ? a->checkpoint_steps : 100;
    return ok;
}

static bool request_again(run_request *r, const record *like, bool more, nasc_diag *d)
{
    const run_arguments *a = r->arguments;
    if (a->common.operand_count || a->common.settings.count || a->data || a->config || a->common.seed ||
        a->checkpoint_steps || a->common.cudnn || more)
        return diag_fail(d, DIAG_INPUT, "--resume", "takes everything from run.json; no other setting may be given");
    r->run = record_read(a->out, like->command, &r->record, &r->of, &r->settings, d);
    return r->run && session_use_cudnn(&r->session, r->record.cudnn, d);
}

/* A new run records what its image files are; one that goes on is to find them so. */
static bool check_files(run_request *r, nasc_diag *d)
{
    uint64_t now = data_fingerprint(r->data);
    const char *text = now ? arena_printf(r->session.arena, "%016" PRIx64, now) : NULL;
    if (!r->run)
        r->record.files = text;
    return !text || !r->record.files || strcmp(text, r->record.files) == 0 ||
           diag_fail(d, DIAG_INPUT, r->record.data,
                     "its images are not those that the run began with (names, sizes or times of change): begin anew, "
                     "or, to go on with these, remove \"files\" from %s/run.json",
                     r->arguments->out);
}

bool request_open(run_request *r, const run_arguments *a, const record *like, bool genotype, bool more, nasc_diag *d)
{
    *r = (run_request){.arguments = a};
    if (!session_open(&r->session, &a->common, a->engine, d) ||
        !(a->resume ? request_again(r, like, more, d) : request_new(r, like, genotype, d)))
        return false;
    r->data = session_data(&r->session, r->record.data, (uint64_t)r->record.data_seed, &r->settings, d);
    return r->data && check_files(r, d);
}

bool request_record(run_request *r, nasc_diag *d)
{
    if (!r->run)
        r->run = record_new(&r->record, r->of, &r->settings, r->session.arena, d);
    return r->run != NULL;
}

enum exit_code request_close(run_request *r, enum run_end end)
{
    session_close(&r->session);
    json_decref(r->run);
    if (r->of)
        space_free(r->of);
    r->run = NULL;
    r->of = NULL;
    return end == RUN_DONE ? EXIT_DONE : end == RUN_STOPPED ? EXIT_INTERRUPTED : EXIT_FAILED;
}
