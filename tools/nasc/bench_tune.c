/* Which schedule serves each kernel best on this machine. One dimension after the other, the whole workload runs under
 * every alternative, in turns, so that kernels are measured among their neighbours and whatever else the machine does
 * meets all alternatives; the best run of each counts. What wins is kept in the cache, and compiling finds it there. */
#include "bench.h"

#include <string.h>

enum {
    ROUNDS = 4,    /* of all alternatives */
    CHOICES = 5,   /* alternatives of a dimension, at most; the first leaves the kernel as it is */
    GAIN_LEAST = 2 /* percent that make another schedule the better one: less may be chance */
};

/* A dimension of schedules and its values; 0 ends them. */
static const struct dimension {
    size_t offset; /* in lower_options */
    int value[CHOICES];
} dimensions[] = {
    {offsetof(lower_options, tile_rows), {2, 4, 8, 32}},
    {offsetof(lower_options, vectors), {1, 3, 4}},
};

/* A kernel: the best schedule so far, and how long a step spends in it under each alternative. */
typedef struct candidate {
    unsigned char key[16];
    lower_options best;
    double seconds[CHOICES];
    unsigned char code[CHOICES][16]; /* key of what an alternative makes of it */
    double first, last;              /* of the model's own schedule; of the best */
    double now;                      /* in the present run */
} candidate;

typedef struct tuner {
    session *s;
    VEC(candidate) kernels;
    const struct dimension *varied; /* NULL: none */
    int choice;                     /* of the dimension; 0: the best so far */
    int others;                     /* alternatives that made other code of a kernel */
} tuner;

static candidate *kernel_of(tuner *t, const unsigned char key[16])
{
    for (int i = 0; i < t->kernels.count; i++)
        if (memcmp(t->kernels.at[i].key, key, 16) == 0)
            return &t->kernels.at[i];
    candidate new = {.now = 0};
    memcpy(new.key, key, 16);
    VEC_PUSH(t->s->arena, &t->kernels, new);
    return &t->kernels.at[t->kernels.count - 1];
}

/* The book that an alternative is compiled by. */
static bool find(void *user, const unsigned char key[16], lower_options *found)
{
    tuner *t = user;
    *found = kernel_of(t, key)->best;
    if (t->choice > 0)
        *(int *)((char *)found + t->varied->offset) = t->varied->value[t->choice - 1];
    return true;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void clocks_on(session *s, workload *w)
{
    run_clock *clocks = NEW_ARRAY(s->arena, run_clock, w->count);
    for (int i = 0; i < w->count; i++) {
        clocks[i].instance_seconds = NEW_ARRAY(s->arena, double, w->programs[i]->program->instances.count + 1);
        w->programs[i]->clock = &clocks[i];
    }
}

/* Most schedules change nothing in most kernels. */
static void note_code(tuner *t, const workload *w)
{
    for (int i = 0; i < w->count; i++) {
        const program *p = w->programs[i]->program;
        for (int k = 0; k < p->instances.count; k++) {
            const program_instance *of = &p->instances.at[k];
            memcpy(kernel_of(t, of->schedule)->code[t->choice], of->code, sizeof of->code);
        }
    }
}

/* One run of an alternative; the best of each kernel is remembered. */
static bool run_once(tuner *t, const workload *w, int choice, bool counts, nasc_diag *d)
{
    for (int i = 0; i < w->count; i++)
        memset(w->programs[i]->clock->instance_seconds, 0,
               (size_t)w->programs[i]->program->instances.count * sizeof(double));
    if (!w->once(w->user, d) || (w->alpha && !w->alpha(w->user, d)) || session_interrupted())
        return false;
    for (int i = 0; i < t->kernels.count; i++)
        t->kernels.at[i].now = 0;
    for (int i = 0; i < w->count; i++)
        for (int k = 0; k < w->programs[i]->program->instances.count; k++)
            kernel_of(t, w->programs[i]->program->instances.at[k].schedule)->now +=
                w->programs[i]->clock->instance_seconds[k];
    for (int i = 0; i < t->kernels.count && counts; i++) {
        double *best = &t->kernels.at[i].seconds[choice];
        if (*best == 0 || t->kernels.at[i].now < *best)
            *best = t->kernels.at[i].now;
    }
    return true;
}

static int choices_of(const struct dimension *v)
{
    int count = 1;
    while (count < CHOICES && v->value[count - 1] > 0)
        count++;
    return count;
}

static void settle(tuner *t, int choices, bool first)
{
    for (int i = 0; i < t->kernels.count; i++) {
        candidate *k = &t->kernels.at[i];
        int best = 0;
        for (int c = 1; c < choices; c++) {
            bool other = memcmp(k->code[c], k->code[0], sizeof k->code[0]) != 0;
            t->others += other;
            if (other && k->seconds[c] < k->seconds[best])
                best = c;
        }
        if (k->seconds[best] > (1 - 0.01 * GAIN_LEAST) * k->seconds[0])
            best = 0;
        if (first)
            k->first = k->seconds[0];
        k->last = k->seconds[best];
        if (best > 0)
            *(int *)((char *)&k->best + t->varied->offset) = t->varied->value[best - 1];
        memset(k->seconds, 0, sizeof k->seconds);
    }
}

static bool measure(tuner *t, const model *m, const bench_arguments *a, workload_open *open, nasc_diag *d)
{
    workload *w = NEW_ARRAY(t->s->arena, workload, CHOICES);
    int choices = choices_of(t->varied);
    for (t->choice = 0; t->choice < choices; t->choice++) {
        if (!open(t->s, m, a, &w[t->choice], d))
            return false;
        clocks_on(t->s, &w[t->choice]);
        note_code(t, &w[t->choice]);
    }
    for (int round = 0; round <= ROUNDS; round++)
        for (int c = 0; c < choices; c++)
            if (!run_once(t, &w[c], c, round > 0, d)) /* the first touches memory that no later one has to */
                return false;
    settle(t, choices, t->varied == dimensions);
    return true;
}

bool bench_tune(session *s, const model *m, const bench_arguments *a, workload_open *open, tuning *result, nasc_diag *d)
{
    tuner t = {.s = s};
    s->schedules = (schedule_book){find, &t};
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT(dimensions); i++) {
        t.varied = &dimensions[i];
        ok = measure(&t, m, a, open, d);
    }
    s->schedules = tuned_book(&s->tuned);
    result->others = t.others;
    for (int i = 0; ok && i < t.kernels.count; i++) {
        const candidate *k = &t.kernels.at[i];
        tuned_keep(&s->tuned, k->key, &k->best);
        result->kernels++;
        result->better += k->best.tile_rows || k->best.vectors;
        result->before += k->first;
        result->after += k->last;
    }
    return ok;
}
