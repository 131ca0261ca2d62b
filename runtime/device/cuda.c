/* A GPU, through its driver's own library, which is opened when it is asked for. */
#include "cuda.h"

#include <string.h>

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool open_gpu(cuda *v, int *capability, nasc_diag *d)
{
    int major = 0, minor = 0;
    if (!cuda_done(v, v->call.init(0), "starting", d) ||
        !cuda_done(v, v->call.device_get(&v->number, 0), "the first GPU", d) ||
        !cuda_done(v, v->call.attribute(&major, CAPABILITY_MAJOR, v->number), "its capability", d) ||
        !cuda_done(v, v->call.attribute(&minor, CAPABILITY_MINOR, v->number), "its capability", d) ||
        !cuda_done(v, v->call.retain(&v->context, v->number), "a context", d))
        return false;
    *capability = 10 * major + minor;
    return cuda_done(v, v->call.enter(v->context), "a context", d);
}

static bool open_streams(cuda *v, nasc_diag *d)
{
    bool ok = cuda_done(v, v->call.stream_create(&v->compute, STREAM_APART), "a stream", d) &&
              cuda_done(v, v->call.stream_create(&v->copy, STREAM_APART), "a stream", d);
    for (int s = 0; ok && s < STAGES; s++)
        ok = cuda_done(v, v->call.event_create(&v->stage[s].uploaded, EVENT_UNTIMED), "an event", d) &&
             cuda_done(v, v->call.event_create(&v->stage[s].ended, EVENT_UNTIMED), "an event", d);
    return ok;
}

static void drop_event(const cuda *v, void *event)
{
    if (event)
        (void)v->call.event_drop(event);
}

static void drop_stream(const cuda *v, void *stream)
{
    if (stream)
        (void)v->call.stream_drop(stream);
}

/* What is still running is waited for: it uses what goes. */
static void close_gpu(cuda *v)
{
    if (v->compute)
        (void)v->call.stream_wait(v->compute);
    if (v->copy)
        (void)v->call.stream_wait(v->copy);
    cuda_forget_graphs(v);
    for (int i = 0; i < v->modules.count; i++)
        (void)v->call.module_drop(v->modules.at[i].module);
    for (int s = 0; s < STAGES; s++) {
        drop_event(v, v->stage[s].uploaded);
        drop_event(v, v->stage[s].ended);
    }
    drop_event(v, v->start);
    drop_event(v, v->end);
    drop_stream(v, v->compute);
    drop_stream(v, v->copy);
    cuda_memory_close(v);
    (void)v->call.release(v->number);
}

