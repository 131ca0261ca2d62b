/* A double of cuDNN, version 9: the backend API as far as nasc uses it. Descriptors are checked when they are finalised; a
 * plan computes its convolution on the CPU, in double, when its stream comes to it. Of the three engines that it names for
 * every graph the first varies from run to run, the second rounds to TF32, and the third works in a workspace, which it
 * spoils.
 *
 * CUDNN_DOUBLE=FUNCTION:N makes the Nth call of that function fail; CUDNN_DOUBLE=none: no engine keeps to its order of
 * sums; CUDNN_DOUBLE_VERSION is what it says of itself (91900). */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { OK, NOT_FINALIZED = 2004, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum { ATTRIBUTES = 16, VALUE_BYTES = 64, WORKSPACE = 1000 };

/* Types of descriptors, and their attributes: see cudnn_graph.h. */
enum {
    CONVOLUTION = 1,
    ENGINE,
    CONFIG,
    HEURISTICS,
    PLAN,
    FORWARD = 10,
    FILTER,
    DATA,
    GRAPH = 15,
    PACK,
    TENSOR,
    DEVICE = 38
};
enum { DESCRIPTOR = 15, BYTES_NONE = 0 };

typedef struct descriptor {
    int type, owners;
    bool final;
    int engine; /* of engines and configurations: which one of three */
    int count;
    struct attribute {
        int name, type;
        int64_t count;
        unsigned char value[VALUE_BYTES];
    } attribute[ATTRIBUTES];
} descriptor;

static struct {
    int calls, descriptors, handles;
    char said[256];
} state;

typedef struct handle {
    void *stream;
} handle;

static bool is_double(const char *word)
{
    const char *wanted = getenv("CUDNN_DOUBLE");
    return wanted && strcmp(wanted, word) == 0;
}

static int fails(const char *function, int code)
{
    const char *wanted = getenv("CUDNN_DOUBLE");
    size_t length = strlen(function);
    bool counted = wanted && strncmp(wanted, function, length) == 0 && wanted[length] == ':';
    return counted && ++state.calls == atoi(wanted + length + 1) ? code : OK;
}

static int refuse(int code, const char *why)
{
    snprintf(state.said, sizeof state.said, "%s", why);
    return code;
}

static void wrong(const char *what)
{
    fprintf(stderr, "cuDNN's double: %s\n", what);
    abort();
}

EXPORT size_t cudnnGetVersion(void)
{
    const char *said = getenv("CUDNN_DOUBLE_VERSION");
    return said ? (size_t)atoi(said) : 91900;
}

EXPORT void cudnnGetLastErrorString(char *words, size_t size)
{
    snprintf(words, size, "%s", state.said);
    state.said[0] = 0;
}

EXPORT int cudnnCreate(void **made)
{
    int code = fails("cudnnCreate", NOT_SUPPORTED);
    if (code != OK)
        return refuse(code, "the driver is too old");
    state.handles++;
    *made = calloc(1, sizeof(handle));
    return OK;
}

EXPORT int cudnnDestroy(void *h)
{
    if (--state.handles == 0 && state.descriptors != 0)
        wrong("descriptors are not destroyed");
    free(h);
    return OK;
}

EXPORT int cudnnSetStream(void *h, void *stream)
{
    ((handle *)h)->stream = stream;
    return OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static int size_of(int type)
{
    switch (type) {
    case 0: /* handle */
    case 3: /* int64 */
    case 6: /* pointer */
    case DESCRIPTOR:
        return 8;
    case 4: /* float */
    case 1: /* data type */
    case 7: /* mode of convolutions */
    case 8: /* mode of heuristics */
        return 4;
    default:
        return BYTES_NONE;
    }
}

static const struct attribute *find(const descriptor *d, int name)
{
    for (int i = 0; i < d->count; i++)
        if (d->attribute[i].name == name)
            return &d->attribute[i];
    return NULL;
}

static void get(const descriptor *d, int name, void *to, size_t bytes)
{
    const struct attribute *a = find(d, name);
    if (!a)
        wrong("an attribute is wanted that was not set");
    else
        memcpy(to, a->value, bytes);
}

static descriptor *refer(const descriptor *d, int name)
{
    descriptor *to = NULL;
    get(d, name, &to, sizeof(void *));
    return to;
}

EXPORT int cudnnBackendCreateDescriptor(int type, void **made)
{
    int code = fails("cudnnBackendCreateDescriptor", NOT_SUPPORTED);
    if (code != OK)
        return code;
    descriptor *d = calloc(1, sizeof *d);
    *d = (descriptor){.type = type, .owners = 1};
    state.descriptors++;
    *made = d;
    return OK;
}

EXPORT int cudnnBackendDestroyDescriptor(void *which)
{
    descriptor *d = which;
    if (d->owners <= 0)
        wrong("a descriptor is destroyed twice");
    if (--d->owners > 0)
        return OK;
    for (int i = 0; i < d->count; i++)
        if (d->attribute[i].type == DESCRIPTOR)
            cudnnBackendDestroyDescriptor(refer(d, d->attribute[i].name));
    state.descriptors--;
    free(d);
    return OK;
}

static int put(descriptor *d, int name, int type, int64_t count, const void *values)
{
    struct attribute *a = &d->attribute[d->count];
    if (d->count == ATTRIBUTES || !size_of(type) || count < 1 || count * size_of(type) > VALUE_BYTES || find(d, name))
        return refuse(BAD_PARAM, "an attribute cannot be so");
    *a = (struct attribute){.name = name, .type = type, .count = count};
    memcpy(a->value, values, (size_t)(count * size_of(type)));
    d->count++;
    if (type == DESCRIPTOR) {
        descriptor *to = refer(d, name);
        to->owners++;
        if (!to->final)
            return refuse(NOT_FINALIZED, "it is made of what is not finalised");
    }
    return OK;
}

EXPORT int cudnnBackendSetAttribute(void *to, int name, int type, int64_t count, const void *values)
{
    descriptor *d = to;
    int code = fails("cudnnBackendSetAttribute", BAD_PARAM);
    if (d && d->type == DEVICE) /* JSON */
        return name == 2702 && type == 24 && count == (int64_t)strlen(values) + 1 ? OK : BAD_PARAM;
    if (code != OK || !d || d->final)
        return refuse(code != OK ? code : BAD_PARAM, "it is finalised already");
    return put(d, name, type, count, values);
}

/* What each must have: attribute, type, how many. */
static const struct needed {
    int of, name, type, count;
} needed[] = {
    {CONVOLUTION, 100, 1, 1},
    {CONVOLUTION, 101, 7, 1},
    {CONVOLUTION, 102, 3, 2},
    {CONVOLUTION, 103, 3, 2},
    {CONVOLUTION, 104, 3, 2},
    {CONVOLUTION, 105, 3, 2},
    {CONVOLUTION, 106, 3, 1},
    {HEURISTICS, 200, 8, 1},
    {HEURISTICS, 201, 15, 1},
    {PLAN, 401, 15, 1},
    {FORWARD, 700, 4, 1},
    {FORWARD, 701, 4, 1},
    {FORWARD, 702, DESCRIPTOR, 1},
    {FORWARD, 703, 15, 1},
    {FORWARD, 704, 15, 1},
    {FORWARD, 705, 15, 1},
    {DATA, 706, 4, 1},
    {DATA, 707, 4, 1},
    {DATA, 708, 15, 1},
    {DATA, 709, 15, 1},
    {DATA, 710, 15, 1},
    {DATA, 711, 15, 1},
    {FILTER, 712, 4, 1},
    {FILTER, 713, 4, 1},
    {FILTER, 714, 15, 1},
    {FILTER, 715, 15, 1},
    {FILTER, 716, 15, 1},
    {FILTER, 717, 15, 1},
    {GRAPH, 801, 15, 1},
    {PACK, 1000, 3, 3},
    {PACK, 1001, 6, 3},
    {PACK, 1003, 6, 1},
    {TENSOR, 900, 3, 1},
    {TENSOR, 901, 1, 1},
    {TENSOR, 902, 3, 4},
    {TENSOR, 903, 3, 4},
    {TENSOR, 906, 3, 1},
};

static bool shapes_agree(const descriptor *op);

EXPORT int cudnnBackendFinalize(void *which)
{
    descriptor *d = which;
    int code = fails("cudnnBackendFinalize", NOT_SUPPORTED);
    if (code != OK)
        return refuse(code, "it fails as it was told to");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const struct attribute *a = needed[i].of == d->type ? find(d, needed[i].name) : NULL;
        if (needed[i].of == d->type && (!a || a->type != needed[i].type || a->count != needed[i].count))
            return refuse(BAD_PARAM, "an attribute is missing, or of another kind");
    }
    if (d->type >= FORWARD && d->type <= DATA && !shapes_agree(d))
        return refuse(BAD_PARAM, "the tensors' sizes do not agree");
    d->final = true;
    return OK;
}

/* ---- convolutions ------------------------------------------------------------------------------------------------ */

/* An operation, and what it is given when it runs. */
typedef struct job {
    int type, engine;
    int64_t dims[3][4], strides[3][4]; /* x, filter, y */
    int64_t dilation[2], stride[2], before[2], after[2];
    int64_t alignment[3];
    float *at[3];
    char *workspace;
} job;

static job job_of(const descriptor *op)
{
    /* attributes of the window, x, the filter, y */
    static const int forward[] = {702, 704, 703, 705}, data[] = {708, 710, 709, 711}, filter[] = {714, 716, 715, 717};
    const int *name = op->type == FORWARD ? forward : op->type == DATA ? data : filter;
    const descriptor *window = refer(op, name[0]);
    job j = {.type = op->type};
    for (int k = 0; k < 3; k++) {
        const descriptor *t = refer(op, name[k + 1]);
        get(t, 902, j.dims[k], sizeof j.dims[k]);
        get(t, 903, j.strides[k], sizeof j.strides[k]);
        get(t, 900, &j.alignment[k], sizeof j.alignment[k]);
    }
    get(window, 102, j.dilation, sizeof j.dilation);
    get(window, 103, j.stride, sizeof j.stride);
    get(window, 104, j.after, sizeof j.after);
    get(window, 105, j.before, sizeof j.before);
    return j;
}

static bool shapes_agree(const descriptor *op)
{
    job j = job_of(op);
    const int64_t *x = j.dims[0], *f = j.dims[1], *y = j.dims[2];
    bool ok = x[0] == y[0] && f[1] == x[1] && f[0] == y[1];
    for (int k = 0; k < 2; k++)
        ok = ok &&
             y[2 + k] == (x[2 + k] + j.before[k] + j.after[k] - j.dilation[k] * (f[2 + k] - 1) - 1) / j.stride[k] + 1;
    return ok && j.strides[1][1] == 1; /* filters: channels beside each other */
}

static float tf32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x1000) & 0xffffe000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float *element(const job *j, int which, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t *s = j->strides[which];
    return j->at[which] + a * s[0] + b * s[1] + c * s[2] + d * s[3];
}

