/* For tests of the JIT: a cache of their own, and which targets this machine executes. */
#ifndef NASC_JIT_HOST_H
#define NASC_JIT_HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "emit/emit.h"

static inline bool host_executes(const target *t)
{
    target host = target_host();
    return t->triple && host.triple && !strcmp(t->triple, host.triple) && t->lanes <= host.lanes;
}

/* Makes `folder` (a template for mkdtemp) the cache, and lists the targets that are skipped. False: all of them are. */
static inline bool jit_host_begin(char *folder)
{
    target host = target_host();
    nasc_diag d = {0};
    if (!mkdtemp(folder))
        abort();
    setenv("NASC_CACHE", folder, 1);
    jit *j = host.triple ? jit_open(&host, &d) : NULL;
    bool can = j != NULL;
    jit_close(j);
    if (!can)
        printf("skipped, no JIT on this machine: %s\n", d.message);
    for (int i = 0; i < target_count; i++)
        if (target_table[i].triple && (!can || !host_executes(&target_table[i])))
            printf("skipped on the JIT, this machine does not execute it: %s\n", target_table[i].name);
    return can;
}

static inline void jit_host_end(const char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command))
        abort();
}

#endif
