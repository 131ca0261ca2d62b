/* Blocks of threads whose work streams through shared memory: some threads fill a part of it while
 * the others add up what is in another. Then all meet, and the parts change places. So a block waits
 * for memory and computes at the same time, though its sums have an order. */
#include "loop/simt.h"

void simt_stream(simd *s, const stream *q, loop_index steps, void *user)
{
    q->fill(s, user, loop_at(0), loop_at(0), simt_variable(q->thread), q->threads); /* the first part: all threads */
    loop_barrier(&s->pen);
    loop_index step = simt_variable(loop_for(&s->pen, loop_at(0), steps, 1));
    int odd = loop_int(&s->pen, LOOP_INT_MOD, step, loop_at(0), 2);
    loop_if(&s->pen, simt_variable(q->thread), loop_at(q->users));
    q->use(s, user, step, simt_variable(odd));
    loop_else(&s->pen);
    loop_if(&s->pen, loop_offset(step, 1), steps);
    q->fill(s, user, loop_offset(step, 1), loop_offset(loop_times(simt_variable(odd), -1), 1),
            loop_offset(simt_variable(q->thread), -q->users), q->threads - q->users);
    loop_end(&s->pen);
    loop_end(&s->pen);
    loop_barrier(&s->pen);
    loop_end(&s->pen);
}
