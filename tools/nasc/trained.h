/* A network with its weights, as eval and export take it: the folder of a training, or a genotype with or without a
 * file of weights. */
#ifndef NASC_TOOL_TRAINED_H
#define NASC_TOOL_TRAINED_H

#include "uses/inference.h"
#include "record.h"
#include "session.h"

typedef struct trained {
    session *session;
    space *genotype;
    settings settings;
    json_t *run;         /* run.json, or NULL */
    const char *data;    /* KIND:PATH, or NULL */
    const char *weights; /* a safetensors file, or NULL: initial weights by the seed */
    uint64_t seed;
    int h, w, c, classes;
    const dataset *set;       /* the data, once they are open */
    float *mean, *std;        /* [c], or NULL: not known */
    const char **class_names; /* [classes], or NULL */
} trained;

/* `from`: RUN or genotype; `weights`, `data`: of the command line, or NULL. The caller closes in either case. */
bool trained_open(trained *t, session *s, const char *from, const char *weights, const char *data, nasc_diag *d);
void trained_close(trained *t);
/* Opens t->data. */
bool trained_data(trained *t, nasc_diag *d);
/* What the network `i` has in SLOT_WEIGHTS, of weights and statistics as built, and of mean and deviation a channel
 * where it normalises. Owned by the session's arena. */
float *session_constants(session *s, const inference *i, const parameter_values *values, const float *mean,
                         const float *std, nasc_diag *d);
/* The trained values of the network `i`, as built. Without a file of weights: initial ones, with the statistics of one
 * batch of synthetic images, by whose mean and deviation t->mean and t->std are then set where they are not known. */
bool trained_values(trained *t, const inference *i, parameter_values *values, nasc_diag *d);
/* session_constants of them. */
float *trained_constants(trained *t, const inference *i, nasc_diag *d);

#endif
