/* nasc latency: how long every candidate of a space takes, measured through the code that export writes, and how well
 * their sum tells how long a network takes. */
#include "latency.h"
#include "output.h"
#include "runtime/rng.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { ROUNDS = 5 };

typedef struct latency_arguments {
    arguments common;
    const char *target, *run, *out;
    int64_t networks, rounds, sample;
} latency_arguments;

typedef struct measuring {
    const latency_arguments *a;
    session session;
    model model;
    target target;
    stopwatch watch;
    space_net built;
    parts parts;
    latency_table table;
    costs costs;
} measuring;

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* What a network of the space reads of weights, about: halfway between the least and the most. */
static int64_t weights_bytes(const measuring *m)
{
    double *bytes = NEW_ARRAY(m->session.arena, double, m->parts.at.count + 1);
    for (int i = 0; i < m->parts.at.count; i++)
        bytes[i] = 4.0 * (double)m->parts.at.at[i].net->slot_size[SLOT_WEIGHTS];
    costs c = parts_costs(m->session.arena, &m->parts, m->built.net, bytes);
    return (int64_t)((c.least + c.most) / 2);
}

/* Parts in an order by chance, but such that each op comes once before any comes again. */
static void shuffle_parts(const measuring *m, uint32_t *order, int count)
{
    const part *at = m->parts.at.at;
    rng r = rng_open((uint64_t)m->a->common.seed, RNG_LATENCY, 0, 0);
    rng_shuffle(&r, order, (uint32_t)count);
    for (int i = 1, first = 1; i < count; i++) {
        int known = 0;
        while (known < first && strcmp(at[order[known]].traits.op, at[order[i]].traits.op) != 0)
            known++;
        if (known < first)
            continue;
        uint32_t moved = order[first];
        order[first++] = order[i];
        order[i] = moved;
    }
}

/* The parts that are measured: all that stand outside of choices, and --sample of the candidates. */
static bool choose_parts(const measuring *m, uint32_t *which, int *count, nasc_diag *d)
{
    int candidates = 0;
    *count = 0;
    for (int i = 0; i < m->parts.at.count; i++)
        if (!m->parts.at.at[i].empty && *m->parts.at.at[i].traits.op)
            which[candidates++] = (uint32_t)i;
    *count = candidates;
    if (m->a->sample && m->a->sample < 100) {
        shuffle_parts(m, which, candidates);
        *count = (int)((candidates * m->a->sample + 99) / 100);
        if (*count < LATENCY_FIT_LEAST)
            return diag_fail(d, DIAG_INPUT, "--sample",
                             "leaves %d of %d candidates, expected at least %d to predict from", *count, candidates,
                             LATENCY_FIT_LEAST);
    }
    for (int i = 0; i < m->parts.at.count; i++)
        if (!m->parts.at.at[i].empty && !*m->parts.at.at[i].traits.op)
            which[(*count)++] = (uint32_t)i;
    return true;
}

static void add_parts(const measuring *m, const uint32_t *which, int count, timed *at)
{
    int64_t around = weights_bytes(m);
    for (int i = 0; i < count; i++) {
        const part *p = &m->parts.at.at[which[i]];
        at[i] = (timed){.net = p->net, .in = p->in, .out = p->out, .around = around};
    }
}

/* ---- whole networks ---------------------------------------------------------------------------------------------- */

/* Candidates by chance, as alphas that want them. */
static float *draw_network(const measuring *m, int number, sampled_network *to)
{
    const net *n = m->built.net;
    float *alphas = NEW_ARRAY(m->session.arena, float, n->slot_size[SLOT_MIX] + 1);
    to->choice = NEW_ARRAY(m->session.arena, int, m->built.select_count + 1);
    for (int i = 0, c = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        for (int row = 0; p->slot == SLOT_MIX && row < p->dim[2]; row++, c++) {
            rng r = rng_open((uint64_t)m->a->common.seed, RNG_LATENCY, 1 + (uint32_t)number, (uint32_t)c);
            to->choice[c] = (int)rng_below(&r, (uint32_t)p->dim[3]);
            int64_t at = p->offset + (int64_t)row * p->dim[3] + to->choice[c];
            alphas[at] = 1;
        }
    }
    return alphas;
}

