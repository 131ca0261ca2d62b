/* The GPU's memory: one piece, the arena of the programs and behind it the vectors that stay, and two small ones a stage,
 * for what goes up and comes down.
 *
 * Every kept vector has its copy on the host, so that memory can be laid out anew by bringing back what the GPU alone
 * knows: never are two arenas needed at a time. */
#include "cuda.h"

#include <stdio.h>
#include <string.h>

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static bool take(const cuda *v, gpu_address *at, int64_t bytes, nasc_diag *d)
{
    size_t left = 0, all = 0;
    char what[160];
    int code = v->call.take(at, (size_t)bytes);
    if (code != DRIVER_OUT_OF_MEMORY)
        return cuda_done(v, code, "memory", d);
    (void)v->call.memory_left(&left, &all);
    snprintf(what, sizeof what, "%.1f MiB of memory, of which the GPU has %.1f free (a smaller batch, or --memory)",
             (double)bytes / 1048576, (double)left / 1048576);
    return cuda_done(v, code, what, d);
}

static bool drop(const cuda *v, gpu_address *at, nasc_diag *d)
{
    gpu_address given = *at;
    *at = 0;
    return !given || cuda_done(v, v->call.drop(given), "giving memory back", d);
}

/* ---- vectors that stay ------------------------------------------------------------------------------------------- */

kept *cuda_kept(cuda *v, const void *at)
{
    kept *k = v->kept;
    while (k && k->host != at)
        k = k->next;
    return k;
}

void cuda_keep(cuda *v, arena *a, float *at, int64_t elements)
{
    kept *k = NEW(a, kept);
    *k = (kept){.next = v->kept, .host = at, .elements = elements, .state = HOST_NEWER};
    v->kept = k;
    v->stale = true;
}

bool cuda_upload(cuda *v, kept *k, nasc_diag *d)
{
    gpu_address to = v->memory + (gpu_address)(k->at * ELEMENT);
    k->state = BOTH_ALIKE;
    return cuda_done(v, v->call.upload(to, k->host, (size_t)(k->elements * ELEMENT), v->compute),
                     "a vector that stays there", d);
}

bool cuda_download(cuda *v, kept *k, nasc_diag *d)
{
    gpu_address from = v->memory + (gpu_address)(k->at * ELEMENT);
    if (k->state != GPU_NEWER)
        return true;
    k->state = BOTH_ALIKE;
    return cuda_done(v, v->call.download(k->host, from, (size_t)(k->elements * ELEMENT), v->compute), "a vector", d) &&
           cuda_done(v, v->call.stream_wait(v->compute), "a vector", d);
}

static int64_t aligned(int64_t elements)
{
    return (elements + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
}

/* The elements of all. */
static int64_t place_all(cuda *v)
{
    int64_t at = 0;
    for (int i = 0; i < v->programs.count; i++)
        at = v->programs.at[i].program->arena_elements > at ? v->programs.at[i].program->arena_elements : at;
    for (kept *k = v->kept; k; k = k->next) {
        k->at = at = aligned(at);
        at += k->elements;
    }
    return aligned(at);
}

bool cuda_lay_out(cuda *v, nasc_diag *d)
{
    for (kept *k = v->kept; k; k = k->next)
        if (!cuda_download(v, k, d))
            return false;
    cuda_forget_graphs(v);
    int64_t bytes = place_all(v) * ELEMENT;
    if (bytes > v->bytes) {
        v->bytes = 0;
        if (!drop(v, &v->memory, d) || !take(v, &v->memory, bytes, d))
            return false;
        v->bytes = bytes;
    }
    for (kept *k = v->kept; k; k = k->next)
        k->state = HOST_NEWER;
    v->stale = false;
    return true;
}

/* ---- areas ------------------------------------------------------------------------------------------------------- */

static int64_t grown(int64_t bytes)
{
    int64_t room = 4096;
    while (room < bytes)
        room *= 2;
    return room;
}

int64_t cuda_area_add(cuda *v, area *a, int64_t bytes, nasc_diag *d)
{
    int64_t at = aligned(a->used), end = at + bytes;
    if (end > a->host_bytes) {
        void *more = NULL;
        if (!cuda_done(v, v->call.pin(&more, (size_t)grown(end), 0), "memory that it reads by itself", d))
            return -1;
        if (a->host) {
            memcpy(more, a->host, (size_t)a->used);
            (void)v->call.unpin(a->host);
        }
        a->host = more;
        a->host_bytes = grown(end);
    }
    a->used = end;
    return at;
}

bool cuda_area_place(cuda *v, area *a, nasc_diag *d)
{
    if (a->used <= a->gpu_bytes)
        return true;
    a->gpu_bytes = 0;
    if (!drop(v, &a->gpu, d) || !take(v, &a->gpu, a->host_bytes, d))
        return false;
    a->gpu_bytes = a->host_bytes;
    return true;
}

static void area_close(cuda *v, area *a)
{
    if (a->host)
        (void)v->call.unpin(a->host);
    if (a->gpu)
        (void)v->call.drop(a->gpu);
}

void cuda_memory_close(cuda *v)
{
    for (int s = 0; s < STAGES; s++) {
        area_close(v, &v->stage[s].in);
        area_close(v, &v->stage[s].out);
    }
    if (v->memory)
        (void)v->call.drop(v->memory);
}
