/* Work on many items by several threads, which end with it. Where none can be had, the caller's does it all. */
#ifndef NASC_DATA_LANES_H
#define NASC_DATA_LANES_H

#include <pthread.h>
#include <stdbool.h>

enum { LANES_MOST = 64 };

/* Item `item`, on lane `lane`: items of one lane follow each other. */
typedef void lanes_work(void *user, int lane, int item);

/* Items 0 … items-1, each once, on at most `lanes` threads, of which the caller's is lane 0. */
void lanes_run(int lanes, int items, lanes_work *work, void *user);

/* A thread that gets no signals: those are for the thread that runs the steps. False: there is none to be had. */
bool thread_start(pthread_t *thread, void *(*run)(void *user), void *user);

#endif