static double factor(const job *j, int which, int64_t a, int64_t b, int64_t c, int64_t d)
{
    float x = *element(j, which, a, b, c, d);
    return j->engine == 1 ? (double)tf32(x) : (double)x;
}

/* Every product of the convolution, once: x and y at pixels that a tap joins. */
static void each_product(const job *j, double *sums, int of)
{
    const int64_t *x = j->dims[0], *f = j->dims[1], *y = j->dims[2], *to = j->dims[of];
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t oy = 0; oy < y[2]; oy++)
            for (int64_t ox = 0; ox < y[3]; ox++)
                for (int64_t ky = 0; ky < f[2]; ky++)
                    for (int64_t kx = 0; kx < f[3]; kx++) {
                        int64_t iy = oy * j->stride[0] - j->before[0] + ky * j->dilation[0];
                        int64_t ix = ox * j->stride[1] - j->before[1] + kx * j->dilation[1];
                        if (iy < 0 || iy >= x[2] || ix < 0 || ix >= x[3])
                            continue;
                        for (int64_t co = 0; co < f[0]; co++)
                            for (int64_t ci = 0; ci < f[1]; ci++) {
                                const int64_t at[3][4] = {{n, ci, iy, ix}, {co, ci, ky, kx}, {n, co, oy, ox}};
                                const int64_t *t = at[of], *p = at[of == 0], *q = at[of == 2 ? 1 : 2];
                                sums[((t[0] * to[1] + t[1]) * to[2] + t[2]) * to[3] + t[3]] +=
                                    factor(j, of == 0, p[0], p[1], p[2], p[3]) *
                                    factor(j, of == 2 ? 1 : 2, q[0], q[1], q[2], q[3]);
                            }
                    }
}

