/* Where a step's time goes: the clocks of every instance, summed over equal kernels of all programs. Times are those of
 * threads: two threads at work spend two seconds in one. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* ---- measuring --------------------------------------------------------------------------------------------------- */

/* What is timed: an instance, or on a GPU a grid of them. */
typedef struct timed {
    int first, count; /* instances */
    const char *name;
    uintptr_t code; /* equal kernels share theirs; a library's convolutions are told apart by what they are */
} timed;

static timed instance_of(const runnable *r, int i)
{
    const program_instance *in = &r->program->instances.at[i];
    return (timed){i, 1, r->program->kernels.at[in->kernel]->name, (uintptr_t)r->code.entry[in->kernel]};
}

static timed grid_of(arena *a, const runnable *r, int grid)
{
    const program *p = r->program;
    const program_grid *g = &p->grids.at[grid];
    if (g->function < 0) {
        const char *const *conv = &program_conv_name[p->convs.at[p->instances.at[g->first].conv].kind];
        return (timed){g->first, g->count, *conv, (uintptr_t)conv};
    }
    return (timed){g->first, g->count, program_function_name(a, p, &p->functions.at[g->function]),
                   (uintptr_t)r->code.image[g->function].image};
}

static profile_row *row_of(arena *a, profile *p, const program *of, const timed *t)
{
    const char *where = of->instances.at[t->first].name;
    profile_row new = {.kernel = t->name, .where = where ? where : "", .code = t->code};
    for (int i = 0; i < p->rows.count; i++)
        if (p->rows.at[i].code == new.code)
            return &p->rows.at[i];
    VEC_PUSH(a, &p->rows, new);
    return &p->rows.at[p->rows.count - 1];
}

static void add(profile_row *to, const profile_row *more)
{
    to->seconds += more->seconds;
    to->flops += more->flops;
    to->bytes += more->bytes;
    to->calls += more->calls;
}

/* Not every instance runs in every step: candidates rest, and so do running statistics. */
static void add_timed(arena *a, profile *p, const runnable *r, const timed *t, int steps)
{
    const program *q = r->program;
    double calls = (double)r->clock->instance_runs[t->first] / steps;
    profile_row one = {.seconds = r->clock->instance_seconds[t->first] / steps, .calls = calls};
    for (int i = t->first; i < t->first + t->count; i++) {
        const program_instance *in = &q->instances.at[i];
        double times = calls * (in->unit_images ? q->batch : 1);
        one.flops += (double)in->flops_image * times;
        one.bytes += (double)in->bytes_image * times;
    }
    if (calls <= 0)
        return;
    add(row_of(a, p, q, t), &one);
    add(&p->total, &one);
}

static void add_program(arena *a, profile *p, const runnable *r, int steps)
{
    bool gpu = r->code.image != NULL;
    int count = gpu ? r->program->grids.count : r->program->instances.count;
    for (int i = 0; i < count; i++) {
        timed t = gpu ? grid_of(a, r, i) : instance_of(r, i);
        add_timed(a, p, r, &t, steps);
    }
}

