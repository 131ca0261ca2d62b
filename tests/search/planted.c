/* A planted space: one choice of four, where only one op can tell the classes apart. Every method finds it, for five of
 * five seeds. */
#include "fixture.h"
#include "runtime/search/darts.h"
#include "stripes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { SEEDS = 5, CONV = 3 };

typedef struct planted {
    workshop w;
    space *space;
    settings settings;
    dataset data;
    objective net, other;
    darts_programs programs;
} planted;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s: %s", #call, p->w.d.where, p->w.d.message);                                               \
    } while (0)

/* Machine code where there is a JIT, else the interpreter. */
static void planted_open(planted *p)
{
    *p = (planted){0};
    if (!workshop_open(&p->w, ENGINE_JIT, 2)) {
        workshop_close(&p->w);
        MUST(workshop_open(&p->w, ENGINE_INTERPRETER, 2));
    }
    workshop *w = &p->w;
    MUST(p->space = space_read(TESTS_DIR "/search/planted.json", &w->d));
    stripes_draw(&w->arena, &p->data);
    settings_defaults(&p->settings, SETTINGS_DARTS);
    settings_from_space(&p->settings, p->space);
    MUST(settings_set(&p->settings, "input", "8x8x1", "test", &w->d));
    MUST(settings_set(&p->settings, "classes", "2", "test", &w->d));
    int batch = (int)settings_int(&p->settings, SETTING_batch);
    MUST(workshop_use(w, p->space, &p->settings, USE_WEIGHTS, batch, NULL, &p->net, &p->programs.weights));
    const net *model = p->net.built.net;
    MUST(workshop_use(w, p->space, &p->settings, USE_MIX, batch, model, &p->other, &p->programs.mix));
    MUST(workshop_use(w, p->space, &p->settings, USE_BOTH, batch, model, &p->other, &p->programs.both));
    MUST(workshop_use(w, p->space, &p->settings, USE_FORWARD, batch, model, &p->other, &p->programs.forward));
    for (int m = 0; m < METHOD_COUNT; m++)
        MUST(workshop_method(w, model, m, &p->programs.method[m]));
}

static void planted_close(planted *p)
{
    space_free(p->space);
    workshop_close(&p->w);
}

static int found(const darts *s)
{
    int best = 0;
    for (int k = 1; k <= CONV; k++)
        if (s->alphas.value[k] > s->alphas.value[best])
            best = k;
    return best;
}

static void finds_it(enum darts_order order, int epochs)
{
    planted at, *p = &at;
    planted_open(p);
    darts_config c = {.programs = &p->programs,
                      .parameters = parameters_of(p->net.built.net),
                      .data = &p->data,
                      .device = p->w.device,
                      .settings = {.order = order,
                                   .batch = (int)settings_int(&p->settings, SETTING_batch),
                                   .epochs = epochs,
                                   .alpha_every = 1,
                                   .lr_min = 0.01,
                                   .weights = {.lr = 0.1, .momentum = 0.9, .decay = 3e-4, .clip = 5},
                                   .alphas = {.lr = 0.03, .beta1 = 0.5, .beta2 = 0.999, .decay = 1e-3, .eps = 1e-8},
                                   .augment = {.normalise = true}}};
    assert_int_equal(c.parameters.mix, CONV + 1);
    for (int seed = 0; seed < SEEDS; seed++) {
        darts *s;
        c.settings.seed = (uint64_t)seed;
        MUST(s = darts_open(&p->w.arena, &c, &p->w.d));
        MUST(darts_search(s, &p->w.d) == RUN_DONE);
        printf("seed %d: %.3f %.3f %.3f %.3f, op %d\n", seed, s->alphas.value[0], s->alphas.value[1],
               s->alphas.value[2], s->alphas.value[3], found(s));
        assert_int_equal(found(s), CONV);
    }
    planted_close(p);
}

static void first_order(void **state)
{
    (void)state;
    finds_it(DARTS_FIRST, 4);
}

static void second_order(void **state)
{
    (void)state;
    finds_it(DARTS_SECOND, 4);
}

static void reinforce(void **state)
{
    (void)state;
    finds_it(DARTS_REINFORCE, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_order), cmocka_unit_test(second_order),
                                       cmocka_unit_test(reinforce)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
