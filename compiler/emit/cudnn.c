/* Descriptors of cuDNN's backend API, from tensors to a plan.
 *
 * Filters are [co][ky][kx][ci], the one layout that its kernels for NHWC maps read: the library also accepts strides that
 * permute a filter, but names the same engines, with the same workspace, whatever the permutation, so that nothing says
 * that these are heeded. Pixels of maps may lie apart, which it does look at. */
#include "emit/cudnn.h"
#include "base/cuda_libraries.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* X(name, parameters): the functions that are used, as cudnn_graph.h declares them; codes are 0 for success. */
#define CUDNN_CALLS(X)                                                                                                 \
    X(size_t, GetVersion, (void))                                                                                      \
    X(void, GetLastErrorString, (char *words, size_t size))                                                            \
    X(int, Create, (void **handle))                                                                                    \
    X(int, Destroy, (void *handle))                                                                                    \
    X(int, SetStream, (void *handle, void *stream))                                                                    \
    X(int, BackendCreateDescriptor, (int type, void **made))                                                           \
    X(int, BackendDestroyDescriptor, (void *descriptor))                                                               \
    X(int, BackendFinalize, (void *descriptor))                                                                        \
    X(int, BackendSetAttribute, (void *to, int attribute, int type, int64_t count, const void *values))                \
    X(int, BackendGetAttribute, (const void *of, int attribute, int type, int64_t room, int64_t *count, void *values)) \
    X(int, BackendExecute, (void *handle, void *plan, void *pack))

/* ---- constants of cudnn_graph.h ---------------------------------------------------------------------------------- */

enum descriptor {
    A_CONVOLUTION = 1,
    AN_ENGINE = 2,
    A_CONFIG = 3,
    HEURISTICS = 4,
    A_PLAN = 5,
    OP_FORWARD = 10,
    OP_FILTER = 11,
    OP_DATA = 12,
    A_GRAPH = 15,
    A_PACK = 16,
    A_TENSOR = 17,
    A_DEVICE = 38
};

enum type {
    OF_HANDLE = 0,
    OF_DATA_TYPE = 1,
    OF_INT64 = 3,
    OF_FLOAT = 4,
    OF_POINTER = 6,
    OF_CONV_MODE = 7,
    OF_HEUR_MODE = 8,
    OF_NOTE = 11,
    OF_DESCRIPTOR = 15,
    OF_CHAR = 24
};

enum attribute {
    CONV_COMPUTES = 100,
    CONV_MODE = 101,
    CONV_DILATIONS = 102,
    CONV_STRIDES = 103,
    CONV_PADS_AFTER = 104,
    CONV_PADS_BEFORE = 105,
    CONV_DIMS = 106,
    HEUR_MODE = 200,
    HEUR_GRAPH = 201,
    HEUR_RESULTS = 202,
    HEUR_DEVICE = 204,
    CONFIG_ENGINE = 300,
    PLAN_HANDLE = 400,
    PLAN_CONFIG = 401,
    PLAN_WORKSPACE = 402,
    PLAN_DEVICE = 407,
    GRAPH_HANDLE = 800,
    GRAPH_OPS = 801,
    TENSOR_ALIGNMENT = 900,
    TENSOR_TYPE = 901,
    TENSOR_DIMS = 902,
    TENSOR_STRIDES = 903,
    TENSOR_ID = 906,
    PACK_IDS = 1000,
    PACK_POINTERS = 1001,
    PACK_WORKSPACE = 1003,
    ENGINE_NOTES = 1303,
    DEVICE_JSON = 2702
};

enum { FLOAT32 = 0, CROSS_CORRELATION = 1, NOTES = 10 /* and room to spare */ };
enum note { USES_TENSOR_CORES, DOWN_CONVERTS, REDUCES_PRECISION, BY_FFT, VARIES, BY_WINOGRAD, WINOGRAD_LAST = 8 };

