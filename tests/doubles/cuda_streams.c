/* Streams and events of the driver's double. Work is done as late as can be: when somebody waits for it, or for what comes
 * after it. So what is read, written or given back too early is seen in the results, or at once.
 *
 * CUDA_DOUBLE_STREAMS=early does the work of all streams but the first when it is asked for: then what goes to memory
 * that the first still reads is seen. */
#include "cuda_double.h"

enum { COPY, CALL, HOST, LAUNCHED, RECORD, AFTER };

struct work {
    int kind;
    char *to; /* copy */
    const char *from;
    size_t bytes;
    struct call call;
    struct host *host;
    struct launched *launched;
    struct event *event;   /* record */
    struct stream *stream; /* after: its work up to a number */
    int64_t number;
    struct work *next;
};

struct stream {
    struct work *first, **end;
    int64_t asked, done; /* so many pieces of work */
    bool early;
    void *captured; /* the graph that work goes to; NULL: it is done */
    struct stream *next;
};

struct event {
    bool timed, recorded;
    struct stream *stream;
    int64_t number; /* of the stream's work, with which it is recorded */
    struct timespec at;
};

/* ---- doing it ---------------------------------------------------------------------------------------------------- */

static void run_to(struct stream *s, int64_t number);

static void do_work(struct work *w)
{
    if (w->kind == COPY)
        memcpy(w->to, w->from, w->bytes);
    else if (w->kind == CALL)
        call_run(&w->call);
    else if (w->kind == HOST)
        w->host->run(w->host->what);
    else if (w->kind == LAUNCHED)
        launched_run(w->launched);
    else if (w->kind == RECORD)
        clock_gettime(CLOCK_MONOTONIC, &w->event->at);
    else
        run_to(w->stream, w->number);
}

static void drop_work(struct work *w)
{
    if (w->kind == CALL)
        call_drop(&w->call);
    if (w->kind == HOST)
        host_drop(w->host);
    if (w->kind == LAUNCHED)
        launched_drop(w->launched);
    free(w);
}

static struct work *pop(struct stream *s)
{
    struct work *w = s->first;
    s->first = w->next;
    if (!s->first)
        s->end = &s->first;
    s->done++;
    return w;
}

static void run_to(struct stream *s, int64_t number)
{
    while (s->done < number && s->first) {
        struct work *w = pop(s);
        do_work(w);
        drop_work(w);
    }
}

static struct stream *stream_of(void *handle)
{
    for (struct stream *s = gpu.streams; s; s = s->next)
        if (s == handle)
            return s;
    wrong("there is no such stream");
    return NULL;
}

static void ask(void *stream, const struct work *what)
{
    struct stream *s = stream_of(stream);
    if (s->captured)
        wrong("a stream that is captured is given what no library launches");
    struct work *w = malloc(sizeof *w);
    *w = *what;
    w->next = NULL;
    *s->end = w;
    s->end = &w->next;
    s->asked++;
    if (s->early)
        run_to(s, s->asked);
}

void streams_forget(void)
{
    for (struct stream *s = gpu.streams; s; s = s->next)
        while (s->first)
            drop_work(pop(s));
}

static bool overlaps(const char *at, size_t bytes, const struct piece *p)
{
    return at < p->at + p->bytes && p->at < at + bytes;
}

bool streams_use(const struct piece *p)
{
    for (const struct stream *s = gpu.streams; s; s = s->next)
        for (const struct work *w = s->first; w; w = w->next)
            if ((w->kind == COPY && (overlaps(w->to, w->bytes, p) || overlaps(w->from, w->bytes, p))) ||
                (w->kind == CALL && call_uses(&w->call, p)) || (w->kind == HOST && host_uses(w->host, p)) ||
                (w->kind == LAUNCHED && launched_uses(w->launched, p)))
                return true;
    return false;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

EXPORT int cuStreamCreate(void **made, unsigned flags)
{
    int code = fails("cuStreamCreate", OUT_OF_MEMORY);
    const char *when = getenv("CUDA_DOUBLE_STREAMS");
    if (code != OK || !gpu.entered || flags != 1)
        return code != OK ? code : INVALID_VALUE;
    struct stream *s = calloc(1, sizeof *s);
    s->end = &s->first;
    s->early = gpu.streams && when && strcmp(when, "early") == 0;
    s->next = gpu.streams;
    *made = gpu.streams = s;
    return OK;
}

EXPORT int cuStreamDestroy_v2(void *handle)
{
    struct stream *s = stream_of(handle), **at = &gpu.streams;
    if (s->first)
        wrong("a stream is destroyed while it works");
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s);
    return OK;
}

EXPORT int cuStreamSynchronize(void *handle)
{
    int code = fails("cuStreamSynchronize", LAUNCH_FAILED);
    struct stream *s = stream_of(handle);
    run_to(s, s->asked);
    return code;
}

EXPORT int cuStreamWaitEvent(void *handle, void *event, unsigned flags)
{
    const struct event *e = event;
    struct work w = {.kind = AFTER, .stream = e->stream, .number = e->number};
    int code = fails("cuStreamWaitEvent", LAUNCH_FAILED);
    if (flags != 0)
        return INVALID_VALUE;
    if (e->recorded)
        ask(handle, &w);
    return code;
}

