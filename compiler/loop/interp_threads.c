/* Units that are blocks of threads. Threads run one after the other, each until a barrier; what they compute does not
 * depend on that order, or it is an error: of each element is known who wrote it and who read it last, and when. Time
 * is counted in phases, which barriers and units end. Within a phase no two threads may touch an element if one of them
 * writes; units never may. */
#include "interp.h"

#include <string.h>

enum { SEVERAL = LOOP_THREADS_MAX }; /* in place of one thread's number */

/* Phases begin at 1; 0: never. */
typedef struct touch {
    uint32_t wrote, read, first_read;
    uint16_t writer, reader;
} touch;

struct block {
    int threads, now;           /* now: the thread that runs */
    uint32_t phase, unit_phase; /* the present one, and the first of this unit */
    size_t register_bytes;      /* of a thread */
    char *regs;                 /* of all threads, one after the other */
    int64_t *ints;
    const code **at;     /* where each thread stands; NULL: it is done */
    handler **access;    /* of each instruction that touches memory: what is done after the look */
    const code *stopped; /* where the present thread met a barrier; NULL: it came to its end */
};

/* ---- races ------------------------------------------------------------------------------------------------------ */

/* Was what was touched in `phase` (and in `first` for the first time) by `thread` touched by another unit, or in this
 * phase by another thread? Scratch is new to each unit. */
static bool touched_elsewhere(const struct block *b, uint32_t phase, uint32_t first, int thread, bool scratch)
{
    if (phase == 0 || (scratch && phase < b->unit_phase))
        return false;
    return (!scratch && first < b->unit_phase) || (phase == b->phase && thread != b->now);
}

static bool races(const struct block *b, const touch *t, bool write, bool scratch)
{
    return touched_elsewhere(b, t->wrote, t->wrote, t->writer, scratch) ||
           (write && touched_elsewhere(b, t->read, t->first_read, t->reader, scratch));
}

static void note(const struct block *b, touch *t, bool write)
{
    if (write) {
        t->wrote = b->phase;
        t->writer = (uint16_t)b->now;
        return;
    }
    bool other = t->read == b->phase && t->reader != b->now;
    t->reader = other ? SEVERAL : (uint16_t)b->now;
    t->first_read = t->first_read ? t->first_read : b->phase;
    t->read = b->phase;
}

/* A memory instruction, after a look at who touched the same. What is out of bounds it says itself. */
static const code *run_watched(interp *s, const code *c)
{
    const loop_ins *ins = &s->k->ins.at[c - s->first];
    const bound_buffer *b = &s->buffers[c->src[1]];
    bool write = ins->op == LOOP_STORE;
    int lanes = write ? s->k->regs.at[ins->src[0]].lanes : ins->op == LOOP_LOAD ? s->k->regs.at[ins->dst].lanes : 1;
    int64_t first = interp_index(s, c->lo);
    if (b->scratch && first % lanes != 0) /* of shared memory machines load vectors whole */
        return interp_fail(s, c, "element %lld of scratch begins no vector of %d", (long long)first, lanes);
    for (int64_t at = first; at >= 0 && at < first + lanes && at < b->size; at++) {
        touch *t = &b->touched[at * b->touches];
        if (races(s->block, t, write, b->scratch))
            return interp_fail(s, c, "thread %d races for element %lld of %s", s->block->now, (long long)at,
                               b->scratch ? "scratch" : "an argument");
        note(s->block, t, write);
    }
    return s->block->access[c - s->first](s, c);
}

/* ---- arguments may overlap: what is touched is told by its address ------------------------------------------------ */

typedef struct extent {
    const char *lo, *hi;
} extent;

static extent extent_of(const bound_buffer *b)
{
    return (extent){b->at, b->at + b->size * dtype_info[b->dtype].bytes};
}

static bool overlap(extent a, extent b)
{
    return a.lo < b.hi && b.lo < a.hi;
}

/* Each argument's extent, grown until it meets no other that is not equal. */
static extent *merge_arguments(arena *a, const interp *s)
{
    int count = s->k->args.count;
    extent *e = NEW_ARRAY(a, extent, count + 1);
    for (int i = 0; i < count; i++)
        e[i] = extent_of(&s->buffers[i]);
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < count; j++) {
                if (!overlap(e[i], e[j]) || (e[i].lo <= e[j].lo && e[i].hi >= e[j].hi))
                    continue;
                e[i].lo = e[i].lo < e[j].lo ? e[i].lo : e[j].lo;
                e[i].hi = e[i].hi > e[j].hi ? e[i].hi : e[j].hi;
                changed = true;
            }
    }
    return e;
}

