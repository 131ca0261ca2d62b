/* The course of a run: epochs of steps on batches that are filled ahead, the learning rate's cosine, log lines,
 * checkpoints, and that somebody asks to stop. What a step does is its owner's affair: a search, a training. */
#ifndef NASC_COURSE_H
#define NASC_COURSE_H

#include "runtime/checkpoint.h"
#include "runtime/data/prefetch.h"
#include "runtime/progress.h"

/* A batch whose score may still be on its way from the device. */
typedef struct course_score {
    score score;
    bool held_out;
    int n;
    int64_t step; /* that it is of */
} course_score;

/* Running sums of the epoch; all doubles, they go into the checkpoint. */
typedef struct course_sums {
    double loss, correct, images;                /* of the steps that learn weights */
    double skipped;                              /* samples whose files are bad, as often as they were asked for */
    double held_loss, held_correct, held_images; /* of those that learn alphas */
    double baseline;                             /* REINFORCE: moving mean of the rewards; outlives the epoch */
} course_sums;

/* What the owner does; `user` is the owner. */
typedef struct course_owner {
    void *user;
    const char *phase;                                                 /* as progress calls it */
    void (*begin)(void *user);                                         /* an epoch: the order of its samples */
    prefetch_fill *fill;                                               /* the batches of a step */
    bool (*step)(void *user, int at, const feed *batch, nasc_diag *d); /* step `at` of the epoch, and its sums */
    bool (*line)(void *user, json_t *line, nasc_diag *d);              /* after an epoch: adds to its log line */
    checkpoint (*state)(void *user);                                   /* all that a checkpoint holds */
} course_owner;

typedef struct course_settings {
    int epochs, steps;    /* steps an epoch */
    int checkpoint_steps; /* a checkpoint every so many steps, beside each epoch's; 0: none */
    bool lr_by_step;      /* the cosine moves once a step, not once an epoch */
    double lr, lr_min;
} course_settings;

typedef struct course {
    course_owner owner;
    course_settings settings;
    run_folder *folder; /* NULL: no log and no checkpoint */
    const struct progress *progress;
    const dataset *data;
    prefetch *ahead;
    int64_t epoch, step; /* epochs done; steps done in all */
    double lr;           /* at present */
    course_sums sums;
    device *device;
    course_score scores[2 * PREFETCH_FEEDS]; /* of the last two steps: what `sums` have not; a ring */
    int first_score, expected;
} course;

/* From the run's checkpoint, if it has one; the log is cut to it. */
bool course_resume(course *c, nasc_diag *d);
/* Runs the epochs that are left. RUN_STOPPED: progress asked to stop, and the checkpoint is written. */
enum run_end course_run(course *c, nasc_diag *d);
/* Where the score of a batch of n images goes, which this step learns weights or alphas by. */
score *course_learned(course *c, int n);
score *course_held_out(course *c, int n);

#endif
