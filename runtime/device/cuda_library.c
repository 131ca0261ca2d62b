/* Convolutions that are no kernels of ours: a library launches its own on the stream that it is given. In a graph, what
 * it launches is captured and becomes a child. */
#include "cuda.h"

enum { OPERANDS = 3 };

bool cuda_convolve(const cuda *v, const queued *q, const program_instance *i, nasc_diag *d)
{
    const program_arg *arg = &q->of->program->args.at[i->first_arg];
    const program_library *l = &q->of->library;
    bool works = i->args > OPERANDS; /* in memory of its own */
    gpu_address at[OPERANDS], workspace = works ? cuda_address(v, q, &arg[OPERANDS]) : 0;
    CHECK(l->run && i->args >= OPERANDS);
    for (int k = 0; k < OPERANDS; k++)
        at[k] = cuda_address(v, q, &arg[k]);
    return l->run(l->user, &q->of->program->convs.at[i->conv], q->n, at, workspace,
                  works ? arg[OPERANDS].elements * ELEMENT : 0, v->compute, d);
}

/* However the library fares, the stream is itself again. */
static bool capture(const cuda *v, const queued *q, const program_instance *i, void **made, nasc_diag *d)
{
    if (!cuda_done(v, v->call.capture_begin(v->compute, CAPTURE_THREAD), "capturing a convolution", d))
        return false;
    bool ok = cuda_convolve(v, q, i, d);
    int code = v->call.capture_end(v->compute, made);
    return ok && cuda_done(v, code, "capturing a convolution", d);
}

bool cuda_add_convolution(const cuda *v, const queued *q, const program_instance *i, void *graph, void *const *after,
                          size_t count, void **node, nasc_diag *d)
{
    void *child = NULL;
    bool ok = capture(v, q, i, &child, d) && cuda_done(v, v->call.graph_child(node, graph, after, count, child),
                                                       i->name ? i->name : "a convolution", d);
    if (child)
        (void)v->call.graph_drop(child);
    return ok;
}
