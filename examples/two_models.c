/* Two exported models in one program: a small one, `quick`, and where it is not sure the larger `sure`. Both keep their
 * weights in arrays; they run one after the other, so that one arena, as long as the longer needs, serves both.
 *
 *     nasc export SMALL --to c --weights-as array --name quick --out quick
 *     nasc export LARGE --to c --weights-as array --name sure --out sure
 *     cc -std=c11 -O3 -ffp-contract=off -Iquick -Isure examples/two_models.c quick/quick.c quick/quick_weights.c \
 *         sure/sure.c sure/sure_weights.c -o two_models -lm
 *     ./two_models 0.9 <PIXELS        the input's height x width x channels bytes; prints the class and who says so */
#include "quick.h"
#include "sure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PIXELS = quick_INPUT_H * quick_INPUT_W * quick_INPUT_C,
    CLASSES = quick_CLASSES,
    ALIGN = quick_ARENA_ALIGN > sure_ARENA_ALIGN ? quick_ARENA_ALIGN : sure_ARENA_ALIGN,
    ARENA = quick_ARENA_BYTES > sure_ARENA_BYTES ? quick_ARENA_BYTES : sure_ARENA_BYTES
};
_Static_assert(quick_INPUT_H == sure_INPUT_H && quick_INPUT_W == sure_INPUT_W && quick_INPUT_C == sure_INPUT_C,
               "both take the same image");
_Static_assert(quick_CLASSES == sure_CLASSES, "both tell the same classes apart");

static _Alignas(ALIGN) unsigned char arena[ARENA];

/* The class of the largest logit, and in *probability what softmax gives it. */
static int classify(const float *logits, double *probability)
{
    int best = 0;
    double sum = 0;
    for (int k = 1; k < CLASSES; k++)
        if (logits[k] > logits[best])
            best = k;
    for (int k = 0; k < CLASSES; k++)
        sum += exp(logits[k] - logits[best]);
    *probability = 1 / sum;
    return best;
}

int main(int argc, char **argv)
{
    static unsigned char grey[PIXELS];
    static float in[PIXELS], out[CLASSES];
    quick first;
    sure second;
    if (argc != 2 || fread(grey, 1, PIXELS, stdin) != PIXELS) {
        fprintf(stderr, "usage: two_models PROBABILITY <PIXELS (%d bytes)\n", PIXELS);
        return 2;
    }
    if (quick_init(&first, &quick_weights, sizeof quick_weights) != quick_OK ||
        sure_init(&second, &sure_weights, sizeof sure_weights) != sure_OK) {
        fputs("two_models: this processor lacks what the models are compiled for\n", stderr);
        return 1;
    }
    for (int i = 0; i < PIXELS; i++)
        in[i] = (float)grey[i] / 255.0f;

    double probability;
    const char *who = "quick";
    if (quick_run(&first, in, out, arena) != quick_OK)
        return 1;
    int class = classify(out, &probability);
    if (probability < strtod(argv[1], NULL)) {
        who = "sure";
        if (sure_run(&second, in, out, arena) != sure_OK)
            return 1;
        class = classify(out, &probability);
    }
    printf("%d %.4f %s\n", class, probability, who);
    return 0;
}