static void compute(const void *what)
{
    const job *j = what;
    int of = j->type == FORWARD ? 2 : j->type == DATA ? 0 : 1;
    const int64_t *d = j->dims[of];
    double *sums = calloc((size_t)(d[0] * d[1] * d[2] * d[3]), sizeof *sums), *from = sums;
    if (j->engine == 0)
        wrong("an engine is used whose results vary");
    if (j->engine == 2)
        memset(j->workspace, 0xff, WORKSPACE); /* NaN */
    each_product(j, sums, of);
    for (int64_t a = 0; a < d[0]; a++)
        for (int64_t b = 0; b < d[1]; b++)
            for (int64_t y = 0; y < d[2]; y++)
                for (int64_t x = 0; x < d[3]; x++)
                    *element(j, of, a, b, y, x) = (float)*from++;
    free(sums);
}

/* ---- engines and plans ------------------------------------------------------------------------------------------- */

static int give_results(const descriptor *h, int64_t room, int64_t *count, descriptor **to)
{
    descriptor *graph = refer(h, 201);
    for (*count = 0; *count < 3 && *count < room; ++*count) {
        descriptor *config = to[*count];
        if (config->type != CONFIG || config->final)
            return refuse(BAD_PARAM, "results are configurations of engines");
        config->engine = (int)*count;
        if (put(config, 301, DESCRIPTOR, 1, &graph) != OK)
            return BAD_PARAM;
        config->final = true;
    }
    return OK;
}

