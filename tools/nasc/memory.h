/* How much memory a command will take for a network: known before it runs, because programs are planned. */
#ifndef NASC_TOOL_MEMORY_H
#define NASC_TOOL_MEMORY_H

#include "model.h"

typedef struct memory {
    const char *use;   /* "search darts-1st", "train", … */
    nasc_diag problem; /* why this use is impossible (a head that does not fit the input); then all else is 0 */
    int batch, threads;
    /* Bytes: what passes leave for each other, the largest program's; working memory of all threads; weights, alphas
     * and what optimisers keep of them; images, labels and logits; nasc itself, its
     * libraries and the programs. The data set comes on top. */
    int64_t arena, scratch, vectors, batches, process;
    int64_t candidates,
        gradients;    /* of vectors: weights with their momentum, of all candidates; gradients, of one path */
    int64_t planning; /* the process at its largest before a step runs: of small networks this is the peak */
} memory;

enum { MEMORY_USES = 4 };

/* Plans the programs of each use that fits the model: of a space its searches, of a genotype training and inference.
 * `budget`: most bytes for the tensors of a step (0: no bound). The number of rows, or -1 with a diagnostic. */
int memory_predict(const model *m, int threads, int64_t budget, memory rows[MEMORY_USES], nasc_diag *d);
/* The peak of the process. */
int64_t memory_total(const memory *m);

#endif