enum { OLDEST = 90800, ENGINES_MOST = 64, PLAN_DESCRIPTORS = 10 };
enum { DESCRIPTION_BYTES = 1024 };   /* of a GPU, as JSON */
enum { ALIGNED = 16, ANYWHERE = 4 }; /* bytes */

/* ---- plans ------------------------------------------------------------------------------------------------------- */

/* A convolution for a batch of n; the descriptors that it stands on go with it. */
typedef struct plan {
    program_conv conv;
    int n;
    int64_t most, workspace; /* asked for, and taken; bytes */
    void *plan;              /* NULL: no engine was found */
    void *owned[PLAN_DESCRIPTORS];
    int count;
} plan;

struct cudnn {
    void *library, *handle, *device; /* handle, or a description of a GPU */
    int version;
    bool tensor_cores;
    arena own;
    VEC(plan) plans;
#define X(result, name, parameters) result(*name) parameters;
    CUDNN_CALLS(X)
#undef X
};

/* Descriptors being made: after the first call that fails, none is made. */
typedef struct draft {
    cudnn *c;
    int code;
    plan *into; /* owns what is made */
} draft;

static void *add(draft *p, enum descriptor type)
{
    void *made = NULL;
    if (p->code == 0)
        p->code = p->c->BackendCreateDescriptor((int)type, &made);
    if (p->code != 0)
        return NULL;
    CHECK(p->into->count < PLAN_DESCRIPTORS);
    return p->into->owned[p->into->count++] = made;
}

static void set(draft *p, void *to, int attribute, enum type type, int64_t count, const void *values)
{
    if (p->code == 0)
        p->code = p->c->BackendSetAttribute(to, attribute, (int)type, count, values);
}

static void set_descriptor(draft *p, void *to, int attribute, void *value)
{
    set(p, to, attribute, OF_DESCRIPTOR, 1, &value);
}

static void finish(draft *p, void *descriptor)
{
    if (p->code == 0)
        p->code = p->c->BackendFinalize(descriptor);
}

static void drop_down_to(const cudnn *c, plan *p, int count)
{
    while (p->count > count)
        (void)c->BackendDestroyDescriptor(p->owned[--p->count]);
}

static bool done(const cudnn *c, int code, const char *what, nasc_diag *d)
{
    char words[512] = "";
    if (code == 0)
        return true;
    c->GetLastErrorString(words, sizeof words);
    return diag_fail(d, DIAG_DEVICE, "cuDNN", "%s: code %d%s%.300s", what, code, *words ? ": " : "", words);
}

/* ---- the operation ----------------------------------------------------------------------------------------------- */

enum { X_ID = 'x', FILTER_ID = 'w', Y_ID = 'y' };

static void *tensor(draft *p, int64_t id, int64_t alignment, const int64_t dims[4], const int64_t strides[4])
{
    static const int32_t type = FLOAT32;
    void *t = add(p, A_TENSOR);
    set(p, t, TENSOR_TYPE, OF_DATA_TYPE, 1, &type);
    set(p, t, TENSOR_DIMS, OF_INT64, 4, dims);
    set(p, t, TENSOR_STRIDES, OF_INT64, 4, strides);
    set(p, t, TENSOR_ID, OF_INT64, 1, &id);
    set(p, t, TENSOR_ALIGNMENT, OF_INT64, 1, &alignment);
    finish(p, t);
    return t;
}

/* The library's order of dimensions is N, C, H, W, whatever lies next to what. A map inside another begins anywhere. */
static void *map(draft *p, int64_t id, int n, int h, int w, int c, int pixel)
{
    const int64_t dims[] = {n, c, h, w}, strides[] = {(int64_t)h * w * pixel, 1, (int64_t)w * pixel, pixel};
    return tensor(p, id, pixel == c ? ALIGNED : ANYWHERE, dims, strides);
}

