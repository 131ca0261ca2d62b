/* DARTS: bilevel search. Alpha is learned on the held-out half of the training set, weights on the other, in turns; the
 * candidate weights p are the softmax of alpha's rows.
 *
 *   first order   ∇α L_val(w, α)
 *   second order  ∇α L_val(w', α) - lr·(∇α L_train(w⁺, α) - ∇α L_train(w⁻, α)) / 2ε, w' = w - lr·(momentum·b + ∇w +
 * decay·w), w± = w ± ε·∇w' L_val(w', α), ε = 0.01/‖∇w' L_val‖ REINFORCE     (R - baseline)·∇α log Π p[o] upwards: o one
 * candidate drawn for each edge, R the held-out accuracy of that path
 *
 * Passes that learn alpha use batch statistics and move no running statistic; the weight step moves them. The same seed
 * gives the same bits, and a run resumed from its checkpoint continues as if it had never stopped. */
#ifndef NASC_DARTS_H
#define NASC_DARTS_H

#include "runtime/course.h"
#include "runtime/optimise.h"

enum darts_order { DARTS_REINFORCE, DARTS_FIRST, DARTS_SECOND };

/* The compiled supernet; what an order does not need has no program. */
typedef struct darts_programs {
    runnable weights; /* loss and its gradient by weights */
    runnable mix;     /* by candidate weights (first and second order) */
    runnable both;    /* by both (second order) */
    runnable forward; /* loss alone, batch statistics (REINFORCE) */
    runnable method[METHOD_COUNT];
} darts_programs;

typedef struct darts_settings {
    enum darts_order order;
    int batch, epochs, steps; /* steps an epoch; 0: as many as the data give */
    int alpha_every, warmup_epochs;
    int checkpoint_steps; /* a checkpoint every so many steps, beside each epoch's; 0: none */
    bool lr_by_step;      /* the cosine moves once a step, not once an epoch */
    double lr_min;
    sgd_rates weights;
    adam_rates alphas;
    struct data_augment augment;
    uint64_t seed;
} darts_settings;

typedef struct darts_config {
    const darts_programs *programs;
    parameters parameters;
    const dataset *data; /* NULL: only the single steps are used */
    darts_settings settings;
    device *device;
    run_folder *folder; /* NULL: no log and no checkpoint */
    const struct progress *progress;
} darts_config;

typedef struct darts {
    darts_config config;
    runner run;
    sgd weights;
    adam alphas;
    float *stats;
    float *mix, *sample; /* candidate weights; the path that REINFORCE draws */
    float *weight_grad;  /* of the last pass that computed it */
    float *direction;    /* ∇w' L_val */
    float *mix_grad, *mix_plus, *mix_minus;
    float *alpha_grad;
    float *epsilon;  /* one number: how far w⁺ and w⁻ are */
    int64_t rewards; /* REINFORCE: rewards seen */
    course course;
    uint32_t *halves, *order, *held_order; /* samples */
} darts;

/* Initial weights and alphas from the seed, or the run's checkpoint. Owned by `a`. */
darts *darts_open(arena *a, const darts_config *config, nasc_diag *d);
bool darts_resume(darts *s, nasc_diag *d);
/* Runs the epochs that are left. RUN_STOPPED: progress asked to stop, and the checkpoint is written. */
enum run_end darts_search(darts *s, nasc_diag *d);

/* ---- the steps, as the search takes them (tests take them one by one) ---- */

/* dL/dalpha into s->alpha_grad, of batches of the two halves, at the present learning rate. What is scored is the
 * held-out batch. */
bool darts_alpha_gradient(darts *s, const feed *train, const feed *held, nasc_diag *d);
/* The gradient, then Adam. */
bool darts_alpha_step(darts *s, const feed *train, const feed *held, nasc_diag *d);
/* One step of SGD; running statistics move. */
bool darts_weight_step(darts *s, const feed *train, nasc_diag *d);
/* Sets s->course up by the configuration (all but the data's part). */
void darts_course(darts *s);
/* Candidate weights of the present alphas into s->mix. */
bool darts_mix(darts *s, nasc_diag *d);

#endif
