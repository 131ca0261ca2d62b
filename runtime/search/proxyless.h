/* ProxylessNAS: search at the memory of one path. Each choice has one active candidate; which one is drawn anew for
 * each step, with p, the softmax of the choice's alphas.
 *
 *   weights      one path drawn with p; its weights alone move (and their momentum)
 *   alpha, two   two candidates of each choice drawn with p, without putting back; q their softmax over the two; one of
 *                them drawn with q is active. dL/dα_i = Σ_j g_j·q_j·(δ_ij - q_i), g_j = dL/dgate_j, over the two
 *                (BinaryConnect; Cai, Zhu, Han 2019, equation 4). After Adam's step both are shifted alike, so that
 *                every other candidate keeps its probability.
 *   alpha, all   the same over all candidates, of which one drawn with p is active; no shift
 *   alpha, REINFORCE  (R - baseline)·∇α log Π p[o] upwards, the mean of `samples` paths drawn with p, R a path's
 *                held-out accuracy
 *
 * Cost of a network: E = fixed + Σ_choices Σ_j p_j·F_j (latency, multiply-adds, parameters). In the loss
 *   mul#log      CE·(log E / log target)^β            add#linear   CE + λ·(E - target)/target
 *   add#absolute CE + λ·|E - target|/target       which ends at the target, where the others pull for as long as they
 * run where its gradient by p_j acts on the same candidates with the same q; in the reward R·(target/E of the path)^w,
 * and with add#absolute R - λ·|E of the path - target|/target (the absolute reward of TuNAS, Bender et al. 2020).
 *
 * Passes that learn alpha use batch statistics and move no running statistic. The same seed gives the same bits, and a
 * run resumed from its checkpoint continues as if it had never stopped. */
#ifndef NASC_PROXYLESS_H
#define NASC_PROXYLESS_H

#include "runtime/course.h"
#include "runtime/optimise.h"

enum proxyless_rule { PROXYLESS_TWO, PROXYLESS_ALL, PROXYLESS_REINFORCE };
enum proxyless_cost_term { COST_NONE, COST_MUL_LOG, COST_ADD_LINEAR, COST_ADD_ABSOLUTE };

/* The compiled supernet; what a rule does not need has no program. */
typedef struct proxyless_programs {
    runnable weights; /* loss and its gradient by the active candidates' weights */
    runnable gates;   /* by the gates (two, all) */
    runnable forward; /* loss alone, batch statistics (REINFORCE) */
    runnable method[METHOD_COUNT];
} proxyless_programs;

/* What candidates cost, in any unit. */
typedef struct proxyless_cost {
    enum proxyless_cost_term term;
    const float *of; /* laid out like the alphas; of a choice that several places share, their sum */
    double fixed;    /* what is no choice */
    double target;
    double factor;   /* β of mul#log, λ of the others */
    double exponent; /* w of the reward */
} proxyless_cost;

typedef struct proxyless_settings {
    enum proxyless_rule rule;
    int batch, epochs, steps; /* steps an epoch; 0: as many as the data give */
    int alpha_every, warmup_epochs;
    double held_out;      /* part of the training set that alpha is learned on */
    int samples;          /* REINFORCE: paths a step */
    int checkpoint_steps; /* a checkpoint every so many steps, beside each epoch's; 0: none */
    bool lr_by_step;      /* the cosine moves once a step, not once an epoch */
    double lr_min;
    sgd_rates weights;
    adam_rates alphas;
    struct data_augment augment;
    uint64_t seed;
} proxyless_settings;

typedef struct proxyless_config {
    const proxyless_programs *programs;
    parameters parameters;
    const dataset *data; /* NULL: only the single steps are used */
    proxyless_settings settings;
    proxyless_cost cost;
    device *device;
    run_folder *folder; /* NULL: no log and no checkpoint */
    const struct progress *progress;
} proxyless_config;

/* A choice: a row of the alphas. */
typedef struct proxyless_choice {
    int64_t first; /* alpha of candidate 0 */
    int candidates;
} proxyless_choice;

typedef struct proxyless {
    proxyless_config config;
    runner run;
    sgd weights;
    adam alphas;
    float *stats, *weight_grad;
    proxyless_choice *choices; /* by number of the select */
    int choice_count;
    int *active, *other; /* of each choice: the active candidate, and the second of two (-1: there is none) */
    uint64_t *gates;     /* whose gradients are asked for, beside the active one's */
    int *paths;          /* REINFORCE: active candidates of each sample */
    double *rewards;     /* of each sample */
    float *p;            /* softmax of the alphas */
    float *marks;        /* candidates that take part in an alpha step, or that REINFORCE drew */
    float *cost;         /* as given, or zeros */
    float *gate_grad, *alpha_grad, *rescaled;
    int64_t rewarded; /* REINFORCE: steps of alpha so far */
    course course;
    uint32_t learn_count, held_count;     /* samples */
    uint32_t *split, *order, *held_order; /* held out: shuffled anew as often as an epoch uses it up */
} proxyless;

/* Initial weights and alphas from the seed. Owned by `a`. */
proxyless *proxyless_open(arena *a, const proxyless_config *config, nasc_diag *d);
bool proxyless_resume(proxyless *s, nasc_diag *d);
/* Runs the epochs that are left. RUN_STOPPED: progress asked to stop, and the checkpoint is written. */
enum run_end proxyless_search(proxyless *s, nasc_diag *d);

/* Sets s->course up by the configuration (all but the data's part). */
void proxyless_course(proxyless *s);

/* ---- the steps, as the search takes them (tests take them one by one) ---- */

/* Probabilities of the present alphas into s->p. */
bool proxyless_probabilities(proxyless *s, nasc_diag *d);
/* Active candidates of a weight step, and both candidates of an alpha step, drawn for the present step. */
void proxyless_draw_path(proxyless *s);
void proxyless_draw_gates(proxyless *s);
/* Expected cost of the present probabilities; cost of the path `active`. */
double proxyless_expected_cost(const proxyless *s);
double proxyless_path_cost(const proxyless *s, const int *active);

/* dL/dalpha of the drawn candidates into s->alpha_grad, of their gates' gradients in s->gate_grad and a batch's loss.
 */
bool proxyless_binary_connect(proxyless *s, double loss, nasc_diag *d);
/* The same of one held-out batch. */
bool proxyless_gate_gradient(proxyless *s, const feed *held, nasc_diag *d);
/* Adam's step by s->alpha_grad, and the shift (two). */
bool proxyless_alpha_move(proxyless *s, nasc_diag *d);
/* Draws, gradient, Adam, shift. */
bool proxyless_alpha_step(proxyless *s, const feed *held, nasc_diag *d);
/* Draws a path; the gradient by its weights into s->weight_grad, and their step; running statistics move. */
bool proxyless_weight_step(proxyless *s, const feed *train, nasc_diag *d);

#endif
