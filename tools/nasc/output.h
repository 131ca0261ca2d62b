/* Results on stdout: a write that fails is an error like any other. */
#ifndef NASC_TOOL_OUTPUT_H
#define NASC_TOOL_OUTPUT_H

#include "base/base.h"

#include <jansson.h>

/* Into the file `path`, or to stdout where it is NULL. */
bool output_text(const char *path, const char *bytes, size_t length, nasc_diag *d);
/* To stdout, as Jansson's `flags` have it, and a newline. Takes the reference; NULL: memory had run out. */
bool output_json(json_t *value, size_t flags, nasc_diag *d);
/* Writes what stdout still holds back, and closes it. Writes that failed before count too. */
bool output_end(nasc_diag *d);

#endif
