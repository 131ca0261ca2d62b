/* The queue: runs are written down when they are asked for, with a copy of what the host bound to them, and begin
 * together when the queue is submitted. So a step costs the host a few calls of the driver, whatever it consists of, and
 * the host is a step ahead of the GPU.
 *
 * Two stages take turns. The one that is being filled was waited for: the GPU reads and writes the other at most. What
 * goes up has a stream of its own, and so crosses the bus while the queue before it computes. */
#include "cuda.h"

#include <stdio.h>
#include <string.h>

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static bool land(cuda *v, stage *s, nasc_diag *d)
{
    char what[96];
    if (!s->in_flight)
        return true;
    snprintf(what, sizeof what, "running %d programs (nasc bench step --profile runs them kernel by kernel)", s->runs);
    if (!cuda_done(v, v->call.event_wait(s->ended), what, d))
        return false;
    s->in_flight = false;
    for (int i = 0; i < s->arrivals.count; i++)
        memcpy(s->arrivals.at[i].to, s->out.host + s->arrivals.at[i].at, (size_t)s->arrivals.at[i].bytes);
    return true;
}

/* In the order in which they were begun. */
static bool land_all(cuda *v, nasc_diag *d)
{
    for (int k = 0; k < STAGES; k++)
        if (!land(v, &v->stage[(v->turn + k) % STAGES], d))
            return false;
    return true;
}

/* The stage that comes next is the one before the last. */
bool cuda_land(cuda *v, nasc_diag *d)
{
    return land(v, &v->stage[v->turn], d);
}

bool cuda_wait(cuda *v, nasc_diag *d)
{
    return cuda_submit(v, d) && land_all(v, d);
}

/* ---- writing a run down ------------------------------------------------------------------------------------------ */

/* An empty queue gets a stage that the GPU has done with, and memory for all that there is. */
static bool open_queue(cuda *v, nasc_diag *d)
{
    stage *s = &v->stage[v->turn];
    if (v->stale && !(cuda_wait(v, d) && cuda_lay_out(v, d)))
        return false;
    if (v->queue.runs.count > 0)
        return true;
    if (!land(v, s, d))
        return false;
    s->in.used = s->out.used = 0;
    s->arrivals.count = 0;
    s->brings = false;
    return true;
}

/* Elements of a slot that exist for this run: what an image has, for as many as there are. */
static int64_t end_of(const extent *e, const device_run *r, int slot)
{
    bool images = slot == SLOT_IMAGES || slot == SLOT_LABELS || slot == SLOT_LOGITS || slot == SLOT_AUX_LOGITS;
    return images ? e->hi / r->program->batch * r->n : e->hi;
}

/* The place of an equal batch that the queue has; -1: it has none. */
static int64_t find_batch(const cuda *v, const void *from, int64_t bytes)
{
    for (int i = 0; i < v->queue.batches.count; i++) {
        const staged_batch *b = &v->queue.batches.at[i];
        if (b->from == from && b->bytes == bytes && memcmp(v->stage[v->turn].in.host + b->at, from, (size_t)bytes) == 0)
            return b->at;
    }
    return -1;
}

/* A copy of what the host has; -1 with a diagnostic. */
static int64_t stage_bytes(cuda *v, area *a, const void *from, int64_t bytes, nasc_diag *d)
{
    int64_t at = cuda_area_add(v, a, bytes, d);
    if (at >= 0)
        memcpy(a->host + at, from, (size_t)bytes);
    return at;
}

static bool stage_slot(cuda *v, const extent *e, const device_run *r, int slot, place *p, nasc_diag *d)
{
    stage *s = &v->stage[v->turn];
    char *from = (char *)r->slot[slot] + e->lo * ELEMENT;
    int64_t bytes = (end_of(e, r, slot) - e->lo) * ELEMENT;
    bool batch = slot == SLOT_IMAGES || slot == SLOT_LABELS;
    p->where = e->written ? STAGED_OUT : STAGED_IN;
    p->at = batch && !e->written ? find_batch(v, from, bytes) : -1;
    if (p->at >= 0)
        return true;
    p->at = stage_bytes(v, e->written ? &s->out : &s->in, from, bytes, d);
    if (p->at < 0)
        return false;
    staged_batch staged = {from, bytes, p->at};
    if (batch && !e->written)
        VEC_PUSH(&v->own, &v->queue.batches, staged);
    arrival back = {from, bytes, p->at};
    if (e->written)
        VEC_PUSH(&v->own, &s->arrivals, back);
    s->brings |= e->written && !r->late;
    return true;
}

static bool bind_kept(cuda *v, const extent *e, kept *k, place *p, nasc_diag *d)
{
    CHECK(e->hi <= k->elements);
    if (k->state == HOST_NEWER && !cuda_upload(v, k, d))
        return false;
    if (e->written)
        k->state = GPU_NEWER;
    k->queued = true;
    *p = (place){KEPT, k->at};
    return true;
}

static bool is_used(const extent *e)
{
    return e->hi > e->lo;
}

