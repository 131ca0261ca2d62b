/* A queue as work for the GPU. One that comes again becomes a graph: a node a grid, those of a launch beside each other
 * and after those of the launch before, so that they share the GPU; it is launched whole. Where candidates are
 * selected, all of them are in it, and their nodes are switched on and off between launches: which ones are active is
 * another choice every time, but one graph. */
#include "cuda.h"

#include <stdio.h>
#include <string.h>

/* ---- one after the other ----------------------------------------------------------------------------------------- */

/* What is launched: a function, its grid, its parameters. */
enum { PARAMETERS_MAX = 512 + 2, NUMBERS_MAX = 1 + 3 * GRID_KERNELS };
typedef struct grid {
    void *function;
    unsigned blocks, threads;
    gpu_address at[PARAMETERS_MAX]; /* or the function's table */
    int n, units;
    void *parameter[PARAMETERS_MAX]; /* addresses of the above */
} grid;

gpu_address cuda_address(const cuda *v, const queued *q, const program_arg *a)
{
    const place *p = &q->slot[a->slot];
    const stage *s = &v->stage[v->turn];
    if (a->slot == SLOT_NONE)
        return v->memory + (gpu_address)(a->offset * ELEMENT);
    if (p->where == KEPT)
        return v->memory + (gpu_address)((p->at + a->offset) * ELEMENT);
    gpu_address base = p->where == STAGED_IN ? s->in.gpu : s->out.gpu;
    return base + (gpu_address)(p->at + (a->offset - q->of->slot[a->slot].lo) * ELEMENT);
}

static const program_instance *instances_of(const queued *q, const program_grid *g)
{
    return &q->of->program->instances.at[g->first];
}

static void add_addresses(const cuda *v, const queued *q, const program_instance *i, gpu_address *at)
{
    for (int k = 0; k < i->args; k++)
        at[k] = cuda_address(v, q, &q->of->program->args.at[i->first_arg + k]);
}

/* Blocks of an instance of the part. */
static int blocks_of(const program_function *f, int part, int64_t units)
{
    CHECK(units <= INT32_MAX);
    return (int)(f->part[part].threads ? units : (units + f->threads - 1) / f->threads);
}

/* See program_image. */
static void fill_table(const cuda *v, const queued *q, const program_grid *g, const program_function *f, grid *to)
{
    gpu_address *at = to->at;
    int32_t number[NUMBERS_MAX] = {q->n}, *next = number + 1;
    const program_instance *i = instances_of(q, g);
    memset(to->at, 0, (size_t)f->table * sizeof *at);
    for (int part = 0; part < f->kernels; part++) {
        int64_t units = device_units(i, q->n);
        int blocks = blocks_of(f, part, units);
        *next++ = g->of[part];
        *next++ = blocks;
        *next++ = (int32_t)units;
        to->blocks += (unsigned)(blocks * g->of[part]);
        for (int k = 0; k < g->of[part]; k++, at += i++->args)
            add_addresses(v, q, i, at);
    }
    memcpy(to->at + f->table, number, sizeof number);
    to->parameter[0] = to->at;
}

static void fill_parameters(const cuda *v, const queued *q, const program_instance *i, const program_function *f,
                            grid *to)
{
    int64_t units = device_units(i, q->n);
    CHECK(i->args + 2 <= PARAMETERS_MAX);
    to->blocks = (unsigned)blocks_of(f, 0, units);
    add_addresses(v, q, i, to->at);
    for (int k = 0; k < i->args; k++)
        to->parameter[k] = &to->at[k];
    to->n = q->n;
    to->units = (int)units;
    to->parameter[i->args] = &to->n;
    to->parameter[i->args + 1] = &to->units;
}

static void grid_of(const cuda *v, const queued *q, const program_grid *g, grid *to)
{
    const program_function *f = &q->of->program->functions.at[g->function];
    to->function = q->of->function[g->function];
    to->blocks = 0;
    to->threads = (unsigned)f->threads;
    if (f->table)
        fill_table(v, q, g, f, to);
    else
        fill_parameters(v, q, instances_of(q, g), f, to);
}

static const char *name_of(const program_instance *i)
{
    return i->name ? i->name : "a kernel";
}

