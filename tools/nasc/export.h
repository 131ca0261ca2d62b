/* What the two ways to export share. */
#ifndef NASC_TOOL_EXPORT_H
#define NASC_TOOL_EXPORT_H

#include "trained.h"

typedef struct export_arguments {
    arguments common;
    const char *to, *target, *out, *name, *weights, *weights_as, *layout, *data, *optimize, *parallel;
    bool no_normalise;
} export_arguments;

typedef struct exporting {
    const export_arguments *a;
    session session;
    trained trained;
    target target;
    inference network;
    float *constants;
    unsigned char *image;
    float *expected;
} exporting;

/* What stands in the file about the network: lines, each behind `margin`; of the target where there is one. */
const char *export_facts(const exporting *e, const char *margin, const char *target);
/* Writes the ONNX file. */
bool export_to_onnx(exporting *e, nasc_diag *d);

#endif
