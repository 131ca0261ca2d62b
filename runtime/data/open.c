/* From "KIND:PATH" to a data set: the kinds, and what is computed for all of them. */
#include "runtime/data/files.h"
#include "runtime/data/source.h"

#include <string.h>

static const struct kind {
    const char *name;
    bool (*open)(struct source *s);
    bool takes_size; /* its images have none of their own */
} kinds[] = {
    {"idx", idx_open, false},           {"cifar10", cifar10_open, false},
    {"cifar100", cifar100_open, false}, {"synthetic", synthetic_open, false},
    {"images", images_open, true},
};

/* Of the kind before the colon; NULL: there is none of that name. */
static const struct kind *kind_of(const char *spec)
{
    const char *colon = strchr(spec, ':');
    size_t length = colon ? (size_t)(colon - spec) : 0;
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strlen(kinds[i].name) == length && strncmp(spec, kinds[i].name, length) == 0)
            return &kinds[i];
    return NULL;
}

bool data_takes_size(const char *spec)
{
    const struct kind *k = kind_of(spec);
    return k && k->takes_size;
}

static bool unknown_kind(const struct source *s, const char *colon)
{
    const char *name = arena_printf(s->a, "%.*s", (int)(colon - s->spec), s->spec), *known[COUNT(kinds)];
    for (size_t i = 0; i < COUNT(kinds); i++)
        known[i] = kinds[i].name;
    const char *near = text_suggest(name, known, COUNT(known));
    return diag_fail(s->d, DIAG_INPUT, s->spec, "data of kind '%s' is not known; %s%s%s", name,
                     near ? "did you mean '" : "kinds are idx, cifar10, cifar100, synthetic, images", near ? near : "",
                     near ? "'?" : "");
}

static bool open_kind(struct source *s)
{
    const char *colon = strchr(s->spec, ':');
    if (!colon || !colon[1])
        return diag_fail(s->d, DIAG_INPUT, s->spec,
                         "is not KIND:PATH; kinds are idx, cifar10, cifar100, images and synthetic:HxWxC/CLASSES");
    const struct kind *k = kind_of(s->spec);
    s->path = colon + 1;
    return k ? k->open(s) : unknown_kind(s, colon);
}

static bool open_set(void *user, arena *a, nasc_diag *d)
{
    struct source *s = user;
    s->scratch.unwind = a->unwind;
    s->set = NEW(a, dataset);
    s->set->spec = arena_strdup(a, s->spec);
    s->set->threads = s->options->threads;
    return open_kind(s) && data_measure(a, s->set, s->options->seed, d);
}

dataset *data_open(arena *a, const char *spec, const data_options *o, nasc_diag *d)
{
    struct source s = {.a = a, .spec = spec, .options = o, .d = d};
    bool ok = arena_guard(a, open_set, &s, d);
    source_drop(&s);
    folder_drop(&s);
    arena_free(&s.scratch);
    return ok ? s.set : NULL;
}
