/* run.json: everything that a run was asked for, so that it alone repeats or continues the run. */
#ifndef NASC_TOOL_RECORD_H
#define NASC_TOOL_RECORD_H

#include "base/base.h"
#include "runtime/data/data.h"
#include "space/space.h"
#include <jansson.h>

/* What stands in every run.json. */
typedef struct record {
    const char *command; /* "search", "train"; "select": a training that judges what a search found */
    const char *data;    /* --data */
    const char *method;  /* of a search, or NULL */
    int64_t seed, checkpoint_steps, runs;
    int64_t data_seed; /* of synthetic data: the first seed of several runs */
} record;

/* NULL with a diagnostic. The caller decrefs. `of`: the space or genotype, copied whole. */
json_t *record_new(const record *r, const space *of, const settings *set, arena *a, nasc_diag *d);
/* Adds what the data say of images: mean and deviation a channel, names of classes. */
bool record_images(json_t *run, const dataset *data, nasc_diag *d);
/* Reads FOLDER/run.json, which must be of `command` (NULL: any). Texts belong to the returned object, which the caller
 * decrefs; the space is the caller's. `of` and `set` may be NULL. */
json_t *record_read(const char *folder, const char *command, record *r, space **of, settings *set, nasc_diag *d);
/* Adds or replaces "result" (a reference is taken over) and writes the file. */
bool record_result(const char *folder, json_t *run, json_t *result, nasc_diag *d);
/* --config: the settings of a run.json. */
bool record_settings(const char *file, settings *set, nasc_diag *d);
/* Whether `path` is a folder with a run.json. */
bool record_exists(const char *path);

#endif
