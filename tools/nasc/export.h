/* What the two ways to export share. */
#ifndef NASC_TOOL_EXPORT_H
#define NASC_TOOL_EXPORT_H

#include "uses/quantise.h"
#include "trained.h"

typedef struct export_arguments {
    arguments common;
    const char *to, *target, *out, *name, *weights, *weights_as, *layout, *data, *optimize, *parallel, *dtype;
    int64_t calibration; /* images by which ranges are found; 0: the default */
    bool no_normalise;
} export_arguments;

typedef struct exporting {
    const export_arguments *a;
    session session;
    trained trained;
    target target;
    inference network;
    float *constants;
    quantised bytes;                 /* --dtype int8 */
    double accuracy, float_accuracy; /* of int8 and of the network as it was, on `images` test images */
    int64_t images;
    unsigned char *image;
    float *expected;
} exporting;

/* What stands in the file about the network: lines, each behind `margin`; of the target where there is one. */
const char *export_facts(const exporting *e, const char *margin, const char *target);
bool export_is_int8(const exporting *e);
/* Finds ranges on calibration images, makes e->bytes, and judges both networks on the test images. */
bool export_quantise(exporting *e, nasc_diag *d);
/* Writes the ONNX file. */
bool export_to_onnx(exporting *e, nasc_diag *d);

#endif
