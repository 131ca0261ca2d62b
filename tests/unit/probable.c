/* The most probable network of a cost: as every network of small nets by chance says, and as the strongest candidates
 * where these fit. */
#include "uses/probable.h"
#include "runtime/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { ROWS_MOST = 5, CANDIDATES_MOST = 4, CASES = 300, SEED = 11 };

/* Two parameters, the second of which has all rows but one. */
typedef struct problem {
    arena arena;
    net net;
    costs costs;
    float *alphas;
    int rows, candidates;
} problem;

static void problem_draw(problem *p, uint32_t number)
{
    rng r = rng_open(SEED, RNG_TEST, number, 0);
    *p = (problem){.rows = 2 + (int)rng_below(&r, ROWS_MOST - 1),
                   .candidates = 2 + (int)rng_below(&r, CANDIDATES_MOST - 1)};
    net_param one = {.slot = SLOT_MIX, .dim = {1, 1, 1, p->candidates}};
    net_param rest = {.slot = SLOT_MIX, .dim = {1, 1, p->rows - 1, p->candidates}, .offset = p->candidates};
    VEC_PUSH(&p->arena, &p->net.params, one);
    VEC_PUSH(&p->arena, &p->net.params, ((net_param){.slot = SLOT_WEIGHTS, .dim = {1, 1, 3, 3}}));
    VEC_PUSH(&p->arena, &p->net.params, rest);
    int count = p->rows * p->candidates;
    p->costs = (costs){.of = NEW_ARRAY(&p->arena, double, count), .count = count, .fixed = rng_unit(&r)};
    p->alphas = NEW_ARRAY(&p->arena, float, count);
    for (int i = 0; i < count; i++) {
        p->costs.of[i] = rng_below(&r, 5) ? rng_unit(&r) : 0; /* some cost nothing */
        p->alphas[i] = (float)rng_normal(&r);
    }
    costs_bounds(&p->costs, &p->net);
}

typedef struct total {
    double cost, alpha;
} total;

static total network_total(const problem *p, const int *picked)
{
    total t = {.cost = p->costs.fixed};
    for (int row = 0; row < p->rows; row++) {
        t.cost += p->costs.of[row * p->candidates + picked[row]];
        t.alpha += (double)p->alphas[row * p->candidates + picked[row]];
    }
    return t;
}

static total found_total(const problem *p, const float *found)
{
    int picked[ROWS_MOST];
    for (int row = 0; row < p->rows; row++) {
        int ones = 0;
        for (int k = 0; k < p->candidates; k++)
            if (found[row * p->candidates + k] == 1) {
                picked[row] = k;
                ones++;
            }
        assert_int_equal(ones, 1);
    }
    return network_total(p, picked);
}

/* Over all networks: the most probable from `low` to `high`, alpha -INFINITY where there is none; into `below` the
 * dearest that costs less than `low`. */
static total search_all(const problem *p, double low, double high, total *below)
{
    total best = {.alpha = -INFINITY};
    int picked[ROWS_MOST] = {0}, row = 0;
    *below = (total){.cost = -1};
    while (row < p->rows) {
        total t = network_total(p, picked);
        if (isfinite(t.alpha) && t.cost >= low && t.cost <= high && t.alpha > best.alpha)
            best = t;
        if (isfinite(t.alpha) && t.cost < low && t.cost > below->cost)
            *below = t;
        for (row = 0; row < p->rows && ++picked[row] == p->candidates; row++)
            picked[row] = 0;
    }
    return best;
}

static void all_networks(void **state)
{
    (void)state;
    int inside = 0, none = 0;
    for (uint32_t number = 0; number < CASES; number++) {
        problem p;
        total below;
        problem_draw(&p, number);
        rng r = rng_open(SEED, RNG_TEST, number, 1);
        double low = p.costs.least + rng_unit(&r) * (p.costs.most - p.costs.least),
               high = low * (1 + 0.1 * rng_unit(&r));
        double slack = p.rows * (high - p.costs.least) / 32768 + 1e-9; /* half a step a choice */
        total got = found_total(&p, probable_network(&p.arena, &p.net, &p.costs, p.alphas, low, high));
        total wide = search_all(&p, low - slack, high + slack, &below);
        total narrow = search_all(&p, low + slack, high - slack, &below);
        if (!isfinite(narrow.alpha) != !isfinite(wide.alpha)) { /* a cost at the very edge */
        } else if (isfinite(narrow.alpha)) {
            inside++;
            if (!(got.cost >= low - slack && got.cost <= high + slack && got.alpha >= narrow.alpha &&
                  got.alpha <= wide.alpha))
                fail_msg("case %u of seed %d: cost %g of %g to %g, alpha %g of %g", (unsigned)number, SEED, got.cost,
                         low, high, got.alpha, narrow.alpha);
        } else {
            none++;
            if (!(fabs(got.cost - below.cost) <= 2 * slack))
                fail_msg("case %u of seed %d: cost %g, expected %g", (unsigned)number, SEED, got.cost, below.cost);
        }
        arena_free(&p.arena);
    }
    assert_true(inside > CASES / 4 && none > CASES / 20);
}

/* Where the strongest candidates fit, they are taken; where one is barred, it is not. */
static void strongest(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < CASES; number++) {
        problem p;
        int picked[ROWS_MOST] = {0};
        problem_draw(&p, number);
        if (number % 2)
            p.alphas[number % (uint32_t)(p.rows * p.candidates)] = -INFINITY;
        for (int row = 0; row < p.rows; row++)
            for (int k = 1; k < p.candidates; k++)
                if (p.alphas[row * p.candidates + k] > p.alphas[row * p.candidates + picked[row]])
                    picked[row] = k;
        total want = network_total(&p, picked);
        const float *found =
            probable_network(&p.arena, &p.net, &p.costs, p.alphas, 0.98 * want.cost, 1.02 * want.cost + 1e-6);
        total got = found_total(&p, found);
        if (got.alpha != want.alpha)
            fail_msg("case %u of seed %d: alpha %g, expected %g", (unsigned)number, SEED, got.alpha, want.alpha);
        arena_free(&p.arena);
    }
}

/* Targets below and above all networks: the cheapest, and the dearest. */
static void out_of_reach(void **state)
{
    (void)state;
    problem p;
    problem_draw(&p, 1);
    total low = found_total(&p, probable_network(&p.arena, &p.net, &p.costs, p.alphas, 0, 0));
    total high = found_total(&p, probable_network(&p.arena, &p.net, &p.costs, p.alphas, 98, 102));
    assert_true(fabs(low.cost - p.costs.least) < 1e-9);
    assert_true(fabs(high.cost - p.costs.most) < p.rows * 102.0 / 32768);
    arena_free(&p.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_networks), cmocka_unit_test(strongest),
                                       cmocka_unit_test(out_of_reach)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
