/* nasc search: a space in, a genotype out. Several runs: each seed's genotype is trained for a few epochs on the part
 * that the weights learned from, and the one that does best on the part that was held out is kept. */
#include "latency.h"
#include "record.h"

#include <inttypes.h>
#include <string.h>

typedef struct search_arguments {
    run_arguments common;
    const char *method, *cost, *latency;
    int64_t runs, memory, target;
    double target_ms;
} search_arguments;

/* ---- what is searched -----------------------------------------------------------------------------------------------
 */

static bool is_latency(const record *r)
{
    return r->cost && strcmp(r->cost, "latency") == 0;
}

/* What one option says and the others do not. */
static bool check_cost(const search_arguments *a, const record *r, const search_method *m, nasc_diag *d)
{
    if (!r->cost && (a->target_ms || a->latency))
        return diag_fail(d, DIAG_INPUT, a->latency ? "--latency" : "--target-ms", "goes with --cost latency");
    if (!r->cost)
        return !a->target || diag_fail(d, DIAG_INPUT, "--target-cost", "says how much, --cost of what: give both");
    if (!m->selects)
        return diag_fail(d, DIAG_INPUT, "--cost", "is for the methods of spaces that select candidates, not for %s",
                         m->name);
    if (is_latency(r))
        return (r->target_ms > 0 && !r->target) ||
               diag_fail(d, DIAG_INPUT, "--cost", "latency needs a target: --target-ms N, and no other");
    if (a->target_ms || a->latency)
        return diag_fail(d, DIAG_INPUT, a->latency ? "--latency" : "--target-ms", "goes with --cost latency");
    return r->target > 0 || diag_fail(d, DIAG_INPUT, "--cost", "needs a target: --target-cost N");
}

/* What candidates take by the table, into the record of a new run: the run needs no table from then on. */
static bool take_latency(run_request *s, const search_arguments *a, nasc_diag *d)
{
    costs c;
    if (!is_latency(&s->record) || s->run)
        return request_record(s, d);
    if (!a->latency)
        return diag_fail(d, DIAG_INPUT, "--cost", "latency needs what nasc latency measured: --latency TABLE");
    if (!latency_costs_of(&s->session, s->of, &s->settings, a->latency, &c, d))
        return false;
    if (s->record.target_ms < c.least)
        return diag_fail(d, DIAG_INPUT, "--target-ms", "%g is below the %.4g ms that the fastest network of %s takes",
                         s->record.target_ms, c.least, space_name(s->of));
    json_t *latency = s->record.latency = latency_costs_json(&c);
    bool ok = request_record(s, d);
    json_decref(latency);
    return ok;
}

static bool ask(run_request *s, const search_arguments *a, nasc_diag *d)
{
    record like = {.command = "search",
                   .method = a->method,
                   .runs = a->runs ? a->runs : 1,
                   .cost = a->cost,
                   .target = a->target,
                   .target_ms = a->target_ms};
    bool more = a->method || a->runs || a->cost || a->target || a->latency || a->target_ms > 0;
    if (!request_open(s, &a->common, &like, false, more, d))
        return false;
    bool selects = space_selects(s->of);
    if (!s->record.method && !a->common.resume)
        s->record.method = selects ? "proxyless" : "darts-2nd";
    const search_method *m = search_method_find(s->record.method);
    if (!m)
        return diag_fail(d, DIAG_INPUT, a->common.out, "was searched by '%s', a method that this nasc does not know",
                         s->record.method ? s->record.method : "");
    if (m->selects != selects)
        return diag_fail(d, DIAG_INPUT, space_name(s->of), "has choices that %s cannot learn (combine: %s)", m->name,
                         selects ? "select" : "mix");
    if (!selects && settings_number(&s->settings, SETTING_held_out) != 0.5)
        return diag_fail(d, DIAG_INPUT, "held_out",
                         "found %s, expected 0.5: %s learns alpha on one half, weights on the other",
                         settings_text(&s->settings, SETTING_held_out), m->name);
    s->session.memory = a->memory;
    return check_cost(a, &s->record, m, d) && take_latency(s, a, d);
}

/* ---- one run, and several
 * ---------------------------------------------------------------------------------------------- */

static search_job job_of(const run_request *s, const char *folder, bool resume, uint64_t seed)
{
    search_job job = {.space = s->of,
                      .settings = s->settings,
                      .data = s->data,
                      .seed = seed,
                      .checkpoint_steps = (int)s->record.checkpoint_steps,
                      .folder = folder,
                      .resume = resume,
                      .record = s->run,
                      .method = search_method_find(s->record.method),
                      .cost = s->record.cost,
                      .target = is_latency(&s->record) ? s->record.target_ms : (double)s->record.target / 1e3,
                      .latency = latency_costs_read(s->record.latency, s->session.arena)};
    return job;
}