static int give_notes(int engine, int64_t room, int64_t *count, int32_t *to)
{
    static const int32_t varies[] = {4}, rounds[] = {0, 1};
    bool none = is_double("none");
    const int32_t *notes = engine == 0 || none ? varies : rounds;
    *count = engine == 0 || none ? 1 : engine == 1 ? 2 : 0;
    if (room < *count)
        return refuse(BAD_PARAM, "there is no room for the notes");
    memcpy(to, notes, (size_t)*count * sizeof *to);
    return OK;
}

EXPORT int cudnnBackendGetAttribute(const void *of, int name, int type, int64_t room, int64_t *count, void *values)
{
    const descriptor *d = of;
    if (!d->final)
        return refuse(NOT_FINALIZED, "it is not finalised");
    *count = 1;
    if (d->type == HEURISTICS && name == 202 && type == DESCRIPTOR)
        return give_results(d, room, count, values);
    if (d->type == CONFIG && name == 300 && type == DESCRIPTOR && room == 1) {
        descriptor *engine = *(descriptor **)values;
        engine->engine = d->engine;
        engine->final = engine->type == ENGINE;
        return OK;
    }
    if (d->type == ENGINE && name == 1303 && type == 11)
        return give_notes(d->engine, room, count, values);
    if (d->type != PLAN || name != 402 || type != 3)
        return refuse(BAD_PARAM, "there is no such attribute to get");
    *(int64_t *)values = refer(d, 401)->engine == 2 ? WORKSPACE : 0;
    return OK;
}

typedef int host_work(void *stream, void (*run)(const void *what), const void *what, size_t size, const uint64_t *at,
                      const size_t *bytes, int count);

/* From the first element that a tensor touches to the last. */
static size_t span(const job *j, int which)
{
    int64_t last = 0;
    for (int k = 0; k < 4; k++)
        last += (j->dims[which][k] - 1) * j->strides[which][k];
    return (size_t)(last + 1) * sizeof(float);
}

EXPORT int cudnnBackendExecute(void *h, void *plan, void *pack)
{
    static const char order[] = {'x', 'w', 'y'};
    const descriptor *config = refer(plan, 401);
    int64_t ids[3];
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    host_work *ask = driver ? (host_work *)(uintptr_t)dlsym(driver, "double_host_work") : NULL;
    job j = job_of(refer(refer(config, 301), 801));
    uint64_t at[4];
    size_t bytes[4] = {span(&j, 0), span(&j, 1), span(&j, 2), WORKSPACE};
    int code = fails("cudnnBackendExecute", EXECUTION_FAILED);
    if (code != OK || !ask || !find(plan, 400))
        return refuse(EXECUTION_FAILED, "it fails as it was told to");
    get(pack, 1000, ids, sizeof ids);
    get(pack, 1001, at, 3 * sizeof *at);
    get(pack, 1003, at + 3, sizeof *at);
    for (int k = 0; k < 3; k++) {
        if (ids[k] != order[k] || at[k] % (uint64_t)j.alignment[k] != 0)
            return refuse(BAD_PARAM, "tensors come in another order, or not aligned as was said");
        j.at[k] = (float *)(uintptr_t)at[k];
    }
    j.engine = config->engine;
    j.workspace = (char *)(uintptr_t)at[3];
    dlclose(driver);
    return ask(((handle *)h)->stream, compute, &j, sizeof j, at, bytes, j.engine == 2 ? 4 : 3);
}
