/* run.json, and runs as it has them. */
#include "record.h"
#include "front.h"
#include "latency.h"
#include "space/json.h"
#include "runtime/run_folder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "run.json";

enum { FORMAT = 1 };

bool record_exists(const char *path)
{
    char file[RUN_PATH + 64];
    return access(run_file(path, file_name, file), F_OK) == 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

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
    json_t *run = json_pack("{si ss ss* ss* so* sO* sI sI sI sI ss ss* ss* so* so}", "format", FORMAT, "command",
                            r->command, "method", r->method, "cost", r->cost, "targets", targets, "latency", r->latency,
                            "seed", (json_int_t)r->seed, "runs", (json_int_t)r->runs, "checkpoint_steps",
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

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void expected_at(reader *in, const json_t *run, const char *key, const char *expected)
{
    size_t mark;
    read_expected(in, read_at(in, run, key, &mark), expected);
    read_leave(in, mark);
}

/* NULL where there is none. */
static const char *optional_text_at(reader *in, const json_t *run, const char *key, const char *expected)
{
    return json_object_get(run, key) ? read_string_at(in, run, key, expected) : NULL;
}

static int64_t optional_integer_at(reader *in, const json_t *run, const char *key, int64_t low, int64_t high)
{
    return json_object_get(run, key) ? read_integer_at(in, run, key, low, high) : low;
}

static void settings_read(reader *in, const json_t *run, settings *set)
{
    size_t mark;
    const json_t *all = read_object(in, read_at(in, run, "settings", &mark), NULL, 0);
    for (member m = {0}; read_member(in, all, &m);) {
        const char *given = json_string_value(m.value);
        char *text = given ? NULL : json_dumps(m.value, JSON_ENCODE_ANY);
        if (!given && !text)
            arena_unwind(in->arena);
        settings_set(set, m.name, given ? given : text, read_where(in), in->diag);
        free(text);
    }
    read_leave(in, mark);
}

static void targets_read(reader *in, const json_t *run, numbers *to)
{
    size_t mark;
    const json_t *all = read_array(in, read_at(in, run, "targets", &mark), "a list of numbers");
    if (all && json_array_size(all) == 0)
        read_expected(in, all, "a list of numbers");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        size_t inner = read_enter_index(in, i);
        if (!json_is_number(one) || !numbers_add(to, json_number_value(one)))
            read_expected(in, one, "a number above 0 and above the one before it, one of at most 16");
        read_leave(in, inner);
    }
    read_leave(in, mark);
}

/* Cost, targets and method of a search, or of the training that judges what it found. */
static void search_read(reader *in, const json_t *run, record *r)
{
    r->method = read_string_at(in, run, "method", "a method");
    if (!search_method_find(r->method))
        expected_at(in, run, "method", "a method that this nasc knows");
    r->cost = optional_text_at(in, run, "cost", "a cost");
    if (r->cost && !cost_find(r->cost))
        expected_at(in, run, "cost", "a cost that this nasc knows");
    if (r->cost)
        targets_read(in, run, &r->targets);
    r->latency = json_object_get(run, "latency");
}

static void fields_read(reader *in, const json_t *run, const char *command, record *r)
{
    static const char *const precisions[] = {"float32", "tf32"};
    if (!read_object(in, run, NULL, 0))
        return;
    read_format(in, run, FORMAT);
    r->command = read_string_at(in, run, "command", "a command");
    if (strcmp(command, r->command) != 0)
        expected_at(in, run, "command", arena_printf(in->arena, "\"%s\"", command));
    r->data = read_string_at(in, run, "data", "KIND:PATH");
    r->files = optional_text_at(in, run, "files", "a hash");
    r->seed = read_integer_at(in, run, "seed", 0, SEED_MOST + SEARCHES_MOST);
    r->data_seed = optional_integer_at(in, run, "data_seed", 0, SEED_MOST);
    r->runs = optional_integer_at(in, run, "runs", 1, SEARCHES_MOST);
    r->checkpoint_steps = read_integer_at(in, run, "checkpoint_steps", 1, STEPS_MOST);
    if (json_object_get(run, "cudnn"))
        r->cudnn = precisions[read_word_at(in, run, "cudnn", precisions, COUNT(precisions), -1)];
    if (strcmp(command, "search") == 0)
        search_read(in, run, r);
}

static bool space_of(const json_t *run, const char *file, space **of, arena *a, nasc_diag *d)
{
    char *text = json_dumps(json_object_get(run, "space"), JSON_ENCODE_ANY);
    if (!text)
        return diag_memory(d);
    *of = space_parse(text, strlen(text), arena_printf(a, "%s, \"space\"", file), d);
    free(text);
    return *of != NULL;
}

json_t *record_read(const char *folder, const char *command, record *r, space **of, settings *set, arena *a,
                    nasc_diag *d)
{
    char file[RUN_PATH + 64];
    *r = (record){0};
    json_t *run = json_file_read(run_file(folder, file_name, file), d);
    reader in = {.arena = a, .file = file, .diag = d};
    if (!run)
        return NULL;
    fields_read(&in, run, command, r);
    settings_defaults(set, SETTINGS_DARTS);
    settings_read(&in, run, set);
    if (d->kind == DIAG_NONE && space_of(run, file, of, a, d))
        return run;
    json_decref(run);
    return NULL;
}

bool record_settings(const char *file, settings *set, arena *a, nasc_diag *d)
{
    json_t *run = json_file_read(file, d);
    reader in = {.arena = a, .file = file, .diag = d};
    if (run && read_object(&in, run, NULL, 0)) {
        read_format(&in, run, FORMAT);
        settings_read(&in, run, set);
    }
    json_decref(run);
    return d->kind == DIAG_NONE;
}

bool record_costs(const record *r, const space_net *built, const char *folder, arena *a, costs *c, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    int64_t candidates = built->net->slot_size[SLOT_MIX];
    if (strcmp(r->cost, "latency") == 0)
        return latency_costs_read(r->latency, candidates, run_file(folder, file_name, file), a, c, d);
    *c = costs_of(a, built->net, strcmp(r->cost, "params") == 0 ? COST_PARAMS : COST_MACS);
    return true;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static bool request_new(run_request *r, const record *like, bool genotype, nasc_diag *d)
{
    const run_arguments *a = r->arguments;
    const char *operand = a->common.operand_count == 1 ? a->common.operand[0] : NULL;
    model m;
    if (!operand || !a->data)
        return diag_fail(d, DIAG_USAGE, like->command, "%s and --data are needed, or --resume",
                         genotype ? "GENOTYPE" : "SPACE");
    bool ok = model_open(&m, &a->common, operand, d);
    if (ok && genotype != m.genotype)
        ok = diag_fail(d, DIAG_INPUT, operand,
                       genotype ? "is a space: its choices are still to be made (nasc search)"
                                : "is a genotype: every choice is made");
    if (ok && a->config) /* below --set: once more from the start */
        ok = record_settings(a->config, &m.settings, r->session.arena, d) && model_settings(&m.settings, &a->common, d);
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
        return diag_fail(d, DIAG_USAGE, "--resume", "takes everything from run.json; no other setting may be given");
    r->run = record_read(a->out, like->command, &r->record, &r->of, &r->settings, r->session.arena, d);
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
