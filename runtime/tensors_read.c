/* Reading safetensors. The file is hostile until checked: every size is bounded before it is used. */
#include "runtime/tensors.h"
#include "base/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {
#define X(name, bytes) {#name, bytes},
    TENSOR_DTYPES(X)
#undef X
};

struct reader {
    arena *a;
    const char *path;
    const char *bytes; /* the data section */
    uint64_t size;
    json_t *header;
    nasc_diag *d;
    struct tensors *set;
};

static bool read_dtype(struct reader *r, struct tensor *t, const json_t *value)
{
    const char *found = json_string_value(value);
    for (size_t i = 0; found && i < COUNT(dtypes); i++)
        if (strcmp(found, dtypes[i].name) == 0) {
            t->dtype = (enum tensor_dtype)i;
            return true;
        }
    return diag_fail(r->d, DIAG_INPUT, r->path,
                     "tensor '%s': dtype %s is not one of F64 F32 F16 BF16 I64 I32 U8 I8 BOOL", t->name,
                     found ? found : "(no text)");
}

static bool read_shape(struct reader *r, struct tensor *t, const json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) > TENSOR_RANK)
        return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s': shape is not a list of at most %d sizes", t->name,
                         TENSOR_RANK);
    t->rank = (int)json_array_size(value);
    t->count = 1;
    for (int i = 0; i < t->rank; i++) {
        const json_t *item = json_array_get(value, (size_t)i);
        json_int_t size = json_integer_value(item);
        if (!json_is_integer(item) || size < 0)
            return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s': size %d of its shape is not a number of elements",
                             t->name, i);
        if (__builtin_mul_overflow(t->count, (int64_t)size, &t->count) || t->count > INT64_MAX / 8)
            return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s' is too large", t->name);
        t->shape[i] = size;
    }
    return true;
}

static bool read_offsets(struct reader *r, struct tensor *t, const json_t *value)
{
    const json_t *first = json_array_get(value, 0), *last = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s': data_offsets is not a pair of numbers", t->name);
    json_int_t from = json_integer_value(first), to = json_integer_value(last);
    if (from < 0 || to < from || (uint64_t)to > r->size)
        return diag_fail(r->d, DIAG_INPUT, r->path,
                         "tensor '%s' lies at bytes %lld to %lld of the data, which has %llu bytes", t->name,
                         (long long)from, (long long)to, (unsigned long long)r->size);
    long long wanted = (long long)t->count * dtypes[t->dtype].bytes;
    if (to - from != wanted)
        return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s' has %lld bytes; its shape and dtype make %lld",
                         t->name, (long long)(to - from), wanted);
    t->data = r->bytes + from;
    return true;
}

static bool read_tensor(struct reader *r, struct tensor *t, const char *name, json_t *value)
{
    t->name = arena_strdup(r->a, name);
    json_t *dtype = json_object_get(value, "dtype"), *shape = json_object_get(value, "shape");
    json_t *offsets = json_object_get(value, "data_offsets");
    if (!dtype || !shape || !offsets || json_object_size(value) != 3)
        return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s' is not described by dtype, shape and data_offsets",
                         name);
    return read_dtype(r, t, dtype) && read_shape(r, t, shape) && read_offsets(r, t, offsets);
}

static bool read_metadata(struct reader *r, json_t *value)
{
    if (!json_is_object(value))
        return diag_fail(r->d, DIAG_INPUT, r->path, "__metadata__ is not an object");
    r->set->metadata = NEW_ARRAY(r->a, struct tensor_text, json_object_size(value));
    const char *key;
    json_t *item;
    json_object_foreach(value, key, item)
    {
        if (!json_is_string(item))
            return diag_fail(r->d, DIAG_INPUT, r->path, "__metadata__: '%s' is not a text", key);
        r->set->metadata[r->set->metadata_count++] =
            (struct tensor_text){arena_strdup(r->a, key), arena_strdup(r->a, json_string_value(item))};
    }
    return true;
}

static int by_place(const void *left, const void *right)
{
    const struct tensor *a = left, *b = right;
    if (a->data != b->data)
        return (const char *)a->data < (const char *)b->data ? -1 : 1;
    return (a->count > b->count) - (a->count < b->count); /* empty ones first */
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct tensor *)left)->name, ((const struct tensor *)right)->name);
}

/* The tensors must cover the data exactly, as the format demands: what nobody describes could hide anything. */
static bool check_cover(struct reader *r)
{
    struct tensors *set = r->set;
    qsort(set->at, (size_t)set->count, sizeof *set->at, by_place);
    const char *end = r->bytes;
    for (int i = 0; i < set->count; i++) {
        const struct tensor *t = &set->at[i];
        if ((const char *)t->data != end)
            return diag_fail(r->d, DIAG_INPUT, r->path, "tensor '%s' %s", t->name,
                             (const char *)t->data < end ? "overlaps another" : "leaves a gap before it");
        end += t->count * dtypes[t->dtype].bytes;
    }
    if (end != r->bytes + r->size)
        return diag_fail(r->d, DIAG_INPUT, r->path, "%llu bytes at the end belong to no tensor",
                         (unsigned long long)(r->bytes + r->size - end));
    qsort(set->at, (size_t)set->count, sizeof *set->at, by_name);
    return true;
}

static bool read_header(struct reader *r)
{
    const char *name;
    json_t *value;
    r->set->at = NEW_ARRAY(r->a, struct tensor, json_object_size(r->header));
    json_object_foreach(r->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if (!read_metadata(r, value))
                return false;
        } else if (!read_tensor(r, &r->set->at[r->set->count++], name, value)) {
            return false;
        }
    }
    return check_cover(r);
}

static bool parse_header(struct reader *r, const char *bytes, size_t size)
{
    uint64_t length;
    if (size < sizeof length)
        return diag_fail(r->d, DIAG_INPUT, r->path, "is too short for a safetensors file (%zu bytes)", size);
    memcpy(&length, bytes, sizeof length);
    if (length > size - sizeof length)
        return diag_fail(r->d, DIAG_INPUT, r->path,
                         "is cut short or not a safetensors file: a header of %llu bytes is announced, %zu follow",
                         (unsigned long long)length, size - sizeof length);
    json_error_t error;
    r->header = json_loadb(bytes + sizeof length, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!r->header && json_no_memory(&error))
        return diag_memory(r->d);
    if (!json_is_object(r->header))
        return diag_fail(r->d, DIAG_INPUT, r->path, "the header is not a JSON object: %s",
                         r->header ? "it is something else" : error.text);
    r->bytes = bytes + sizeof length + length;
    r->size = size - sizeof length - length;
    return true;
}

static bool read_set(void *user, arena *a, nasc_diag *d)
{
    struct reader *r = user;
    size_t size;
    r->set = NEW(a, struct tensors);
    r->set->path = arena_strdup(a, r->path);
    const char *bytes = file_read(a, r->path, &size, d);
    return bytes && parse_header(r, bytes, size) && read_header(r);
}

struct tensors *tensors_read(arena *a, const char *path, nasc_diag *d)
{
    struct reader r = {.a = a, .path = path, .d = d};
    bool ok = arena_guard(a, read_set, &r, d);
    json_decref(r.header);
    return ok ? r.set : NULL;
}
