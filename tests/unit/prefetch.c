/* Batches filled ahead are those that would have been filled in place, with a thread or without; a failure arrives at
 * its step, after those before it; a stop may come at any time, and signals stay with the thread that asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "runtime/data/prefetch.h"

enum { BATCH = 8, STEPS = 40, IMAGE = 6 * 6 * 3 };

static bool no_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *user);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *user);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *user)
{
    return no_threads ? EAGAIN : __real_pthread_create(thread, how, start, user);
}

typedef struct source {
    arena a;
    const dataset *set;
    int fails_at; /* negative: never */
    pthread_t asks;
    atomic_int filled, signals_open, elsewhere, wrong_room;
} source;

static void source_open(source *s)
{
    nasc_diag d = {0};
    *s = (source){.fails_at = -1, .asks = pthread_self()};
    s->set = data_open(&s->a, "synthetic:6x6x3/4/64", &(data_options){.seed = 5}, &d);
    assert_non_null(s->set);
}

static void in_place(const source *s, int at, int which, float *x, int32_t *y)
{
    static const struct data_augment augment = {.normalise = true, .crop = 2, .flip = true, .cutout = 2};
    uint32_t at_most = (uint32_t)s->set->train.count, indices[BATCH];
    for (uint32_t i = 0; i < BATCH; i++)
        indices[i] = ((uint32_t)at * BATCH + i + 7 * (uint32_t)which) % at_most;
    batch_key key = {{&s->set->train, indices, BATCH}, 0, BATCH, &augment, 9, (uint32_t)at};
    nasc_diag d = {0};
    data_batch(s->set, &key, x, y, &d);
}

static bool fill(const void *user, int at, feed *to, nasc_diag *d)
{
    source *s = (source *)user;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    s->signals_open += !sigismember(&blocked, SIGTERM);
    s->elsewhere += !pthread_equal(s->asks, pthread_self());
    if (at == s->fails_at)
        return diag_fail(d, DIAG_IO, "image 12", "is torn");
    s->wrong_room += to[0].n != BATCH || to[1].n != BATCH;
    for (int f = 0; f < 2; f++)
        in_place(s, at, f, to[f].x, to[f].y);
    to[1].n = 1 + at % BATCH;
    s->filled++;
    return true;
}

static void expect(const source *s, const feed *got, int at)
{
    float x[BATCH * IMAGE];
    int32_t y[BATCH];
    assert_int_equal(got[0].n, BATCH);
    assert_int_equal(got[1].n, 1 + at % BATCH);
    for (int f = 0; f < 2; f++) {
        in_place(s, at, f, x, y);
        assert_memory_equal(got[f].x, x, sizeof x);
        assert_memory_equal(got[f].y, y, sizeof y);
    }
}

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
}

/* The consumer now the faster, now the slower; from the middle of an epoch, too. */
static void walk_epochs(source *s)
{
    nasc_diag d = {0};
    prefetch *p = prefetch_new(&s->a, s->set, BATCH, 2);
    assert_int_equal(prefetch_batch(p), BATCH);
    for (int first = 0; first < STEPS; first += 13) {
        prefetch_start(p, fill, s, first, STEPS);
        for (int at = first; at < STEPS; at++) {
            const feed *got = prefetch_next(p, &d);
            assert_non_null(got);
            if (at / 8 % 2)
                pause_briefly();
            expect(s, got, at);
        }
        prefetch_stop(p);
    }
    assert_int_equal(s->wrong_room, 0);
}

static void bytes_are_those_filled_in_place(void **state)
{
    (void)state;
    source s;
    source_open(&s);
    walk_epochs(&s);
    assert_int_equal(s.elsewhere, s.filled);
    assert_int_equal(s.signals_open, 0);
    arena_free(&s.a);
}

static void it_goes_without_a_thread(void **state)
{
    (void)state;
    source s;
    source_open(&s);
    no_threads = true;
    walk_epochs(&s);
    no_threads = false;
    assert_int_equal(s.elsewhere, 0);
    arena_free(&s.a);
}

static void a_failure_arrives_at_its_step(void **state)
{
    (void)state;
    source s;
    source_open(&s);
    prefetch *p = prefetch_new(&s.a, s.set, BATCH, 2);
    for (s.fails_at = 0; s.fails_at < 5; s.fails_at++) {
        nasc_diag d = {0};
        prefetch_start(p, fill, &s, 0, STEPS);
        for (int at = 0; at < s.fails_at; at++) {
            const feed *got = prefetch_next(p, &d);
            assert_non_null(got);
            pause_briefly();
            expect(&s, got, at);
        }
        assert_int_equal(d.kind, DIAG_NONE);
        assert_null(prefetch_next(p, &d));
        assert_int_equal(d.kind, DIAG_IO);
        assert_string_equal(d.where, "image 12");
        prefetch_stop(p);
    }
    arena_free(&s.a);
}

/* After any number of steps, whether the thread waits, fills or has ended; no more than the next step is filled. */
static void a_stop_may_come_at_any_time(void **state)
{
    (void)state;
    source s;
    nasc_diag d = {0};
    source_open(&s);
    prefetch *p = prefetch_new(&s.a, s.set, BATCH, 2);
    for (int taken = 0; taken <= STEPS; taken++) {
        s.filled = 0;
        prefetch_start(p, fill, &s, 0, STEPS);
        for (int at = 0; at < taken; at++)
            assert_non_null(prefetch_next(p, &d));
        if (taken % 3 == 0)
            pause_briefly();
        prefetch_stop(p);
        assert_in_range(s.filled, taken, taken + 2);
    }
    prefetch_start(p, fill, &s, STEPS, STEPS); /* an epoch of which nothing is left */
    prefetch_stop(p);
    arena_free(&s.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_filled_in_place),
        cmocka_unit_test(it_goes_without_a_thread),
        cmocka_unit_test(a_failure_arrives_at_its_step),
        cmocka_unit_test(a_stop_may_come_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
