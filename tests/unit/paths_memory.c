/* Memory of a space that selects: a search takes no more for its tensors than training the largest of its paths, for
 * weights and for alphas; candidates share what only one of them has at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "uses/objective.h"
#include "pipeline.h"
#include "proxyless_space.h"

typedef struct size {
    int64_t arena, weights, gradients;
} size;

static size planned(const space *s, const settings *set, enum objective_use use)
{
    arena a = {0};
    nasc_diag d = {0};
    objective built;
    target t = target_host();
    must(objective_build(s, set, use, &a, &built, &d), &d);
    pipeline_options o = {.batch = (int)settings_int(set, SETTING_batch), .grad = built.grad};
    program *p = pipeline_compile(&a, built.built.net, &t, &o, &d);
    must(p != NULL, &d);
    size z = {p->arena_elements, built.built.net->slot_size[SLOT_WEIGHTS],
              net_paths_of(&a, built.built.net)->grad_elements};
    arena_free(&a);
    return z;
}

/* The genotype that takes candidate `pick` everywhere. */
static space *path_of(const space *s, const settings *set, int pick)
{
    arena a = {0};
    nasc_diag d = {0};
    space_net net = build(s, set, (space_mode){true, true}, &a);
    const float **alphas = NEW_ARRAY(&a, const float *, net.choice_count);
    for (int i = 0; i < net.choice_count; i++) {
        float *alpha = NEW_ARRAY(&a, float, net.choices[i].columns);
        alpha[pick] = 1;
        alphas[i] = alpha;
    }
    char *genotype = space_derive(s, &net, alphas, "path", &a, &d);
    must(genotype != NULL, &d);
    space *g = space_parse(genotype, strlen(genotype), "path", &d);
    must(g != NULL, &d);
    arena_free(&a);
    return g;
}

enum { LARGEST = 5 }; /* 7x7_MBConv6 */

static void arenas(void **state)
{
    (void)state;
    const char *const sizes[] = {"input=112x112x3", "batch=16", "auxiliary=0", NULL};
    space *s = read_space(PROXYLESS);
    settings set = make_settings(s, SETTINGS_PROXYLESS, sizes);
    space *largest = path_of(s, &set, LARGEST);
    settings training = make_settings(largest, SETTINGS_TRAIN, sizes);
    size weights = planned(s, &set, USE_WEIGHTS), gates = planned(s, &set, USE_MIX);
    size path = planned(largest, &training, USE_WEIGHTS);
    printf("arena, MiB: weights %.1f, gates %.1f, largest path %.1f; weights %lld, gradients %lld, path %lld\n",
           (double)weights.arena / 262144, (double)gates.arena / 262144, (double)path.arena / 262144,
           (long long)weights.weights, (long long)weights.gradients, (long long)path.weights);
    assert_true((double)weights.arena <= 1.15 * (double)path.arena);
    assert_true((double)gates.arena <= 1.15 * (double)path.arena);
    assert_int_equal(weights.gradients, path.weights);
    space_free(largest);
    space_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arenas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
