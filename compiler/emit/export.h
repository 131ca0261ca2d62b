/* A network as standalone C: NAME.h, NAME.c, the weights, NAME_test.c, a Makefile and a CMakeLists.txt. */
#ifndef NASC_EXPORT_H
#define NASC_EXPORT_H

#include "emit/emit.h"

typedef struct export_model {
    const program *program; /* of one image, launches in sequence; reads images and weights, writes logits */
    const target *target;
    const char *name;  /* a C identifier */
    const char *facts; /* lines of the header's comment, each " * …\n" */
    int h, w, c, classes;
    bool normalises; /* takes [0, 1] */
    bool channels_first;
    bool weights_as_file;
    bool small;            /* compiled for size */
    int parts;             /* that OpenMP may run at once; the program is planned for as many. 0: no OpenMP */
    const void *constants; /* words of SLOT_WEIGHTS; NULL: only to be timed, on weights that NAME_test makes up */
    int64_t constant_count;
    int64_t around;       /* to be timed as a part of a network: bytes that the rest of it reads in between */
    uint64_t key;         /* of the network: weights of another are refused */
    struct export_bytes { /* of a network of bytes; scale 0: of floats */
        double scale;
        int zero;
    } in, out;                  /* constants are integers then, else floats */
    const unsigned char *image; /* the test case: h × w × c grey levels, and the logits of image / 255 */
    const float *expected;
} export_model;

/* What a user of the code has to provide. */
typedef struct export_sizes {
    int64_t arena_bytes, weights_bytes;
    int64_t code_bytes; /* an estimate, for -O2; another level or compiler makes up to half as much again of it */
} export_sizes;

/* Writes the files into `folder`, which is made. Without constants no weights, and a NAME_test that knows --bench
 * alone. */
bool export_c(const export_model *m, const char *folder, export_sizes *sizes, nasc_diag *d);

/* Whether `name` can be part of the names in C. */
bool export_name_fits(const char *name);

/* ---- template.c ---- */

typedef struct template_value {
    const char *key, *value; /* value NULL: not there */
} template_value;

/* Appends `frame` to `out`. @KEY@ becomes its value; lines between `@if KEY` and `@end` stay where KEY has a value. */
void template_fill(text *out, const char *frame, const template_value *values, int count);

#endif