static void *filter(draft *p, const program_conv *v)
{
    const int64_t dims[] = {v->y_c, v->x_c, v->kh, v->kw},
                  strides[] = {(int64_t)v->kh * v->kw * v->x_c, 1, (int64_t)v->kw * v->x_c, v->x_c};
    return tensor(p, FILTER_ID, ALIGNED, dims, strides);
}

static void *window(draft *p, const program_conv *v)
{
    static const int32_t type = FLOAT32, mode = CROSS_CORRELATION;
    static const int64_t spatial = 2;
    const int64_t dilations[] = {v->dh, v->dw}, strides[] = {v->sh, v->sw}, before[] = {v->top, v->left},
                  after[] = {v->bottom, v->right};
    void *w = add(p, A_CONVOLUTION);
    set(p, w, CONV_DIMS, OF_INT64, 1, &spatial);
    set(p, w, CONV_COMPUTES, OF_DATA_TYPE, 1, &type);
    set(p, w, CONV_MODE, OF_CONV_MODE, 1, &mode);
    set(p, w, CONV_DILATIONS, OF_INT64, 2, dilations);
    set(p, w, CONV_STRIDES, OF_INT64, 2, strides);
    set(p, w, CONV_PADS_BEFORE, OF_INT64, 2, before);
    set(p, w, CONV_PADS_AFTER, OF_INT64, 2, after);
    finish(p, w);
    return w;
}

/* Attributes of the three operations. */
static const struct {
    enum descriptor op;
    int alpha, beta, window, x, filter, y;
} operations[] = {
    [CONV_FORWARD] = {OP_FORWARD, 700, 701, 702, 704, 703, 705},
    [CONV_DATA] = {OP_DATA, 706, 707, 708, 710, 709, 711},
    [CONV_FILTER] = {OP_FILTER, 712, 713, 714, 716, 715, 717},
};

static void *graph(draft *p, const program_conv *v, int n)
{
    static const float one = 1, none = 0;
    void *w = window(p, v), *x = map(p, X_ID, n, v->x_h, v->x_w, v->x_c, v->x_pixel), *f = filter(p, v),
         *y = map(p, Y_ID, n, v->y_h, v->y_w, v->y_c, v->y_pixel), *op = add(p, operations[v->kind].op);
    set(p, op, operations[v->kind].alpha, OF_FLOAT, 1, &one);
    set(p, op, operations[v->kind].beta, OF_FLOAT, 1, &none);
    set_descriptor(p, op, operations[v->kind].window, w);
    set_descriptor(p, op, operations[v->kind].x, x);
    set_descriptor(p, op, operations[v->kind].filter, f);
    set_descriptor(p, op, operations[v->kind].y, y);
    finish(p, op);
    void *g = add(p, A_GRAPH);
    set_descriptor(p, g, GRAPH_OPS, op);
    if (p->c->handle)
        set(p, g, GRAPH_HANDLE, OF_HANDLE, 1, &p->c->handle);
    finish(p, g);
    return g;
}

/* ---- engines ----------------------------------------------------------------------------------------------------- */

/* Does an engine compute the same every time, and as exactly as is asked for? */
static bool is_welcome(const cudnn *c, void *config)
{
    int32_t notes[2 * NOTES];
    int64_t count = 0;
    void *engine = NULL;
    bool ok = c->BackendCreateDescriptor(AN_ENGINE, &engine) == 0 &&
              c->BackendGetAttribute(config, CONFIG_ENGINE, OF_DESCRIPTOR, 1, &count, &engine) == 0 &&
              c->BackendGetAttribute(engine, ENGINE_NOTES, OF_NOTE, 2 * NOTES, &count, notes) == 0;
    for (int64_t i = 0; i < count && ok; i++) {
        bool rounds = notes[i] <= REDUCES_PRECISION,
             other = notes[i] == BY_FFT || notes[i] == VARIES || (notes[i] >= BY_WINOGRAD && notes[i] <= WINOGRAD_LAST);
        ok = !other && !(rounds && !c->tensor_cores);
    }
    if (engine)
        (void)c->BackendDestroyDescriptor(engine);
    return ok;
}

