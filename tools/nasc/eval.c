/* nasc eval: accuracy, loss and confusion of trained weights on a test set, by the inference program that export emits.
 */
#include "record.h"
#include "session.h"

#include <math.h>
#include <string.h>

typedef struct eval_arguments {
    arguments common;
    const char *data, *weights, *predictions, *engine;
    int64_t limit;
} eval_arguments;

typedef struct evaluating {
    const eval_arguments *a;
    session session;
    space *genotype;
    settings settings;
    const char *data_spec, *weights;
    uint64_t seed;
    dataset *data;
    json_t *run;
} evaluating;

/* A trained RUN, or a genotype with --weights. */
static bool ask(evaluating *e, nasc_diag *d)
{
    const eval_arguments *a = e->a;
    const char *from = a->common.operand[0];
    e->data_spec = a->data;
    e->weights = a->weights;
    e->seed = (uint64_t)a->common.seed;
    if (record_exists(from)) {
        record r;
        e->run = record_read(from, "train", &r, &e->genotype, &e->settings, d);
        if (!e->run)
            return false;
        e->seed = (uint64_t)r.seed;
        e->data_spec = a->data ? a->data : r.data;
        e->weights = a->weights ? a->weights : arena_printf(e->session.arena, "%s/checkpoint.safetensors", from);
        return model_settings(&e->settings, &a->common, d);
    }
    model m;
    bool ok = model_open(&m, &a->common, from, d);
    e->genotype = m.space;
    e->settings = m.settings;
    if (ok && !m.genotype)
        ok = diag_fail(d, DIAG_INPUT, from, "is a space: its choices are still to be made");
    if (ok && (!e->weights || !e->data_spec))
        ok = diag_fail(d, DIAG_INPUT, from, "is a genotype: --weights and --data are needed too");
    return ok;
}

static bool measure(evaluating *e, evaluation *result, nasc_diag *d)
{
    session *s = &e->session;
    objective built;
    runnable network;
    runner r;
    e->data = session_data(s, e->data_spec, e->seed, &e->settings, d);
    if (!e->data || !session_network(s, e->genotype, &e->settings, USE_EVAL, NULL, &built, &network, d))
        return false;
    parameters p = session_parameters(built.built.net);
    parameter_values values = {.weights = NEW_ARRAY(s->arena, float, p.weights + 1),
                               .stats = NEW_ARRAY(s->arena, float, p.stats + 1)};
    struct tensors *set = tensors_read(s->arena, e->weights, d);
    const runnable *all[] = {&network};
    if (!set || !parameters_read(&p, "", set, &values, d) || !runner_open(&r, s->arena, s->device, all, 1, d))
        return false;
    samples test = samples_of(&e->data->test);
    if (e->a->limit > 0 && e->a->limit < test.count)
        test.count = (uint32_t)e->a->limit;
    result->confusion = NEW_ARRAY(s->arena, int64_t, (int64_t)e->data->classes * e->data->classes);
    result->said = NEW_ARRAY(s->arena, int32_t, test.count + 1);
    feed room = feed_new(s->arena, e->data, (int)settings_int(&e->settings, SETTING_batch));
    pass one = {.what = &network, .weights = values.weights, .stats = values.stats, .keep_stats = true};
    return evaluate(&r, &one, e->data, &test, &room, result, &s->progress, d);
}

/* ---- results
 * ------------------------------------------------------------------------------------------------------------ */

static bool write_predictions(const evaluating *e, const evaluation *result, nasc_diag *d)
{
    text t = {.arena = e->session.arena};
    for (int64_t i = 0; i < result->images; i++)
        text_add(&t, "%d\n", result->said[i]);
    return !e->a->predictions || file_replace(e->a->predictions, t.at ? t.at : "", t.length, d);
}

static void print_json(const evaluating *e, const evaluation *result)
{
    int classes = e->data->classes;
    json_t *rows = json_array();
    for (int label = 0; label < classes; label++) {
        json_t *row = json_array();
        for (int said = 0; said < classes; said++)
            json_array_append_new(row, json_integer(result->confusion[label * classes + said]));
        json_array_append_new(rows, row);
    }
    json_t *all = json_pack("{sf sf sI so}", "accuracy", (double)result->right / (double)result->images, "loss",
                            result->loss, "images", (json_int_t)result->images, "confusion", rows);
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
}

static void print_text(const evaluating *e, const evaluation *result)
{
    int classes = e->data->classes;
    printf("accuracy %.2f %% (%lld of %lld)\nloss %.4f\n", 100.0 * (double)result->right / (double)result->images,
           (long long)result->right, (long long)result->images, result->loss);
    if (classes > 20)
        return;
    printf("\nrows: the label; columns: what was said\n     ");
    for (int said = 0; said < classes; said++)
        printf("%6d", said);
    for (int label = 0; label < classes; label++) {
        printf("\n%4d ", label);
        for (int said = 0; said < classes; said++)
            printf("%6lld", (long long)result->confusion[label * classes + said]);
        if (e->data->class_names)
            printf("  %s", e->data->class_names[label]);
    }
    putchar('\n');
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    evaluating e = {.a = arguments};
    evaluation result = {0};
    bool ok = session_open(&e.session, &e.a->common, e.a->engine, d) && ask(&e, d) && measure(&e, &result, d);
    session_close(&e.session);
    ok = ok && write_predictions(&e, &result, d);
    if (ok && e.a->common.json)
        print_json(&e, &result);
    else if (ok)
        print_text(&e, &result);
    json_decref(e.run);
    if (e.genotype)
        space_free(e.genotype);
    return ok ? EXIT_DONE : session_interrupted() && d->kind == DIAG_NONE ? EXIT_INTERRUPTED : EXIT_FAILED;
}

#define AT(field) offsetof(eval_arguments, field)
static const option_row options[] = {
    {.name = "data",
     .value = "KIND:PATH",
     .kind = OPTION_TEXT,
     .offset = AT(data),
     .help = "idx:DIR, cifar10:DIR, …; a run's own data unless given"},
    {.name = "weights",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(weights),
     .help = "safetensors with the weights of a genotype"},
    {.name = "predictions",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(predictions),
     .help = "receives the class of each test image, a line each"},
    {.name = "limit",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(limit),
     .least = 1,
     .help = "only the first N test images"},
    {.name = "engine",
     .value = "jit|cc|interpreter",
     .kind = OPTION_TEXT,
     .offset = AT(engine),
     .help = "what runs the kernels; results are the same"},
};

const command command_eval = {
    .name = "eval",
    .operands = "RUN",
    .summary = "Evaluates trained weights on the test set.",
    .details = "RUN is the folder of a training, or a genotype file with --weights and --data.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(eval_arguments),
    .run = run,
};
