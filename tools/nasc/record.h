/* run.json: everything that a run was asked for, so that it alone repeats or continues the run. */
#ifndef NASC_TOOL_RECORD_H
#define NASC_TOOL_RECORD_H

#include "session.h"
#include <jansson.h>

/* What stands in every run.json. */
typedef struct record {
    const char *command; /* "search", "train"; "select": a training that judges what a search found */
    const char *data;    /* --data */
    const char *files;   /* of images: a hash of their names, sizes and times of change, or NULL */
    const char *method;  /* of a search, or NULL */
    int64_t seed, checkpoint_steps, runs;
    const char *cost;  /* of a search: what networks are to have little of, or NULL */
    numbers targets;   /* how much of it; a search each */
    json_t *latency;   /* where that is latency: the candidates' (latency_costs_json); belongs to run.json */
    const char *cudnn; /* what --cudnn says: its sums have other bits */
    int64_t data_seed; /* of synthetic data: the first seed of several runs */
} record;

/* NULL with a diagnostic. The caller decrefs. `of`: the space or genotype, copied whole. */
json_t *record_new(const record *r, const space *of, const settings *set, arena *a, nasc_diag *d);
/* Adds what the data say of images: mean and deviation a channel, names of classes. */
bool record_images(json_t *run, const dataset *data, nasc_diag *d);
/* Reads FOLDER/run.json, which must be of `command`. Texts live in the arena; the caller decrefs the object, and the space
 * is the caller's. */
json_t *record_read(const char *folder, const char *command, record *r, space **of, settings *set, arena *a,
                    nasc_diag *d);
/* Adds or replaces "result" (a reference is taken over) and writes the file. */
bool record_result(const char *folder, json_t *run, json_t *result, nasc_diag *d);
/* --config: the settings of a run.json. */
bool record_settings(const char *file, settings *set, arena *a, nasc_diag *d);
/* What the candidates of a search cost by its record. `built`: its space, for evaluation. */
bool record_costs(const record *r, const space_net *built, const char *folder, arena *a, costs *c, nasc_diag *d);
/* Whether `path` is a folder with a run.json. */
bool record_exists(const char *path);

/* ---- runs: what search and train have in common ---- */

/* The command line; a command's own arguments begin with it. */
typedef struct run_arguments {
    arguments common;
    const char *data, *out, *config, *engine;
    int64_t checkpoint_steps;
    bool resume;
} run_arguments;

/* Rows of its options, before and after the command's own; it stands at the start of the command's arguments. */
#define RUN_FIELD(field) offsetof(run_arguments, field)
#define RUN_OPTIONS_FIRST                                                                                              \
    {.name = "data",                                                                                                   \
     .value = "KIND:PATH",                                                                                             \
     .kind = OPTION_TEXT,                                                                                              \
     .offset = RUN_FIELD(data),                                                                                        \
     .help = "idx:DIR, cifar10:DIR, cifar100:DIR, images:DIR (a folder a class), synthetic:HxWxC/CLASSES"},            \
        {.name = "out",                                                                                                \
         .value = "RUN",                                                                                               \
         .kind = OPTION_TEXT,                                                                                          \
         .offset = RUN_FIELD(out),                                                                                     \
         .help = "the run's folder",                                                                                   \
         .required = true},
#define RUN_OPTIONS_LAST                                                                                               \
    {.name = "config",                                                                                                 \
     .value = "FILE",                                                                                                  \
     .kind = OPTION_TEXT,                                                                                              \
     .offset = RUN_FIELD(config),                                                                                      \
     .help = "settings of another run's run.json"},                                                                    \
        {.name = "resume",                                                                                             \
         .kind = OPTION_FLAG,                                                                                          \
         .offset = RUN_FIELD(resume),                                                                                  \
         .help = "goes on with RUN, as run.json says"},                                                                \
        {.name = "checkpoint-steps",                                                                                   \
         .value = "N",                                                                                                 \
         .kind = OPTION_INT,                                                                                           \
         .offset = RUN_FIELD(checkpoint_steps),                                                                        \
         .least = 1,                                                                                                   \
         .most = STEPS_MOST,                                                                                           \
         .help = "steps from checkpoint to checkpoint, beside each epoch's (100)"},                                    \
        {.name = "engine",                                                                                             \
         .value = "jit|cc|interpreter",                                                                                \
         .kind = OPTION_TEXT,                                                                                          \
         .offset = RUN_FIELD(engine),                                                                                  \
         .help = "what runs the kernels; results are the same"},

/* A run as asked for or, to be resumed, as recorded. */
typedef struct run_request {
    const run_arguments *arguments;
    session session;
    space *of;
    settings settings;
    record record;
    dataset *data;
    const costs *costs; /* of a search: what candidates cost, as record.cost has it; NULL: the loss alone counts */
    json_t *run;        /* run.json; NULL: a new run, before request_record */
} run_request;

/* Opens the session, what is run, and its data. `like`: command, method and number of runs of a new one, whose operand
 * must be a genotype or must not. `more`: the command line has other options that --resume takes from run.json. The
 * caller closes in either case. */
bool request_open(run_request *r, const run_arguments *a, const record *like, bool genotype, bool more, nasc_diag *d);
/* Makes run.json of a new run; what is resumed has it. */
bool request_record(run_request *r, nasc_diag *d);
enum exit_code request_close(run_request *r, enum run_end end);

#endif
