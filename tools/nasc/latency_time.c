/* Times networks: each becomes a program of its own through the code of `nasc export`, is compiled by the target's C
 * compiler, and says itself how long it takes. What disturbs a machine comes and goes, and a processor that is hot or
 * shared is slower for a while: so the programs take turns in rounds, the first of them, the yardstick, is timed before
 * and after each visit, and visits count where the yardstick was about as fast as it ever was. */
#include "emit/export.h"
#include "emit/process.h"
#include "uses/inference.h"
#include "latency.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUNS_FIRST = 3, RUNS_LEAST = 5, RUNS_MOST = 2000 };
static const double VISIT_MS = 25, YARD_MS = 4; /* that a program, and the yardstick, runs in a visit */
static const double QUIET = 1.03;               /* a visit counts up to so many times the yardstick's shortest time */
enum { QUIET_VISITS = 2, ROUNDS_FACTOR = 4 };   /* wanted of each; for which so many times the rounds are spent */
static const double AROUND_BYTES_A_MS = 8e6;

bool stopwatch_open(stopwatch *w, session *s, const target *t, const char *run, int rounds, nasc_diag *d)
{
    *w = (stopwatch){.session = s, .target = t, .run = run, .rounds = rounds};
    return folder_temporary(w->folder, sizeof w->folder, d);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static const char *const suffixes[] = {"part.h", "part.c", "part_test.c", "part_test", "log"};

static char *file_of(const stopwatch *w, int i, const char *name)
{
    return arena_printf(w->session->arena, "%s/%d/%s", w->folder, i, name);
}

static void remove_files(const stopwatch *w, int i)
{
    for (size_t k = 0; k < COUNT(suffixes); k++)
        unlink(file_of(w, i, suffixes[k]));
    rmdir(arena_printf(w->session->arena, "%s/%d", w->folder, i));
}

void stopwatch_close(stopwatch *w)
{
    if (w->folder[0])
        rmdir(w->folder);
    w->folder[0] = 0;
}

static bool write_program(const stopwatch *w, const timed *one, int i, nasc_diag *d)
{
    arena a = {.unwind = w->session->arena->unwind};
    inference split = {0};
    inference_options o = {.normalise = false};
    pipeline_options how = {.batch = 1, .sequential = true};
    export_sizes sizes;
    bool ok = inference_split(one->net, &o, &a, &split, d);
    if (ok)
        inference_arrange(&split, w->target, false, NULL, &a);
    program *p = ok ? pipeline_compile(&a, split.net, w->target, &how, d) : NULL;
    export_model m = {.program = p,
                      .target = w->target,
                      .name = "part",
                      .facts = " * A network that is to be timed.\n",
                      .h = 1,
                      .w = 1,
                      .c = (int)one->in,
                      .classes = (int)one->out,
                      .weights_as_file = true,
                      .constant_count = split.constants,
                      .around = one->around};
    ok = p && export_c(&m, arena_printf(w->session->arena, "%s/%d", w->folder, i), &sizes, d);
    arena_free(&a);
    return ok;
}

static bool start_compiler(stopwatch *w, timed *one, int i, pid_t *child, nasc_diag *d)
{
    arena *a = w->session->arena;
    char *word[PROCESS_WORDS_MAX];
    int count = process_compiler(a, target_compiler(w->target), word);
    one->program = file_of(w, i, "part_test");
    char *const options[] = {"-std=c11",
                             "-O3",
                             "-ffp-contract=off",
                             "-o",
                             one->program,
                             file_of(w, i, "part.c"),
                             file_of(w, i, "part_test.c")};
    for (size_t k = 0; k < COUNT(options); k++)
        word[count++] = options[k];
    word[count] = NULL;
    w->compiler = word[0];
    return process_start(word, file_of(w, i, "log"), child, d);
}

/* Waits for one of the running compilers. */
static bool end_compiler(const stopwatch *w, pid_t *child, int count, nasc_diag *d)
{
    pid_t ended = -1;
    int status, i = 0;
    if (!process_wait(&ended, &status, d))
        return false;
    while (i < count && child[i] != ended)
        i++;
    if (i == count)
        return true;
    child[i] = 0;
    return status == 0 || diag_fail(d, DIAG_DEVICE, w->compiler, "the C compiler failed: %s",
                                    process_complaint(w->session->arena, file_of(w, i, "log"), status));
}

static bool report(const stopwatch *w, const char *what, int done, int all)
{
    struct progress_state state = {
        .phase = what, .epochs = 1, .step = done, .steps = all, .loss = NAN, .accuracy = NAN};
    return progress_report(&w->session->progress, &state);
}

static bool build(stopwatch *w, timed *at, int count, nasc_diag *d)
{
    pid_t *child = NEW_ARRAY(w->session->arena, pid_t, count + 1);
    int running = 0, next = 0;
    bool ok = true;
    while (running || (ok && next < count)) {
        if (ok && next < count && running < w->session->threads) {
            ok = write_program(w, &at[next], next, d) && start_compiler(w, &at[next], next, &child[next], d);
            running += ok;
            next++;
            continue;
        }
        running--;
        ok = end_compiler(w, child, count, d) && ok && report(w, "compile", next - running, count);
    }
    return ok;
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

/* Runs the program once, directly or by --run; what it prints. */
static bool run_once(const stopwatch *w, const timed *one, int i, long runs, double *min, double *median, nasc_diag *d)
{
    arena *a = w->session->arena;
    char *log = file_of(w, i, "log"), *number = arena_printf(a, "%ld", runs);
    char *direct[] = {one->program, "--bench", number, NULL};
    char *shell[] = {"sh",         "-c",   arena_printf(a, "%s \"$0\" --bench \"$1\"", w->run ? w->run : ""),
                     one->program, number, NULL};
    const char *where = w->run ? w->run : one->program;
    pid_t child;
    int status;
    size_t size;
    if (!process_start(w->run ? shell : direct, log, &child, d) || !process_wait(&child, &status, d))
        return false;
    const char *said = file_read(a, log, &size, d);
    if (!said)
        return false;
    if (status == 0 && sscanf(said, "min_ms %lf median_ms %lf", min, median) == 2 && *min >= 0 && *median >= *min)
        return true;
    return diag_fail(d, DIAG_DEVICE, where, "found '%.200s' (exit %d), expected 'min_ms X median_ms Y'",
                     process_complaint(a, log, status), status);
}

/* So many that they take `visit_ms` together. */
static long runs_for(const timed *one, double ms, double visit_ms)
{
    double runs = visit_ms / (ms + (double)one->around / AROUND_BYTES_A_MS + 1e-6);
    return runs < RUNS_LEAST ? RUNS_LEAST : runs > RUNS_MOST ? RUNS_MOST : (long)runs;
}

typedef struct visit {
    double min, median, yard; /* yard: the yardstick's shortest, the slower of before and after */
} visit;

typedef struct rounds {
    const stopwatch *watch;
    timed *at;
    int count, done, most; /* programs; rounds */
    long *runs, yard_runs;
    visit *visits;     /* of program i those from i · most on */
    double yard, best; /* the yardstick's last time, its shortest */
} rounds;

static bool run_yardstick(rounds *m, nasc_diag *d)
{
    double median;
    if (!run_once(m->watch, &m->at[0], 0, m->yard_runs, &m->yard, &median, d))
        return false;
    m->best = m->best > 0 && m->best < m->yard ? m->best : m->yard;
    return true;
}

/* How long each takes, roughly. */
static bool first_round(rounds *m, nasc_diag *d)
{
    double low, median;
    for (int i = 0; i < m->count; i++) {
        if (!run_once(m->watch, &m->at[i], i, RUNS_FIRST, &low, &median, d))
            return false;
        m->runs[i] = runs_for(&m->at[i], low, VISIT_MS);
        if (i == 0)
            m->yard_runs = runs_for(&m->at[i], low, YARD_MS);
    }
    return run_yardstick(m, d);
}

static bool one_round(rounds *m, nasc_diag *d)
{
    for (int i = 0; i < m->count; i++) {
        visit *v = &m->visits[(int64_t)i * m->most + m->done];
        double before = m->yard;
        if (!run_once(m->watch, &m->at[i], i, m->runs[i], &v->min, &v->median, d) || !run_yardstick(m, d) ||
            !report(m->watch, "time", m->done * m->count + i + 1,
                    (m->done < m->watch->rounds ? m->watch->rounds : m->most) * m->count))
            return false;
        v->yard = before > m->yard ? before : m->yard;
    }
    m->done++;
    return true;
}

/* How many visits of program i count. */
static int quiet_visits(const rounds *m, int i)
{
    int quiet = 0;
    for (int r = 0; r < m->done; r++)
        quiet += m->visits[(int64_t)i * m->most + r].yard <= QUIET * m->best;
    return quiet;
}

static bool is_settled(const rounds *m)
{
    for (int i = 0; i < m->count; i++) {
        int quiet = quiet_visits(m, i);
        if (quiet < QUIET_VISITS && quiet < m->watch->rounds)
            return false;
    }
    return true;
}

/* By the visits that count; where there are none, by all, each as much shorter as the yardstick could have been. */
static timing timing_of(const rounds *m, int i)
{
    double *median = NEW_ARRAY(m->watch->session->arena, double, m->done);
    int count = 0, quiet = quiet_visits(m, i);
    timing t = {0};
    for (int r = 0; r < m->done; r++) {
        const visit *v = &m->visits[(int64_t)i * m->most + r];
        if (quiet && v->yard > QUIET * m->best)
            continue;
        double scale = quiet ? 1 : m->best / v->yard;
        t.min_ms = count && t.min_ms < v->min * scale ? t.min_ms : v->min * scale;
        median[count++] = v->median * scale;
    }
    t.median_ms = latency_median(median, count);
    for (int r = 0; r < count; r++)
        median[r] = fabs(median[r] - t.median_ms);
    t.noise = t.median_ms > 0 ? latency_median(median, count) / t.median_ms : 0;
    return t;
}

static bool measure(const stopwatch *w, timed *at, int count, nasc_diag *d)
{
    arena *a = w->session->arena;
    rounds m = {.watch = w,
                .at = at,
                .count = count,
                .most = w->rounds * ROUNDS_FACTOR,
                .runs = NEW_ARRAY(a, long, count),
                .visits = NEW_ARRAY(a, visit, (int64_t)count * w->rounds * ROUNDS_FACTOR)};
    if (!first_round(&m, d))
        return false;
    while (m.done < w->rounds || (m.done < m.most && !is_settled(&m)))
        if (!one_round(&m, d))
            return false;
    for (int i = 0; i < count; i++)
        at[i].time = timing_of(&m, i);
    return true;
}

bool stopwatch_time(stopwatch *w, timed *at, int count, nasc_diag *d)
{
    double start = clock_seconds();
    bool ok = build(w, at, count, d);
    double middle = clock_seconds();
    ok = ok && measure(w, at, count, d);
    w->compile_seconds += middle - start;
    w->measure_seconds += clock_seconds() - middle;
    for (int i = 0; i < count; i++)
        remove_files(w, i);
    progress_close(&w->session->bar);
    return ok;
}
