/* What ProxylessNAS promises of its alphas: draws follow the probabilities; the estimates of the gradient are right in
 * expectation, on a choice of three whose expectation can be summed; the shift after a step of two leaves every other
 * candidate's probability as it was. */
#include "fixture.h"
#include "runtime/rng.h"
#include "runtime/search/proxyless.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { ROWS = 3, MOST = 7 };

typedef struct bench {
    workshop w;
    net *net;
    proxyless_programs programs;
    proxyless *search;
} bench;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s: %s", #call, b->w.d.where, b->w.d.message);                                               \
    } while (0)

/* Alphas alone: ROWS choices of `candidates`, and no network. */
static void bench_open(bench *b, int candidates, enum proxyless_rule rule)
{
    *b = (bench){0};
    MUST(workshop_open(&b->w, ENGINE_INTERPRETER, 1));
    b->net = net_new(&b->w.arena);
    net_mix_weights(b->net, "alphas", ROWS, candidates);
    net_weight(b->net, "w", (int[]){1, 1, 1, 1}, LAYOUT_VECTOR, INIT_ZERO, 0);
    for (int m = 0; m < METHOD_COUNT; m++)
        MUST(workshop_method(&b->w, b->net, m, &b->programs.method[m]));
    proxyless_config c = {.programs = &b->programs,
                          .parameters = parameters_of(b->net),
                          .settings = {.rule = rule, .alphas = {0.01, 0, 0.999, 0, 1e-8}, .seed = 7},
                          .device = b->w.device};
    MUST(b->search = proxyless_open(&b->w.arena, &c, &b->w.d));
}

static void bench_close(bench *b)
{
    workshop_close(&b->w);
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

enum { DRAWS = 100000 };

/* Σ (seen - expected)² / expected over what can be drawn. */
static double chi_square(const int *seen, const double *p, int count)
{
    double sum = 0;
    for (int k = 0; k < count; k++) {
        double expected = p[k] * DRAWS;
        sum += (seen[k] - expected) * (seen[k] - expected) / expected;
    }
    return sum;
}

static void set_alphas(proxyless *s, double spread)
{
    for (int64_t i = 0; i < s->config.parameters.mix; i++)
        s->alphas.value[i] = (float)(spread * sin(1 + 3 * (double)i));
}

static void draws(void **state)
{
    (void)state;
    bench at, *b = &at;
    bench_open(b, MOST, PROXYLESS_TWO);
    proxyless *s = b->search;
    set_alphas(s, 1.5);
    MUST(proxyless_probabilities(s, &b->w.d));
    int path[ROWS][MOST] = {{0}}, pair[ROWS][MOST * MOST] = {{0}}, first[ROWS] = {0};
    double lower[ROWS] = {0};
    for (s->course.step = 0; s->course.step < DRAWS; s->course.step++) {
        proxyless_draw_path(s);
        for (int c = 0; c < ROWS; c++)
            path[c][s->active[c]]++;
        proxyless_draw_gates(s);
        for (int c = 0; c < ROWS; c++) {
            int low = s->active[c] < s->other[c] ? s->active[c] : s->other[c], high = s->active[c] + s->other[c] - low;
            const float *p = s->p + s->choices[c].first;
            assert_true(low != high && s->gates[c] == UINT64_C(1) << s->other[c]);
            pair[c][low * MOST + high]++;
            first[c] += s->active[c] == low;
            lower[c] += p[low] / ((double)p[low] + p[high]);
        }
    }
    for (int c = 0; c < ROWS; c++) {
        double p[MOST], two[MOST * MOST / 2];
        int seen[MOST * MOST / 2], count = 0;
        for (int k = 0; k < MOST; k++)
            p[k] = s->p[s->choices[c].first + k];
        for (int i = 0; i < MOST; i++)
            for (int j = i + 1; j < MOST; j++) {
                seen[count] = pair[c][i * MOST + j];
                two[count++] = p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]);
            }
        double one_path = chi_square(path[c], p, MOST), of_pairs = chi_square(seen, two, count);
        printf("choice %d: chi-square %.1f of 6 degrees, %.1f of 20\n", c, one_path, of_pairs);
        assert_true(one_path < 22.46 && of_pairs < 45.31); /* one in a thousand exceeds these */
        assert_true(fabs(first[c] - lower[c]) < 4 * sqrt(0.25 * DRAWS));
    }
    bench_close(b);
}

/* ---- expectations ------------------------------------------------------------------------------------------------ */

enum { THREE = 3 };
static const double loss_of[THREE] = {0.3, -1.1, 0.9}; /* of a network that takes candidate k; linear in the gates */

/* Σ_j p_j·loss_j·(δ_ij - p_i): the exact gradient of E[loss]. */
static void exact(const float *p, double *to)
{
    double mean = 0;
    for (int k = 0; k < THREE; k++)
        mean += p[k] * loss_of[k];
    for (int k = 0; k < THREE; k++)
        to[k] = p[k] * (loss_of[k] - mean);
}

static void close_to(const double *got, const double *want, double most)
{
    for (int k = 0; k < THREE; k++)
        if (!(fabs(got[k] - want[k]) <= most))
            fail_msg("element %d is %g, expected %g within %g", k, got[k], want[k], most);
}

