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
    return device_fetch_all(c->device, d) && run_log_sync(c->folder, d) && checkpoint_write(&state, c->folder->path, d);
}

static void tell_device(const course *c, const checkpoint *state)
{
    for (int i = 0; i < state->sets; i++) {
        const parameter_values *v = &state->set[i].values;
        const float *const vectors[] = {v->weights, v->stats, v->alphas};
        for (size_t k = 0; k < COUNT(vectors); k++)
            if (vectors[k])
                device_changed(c->device, vectors[k]);
    }
}

bool course_resume(course *c, nasc_diag *d)
{
    checkpoint state = c->owner.state(c->owner.user);
    if (checkpoint_exists(c->folder->path) && !checkpoint_read(&state, c->folder->path, d))
        return false;
    tell_device(c, &state);
    return run_log_cut(c->folder, c->epoch, c->step, d);
}

/* ---- sums and the log -------------------------------------------------------------------------------------------- */

static score *expect_score(course *c, int n, bool held_out)
{
    const int room = (int)COUNT(c->scores);
    CHECK(c->expected < room);
    course_score *s = &c->scores[(c->first_score + c->expected++) % room];
    *s = (course_score){.held_out = held_out, .n = n, .step = c->step};
    return &s->score;
}

score *course_learned(course *c, int n)
{
    return expect_score(c, n, false);
}

score *course_held_out(course *c, int n)
{
    return expect_score(c, n, true);
}

static void add_score(course_sums *sums, const course_score *s)
{
    double *loss = s->held_out ? &sums->held_loss : &sums->loss;
    double *correct = s->held_out ? &sums->held_correct : &sums->correct;
    double *images = s->held_out ? &sums->held_images : &sums->images;
    *loss += (double)s->score.loss * s->n;
    *correct += (double)s->score.correct * s->n;
    *images += s->n;
}

/* A run that has diverged ends at once: nothing that comes after it is worth the time, or can stand in the log. */
static bool converges(const course *c, const course_score *s, nasc_diag *d)
{
    return isfinite(c->sums.loss + c->sums.held_loss) ||
           diag_fail(d, DIAG_INPUT, c->owner.phase,
                     "the loss is not a number after step %" PRId64 ", with lr %g: a smaller lr is needed, or clip "
                     "(largest norm of the gradient), as --set clip=5",
                     s->step + 1, c->lr);
}

/* Those of steps before `step`, which have come. */
static bool add_scores(course *c, int64_t step, nasc_diag *d)
{
    while (c->expected > 0 && c->scores[c->first_score].step < step) {
        const course_score *s = &c->scores[c->first_score];
        c->first_score = (c->first_score + 1) % (int)COUNT(c->scores);
        c->expected--;
        add_score(&c->sums, s);
        if (!converges(c, s, d))
            return false;
    }
    return true;
}

/* All that are expected. */
static bool settle(course *c, nasc_diag *d)
{
    return device_wait(c->device, d) && add_scores(c, c->step, d);
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
    bool all;
    if (!device_submit(c->device, &all, d))
        return false;
    c->step++;
    return add_scores(c, all ? c->step : c->step - 1, d);
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
        bool rests = last || due || !*go;
        if (rests && (!settle(c, d) || (!last && !save(c, d))))
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