static int by_time(const void *a, const void *b)
{
    const profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

bool profile_take(session *s, const workload *w, int steps, profile *p, nasc_diag *d)
{
    bool gpu = s->target.capability > 0; /* whose peak is not measured: it is one thread that keeps it busy */
    p->threads = gpu ? 1 : s->threads;
    if (!gpu) {
        peaks all;
        if (!peaks_measure(s, s->threads, &all, d))
            return false;
        p->flops = all.flops / p->threads;
        p->bandwidth = all.read / p->threads;
    }
    run_clock *clocks = NEW_ARRAY(s->arena, run_clock, w->count);
    for (int i = 0; i < w->count; i++) {
        int instances = w->programs[i]->program->instances.count;
        clocks[i].instance_seconds = NEW_ARRAY(s->arena, double, instances + 1);
        clocks[i].instance_runs = NEW_ARRAY(s->arena, int64_t, instances + 1);
        w->programs[i]->clock = &clocks[i];
    }
    double start = clock_seconds();
    bool ok = true;
    for (int i = 0; ok && i < steps; i++)
        ok = w->once(w->user, d) && !session_interrupted();
    p->wall = (clock_seconds() - start) / steps;
    for (int i = 0; ok && i < w->count; i++)
        add_program(s->arena, p, w->programs[i], steps);
    for (int i = 0; i < w->count; i++)
        w->programs[i]->clock = NULL;
    if (p->rows.count > 0)
        qsort(p->rows.at, (size_t)p->rows.count, sizeof *p->rows.at, by_time);
    return ok;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

/* The least time in which a thread could do it, by its multiply-adds or by what it moves, if that is the longer. */
static double bound_of(const profile *p, const profile_row *r)
{
    double work = p->flops > 0 ? r->flops / p->flops : 0, moving = p->bandwidth > 0 ? r->bytes / p->bandwidth : 0;
    return work > moving ? work : moving;
}

static void print_row(const profile *p, const profile_row *r, const char *kernel, const char *where)
{
    double seconds = r->seconds > 0 ? r->seconds : 1;
    bool moves = p->flops > 0 && r->bytes / p->bandwidth > r->flops / p->flops;
    printf("%9.3f %5.1f%% %6.1f %8.1f %7.1f %5.1f%%%c %9.2f  %-36s %s\n", r->seconds * 1e3,
           100 * r->seconds / (p->total.seconds > 0 ? p->total.seconds : 1), r->calls, r->flops / seconds * 1e-9,
           r->bytes / seconds * 1e-9, 100 * bound_of(p, r) / seconds, moves ? 'm' : ' ', r->bytes / 1048576, kernel,
           where);
}

/* Of the time that all kernels take, the share of those that take at most twice their bound. */
static double near_bound(const profile *p)
{
    double near = 0;
    for (int i = 0; i < p->rows.count; i++)
        near += p->rows.at[i].seconds <= 2 * bound_of(p, &p->rows.at[i]) ? p->rows.at[i].seconds : 0;
    return p->total.seconds > 0 ? near / p->total.seconds : 0;
}

void profile_print(const profile *p)
{
    enum { SHOWN = 40 };
    profile_row rest = {0};
    int more = 0;
    if (p->flops > 0)
        printf("\nof one step, thread by thread; bound: %.1f GFLOP/s a thread, or (m) %.1f GB/s; where: one place of "
               "several\n",
               p->flops * 1e-9, p->bandwidth * 1e-9);
    else
        printf("\nof one step, grid after grid on the GPU, by its clock; where: one place of several\n");
    printf("%9s %6s %6s %8s %7s %7s %9s  %-36s %s\n", "ms", "share", "calls", "GFLOP/s", "GB/s", "bound", "MiB",
           "kernel", "where");
    for (int i = 0; i < p->rows.count; i++)
        if (i < SHOWN) {
            print_row(p, &p->rows.at[i], p->rows.at[i].kernel, p->rows.at[i].where);
        } else {
            add(&rest, &p->rows.at[i]);
            more++;
        }
    if (more)
        print_row(p, &rest, "all others", "");
    print_row(p, &p->total, "together", "");
    if (p->flops > 0)
        printf("kernels that take %.1f %% of the time run at half of their bound or more\n", 100 * near_bound(p));
    printf("threads waited or did other things %.1f %% of %d x %.4f s\n",
           100 * (1 - p->total.seconds / (p->wall * p->threads)), p->threads, p->wall);
}

json_t *profile_json(const profile *p)
{
    json_t *rows = json_array();
    for (int i = 0; i < p->rows.count; i++) {
        const profile_row *r = &p->rows.at[i];
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "kernel", r->kernel, "where", r->where, "s",
                                        r->seconds, "calls", r->calls, "flops", r->flops, "bytes", r->bytes));
    }
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:o}", "wall_s", p->wall, "threads_s", p->total.seconds,
                     "peak_gflops_thread", p->flops * 1e-9, "peak_gbytes_thread", p->bandwidth * 1e-9, "near_bound",
                     near_bound(p), "kernels", rows);
}
