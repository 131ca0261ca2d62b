/* nasc info: how large a network is, whole and by layer. Multiply-adds are those of convolutions and linear layers, an
 * image, without auxiliary heads, as the field's tables have them. Memory is what the planned programs and the runtime
 * take. */
#include "cli.h"
#include "memory.h"
#include "output.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef struct layer {
    const char *name;
    net_type output; /* of its last node */
    int64_t parameters, macs;
} layer;

typedef struct summary {
    arena *arena;
    VEC(layer) layers;
    layer total;
    memory memory[MEMORY_USES];
    int memory_count, threads;
} summary;

/* A path's layer is its first name, with the index that follows where something follows that: cells.0._ops.3.op.1 is in
 * cells.0, stem.1 in stem. `length` is that of the path without what is no step of its own. */
static size_t layer_length(const char *path, size_t length)
{
    size_t first = strcspn(path, ".");
    if (first >= length)
        return length;
    size_t digits = strspn(path + first + 1, "0123456789");
    return digits && first + 1 + digits < length ? first + 1 + digits : first;
}

static layer *layer_of(summary *s, const char *path, size_t length)
{
    for (int i = s->layers.count - 1; i >= 0; i--) {
        size_t have = strlen(s->layers.at[i].name);
        if (have <= length && memcmp(s->layers.at[i].name, path, have) == 0 && (have == length || path[have] == '.'))
            return &s->layers.at[i];
    }
    layer new = {.name = arena_printf(s->arena, "%.*s", (int)layer_length(path, length), path)};
    VEC_PUSH(s->arena, &s->layers, new);
    return &s->layers.at[s->layers.count - 1];
}

static void summarise(summary *s, const net *n)
{
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *node = &n->nodes.at[i];
        if (net_prim_info[node->prim].class == NET_LEAF || !node->name || !*node->name)
            continue;
        layer *l = layer_of(s, node->name, strlen(node->name));
        int64_t macs = net_prim_info[node->prim].cost(n, node).macs;
        l->output = node->type;
        l->macs += macs;
        s->total.macs += macs;
    }
    for (int i = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        if (p->slot != SLOT_WEIGHTS)
            continue;
        int64_t elements = (int64_t)p->dim[0] * p->dim[1] * p->dim[2] * p->dim[3];
        const char *last = strrchr(p->name, '.'); /* weight, bias */
        layer_of(s, p->name, last ? (size_t)(last - p->name) : strlen(p->name))->parameters += elements;
        s->total.parameters += elements;
    }
}

static void print_layer(const layer *l)
{
    char shape[40] = "";
    if (l->output.c)
        snprintf(shape, sizeof shape, "%dx%dx%d", l->output.h, l->output.w, l->output.c);
    printf("%-20s %14s %14" PRId64 " %16" PRId64 "\n", l->name, shape, l->parameters, l->macs);
}

static void print_memory(const memory *m)
{
    const double mib = 1024.0 * 1024.0;
    if (m->problem.kind) {
        printf("%-22s impossible: %s: %s\n", m->use, m->problem.where, m->problem.message);
        return;
    }
    printf("%-22s %6d %12.1f %12.1f %12.1f %12.1f %12.1f %12.1f\n", m->use, m->batch, (double)m->arena / mib,
           (double)m->scratch / mib, (double)m->vectors / mib, (double)m->batches / mib, (double)m->process / mib,
           (double)memory_total(m) / mib);
}

/* One path runs at a time, but the weights of all are there. */
static void print_candidates(const model *m, const summary *s)
{
    if (m->genotype || !space_selects(m->space) || s->memory_count < 1 || s->memory[0].problem.kind)
        return;
    printf(
        "of the weights, those of all candidates with their momentum take %.1f MiB, the gradients of one path %.1f\n",
        (double)s->memory[0].candidates / 1048576, (double)s->memory[0].gradients / 1048576);
}