static void watch_arguments(arena *a, interp *s)
{
    int count = s->k->args.count, least = 8;
    extent *e = merge_arguments(a, s);
    touch **of = NEW_ARRAY(a, touch *, count + 1);
    for (int i = 0; i < count; i++)
        least = dtype_info[s->buffers[i].dtype].bytes < least ? dtype_info[s->buffers[i].dtype].bytes : least;
    for (int i = 0; i < count; i++) {
        bound_buffer *b = &s->buffers[i];
        for (int j = 0; j < i && !of[i]; j++)
            of[i] = overlap(e[i], e[j]) ? of[j] : NULL;
        if (!of[i])
            of[i] = NEW_ARRAY(a, touch, (e[i].hi - e[i].lo) / least + 1);
        b->touched = of[i] + (b->at - e[i].lo) / least;
        b->touches = dtype_info[b->dtype].bytes / least;
    }
}

static void watch_scratch(arena *a, interp *s)
{
    for (int i = s->k->args.count; i < s->k->args.count + s->k->scratch.count; i++) {
        s->buffers[i].touched = NEW_ARRAY(a, touch, s->buffers[i].size);
        s->buffers[i].touches = 1;
    }
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

void interp_watch(arena *a, interp *s, code *first, size_t register_bytes)
{
    int threads = loop_threads_of(s->k), count = s->k->ins.count;
    struct block *b = NEW(a, struct block);
    *b = (struct block){.threads = threads, .phase = 1, .register_bytes = register_bytes};
    char *regs = arena_alloc(a, (size_t)threads * register_bytes + 64);
    b->regs = regs + (-(uintptr_t)regs & 63);
    b->ints = NEW_ARRAY(a, int64_t, (int64_t)threads * s->k->ints);
    b->at = NEW_ARRAY(a, const code *, threads);
    b->access = NEW_ARRAY(a, handler *, count);
    for (int i = 0; i < count; i++) {
        if (loop_op_info[s->k->ins.at[i].op].kind != LOOP_MEM && s->k->ins.at[i].op != LOOP_INT_LOAD)
            continue;
        b->access[i] = first[i].run;
        first[i].run = run_watched;
    }
    watch_arguments(a, s);
    watch_scratch(a, s);
    s->block = b;
}

const code *interp_barrier(interp *s, const code *c)
{
    s->block->stopped = c;
    return NULL;
}

const code *interp_thread_end(interp *s, const code *c)
{
    (void)c;
    s->block->stopped = NULL;
    return NULL;
}

static void run_thread(interp *s, int thread)
{
    struct block *b = s->block;
    b->now = thread;
    s->regs = b->regs + (size_t)thread * b->register_bytes;
    s->ints = b->ints + (int64_t)thread * s->k->ints;
    for (const code *c = b->at[thread]; c;)
        c = c->run(s, c);
    b->at[thread] = b->stopped;
}

/* All threads to the next barrier, or to the end: all of them to the same. */
static void run_phase(interp *s)
{
    struct block *b = s->block;
    for (int t = 0; t < b->threads && !s->failed; t++) {
        run_thread(s, t);
        if (s->failed || b->at[t] == b->at[0])
            continue;
        const code *barrier = b->at[t] ? b->at[t] : b->at[0];
        interp_fail(s, barrier, "thread %d comes to it and thread %d does not", b->at[t] ? t : 0, b->at[t] ? 0 : t);
    }
    b->phase++;
}

void interp_run_block(interp *s, int64_t unit)
{
    struct block *b = s->block;
    int64_t n = s->ints[0];
    b->unit_phase = b->phase;
    for (int t = 0; t < b->threads; t++) {
        int64_t *ints = b->ints + (int64_t)t * s->k->ints;
        ints[0] = n;
        ints[s->first[0].dst] = unit;
        ints[s->first[1].dst] = t;
        b->at[t] = s->first + 2;
    }
    while (b->at[0] && !s->failed) {
        run_phase(s);
        for (int t = 0; t < b->threads && b->at[t]; t++)
            b->at[t]++;
    }
}
