/* FILE as most commands take it: a space or genotype with the settings of the command line, built into a net. */
#ifndef NASC_TOOL_MODEL_H
#define NASC_TOOL_MODEL_H

#include "cli.h"
#include "space/space.h"

typedef struct model {
    space *space;
    settings settings;
    bool genotype;
    int h, w, c; /* of an image */
} model;

/* Reads operand `path` and applies a->settings over the file's and the defaults. The caller closes it in either case.
 */
bool model_open(model *m, const arguments *a, const char *path, nasc_diag *d);
/* The settings of the command line over what stands in `set`. */
bool model_settings(settings *set, const arguments *a, nasc_diag *d);
/* The network in a->arena. */
bool model_build(const model *m, const arguments *a, space_mode mode, space_net *net, nasc_diag *d);
void model_close(model *m);

#endif