/* On success the plan owns `config`, too. */
static bool plan_by(draft *p, void *config)
{
    plan *to = p->into;
    int before = to->count;
    int64_t count = 0;
    p->code = 0;
    void *made = add(p, A_PLAN);
    if (p->c->handle)
        set(p, made, PLAN_HANDLE, OF_HANDLE, 1, &p->c->handle);
    else
        set_descriptor(p, made, PLAN_DEVICE, p->c->device);
    set_descriptor(p, made, PLAN_CONFIG, config);
    finish(p, made);
    if (p->code == 0)
        p->code = p->c->BackendGetAttribute(made, PLAN_WORKSPACE, OF_INT64, 1, &count, &to->workspace);
    if (p->code == 0 && to->workspace <= to->most) {
        to->plan = made;
        return true;
    }
    drop_down_to(p->c, to, before);
    return false;
}

/* The configurations that the library names, best first; how many. */
static int64_t ask(draft *p, void *graph, int32_t mode, void **configs)
{
    int before = p->into->count;
    int64_t count = 0, made = 0;
    void *h = add(p, HEURISTICS);
    set_descriptor(p, h, HEUR_GRAPH, graph);
    set(p, h, HEUR_MODE, OF_HEUR_MODE, 1, &mode);
    if (p->c->device)
        set_descriptor(p, h, HEUR_DEVICE, p->c->device);
    finish(p, h);
    while (p->code == 0 && made < ENGINES_MOST &&
           (p->code = p->c->BackendCreateDescriptor(A_CONFIG, &configs[made])) == 0)
        made++;
    if (p->code == 0)
        p->code = p->c->BackendGetAttribute(h, HEUR_RESULTS, OF_DESCRIPTOR, made, &count, configs);
    drop_down_to(p->c, p->into, before);
    for (int64_t i = p->code == 0 ? count : 0; i < made; i++)
        (void)p->c->BackendDestroyDescriptor(configs[i]);
    return p->code == 0 ? count : 0;
}

/* Whether an engine of those that this mode names will do. */
static bool choose(draft *p, void *graph, int32_t mode)
{
    void *configs[ENGINES_MOST];
    p->code = 0;
    int64_t count = ask(p, graph, mode, configs);
    bool found = false;
    for (int64_t i = 0; i < count; i++) {
        if (!found && is_welcome(p->c, configs[i]) && plan_by(p, configs[i])) {
            found = true;
            CHECK(p->into->count < PLAN_DESCRIPTORS);
            p->into->owned[p->into->count++] = configs[i];
        } else {
            (void)p->c->BackendDestroyDescriptor(configs[i]);
        }
    }
    return found;
}

static bool make_plan(cudnn *c, plan *to, nasc_diag *d)
{
    enum { MODE_FALLBACK = 2, MODE_A = 3 };
    draft p = {.c = c, .into = to};
    void *g = graph(&p, &to->conv, to->n);
    if (!done(c, p.code, "describing a convolution", d)) {
        drop_down_to(c, to, 0);
        return false;
    }
    if (choose(&p, g, MODE_A) || choose(&p, g, MODE_FALLBACK))
        return true;
    drop_down_to(c, to, 0);
    return diag_fail(d, DIAG_DEVICE, "cuDNN", "no engine for this convolution computes the same every time in float32");
}

/* The plan for `conv`, made now or before; its `plan` is NULL where no engine will do. */
static plan *find_plan(cudnn *c, const program_conv *conv, int n, int64_t most, nasc_diag *d)
{
    for (int i = 0; i < c->plans.count; i++) {
        plan *p = &c->plans.at[i];
        bool fits = p->plan ? p->workspace <= most : p->most >= most;
        if (p->n == n && fits && memcmp(&p->conv, conv, sizeof *conv) == 0)
            return p;
    }
    plan none = {.conv = *conv, .n = n, .most = most};
    VEC_PUSH(&c->own, &c->plans, none);
    plan *made = &c->plans.at[c->plans.count - 1];
    (void)make_plan(c, made, d);
    return made;
}

