/* The planted space (see planted.c) with its candidates selected, not mixed: every method of ProxylessNAS finds the one
 * op that can tell the classes apart, for five of five seeds. */
#include "fixture.h"
#include "runtime/search/proxyless.h"
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
    proxyless_programs programs;
} planted;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s: %s", #call, p->w.d.where, p->w.d.message);                                               \
    } while (0)

static space *selecting(planted *p)
{
    size_t size;
    char *text = file_read(&p->w.arena, TESTS_DIR "/search/planted.json", &size, &p->w.d);
    MUST(text);
    char *mix = strstr(text, "\"mix\"");
    assert_non_null(mix);
    const char *with = arena_printf(&p->w.arena, "%.*s\"select\"%s", (int)(mix - text), text, mix + strlen("\"mix\""));
    return space_parse(with, strlen(with), "planted", &p->w.d);
}

/* Machine code where there is a JIT, else the interpreter. */
static void planted_open(planted *p)
{
    *p = (planted){0};
    if (!workshop_open(&p->w, ENGINE_JIT, 2)) {
        workshop_close(&p->w);
        MUST(workshop_open(&p->w, ENGINE_INTERPRETER, 2));
    }
    workshop *w = &p->w;
    MUST(p->space = selecting(p));
    assert_true(space_selects(p->space));
    stripes_draw(&w->arena, &p->data);
    settings_defaults(&p->settings, SETTINGS_PROXYLESS);
    settings_from_space(&p->settings, p->space);
    MUST(settings_set(&p->settings, "input", "8x8x1", "test", &w->d));
    MUST(settings_set(&p->settings, "classes", "2", "test", &w->d));
    MUST(settings_set(&p->settings, "stem", "cifar", "test", &w->d));
    int batch = (int)settings_int(&p->settings, SETTING_batch);
    MUST(workshop_use(w, p->space, &p->settings, USE_WEIGHTS, batch, NULL, &p->net, &p->programs.weights));
    const net *model = p->net.built.net;
    MUST(workshop_use(w, p->space, &p->settings, USE_MIX, batch, model, &p->other, &p->programs.gates));
    MUST(workshop_use(w, p->space, &p->settings, USE_FORWARD, batch, model, &p->other, &p->programs.forward));
    for (int m = 0; m < METHOD_COUNT; m++)
        MUST(workshop_method(w, model, m, &p->programs.method[m]));
}

static int found(const proxyless *s)
{
    int best = 0;
    for (int k = 1; k <= CONV; k++)
        if (s->alphas.value[k] > s->alphas.value[best])
            best = k;
    return best;
}

static void finds_it(enum proxyless_rule rule, int epochs)
{
    planted at, *p = &at;
    planted_open(p);
    proxyless_config c = {.programs = &p->programs,
                          .parameters = parameters_of(p->net.built.net),
                          .data = &p->data,
                          .device = p->w.device,
                          .settings = {.rule = rule,
                                       .batch = (int)settings_int(&p->settings, SETTING_batch),
                                       .epochs = epochs,
                                       .alpha_every = 1,
                                       .warmup_epochs = 1,
                                       .samples = 4,
                                       .held_out = 0.1,
                                       .lr_by_step = true,
                                       .lr_min = 0.01,
                                       .weights = {.lr = 0.1, .momentum = 0.9, .decay = 4e-5},
                                       .alphas = {.lr = 0.03, .beta1 = 0, .beta2 = 0.999, .eps = 1e-8},
                                       .augment = {.normalise = true}}};
    assert_int_equal(c.parameters.mix, CONV + 1);
    for (int seed = 0; seed < SEEDS; seed++) {
        proxyless *s;
        c.settings.seed = (uint64_t)seed;
        MUST(s = proxyless_open(&p->w.arena, &c, &p->w.d));
        MUST(proxyless_search(s, &p->w.d) == RUN_DONE);
        printf("seed %d: %.3f %.3f %.3f %.3f, op %d\n", seed, s->alphas.value[0], s->alphas.value[1],
               s->alphas.value[2], s->alphas.value[3], found(s));
        assert_int_equal(found(s), CONV);
    }
    space_free(p->space);
    workshop_close(&p->w);
}

static void two(void **state)
{
    (void)state;
    finds_it(PROXYLESS_TWO, 8);
}

static void all(void **state)
{
    (void)state;
    finds_it(PROXYLESS_ALL, 8);
}

static void reinforce(void **state)
{
    (void)state;
    finds_it(PROXYLESS_REINFORCE, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two), cmocka_unit_test(all), cmocka_unit_test(reinforce)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