/* Memory of the host's that is not pinned is the host's own again when the call returns. */
static int copy(char *to, const char *from, size_t bytes, void *stream, const char *host)
{
    struct work w = {.kind = COPY, .to = to, .from = from, .bytes = bytes};
    struct stream *s = stream_of(stream);
    ask(stream, &w);
    if (!piece_of((uint64_t)(uintptr_t)host, bytes, true))
        run_to(s, s->asked);
    return OK;
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream)
{
    int code = fails("cuMemcpyHtoDAsync_v2", LAUNCH_FAILED);
    if (!piece_of(to, bytes, false))
        wrong("a copy goes where no memory is");
    return code != OK ? code : copy((char *)(uintptr_t)to, from, bytes, stream, from);
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream)
{
    int code = fails("cuMemcpyDtoHAsync_v2", LAUNCH_FAILED);
    if (!piece_of(from, bytes, false))
        wrong("a copy comes from where no memory is");
    return code != OK ? code : copy(to, (const char *)(uintptr_t)from, bytes, stream, to);
}

EXPORT int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                          unsigned block_y, unsigned block_z, unsigned shared_bytes, void *stream, void **parameters,
                          void **extra)
{
    int code = fails("cuLaunchKernel", LAUNCH_FAILED);
    struct work w = {.kind = CALL};
    if (code != OK)
        return code;
    if (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || shared_bytes || extra ||
        !call_make(&w.call, function, grid_x, block_x, parameters))
        return INVALID_VALUE;
    ask(stream, &w);
    return OK;
}

int stream_add_launched(void *stream, struct launched *l)
{
    struct work w = {.kind = LAUNCHED, .launched = l};
    ask(stream, &w);
    return OK;
}

/* ---- libraries' own work ----------------------------------------------------------------------------------------- */

void host_drop(struct host *h)
{
    if (--h->owners > 0)
        return;
    free(h->what);
    free(h);
}

bool host_uses(const struct host *h, const struct piece *p)
{
    for (int i = 0; i < h->count; i++)
        if (overlaps((const char *)(uintptr_t)h->at[i], h->bytes[i], p))
            return true;
    return false;
}

/* How other doubles have the GPU do something. */
EXPORT int double_host_work(void *stream, void (*run)(const void *what), const void *what, size_t size,
                            const uint64_t *at, const size_t *bytes, int count)
{
    struct stream *s = stream_of(stream);
    struct host *h = calloc(1, sizeof *h);
    *h = (struct host){.run = run, .what = malloc(size), .owners = 1, .count = count};
    memcpy(h->what, what, size);
    for (int i = 0; i < count; i++) {
        h->at[i] = at[i];
        h->bytes[i] = bytes[i];
        if (!piece_of(at[i], bytes[i], false))
            wrong("a library works where no memory is");
    }
    struct work w = {.kind = HOST, .host = h};
    if (s->captured)
        graph_add_host(s->captured, h);
    else
        ask(stream, &w);
    return OK;
}

EXPORT int cuStreamBeginCapture_v2(void *handle, int mode)
{
    struct stream *s = stream_of(handle);
    int code = fails("cuStreamBeginCapture_v2", OUT_OF_MEMORY);
    if (code != OK || s->captured || mode < 0 || mode > 2)
        return code != OK ? code : INVALID_VALUE;
    s->captured = graph_new();
    return OK;
}

EXPORT int cuStreamEndCapture(void *handle, void **graph)
{
    struct stream *s = stream_of(handle);
    *graph = s->captured;
    s->captured = NULL;
    return *graph ? OK : INVALID_VALUE;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

EXPORT int cuEventCreate(void **event, unsigned flags)
{
    int code = fails("cuEventCreate", OUT_OF_MEMORY);
    if (code != OK || !gpu.entered || (flags != 0 && flags != 2))
        return code ? code : INVALID_VALUE;
    struct event *e = calloc(1, sizeof *e);
    e->timed = flags == 0;
    gpu.events++;
    *event = e;
    return OK;
}

EXPORT int cuEventDestroy_v2(void *event)
{
    const struct event *e = event;
    if (e->recorded && e->stream->done < e->number)
        wrong("an event is destroyed that a stream is still to record");
    free(event);
    gpu.events--;
    return OK;
}

EXPORT int cuEventRecord(void *event, void *stream)
{
    struct event *e = event;
    struct work w = {.kind = RECORD, .event = e};
    int code = fails("cuEventRecord", LAUNCH_FAILED);
    struct stream *s = stream_of(stream);
    e->recorded = code == OK;
    e->stream = s;
    e->number = s->asked + 1;
    if (code == OK)
        ask(stream, &w);
    return code;
}

EXPORT int cuEventSynchronize(void *event)
{
    const struct event *e = event;
    int code = fails("cuEventSynchronize", LAUNCH_FAILED);
    if (code == OK && e->recorded)
        run_to(e->stream, e->number);
    return code;
}

EXPORT int cuEventElapsedTime(float *milliseconds, void *start, void *end)
{
    const struct event *from = start, *to = end;
    if (!from->timed || !to->timed || !from->recorded || !to->recorded)
        return INVALID_VALUE;
    if (from->stream->done < from->number || to->stream->done < to->number)
        return NOT_READY;
    *milliseconds =
        (float)((double)(to->at.tv_sec - from->at.tv_sec) * 1e3 + (double)(to->at.tv_nsec - from->at.tv_nsec) * 1e-6);
    return OK;
}
