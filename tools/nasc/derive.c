/* nasc derive: the genotype that a search's alphas say, at any epoch; or, to compare with, one drawn at random or the
 * largest. */
#include "space/json.h"
#include "uses/costs.h"
#include "runtime/rng.h"
#include "output.h"
#include "several.h"

#include <string.h>

typedef struct derive_arguments {
    arguments common;
    const char *out;
    int64_t epoch;
    bool random, largest;
} derive_arguments;

/* ---- alphas ------------------------------------------------------------------------------------------------------ */

/* Of one parameter: a row a choice. */
static void rows_read(reader *in, const json_t *rows, const net_param *p, float *to)
{
    bool fits = read_list(in, rows, p->dim[2], "rows of numbers");
    for (int row = 0; fits && row < p->dim[2]; row++) {
        size_t mark = read_enter_index(in, (size_t)row);
        read_floats(in, json_array_get(rows, (size_t)row), p->dim[3], to + (int64_t)row * p->dim[3]);
        read_leave(in, mark);
    }
}

/* A line of the log, and its place in the file. */
typedef struct log_line {
    json_t *value;
    const char *where;
} log_line;

static bool alphas_read(const log_line *line, const parameters *p, float *alphas, arena *a, nasc_diag *d)
{
    reader in = {.arena = a, .file = line->where, .diag = d};
    size_t mark;
    const json_t *all = read_object(&in, read_at(&in, line->value, "alphas", &mark), NULL, 0);
    for (int i = 0; all && i < p->count; i++) {
        size_t inner;
        if (p->at[i].slot != SLOT_MIX)
            continue;
        rows_read(&in, read_at(&in, all, p->at[i].name, &inner), &p->at[i], alphas + p->at[i].offset);
        read_leave(&in, inner);
    }
    return d->kind == DIAG_NONE;
}

/* The log's line of that epoch (0: the last). The caller decrefs its value, NULL with a diagnostic. */
static log_line line_of(const char *folder, int64_t epoch, arena *a, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    size_t size;
    char *text = file_read(a, run_file(folder, "log.jsonl", file), &size, d);
    log_line found = {0};
    int number = 1;
    for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1, number++) {
        json_t *one = json_read(line, (size_t)(end - line), file, number, d);
        if (one && (epoch == 0 || json_integer_value(json_object_get(one, "epoch")) == epoch)) {
            json_decref(found.value);
            found = (log_line){json_incref(one), arena_printf(a, "%s:%d", file, number)};
        }
        json_decref(one);
    }
    if (text && !found.value && epoch)
        diag_fail(d, DIAG_INPUT, file, "has no epoch %lld", (long long)epoch);
    else if (text && !found.value)
        diag_fail(d, DIAG_INPUT, file, "has no epoch yet");
    return found;
}

/* The genotype that the alphas of a line of the log say. */
static char *from_line(arena *a, const log_line *line, const char *folder, const record *r, const space *of,
                       const settings *set, nasc_diag *d)
{
    space_net built;
    costs c;
    bool has_cost = r->cost && r->targets.count > 0;
    if (!space_build(of, set, (space_mode){0}, a, &built, d) ||
        (has_cost && !record_costs(r, &built, folder, a, &c, d)))
        return NULL;
    parameters p = session_parameters(built.net);
    float *alphas = NEW_ARRAY(a, float, p.mix + 1);
    if (!alphas_read(line, &p, alphas, a, d))
        return NULL;
    const float *found =
        session_found(a, of, set, &built, has_cost ? &c : NULL, has_cost ? r->targets.at[0] : 0, alphas);
    return session_derive(a, of, &built, &p, found, d);
}