static bool launch_grid(const cuda *v, const queued *q, const program_grid *g, nasc_diag *d)
{
    grid to;
    if (g->function < 0)
        return cuda_convolve(v, q, instances_of(q, g), d);
    grid_of(v, q, g, &to);
    int code = v->call.launch(to.function, to.blocks, 1, 1, to.threads, 1, 1, 0, v->compute, to.parameter, NULL);
    return cuda_done(v, code, name_of(instances_of(q, g)), d);
}

/* Waits for the grid, so that its time is its own. */
static bool launch_timed(const cuda *v, const queued *q, const program_grid *g, nasc_diag *d)
{
    float milliseconds = 0;
    if (!cuda_done(v, v->call.event_record(v->start, v->compute), "an event", d) || !launch_grid(v, q, g, d) ||
        !cuda_done(v, v->call.event_record(v->end, v->compute), "an event", d) ||
        !cuda_done(v, v->call.event_wait(v->end), "running a kernel", d) ||
        !cuda_done(v, v->call.event_elapsed(&milliseconds, v->start, v->end), "the time of a kernel", d))
        return false;
    v->timed->instance_seconds[g->first] += milliseconds * 1e-3;
    if (v->timed->instance_runs)
        v->timed->instance_runs[g->first]++;
    return true;
}

static bool launch_all(const cuda *v, nasc_diag *d)
{
    for (int run = 0; run < v->queue.runs.count; run++) {
        const queued *q = &v->queue.runs.at[run];
        const program *p = q->of->program;
        device_run r = cuda_run_of(v, run);
        for (int l = 0; l < p->launches.count; l++) {
            const program_launch *launch = &p->launches.at[l];
            const program_grid *g = p->grids.at + launch->first_grid;
            for (int k = 0; k < launch->grids && device_runs(&r, launch); k++)
                if (!(v->timed ? launch_timed : launch_grid)(v, q, &g[k], d))
                    return false;
        }
    }
    return true;
}

/* ---- making a graph ---------------------------------------------------------------------------------------------- */

typedef VEC(void *) nodes;

typedef struct making {
    cuda *v;
    sequence *s;
    arena *a;
    void *graph;
    nodes before, now; /* of the launch before, and of this one */
    VEC(graph_switch) switches;
} making;

static bool add_grid(making *m, const queued *q, const program_grid *g, void **node, nasc_diag *d)
{
    grid to;
    const program_instance *first = instances_of(q, g);
    if (g->function < 0)
        return cuda_add_convolution(m->v, q, first, m->graph, m->before.at, (size_t)m->before.count, node, d);
    grid_of(m->v, q, g, &to);
    kernel_node k = {to.function, to.blocks, 1, 1, to.threads, 1, 1, 0, to.parameter, NULL};
    int code = m->v->call.graph_kernel(node, m->graph, m->before.at, (size_t)m->before.count, &k);
    return cuda_done(m->v, code, name_of(first), d);
}

/* Many after many: one node between them. */
static bool join(making *m, int wanted, nasc_diag *d)
{
    void *node;
    if (m->before.count < 2 || wanted < 2)
        return true;
    int code = m->v->call.graph_join(&node, m->graph, m->before.at, (size_t)m->before.count);
    m->before.at[0] = node;
    m->before.count = 1;
    return cuda_done(m->v, code, "a graph", d);
}

static bool add_launch(making *m, int run, const program_launch *l, nasc_diag *d)
{
    const queued *q = &m->v->queue.runs.at[run];
    if (!join(m, l->grids, d))
        return false;
    for (int k = l->first_grid; k < l->first_grid + l->grids; k++) {
        void *node;
        if (!add_grid(m, q, &q->of->program->grids.at[k], &node, d))
            return false;
        VEC_PUSH(m->a, &m->now, node);
        graph_switch s = {node, run, l, true};
        if (l->select >= 0)
            VEC_PUSH(m->a, &m->switches, s);
    }
    nodes done = m->before;
    m->before = m->now;
    m->now = done;
    m->now.count = 0;
    return true;
}

