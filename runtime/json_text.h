/* Reads JSON, and prints it. Reals get the fewest digits that read back alike (0.025, not 0.025000000000000001), which
 * Jansson's own printer cannot do; infinities and NaN, which JSON has not, become null. Keys keep their order. */
#ifndef NASC_JSON_TEXT_H
#define NASC_JSON_TEXT_H

#include "base/base.h"
#include <jansson.h>

/* What the file holds, whose keys must differ. NULL with a diagnostic: file, line and column. The caller decrefs. */
json_t *json_file_read(const char *file, nasc_diag *d);
/* The same of bytes that were read of `file`, from line `line` of it on (the first is 1). */
json_t *json_read(const char *bytes, size_t size, const char *file, int line, nasc_diag *d);

/* Whether Jansson failed for want of memory. It says so in places only; elsewhere it leaves no text. */
static inline bool json_no_memory(const json_error_t *e)
{
    return json_error_code(e) == json_error_out_of_memory || e->text[0] == 0;
}

/* Appends `value`: on one line, or a key a line, indented by two (lists of numbers stay on one line). */
void json_print(text *t, const json_t *value, bool indent);

#endif
