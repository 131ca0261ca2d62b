/* The walk through the network, section by section. */
#ifndef NASC_SPACE_BUILD_NETWORK_H
#define NASC_SPACE_BUILD_NETWORK_H

#include "space/build.h"

/* A cell or block that was built: later sections number on, and the auxiliary head hangs on one of them. */
typedef struct numbered {
    const char *name;
    int index;
    flow out;
    int64_t C;
} numbered;

typedef struct walk {
    builder b;
    scope globals;
    VEC(flow) states; /* outputs of stem, cells, blocks, sections, in order */
    VEC(numbered) numbered;
    VEC(space_choice) choices;
    VEC(struct space_select) selects;
    int own_alphas;
    int64_t C; /* the present width */
    int logits, auxiliary;
    space_net *result;
} walk;

/* `from`: the cell's inputs, the latest last. */
flow build_cell(walk *w, const cell *c, const flow *from, int64_t C, int section, int instance, bool reduction);
/* The alpha of a kind that the network names but, as small as it is, has no instance of. */
void declare_cell(walk *w, const cell *c);
flow build_block(walk *w, const section *s, const stage *st, int instance, flow x, const place *p, bool *left_out);

#endif
