/* The latency predictor: it learns a cost from features, tells what it has not seen, and has the same bits each time.
 * Parts of a space: equal ones are found, and what they cost adds up to what the net's own rules say. */
#include "fixture.h"
#include "uses/parts.h"
#include "uses/predictor.h"
#include "runtime/predictor.h"
#include "runtime/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FEATURES = 6, SAMPLES = 80, HELD = 16 };

#define MUST(w, call)                                                                                                  \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s: %s", #call, (w)->d.where, (w)->d.message);                                               \
    } while (0)

static void open_workshop(workshop *w)
{
    if (workshop_open(w, ENGINE_JIT, 1))
        return;
    workshop_close(w);
    MUST(w, workshop_open(w, ENGINE_CC, 1));
}

/* ---- the predictor ----------------------------------------------------------------------------------------------- */

static double between(rng *r, double low, double high)
{
    return low * exp(rng_unit(r) * log(high / low));
}

/* Like a latency: the slower of multiply-adds and bytes, at rates that an op has, and something that is always there.
 */
static void draw_sample(rng *r, double *x, double *y)
{
    double macs = between(r, 1e5, 1e7), bytes = between(r, 1e4, 1e6), kernel = 3 + 2 * (double)rng_below(r, 3);
    int op = (int)rng_below(r, 3);
    for (int i = 0; i < 3; i++)
        x[i] = i == op;
    x[3] = log(macs);
    x[4] = log(bytes);
    x[5] = log(kernel);
    *y = 1e-3 + fmax(macs / (1e8 + 4e7 * op), bytes * sqrt(kernel) / 2e7);
}

typedef struct learning {
    workshop w;
    predictor_programs programs;
    predictor p;
    double x[SAMPLES * FEATURES], y[SAMPLES], told[SAMPLES];
} learning;

static void learning_open(learning *l, uint64_t seed)
{
    workshop *w = &l->w;
    open_workshop(w);
    net *fit = predictor_net(&w->arena, FEATURES, true, &w->d),
        *apply = predictor_net(&w->arena, FEATURES, false, &w->d);
    MUST(w, fit && apply);
    net *adam = predictor_adam(&w->arena, fit, &w->d);
    pipeline_options learns = {.batch = SAMPLES, .grad = GRAD_WEIGHTS}, runs = {.batch = SAMPLES}, once = {.batch = 1};
    MUST(w, adam && workshop_compile(w, fit, &learns, &l->programs.fit));
    MUST(w, workshop_compile(w, apply, &runs, &l->programs.predict) &&
                workshop_compile(w, adam, &once, &l->programs.adam));
    MUST(w, predictor_open(&l->p, &w->arena, &l->programs, parameters_of(fit), w->device, FEATURES, SAMPLES, &w->d));
    rng r = rng_open(seed, RNG_TEST, 0, 0);
    for (int i = 0; i < SAMPLES; i++)
        draw_sample(&r, l->x + (size_t)i * FEATURES, &l->y[i]);
}

static int rising(const void *x, const void *y)
{
    const double *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

/* Trains on all but the first HELD samples, and asks for all. */
static void learn(learning *l)
{
    MUST(&l->w, predictor_fit(&l->p, l->x + (size_t)HELD * FEATURES, l->y + HELD, SAMPLES - HELD, 3, &l->w.d));
    MUST(&l->w, predictor_apply(&l->p, l->x, SAMPLES, l->told, &l->w.d));
}

static double median_error(const learning *l, int first, int count)
{
    double off[SAMPLES];
    for (int i = 0; i < count; i++)
        off[i] = fabs(l->told[first + i] / l->y[first + i] - 1);
    qsort(off, (size_t)count, sizeof *off, rising);
    return off[count / 2];
}

static void learns_a_cost(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        learning *l = calloc(1, sizeof *l);
        learning_open(l, seed);
        learn(l);
        double known = median_error(l, HELD, SAMPLES - HELD), held = median_error(l, 0, HELD);
        printf("seed %llu: off by %.2f %% on its samples, %.2f %% on others\n", (unsigned long long)seed, 100 * known,
               100 * held);
        assert_true(known < 0.04 && held < 0.06);
        workshop_close(&l->w);
        free(l);
    }
}

static void has_the_same_bits(void **state)
{
    (void)state;
    double first[SAMPLES];
    learning *l = calloc(1, sizeof *l);
    learning_open(l, 7);
    learn(l);
    memcpy(first, l->told, sizeof first);
    learn(l);
    assert_memory_equal(first, l->told, sizeof first);
    double one;
    MUST(&l->w, predictor_apply(&l->p, l->x + 5 * FEATURES, 1, &one, &l->w.d));
    assert_true(one == first[5]);
    workshop_close(&l->w);
    free(l);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

typedef struct cut_space {
    arena a;
    space *space;
    space_net built;
    parts p;
} cut_space;

static void cut_open(cut_space *c, const char *name)
{
    nasc_diag d = {0};
    settings set;
    *c = (cut_space){0};
    c->space = space_read(arena_printf(&c->a, SOURCE_DIR "/genotypes/spaces/%s.json", name), &d);
    assert_non_null(c->space);
    settings_defaults(&set, SETTINGS_PROXYLESS);
    settings_from_space(&set, c->space);
    if (!space_build(c->space, &set, (space_mode){0}, &c->a, &c->built, &d) || !parts_of(&c->a, &c->built, &c->p, &d))
        fail_msg("%s: %s", d.where, d.message);
}

static double macs_of(const part *p)
{
    return (double)p->traits.macs;
}

static double weights_of(const part *p)
{
    return (double)p->net->slot_size[SLOT_WEIGHTS];
}

/* Costs of the parts, added up, against those that the net's rules give. */
static void compare_costs(cut_space *c, enum cost_kind kind, double (*of)(const part *p))
{
    costs want = costs_of(&c->a, c->built.net, kind);
    double *cost = NEW_ARRAY(&c->a, double, c->p.at.count);
    for (int i = 0; i < c->p.at.count; i++)
        cost[i] = of(&c->p.at.at[i]);
    costs got = parts_costs(&c->a, &c->p, c->built.net, cost);
    assert_int_equal(want.count, got.count);
    assert_true(want.fixed == got.fixed);
    for (int64_t k = 0; k < want.count; k++)
        assert_true(want.of[k] == got.of[k]);
}

static void costs_add_up(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int shapes, places; /* distinct parts that take time; candidates of all places */
    } spaces[] = {{"proxyless", 68, 141}, {"proxyless_small", 38, 67}, {"proxyless_cells", 41, 448}};
    for (size_t i = 0; i < COUNT(spaces); i++) {
        cut_space c;
        int shapes = 0, places = 0;
        cut_open(&c, spaces[i].name);
        for (int k = 0; k < c.p.at.count; k++)
            shapes += !c.p.at.at[k].empty;
        for (int k = 0; k < c.p.uses.count; k++)
            places += c.p.uses.at[k].place >= 0;
        printf("%s: %d shapes of %d candidates\n", spaces[i].name, shapes, places);
        assert_int_equal(shapes, spaces[i].shapes);
        assert_int_equal(places, spaces[i].places);
        compare_costs(&c, COST_MACS, macs_of);
        compare_costs(&c, COST_PARAMS, weights_of);
        space_free(c.space);
        arena_free(&c.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(learns_a_cost), cmocka_unit_test(has_the_same_bits),
                                       cmocka_unit_test(costs_add_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
