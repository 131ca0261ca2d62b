/* Taking tensors out of a set that was read: by name, converted, counted. */
#include "runtime/tensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int name_order(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct tensor *)tensor)->name);
}

struct tensor *tensors_find(const struct tensors *set, const char *name)
{
    return set->count ? bsearch(name, set->at, (size_t)set->count, sizeof *set->at, name_order) : NULL;
}

static struct tensor *take(struct tensors *set, const char *name, int64_t count, nasc_diag *d)
{
    struct tensor *t = tensors_find(set, name);
    if (!t) {
        diag_fail(d, DIAG_INPUT, set->path, "tensor '%s' is missing", name);
        return NULL;
    }
    if (t->count != count) {
        diag_fail(d, DIAG_INPUT, set->path, "tensor '%s' has %lld elements, expected %lld", name, (long long)t->count,
                  (long long)count);
        return NULL;
    }
    t->used = true;
    return t;
}

static double half_to_double(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude;
    if (exponent == 31)
        magnitude = fraction ? __builtin_nan("") : __builtin_inf();
    else if (exponent == 0)
        magnitude = fraction * 0x1p-24;
    else
        magnitude = (1024 + fraction) * 0x1p-25 * (double)(1u << exponent);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static double bfloat_to_double(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* Runs `body` for each element i with `v` of type T; the data may lie at any address. */
#define EACH(T, body)                                                                                                  \
    for (int64_t i = 0; i < t->count; i++) {                                                                           \
        T v;                                                                                                           \
        memcpy(&v, (const char *)t->data + (size_t)i * sizeof v, sizeof v);                                            \
        body;                                                                                                          \
    }                                                                                                                  \
    break

#define CONVERT(to, T)                                                                                                 \
    switch (t->dtype) {                                                                                                \
    case TENSOR_F64:                                                                                                   \
        EACH(double, to[i] = (T)v);                                                                                    \
    case TENSOR_F32:                                                                                                   \
        EACH(float, to[i] = (T)v);                                                                                     \
    case TENSOR_F16:                                                                                                   \
        EACH(uint16_t, to[i] = (T)half_to_double(v));                                                                  \
    case TENSOR_BF16:                                                                                                  \
        EACH(uint16_t, to[i] = (T)bfloat_to_double(v));                                                                \
    case TENSOR_I64:                                                                                                   \
        EACH(int64_t, to[i] = (T)v);                                                                                   \
    case TENSOR_I32:                                                                                                   \
        EACH(int32_t, to[i] = (T)v);                                                                                   \
    case TENSOR_I8:                                                                                                    \
        EACH(int8_t, to[i] = (T)v);                                                                                    \
    case TENSOR_U8:                                                                                                    \
    case TENSOR_BOOL:                                                                                                  \
        EACH(uint8_t, to[i] = (T)v);                                                                                   \
    }

bool tensors_floats(struct tensors *set, const char *name, int64_t count, float *to, nasc_diag *d)
{
    const struct tensor *t = take(set, name, count, d);
    if (!t)
        return false;
    CONVERT(to, float)
    return true;
}

bool tensors_doubles(struct tensors *set, const char *name, int64_t count, double *to, nasc_diag *d)
{
    const struct tensor *t = take(set, name, count, d);
    if (!t)
        return false;
    CONVERT(to, double)
    return true;
}

bool tensors_integers(struct tensors *set, const char *name, int64_t count, int64_t *to, nasc_diag *d)
{
    const struct tensor *t = take(set, name, count, d);
    if (!t)
        return false;
    switch (t->dtype) {
    case TENSOR_I64:
        EACH(int64_t, to[i] = v);
    case TENSOR_I32:
        EACH(int32_t, to[i] = v);
    case TENSOR_I8:
        EACH(int8_t, to[i] = (int)v);
    case TENSOR_U8:
    case TENSOR_BOOL:
        EACH(uint8_t, to[i] = v);
    default:
        return diag_fail(d, DIAG_INPUT, set->path, "tensor '%s' holds floating point, expected integers", name);
    }
    return true;
}

int tensors_unused(const struct tensors *set, text *names)
{
    int unused = 0;
    for (int i = 0; i < set->count; i++)
        if (!set->at[i].used)
            text_add(names, "%s%s", unused++ ? ", " : "", set->at[i].name);
    return unused;
}

const char *tensors_text(const struct tensors *set, const char *key)
{
    for (int i = 0; i < set->metadata_count; i++)
        if (strcmp(set->metadata[i].key, key) == 0)
            return set->metadata[i].value;
    return NULL;
}

bool tensors_text_integer(const struct tensors *set, const char *key, int64_t *value, nasc_diag *d)
{
    const char *found = tensors_text(set, key);
    if (!found)
        return diag_fail(d, DIAG_INPUT, set->path, "the metadata has no '%s'", key);
    char *end;
    errno = 0;
    long long number = strtoll(found, &end, 10);
    if (end == found || *end || errno)
        return diag_fail(d, DIAG_INPUT, set->path, "the metadata's '%s' is '%s', expected an integer", key, found);
    *value = number;
    return true;
}

void tensor_oihw_to_hwio(float *to, const float *from, int o, int i, int h, int w)
{
    size_t channels = (size_t)o * (size_t)i, taps = (size_t)h * (size_t)w;
    for (size_t tap = 0; tap < taps; tap++)
        for (size_t in = 0; in < (size_t)i; in++)
            for (size_t out = 0; out < (size_t)o; out++)
                to[tap * channels + in * (size_t)o + out] = from[(out * (size_t)i + in) * taps + tap];
}

void tensor_hwio_to_oihw(float *to, const float *from, int o, int i, int h, int w)
{
    size_t channels = (size_t)o * (size_t)i, taps = (size_t)h * (size_t)w;
    for (size_t out = 0; out < (size_t)o; out++)
        for (size_t in = 0; in < (size_t)i; in++)
            for (size_t tap = 0; tap < taps; tap++)
                to[(out * (size_t)i + in) * taps + tap] = from[tap * channels + in * (size_t)o + out];
}

void tensor_transpose(float *to, const float *from, int rows, int columns)
{
    for (size_t column = 0; column < (size_t)columns; column++)
        for (size_t row = 0; row < (size_t)rows; row++)
            to[column * (size_t)rows + row] = from[row * (size_t)columns + column];
}
