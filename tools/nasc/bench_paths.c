/* What nasc bench step times of a space that selects: a weight step on a drawn path, and the pass that learns alphas by
 * two candidates of each choice. */
#include "bench.h"

typedef struct path_step {
    path_supernet net;
    proxyless *search;
    feed batch;
} path_step;

static bool weight_step(void *user, nasc_diag *d)
{
    path_step *t = user;
    t->search->course.step++;
    return proxyless_weight_step(t->search, &t->batch, d);
}

static bool alpha_pass(void *user, nasc_diag *d)
{
    path_step *t = user;
    t->search->course.step++;
    if (!proxyless_probabilities(t->search, d))
        return false;
    proxyless_draw_gates(t->search);
    return proxyless_gate_gradient(t->search, &t->batch, d);
}

bool bench_paths(session *s, const model *m, const char *which, workload *w, nasc_diag *d)
{
    path_step *t = NEW(s->arena, path_step);
    search_job job = {.space = m->space,
                      .settings = m->settings,
                      .method = search_method_find("proxyless"),
                      .seed = (uint64_t)s->arguments->seed};
    if (!session_path_supernet(s, &job, &t->net, d))
        return false;
    proxyless_config config = {.programs = &t->net.programs,
                               .parameters = session_parameters(t->net.weights.built.net),
                               .settings = session_proxyless_settings(&job),
                               .device = s->device};
    t->search = proxyless_open(s->arena, &config, d);
    t->batch = bench_feed(s, m, 0);
    workload_add(w, &t->net.programs.weights);
    workload_add(w, &t->net.programs.gates);
    for (int i = 0; i < METHOD_COUNT; i++)
        workload_add(w, &t->net.programs.method[i]);
    bool alpha = which && which[0] == 'a';
    w->once = alpha ? alpha_pass : weight_step;
    w->alpha = which ? NULL : alpha_pass;
    w->user = t;
    return t->search != NULL;
}
