/* What the loaders share while a set is being opened. */
#ifndef NASC_DATA_SOURCE_H
#define NASC_DATA_SOURCE_H

#include "runtime/data/data.h"

#include <dirent.h>

struct source {
    arena *a; /* the set's */
    dataset *set;
    arena scratch;           /* dies when opening ends */
    const char *spec, *path; /* whole, and what follows "KIND:" */
    const data_options *options;
    nasc_diag *d;
    char file[4096]; /* the file or folder at hand, for messages */
    uint8_t *bytes;  /* its contents, uncompressed; freed by source_drop or when opening ends */
    size_t size;
    DIR *folder; /* the folder at hand, or NULL; closed by folder_drop or when opening ends */
};

/* Reads NAME or NAME.gz of the folder into `bytes`. */
bool source_read(struct source *s, const char *folder, const char *name);
void source_drop(struct source *s);
bool source_has(const char *folder, const char *name);
/* Non-empty lines of a text file become class names if there are as many as classes; no error when it is not there. */
void source_class_names(struct source *s, const char *folder, const char *name);

/* What lies in a folder and is wanted, by name, sorted byte by byte; in `scratch`. Hidden names do not count. */
typedef VEC(const char *) folder_names;
typedef bool folder_wants(const struct source *s, const char *name);
bool folder_list(struct source *s, const char *path, folder_wants *wants, folder_names *to);
folder_wants folder_is_folder;
void folder_drop(struct source *s);

bool idx_open(struct source *s);
bool cifar10_open(struct source *s);
bool cifar100_open(struct source *s);
bool synthetic_open(struct source *s);
bool images_open(struct source *s);

#endif