/* The network of a genotype, in the sizes of the space's settings. */
static bool build_network(const measuring *m, const char *genotype, timed *to, nasc_diag *d)
{
    static const enum setting_id sizes[] = {SETTING_input, SETTING_classes, SETTING_channels,
                                            SETTING_cells, SETTING_nodes,   SETTING_stem};
    settings set;
    space_net built;
    space *of = space_parse(genotype, strlen(genotype), "a genotype by chance", d);
    if (!of)
        return false;
    settings_defaults(&set, SETTINGS_TRAIN);
    settings_from_space(&set, of);
    for (size_t i = 0; i < COUNT(sizes); i++)
        set.at[sizes[i]] = m->model.settings.at[sizes[i]];
    bool ok = space_build(of, &set, (space_mode){0}, m->session.arena, &built, d);
    space_free(of);
    if (!ok)
        return false;
    net_output_add(built.net, built.logits, SLOT_LOGITS, 0);
    *to = (timed){.net = built.net,
                  .in = net_elements(&built.net->nodes.at[built.images].type),
                  .out = net_elements(&built.net->nodes.at[built.logits].type)};
    return true;
}

static bool add_networks(measuring *m, int count, timed *at, nasc_diag *d)
{
    arena *a = m->session.arena;
    parameters p = session_parameters(m->built.net);
    for (int i = 0; i < count; i++) {
        sampled_network one = {0};
        const float *alphas = draw_network(m, i, &one);
        const char *genotype = session_derive(a, m->model.space, &m->built, &p, alphas, d);
        if (!genotype || !build_network(m, genotype, &at[i], d))
            return false;
        VEC_PUSH(a, &m->table.networks, one);
    }
    return true;
}