static bool add_all(making *m, nasc_diag *d)
{
    for (int run = 0; run < m->v->queue.runs.count; run++) {
        const queued *q = &m->v->queue.runs.at[run];
        const program *p = q->of->program;
        for (int l = 0; l < p->launches.count; l++) {
            const program_launch *launch = &p->launches.at[l];
            bool left_out = q->keep_stats && launch->flags & LAUNCH_MOVES_STATS;
            if (!left_out && launch->grids > 0 && !add_launch(m, run, launch, d))
                return false;
        }
    }
    return true;
}

static bool make_graph(void *user, arena *a, nasc_diag *d)
{
    making *m = user;
    cuda *v = m->v;
    sequence *s = m->s;
    m->a = a;
    if (!cuda_done(v, v->call.graph_create(&s->graph, 0), "a graph", d))
        return false;
    m->graph = s->graph;
    if (!add_all(m, d) || !cuda_done(v, v->call.graph_ready(&s->ready, s->graph, 0), "making a graph ready", d))
        return false;
    s->switch_count = m->switches.count;
    if (s->switch_count)
        s->switches = mem_alloc((size_t)s->switch_count * sizeof *s->switches);
    if (s->switch_count && !s->switches)
        return diag_memory(d);
    if (s->switch_count)
        memcpy(s->switches, m->switches.at, (size_t)s->switch_count * sizeof *s->switches);
    return true;
}

static bool graph_of(cuda *v, sequence *s, nasc_diag *d)
{
    making m = {.v = v, .s = s};
    return arena_within(make_graph, &m, d);
}

/* Candidates as this queue has them. */
static bool set_switches(const cuda *v, const sequence *s, nasc_diag *d)
{
    for (int i = 0; i < s->switch_count; i++) {
        graph_switch *w = &s->switches[i];
        device_run r = cuda_run_of(v, w->run);
        bool on = device_runs(&r, w->launch);
        if (on == w->on)
            continue;
        if (!cuda_done(v, v->call.graph_switch(s->ready, w->node, on), "switching a candidate", d))
            return false;
        w->on = on;
    }
    return true;
}

/* ---- which graph ------------------------------------------------------------------------------------------------- */

static void forget(const cuda *v, sequence *s)
{
    if (s->ready)
        (void)v->call.graph_ready_drop(s->ready);
    if (s->graph)
        (void)v->call.graph_drop(s->graph);
    mem_free(s->switches);
    mem_free(s->key);
    *s = (sequence){0};
}

void cuda_forget_graphs(cuda *v)
{
    for (int i = 0; i < SEQUENCES; i++)
        forget(v, &v->seen[i]);
}

static bool is_of_queue(const cuda *v, const sequence *s)
{
    return s->key && s->length == v->queue.key.count &&
           memcmp(s->key, v->queue.key.at, (size_t)s->length * sizeof *s->key) == 0;
}

/* The queue's sequence if it is remembered; else the place that has been unused longest. */
static sequence *find_sequence(cuda *v)
{
    sequence *oldest = &v->seen[0];
    for (int i = 0; i < SEQUENCES; i++) {
        sequence *s = &v->seen[i];
        if (is_of_queue(v, s))
            return s;
        oldest = s->last_use < oldest->last_use ? s : oldest;
    }
    return oldest;
}

/* In place of what was there. */
static bool remember(cuda *v, sequence *s, nasc_diag *d)
{
    size_t bytes = (size_t)v->queue.key.count * sizeof *v->queue.key.at;
    forget(v, s);
    s->key = mem_alloc(bytes);
    if (!s->key)
        return diag_memory(d);
    memcpy(s->key, v->queue.key.at, bytes);
    s->length = v->queue.key.count;
    return true;
}

bool cuda_begin(cuda *v, nasc_diag *d)
{
    if (v->timed)
        return launch_all(v, d);
    sequence *s = find_sequence(v);
    bool known = is_of_queue(v, s);
    if (!known && !remember(v, s, d))
        return false;
    s->last_use = ++v->uses;
    if (!known)
        return launch_all(v, d);
    return (s->ready || graph_of(v, s, d)) && set_switches(v, s, d) &&
           cuda_done(v, v->call.graph_launch(s->ready, v->compute), "launching a graph", d);
}
