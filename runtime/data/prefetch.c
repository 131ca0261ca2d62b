/* Two slots: the consumer has one, the producer fills the other. Counts of steps filled and steps done with, under one
 * lock, say whose a slot is; the batches themselves are touched outside it. */
#include "runtime/data/prefetch.h"
#include "runtime/data/lanes.h"

enum { SLOTS = 2 };

struct prefetch {
    int batch, feeds;
    feed slot[SLOTS][PREFETCH_FEEDS];
    prefetch_fill *fill;
    const void *user;
    int first, end;
    int asked; /* steps that the consumer has asked for */
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* Under the lock. */
    int filled, done; /* steps, from `first`; done: the consumer will not look at them again */
    bool stop, failed;
    nasc_diag diag; /* why */
};

feed feed_new(arena *a, const dataset *set, int batch)
{
    feed f = {.n = batch};
    f.x = NEW_ARRAY(a, float, (int64_t)batch * set->h * set->w * set->c);
    f.y = NEW_ARRAY(a, int32_t, batch);
    return f;
}

prefetch *prefetch_new(arena *a, const dataset *set, int batch, int feeds)
{
    CHECK(feeds >= 1 && feeds <= PREFETCH_FEEDS);
    prefetch *p = NEW(a, prefetch);
    p->batch = batch;
    p->feeds = feeds;
    for (int s = 0; s < SLOTS; s++)
        for (int f = 0; f < feeds; f++)
            p->slot[s][f] = feed_new(a, set, batch);
    return p;
}

int prefetch_batch(const prefetch *p)
{
    return p->batch;
}

/* Fills the batches of step first + k. */
static bool fill(prefetch *p, int k, nasc_diag *d)
{
    feed *to = p->slot[k % SLOTS];
    for (int f = 0; f < p->feeds; f++) {
        to[f].n = p->batch;
        to[f].skipped = 0;
    }
    return p->fill(p->user, p->first + k, to, d);
}

static void *produce(void *user)
{
    prefetch *p = user;
    const int steps = p->end - p->first;
    for (int k = 0; k < steps; k++) {
        pthread_mutex_lock(&p->lock);
        while (k - p->done >= SLOTS && !p->stop)
            pthread_cond_wait(&p->moved, &p->lock);
        bool stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        nasc_diag diag = {0};
        bool ok = !stop && fill(p, k, &diag);
        pthread_mutex_lock(&p->lock);
        p->filled += ok;
        p->failed = !ok;
        p->diag = diag;
        pthread_cond_signal(&p->moved);
        pthread_mutex_unlock(&p->lock);
        if (!ok)
            break;
    }
    return NULL;
}

void prefetch_start(prefetch *p, prefetch_fill *fill, const void *user, int first, int end)
{
    CHECK(!p->fill && first <= end);
    p->fill = fill;
    p->user = user;
    p->first = first;
    p->end = end;
    p->asked = p->filled = p->done = 0;
    p->stop = p->failed = false;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->moved, NULL);
    p->threaded = thread_start(&p->thread, produce, p);
}

/* Whether step k was filled, which is waited for. */
static bool wait_for(prefetch *p, int k, nasc_diag *d)
{
    pthread_mutex_lock(&p->lock);
    p->done = k;
    pthread_cond_signal(&p->moved);
    while (p->filled <= k && !p->failed)
        pthread_cond_wait(&p->moved, &p->lock);
    bool ok = p->filled > k;
    if (!ok)
        diag_fail(d, p->diag.kind, p->diag.where, "%s", p->diag.message);
    pthread_mutex_unlock(&p->lock);
    return ok;
}

const feed *prefetch_next(prefetch *p, nasc_diag *d)
{
    int k = p->asked++;
    CHECK(p->fill && p->first + k < p->end);
    return (p->threaded ? wait_for(p, k, d) : fill(p, k, d)) ? p->slot[k % SLOTS] : NULL;
}

void prefetch_stop(prefetch *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->moved);
    pthread_mutex_unlock(&p->lock);
    if (p->threaded)
        pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->moved);
    pthread_mutex_destroy(&p->lock);
    p->fill = NULL;
}
