/* Which instances of a launch a GPU runs as one grid. */
#ifndef NASC_GRIDS_H
#define NASC_GRIDS_H

#include "loop/loop.h"
#include "plan/program.h"

/* What an instance reads and writes of what a launch may compute: values, by their numbers. */
typedef struct grid_touches {
    const int *reads, *writes;
    int read_count, write_count;
} grid_touches;

typedef struct grids grids;

/* Grids for `p`; values have numbers below `values`. The work lies in `own`, the grids where the program does. */
grids *grids_open(arena *a, arena *own, program *p, int values);
/* Forms the grids of the last launch, all instances of which stand, in the order of `touches`; its instances get another
 * order. Instances come together where one block can be any of them without there being room for many fewer: equal ones
 * before others. None that reads or writes what another of them writes. */
void grids_form(grids *g, const grid_touches *touches);
/* After the last launch: the tables of the functions. */
void grids_close(grids *g);

#endif
