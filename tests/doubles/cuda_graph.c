/* Graphs of the driver's double. Nodes run after those that they are after; which of several comes first is nobody's to
 * rely on: here it is mostly the one that was made last. */
#include "cuda_double.h"

struct node {
    struct graph *of;
    int number;
    bool kernel; /* else it is empty */
    struct call call;
    struct host **hosts; /* of a child: what a stream captured, in its order */
    int host_count;
    int waits; /* so many nodes come before it */
    struct node **followers;
    int count;
};

struct graph {
    struct node **nodes;
    int count;
};

struct ready {
    struct graph *graph;
    bool *on;     /* each node */
    int launched; /* that have not run yet */
};

struct launched {
    struct ready *ready;
    bool *on;
};

EXPORT int cuGraphCreate(void **made, unsigned flags)
{
    int code = fails("cuGraphCreate", OUT_OF_MEMORY);
    if (code != OK || !gpu.entered || flags != 0)
        return code != OK ? code : INVALID_VALUE;
    *made = calloc(1, sizeof(struct graph));
    gpu.graphs++;
    return OK;
}

EXPORT int cuGraphDestroy(void *graph)
{
    struct graph *g = graph;
    for (int i = 0; i < g->count; i++) {
        call_drop(&g->nodes[i]->call);
        for (int k = 0; k < g->nodes[i]->host_count; k++)
            host_drop(g->nodes[i]->hosts[k]);
        free(g->nodes[i]->hosts);
        free(g->nodes[i]->followers);
        free(g->nodes[i]);
    }
    free(g->nodes);
    free(g);
    gpu.graphs--;
    return OK;
}

static void append(struct node ***list, int *count, struct node *n)
{
    struct node **more = realloc(*list, (size_t)(*count + 1) * sizeof *more);
    if (!more)
        wrong("there is no memory for a graph");
    more[(*count)++] = n;
    *list = more;
}

static struct node *add_node(struct graph *g, void *const *after, size_t count)
{
    struct node *n = calloc(1, sizeof *n);
    *n = (struct node){.of = g, .number = g->count, .waits = (int)count};
    for (size_t i = 0; i < count; i++) {
        struct node *before = after[i];
        if (before->of != g)
            wrong("a node is after one of another graph");
        append(&before->followers, &before->count, n);
    }
    append(&g->nodes, &g->count, n);
    return n;
}

void *graph_new(void)
{
    gpu.graphs++;
    return calloc(1, sizeof(struct graph));
}

static void add_host(struct node *n, struct host *h)
{
    struct host **more = realloc(n->hosts, (size_t)(n->host_count + 1) * sizeof *more);
    if (!more)
        wrong("there is no memory left");
    n->hosts = more;
    n->hosts[n->host_count++] = h;
}

void graph_add_host(void *graph, struct host *h)
{
    struct graph *g = graph;
    add_host(g->count ? g->nodes[0] : add_node(g, NULL, 0), h);
}

EXPORT int cuGraphAddChildGraphNode(void **made, void *graph, void *const *after, size_t count, void *child)
{
    const struct graph *c = child;
    struct node *n = *made = add_node(graph, after, count);
    for (int i = 0; c->count && i < c->nodes[0]->host_count; i++) {
        c->nodes[0]->hosts[i]->owners++;
        add_host(n, c->nodes[0]->hosts[i]);
    }
    return fails("cuGraphAddChildGraphNode", OUT_OF_MEMORY);
}

/* CUDA_KERNEL_NODE_PARAMS, first version. */
struct kernel {
    void *function;
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    void **parameters, **extra;
};

EXPORT int cuGraphAddKernelNode(void **made, void *graph, void *const *after, size_t count, const struct kernel *k)
{
    int code = fails("cuGraphAddKernelNode", OUT_OF_MEMORY);
    if (code != OK)
        return code;
    if (k->grid_y != 1 || k->grid_z != 1 || k->block_y != 1 || k->block_z != 1 || k->shared_bytes || k->extra)
        return INVALID_VALUE;
    struct node *n = add_node(graph, after, count);
    n->kernel = true;
    *made = n;
    return call_make(&n->call, k->function, k->grid_x, k->block_x, k->parameters) ? OK : INVALID_VALUE;
}

EXPORT int cuGraphAddEmptyNode(void **made, void *graph, void *const *after, size_t count)
{
    *made = add_node(graph, after, count);
    return fails("cuGraphAddEmptyNode", OUT_OF_MEMORY);
}

EXPORT int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long flags)
{
    int code = fails("cuGraphInstantiateWithFlags", OUT_OF_MEMORY);
    if (code != OK || flags != 0)
        return code != OK ? code : INVALID_VALUE;
    struct ready *r = calloc(1, sizeof *r);
    r->graph = graph;
    r->on = malloc((size_t)r->graph->count + 1);
    memset(r->on, true, (size_t)r->graph->count);
    gpu.ready++;
    *made = r;
    return OK;
}

EXPORT int cuGraphExecDestroy(void *ready)
{
    struct ready *r = ready;
    if (r->launched)
        wrong("a graph is destroyed that was launched and has not run");
    free(r->on);
    free(r);
    gpu.ready--;
    return OK;
}

/* Launches from here on see it. */
EXPORT int cuGraphNodeSetEnabled(void *ready, void *node, unsigned enabled)
{
    struct ready *r = ready;
    const struct node *n = node;
    int code = fails("cuGraphNodeSetEnabled", LAUNCH_FAILED);
    if (code != OK || n->of != r->graph || !n->kernel || enabled > 1)
        return code != OK ? code : INVALID_VALUE;
    r->on[n->number] = enabled;
    return OK;
}

EXPORT int cuGraphLaunch(void *ready, void *stream)
{
    struct ready *r = ready;
    int code = fails("cuGraphLaunch", LAUNCH_FAILED);
    if (code != OK)
        return code;
    struct launched *l = malloc(sizeof *l);
    *l = (struct launched){r, malloc((size_t)r->graph->count + 1)};
    memcpy(l->on, r->on, (size_t)r->graph->count);
    r->launched++;
    return stream_add_launched(stream, l);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Of the nodes that may run, the one that became so last. */
void launched_run(struct launched *l)
{
    const struct graph *g = l->ready->graph;
    struct node **may = malloc((size_t)(g->count + 1) * sizeof(struct node *));
    int *waits = malloc((size_t)(g->count + 1) * sizeof *waits), count = 0;
    for (int i = 0; i < g->count; i++) {
        waits[i] = g->nodes[i]->waits;
        if (waits[i] == 0)
            may[count++] = g->nodes[i];
    }
    while (count > 0) {
        const struct node *n = may[--count];
        if (n->kernel && l->on[n->number])
            call_run(&n->call);
        for (int i = 0; i < n->host_count; i++)
            n->hosts[i]->run(n->hosts[i]->what);
        for (int i = 0; i < n->count; i++)
            if (--waits[n->followers[i]->number] == 0)
                may[count++] = n->followers[i];
    }
    free(may);
    free(waits);
}

void launched_drop(struct launched *l)
{
    l->ready->launched--;
    free(l->on);
    free(l);
}

bool launched_uses(const struct launched *l, const struct piece *p)
{
    const struct graph *g = l->ready->graph;
    for (int i = 0; i < g->count; i++) {
        const struct node *n = g->nodes[i];
        if (n->kernel && call_uses(&n->call, p))
            return true;
        for (int k = 0; k < n->host_count; k++)
            if (host_uses(n->hosts[k], p))
                return true;
    }
    return false;
}
