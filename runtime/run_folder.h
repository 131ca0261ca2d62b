/* A RUN: a folder with run.json (what was asked and what came out), log.jsonl (one JSON object a line),
 * checkpoint.safetensors (the only state) and genotype.json. A kill at any moment leaves a folder that resumes:
 * files are replaced atomically, and log lines newer than the checkpoint are cut. */
#ifndef NASC_RUN_FOLDER_H
#define NASC_RUN_FOLDER_H

#include "base/base.h"
#include <jansson.h>

enum { RUN_PATH = 1024 };

typedef struct run_folder {
    char path[RUN_PATH];
    int log;  /* file descriptor of log.jsonl, locked: one process a RUN */
    bool own; /* run_create made it a run */
    int kept; /* bytes of `path` that name what was there before */
} run_folder;

/* Makes the folder; one that holds a run already is refused. */
bool run_create(run_folder *r, const char *path, nasc_diag *d);
/* Opens a run to continue it. */
bool run_resume(run_folder *r, const char *path, nasc_diag *d);
void run_close(run_folder *r);
/* The same after a failure: a run that run_create made and that has neither a checkpoint nor a line in its log goes
 * again, with the folders that were made for it. */
void run_give_up(run_folder *r);

/* The path of a file of the run, in `to`. */
const char *run_file(const char *folder, const char *name, char to[RUN_PATH + 64]);

/* run.json, genotype.json: numbers are written with the fewest digits that read back alike. */
bool run_write_json(const char *folder, const char *name, const json_t *value, nasc_diag *d);
/* A number for such a file: an integer where it is one. */
json_t *run_number(double value);

/* Appends a line. It is safe on disk after run_log_sync, which comes before the checkpoint is replaced. */
bool run_log_add(run_folder *r, const json_t *line, nasc_diag *d);
bool run_log_sync(run_folder *r, nasc_diag *d);
/* Cuts the log before the first line that is torn, or whose "step" (steps done in the whole run) or "epoch" (epochs
 * done) is beyond the checkpoint's: what the checkpoint does not know has not happened. */
bool run_log_cut(run_folder *r, int64_t epoch, int64_t step, nasc_diag *d);

#endif
