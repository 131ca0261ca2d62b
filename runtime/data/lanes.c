/* Lanes take items off one counter. */
#include "runtime/data/lanes.h"

#include <signal.h>
#include <stdatomic.h>

typedef struct crew {
    lanes_work *work;
    void *user;
    int items;
    atomic_int next;
} crew;

typedef struct lane {
    crew *of;
    int number;
    pthread_t thread;
} lane;

static void *run_lane(void *user)
{
    lane *l = user;
    crew *of = l->of;
    for (int item = atomic_fetch_add(&of->next, 1); item < of->items; item = atomic_fetch_add(&of->next, 1))
        of->work(of->user, l->number, item);
    return NULL;
}

bool thread_start(pthread_t *thread, void *(*run)(void *user), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(thread, NULL, run, user) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

void lanes_run(int lanes, int items, lanes_work *work, void *user)
{
    crew of = {.work = work, .user = user, .items = items};
    lane all[LANES_MOST];
    int wanted = lanes < items ? lanes : items, started = 1;
    all[0] = (lane){.of = &of};
    for (; started < wanted && started < LANES_MOST; started++) {
        all[started] = (lane){.of = &of, .number = started};
        if (!thread_start(&all[started].thread, run_lane, &all[started]))
            break;
    }
    run_lane(&all[0]);
    for (int k = 1; k < started; k++)
        pthread_join(all[k].thread, NULL);
}
