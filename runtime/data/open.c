/* From "KIND:PATH" to a data set: the kinds, and what is computed for all of them. */
#include "runtime/data/source.h"

#include <math.h>
#include <string.h>

static const struct kind {
    const char *name;
    bool (*open)(struct source *s);
} kinds[] = {
    {"idx", idx_open},
    {"cifar10", cifar10_open},
    {"cifar100", cifar100_open},
    {"synthetic", synthetic_open},
};

/* Mean and deviation a channel over the training set; sums of bytes are exact. */
static void measure(struct source *s)
{
    dataset *set = s->set;
    set->mean = NEW_ARRAY(s->a, float, set->c);
    set->std = NEW_ARRAY(s->a, float, set->c);
    size_t pixels = (size_t)set->train.count * (size_t)set->h * (size_t)set->w;
    for (int c = 0; c < set->c; c++) {
        uint64_t sum = 0, squares = 0;
        for (size_t i = 0; i < pixels; i++) {
            uint64_t p = set->train.pixels[i * (size_t)set->c + (size_t)c];
            sum += p;
            squares += p * p;
        }
        double mean = (double)sum / (double)pixels;
        double variance = (double)squares / (double)pixels - mean * mean;
        set->mean[c] = (float)(mean / 255);
        set->std[c] = variance > 1e-9 ? (float)(sqrt(variance) / 255) : 1;
    }
}

static bool open_kind(struct source *s)
{
    const char *colon = strchr(s->spec, ':');
    if (!colon || !colon[1])
        return diag_fail(s->d, DIAG_INPUT, s->spec,
                         "is not KIND:PATH; kinds are idx, cifar10, cifar100 and synthetic:HxWxC/CLASSES");
    s->path = colon + 1;
    const char *name = arena_printf(s->a, "%.*s", (int)(colon - s->spec), s->spec);
    const char *known[COUNT(kinds)];
    for (size_t i = 0; i < COUNT(kinds); i++) {
        known[i] = kinds[i].name;
        if (strcmp(name, kinds[i].name) == 0)
            return kinds[i].open(s);
    }
    if (strcmp(name, "images") == 0)
        return diag_fail(s->d, DIAG_INPUT, s->spec,
                         "folders of images are not read by this version; idx, cifar10, cifar100 and synthetic are");
    const char *near = text_suggest(name, known, COUNT(known));
    return diag_fail(s->d, DIAG_INPUT, s->spec, "data of kind '%s' is not known; %s%s%s", name,
                     near ? "did you mean '" : "kinds are idx, cifar10, cifar100, synthetic", near ? near : "",
                     near ? "'?" : "");
}

/* Apart from data_open, so that what `s` owns is no local of the function that unwinds. */
static bool open_guarded(struct source *s)
{
    jmp_buf *outer = s->a->unwind, here;
    if (setjmp(here)) {
        s->a->unwind = outer;
        return diag_memory(s->d);
    }
    s->a->unwind = &here;
    s->set = NEW(s->a, dataset);
    s->set->spec = arena_strdup(s->a, s->spec);
    bool ok = open_kind(s);
    if (ok)
        measure(s);
    s->a->unwind = outer;
    return ok;
}

dataset *data_open(arena *a, const char *spec, uint64_t seed, nasc_diag *d)
{
    struct source s = {.a = a, .spec = spec, .seed = seed, .d = d};
    bool ok = open_guarded(&s);
    source_drop(&s);
    return ok ? s.set : NULL;
}
