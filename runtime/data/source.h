/* What the loaders share while a set is being opened. */
#ifndef NASC_DATA_SOURCE_H
#define NASC_DATA_SOURCE_H

#include "runtime/data/data.h"

struct source {
    arena *a; /* the set's */
    dataset *set;
    const char *spec, *path; /* whole, and what follows "KIND:" */
    uint64_t seed;
    nasc_diag *d;
    char file[4096]; /* the file at hand, for messages */
    uint8_t *bytes;  /* its contents, uncompressed; freed by source_drop or when opening ends */
    size_t size;
};

/* Reads NAME or NAME.gz of the folder into `bytes`. */
bool source_read(struct source *s, const char *folder, const char *name);
void source_drop(struct source *s);
bool source_has(const char *folder, const char *name);
/* Non-empty lines of a text file become class names if there are as many as classes; no error when it is not there. */
void source_class_names(struct source *s, const char *folder, const char *name);

bool idx_open(struct source *s);
bool cifar10_open(struct source *s);
bool cifar100_open(struct source *s);
bool synthetic_open(struct source *s);

#endif
