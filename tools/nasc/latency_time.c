/* Times networks: each becomes a program of its own through the code of `nasc export`, is compiled by the target's C
 * compiler, and says itself how long it takes. What disturbs a machine comes and goes, so the programs take turns in
 * rounds, and the shortest time of all rounds counts. */
#include "emit/export.h"
#include "emit/process.h"
#include "inference.h"
#include "latency.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUNS_FIRST = 3, RUNS_LEAST = 5, RUNS_MOST = 2000 };
static const double VISIT_MS = 25; /* that a program runs in a round */
static const double AROUND_BYTES_A_MS = 8e6;

bool stopwatch_open(stopwatch *w, session *s, const target *t, const char *run, int rounds, nasc_diag *d)
{
    *w = (stopwatch){.session = s, .target = t, .run = run, .rounds = rounds};
    return folder_temporary(w->folder, sizeof w->folder, d);
}

/* ---- programs ------------------------------------------------------------------------------------------------------
 */

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

static bool build(stopwatch *w, timed *at, int count, const char *phase, nasc_diag *d)
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
        ok = end_compiler(w, child, count, d) && ok && report(w, phase, next - running, count);
    }
    return ok;
}

/* ---- times ---------------------------------------------------------------------------------------------------------
 */

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

static long runs_for(const timed *one, double ms)
{
    double runs = VISIT_MS / (ms + (double)one->around / AROUND_BYTES_A_MS + 1e-6);
    return runs < RUNS_LEAST ? RUNS_LEAST : runs > RUNS_MOST ? RUNS_MOST : (long)runs;
}

static int rising(const void *x, const void *y)
{
    const double *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

static double median_of(double *at, int count)
{
    qsort(at, (size_t)count, sizeof *at, rising);
    return 0.5 * (at[(count - 1) / 2] + at[count / 2]);
}

static bool measure(const stopwatch *w, timed *at, int count, const char *phase, nasc_diag *d)
{
    arena *a = w->session->arena;
    double *min = NEW_ARRAY(a, double, count * w->rounds), *median = NEW_ARRAY(a, double, count * w->rounds);
    long *runs = NEW_ARRAY(a, long, count);
    for (int round = -1; round < w->rounds; round++)
        for (int i = 0; i < count; i++) {
            double low, middle;
            if (!run_once(w, &at[i], i, round < 0 ? RUNS_FIRST : runs[i], &low, &middle, d) ||
                !report(w, phase, (round + 1) * count + i + 1, (w->rounds + 1) * count))
                return false;
            if (round < 0) {
                runs[i] = runs_for(&at[i], low);
                continue;
            }
            min[i * w->rounds + round] = low;
            median[i * w->rounds + round] = middle;
        }
    for (int i = 0; i < count; i++) {
        double typical = median_of(min + (size_t)i * (size_t)w->rounds, w->rounds), least = min[i * w->rounds];
        at[i].time = (timing){.min_ms = least,
                              .median_ms = median_of(median + (size_t)i * (size_t)w->rounds, w->rounds),
                              .noise = least > 0 ? typical / least - 1 : 0};
    }
    return true;
}

bool stopwatch_time(stopwatch *w, timed *at, int count, const char *what, nasc_diag *d)
{
    arena *a = w->session->arena;
    double start = clock_seconds();
    bool ok = build(w, at, count, arena_printf(a, "compile %s", what), d);
    double middle = clock_seconds();
    ok = ok && measure(w, at, count, arena_printf(a, "time %s", what), d);
    w->compile_seconds += middle - start;
    w->measure_seconds += clock_seconds() - middle;
    for (int i = 0; i < count; i++)
        remove_files(w, i);
    progress_close(&w->session->bar);
    return ok;
}
