/* Writing genotypes: what derive and import share. */
#ifndef NASC_SPACE_GENOTYPE_H
#define NASC_SPACE_GENOTYPE_H

#include "space/model.h"

/* JSON that is being made. Allocations of Jansson's that fail are noted, not followed: who ends the making looks once.
 */
typedef struct making {
    json_t *root;
    bool lost;
} making;

/* Both take `value` over; NULL counts as lost. */
void make_put(making *m, json_t *object, const char *key, json_t *value);
void make_append(making *m, json_t *list, json_t *value);

/* A network configuration of ProxylessNAS as a genotype of the space `into`, made to fit; see space_import. */
char *import_config(const space *into, const char *source, const char *file, arena *a, nasc_diag *d);

/* The genotype's text: the space with `decisions` (see derive.c; its root is given back) in place of its choices, and
 * of its ops those that are left. NULL with a diagnostic, also where `d` has one already. */
char *genotype_text(const space *s, const char *name, making *decisions, arena *a, nasc_diag *d);

#endif
