/* How much memory a command will take for a network: known before it runs, because programs are planned. */
#ifndef NASC_TOOL_MEMORY_H
#define NASC_TOOL_MEMORY_H

#include "model.h"

typedef struct memory {
    const char *use;   /* "search darts-1st", "train", … */
    nasc_diag problem; /* why this use is impossible (a head that does not fit the input); then all else is 0 */
    int batch, threads;
    /* Bytes: what passes leave for each other, the largest program's; working memory of all threads; weights, alphas
     * and what optimisers keep of them; images, labels and logits. The data set and nasc itself come on top. */
    int64_t arena, scratch, vectors, batches;
} memory;

enum { MEMORY_USES = 4 };

/* Plans the programs of each use that fits the model: of a space its searches, of a genotype training and inference.
 * The number of rows, or -1 with a diagnostic. */
int memory_predict(const model *m, int threads, memory rows[MEMORY_USES], nasc_diag *d);
int64_t memory_total(const memory *m);

#endif
