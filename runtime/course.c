/* The course of a run. */
#include "runtime/course.h"
#include "runtime/schedule.h"

#include <inttypes.h>
#include <math.h>

static bool save(course *c, nasc_diag *d)
{
    if (!c->folder)
        return true;
    checkpoint state = c->owner.state(c->owner.user);
    return run_log_sync(c->folder, d) && checkpoint_write(&state, c->folder->path, d);
}

bool course_resume(course *c, nasc_diag *d)
{
    checkpoint state = c->owner.state(c->owner.user);
    if (checkpoint_exists(c->folder->path) && !checkpoint_read(&state, c->folder->path, d))
        return false;
    return run_log_cut(c->folder, c->epoch, c->step, d);
}

/* ---- sums and the log -------------------------------------------------------------------------------------------- */

void course_learned(course *c, const runner *r, int n)
{
    c->sums.loss += (double)r->loss * n;
    c->sums.correct += (double)r->correct * n;
    c->sums.images += n;
}

void course_held_out(course *c, const runner *r, int n)
{
    c->sums.held_loss += (double)r->loss * n;
    c->sums.held_correct += (double)r->correct * n;
    c->sums.held_images += n;
}

static double mean(double sum, double count)
{
    return count > 0 ? sum / count : 0;
}

static bool log_epoch(course *c, nasc_diag *d)
{
    const course_sums *sums = &c->sums;
    json_t *line =
        json_pack("{sI sI sf sf sf}", "epoch", (json_int_t)c->epoch, "step", (json_int_t)c->step, "lr", c->lr, "loss",
                  mean(sums->loss, sums->images), "accuracy", mean(sums->correct, sums->images));
    bool ok = line != NULL;
    if (ok && sums->held_images > 0)
        ok = !json_object_set_new(line, "held_out_loss", json_real(mean(sums->held_loss, sums->held_images))) &&
             !json_object_set_new(line, "held_out_accuracy", json_real(mean(sums->held_correct, sums->held_images)));
    if (ok && sums->skipped > 0)
        ok = !json_object_set_new(line, "skipped", json_integer((json_int_t)sums->skipped));
    if (!ok)
        diag_memory(d);
    ok = ok && c->owner.line(c->owner.user, line, d) && (!c->folder || run_log_add(c->folder, line, d));
    json_decref(line);
    return ok;
}

/* ---- epochs ------------------------------------------------------------------------------------------------------ */

/* A run that has diverged ends at once: nothing that comes after it is worth the time, or can stand in the log. */
static bool converges(const course *c, nasc_diag *d)
{
    return isfinite(c->sums.loss + c->sums.held_loss) ||
           diag_fail(d, DIAG_INPUT, c->owner.phase,
                     "the loss is not a number after step %" PRId64 ", with lr %g: a smaller lr is needed, or clip "
                     "(largest norm of the gradient), as --set clip=5",
                     c->step, c->lr);
}

static bool step_taken(course *c, int at, nasc_diag *d)
{
    const course_settings *q = &c->settings;
    if (q->lr_by_step)
        c->lr = schedule_cosine(q->lr, q->lr_min, c->step, (int64_t)q->steps * q->epochs);
    const feed *batch = prefetch_next(c->ahead, d);
    data_tell(c->data, c->progress);
    if (!batch || !c->owner.step(c->owner.user, at, batch, d))
        return false;
    for (int f = 0; f < PREFETCH_FEEDS; f++)
        c->sums.skipped += batch[f].skipped;
    c->step++;
    return converges(c, d);
}

static bool goes_on(const course *c, int done)
{
    struct progress_state state = {.phase = c->owner.phase,
                                   .epoch = (int)c->epoch,
                                   .epochs = c->settings.epochs,
                                   .step = done,
                                   .steps = c->settings.steps,
                                   .loss = mean(c->sums.loss, c->sums.images),
                                   .accuracy = mean(c->sums.correct, c->sums.images)};
    return progress_report(c->progress, &state);
}

/* The epoch's steps from `first` on. `go`: nobody has asked to stop. */
static enum run_end steps_run(course *c, int first, bool *go, nasc_diag *d)
{
    const course_settings *q = &c->settings;
    for (int at = first; at < q->steps; at++) {
        if (!step_taken(c, at, d))
            return RUN_FAILED;
        *go = goes_on(c, at + 1);
        bool last = at + 1 == q->steps, due = q->checkpoint_steps > 0 && c->step % q->checkpoint_steps == 0;
        if (!last && (due || !*go) && !save(c, d))
            return RUN_FAILED;
        if (!last && !*go)
            return RUN_STOPPED;
    }
    return RUN_DONE;
}

static enum run_end epoch_run(course *c, nasc_diag *d)
{
    const course_settings *q = &c->settings;
    c->owner.begin(c->owner.user);
    if (!q->lr_by_step)
        c->lr = schedule_cosine(q->lr, q->lr_min, c->epoch, q->epochs);
    bool go = true;
    int first = (int)(c->step - c->epoch * q->steps);
    prefetch_start(c->ahead, c->owner.fill, c->owner.user, first, q->steps);
    enum run_end end = steps_run(c, first, &go, d);
    prefetch_stop(c->ahead);
    if (end != RUN_DONE)
        return end;
    c->epoch++;
    bool ok = log_epoch(c, d);
    c->sums = (course_sums){.baseline = c->sums.baseline};
    if (!ok || !save(c, d))
        return RUN_FAILED;
    return go ? RUN_DONE : RUN_STOPPED;
}

enum run_end course_run(course *c, nasc_diag *d)
{
    enum run_end end = RUN_DONE;
    while (end == RUN_DONE && c->epoch < c->settings.epochs)
        end = epoch_run(c, d);
    return end;
}
