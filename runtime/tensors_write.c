/* Writing safetensors: the header's text is made here, not by a JSON library, so that equal content is equal bytes. */
#include "runtime/tensors.h"

#include <string.h>

static size_t tensor_bytes(const struct tensor *t)
{
    static const size_t element[] = {
#define X(name, bytes) bytes,
        TENSOR_DTYPES(X)
#undef X
    };
    size_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= (size_t)t->shape[i];
    return count * element[t->dtype];
}

static const char *dtype_name(enum tensor_dtype dtype)
{
    static const char *const names[] = {
#define X(name, bytes) #name,
        TENSOR_DTYPES(X)
#undef X
    };
    return names[dtype];
}

static void add_quoted(text *t, const char *s)
{
    text_quoted(t, s, strlen(s));
}

static void add_metadata(text *t, const struct tensor_text *metadata, int count)
{
    text_add(t, "\"__metadata__\":{");
    for (int i = 0; i < count; i++) {
        text_add(t, i ? "," : "");
        add_quoted(t, metadata[i].key);
        text_add(t, ":");
        add_quoted(t, metadata[i].value);
    }
    text_add(t, "}");
}

static void add_tensor(text *t, const struct tensor *tensor, size_t offset)
{
    add_quoted(t, tensor->name);
    text_add(t, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++)
        text_add(t, "%s%lld", i ? "," : "", (long long)tensor->shape[i]);
    text_add(t, "],\"data_offsets\":[%zu,%zu]}", offset, offset + tensor_bytes(tensor));
}

struct writer {
    const char *path;
    const struct tensor *at;
    int count;
    const struct tensor_text *metadata;
    int metadata_count;
};

/* The file's first part, padded so that the data starts at a multiple of 8. */
static text make_header(const struct writer *w, arena *a, size_t *data_bytes)
{
    text t = {.arena = a};
    text_add(&t, "{");
    if (w->metadata_count)
        add_metadata(&t, w->metadata, w->metadata_count);
    *data_bytes = 0;
    for (int i = 0; i < w->count; i++) {
        text_add(&t, i || w->metadata_count ? "," : "");
        add_tensor(&t, &w->at[i], *data_bytes);
        *data_bytes += tensor_bytes(&w->at[i]);
    }
    text_add(&t, "}");
    text_add(&t, "%*s", (int)(-t.length & 7), "");
    return t;
}

static bool write_all(void *user, arena *a, nasc_diag *d)
{
    const struct writer *w = user;
    size_t data_bytes;
    text header = make_header(w, a, &data_bytes);
    uint64_t length = header.length;
    size_t size = sizeof length + header.length + data_bytes;
    char *bytes = arena_alloc(a, size), *end = bytes;
    memcpy(end, &length, sizeof length);
    end += sizeof length;
    memcpy(end, header.at, header.length);
    end += header.length;
    for (int i = 0; i < w->count; i++) {
        size_t count = tensor_bytes(&w->at[i]);
        if (count)
            memcpy(end, w->at[i].data, count);
        end += count;
    }
    return file_replace(w->path, bytes, size, d);
}

bool tensors_write(const char *path, const struct tensor *at, int count, const struct tensor_text *metadata,
                   int metadata_count, nasc_diag *d)
{
    struct writer w = {.path = path, .at = at, .count = count, .metadata = metadata, .metadata_count = metadata_count};
    return arena_within(write_all, &w, d);
}
