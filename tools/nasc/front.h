/* What several searches found, judged alike: accuracy against cost, the pareto front of it, as a table, as JSON and as
 * a drawing. */
#ifndef NASC_TOOL_FRONT_H
#define NASC_TOOL_FRONT_H

#include "base/base.h"

#include <jansson.h>
#include <stdio.h>

/* What --cost can be of, and how it is written. */
typedef struct cost_row {
    const char *name;
    const char *option;    /* that says how much */
    const char *unit;      /* of costs, as they are printed */
    double loss_unit;      /* how many of them the loss counts as one */
    int decimals;          /* of a cost in a table */
    const char *axis_name; /* in the drawing */
    double axis_unit;
} cost_row;
/* NULL: there is none of that name, or no name. */
const cost_row *cost_find(const char *name);

typedef struct front_point {
    const char *folder; /* of its search, below RUN */
    const char *genotype;
    int64_t seed;
    double target, cost; /* without --cost 0 */
    double accuracy;     /* on held-out images */
    bool dominated;      /* another costs no more, is no less accurate, and is better in one of the two */
} front_point;

typedef struct front {
    const char *name;     /* of the space */
    const cost_row *cost; /* NULL: accuracy alone counts */
    bool several_targets, several_seeds;
    front_point *at;
    int count;
} front;

/* Finds out which points are dominated. */
void front_mark(front *f);
/* The most accurate; of such the cheapest; of such the first. */
const front_point *front_best(const front *f);
/* An object a point. NULL: out of memory. */
json_t *front_json(const front *f);
void front_print(const front *f, FILE *out);
/* An SVG picture of a front that has costs, in the arena. */
text front_draw(const front *f, arena *a);

#endif