/* The mean of alpha_grad over many draws, all choices alike. */
static void mean_gradient(bench *b, int steps, double *mean)
{
    proxyless *s = b->search;
    memset(mean, 0, THREE * sizeof *mean);
    for (s->course.step = 0; s->course.step < steps; s->course.step++) {
        for (int c = 0; c < ROWS; c++)
            for (int k = 0; k < THREE; k++)
                s->gate_grad[s->choices[c].first + k] = (float)loss_of[k];
        proxyless_draw_gates(s);
        MUST(proxyless_binary_connect(s, 1, &b->w.d));
        for (int c = 0; c < ROWS; c++)
            for (int k = 0; k < THREE; k++)
                mean[k] += s->alpha_grad[s->choices[c].first + k] / ((double)ROWS * steps);
    }
}

static void same_rows(proxyless *s, const float *alpha)
{
    for (int c = 0; c < ROWS; c++)
        memcpy(s->alphas.value + s->choices[c].first, alpha, THREE * sizeof *alpha);
}

/* Over all candidates BinaryConnect is exact at every draw, where the loss is linear. */
static void all_candidates(void **state)
{
    (void)state;
    bench at, *b = &at;
    double want[THREE], got[THREE];
    bench_open(b, THREE, PROXYLESS_ALL);
    same_rows(b->search, (const float[]){0.4f, -0.7f, 0.2f});
    MUST(proxyless_probabilities(b->search, &b->w.d));
    exact(b->search->p, want);
    mean_gradient(b, 10, got);
    close_to(got, want, 1e-6);
    bench_close(b);
}

/* Over two: the sum over pairs of their probability times what they give; three quarters of the exact gradient where
 * all candidates are as likely. */
static void two_candidates(void **state)
{
    (void)state;
    static const float alphas[][THREE] = {{0, 0, 0}, {0.4f, -0.7f, 0.2f}};
    for (size_t i = 0; i < COUNT(alphas); i++) {
        bench at, *b = &at;
        double want[THREE] = {0}, whole[THREE], got[THREE];
        bench_open(b, THREE, PROXYLESS_TWO);
        same_rows(b->search, alphas[i]);
        MUST(proxyless_probabilities(b->search, &b->w.d));
        const float *p = b->search->p;
        for (int j = 0; j < THREE; j++)
            for (int k = 0; k < THREE; k++) {
                double both = (double)p[j] * p[k], sum = (double)p[j] + p[k];
                if (k != j)
                    want[j] += (both / (1 - p[j]) + both / (1 - p[k])) * both / (sum * sum) * (loss_of[j] - loss_of[k]);
            }
        exact(p, whole);
        for (int k = 0; k < THREE && i == 0; k++)
            assert_true(fabs(want[k] - 0.75 * whole[k]) < 1e-7);
        double along = 0;
        for (int k = 0; k < THREE; k++)
            along += want[k] * whole[k];
        assert_true(along > 0);
        mean_gradient(b, 20000, got);
        close_to(got, want, 5e-3); /* five deviations of the mean of 60,000 draws */
        bench_close(b);
    }
}

/* REINFORCE over the outcomes, each with its probability: exact whatever the baseline. */
static void rewards(void **state)
{
    (void)state;
    bench at, *b = &at;
    double want[THREE], got[THREE] = {0};
    bench_open(b, THREE, PROXYLESS_REINFORCE);
    proxyless *s = b->search;
    same_rows(s, (const float[]){0.4f, -0.7f, 0.2f});
    MUST(proxyless_probabilities(s, &b->w.d));
    exact(s->p, want);
    for (int k = 0; k < THREE; k++) {
        memset(s->marks, 0, (size_t)s->config.parameters.mix * sizeof *s->marks);
        memset(s->alpha_grad, 0, (size_t)s->config.parameters.mix * sizeof *s->alpha_grad);
        s->marks[k] = 1;
        float scalars[SCALAR_COUNT] = {[SCALAR_ADVANTAGE] = (float)(-loss_of[k] - 0.37)}; /* a reward is a loss less */
        float *user[BINDINGS] = {[BIND_VALUE] = s->p,
                                 [BIND_SAMPLE] = s->marks,
                                 [BIND_GRAD] = s->alpha_grad,
                                 [BIND_VALUE_OUT] = s->alpha_grad};
        MUST(method_run(b->w.device, &b->programs.method[METHOD_reinforce], user, scalars, NULL, &b->w.d));
        for (int i = 0; i < THREE; i++)
            got[i] += (double)s->p[k] * s->alpha_grad[i];
    }
    close_to(got, want, 1e-6);
    bench_close(b);
}

