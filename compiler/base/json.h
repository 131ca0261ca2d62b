/* JSON text: what cannot be read is said with file, line and column. */
#ifndef NASC_BASE_JSON_H
#define NASC_BASE_JSON_H

#include "base/base.h"

#include <jansson.h>

/* What the file holds, whose keys must differ. NULL with a diagnostic: file, line and column. The caller decrefs. */
json_t *json_file_read(const char *file, nasc_diag *d);
/* The same of bytes that were read of `file`, from line `line` of it on (the first is 1). */
json_t *json_read(const char *bytes, size_t size, const char *file, int line, nasc_diag *d);
/* Whether Jansson failed for want of memory. It says so in places only; elsewhere it leaves no text. */
bool json_no_memory(const json_error_t *e);

#endif