static char *from_run(const derive_arguments *a, const char *folder, nasc_diag *d)
{
    arena *arena = a->common.arena;
    record r;
    space *of = NULL;
    settings set;
    char *text = NULL;
    json_t *run = record_read(folder, "search", &r, &of, &set, arena, d);
    bool alone = run && (several_count(&r) == 1 ||
                         diag_fail(d, DIAG_INPUT, folder, "is a run of several searches: derive one of them, as %s/%s",
                                   folder, several_folder(arena, &r, 0)));
    log_line line = {0};
    if (alone)
        line = line_of(folder, a->epoch, arena, d);
    if (line.value && d->kind == DIAG_NONE)
        text = from_line(arena, &line, folder, &r, of, &set, d);
    json_decref(line.value);
    json_decref(run);
    if (of)
        space_free(of);
    return text;
}

static const float *alphas_by_chance(arena *a, const parameters *p, int64_t seed)
{
    float *alphas = NEW_ARRAY(a, float, p->mix + 1);
    rng r = rng_open((uint64_t)seed, RNG_GENOTYPE, 0, 0);
    for (int64_t i = 0; i < p->mix; i++)
        alphas[i] = (float)rng_normal(&r);
    return alphas;
}

/* What costs more is the stronger. */
static const float *alphas_by_cost(arena *a, const net *n)
{
    costs c = costs_of(a, n, COST_MACS);
    float *alphas = NEW_ARRAY(a, float, c.count + 1);
    for (int64_t i = 0; i < c.count; i++)
        alphas[i] = (float)c.of[i];
    return alphas;
}

/* A network that a search did not find: by chance, or of what costs most at each choice. */
static char *from_space(const derive_arguments *a, const char *path, nasc_diag *d)
{
    arena *arena = a->common.arena;
    model m;
    space_net built;
    char *text = NULL;
    bool ok = model_open(&m, &a->common, path, d);
    if (ok && m.genotype)
        ok = diag_fail(d, DIAG_INPUT, path, "is a genotype: there is nothing left to choose");
    if (ok && a->largest && !space_selects(m.space))
        ok = diag_fail(d, DIAG_INPUT, path, "mixes its candidates: --largest is for spaces that select them");
    if (ok && model_build(&m, &a->common, (space_mode){.train = true}, &built, d)) {
        parameters p = session_parameters(built.net);
        const float *alphas =
            a->largest ? alphas_by_cost(arena, built.net) : alphas_by_chance(arena, &p, a->common.seed);
        text = session_derive(arena, m.space, &built, &p, alphas, d);
    }
    model_close(&m);
    return text;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static enum exit_code run(void *arguments, nasc_diag *d)
{
    const derive_arguments *a = arguments;
    const char *from = a->common.operand[0];
    bool of_space = a->random || a->largest;
    if (a->random && a->largest) {
        diag_fail(d, DIAG_USAGE, "derive", "--random and --largest: give one of them");
        return EXIT_FAILED;
    }
    if (!of_space && !record_exists(from)) {
        diag_fail(d, DIAG_INPUT, from, "is no run (it has no run.json); for a random genotype of a space add --random");
        return EXIT_FAILED;
    }
    char *text = of_space ? from_space(a, from, d) : from_run(a, from, d);
    bool ok = text && output_text(a->out, text, strlen(text), d);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

#define AT(field) offsetof(derive_arguments, field)
static const option_row options[] = {
    {.name = "out",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(out),
     .help = "the genotype file; stdout unless given",
     .letter = 'o'},
    {.name = "epoch",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(epoch),
     .least = 1,
     .most = 1000000,
     .help = "after how many epochs; the last unless given"},
    {.name = "random",
     .kind = OPTION_FLAG,
     .offset = AT(random),
     .help = "RUN is a space: a genotype by chance, by --seed"},
    {.name = "largest",
     .kind = OPTION_FLAG,
     .offset = AT(largest),
     .help = "RUN is a space that selects: the genotype with the most multiply-adds"},
};

const command command_derive = {
    .name = "derive",
    .operands = "RUN",
    .summary = "Derives the genotype from a search's alphas.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(derive_arguments),
    .run = run,
};
