/* nasc search: a space in, a genotype out; of several targets or seeds, the pareto front or the best (several.c). */
#include "latency.h"
#include "output.h"
#include "several.h"

#include <stdlib.h>
#include <string.h>

typedef struct search_arguments {
    run_arguments common;
    const char *method, *cost, *latency;
    numbers target_cost, target_ms;
    int64_t runs, memory;
} search_arguments;

/* ---- what is searched -------------------------------------------------------------------------------------------- */

static bool is_latency(const record *r)
{
    return r->cost && strcmp(r->cost, "latency") == 0;
}

/* What one option says and the others do not. */
static bool check_cost(const search_arguments *a, const record *r, const search_method *m, nasc_diag *d)
{
    const cost_row *cost = cost_find(r->cost);
    if ((a->latency || a->target_ms.count) && !is_latency(r))
        return diag_fail(d, DIAG_USAGE, a->latency ? "--latency" : "--target-ms", "goes with --cost latency");
    if (a->target_cost.count && (!cost || is_latency(r)))
        return diag_fail(d, DIAG_USAGE, "--target-cost", "goes with --cost macs or --cost params");
    if (!r->cost)
        return true;
    if (!m->selects)
        return diag_fail(d, DIAG_INPUT, "--cost", "is for the methods of spaces that select candidates, not for %s",
                         m->name);
    return r->targets.count > 0 ||
           diag_fail(d, DIAG_USAGE, "--cost", "%s needs a target: --%s A", cost->name, cost->option);
}

/* Latencies are by the table in a new run, and as run.json has them in one that goes on. */
static bool read_costs(run_request *s, const search_arguments *a, const space_net *built, costs *c, nasc_diag *d)
{
    if (s->run || !is_latency(&s->record))
        return record_costs(&s->record, built, a->common.out, s->session.arena, c, d);
    if (!a->latency)
        return diag_fail(d, DIAG_USAGE, "--cost", "latency needs what nasc latency measured: --latency TABLE");
    return latency_costs_of(&s->session, built, space_name(s->of), a->latency, c, d);
}

/* Fills in s->costs. Targets increase: where the first can be met, all can. */
static bool find_costs(run_request *s, const search_arguments *a, nasc_diag *d)
{
    const record *r = &s->record;
    const cost_row *cost = cost_find(r->cost);
    arena *arena = s->session.arena;
    costs *c = NEW(arena, costs);
    space_net built;
    if (!cost)
        return true;
    if (!space_build(s->of, &s->settings, (space_mode){0}, arena, &built, d) || !read_costs(s, a, &built, c, d))
        return false;
    s->costs = c;
    const char *least = arena_printf(arena, "%.*f", cost->decimals, c->least);
    return r->targets.at[0] >= strtod(least, NULL) ||
           diag_fail(d, DIAG_INPUT, arena_printf(arena, "--%s", cost->option),
                     "%.15g is below the %s %s of the cheapest network of %s", r->targets.at[0], least, cost->unit,
                     space_name(s->of));
}

/* A new run keeps what it took from the table, and needs no table from then on. */
static bool make_record(run_request *s, nasc_diag *d)
{
    if (s->run || !is_latency(&s->record))
        return request_record(s, d);
    json_t *latency = s->record.latency = latency_costs_json(s->costs);
    bool ok = latency ? request_record(s, d) : diag_memory(d);
    json_decref(latency);
    return ok;
}

