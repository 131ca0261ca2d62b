/* Alphas in the log. */
#ifndef NASC_ALPHAS_H
#define NASC_ALPHAS_H

#include "runtime/parameters.h"
#include <jansson.h>

/* Adds "alphas" to an epoch's line: of each parameter of SLOT_MIX its rows, exactly. */
bool alphas_log(json_t *line, const parameters *p, const float *alphas, nasc_diag *d);

#endif
