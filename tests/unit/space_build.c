/* Building: the parameters of a built net are those of the reference models, by name and shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "space_parameters.h"

#define SPACES SOURCE_DIR "/genotypes/spaces/"
#define V2     SOURCE_DIR "/genotypes/darts_v2.json"

static void darts_supernet(void **state)
{
    (void)state;
    arena a = {0};
    space *s = read_space(SPACES "darts.json");
    const char *const small[] = {"channels=4", "cells=3", "input=8x8x3", NULL};
    settings set = make_settings(s, SETTINGS_DARTS, small);
    space_net net = build(s, &set, (space_mode){true, true}, &a);
    same_parameters(net.net, FIXTURES "darts_search.safetensors");
    assert_int_equal(net.choice_count, 2);
    assert_string_equal(net.choices[0].alpha, "alphas_normal");
    assert_int_equal(net.choices[1].rows, 14);
    assert_string_equal(net.choices[1].candidates[3], "skip_connect");
    arena_free(&a);
    space_free(s);
}

static void fixed_network(const char *genotype, const char *const *assignments, bool train, const char *fixture)
{
    arena a = {0};
    space *s = read_space(genotype);
    settings set = make_settings(s, SETTINGS_TRAIN, assignments);
    space_net net = build(s, &set, (space_mode){train, train}, &a);
    same_parameters(net.net, fixture);
    arena_free(&a);
    space_free(s);
}

static void darts_networks(void **state)
{
    (void)state;
    const char *const cifar[] = {"channels=4", "cells=5", NULL};
    fixed_network(V2, cifar, true, FIXTURES "darts_fixed_cifar.safetensors");
    const char *const imagenet[] = {"channels=8", "cells=5", "stem=imagenet", "input=64x64x3", "auxiliary=0", NULL};
    fixed_network(V2, imagenet, true, FIXTURES "darts_fixed_imagenet.safetensors");
}

/* Learned numbers and multiply-adds of a genotype's network as it is evaluated. */
static void sizes(const char *const *assignments, int64_t weights, int64_t macs)
{
    arena a = {0};
    space *s = read_space(V2);
    settings set = make_settings(s, SETTINGS_TRAIN, assignments);
    space_net net = build(s, &set, (space_mode){false, false}, &a);
    int64_t counted = 0;
    for (int i = 0; i < net.net->nodes.count; i++)
        counted += net_prim_info[net.net->nodes.at[i].prim].cost(net.net, &net.net->nodes.at[i]).macs;
    assert_int_equal(net.net->slot_size[SLOT_WEIGHTS], weights);
    assert_in_range(counted, macs - 50000, macs + 50000);
    assert_int_equal(net.auxiliary, -1);
    arena_free(&a);
    space_free(s);
}

static void published_sizes(void **state)
{
    (void)state;
    sizes((const char *[]){NULL}, 3349342, 528400000);
    sizes((const char *[]){"channels=48", "cells=14", "stem=imagenet", "input=224x224x3", "classes=1000", NULL},
          4718752, 529900000);
}

/* Without an instance of a kind its alpha exists all the same: any depth gives a whole genotype. */
static void shallow_networks_keep_both_alphas(void **state)
{
    (void)state;
    arena a = {0};
    space *s = read_space(SPACES "darts.json");
    settings set = make_settings(s, SETTINGS_DARTS, (const char *[]){"channels=4", "cells=1", NULL});
    space_net net = build(s, &set, (space_mode){true, true}, &a);
    assert_int_equal(net.choice_count, 2);
    assert_int_equal(net.net->slot_size[SLOT_MIX], 2 * 14 * 8);
    arena_free(&a);
    space_free(s);
}

static void nasbench201(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    space *s = read_space(SPACES "nasbench201.json");
    settings set = make_settings(s, SETTINGS_DARTS, (const char *[]){NULL});
    space_net net = build(s, &set, (space_mode){true, true}, &a);
    assert_int_equal(net.choice_count, 1);
    assert_int_equal(net.choices[0].rows, 6);
    assert_int_equal(net.choices[0].columns, 5);
    const net_node *logits = &net.net->nodes.at[net.logits];
    assert_int_equal(net.net->nodes.at[logits->operand[0]].type.c, 64);
    float alpha[30] = {[3] = 1, [5 + 1] = 1, [10 + 2] = 1, [15] = 1, [20 + 4] = 1, [25 + 3] = 1};
    char *genotype = space_derive(s, &net, (const float *[]){alpha}, "found", &a, &d);
    must(genotype != NULL, &d);
    assert_non_null(strstr(genotype, "[[\"nor_conv_3x3\", 0]]"));
    assert_non_null(strstr(genotype, "[[\"none\", 0], [\"avg_pool_3x3\", 1], [\"nor_conv_3x3\", 2]]"));
    space *found = space_parse(genotype, strlen(genotype), "found", &d);
    must(found != NULL, &d);
    set = make_settings(found, SETTINGS_TRAIN, (const char *[]){NULL});
    build(found, &set, (space_mode){true, true}, &a);
    space_free(found);
    space_free(s);
    arena_free(&a);
}

/* ---- deriving ---------------------------------------------------------------------------------------------------- */

static const float *fixture_alpha(struct tensors *set, const space_choice *c, arena *a)
{
    nasc_diag d = {0};
    float *alpha = NEW_ARRAY(a, float, c->rows * c->columns);
    char name[96];
    snprintf(name, sizeof name, "want.after.%s", c->alpha);
    must(tensors_floats(set, name, (int64_t)c->rows * c->columns, alpha, &d), &d);
    return alpha;
}

static void derives_what_the_reference_derives(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    struct tensors *set = tensors_read(&a, FIXTURES "darts_search.safetensors", &d);
    must(set != NULL, &d);
    space *s = read_space(SPACES "darts.json");
    settings small = make_settings(s, SETTINGS_DARTS, (const char *[]){"channels=4", "cells=3", NULL});
    space_net net = build(s, &small, (space_mode){true, true}, &a);
    const float *alpha[] = {fixture_alpha(set, &net.choices[0], &a), fixture_alpha(set, &net.choices[1], &a)};
    char *genotype = space_derive(s, &net, alpha, "found", &a, &d);
    must(genotype != NULL, &d);
    json_t *got = json_loads(genotype, 0, NULL), *want = json_load_file(FIXTURES "darts_search.json", 0, NULL);
    const char *kinds[] = {"normal", "reduce"};
    for (int kind = 0; kind < 2; kind++) {
        json_t *pairs = json_object_get(json_object_get(want, "genotype"), kinds[kind]), *pair;
        json_t *nodes = json_object_get(json_object_get(json_object_get(got, "cells"), kinds[kind]), "nodes");
        size_t i;
        json_array_foreach(pairs, i, pair)
            assert_true(json_equal(pair, json_array_get(json_array_get(nodes, i / 2), i % 2)));
    }
    json_decref(got);
    json_decref(want);
    space_free(s);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(darts_supernet),  cmocka_unit_test(darts_networks),
        cmocka_unit_test(published_sizes), cmocka_unit_test(shallow_networks_keep_both_alphas),
        cmocka_unit_test(nasbench201),     cmocka_unit_test(derives_what_the_reference_derives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