/* What a network takes by the costs of its parts. */
static double predicted_ms(const measuring *m, const sampled_network *one)
{
    const net *n = m->built.net;
    double ms = m->costs.fixed;
    for (int i = 0, c = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        for (int row = 0; p->slot == SLOT_MIX && row < p->dim[2]; row++, c++)
            ms += (double)m->costs.of[p->offset + (int64_t)row * p->dim[3] + one->choice[c]];
    }
    return ms;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

/* Times parts and networks together, so that both are measured under the same conditions. */
static bool measure(measuring *m, nasc_diag *d)
{
    arena *a = m->session.arena;
    int parts, networks = (int)m->a->networks;
    uint32_t *which = NEW_ARRAY(a, uint32_t, m->parts.at.count + 1);
    if (!choose_parts(m, which, &parts, d))
        return false;
    timed *at = NEW_ARRAY(a, timed, parts + networks);
    add_parts(m, which, parts, at);
    if (!add_networks(m, networks, at + parts, d) || !stopwatch_time(&m->watch, at, parts + networks, d))
        return false;
    for (int i = 0; i < parts; i++) {
        const part *p = &m->parts.at.at[which[i]];
        VEC_PUSH(a, &m->table.samples, ((sample){p->shape, p->traits, at[i].time}));
    }
    for (int i = 0; i < networks; i++)
        m->table.networks.at[i].time = at[parts + i].time;
    return true;
}

/* What the samples say: how well a predictor does, what choices cost, what the networks should have taken. */
static bool conclude(measuring *m, nasc_diag *d)
{
    latency_table *t = &m->table;
    t->compiler = m->watch.compiler;
    if (!latency_held_out(&m->session, t, &t->fit.held_out, &t->fit.error, d) ||
        !latency_costs(&m->session, t, &m->parts, &m->built, t->space, "the table", &m->costs, d))
        return false;
    for (int i = 0; i < t->networks.count; i++)
        t->networks.at[i].predicted_ms = predicted_ms(m, &t->networks.at[i]);
    return true;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* Ranks from 0; equal values share the mean of theirs. */
static void ranks_of(const double *at, int count, double *rank)
{
    for (int i = 0; i < count; i++) {
        int below = 0, equal = 0;
        for (int j = 0; j < count; j++) {
            below += at[j] < at[i];
            equal += at[j] == at[i];
        }
        rank[i] = below + 0.5 * (equal - 1);
    }
}

/* Spearman's rank correlation of what was predicted and what was measured. */
static double rank_correlation(const measuring *m)
{
    int count = m->table.networks.count;
    double *at[4], mean = 0.5 * (count - 1), xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < 4; i++)
        at[i] = NEW_ARRAY(m->session.arena, double, count + 1);
    for (int i = 0; i < count; i++) {
        at[0][i] = m->table.networks.at[i].predicted_ms;
        at[1][i] = m->table.networks.at[i].time.median_ms;
    }
    ranks_of(at[0], count, at[2]);
    ranks_of(at[1], count, at[3]);
    for (int i = 0; i < count; i++) {
        double x = at[2][i] - mean, y = at[3][i] - mean;
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

typedef struct findings {
    int shapes, candidates;
    double noise;             /* median over the samples */
    double error, error_most; /* of whole networks: median and largest, relative */
    double bias;              /* mean of predicted by measured, less 1 */
    double correlation;
} findings;

static findings findings_of(const measuring *m)
{
    const latency_table *t = &m->table;
    findings f = {.shapes = t->samples.count};
    int count = t->samples.count > t->networks.count ? t->samples.count : t->networks.count;
    double *at = NEW_ARRAY(m->session.arena, double, count + 1);
    for (int i = 0; i < m->parts.uses.count; i++)
        f.candidates += m->parts.uses.at[i].place >= 0;
    for (int i = 0; i < t->samples.count; i++)
        at[i] = t->samples.at[i].time.noise;
    f.noise = latency_median(at, t->samples.count);
    for (int i = 0; i < t->networks.count; i++) {
        double off = t->networks.at[i].predicted_ms / t->networks.at[i].time.median_ms - 1;
        at[i] = fabs(off);
        f.error_most = at[i] > f.error_most ? at[i] : f.error_most;
        f.bias += off / t->networks.count;
    }
    f.error = latency_median(at, t->networks.count);
    f.correlation = rank_correlation(m);
    return f;
}

static void print_text(const measuring *m, const findings *f)
{
    const costs *c = &m->costs;
    printf("%s for %s: %d shapes of %d candidates; compiled in %.1f s, timed in %.1f s, noise %.1f %%\n",
           m->table.space, m->table.target, f->shapes, f->candidates, m->watch.compile_seconds,
           m->watch.measure_seconds, 100 * f->noise);
    printf("networks take %.4f to %.4f ms, %.4f outside of choices\n", c->least, c->most, c->fixed);
    if (m->table.fit.held_out)
        printf("predictor: off by %.1f %% on %d samples held out (median)\n", 100 * m->table.fit.error,
               m->table.fit.held_out);
    if (m->table.networks.count)
        printf("%d networks by chance: the sum of parts is off by %.1f %% (median; mean %+.1f, largest %.1f), rank "
               "correlation %.3f\n",
               m->table.networks.count, 100 * f->error, 100 * f->bias, 100 * f->error_most, f->correlation);
}

static bool print_json(const measuring *m, const findings *f, nasc_diag *d)
{
    json_t *all = json_pack("{ss ss si si sf sf sf sf sf sf s{si sf} s{si sf sf sf sf}}", "space", m->table.space,
                            "target", m->table.target, "shapes", f->shapes, "candidates", f->candidates, "noise",
                            f->noise, "least_ms", m->costs.least, "most_ms", m->costs.most, "fixed_ms", m->costs.fixed,
                            "compile_s", m->watch.compile_seconds, "measure_s", m->watch.measure_seconds, "predictor",
                            "held_out", m->table.fit.held_out, "median_error", m->table.fit.error, "networks", "count",
                            m->table.networks.count, "median_error", f->error, "mean_error", f->bias, "largest_error",
                            f->error_most, "rank_correlation", f->correlation);
    return output_json(all, JSON_COMPACT | JSON_REAL_PRECISION(6), d);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static bool ask(measuring *m, nasc_diag *d)
{
    const latency_arguments *a = m->a;
    const char *file = a->common.operand[0];
    if (!session_open(&m->session, &a->common, NULL, d) ||
        !session_target(m->session.arena, a->target, false, &m->target, d) ||
        !model_open(&m->model, &a->common, file, d))
        return false;
    if (m->model.genotype || !space_selects(m->model.space))
        return diag_fail(d, DIAG_INPUT, file, "%s: latency is of spaces whose candidates are selected",
                         m->model.genotype ? "is a genotype, every choice is made" : "mixes its candidates");
    return model_build(&m->model, &a->common, (space_mode){0}, &m->built, d) &&
           parts_of(m->session.arena, &m->built, &m->parts, d);
}

static void describe(measuring *m)
{
    const latency_arguments *a = m->a;
    char cpu[200];
    target_host_name(cpu, sizeof cpu);
    m->table = (latency_table){.space = space_name(m->model.space),
                               .target = m->target.name,
                               .cpu = a->run || !*cpu ? NULL : arena_strdup(m->session.arena, cpu),
                               .run = a->run,
                               .key = parts_key(&m->parts),
                               .rounds = a->rounds ? (int)a->rounds : ROUNDS,
                               .seed = a->common.seed};
}

static bool latency(measuring *m, nasc_diag *d)
{
    const latency_arguments *a = m->a;
    if (!ask(m, d))
        return false;
    describe(m);
    bool ok = stopwatch_open(&m->watch, &m->session, &m->target, a->run, m->table.rounds, d) && measure(m, d) &&
              conclude(m, d);
    stopwatch_close(&m->watch);
    if (!ok || (a->out && !latency_write(&m->table, m->built.select_count, a->out, m->session.arena, d)))
        return false;
    findings f = findings_of(m);
    if (a->common.json)
        return print_json(m, &f, d);
    print_text(m, &f);
    return true;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    measuring *m = NEW(((const latency_arguments *)arguments)->common.arena, measuring);
    m->a = arguments;
    bool ok = latency(m, d);
    model_close(&m->model);
    session_close(&m->session);
    return ok ? EXIT_DONE : session_interrupted() && d->kind == DIAG_NONE ? EXIT_INTERRUPTED : EXIT_FAILED;
}

#define AT(field) offsetof(latency_arguments, field)
static const option_row options[] = {
    {.name = "target",
     .value = "TARGET",
     .kind = OPTION_TEXT,
     .offset = AT(target),
     .help = "generic, native, x86-64-v3, x86-64-v4, aarch64, cortex-m, wasm; native unless given"},
    {.name = "run",
     .value = "CMD",
     .kind = OPTION_TEXT,
     .offset = AT(run),
     .help = "runs programs: CMD PROGRAM --bench N prints min_ms X median_ms Y; directly, unless given"},
    {.name = "out",
     .value = "TABLE",
     .kind = OPTION_TEXT,
     .offset = AT(out),
     .help = "receives the table, JSON, for nasc search --latency",
     .letter = 'o'},
    {.name = "networks",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(networks),
     .least = 1,
     .most = 10000,
     .help = "whole networks by chance that the sums are compared with (none)"},
    {.name = "rounds",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(rounds),
     .least = 1,
     .most = 1000,
     .help = "how often each is timed in turn (5)"},
    {.name = "sample",
     .value = "PERCENT",
     .kind = OPTION_INT,
     .offset = AT(sample),
     .least = 1,
     .most = 100,
     .help = "measure that many of the candidates, by --seed, and predict the others (100)"},
};

const command command_latency = {
    .name = "latency",
    .operands = "FILE",
    .summary = "Measures how long the candidates of a space take.",
    .details =
        "Each distinct candidate is exported as C, compiled by the target's C compiler or $CC, and timed alone.\n"
        "What stands outside of the choices is timed likewise, so that a network takes the sum of its parts. A\n"
        "predictor is trained on the samples; it tells of candidates that the table lacks.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(latency_arguments),
    .run = run,
};
