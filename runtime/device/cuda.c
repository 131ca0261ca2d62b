/* A GPU, through its driver's own library, which is opened when it is asked for.
 *
 * A run is a sequence of kernels on one stream: the driver keeps their order, so a launch needs no barrier. The arena,
 * and behind it what a run binds, is one piece of the GPU's memory. The runtime's vectors live in the processor's
 * memory, as yet: a run takes what its kernels touch there, and brings back what they write. */
#include "device_kind.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { ELEMENT = 4, SLOT_ALIGN = 64 }; /* bytes; elements */

typedef uint64_t gpu_address;

/* X(name, symbol, parameters): the driver's functions that are used, as cuda.h declares them. All return 0 for success.
 * ATTRIBUTE is a constant of that header. */
#define DRIVER_CALLS(X)                                                                                                \
    X(init, "cuInit", (unsigned flags))                                                                                \
    X(error_text, "cuGetErrorString", (int code, const char **words))                                                  \
    X(device_get, "cuDeviceGet", (int *device, int number))                                                            \
    X(attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))                                      \
    X(retain, "cuDevicePrimaryCtxRetain", (void **context, int device))                                                \
    X(release, "cuDevicePrimaryCtxRelease_v2", (int device))                                                           \
    X(enter, "cuCtxSetCurrent", (void *context))                                                                       \
    X(wait, "cuCtxSynchronize", (void))                                                                                \
    X(take, "cuMemAlloc_v2", (gpu_address * at, size_t bytes))                                                         \
    X(drop, "cuMemFree_v2", (gpu_address at))                                                                          \
    X(upload, "cuMemcpyHtoD_v2", (gpu_address to, const void *from, size_t bytes))                                     \
    X(download, "cuMemcpyDtoH_v2", (void *to, gpu_address from, size_t bytes))                                         \
    X(module_load, "cuModuleLoadData", (void **module, const void *image))                                             \
    X(module_drop, "cuModuleUnload", (void *module))                                                                   \
    X(function, "cuModuleGetFunction", (void **function, void *module, const char *name))                              \
    X(event_create, "cuEventCreate", (void **event, unsigned flags))                                                   \
    X(event_drop, "cuEventDestroy_v2", (void *event))                                                                  \
    X(event_record, "cuEventRecord", (void *event, void *stream))                                                      \
    X(event_elapsed, "cuEventElapsedTime", (float *milliseconds, void *start, void *end))                              \
    X(launch, "cuLaunchKernel",                                                                                        \
      (void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,          \
       unsigned block_z, unsigned shared_bytes, void *stream, void **parameters, void **extra))
enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 }; /* attributes */

typedef struct driver {
#define X(name, symbol, parameters) int(*name) parameters;
    DRIVER_CALLS(X)
#undef X
} driver;

/* What the kernels of a program touch of a slot: elements [lo, hi). */
typedef struct extent {
    int64_t lo, hi;
    bool written;
    int64_t at; /* of lo, in elements behind the arena */
} extent;

typedef struct loaded {
    const void *image;
    void *module, *function;
} loaded;

typedef struct prepared {
    const program *program;
    void **function; /* one a kernel */
    extent slot[SLOT_COUNT];
} prepared;

typedef struct cuda {
    device base;
    driver call;
    void *library, *context;
    int number; /* the driver's, of the GPU */
    arena own;
    VEC(loaded) modules;
    VEC(prepared) programs;
    void *start, *end; /* events; NULL until a run is timed */
    gpu_address memory;
    int64_t bytes;
} cuda;

/* ---- the driver -------------------------------------------------------------------------------------------------- */

/* `code`: what the call returned. */
static bool done(const cuda *v, int code, const char *what, nasc_diag *d)
{
    const char *words = NULL;
    if (code == 0)
        return true;
    if (v->call.error_text(code, &words) != 0 || !words)
        words = "an error that it has no words for";
    return diag_fail(d, DIAG_DEVICE, "CUDA", "%s: the driver says: %s (%d)", what, words, code);
}

static bool find_calls(cuda *v, nasc_diag *d)
{
#define X(name, symbol, parameters)                                                                                    \
    v->call.name = (int(*) parameters)(uintptr_t)dlsym(v->library, symbol);                                            \
    if (!v->call.name)                                                                                                 \
        return diag_fail(d, DIAG_DEVICE, "CUDA", "the driver has no %s: it is too old", symbol);
    DRIVER_CALLS(X)
#undef X
    return true;
}

static bool open_driver(cuda *v, nasc_diag *d)
{
    v->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!v->library)
        return diag_fail(d, DIAG_DEVICE, "CUDA", "there is no driver of an NVIDIA GPU: %s", dlerror());
    return find_calls(v, d);
}

