/* nasc bench: times compiled code in this process. What is timed is what search, train and eval run, on random data. */
#include "bench.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STEPS = 5, INFER_STEPS = 50 };

void workload_add(workload *w, runnable *program)
{
    CHECK(w->count < (int)COUNT(w->programs));
    if (program->program)
        w->programs[w->count++] = program;
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

typedef struct result {
    bool infer;
    double *seconds; /* rising */
    double *taken;   /* as they came */
    int count;
    double first, compile, load;
    long maxrss_kib;
    jit_stats jit;
    tuning tuning; /* no kernels: none were tuned */
} result;

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const result *r)
{
    return 0.5 * (r->seconds[(r->count - 1) / 2] + r->seconds[r->count / 2]);
}

static bool once(const workload *w, bool alpha, double *seconds, nasc_diag *d)
{
    double start = clock_seconds();
    bool ok = (alpha ? w->alpha(w->user, d) : w->once(w->user, d)) && device_wait(w->device, d);
    *seconds = clock_seconds() - start;
    return ok && !session_interrupted();
}

/* The first run is not counted: it touches memory that no later one has to. */
static bool take(arena *a, const workload *w, bool alpha, int count, result *r, nasc_diag *d)
{
    r->taken = NEW_ARRAY(a, double, count);
    r->seconds = NEW_ARRAY(a, double, count);
    if (!once(w, alpha, &r->first, d))
        return false;
    for (r->count = 0; r->count < count; r->count++)
        if (!once(w, alpha, &r->taken[r->count], d))
            return false;
    memcpy(r->seconds, r->taken, (size_t)count * sizeof *r->seconds);
    qsort(r->seconds, (size_t)count, sizeof *r->seconds, rising);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    r->maxrss_kib = use.ru_maxrss;
    return true;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

typedef struct sizes { /* of all programs together; the arena is the largest one's */
    int kernels, instances, launches;
    double arena_mib;
} sizes;

static sizes sizes_of(const workload *w)
{
    sizes s = {0};
    for (int i = 0; i < w->count; i++) {
        const program *p = w->programs[i]->program;
        double mib = (double)p->arena_elements * 4 / 1048576;
        s.kernels += p->kernels.count;
        s.instances += p->instances.count;
        s.launches += p->launches.count;
        s.arena_mib = mib > s.arena_mib ? mib : s.arena_mib;
    }
    return s;
}

static bool print_json(const session *s, const workload *w, const result *r, const result *alpha, const profile *p,
                       nasc_diag *d)
{
    sizes z = sizes_of(w);
    double unit = r->infer ? 1e3 : 1;
    json_t *all = json_array(), *o;
    for (int i = 0; i < r->count; i++)
        json_array_append_new(all, json_real(r->taken[i] * unit));
    o = json_pack("{s:f, s:f, s:o, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:i}",
                  r->infer ? "min_ms" : "min_s", r->seconds[0] * unit, r->infer ? "median_ms" : "median_s",
                  median(r) * unit, r->infer ? "all_ms" : "all_s", all, r->infer ? "first_ms" : "first_s",
                  r->first * unit, "compile_s", r->compile, "load_s", r->load, "maxrss_mib",
                  (double)r->maxrss_kib / 1024, "arena_mib", z.arena_mib, "kernels", z.kernels, "instances",
                  z.instances, "launches", z.launches, "kernels_compiled", r->jit.compiled, "kernels_cached",
                  r->jit.cached, "threads", s->threads);
    double device_mib = (double)device_bytes(s->device) / 1048576;
    if (device_mib > 0)
        json_object_set_new(o, "device_mib", json_real(device_mib));
    if (r->tuning.kernels)
        json_object_set_new(o, "tuned",
                            json_pack("{s:i, s:i, s:i, s:f, s:f}", "kernels", r->tuning.kernels, "schedules",
                                      r->tuning.others, "better", r->tuning.better, "before_s", r->tuning.before,
                                      "after_s", r->tuning.after));
    bool ok = o && (!p || !json_object_set_new(o, "profile", profile_json(p)));
    if (ok && alpha->count)
        ok = !json_object_set_new(o, "alpha_min_s", json_real(alpha->seconds[0])) &&
             !json_object_set_new(o, "alpha_median_s", json_real(median(alpha)));
    if (!ok) {
        json_decref(o);
        return diag_memory(d);
    }
    return output_json(o, JSON_COMPACT | JSON_REAL_PRECISION(6), d);
}

static void print_text(const session *s, const workload *w, const result *r, const result *alpha, const profile *p)
{
    sizes z = sizes_of(w);
    if (r->infer)
        printf("min_ms %.3f median_ms %.3f\n", r->seconds[0] * 1e3, median(r) * 1e3);
    else
        printf("min %.4f s, median %.4f s, of %d (first: %.4f s)\n", r->seconds[0], median(r), r->count, r->first);
    if (alpha->count)
        printf("alpha: min %.4f s, median %.4f s, of %d (first: %.4f s)\n", alpha->seconds[0], median(alpha),
               alpha->count, alpha->first);
    printf("%d threads; compiled in %.2f s, loaded in %.2f s (kernels: %d compiled, %d from the cache)\n", s->threads,
           r->compile, r->load, r->jit.compiled, r->jit.cached);
    printf("%d kernels, %d instances, %d launches; arena %.1f MiB, largest resident size %.1f MiB\n", z.kernels,
           z.instances, z.launches, z.arena_mib, (double)r->maxrss_kib / 1024);
    if (device_bytes(s->device) > 0)
        printf("%.1f MiB of the GPU's memory\n", (double)device_bytes(s->device) / 1048576);
    if (r->tuning.kernels)
        printf("tuned: %d of %d kernels are served better by another schedule, of %d: %.1f ms before, %.1f after\n",
               r->tuning.better, r->tuning.kernels, r->tuning.others, r->tuning.before * 1e3, r->tuning.after * 1e3);
    if (p)
        profile_print(p);
}

/* ---- step, infer ------------------------------------------------------------------------------------------------- */

static bool open_infer(session *s, const model *m, const bench_arguments *a, workload *w, nasc_diag *d)
{
    (void)a;
    return bench_infer(s, m, w, d);
}

static bool open_step(session *s, const model *m, const bench_arguments *a, workload *w, nasc_diag *d)
{
    if (!m->genotype && space_selects(m->space))
        return bench_paths(s, m, a->pass, w, d);
    return bench_step(s, m, a->order ? a->order[0] - '0' : 0, w, d);
}

static bool measure(session *s, const bench_arguments *a, const model *m, bool infer, nasc_diag *d)
{
    workload w = {.device = s->device};
    result r = {.infer = infer}, alpha = {0};
    profile p = {0};
    int steps = a->steps ? (int)a->steps : infer ? INFER_STEPS : STEPS;
    workload_open *open = infer ? open_infer : open_step;
    if (a->tune && !bench_tune(s, m, a, open, &r.tuning, d))
        return false;
    s->load_seconds = 0;
    jit_stats before = engine_stats(s->engine);
    double start = clock_seconds();
    if (!open(s, m, a, &w, d))
        return false;
    r.load = s->load_seconds;
    r.compile = clock_seconds() - start - r.load;
    r.jit = engine_stats(s->engine);
    r.jit.compiled -= before.compiled;
    r.jit.cached -= before.cached;
    if (!take(s->arena, &w, false, steps, &r, d) || (w.alpha && !take(s->arena, &w, true, steps, &alpha, d)))
        return false;
    if (a->profile && !profile_take(s, &w, steps, &p, d))
        return false;
    if (a->common.json)
        return print_json(s, &w, &r, &alpha, a->profile ? &p : NULL, d);
    print_text(s, &w, &r, &alpha, a->profile ? &p : NULL);
    return true;
}

static bool network(session *s, const bench_arguments *a, bool infer, nasc_diag *d)
{
    model m;
    bool ok = model_open(&m, &a->common, a->common.operand[1], d);
    if (ok && infer && !session_given(&a->common, "batch"))
        ok = settings_set(&m.settings, "batch", "1", "batch", d);
    if (ok && a->order && (m.genotype || space_selects(m.space)))
        ok = diag_fail(d, DIAG_INPUT, a->common.operand[1],
                       m.genotype ? "is a genotype: --order is for spaces"
                                  : "selects candidates: --order is for mixtures");
    if (ok && a->pass && (m.genotype || !space_selects(m.space)))
        ok = diag_fail(d, DIAG_INPUT, "--pass", "is for steps of spaces that select candidates");
    if (ok)
        ok = a->predict ? bench_predict(&m, a, d) : measure(s, a, &m, infer, d);
    model_close(&m);
    return ok;
}

/* ---- peak -------------------------------------------------------------------------------------------------------- */

static bool peak(session *s, const bench_arguments *a, nasc_diag *d)
{
    json_t *rows = json_array();
    if (!a->common.json)
        printf("%s\n%8s %22s %12s %12s\n", s->target.name, "threads", "multiply-add GFLOP/s", "read GB/s", "copy GB/s");
    bool ok = true;
    for (int threads = 1; ok && threads <= s->threads && !session_interrupted();
         threads = threads < s->threads && 2 * threads > s->threads ? s->threads : 2 * threads) {
        peaks p;
        ok = peaks_measure(s, threads, &p, d);
        json_array_append_new(rows, json_pack("{s:i, s:f, s:f, s:f}", "threads", threads, "gflops", p.flops * 1e-9,
                                              "read_gbs", p.read * 1e-9, "copy_gbs", p.copy * 1e-9));
        if (ok && !a->common.json)
            printf("%8d %22.1f %12.1f %12.1f\n", threads, p.flops * 1e-9, p.read * 1e-9, p.copy * 1e-9);
    }
    json_t *all = json_pack("{s:s, s:o}", "target", s->target.name, "peaks", rows);
    if (ok && a->common.json)
        return output_json(all, JSON_COMPACT | JSON_REAL_PRECISION(6), d) && !session_interrupted();
    json_decref(all);
    return ok && !session_interrupted();
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* What the table of operands and options cannot say. */
static bool check(const bench_arguments *a, nasc_diag *d)
{
    const char *what = a->common.operand[0];
    bool is_peak = strcmp(what, "peak") == 0;
    if (is_peak && (a->common.operand_count > 1 || a->profile || a->tune || a->steps || a->common.settings.count))
        return diag_fail(d, DIAG_USAGE, "bench peak", "takes no FILE, no settings, no --steps and no --profile");
    if (!is_peak && a->common.operand_count < 2)
        return diag_fail(d, DIAG_USAGE, what, "FILE is missing: a space or a genotype");
    if (a->predict && (strcmp(what, "step") != 0 || a->profile || a->tune || a->steps))
        return diag_fail(d, DIAG_USAGE, "--predict", "is for bench step, without --profile, --tune and --steps");
    return (!a->order && !a->pass) || strcmp(what, "step") == 0 ||
           diag_fail(d, DIAG_USAGE, a->order ? "--order" : "--pass", "is for bench step, not for bench %s", what);
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    const bench_arguments *a = arguments;
    session s;
    if (!check(a, d))
        return EXIT_USAGE;
    bool ok = session_open(&s, &a->common, NULL, d), infer = strcmp(a->common.operand[0], "infer") == 0;
    s.memory = a->memory;
    if (ok)
        ok = strcmp(a->common.operand[0], "peak") == 0 ? peak(&s, a, d) : network(&s, a, infer, d);
    session_close(&s);
    return ok ? EXIT_DONE : session_interrupted() && d->kind == DIAG_NONE ? EXIT_INTERRUPTED : EXIT_FAILED;
}

#define AT(field) offsetof(bench_arguments, field)
static const option_row options[] = {
    {.name = "order",
     .value = "0|1|2",
     .kind = OPTION_TEXT,
     .offset = AT(order),
     .help = "step of a space: 0 one pass, 1 first-order, 2 second-order search (0)"},
    {.name = "pass",
     .value = "weights|alpha",
     .kind = OPTION_TEXT,
     .offset = AT(pass),
     .help = "step of a space that selects: one of the two alone"},
    {.name = "profile", .kind = OPTION_FLAG, .offset = AT(profile), .help = "where the time goes, kernel by kernel"},
    {.name = "tune",
     .kind = OPTION_FLAG,
     .offset = AT(tune),
     .help = "measure other schedules of each kernel first, and keep the best in the cache"},
    {.name = "predict",
     .value = "GPU",
     .kind = OPTION_TEXT,
     .offset = AT(predict),
     .help = "step: the time it takes on h100 or rtx4090 at least, on paper, and what limits each kernel"},
    {.name = "memory",
     .value = "SIZE",
     .kind = OPTION_SIZE,
     .offset = AT(memory),
     .least = 1,
     .help = "most for the tensors of a step, as 300M or 2G: what is too much is computed again"},
    {.name = "steps",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(steps),
     .least = 1,
     .most = 1000000,
     .help = "how often it is timed (step: 5, infer: 50)"},
    {.name = "batch", .value = "N", .kind = OPTION_SETTING, .help = "images at a time (infer: 1)"},
};

const command command_bench = {
    .name = "bench",
    .operands = "step|infer|peak [FILE]",
    .summary = "Times compiled code, and measures what this machine can do.",
    .details =
        "bench step FILE: a training step on random data. Of a space, with --order 0: the loss of one batch and its\n"
        "gradient by weights and alphas; 1: the step of first-order DARTS search (alphas on one batch, then weights "
        "on\n"
        "another, optimisers included); 2: that of second-order search. Of a space that selects: a weight step on a\n"
        "drawn path, and the alpha pass over two candidates of each choice. Of a genotype: a step of its training.\n"
        "bench infer FILE: a batch through the inference program.\n"
        "bench peak: multiply-adds in registers, reading and copying of memory far larger than the caches, for\n"
        "1, 2, … threads. --profile compares with the first.\n"
        "--predict GPU runs nothing and needs no GPU. It counts what the kernels that are made for that GPU do\n"
        "(operations, transactions of memory by warps, conflicts in shared memory, registers where NVRTC is\n"
        "installed) and holds that against the maker's figures. No kernel is faster than that; \"x bound\" is how\n"
        "far it is from what its arithmetic and the tensors that it touches would take alone.\n"
        "--tune takes some minutes. What it finds serves every later run on this machine, and changes no result.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(bench_arguments),
    .run = run,
};
