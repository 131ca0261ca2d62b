/* nasc train: a genotype in, trained weights out. */
#include "record.h"
#include "session.h"

#include <string.h>

typedef struct train_arguments {
    arguments common;
    const char *data, *out, *config, *engine;
    int64_t checkpoint_steps;
    bool resume;
} train_arguments;

typedef struct training {
    const train_arguments *a;
    session session;
    space *genotype;
    settings settings;
    record record;
    dataset *data;
    json_t *run;
} training;

static bool ask_new(training *t, nasc_diag *d)
{
    const train_arguments *a = t->a;
    model m;
    if (a->common.operand_count != 1 || !a->data)
        return diag_fail(d, DIAG_INPUT, "train", "GENOTYPE and --data are needed, or --resume");
    bool ok = model_open(&m, &a->common, a->common.operand[0], d);
    if (ok && !m.genotype)
        ok = diag_fail(d, DIAG_INPUT, a->common.operand[0],
                       "is a space: its choices are still to be made (nasc search)");
    if (ok && a->config)
        ok = record_settings(a->config, &m.settings, d) && model_settings(&m.settings, &a->common, d);
    t->genotype = m.space;
    t->settings = m.settings;
    t->record = (record){.command = "train",
                         .data = a->data,
                         .seed = a->common.seed,
                         .data_seed = a->common.seed,
                         .runs = 1,
                         .checkpoint_steps = a->checkpoint_steps ? a->checkpoint_steps : 100};
    t->data = ok ? session_data(&t->session, a->data, (uint64_t)a->common.seed, &t->settings, d) : NULL;
    ok = t->data && session_fit_auxiliary(&t->session, t->genotype, &t->settings, d);
    t->run = ok ? record_new(&t->record, t->genotype, &t->settings, a->common.arena, d) : NULL;
    return t->run && record_images(t->run, t->data, d);
}

static bool ask_again(training *t, nasc_diag *d)
{
    const train_arguments *a = t->a;
    if (a->common.operand_count || a->common.settings.count || a->data || a->config || a->common.seed ||
        a->checkpoint_steps)
        return diag_fail(d, DIAG_INPUT, "--resume", "takes everything from run.json; no other setting may be given");
    t->run = record_read(a->out, "train", &t->record, &t->genotype, &t->settings, d);
    t->data = t->run ? session_data(&t->session, t->record.data, (uint64_t)t->record.data_seed, &t->settings, d) : NULL;
    return t->data != NULL;
}

static enum run_end train_all(training *t, double *accuracy, nasc_diag *d)
{
    train_job job = {.genotype = t->genotype,
                     .settings = t->settings,
                     .data = t->data,
                     .learn = samples_of(&t->data->train),
                     .judge = samples_of(&t->data->test),
                     .seed = (uint64_t)t->record.seed,
                     .checkpoint_steps = (int)t->record.checkpoint_steps,
                     .folder = t->a->out,
                     .resume = t->a->resume,
                     .record = t->run};
    char path[RUN_PATH + 64];
    enum run_end end = session_train(&t->session, &job, accuracy, d);
    if (end != RUN_DONE)
        return end;
    const char *text = space_text(t->genotype, t->session.arena);
    bool ok = file_replace(run_file(t->a->out, "genotype.json", path), text, strlen(text), d) &&
              record_result(t->a->out, t->run, json_pack("{sf}", "accuracy", *accuracy), d);
    return ok ? RUN_DONE : RUN_FAILED;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    training t = {.a = arguments};
    double accuracy = 0;
    enum run_end end = RUN_FAILED;
    if (session_open(&t.session, &t.a->common, t.a->engine, d) && (t.a->resume ? ask_again(&t, d) : ask_new(&t, d)))
        end = train_all(&t, &accuracy, d);
    session_close(&t.session);
    if (end == RUN_DONE && t.a->common.json)
        printf("{\"accuracy\": %.17g}\n", accuracy);
    else if (end == RUN_DONE)
        printf("accuracy %.2f %%\n", 100 * accuracy);
    json_decref(t.run);
    if (t.genotype)
        space_free(t.genotype);
    return end == RUN_DONE ? EXIT_DONE : end == RUN_STOPPED ? EXIT_INTERRUPTED : EXIT_FAILED;
}

#define AT(field) offsetof(train_arguments, field)
static const option_row options[] = {
    {.name = "data",
     .value = "KIND:PATH",
     .kind = OPTION_TEXT,
     .offset = AT(data),
     .help = "idx:DIR, cifar10:DIR, cifar100:DIR, synthetic:HxWxC/CLASSES"},
    {.name = "out",
     .value = "RUN",
     .kind = OPTION_TEXT,
     .offset = AT(out),
     .help = "the run's folder",
     .required = true},
    {.name = "config",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(config),
     .help = "settings of another run's run.json"},
    {.name = "resume", .kind = OPTION_FLAG, .offset = AT(resume), .help = "goes on with RUN, as run.json says"},
    {.name = "checkpoint-steps",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(checkpoint_steps),
     .least = 1,
     .help = "steps from checkpoint to checkpoint, beside each epoch's (100)"},
    {.name = "engine",
     .value = "jit|cc|interpreter",
     .kind = OPTION_TEXT,
     .offset = AT(engine),
     .help = "what runs the kernels; results are the same"},
};

const command command_train = {
    .name = "train",
    .operands = "[GENOTYPE]",
    .summary = "Trains a genotype's network from scratch.",
    .details = "Drop-path, cutout and the auxiliary head are settings (drop_path, cutout, auxiliary). Each epoch ends "
               "with an\n"
               "evaluation on the test set. An interrupted training goes on with --resume --out RUN.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(train_arguments),
    .run = run,
};
