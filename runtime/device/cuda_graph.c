/* A queue as work for the GPU. One that comes again becomes a graph: a node a kernel, those of a launch beside each other
 * and after those of the launch before, so that small kernels share the GPU; it is launched whole. Where candidates are
 * selected, all of them are in it, and their nodes are switched on and off between launches: which ones are active is
 * another choice every time, but one graph. */
#include "cuda.h"

#include <stdio.h>
#include <string.h>

/* ---- one after the other ----------------------------------------------------------------------------------------- */

/* What is launched: a kernel, its grid, its parameters. */
enum { PARAMETERS_MAX = 512 + 2 };
typedef struct grid {
    void *function;
    unsigned blocks, threads;
    gpu_address at[PARAMETERS_MAX];
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

static void grid_of(const cuda *v, const queued *q, const program_instance *i, grid *g)
{
    const program_image *image = &q->of->image[i->kernel];
    int64_t units = device_units(i, q->n);
    int64_t blocks = image->blocks ? units : (units + image->threads - 1) / image->threads;
    CHECK(i->args + 2 <= PARAMETERS_MAX && units <= INT32_MAX);
    g->function = q->of->function[i->kernel];
    g->blocks = (unsigned)blocks;
    g->threads = (unsigned)image->threads;
    for (int k = 0; k < i->args; k++) {
        g->at[k] = cuda_address(v, q, &q->of->program->args.at[i->first_arg + k]);
        g->parameter[k] = &g->at[k];
    }
    g->n = q->n;
    g->units = (int)units;
    g->parameter[i->args] = &g->n;
    g->parameter[i->args + 1] = &g->units;
}

static bool launch_instance(const cuda *v, const queued *q, const program_instance *i, nasc_diag *d)
{
    grid g;
    if (i->kernel < 0)
        return cuda_convolve(v, q, i, d);
    grid_of(v, q, i, &g);
    int code = v->call.launch(g.function, g.blocks, 1, 1, g.threads, 1, 1, 0, v->compute, g.parameter, NULL);
    return cuda_done(v, code, i->name ? i->name : "a kernel", d);
}

/* Waits for the instance, so that its time is its own. */
static bool launch_timed(const cuda *v, const queued *q, int instance, nasc_diag *d)
{
    float milliseconds = 0;
    if (!cuda_done(v, v->call.event_record(v->start, v->compute), "an event", d) ||
        !launch_instance(v, q, &q->of->program->instances.at[instance], d) ||
        !cuda_done(v, v->call.event_record(v->end, v->compute), "an event", d) ||
        !cuda_done(v, v->call.event_wait(v->end), "running a kernel", d) ||
        !cuda_done(v, v->call.event_elapsed(&milliseconds, v->start, v->end), "the time of a kernel", d))
        return false;
    v->timed->instance_seconds[instance] += milliseconds * 1e-3;
    if (v->timed->instance_runs)
        v->timed->instance_runs[instance]++;
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
            for (int k = launch->first; k < launch->first + launch->count && device_runs(&r, launch); k++)
                if (!(v->timed ? launch_timed(v, q, k, d) : launch_instance(v, q, &p->instances.at[k], d)))
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

static bool add_instance(making *m, const queued *q, const program_instance *i, void **node, nasc_diag *d)
{
    grid g;
    if (i->kernel < 0)
        return cuda_add_convolution(m->v, q, i, m->graph, m->before.at, (size_t)m->before.count, node, d);
    grid_of(m->v, q, i, &g);
    kernel_node k = {g.function, g.blocks, 1, 1, g.threads, 1, 1, 0, g.parameter, NULL};
    int code = m->v->call.graph_kernel(node, m->graph, m->before.at, (size_t)m->before.count, &k);
    return cuda_done(m->v, code, i->name ? i->name : "a kernel", d);
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
    if (!join(m, l->count, d))
        return false;
    for (int k = l->first; k < l->first + l->count; k++) {
        void *node;
        if (!add_instance(m, q, &q->of->program->instances.at[k], &node, d))
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
            if (!left_out && launch->count > 0 && !add_launch(m, run, launch, d))
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