static bool bind(cuda *v, const device_run *r, queued *q, nasc_diag *d)
{
    for (int s = 1; s < SLOT_COUNT; s++) {
        const extent *e = &q->of->slot[s];
        if (!is_used(e))
            continue;
        if (!r->slot[s])
            BUG("nothing is bound to slot %d", s);
        kept *k = cuda_kept(v, r->slot[s]);
        if (!(k ? bind_kept(v, e, k, &q->slot[s], d) : stage_slot(v, e, r, s, &q->slot[s], d)))
            return false;
    }
    return true;
}

/* Does the host have news for a vector that the queue is to read as it was? */
static bool meets_news(cuda *v, const prepared *of, const device_run *r)
{
    for (int s = 1; s < SLOT_COUNT; s++) {
        const kept *k = is_used(&of->slot[s]) ? cuda_kept(v, r->slot[s]) : NULL;
        if (k && k->queued && k->state == HOST_NEWER)
            return true;
    }
    return false;
}

static const prepared *find_program(const cuda *v, const program *p)
{
    for (int i = v->programs.count - 1; i >= 0; i--)
        if (v->programs.at[i].program == p)
            return &v->programs.at[i];
    BUG("a program runs that was not prepared");
}

static void add_key(cuda *v, int64_t number)
{
    VEC_PUSH(&v->own, &v->queue.key, number);
}

static void add_choices(cuda *v, const device_run *r, queued *q)
{
    q->choices = r->active ? v->queue.active.count : -1;
    q->gates = r->gates ? v->queue.gates.count : -1;
    for (int c = 0; c < r->program->selects; c++) {
        if (r->active)
            VEC_PUSH(&v->own, &v->queue.active, r->active[c]);
        if (r->gates)
            VEC_PUSH(&v->own, &v->queue.gates, r->gates[c]);
    }
}

bool cuda_record(cuda *v, const device_run *r, nasc_diag *d)
{
    queued q = {.of = find_program(v, r->program), .n = r->n, .keep_stats = r->keep_stats};
    CHECK(r->n >= 1 && r->n <= r->program->batch);
    if ((meets_news(v, q.of, r) && !cuda_submit(v, d)) || !open_queue(v, d) || !bind(v, r, &q, d))
        return false;
    add_choices(v, r, &q);
    add_key(v, v->turn); /* stages have areas of their own */
    add_key(v, q.of - v->programs.at);
    add_key(v, 2 * (int64_t)q.n + q.keep_stats);
    for (int s = 1; s < SLOT_COUNT; s++)
        if (q.slot[s].where != UNBOUND)
            add_key(v, 4 * q.slot[s].at + q.slot[s].where);
    VEC_PUSH(&v->own, &v->queue.runs, q);
    return true;
}

device_run cuda_run_of(const cuda *v, int run)
{
    const queued *q = &v->queue.runs.at[run];
    return (device_run){.program = q->of->program,
                        .n = q->n,
                        .keep_stats = q->keep_stats,
                        .active = q->choices >= 0 ? v->queue.active.at + q->choices : NULL,
                        .gates = q->gates >= 0 ? v->queue.gates.at + q->gates : NULL};
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

/* The GPU's part of both areas; graphs know the old places. */
static bool place_areas(cuda *v, stage *s, nasc_diag *d)
{
    if (s->in.used <= s->in.gpu_bytes && s->out.used <= s->out.gpu_bytes)
        return true;
    if (!land_all(v, d))
        return false;
    cuda_forget_graphs(v);
    return cuda_area_place(v, &s->in, d) && cuda_area_place(v, &s->out, d);
}

static bool send_area(const cuda *v, const area *a, nasc_diag *d)
{
    return a->used == 0 ||
           cuda_done(v, v->call.upload(a->gpu, a->host, (size_t)a->used, v->copy), "what a step begins with", d);
}

static bool send(const cuda *v, const stage *s, nasc_diag *d)
{
    return send_area(v, &s->in, d) && (!s->brings || send_area(v, &s->out, d)) &&
           cuda_done(v, v->call.event_record(s->uploaded, v->copy), "an event", d) &&
           cuda_done(v, v->call.stream_after(v->compute, s->uploaded, 0), "an event", d);
}

static bool receive(const cuda *v, const stage *s, nasc_diag *d)
{
    const area *a = &s->out;
    return (a->used == 0 ||
            cuda_done(v, v->call.download(a->host, a->gpu, (size_t)a->used, v->compute), "results", d)) &&
           cuda_done(v, v->call.event_record(s->ended, v->compute), "an event", d);
}

static void empty_queue(cuda *v)
{
    queue *q = &v->queue;
    q->runs.count = q->key.count = q->active.count = q->gates.count = q->batches.count = 0;
    for (kept *k = v->kept; k; k = k->next)
        k->queued = false;
}

bool cuda_submit(cuda *v, nasc_diag *d)
{
    stage *s = &v->stage[v->turn];
    if (v->queue.runs.count == 0)
        return true;
    if (!place_areas(v, s, d) || !send(v, s, d) || !cuda_begin(v, d) || !receive(v, s, d))
        return false;
    s->in_flight = true;
    s->runs = v->queue.runs.count;
    v->turn = (v->turn + 1) % STAGES;
    empty_queue(v);
    return true;
}
