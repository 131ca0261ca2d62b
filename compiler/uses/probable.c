/* The most probable network of a cost, by dynamic programming: after each choice, for every cost so far (in steps), the
 * largest sum of alphas, which is the logarithm of the probability but for a constant. */
#include "probable.h"

#include <limits.h>
#include <math.h>

enum { STEPS = 1 << 14 }; /* of cost, from the cheapest network to the dearest that may be taken */

/* A row of alphas. */
typedef struct choice {
    const float *alpha;
    const double *cost;
    int64_t at; /* of candidate 0 in SLOT_MIX */
    int candidates;
    double least;        /* cost */
    unsigned char *pick; /* the candidate that a cost so far ends with */
} choice;

static double least_cost(const choice *r)
{
    double least = INFINITY;
    for (int k = 0; k < r->candidates; k++)
        if (r->alpha[k] > -INFINITY && r->cost[k] < least)
            least = r->cost[k];
    return least;
}

static choice *choices_of(arena *a, const net *n, const costs *c, const float *alphas, int *count)
{
    *count = 0;
    for (int i = 0; i < n->params.count; i++)
        *count += n->params.at[i].slot == SLOT_MIX ? n->params.at[i].dim[2] : 0;
    choice *all = NEW_ARRAY(a, choice, *count + 1), *r = all;
    for (int i = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        for (int row = 0; p->slot == SLOT_MIX && row < p->dim[2]; row++, r++) {
            int64_t at = p->offset + (int64_t)row * p->dim[3];
            *r = (choice){.alpha = alphas + at, .cost = c->of + at, .at = at, .candidates = p->dim[3]};
            r->least = least_cost(r);
            r->pick = NEW_ARRAY(a, unsigned char, STEPS + 1);
            CHECK(p->dim[3] <= UCHAR_MAX);
        }
    }
    return all;
}

/* Steps that candidate k costs more than the choice's cheapest; beyond STEPS: more than may be. */
static int steps_of(const choice *r, int k, double step)
{
    double more = r->cost[k] - r->least;
    if (!(r->alpha[k] > -INFINITY) || more > step * STEPS)
        return STEPS + 1;
    return more > 0 ? (int)(more / step + 0.5) : 0;
}

/* From `before` the choice; to `after` it. Sums of alphas; -INFINITY: no network costs that. */
static void add_choice(const choice *r, double step, const double *before, double *after)
{
    for (int s = 0; s <= STEPS; s++)
        after[s] = -INFINITY;
    for (int k = 0; k < r->candidates; k++) {
        int more = steps_of(r, k, step);
        for (int s = more; s <= STEPS; s++)
            if (before[s - more] + (double)r->alpha[k] > after[s]) {
                after[s] = before[s - more] + (double)r->alpha[k];
                r->pick[s] = (unsigned char)k;
            }
    }
}

/* The likeliest from `first` on; where there is none, the last before it. */
static int best_steps(const double *sum, int first)
{
    int best = first;
    for (int s = first; s <= STEPS; s++)
        if (sum[s] > sum[best])
            best = s;
    while (best > 0 && !(sum[best] > -INFINITY))
        best--;
    return best;
}

float *probable_network(arena *a, const net *n, const costs *c, const float *alphas, double low, double high)
{
    int count;
    choice *all = choices_of(a, n, c, alphas, &count);
    double *sum = NEW_ARRAY(a, double, STEPS + 1), *next = NEW_ARRAY(a, double, STEPS + 1);
    double least = c->fixed;
    for (int i = 0; i < count; i++)
        least += all[i].least;
    double step = high > least ? (high - least) / STEPS : 0;
    for (int s = 1; s <= STEPS; s++)
        sum[s] = -INFINITY;
    for (int i = 0; i < count; i++) {
        double *before = sum;
        add_choice(&all[i], step, before, next);
        sum = next;
        next = before;
    }
    float *found = NEW_ARRAY(a, float, c->count + 1);
    int at = best_steps(sum, low > least && step > 0 ? (int)ceil((low - least) / step) : 0);
    for (int i = count - 1; i >= 0; i--) {
        int k = all[i].pick[at];
        found[all[i].at + k] = 1;
        at -= steps_of(&all[i], k, step);
    }
    return found;
}