static bool open_gpu(cuda *v, int *capability, nasc_diag *d)
{
    int major = 0, minor = 0;
    if (!done(v, v->call.init(0), "starting", d) || !done(v, v->call.device_get(&v->number, 0), "the first GPU", d) ||
        !done(v, v->call.attribute(&major, CAPABILITY_MAJOR, v->number), "its capability", d) ||
        !done(v, v->call.attribute(&minor, CAPABILITY_MINOR, v->number), "its capability", d) ||
        !done(v, v->call.retain(&v->context, v->number), "a context", d))
        return false;
    *capability = 10 * major + minor;
    return done(v, v->call.enter(v->context), "a context", d);
}

/* What fails now has nobody to tell. */
static void cuda_close(device *base)
{
    cuda *v = (cuda *)base;
    for (int i = 0; i < v->modules.count; i++)
        (void)v->call.module_drop(v->modules.at[i].module);
    if (v->start)
        (void)v->call.event_drop(v->start);
    if (v->end)
        (void)v->call.event_drop(v->end);
    if (v->memory)
        (void)v->call.drop(v->memory);
    if (v->context)
        (void)v->call.release(v->number);
    if (v->library)
        dlclose(v->library);
    arena_free(&v->own);
    mem_free(v);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

/* The function of an image; equal images are loaded once. */
static bool load_image(cuda *v, const program_image *image, void **function, nasc_diag *d)
{
    loaded l = {.image = image->image};
    for (int i = 0; i < v->modules.count; i++)
        if (v->modules.at[i].image == image->image) {
            *function = v->modules.at[i].function;
            return true;
        }
    if (!done(v, v->call.module_load(&l.module, image->image), "loading a kernel", d))
        return false;
    VEC_PUSH(&v->own, &v->modules, l); /* it is unloaded, whatever comes */
    loaded *last = &v->modules.at[v->modules.count - 1];
    if (!done(v, v->call.function(&last->function, l.module, image->symbol), "finding a kernel", d))
        return false;
    *function = last->function;
    return true;
}

static void find_extents(prepared *q)
{
    const program *p = q->program;
    for (int k = 0; k < p->args.count; k++) {
        const program_arg *a = &p->args.at[k];
        extent *e = &q->slot[a->slot];
        if (a->slot == SLOT_NONE)
            continue;
        bool first = e->lo == e->hi;
        e->lo = first || a->offset < e->lo ? a->offset : e->lo;
        e->hi = first || a->offset + a->elements > e->hi ? a->offset + a->elements : e->hi;
        e->written |= a->written;
    }
}

/* Slots behind the arena; the elements of all. */
static int64_t place_extents(prepared *q)
{
    int64_t at = (q->program->arena_elements + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    for (int s = 0; s < SLOT_COUNT; s++) {
        q->slot[s].at = at;
        at += (q->slot[s].hi - q->slot[s].lo + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    }
    return at;
}

/* Contents are lost. */
static bool grow(cuda *v, int64_t bytes, nasc_diag *d)
{
    char what[64];
    if (bytes <= v->bytes)
        return true;
    if (v->memory && !done(v, v->call.drop(v->memory), "giving memory back", d))
        return false;
    v->memory = 0;
    v->bytes = 0;
    snprintf(what, sizeof what, "%.1f MiB of memory", (double)bytes / 1048576);
    if (!done(v, v->call.take(&v->memory, (size_t)bytes), what, d))
        return false;
    v->bytes = bytes;
    return true;
}

static bool prepare(cuda *v, const program *p, const program_code *code, nasc_diag *d)
{
    prepared q = {.program = p, .function = NEW_ARRAY(&v->own, void *, p->kernels.count + 1)};
    for (int k = 0; k < p->kernels.count; k++)
        if (!load_image(v, &code->image[k], &q.function[k], d))
            return false;
    find_extents(&q);
    if (!grow(v, place_extents(&q) * ELEMENT, d))
        return false;
    VEC_PUSH(&v->own, &v->programs, q);
    return true;
}

static bool cuda_prepare(device *base, const program *p, const program_code *code, nasc_diag *d)
{
    cuda *v = (cuda *)base;
    jmp_buf out_of_memory;
    CHECK(code->image);
    if (setjmp(out_of_memory)) {
        v->own.unwind = NULL;
        return diag_memory(d);
    }
    v->own.unwind = &out_of_memory;
    bool ok = done(v, v->call.enter(v->context), "a context", d) && prepare(v, p, code, d);
    v->own.unwind = NULL;
    return ok;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static const prepared *find_program(const cuda *v, const program *p)
{
    for (int i = v->programs.count - 1; i >= 0; i--)
        if (v->programs.at[i].program == p)
            return &v->programs.at[i];
    BUG("a program runs that was not prepared");
}

/* Elements of a slot that exist for this run: what an image has, for as many as there are. */
static int64_t end_of(const extent *e, const device_run *r, int slot)
{
    bool images = slot == SLOT_IMAGES || slot == SLOT_LABELS || slot == SLOT_LOGITS || slot == SLOT_AUX_LOGITS;
    return images ? e->hi / r->program->batch * r->n : e->hi;
}

/* What the kernels touch of the slots, to the GPU, or what they have written, back. */
static bool copy_slots(const cuda *v, const prepared *q, const device_run *r, bool back, nasc_diag *d)
{
    for (int s = 1; s < SLOT_COUNT; s++) {
        const extent *e = &q->slot[s];
        int64_t count = end_of(e, r, s) - e->lo;
        if (count <= 0 || (back && !e->written))
            continue;
        if (!r->slot[s])
            BUG("nothing is bound to slot %d", s);
        char *host = (char *)r->slot[s] + e->lo * ELEMENT;
        gpu_address gpu = v->memory + (gpu_address)(e->at * ELEMENT);
        size_t bytes = (size_t)(count * ELEMENT);
        int code = back ? v->call.download(host, gpu, bytes) : v->call.upload(gpu, host, bytes);
        if (!done(v, code, back ? "results" : "what a run begins with", d))
            return false;
    }
    return true;
}

static gpu_address address_of(const cuda *v, const prepared *q, const program_arg *a)
{
    const extent *e = &q->slot[a->slot];
    int64_t at = a->slot == SLOT_NONE ? a->offset : e->at + a->offset - e->lo;
    return v->memory + (gpu_address)(at * ELEMENT);
}

enum { PARAMETERS_MAX = 512 + 2 };

static bool launch_instance(const cuda *v, const prepared *q, const device_run *r, const program_instance *i,
                            nasc_diag *d)
{
    const program_image *image = &r->code->image[i->kernel];
    int64_t units = device_units(i, r->n),
            blocks = image->blocks ? units : (units + image->threads - 1) / image->threads;
    gpu_address at[PARAMETERS_MAX];
    void *parameter[PARAMETERS_MAX];
    int n = r->n, all = (int)units;
    CHECK(i->args + 2 <= PARAMETERS_MAX && units <= INT32_MAX);
    for (int k = 0; k < i->args; k++) {
        at[k] = address_of(v, q, &r->program->args.at[i->first_arg + k]);
        parameter[k] = &at[k];
    }
    parameter[i->args] = &n;
    parameter[i->args + 1] = &all;
    int code = v->call.launch(q->function[i->kernel], (unsigned)blocks, 1, 1, (unsigned)image->threads, 1, 1, 0, NULL,
                              parameter, NULL);
    return done(v, code, i->name ? i->name : "a kernel", d);
}

static bool open_events(cuda *v, nasc_diag *d)
{
    return (v->start || done(v, v->call.event_create(&v->start, 0), "an event", d)) &&
           (v->end || done(v, v->call.event_create(&v->end, 0), "an event", d));
}

/* Waits for the instance, so that its time is its own. */
static bool time_instance(const cuda *v, const prepared *q, const device_run *r, int k, nasc_diag *d)
{
    float milliseconds = 0;
    if (!done(v, v->call.event_record(v->start, NULL), "an event", d) ||
        !launch_instance(v, q, r, &r->program->instances.at[k], d) ||
        !done(v, v->call.event_record(v->end, NULL), "an event", d) || !done(v, v->call.wait(), "running", d) ||
        !done(v, v->call.event_elapsed(&milliseconds, v->start, v->end), "the time of a kernel", d))
        return false;
    r->instance_seconds[k] += milliseconds * 1e-3;
    return true;
}

static bool launch_all(const cuda *v, const prepared *q, const device_run *r, nasc_diag *d)
{
    const program *p = r->program;
    for (int l = 0; l < p->launches.count; l++) {
        const program_launch *launch = &p->launches.at[l];
        for (int k = launch->first; k < launch->first + launch->count && device_runs(r, launch); k++) {
            if (!(r->instance_seconds ? time_instance(v, q, r, k, d)
                                      : launch_instance(v, q, r, &p->instances.at[k], d)))
                return false;
            if (r->instance_runs)
                r->instance_runs[k]++;
        }
    }
    return true;
}

static bool cuda_execute(device *base, const device_run *r, nasc_diag *d)
{
    cuda *v = (cuda *)base;
    const prepared *q = find_program(v, r->program);
    CHECK(r->n >= 1 && r->n <= r->program->batch);
    return done(v, v->call.enter(v->context), "a context", d) && copy_slots(v, q, r, false, d) &&
           (!r->instance_seconds || open_events(v, d)) && launch_all(v, q, r, d) &&
           done(v, v->call.wait(), "running", d) && copy_slots(v, q, r, true, d);
}

static const device_kind cuda_kind = {cuda_close, cuda_prepare, cuda_execute};

device *device_open_cuda(int *capability, nasc_diag *d)
{
    cuda *v = mem_alloc(sizeof *v);
    if (!v) {
        diag_memory(d);
        return NULL;
    }
    memset(v, 0, sizeof *v);
    v->base.kind = &cuda_kind;
    if (open_driver(v, d) && open_gpu(v, capability, d))
        return &v->base;
    cuda_close(&v->base);
    return NULL;
}
