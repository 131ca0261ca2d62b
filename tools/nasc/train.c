/* nasc train: a genotype in, trained weights out. */
#include "record.h"

#include <string.h>

static bool ask(run_request *r, const run_arguments *a, nasc_diag *d)
{
    static const record like = {.command = "train", .runs = 1};
    if (!request_open(r, a, &like, true, false, d))
        return false;
    return a->resume || (session_fit_auxiliary(&r->session, r->of, &r->settings, d) && request_record(r, d) &&
                         record_images(r->run, r->data, d));
}

static enum run_end train_all(run_request *r, double *accuracy, nasc_diag *d)
{
    const char *out = r->arguments->out;
    train_job job = {.genotype = r->of,
                     .settings = r->settings,
                     .data = r->data,
                     .learn = samples_of(&r->data->train),
                     .judge = samples_of(&r->data->test),
                     .seed = (uint64_t)r->record.seed,
                     .checkpoint_steps = (int)r->record.checkpoint_steps,
                     .folder = out,
                     .resume = r->arguments->resume,
                     .record = r->run};
    char path[RUN_PATH + 64];
    enum run_end end = session_train(&r->session, &job, accuracy, d);
    if (end != RUN_DONE)
        return end;
    const char *text = space_text(r->of, r->session.arena);
    bool ok = file_replace(run_file(out, "genotype.json", path), text, strlen(text), d) &&
              record_result(out, r->run, json_pack("{sf}", "accuracy", *accuracy), d);
    return ok ? RUN_DONE : RUN_FAILED;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    const run_arguments *a = arguments;
    run_request r;
    double accuracy = 0;
    enum run_end end = ask(&r, a, d) ? train_all(&r, &accuracy, d) : RUN_FAILED;
    enum exit_code code = request_close(&r, end);
    if (end == RUN_DONE && a->common.json)
        printf("{\"accuracy\": %.17g}\n", accuracy);
    else if (end == RUN_DONE)
        printf("accuracy %.2f %%\n", 100 * accuracy);
    return code;
}

static const option_row options[] = {RUN_OPTIONS_FIRST RUN_OPTIONS_LAST};

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
    .bytes = sizeof(run_arguments),
    .run = run,
};
