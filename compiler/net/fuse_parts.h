/* The two halves of fuse: places (fuse.c) and groups (fuse_groups.c). */
#ifndef NASC_FUSE_PARTS_H
#define NASC_FUSE_PARTS_H

#include "net/copy.h"
#include "net/fuse.h"

typedef struct fuser {
    arena *a;
    const net *n;
    fusion *f;
    enum fuse_kernels kernels;
    const int *first_user; /* see net_users */
    const net_user *users;
    const bool *is_output;
    bool *holds_window; /* a map that already carries a window in registers */
} fuser;

enum net_class fuse_class(const net *n, int node);
bool fuse_is_copy(const net *n, int node);      /* a home of its own for what lies elsewhere; net_settle makes these */
bool fuse_is_pointwise(const net *n, int node); /* convolution; of node -1, false */
bool fuse_is_depthwise(const net *n, int node);
void fuse_add_read(arena *a, node_list *list, int node); /* once */

bool fuse_reads_little(const fuser *u, int map); /* so few full-size tensors that it is cheap to compute again */

/* The one norm that reads a sum of rows; -1: there is none, or several. `alone`: nothing else reads it. */
int fuse_norm_of(const fuser *u, int sum, bool *alone);
/* Does the norm add up its two sums of rows itself? */
bool fuse_adds_rows(const fuser *u, int norm);

/* All values have their places: brings roots together, and fills the groups and what tells the group of each. */
void fuse_groups(fuser *u);

#endif
