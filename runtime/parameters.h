/* The named tensors of a network: weights, running statistics and alphas, as vectors in memory and by name in files. */
#ifndef NASC_PARAMETERS_H
#define NASC_PARAMETERS_H

#include "plan/program.h"
#include "runtime/tensors.h"

/* The tables of a network and where its flat slots lie. */
typedef struct parameters {
    const net_param *at;
    int count;
    int64_t weights, stats, mix; /* elements */
} parameters;

/* The flat buffers; alphas are what the method makes SLOT_MIX of. */
typedef struct parameter_values {
    float *weights, *stats, *alphas;
} parameter_values;

/* Initial values as the table says, a stream of random numbers for each tensor. */
void parameters_init(const parameters *p, const parameter_values *to, uint64_t seed);
/* By name, with `prefix` before each; layouts become ours. A NULL buffer is left out. */
bool parameters_read(const parameters *p, const char *prefix, struct tensors *from, const parameter_values *to,
                     nasc_diag *d);
/* What keeps a file from fitting the table, all of it: a line each in `report`, "missing: NAME", "another shape: NAME is
 * AxB, expected CxD", "left over: NAME". PyTorch's num_batches_tracked is neither. Slots that `held` has no buffer for are
 * not looked for. */
typedef struct parameters_fit {
    int missing, reshaped, left_over;
} parameters_fit;
parameters_fit parameters_compare(const parameters *p, const char *prefix, const struct tensors *from,
                                  const parameter_values *held, text *report);
/* "module." where each tensor's name begins so, as PyTorch's data-parallel models have it; else "". */
const char *parameters_prefix(const struct tensors *from);
/* parameters_read the other way: `count` rows appended to `at`, data in the arena. Returns how many. */
int parameters_tensors(const parameters *p, const char *prefix, const parameter_values *from, struct tensor *at,
                       arena *a);
/* One vector (a gradient, a momentum) laid out like the weights, as one tensor in the file's layout. */
void parameter_to_file(const net_param *p, float *to, const float *from);
void parameter_from_file(const net_param *p, float *to, const float *from);
int64_t parameter_count(const net_param *p);

#endif