/* run.json of one of several runs: with its own seed, on the data of all. */
static json_t *record_of(const run_request *s, const char *command, const space *of, const settings *set, uint64_t seed,
                         nasc_diag *d)
{
    record r = s->record;
    r.command = command;
    r.seed = (int64_t)seed;
    r.runs = 1;
    return record_new(&r, of, set, s->session.arena, d);
}

/* A short training of what one seed found: as large as the search's network, so that it costs no more; judged on what
 * the search held out. */
static enum run_end judge(run_request *s, const char *folder, const char *genotype, uint64_t seed, double *accuracy,
                          nasc_diag *d)
{
    static const enum setting_id like_search[] = {SETTING_channels, SETTING_cells,   SETTING_batch, SETTING_stem,
                                                  SETTING_input,    SETTING_classes, SETTING_steps};
    uint32_t count = (uint32_t)s->data->train.count;
    uint32_t learn = count - data_held_out(count, settings_number(&s->settings, SETTING_held_out));
    uint32_t *split = NEW_ARRAY(s->session.arena, uint32_t, count);
    space *of = space_parse(genotype, strlen(genotype), folder, d);
    if (!of)
        return RUN_FAILED;
    data_split(count, seed, split);
    train_job job = {.genotype = of,
                     .data = s->data,
                     .learn = {&s->data->train, split, learn},
                     .judge = {&s->data->train, split + learn, count - learn},
                     .seed = seed,
                     .checkpoint_steps = (int)s->record.checkpoint_steps,
                     .folder = folder,
                     .resume = record_exists(folder)};
    settings_defaults(&job.settings, SETTINGS_TRAIN);
    if (data_takes_size(s->record.data))
        settings_for_images(&job.settings);
    for (size_t i = 0; i < COUNT(like_search); i++)
        job.settings.at[like_search[i]] = s->settings.at[like_search[i]];
    job.settings.at[SETTING_epochs] = s->settings.at[SETTING_select_epochs];
    json_t *record = record_of(s, "select", of, &job.settings, seed, d);
    job.record = record;
    enum run_end end = record ? session_train(&s->session, &job, accuracy, d) : RUN_FAILED;
    json_decref(record);
    space_free(of);
    return end;
}

/* The search of one of several seeds. */
static enum run_end search_one(run_request *s, const char *folder, uint64_t seed, search_result *found, nasc_diag *d)
{
    search_job job = job_of(s, folder, record_exists(folder), seed);
    json_t *record = record_of(s, "search", s->of, &s->settings, seed, d);
    job.record = record;
    enum run_end end = record ? session_search(&s->session, &job, found, d) : RUN_FAILED;
    json_decref(record);
    return end;
}

static enum run_end search_several(run_request *s, search_result *best, json_t *results, nasc_diag *d)
{
    double highest = -1;
    for (int64_t k = 0; k < s->record.runs; k++) {
        uint64_t seed = (uint64_t)(s->record.seed + k);
        const char *folder = arena_printf(s->session.arena, "%s/run-%" PRId64, s->arguments->out, k);
        search_result found = {0};
        double accuracy = 0;
        enum run_end end = search_one(s, folder, seed, &found, d);
        if (end == RUN_DONE)
            end = judge(s, arena_printf(s->session.arena, "%s/train", folder), found.genotype, seed, &accuracy, d);
        if (end != RUN_DONE)
            return end;
        json_array_append_new(results, json_pack("{sI sf}", "seed", (json_int_t)seed, "held_out_accuracy", accuracy));
        if (accuracy > highest) {
            highest = accuracy;
            *best = found;
        }
    }
    return RUN_DONE;
}

static enum run_end search_run(run_request *s, search_result *found, json_t *result, nasc_diag *d)
{
    const char *out = s->arguments->out;
    if (s->record.runs == 1) {
        search_job job = job_of(s, out, s->arguments->resume, (uint64_t)s->record.seed);
        return session_search(&s->session, &job, found, d);
    }
    run_folder folder;
    char path[RUN_PATH + 64];
    if (!(s->arguments->resume ? run_resume(&folder, out, d) : run_create(&folder, out, d)))
        return RUN_FAILED;
    json_t *results = json_array();
    bool ok = (s->arguments->resume || run_write_json(out, "run.json", s->run, d)) &&
              !json_object_set(result, "runs", results);
    enum run_end end = ok ? search_several(s, found, results, d) : RUN_FAILED;
    const char *text = found->genotype;
    if (end == RUN_DONE && text && !file_replace(run_file(out, "genotype.json", path), text, strlen(text), d))
        end = RUN_FAILED;
    json_decref(results);
    run_close(&folder);
    return end;
}