/* The cost's gradient acts by the same rule: with add#linear and no loss it is λ/target times that of E. */
static void cost(void **state)
{
    (void)state;
    bench at, *b = &at;
    double want[THREE], got[THREE];
    bench_open(b, THREE, PROXYLESS_ALL);
    proxyless *s = b->search;
    same_rows(s, (const float[]){0.4f, -0.7f, 0.2f});
    MUST(proxyless_probabilities(s, &b->w.d));
    exact(s->p, want);
    s->config.cost =
        (proxyless_cost){.term = COST_ADD_LINEAR, .fixed = 5, .target = 10, .factor = 0.5, .exponent = 0.1};
    for (int64_t i = 0; i < s->config.parameters.mix; i++)
        s->cost[i] = (float)loss_of[i % THREE] + 2;
    double mean = 2;
    for (int k = 0; k < THREE; k++)
        mean += s->p[k] * loss_of[k];
    assert_true(fabs(proxyless_expected_cost(s) - (5 + ROWS * mean)) < 1e-5);
    assert_true(fabs(proxyless_path_cost(s, (const int[]){0, 1, 2}) - (5 + 6 + 0.3 - 1.1 + 0.9)) < 1e-5);
    proxyless_draw_gates(s);
    memset(s->gate_grad, 0, (size_t)s->config.parameters.mix * sizeof *s->gate_grad);
    MUST(proxyless_binary_connect(s, 1.5, &b->w.d));
    for (int k = 0; k < THREE; k++)
        got[k] = s->alpha_grad[k] / 0.05;
    close_to(got, want, 1e-5);

    /* add#absolute: the same above the target, the contrary below it */
    float above[THREE];
    memcpy(above, s->alpha_grad, sizeof above);
    s->config.cost.term = COST_ADD_ABSOLUTE;
    MUST(proxyless_binary_connect(s, 1.5, &b->w.d));
    assert_memory_equal(s->alpha_grad, above, sizeof above);
    s->config.cost.target = 40;
    MUST(proxyless_binary_connect(s, 1.5, &b->w.d));
    for (int k = 0; k < THREE; k++)
        got[k] = s->alpha_grad[k] / -0.0125;
    close_to(got, want, 1e-5);
    s->config.cost.target = 10;

    /* mul#log: d/dα of CE·(log E / log target)^β by differences, all choices moved alike */
    s->config.cost.term = COST_MUL_LOG;
    MUST(proxyless_binary_connect(s, 1.5, &b->w.d));
    for (int k = 0; k < THREE; k++) {
        double side[2], expected[THREE];
        for (int i = 0; i < 2; i++) {
            double sum = 0, e = 5;
            for (int j = 0; j < THREE; j++)
                sum += expected[j] = exp((double)s->alphas.value[j] + (j == k ? (i ? 1e-5 : -1e-5) : 0));
            for (int j = 0; j < THREE; j++)
                e += ROWS * expected[j] / sum * (loss_of[j] + 2);
            side[i] = 1.5 * pow(log(e) / log(10), 0.5);
        }
        double slope = (side[1] - side[0]) / 2e-5, sum = 0;
        for (int c = 0; c < ROWS; c++)
            sum += s->alpha_grad[s->choices[c].first + k];
        assert_true(fabs(sum - slope) < 1e-5);
    }
    bench_close(b);
}

/* ---- the shift --------------------------------------------------------------------------------------------------- */

static void softmax(const float *alpha, int count, double *p)
{
    double sum = 0;
    for (int k = 0; k < count; k++)
        sum += p[k] = exp((double)alpha[k]);
    for (int k = 0; k < count; k++)
        p[k] /= sum;
}

/* Random alphas, gradients and rates: after a step of two all others have the probability that they had. */
static void others_stay(void **state)
{
    (void)state;
    bench at, *b = &at;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    bench_open(b, MOST, PROXYLESS_TWO);
    proxyless *s = b->search;
    rng r = rng_open(seed, RNG_TEST, 0, 0);
    double worst = 0, moved = 0;
    for (s->course.step = 0; s->course.step < 500; s->course.step++) {
        double before[ROWS][MOST], after[MOST];
        for (int64_t i = 0; i < s->config.parameters.mix; i++) {
            s->alphas.value[i] = (float)(3 * (2 * rng_unit(&r) - 1));
            s->gate_grad[i] = (float)rng_normal(&r);
        }
        s->config.settings.alphas.lr = 0.3 * rng_unit(&r);
        for (int c = 0; c < ROWS; c++)
            softmax(s->alphas.value + s->choices[c].first, MOST, before[c]);
        MUST(proxyless_probabilities(s, &b->w.d));
        proxyless_draw_gates(s);
        MUST(proxyless_binary_connect(s, 1, &b->w.d) && proxyless_alpha_move(s, &b->w.d));
        for (int c = 0; c < ROWS; c++) {
            softmax(s->alphas.value + s->choices[c].first, MOST, after);
            for (int k = 0; k < MOST; k++) {
                double change = fabs(after[k] - before[c][k]);
                if (k == s->active[c] || k == s->other[c])
                    moved = fmax(moved, change);
                else
                    worst = fmax(worst, change);
            }
        }
    }
    printf("largest change of another's probability: %.1e; of one of the two: %.1e\n", worst, moved);
    assert_true(worst <= 1e-7 && moved > 1e-3);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws),          cmocka_unit_test(all_candidates),
                                       cmocka_unit_test(two_candidates), cmocka_unit_test(rewards),
                                       cmocka_unit_test(cost),           cmocka_unit_test(others_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
