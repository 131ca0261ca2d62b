/* Training of a network whose choices are made: SGD, cosine learning rate, drop-path that grows with the epochs,
 * cutout; after each epoch an evaluation with running statistics. The short last batch is kept, unless it has one
 * image, of which batch statistics cannot be taken everywhere. */
#ifndef NASC_TRAIN_H
#define NASC_TRAIN_H

#include "runtime/course.h"
#include "runtime/optimise.h"
#include "runtime/train/evaluate.h"

typedef struct train_programs {
    runnable weights; /* loss (with the auxiliary head's) and its gradient */
    runnable eval;    /* running statistics, no auxiliary head */
    runnable sgd;
} train_programs;

typedef struct train_settings {
    int batch, epochs, steps; /* steps an epoch; 0: as many as the data give */
    int checkpoint_steps;
    bool lr_by_step;
    double lr_min, drop_path; /* drop_path: what the probability grows to */
    sgd_rates weights;
    struct data_augment augment;
    uint64_t seed;
} train_settings;

typedef struct train_config {
    const train_programs *programs;
    parameters parameters;
    const dataset *data;
    samples learn, judge; /* judge.count 0: no evaluation */
    train_settings settings;
    device *device;
    run_folder *folder; /* NULL: no log and no checkpoint */
    const struct progress *progress;
} train_config;

typedef struct train {
    train_config config;
    runner run;
    sgd weights;
    float *stats, *weight_grad, *masks;
    course course;
    uint32_t *order;
    double accuracy; /* of the last evaluation */
} train;

/* Initial weights from the seed. Owned by `a`. */
train *train_open(arena *a, const train_config *config, nasc_diag *d);
/* From the run's checkpoint, if it has one. */
bool train_resume(train *t, nasc_diag *d);
enum run_end train_run(train *t, nasc_diag *d);

#endif