/* ---- the command
 * ------------------------------------------------------------------------------------------------------- */

static void report(const search_arguments *a, const json_t *result)
{
    size_t i;
    json_t *one;
    if (a->common.common.json) {
        json_t *line =
            json_pack("{ss so}", "genotype", arena_printf(a->common.common.arena, "%s/genotype.json", a->common.out),
                      "result", json_deep_copy(result));
        json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(line);
        return;
    }
    json_array_foreach(json_object_get(result, "runs"), i, one)
        printf("seed %lld: %.2f %% of what was held out\n", (long long)json_integer_value(json_object_get(one, "seed")),
               100 * json_real_value(json_object_get(one, "held_out_accuracy")));
    if (json_object_get(result, "predicted_ms"))
        printf("predicted latency: %.4g ms\n", json_real_value(json_object_get(result, "predicted_ms")));
    printf("%s/genotype.json\n", a->common.out);
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    const search_arguments *a = arguments;
    run_request s;
    search_result found = {0};
    enum run_end end = RUN_FAILED;
    json_t *result = json_pack("{ss}", "genotype", "genotype.json");
    if (ask(&s, a, d))
        end = search_run(&s, &found, result, d);
    if (end == RUN_DONE && is_latency(&s.record))
        json_object_set_new(result, "predicted_ms", json_real(found.cost));
    if (end == RUN_DONE && !record_result(a->common.out, s.run, json_incref(result), d))
        end = RUN_FAILED;
    enum exit_code code = request_close(&s, end);
    if (end == RUN_DONE)
        report(a, result);
    json_decref(result);
    return code;
}

#define AT(field) offsetof(search_arguments, field)
static const option_row options[] = {
    {.name = "data",
     .value = "KIND:PATH",
     .kind = OPTION_TEXT,
     .offset = AT(common.data),
     .help = "idx:DIR, cifar10:DIR, cifar100:DIR, images:DIR (a folder a class), synthetic:HxWxC/CLASSES"},
    {.name = "out",
     .value = "RUN",
     .kind = OPTION_TEXT,
     .offset = AT(common.out),
     .help = "the run's folder",
     .required = true},
    {.name = "method",
     .value = "darts-2nd|darts-1st|darts-reinforce|proxyless|proxyless-all|proxyless-reinforce",
     .kind = OPTION_TEXT,
     .offset = AT(method),
     .help = "how alpha is learned (darts-2nd; of spaces that select: proxyless)"},
    {.name = "cost",
     .value = "macs|params|latency",
     .kind = OPTION_TEXT,
     .offset = AT(cost),
     .help = "what networks are to have little of: multiply-adds, parameters, or milliseconds"},
    {.name = "target-cost",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(target),
     .least = 1,
     .help = "how many of them"},
    {.name = "target-ms",
     .value = "N",
     .kind = OPTION_REAL,
     .offset = AT(target_ms),
     .help = "how many milliseconds, for --cost latency"},
    {.name = "latency",
     .value = "TABLE",
     .kind = OPTION_TEXT,
     .offset = AT(latency),
     .help = "what nasc latency measured of the space, for --cost latency"},
    {.name = "runs",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(runs),
     .least = 1,
     .help = "searches with seeds N, N+1, …, the best kept"},
    {.name = "memory",
     .value = "SIZE",
     .kind = OPTION_SIZE,
     .offset = AT(memory),
     .least = 1,
     .help =
         "most for the tensors of a step, as 300M or 2G: what is too much is computed again; the result is the same"},
    {.name = "config",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(common.config),
     .help = "settings of another run's run.json"},
    {.name = "resume", .kind = OPTION_FLAG, .offset = AT(common.resume), .help = "goes on with RUN, as run.json says"},
    {.name = "checkpoint-steps",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(common.checkpoint_steps),
     .least = 1,
     .help = "steps from checkpoint to checkpoint, beside each epoch's (100)"},
    {.name = "engine",
     .value = "jit|cc|interpreter",
     .kind = OPTION_TEXT,
     .offset = AT(common.engine),
     .help = "what runs the kernels; results are the same"},
};

const command command_search = {
    .name = "search",
    .operands = "[SPACE]",
    .summary = "Searches a space for the best architecture.",
    .details = "RUN receives run.json, log.jsonl (a line an epoch, with every alpha), checkpoint.safetensors and\n"
               "genotype.json. An interrupted search goes on with --resume --out RUN, as if it had never stopped.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(search_arguments),
    .run = run,
};
