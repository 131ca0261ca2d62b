/* The network as it is used once it is trained: what `nasc export` writes and `nasc eval` runs.
 *
 * What depends on weights and running statistics alone (the rows of a batch norm) is computed once, by a program of its
 * own, and packed with the weights that are still needed into one vector of constants. Input may be normalised by the
 * network itself: (x - mean) / std a channel, each operation rounded to float32, as the loaders do it; padding is zero
 * after that, as in training. */
#ifndef NASC_INFERENCE_H
#define NASC_INFERENCE_H

#include "loop/target.h"
#include "space/space.h"

typedef struct inference_options {
    bool normalise; /* else images come normalised */
    bool scored;    /* labels, loss and score too: evaluation */
} inference_options;

/* A part of the packed constants, and where it comes from. */
struct inference_piece {
    enum { PIECE_WEIGHTS, PIECE_FOLDED, PIECE_MEAN, PIECE_STD } from;
    int64_t at, to, count;
};

typedef struct inference {
    space_net built; /* its tables say where weights and statistics lie and what files call them */
    net *net;        /* reads SLOT_IMAGES and, in SLOT_WEIGHTS, the constants; writes SLOT_LOGITS */
    net *fold;       /* reads SLOT_WEIGHTS and SLOT_STATS as built, writes SLOT_USER; NULL: nothing to compute */
    int64_t constants, folded; /* elements: of the packed vector; of SLOT_USER */
    VEC(struct inference_piece) pieces;
} inference;

bool inference_build(const space *s, const settings *set, const inference_options *o, arena *a, inference *result,
                     nasc_diag *d);
/* The same of any net without choices that is to run alone; `result` is zeroed, and its `built` is left alone. */
bool inference_split(const net *n, const inference_options *o, arena *a, inference *result, nasc_diag *d);
/* Fills `constants` from the weights as built, what `fold` wrote, and a value a channel (NULL unless normalised). */
void inference_pack(const inference *i, const float *weights, const float *folded, const float *mean, const float *std,
                    float *constants);
/* Has weights lie as kernels for `t`, short ones where `small`, read them best, in the net and in `constants` (NULL: none
 * are at hand). */
void inference_arrange(const inference *i, const target *t, bool small, float *constants, arena *a);

#endif