typedef struct question {
    cudnn *c;
    const program_conv *conv;
    int n;
    int64_t most;
    const plan *plan;
} question;

static bool answer(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    question *q = user;
    q->plan = find_plan(q->c, q->conv, q->n, q->most, d);
    return true;
}

/* NULL: memory has run out. */
static const plan *plan_of(cudnn *c, const program_conv *conv, int n, int64_t most, nasc_diag *d)
{
    question q = {c, conv, n, most, NULL};
    return arena_guard(&c->own, answer, &q, d) ? q.plan : NULL;
}

bool cudnn_takes(cudnn *c, const program_conv *conv, int n, int64_t most, int64_t *workspace, nasc_diag *d)
{
    const plan *p = plan_of(c, conv, n, most, d);
    if (!p)
        return false;
    *workspace = p->workspace;
    return p->plan != NULL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static bool run(cudnn *c, void *plan, const uint64_t at[3], uint64_t workspace, nasc_diag *d)
{
    static const int64_t ids[] = {X_ID, FILTER_ID, Y_ID};
    struct plan own = {0};
    draft p = {.c = c, .into = &own};
    void *pack = add(&p, A_PACK);
    set(&p, pack, PACK_IDS, OF_INT64, 3, ids);
    set(&p, pack, PACK_POINTERS, OF_POINTER, 3, at);
    set(&p, pack, PACK_WORKSPACE, OF_POINTER, 1, &workspace);
    finish(&p, pack);
    if (p.code == 0)
        p.code = c->BackendExecute(c->handle, plan, pack);
    bool ok = done(c, p.code, "running a convolution", d);
    drop_down_to(c, &own, 0);
    return ok;
}

static bool run_conv(void *user, const program_conv *conv, int n, const uint64_t at[3], uint64_t workspace,
                     int64_t most, void *stream, nasc_diag *d)
{
    cudnn *c = user;
    CHECK(c->handle);
    const plan *p = plan_of(c, conv, n, most, d);
    if (!p)
        return false;
    if (!p->plan)
        return d->kind ? false : diag_fail(d, DIAG_DEVICE, "cuDNN", "has no engine for a batch of %d", n);
    return done(c, c->SetStream(c->handle, stream), "taking a stream", d) && run(c, p->plan, at, workspace, d);
}

program_library cudnn_library(cudnn *c)
{
    return (program_library){c, run_conv};
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

static bool find_calls(cudnn *c, nasc_diag *d)
{
#define X(result, name, parameters)                                                                                    \
    c->name = (result(*) parameters)(uintptr_t)dlsym(c->library, "cudnn" #name);                                       \
    if (!c->name) {                                                                                                    \
        diag_fail(d, DIAG_DEVICE, "cuDNN", "the library has no cudnn%s: version 9.8 or newer is needed", #name);       \
        return false;                                                                                                  \
    }
    CUDNN_CALLS(X)
#undef X
    c->version = (int)c->GetVersion();
    return c->version >= OLDEST || diag_fail(d, DIAG_DEVICE, "cuDNN", "is of version %d.%d, expected 9.8 or newer",
                                             c->version / 10000, c->version / 100 % 100);
}

/* Of GPUs alike, or at least that hold what no convolution here will need. */
static void describe(char words[DESCRIPTION_BYTES], const cudnn_gpu *g, int version)
{
    snprintf(
        words, DESCRIPTION_BYTES,
        "{\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], \"regsPerBlock\": 65536, "
        "\"warpSize\": 32, \"maxThreadsPerBlock\": 1024, \"maxSharedMemoryPerBlock\": 49152, "
        "\"reservedSharedMemoryPerBlock\": 1024, \"maxRegistersPerSM\": 65536, \"isTccDriver\": 0, "
        "\"supportCoopLaunch\": 1, \"pciDeviceId\": 0, \"cudaDeviceId\": 0, \"driverVer\": 13000, "
        "\"deviceName\": \"%s\", \"deviceVer\": %d, \"multiProcessorCount\": %d, \"smClockRateKHz\": %d, "
        "\"memClockRateKHz\": %d, \"maxThreadsPerSM\": %d, \"maxCtasPerSM\": %d, \"l2CacheSize\": %lld, "
        "\"maxSharedMemoryPerBlockOptin\": %lld, \"totalGlobalMem\": %lld, \"cudnnVersion\": %d}",
        g->name, g->capability * 10, g->multiprocessors, g->clock, g->memory_clock, g->threads, g->blocks,
        (long long)g->l2, (long long)g->shared, (long long)g->memory, version);
}

const cudnn_gpu cudnn_gpus[] = {
    {"h100", 90, 132, 1980000, 2619000, 2048, 32, 50 << 20, 232448, (int64_t)80 << 30},
    {"rtx4090", 89, 128, 2520000, 10501000, 1536, 24, 72 << 20, 101376, (int64_t)24 << 30},
};
const int cudnn_gpu_count = COUNT(cudnn_gpus);

const cudnn_gpu *cudnn_gpu_of(int capability, nasc_diag *d)
{
    const cudnn_gpu *found = NULL;
    for (int i = 0; i < cudnn_gpu_count; i++)
        if (cudnn_gpus[i].capability == capability)
            found = &cudnn_gpus[i];
    if (!found)
        diag_fail(d, DIAG_INPUT, "--cudnn", "knows what to tell cuDNN of sm_%d and sm_%d alone, where no GPU is asked",
                  cudnn_gpus[0].capability, cudnn_gpus[1].capability);
    return found;
}

static bool open_description(cudnn *c, const cudnn_gpu *gpu, nasc_diag *d)
{
    struct plan own = {0};
    draft p = {.c = c, .into = &own};
    char words[DESCRIPTION_BYTES];
    describe(words, gpu, c->version);
    c->device = add(&p, A_DEVICE);
    set(&p, c->device, DEVICE_JSON, OF_CHAR, (int64_t)strlen(words) + 1, words);
    finish(&p, c->device);
    return done(c, p.code, "describing a GPU that is not here", d);
}

static bool open_gpu(cudnn *c, const cudnn_gpu *gpu, nasc_diag *d)
{
    return gpu ? open_description(c, gpu, d) : done(c, c->Create(&c->handle), "opening the GPU", d);
}

cudnn *cudnn_open(const cudnn_gpu *gpu, bool tensor_cores, nasc_diag *d)
{
    const char *why = "";
    void *library = cuda_library_open(CUDA_CUDNN, &why);
    if (!library) {
        diag_fail(d, DIAG_DEVICE, "cuDNN",
                  "is not installed, or not where libraries are looked for (LD_LIBRARY_PATH): %s", why);
        return NULL;
    }
    cudnn *c = mem_alloc(sizeof *c);
    if (!c) {
        dlclose(library);
        diag_memory(d);
        return NULL;
    }
    *c = (cudnn){.library = library, .tensor_cores = tensor_cores};
    if (find_calls(c, d) && open_gpu(c, gpu, d))
        return c;
    cudnn_close(c);
    return NULL;
}

void cudnn_close(cudnn *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->plans.count; i++)
        drop_down_to(c, &c->plans.at[i], 0);
    if (c->device)
        (void)c->BackendDestroyDescriptor(c->device);
    if (c->handle)
        (void)c->Destroy(c->handle);
    dlclose(c->library);
    arena_free(&c->own);
    mem_free(c);
}