static void print_text(const model *m, const summary *s, const space_net *net)
{
    printf("%s: %s, input %s, %s classes\n", space_name(m->space), m->genotype ? "genotype" : "space",
           settings_text(&m->settings, SETTING_input), settings_text(&m->settings, SETTING_classes));
    for (int i = 0; i < net->choice_count; i++)
        printf("%s: %d choices of %d candidates\n", net->choices[i].alpha, net->choices[i].rows,
               net->choices[i].columns);
    printf("\n%-20s %14s %14s %16s\n", "layer", "output", "parameters", "multiply-adds");
    for (int i = 0; i < s->layers.count; i++)
        print_layer(&s->layers.at[i]);
    print_layer(&s->total);
    printf("\n%-22s %6s %12s %12s %12s %12s %12s %12s\n", "memory in MiB", "batch", "activations", "scratch", "weights",
           "batches", "nasc", "peak");
    for (int i = 0; i < s->memory_count; i++)
        print_memory(&s->memory[i]);
    print_candidates(m, s);
    printf("(threads: %d; the data set comes on top)\n", s->threads);
}

static json_t *layer_json(const layer *l)
{
    return json_pack("{s:s, s:[i,i,i], s:I, s:I}", "name", l->name, "output", l->output.h, l->output.w, l->output.c,
                     "parameters", (json_int_t)l->parameters, "multiply_adds", (json_int_t)l->macs);
}

static json_t *memory_json(const memory *m)
{
    if (m->problem.kind)
        return json_pack("{s:s, s:s}", "use", m->use, "impossible", m->problem.message);
    return json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "use", m->use, "batch", m->batch,
                     "threads", m->threads, "activation_bytes", (json_int_t)m->arena, "scratch_bytes",
                     (json_int_t)m->scratch, "weight_bytes", (json_int_t)m->vectors, "candidate_bytes",
                     (json_int_t)m->candidates, "gradient_bytes", (json_int_t)m->gradients, "batch_bytes",
                     (json_int_t)m->batches, "process_bytes", (json_int_t)m->process, "peak_bytes",
                     (json_int_t)memory_total(m));
}

static bool print_json(const model *m, const summary *s, const space_net *net, nasc_diag *d)
{
    json_t *layers = json_array(), *choices = json_array(), *memory = json_array();
    for (int i = 0; i < s->layers.count; i++)
        json_array_append_new(layers, layer_json(&s->layers.at[i]));
    for (int i = 0; i < s->memory_count; i++)
        json_array_append_new(memory, memory_json(&s->memory[i]));
    for (int i = 0; i < net->choice_count; i++)
        json_array_append_new(choices, json_pack("{s:s, s:i, s:i}", "alpha", net->choices[i].alpha, "choices",
                                                 net->choices[i].rows, "candidates", net->choices[i].columns));
    json_t *all = json_pack("{s:s, s:s, s:[i,i,i], s:I, s:I, s:I, s:o, s:o, s:o}", "name", space_name(m->space), "kind",
                            m->genotype ? "genotype" : "space", "input", m->h, m->w, m->c, "classes",
                            (json_int_t)settings_int(&m->settings, SETTING_classes), "parameters",
                            (json_int_t)s->total.parameters, "multiply_adds", (json_int_t)s->total.macs, "choices",
                            choices, "layers", layers, "memory", memory);
    return output_json(all, JSON_INDENT(2), d);
}

typedef struct info_arguments {
    arguments common;
    int64_t memory;
} info_arguments;

static bool info(const info_arguments *given, model *m, nasc_diag *d)
{
    const arguments *a = &given->common;
    space_net net;
    if (!model_open(m, a, a->operand[0], d) || !model_build(m, a, (space_mode){0}, &net, d))
        return false;
    summary s = {.arena = a->arena, .total = {.name = "total"}};
    summarise(&s, net.net);
    s.threads = a->threads > 0 ? (int)a->threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    s.memory_count = memory_predict(m, s.threads, given->memory, s.memory, d);
    if (s.memory_count < 0)
        return false;
    if (a->json)
        return print_json(m, &s, &net, d);
    print_text(m, &s, &net);
    return true;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    model m;
    bool ok = info(arguments, &m, d);
    model_close(&m);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const option_row options[] = {
    {.name = "memory",
     .value = "SIZE",
     .kind = OPTION_SIZE,
     .offset = offsetof(info_arguments, memory),
     .least = 1,
     .help = "most for the tensors of a step, as 300M or 2G: what is too much is computed again"},
    {.name = "batch", .value = "N", .kind = OPTION_SETTING, .help = "images at a time"},
};

const command command_info = {
    .name = "info",
    .operands = "FILE",
    .summary = "How large a space's or genotype's network is: parameters, multiply-adds, memory.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(info_arguments),
    .run = run,
};
