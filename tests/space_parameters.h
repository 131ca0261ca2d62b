/* What tests of building share: settings, a build that must succeed, and parameters compared with a fixture's. */
#ifndef TESTS_SPACE_PARAMETERS_H
#define TESTS_SPACE_PARAMETERS_H

#include "runtime/tensors.h"
#include "space/space.h"

#include <stdio.h>
#include <string.h>

#define FIXTURES TESTS_DIR "/fixtures/"

static inline void must(bool ok, const nasc_diag *d)
{
    if (!ok)
        fail_msg("%s: %s", d->where, d->message);
}

static inline space *read_space(const char *path)
{
    nasc_diag d = {0};
    space *s = space_read(path, &d);
    must(s != NULL, &d);
    return s;
}

/* "key=value" settings, up to NULL. */
static inline settings make_settings(const space *s, enum settings_use use, const char *const *assignments)
{
    settings set;
    nasc_diag d = {0};
    settings_defaults(&set, use);
    settings_from_space(&set, s);
    for (; *assignments; assignments++)
        must(settings_assign(&set, *assignments, "test", &d), &d);
    return set;
}

static inline space_net build(const space *s, const settings *set, space_mode mode, arena *a)
{
    nasc_diag d = {0};
    space_net net;
    must(space_build(s, set, mode, a, &net, &d), &d);
    return net;
}

/* The shape that files give a parameter, as text. */
static inline void file_shape(const net_param *p, char *to, size_t size)
{
    const int *dim = p->dim;
    if (p->layout == LAYOUT_CONV)
        snprintf(to, size, "%d %d %d %d", dim[3], dim[2], dim[0], dim[1]);
    else if (p->layout == LAYOUT_LINEAR)
        snprintf(to, size, "%d %d", dim[3], dim[2]);
    else if (p->slot == SLOT_MIX && dim[2] > 1)
        snprintf(to, size, "%d %d", dim[2], dim[3]);
    else
        snprintf(to, size, "%d", dim[3]);
}

static inline void same_parameters(const net *n, const char *fixture)
{
    arena a = {0};
    nasc_diag d = {0};
    struct tensors *set = tensors_read(&a, fixture, &d);
    must(set != NULL, &d);
    for (int i = 0; i < n->params.count; i++) {
        char name[320], want[80], got[80] = "";
        snprintf(name, sizeof name, "param.%s", n->params.at[i].name);
        struct tensor *t = tensors_find(set, name);
        if (!t)
            fail_msg("the fixture has no %s", name);
        file_shape(&n->params.at[i], want, sizeof want);
        for (int k = 0; k < t->rank; k++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", k ? " " : "", (int)t->shape[k]);
        if (strcmp(want, got) != 0)
            fail_msg("%s: the fixture has %s, built %s", name, got, want);
        t->used = true;
    }
    for (int i = 0; i < set->count; i++)
        if (strncmp(set->at[i].name, "param.", 6) == 0 && !set->at[i].used)
            fail_msg("%s was not built", set->at[i].name);
    arena_free(&a);
}

#endif