static bool ask(run_request *s, const search_arguments *a, nasc_diag *d)
{
    record like = {.command = "search",
                   .method = a->method,
                   .runs = a->runs ? a->runs : 1,
                   .cost = a->cost,
                   .targets = a->target_ms.count ? a->target_ms : a->target_cost};
    bool more = a->method || a->runs || a->cost || a->latency || like.targets.count;
    if (!request_open(s, &a->common, &like, false, more, d))
        return false;
    bool selects = space_selects(s->of);
    if (!s->record.method && !a->common.resume)
        s->record.method = selects ? "proxyless" : "darts-2nd";
    const search_method *m = search_method_find(s->record.method);
    if (m->selects != selects)
        return diag_fail(d, DIAG_INPUT, space_name(s->of), "has choices that %s cannot learn (combine: %s)", m->name,
                         selects ? "select" : "mix");
    if (!selects && settings_number(&s->settings, SETTING_held_out) != 0.5)
        return diag_fail(d, DIAG_INPUT, "held_out",
                         "found %s, expected 0.5: %s learns alpha on one half, weights on the other",
                         settings_text(&s->settings, SETTING_held_out), m->name);
    s->session.memory = a->memory;
    return check_cost(a, &s->record, m, d) && find_costs(s, a, d) && make_record(s, d);
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

/* What run.json keeps, and --json prints, of what was found. */
static json_t *result_of(const front *f)
{
    const front_point *one = &f->at[0];
    json_t *result = json_pack("{ss}", "genotype", "genotype.json");
    if (f->count > 1)
        json_object_set_new(result, "runs", front_json(f));
    if (f->count > 1 && f->cost)
        json_object_set_new(result, "pareto", json_string("pareto.svg"));
    if (f->count == 1 && f->cost)
        json_object_set_new(result, "cost", run_number(one->cost));
    return result;
}

static enum run_end search_alone(run_request *s, front *f, nasc_diag *d)
{
    const record *r = &s->record;
    search_result found = {0};
    search_job job = search_job_of(s, s->arguments->out, s->arguments->resume, r);
    enum run_end end = session_search(&s->session, &job, &found, d);
    *f = (front){.cost = cost_find(r->cost), .at = NEW(s->session.arena, front_point), .count = 1};
    if (f->cost)
        f->at[0] = (front_point){.target = r->targets.at[0], .cost = found.cost};
    return end;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static bool report(const search_arguments *a, const front *f, const json_t *result, nasc_diag *d)
{
    if (a->common.common.json) {
        json_t *line =
            json_pack("{ss so}", "genotype", arena_printf(a->common.common.arena, "%s/genotype.json", a->common.out),
                      "result", json_deep_copy(result));
        return output_json(line, JSON_COMPACT, d);
    }
    if (f->count > 1)
        front_print(f, stdout);
    else if (f->cost)
        printf("%.*f %s, target %.15g\n", f->cost->decimals, f->at[0].cost, f->cost->unit, f->at[0].target);
    printf("%s/genotype.json\n", a->common.out);
    if (f->count > 1 && f->cost)
        printf("%s/pareto.svg\n", a->common.out);
    return true;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    const search_arguments *a = arguments;
    run_request s;
    front found = {0};
    json_t *result = NULL;
    enum run_end end = RUN_FAILED;
    if (ask(&s, a, d))
        end = several_count(&s.record) > 1 ? search_several(&s, &found, d) : search_alone(&s, &found, d);
    if (end == RUN_DONE) {
        result = result_of(&found);
        end = record_result(a->common.out, s.run, json_incref(result), d) ? RUN_DONE : RUN_FAILED;
    }
    enum exit_code code = request_close(&s, end);
    if (end == RUN_DONE && !report(a, &found, result, d))
        code = EXIT_FAILED;
    json_decref(result);
    return code;
}

/* The names with a bar before each. */
#define NAME(name, selects, order, rule) "|" name
static const char method_names[] = SEARCH_METHODS(NAME);

#define AT(field) offsetof(search_arguments, field)
static const option_row options[] = {
    RUN_OPTIONS_FIRST{.name = "method",
                      .value = &method_names[1],
                      .kind = OPTION_TEXT,
                      .offset = AT(method),
                      .help = "how alpha is learned (darts-2nd; of spaces that select: proxyless)"},
    {.name = "cost",
     .value = "macs|params|latency",
     .kind = OPTION_TEXT,
     .offset = AT(cost),
     .help = "what networks are to have little of: multiply-adds, parameters, or milliseconds"},
    {.name = "target-cost",
     .value = "A[,B…]",
     .kind = OPTION_NUMBERS,
     .offset = AT(target_cost),
     .help = "how many of them; several: a search each, and the pareto front of what they find"},
    {.name = "target-ms",
     .value = "A[,B…]",
     .kind = OPTION_NUMBERS,
     .offset = AT(target_ms),
     .help = "the same of --cost latency, in milliseconds"},
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
     .most = SEARCHES_MOST,
     .help = "searches with seeds S, S+1, …, the best kept"},
    {.name = "memory",
     .value = "SIZE",
     .kind = OPTION_SIZE,
     .offset = AT(memory),
     .least = 1,
     .help =
         "most for the tensors of a step, as 300M or 2G: what is too much is computed again; the result is the same"},
    RUN_OPTIONS_LAST};

const command command_search = {
    .name = "search",
    .operands = "[SPACE]",
    .summary = "Searches a space for the best architecture.",
    .details =
        "RUN receives run.json, log.jsonl (a line an epoch, with every alpha), checkpoint.safetensors and\n"
        "genotype.json. An interrupted search goes on with --resume --out RUN, as if it had never stopped.\n"
        "Several targets or seeds: each is a run of its own in RUN/target-A, RUN/run-K or RUN/target-A/run-K. What\n"
        "each finds is trained for select_epochs and scored on the images that the search held out.\n"
        "RUN/genotype.json is then the most accurate of all, each folder has its own, and with a cost\n"
        "RUN/pareto.svg draws accuracy against it.\n"
        "With the loss add#absolute the network found is the most probable one within 2 % of the target, with the\n"
        "others (cost_loss) that of the strongest candidates.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(search_arguments),
    .run = run,
};
