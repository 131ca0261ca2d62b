/* Prints JSON. Reals get the fewest digits that read back alike (0.025, not 0.025000000000000001), which
 * Jansson's own printer cannot do; infinities and NaN, which JSON has not, become null. Keys keep their order. */
#ifndef NASC_JSON_TEXT_H
#define NASC_JSON_TEXT_H

#include "base/base.h"
#include <jansson.h>

/* Appends `value`: on one line, or a key a line, indented by two (lists of numbers stay on one line). */
void json_print(text *t, const json_t *value, bool indent);

#endif