/* What fails now has nobody to tell. */
static void close_cuda(device *base)
{
    cuda *v = (cuda *)base;
    if (v->context)
        close_gpu(v);
    driver_close(&v->call);
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
    if (!cuda_done(v, v->call.module_load(&l.module, image->image), "loading a kernel", d))
        return false;
    VEC_PUSH(&v->own, &v->modules, l); /* it is unloaded, whatever comes */
    loaded *last = &v->modules.at[v->modules.count - 1];
    if (!cuda_done(v, v->call.function(&last->function, l.module, image->symbol), "finding a kernel", d))
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

static bool prepare(cuda *v, const program *p, const program_code *code, nasc_diag *d)
{
    prepared q = {
        .program = p, .library = code->library, .function = NEW_ARRAY(&v->own, void *, p->functions.count + 1)};
    for (int f = 0; f < p->functions.count; f++)
        if (!load_image(v, &code->image[f], &q.function[f], d))
            return false;
    find_extents(&q);
    VEC_PUSH(&v->own, &v->programs, q);
    v->stale = true;
    return true;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

/* What the device is asked for. */
typedef struct request {
    cuda *v;
    const program *program;
    const program_code *code;
    const device_run *run;
    const void *at;
} request;

static bool serve(arena_work *work, request *r, nasc_diag *d)
{
    cuda *v = r->v;
    return cuda_done(v, v->call.enter(v->context), "a context", d) && arena_guard(&v->own, work, r, d);
}

static bool prepare_it(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    const request *r = user;
    return cuda_submit(r->v, d) && prepare(r->v, r->program, r->code, d);
}

static bool prepare_program(device *base, const program *p, const program_code *code, nasc_diag *d)
{
    CHECK(code->image);
    return serve(prepare_it, &(request){.v = (cuda *)base, .program = p, .code = code}, d);
}

static bool open_clock(cuda *v, nasc_diag *d)
{
    return (v->start || cuda_done(v, v->call.event_create(&v->start, 0), "an event", d)) &&
           (v->end || cuda_done(v, v->call.event_create(&v->end, 0), "an event", d));
}

static bool execute_timed(cuda *v, const device_run *r, nasc_diag *d)
{
    if (!open_clock(v, d) || !cuda_wait(v, d) || !cuda_record(v, r, d))
        return false;
    v->timed = r;
    bool ok = cuda_wait(v, d);
    v->timed = NULL;
    return ok;
}

/* Something that it writes is wanted now. */
static bool is_awaited(cuda *v, const device_run *r)
{
    const queued *last = &v->queue.runs.at[v->queue.runs.count - 1];
    for (int s = 1; s < SLOT_COUNT && !r->late; s++)
        if (last->slot[s].where == STAGED_OUT)
            return true;
    return false;
}

static bool execute_it(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    const request *q = user;
    if (q->run->instance_seconds)
        return execute_timed(q->v, q->run, d);
    return cuda_record(q->v, q->run, d) && (!is_awaited(q->v, q->run) || cuda_wait(q->v, d));
}

static bool execute(device *base, const device_run *r, nasc_diag *d)
{
    return serve(execute_it, &(request){.v = (cuda *)base, .run = r}, d);
}

static void keep(device *base, arena *a, float *at, int64_t elements)
{
    cuda_keep((cuda *)base, a, at, elements);
}

static bool fetch_one(cuda *v, const void *at, nasc_diag *d)
{
    kept *k = cuda_kept(v, at);
    CHECK(k);
    return k->state != GPU_NEWER || (cuda_wait(v, d) && cuda_download(v, k, d));
}

static bool fetch_it(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    const request *r = user;
    if (r->at)
        return fetch_one(r->v, r->at, d);
    bool ok = cuda_wait(r->v, d);
    for (kept *k = r->v->kept; ok && k; k = k->next)
        ok = cuda_download(r->v, k, d);
    return ok;
}

static bool fetch(device *base, const void *at, nasc_diag *d)
{
    return serve(fetch_it, &(request){.v = (cuda *)base, .at = at}, d);
}

static void changed(device *base, const void *at)
{
    kept *k = cuda_kept((cuda *)base, at);
    CHECK(k);
    k->state = HOST_NEWER;
}

static bool submit_it(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    const request *r = user;
    return cuda_submit(r->v, d) && cuda_land(r->v, d);
}

static bool submit(device *base, nasc_diag *d)
{
    return serve(submit_it, &(request){.v = (cuda *)base}, d);
}

static bool wait_for_it(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    const request *r = user;
    return cuda_wait(r->v, d);
}

static bool wait(device *base, nasc_diag *d)
{
    return serve(wait_for_it, &(request){.v = (cuda *)base}, d);
}

static int64_t bytes(const device *base)
{
    const cuda *v = (const cuda *)base;
    int64_t all = v->bytes;
    for (int s = 0; s < STAGES; s++)
        all += v->stage[s].in.gpu_bytes + v->stage[s].out.gpu_bytes;
    return all;
}

static const device_kind cuda_kind = {.close = close_cuda,
                                      .prepare = prepare_program,
                                      .execute = execute,
                                      .keep = keep,
                                      .fetch = fetch,
                                      .changed = changed,
                                      .submit = submit,
                                      .wait = wait,
                                      .bytes = bytes};

device *device_open_cuda(int *capability, nasc_diag *d)
{
    cuda *v = mem_alloc(sizeof *v);
    if (!v) {
        diag_memory(d);
        return NULL;
    }
    memset(v, 0, sizeof *v);
    v->base.kind = &cuda_kind;
    if (driver_open(&v->call, d) && open_gpu(v, capability, d) && open_streams(v, d))
        return &v->base;
    close_cuda(&v->base);
    return NULL;
}
