/* What the parts of nasc latency share: networks that are timed, the table of what was measured, and costs by it. */
#ifndef NASC_TOOL_LATENCY_H
#define NASC_TOOL_LATENCY_H

#include "uses/parts.h"
#include "runtime/predictor.h"
#include "session.h"

#include <jansson.h>

/* ---- latency_time.c: timing networks as the C that export writes ---- */

typedef struct timing {
    double min_ms;    /* shortest run */
    double median_ms; /* of the visits' medians: what counts. Shortest runs do not add up: a short one finds a quiet
                         moment sooner than a long one */
    double noise;     /* median deviation of the visits' medians from that, relative */
} timing;

/* Something to be timed. */
typedef struct timed {
    const net *net;  /* without choices: an evaluation network, or a part of one */
    int64_t in, out; /* elements of an image */
    int64_t around;  /* bytes that are touched between two runs; 0: none */
    timing time;
    char *program; /* its file, once it is compiled */
} timed;

typedef struct stopwatch {
    session *session;
    const target *target;
    const char *run; /* --run, or NULL */
    int rounds;
    char folder[512];     /* of programs; gone when it is closed */
    const char *compiler; /* its first words, for the record */
    double compile_seconds, measure_seconds;
} stopwatch;

bool stopwatch_open(stopwatch *w, session *s, const target *t, const char *run, int rounds, nasc_diag *d);
/* Compiles, several at a time, then measures in interleaved rounds with nothing beside it. at[0] is the yardstick. */
bool stopwatch_time(stopwatch *w, timed *at, int count, nasc_diag *d);
void stopwatch_close(stopwatch *w);

/* ---- latency_table.c: what was measured, as a file ---- */

typedef struct sample {
    uint64_t shape;
    part_traits traits;
    timing time;
} sample;

/* A whole network. */
typedef struct sampled_network {
    int *choice; /* the candidate of each choice of the net */
    timing time;
    double predicted_ms;
} sampled_network;

typedef struct latency_table {
    const char *space, *target, *cpu, *compiler,
        *run;     /* cpu: of this machine, NULL where something else ran; run: may be NULL */
    uint64_t key; /* of all candidates' shapes */
    int rounds;
    int64_t seed;
    struct {
        int held_out; /* samples; 0: too few to train on */
        double error;
    } fit;               /* of the predictor */
    VEC(sample) samples; /* candidates, and (op "") what stands outside of choices */
    VEC(sampled_network) networks;
} latency_table;

bool latency_write(const latency_table *t, int choices, const char *file, arena *a, nasc_diag *d);
/* All but the networks. */
bool latency_read(latency_table *t, const char *file, arena *a, nasc_diag *d);
/* NULL: was not measured. */
const sample *latency_find(const latency_table *t, uint64_t shape);

/* ---- latency_fit.c: what was not measured, by what was ---- */

enum { LATENCY_FIT_LEAST = 16 }; /* samples that a predictor needs */

typedef struct latency_predictor {
    const char **ops; /* of the table's candidates, each once */
    int op_count;
    predictor_programs programs;
    predictor p;
    device *device;
} latency_predictor;

/* For samples such as the table's; the caller closes in either case. */
bool latency_predictor_open(latency_predictor *p, session *s, const latency_table *t, int room, nasc_diag *d);
void latency_predictor_close(latency_predictor *p);
/* Whether it can tell of candidates that are this op. */
bool latency_predictor_knows(const latency_predictor *p, const char *op);
bool latency_predictor_fit(latency_predictor *p, const sample *const *at, int count, uint64_t seed, nasc_diag *d);
bool latency_predictor_apply(latency_predictor *p, const part_traits *const *at, int count, double *ms, nasc_diag *d);

/* The table's samples of candidates; how many. */
int latency_candidates(const latency_table *t, arena *a, const sample ***at);
/* Median relative error on a fifth of the samples, chosen by the seed, after training on the others. */
bool latency_held_out(session *s, const latency_table *t, int *held, double *error, nasc_diag *d);

double latency_median(double *at, int count);

/* ---- latency_costs.c: what the choices of a space cost by a table, in ms ---- */

/* Of `built`, the space built for evaluation, whose parts are `p`. What was measured counts as measured; of the rest,
 * where the table is of a space of this name, candidates are predicted, and what stands outside of choices takes as
 * long a multiply-add as the table's. `file`: what diagnostics call the table. */
bool latency_costs(session *s, const latency_table *t, const parts *p, const space_net *built, const char *space,
                   const char *file, costs *to, nasc_diag *d);
/* The same from the file. */
bool latency_costs_of(session *s, const space_net *built, const char *space, const char *file, costs *to, nasc_diag *d);
/* Costs as run.json has them: {"fixed_ms", "least_ms", "most_ms", "candidates_ms": […]}. */
json_t *latency_costs_json(const costs *c);
/* Of `count` candidates; `file`: the run.json that `j` is of. */
bool latency_costs_read(const json_t *j, int64_t count, const char *file, arena *a, costs *c, nasc_diag *d);

#endif
