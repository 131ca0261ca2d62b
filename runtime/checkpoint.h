/* Checkpoints: all state of a run in one file, described once for both directions. Values go by name, in the layouts of
 * PyTorch, so that a checkpoint is also a file of weights; counters go into the metadata. */
#ifndef NASC_CHECKPOINT_H
#define NASC_CHECKPOINT_H

#include "runtime/parameters.h"
#include "runtime/run_folder.h"

enum { CHECKPOINT_SETS = 6, CHECKPOINT_COUNTERS = 6 };

typedef struct checkpoint {
    const parameters *parameters;
    struct checkpoint_set { /* vectors like the parameters: themselves, momentum, moments */
        const char *prefix;
        parameter_values values;
    } set[CHECKPOINT_SETS];
    struct checkpoint_counter {
        const char *name;
        int64_t *value;
    } counter[CHECKPOINT_COUNTERS];
    double *sums; /* of the epoch so far; one tensor "state.sums" */
    int sets, counters, sum_count;
} checkpoint;

/* Into FOLDER/checkpoint.safetensors. */
bool checkpoint_write(const checkpoint *c, const char *folder, nasc_diag *d);
/* Everything described must be there, and nothing else. */
bool checkpoint_read(const checkpoint *c, const char *folder, nasc_diag *d);
bool checkpoint_exists(const char *folder);

#endif
