/* What commands that run networks share: an engine, a device, progress, and compiled networks. */
#ifndef NASC_TOOL_SESSION_H
#define NASC_TOOL_SESSION_H

#include "cli.h"
#include "uses/costs.h"
#include "model.h"
#include "net/methods.h"
#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"
#include "progress.h"
#include "runtime/data/data.h"
#include "runtime/search/darts.h"
#include "runtime/search/proxyless.h"
#include "runtime/train/train.h"
#include "tuned.h"

typedef struct session {
    const arguments *arguments;
    arena *arena; /* programs live here, as long as the command */
    target target;
    int threads;
    engine *engine;
    arena kernels; /* of programs that are interpreted; of others they are forgotten */
    device *device;
    tuned tuned;             /* schedules that were measured */
    schedule_book schedules; /* what programs are compiled by: those, or what bench --tune wants measured */
    int64_t memory;          /* most bytes for the tensors of a step (--memory); 0: no bound */
    double load_seconds;     /* that programs took to become machine code */
    progress_bar bar;
    struct progress progress;
} session;

/* `engine`: jit, interpreter, cc; NULL: machine code, through cc where nasc was built without LLVM. From here on an
 * interrupt asks to stop. The caller closes in either case. */
bool session_open(session *s, const arguments *a, const char *engine, nasc_diag *d);
void session_close(session *s);
/* --cudnn, or what a run's record says of it; NULL: no convolutions go there. */
bool session_use_cudnn(session *s, const char *precision, nasc_diag *d);
bool session_interrupted(void);
/* Whether the command line sets `name`. */
bool session_given(const arguments *a, const char *name);

/* --target: a row of the table, "native" (also NULL) for this machine or, where `gpus`, a GPU. */
bool session_target(arena *a, const char *wanted, bool gpus, target *to, nasc_diag *d);

/* Opens the data and makes `input` and `classes` those of the data; a given setting that says otherwise is an error.
 * Image files become what `input` says. stderr says what was set aside, and which images are bad. */
dataset *session_data(const session *s, const char *spec, uint64_t seed, settings *set, nasc_diag *d);

/* Auxiliary heads are made for maps of one size. Where the genotype's does not fit and nobody asked for it, it is left
 * out (setting auxiliary = 0), and stderr says so. */
bool session_fit_auxiliary(const session *s, const space *of, settings *set, nasc_diag *d);

bool session_compile(session *s, const net *n, const pipeline_options *o, runnable *to, nasc_diag *d);
/* Compiles one use of a network; `model`: the net whose layout of weights it shares, or NULL. */
bool session_network(session *s, const space *of, const settings *set, enum objective_use use, const net *model,
                     objective *built, runnable *to, nasc_diag *d);
bool session_method(session *s, const net *n, enum net_method method, bool nesterov, runnable *to, nasc_diag *d);
parameters session_parameters(const net *n);

/* ---- jobs: what search and train do, once their settings are known ---- */

/* X(name, selects, order, rule): how alpha is learned. */
#define SEARCH_METHODS(X)                                                                                              \
    X("darts-2nd", false, DARTS_SECOND, 0)                                                                             \
    X("darts-1st", false, DARTS_FIRST, 0)                                                                              \
    X("darts-reinforce", false, DARTS_REINFORCE, 0)                                                                    \
    X("proxyless", true, 0, PROXYLESS_TWO)                                                                             \
    X("proxyless-all", true, 0, PROXYLESS_ALL)                                                                         \
    X("proxyless-reinforce", true, 0, PROXYLESS_REINFORCE)

typedef struct search_method {
    const char *name;
    bool selects;             /* for spaces that select candidates, not for those that mix them */
    enum darts_order order;   /* of those that mix */
    enum proxyless_rule rule; /* of those that select */
} search_method;
/* NULL: there is none of that name. */
const search_method *search_method_find(const char *name);

typedef struct search_job {
    const space *space;
    settings settings;
    const dataset *data;
    const search_method *method;
    const costs *costs; /* of the candidates; NULL: the loss alone counts */
    double target;      /* as they are */
    double cost_unit;   /* what the loss counts both in */
    uint64_t seed;
    int checkpoint_steps;
    const char *folder; /* made, or holds a run to go on with */
    bool resume;
    const json_t *record; /* run.json, where the folder is made */
} search_job;

typedef struct train_job {
    const space *genotype;
    settings settings;
    const dataset *data;
    samples learn, judge;
    uint64_t seed;
    int checkpoint_steps;
    const char *folder;
    bool resume;
    const json_t *record;
} train_job;

/* The programs of a search. */
typedef struct supernet {
    objective weights, other; /* `other`: built and forgotten */
    darts_programs programs;
} supernet;
/* Are all of its choices mixtures, as DARTS has them? */
bool session_mixes(const space *of, const runnable *network, nasc_diag *d);
bool session_supernet(session *s, const search_job *job, supernet *n, nasc_diag *d);
darts_settings session_darts_settings(const search_job *job);
/* The same of a space that selects. */
typedef struct path_supernet {
    objective weights, other;
    proxyless_programs programs;
    proxyless_cost cost;
} path_supernet;
bool session_path_supernet(session *s, const search_job *job, path_supernet *n, nasc_diag *d);
proxyless_settings session_proxyless_settings(const search_job *job);
/* Searches from the folder's state on; the alphas found. */
enum run_end session_search_paths(session *s, const search_job *job, path_supernet *n, run_folder *folder,
                                  const float **alphas, nasc_diag *d);
/* What searches and trainings take from the settings alike. */
struct data_augment session_augment(const settings *set);
bool session_lr_by_step(const settings *set);
adam_rates session_alpha_rates(const settings *set);
/* Rates of SGD as the settings have them. */
sgd_rates session_weight_rates(const settings *set);

/* What a search ended with, owned by the session's arena. */
typedef struct search_result {
    char *genotype;
    double cost; /* of its network, as job->costs has it; 0: the loss alone counted */
} search_result;
enum run_end session_search(session *s, const search_job *job, search_result *found, nasc_diag *d);
/* Accuracy on job->judge after the last epoch. */
enum run_end session_train(session *s, const train_job *job, double *accuracy, nasc_diag *d);

/* Where a choice's alphas stand among all. */
int64_t session_alpha_place(const parameters *p, const space_choice *c);
/* What a search found, as alphas whose strongest candidates it is: the search's own or, where its loss ends at the
 * target, those of the most probable network that costs about so much (probable.h). `c`: NULL where nothing has a cost. */
const float *session_found(arena *a, const space *of, const settings *set, const space_net *built, const costs *c,
                           double target, const float *alphas);
/* The genotype that alphas say: values of every parameter of SLOT_MIX, laid out as `p` has them. */
char *session_derive(arena *a, const space *of, const space_net *built, const parameters *p, const float *alphas,
                     nasc_diag *d);

#endif
