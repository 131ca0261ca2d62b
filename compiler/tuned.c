/* Measured schedules on disk: an entry is four numbers, and its name says which kernel and which CPU. */
#include "tuned.h"

#include <string.h>

#include <xxhash.h>

enum { TUNED_VERSION = 2 };

typedef struct stored {
    int32_t version, tile_rows, vectors;
} stored;

void tuned_open(tuned *t, const target *of)
{
    *t = (tuned){.target = *of};
    cache_open(&t->cache);
}

void tuned_close(tuned *t)
{
    arena_free(&t->arena);
    *t = (tuned){0};
}

/* The entry's name: the kernel's key with all that its speed depends on. */
static void entry_key(const tuned *t, const unsigned char key[16], unsigned char entry[CACHE_KEY_BYTES])
{
    struct {
        char what[8];
        unsigned char kernel[16];
        uint64_t row, model;
        int64_t l1, l2;
    } all = {.what = "tuned",
             .row = XXH3_64bits(t->target.name, strlen(t->target.name)),
             .model = t->target.model,
             .l1 = t->target.l1_bytes,
             .l2 = t->target.l2_bytes};
    memcpy(all.kernel, key, sizeof all.kernel);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(&all, sizeof all));
    memcpy(entry, bytes.digest, CACHE_KEY_BYTES);
}

static struct tuned_entry entry_load(const tuned *t, const unsigned char key[16])
{
    struct tuned_entry e = {.found = false};
    unsigned char entry[CACHE_KEY_BYTES];
    size_t size;
    stored s;
    memcpy(e.key, key, sizeof e.key);
    entry_key(t, key, entry);
    void *object = cache_load(&t->cache, entry, &size);
    if (object && size == sizeof s) {
        memcpy(&s, object, sizeof s);
        e.found = s.version == TUNED_VERSION;
        e.options = (lower_options){.tile_rows = s.tile_rows, .vectors = s.vectors};
    }
    mem_free(object);
    return e;
}

static const struct tuned_entry *entry_find(tuned *t, const unsigned char key[16])
{
    for (int i = 0; i < t->seen.count; i++)
        if (memcmp(t->seen.at[i].key, key, sizeof t->seen.at[i].key) == 0)
            return &t->seen.at[i];
    struct tuned_entry e = entry_load(t, key);
    VEC_PUSH(&t->arena, &t->seen, e);
    return &t->seen.at[t->seen.count - 1];
}

typedef struct question {
    tuned *t;
    const unsigned char *key;
    const struct tuned_entry *entry;
} question;

static bool look_up(void *user, arena *a, nasc_diag *d)
{
    (void)a, (void)d;
    question *q = user;
    q->entry = entry_find(q->t, q->key);
    return true;
}

/* A book cannot fail: where memory is short, nothing is known. */
static bool find(void *user, const unsigned char key[16], lower_options *found)
{
    tuned *t = user;
    question q = {t, key, NULL};
    if (!arena_guard(&t->arena, look_up, &q, &(nasc_diag){0}))
        return false;
    *found = q.entry->options;
    return q.entry->found && (found->tile_rows || found->vectors);
}

schedule_book tuned_book(tuned *t)
{
    return (schedule_book){find, t};
}

void tuned_keep(tuned *t, const unsigned char key[16], const lower_options *options)
{
    unsigned char entry[CACHE_KEY_BYTES];
    for (int i = 0; i < t->seen.count; i++)
        if (memcmp(t->seen.at[i].key, key, sizeof t->seen.at[i].key) == 0)
            t->seen.at[i] = t->seen.at[--t->seen.count]; /* the disk knows better now */
    stored s = {TUNED_VERSION, options->tile_rows, options->vectors};
    entry_key(t, key, entry);
    cache_store(&t->cache, entry, &s, sizeof s);
}
