/* nasc eval: accuracy, loss and confusion of trained weights on a test set, by the inference program that export emits.
 */
#include "output.h"
#include "trained.h"

#include <math.h>
#include <string.h>

typedef struct eval_arguments {
    arguments common;
    const char *data, *weights, *predictions, *logits, *engine;
    int64_t limit;
} eval_arguments;

typedef struct evaluating {
    const eval_arguments *a;
    session session;
    trained trained;
} evaluating;

/* A trained RUN, or a genotype with --weights. */
static bool ask(evaluating *e, nasc_diag *d)
{
    const eval_arguments *a = e->a;
    const char *from = a->common.operand[0];
    if (!trained_open(&e->trained, &e->session, from, a->weights, a->data, d))
        return false;
    if (!e->trained.weights || !e->trained.data)
        return diag_fail(d, DIAG_INPUT, from, "is a genotype: --weights and --data are needed too");
    return trained_data(&e->trained, d);
}

/* The loader normalises, by the very operations that an exported network begins with. */
static bool measure(evaluating *e, evaluation *result, nasc_diag *d)
{
    session *s = &e->session;
    trained *t = &e->trained;
    inference network;
    runnable compiled;
    runner r;
    pipeline_options o = {.batch = (int)settings_int(&t->settings, SETTING_batch), .sequential = true};
    if (!inference_build(t->genotype, &t->settings, &(inference_options){.scored = true}, s->arena, &network, d) ||
        !session_compile(s, network.net, &o, &compiled, d))
        return false;
    const runnable *all[] = {&compiled};
    const float *constants = trained_constants(t, &network, d);
    if (!constants || !runner_open(&r, s->arena, s->device, all, 1, d))
        return false;
    samples test = samples_of(&t->set->test);
    if (e->a->limit > 0 && e->a->limit < test.count)
        test.count = (uint32_t)e->a->limit;
    result->confusion = NEW_ARRAY(s->arena, int64_t, (int64_t)t->classes * t->classes);
    result->said = NEW_ARRAY(s->arena, int32_t, test.count + 1);
    result->logits = e->a->logits ? NEW_ARRAY(s->arena, float, (int64_t)test.count * t->classes + 1) : NULL;
    prefetch *ahead = prefetch_new(s->arena, t->set, o.batch, 1);
    pass one = {.what = &compiled, .weights = constants};
    return evaluate(&r, &one, t->set, &test, ahead, result, &s->progress, d);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static bool write_predictions(const evaluating *e, const evaluation *result, nasc_diag *d)
{
    text t = {.arena = e->session.arena};
    for (int64_t i = 0; i < result->images; i++)
        text_add(&t, "%d\n", result->said[i]);
    return !e->a->predictions || file_replace(e->a->predictions, t.at ? t.at : "", t.length, d);
}

/* Nine digits are enough for float32: who reads them has the very bits. */
static bool write_logits(const evaluating *e, const evaluation *result, nasc_diag *d)
{
    text t = {.arena = e->session.arena};
    int classes = e->trained.classes;
    for (int64_t i = 0; i < result->images * classes; i++)
        text_add(&t, "%.9g%c", (double)result->logits[i], (i + 1) % classes ? ' ' : '\n');
    return file_replace(e->a->logits, t.at ? t.at : "", t.length, d);
}

static bool print_json(const evaluating *e, const evaluation *result, nasc_diag *d)
{
    int classes = e->trained.classes;
    json_t *rows = json_array();
    for (int label = 0; label < classes; label++) {
        json_t *row = json_array();
        for (int said = 0; said < classes; said++)
            json_array_append_new(row, json_integer(result->confusion[label * classes + said]));
        json_array_append_new(rows, row);
    }
    json_t *all =
        json_pack("{sf sf sI sI so}", "accuracy", (double)result->right / (double)result->images, "loss", result->loss,
                  "images", (json_int_t)result->images, "skipped", (json_int_t)result->skipped, "confusion", rows);
    return output_json(all, JSON_COMPACT, d);
}

static void print_text(const evaluating *e, const evaluation *result)
{
    int classes = e->trained.classes;
    printf("accuracy %.2f %% (%lld of %lld)\nloss %.4f\n", 100.0 * (double)result->right / (double)result->images,
           (long long)result->right, (long long)result->images, result->loss);
    if (result->skipped)
        printf("%lld images cannot be read; others stand in for them\n", (long long)result->skipped);
    if (classes > 20)
        return;
    printf("\nrows: the label; columns: what was said\n     ");
    for (int said = 0; said < classes; said++)
        printf("%6d", said);
    for (int label = 0; label < classes; label++) {
        printf("\n%4d ", label);
        for (int said = 0; said < classes; said++)
            printf("%6lld", (long long)result->confusion[label * classes + said]);
        if (e->trained.class_names)
            printf("  %s", e->trained.class_names[label]);
    }
    putchar('\n');
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    evaluating e = {.a = arguments};
    evaluation result = {0};
    bool ok = session_open(&e.session, &e.a->common, e.a->engine, d) && ask(&e, d) && measure(&e, &result, d);
    session_close(&e.session);
    ok = ok && write_predictions(&e, &result, d) && (!e.a->logits || write_logits(&e, &result, d));
    if (ok && e.a->common.json)
        ok = print_json(&e, &result, d);
    else if (ok)
        print_text(&e, &result);
    trained_close(&e.trained);
    return ok ? EXIT_DONE : session_interrupted() && d->kind == DIAG_NONE ? EXIT_INTERRUPTED : EXIT_FAILED;
}

#define AT(field) offsetof(eval_arguments, field)
static const option_row options[] = {
    {.name = "data",
     .value = "KIND:PATH",
     .kind = OPTION_TEXT,
     .offset = AT(data),
     .help = "idx:DIR, cifar10:DIR, images:DIR, …; a run's own data unless given"},
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
    {.name = "logits",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(logits),
     .help = "receives the network's output for each test image, a line each"},
    {.name = "limit",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(limit),
     .least = 1,
     .most = UINT32_MAX,
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
