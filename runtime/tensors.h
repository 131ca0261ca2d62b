/* Named tensors in a file: the safetensors format (8 bytes of header length, a JSON header, the data). Weights,
 * checkpoints and test fixtures are such files. At this boundary convolution weights are OIHW and linear weights
 * [out][in], as PyTorch has them; inside nasc they are HWIO and [in][out]. Hosts are little-endian, as the format is.
 */
#ifndef NASC_TENSORS_H
#define NASC_TENSORS_H

#include "base/base.h"

/* name, bytes an element */
#define TENSOR_DTYPES(X)                                                                                               \
    X(F64, 8)                                                                                                          \
    X(F32, 4)                                                                                                          \
    X(F16, 2)                                                                                                          \
    X(BF16, 2)                                                                                                         \
    X(I64, 8)                                                                                                          \
    X(I32, 4)                                                                                                          \
    X(U8, 1)                                                                                                           \
    X(I8, 1)                                                                                                           \
    X(BOOL, 1)

enum tensor_dtype {
#define X(name, bytes) TENSOR_##name,
    TENSOR_DTYPES(X)
#undef X
};

enum { TENSOR_RANK = 8 };

struct tensor {
    const char *name;
    enum tensor_dtype dtype;
    int rank;
    int64_t shape[TENSOR_RANK];
    int64_t count;    /* elements; set by the reader, not looked at by the writer */
    const void *data; /* when read: not aligned */
    bool used;        /* set by the functions below that take a tensor by name */
};

struct tensor_text {
    const char *key, *value;
};

struct tensors {
    const char *path;
    struct tensor *at; /* sorted by name */
    int count;
    struct tensor_text *metadata;
    int metadata_count;
};

/* Reads a file, header checked in full: types, sizes, no overlap, no gap. NULL with a diagnostic. Owned by `a`. */
struct tensors *tensors_read(arena *a, const char *path, nasc_diag *d);

struct tensor *tensors_find(const struct tensors *set, const char *name); /* NULL when there is none */

/* Copy tensor `name`, which must have `count` elements, and mark it used. Any type converts to floating point;
 * tensors_integers takes integer types alone. */
bool tensors_floats(struct tensors *set, const char *name, int64_t count, float *to, nasc_diag *d);
bool tensors_doubles(struct tensors *set, const char *name, int64_t count, double *to, nasc_diag *d);
bool tensors_integers(struct tensors *set, const char *name, int64_t count, int64_t *to, nasc_diag *d);

/* How many tensors nobody took; their names are added to `names`, separated by ", ". */
int tensors_unused(const struct tensors *set, text *names);

const char *tensors_text(const struct tensors *set, const char *key); /* of the metadata; NULL when there is none */
bool tensors_text_integer(const struct tensors *set, const char *key, int64_t *value, nasc_diag *d);

/* Replaces the file at `path`: metadata and tensors in the order given; equal content makes equal bytes. */
bool tensors_write(const char *path, const struct tensor *at, int count, const struct tensor_text *metadata,
                   int metadata_count, nasc_diag *d);

/* Layouts: `i` is input channels a group. */
void tensor_oihw_to_hwio(float *to, const float *from, int o, int i, int h, int w);
void tensor_hwio_to_oihw(float *to, const float *from, int o, int i, int h, int w);
void tensor_transpose(float *to, const float *from, int rows, int columns); /* [rows][columns] → [columns][rows] */

#endif
