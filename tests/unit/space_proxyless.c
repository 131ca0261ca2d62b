/* The ProxylessNAS space is JSON alone: its supernet, and the network that is derived from it, have the parameters of
 * the reference model. The fixtures are smaller than the published network, so the stages are replaced first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "space_parameters.h"

#define PROXYLESS SOURCE_DIR "/genotypes/spaces/proxyless.json"

/* The space with `stages` (blocks 1 and up) and `last` channels before the classifier. */
static space *small_space(const char *stages, int last)
{
    nasc_diag d = {0};
    json_t *root = json_load_file(PROXYLESS, 0, NULL), *network = json_object_get(root, "network");
    json_t *blocks = json_loads(stages, 0, NULL);
    assert_non_null(blocks);
    json_array_insert_new(blocks, 0, json_pack("{sssi}", "block", "first", "channels", 8));
    json_object_set_new(json_array_get(network, 1), "blocks", blocks);
    json_object_del(json_array_get(network, 1), "left_out"); /* the reference numbers what is there */
    json_object_set_new(json_array_get(network, 2), "channels", json_integer(last));
    char *source = json_dumps(root, 0);
    space *s = space_parse(source, strlen(source), "small", &d);
    must(s != NULL, &d);
    free(source);
    json_decref(root);
    return s;
}

static void supernet(void **state)
{
    (void)state;
    arena a = {0};
    space *s = small_space("[{\"block\": \"mb\", \"channels\": 8, \"repeat\": 2, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 16, \"repeat\": 2, \"stride\": 2}]",
                           32);
    settings set =
        make_settings(s, SETTINGS_PROXYLESS, (const char *[]){"channels=8", "classes=10", "input=16x16x3", NULL});
    space_net net = build(s, &set, (space_mode){true, true}, &a);
    same_parameters(net.net, FIXTURES "proxyless_search.safetensors");
    assert_int_equal(net.choice_count, 4);
    assert_int_equal(net.select_count, 4);
    assert_int_equal(net.choices[0].columns, 6);
    assert_int_equal(net.choices[3].columns, 7);
    assert_int_equal(net.selects[3].choice, 3);
    arena_free(&a);
    space_free(s);
}

enum { BLOCKS = 21 };

/* The published network for phones: candidates by number, 6 is Zero. Skipped blocks do not count in the names. */
static const int mobile[BLOCKS] = {2, 0, 6, 6, 4, 0, 2, 2, 5, 2, 2, 2, 3, 2, 2, 2, 5, 5, 4, 4, 5};

static char *derive_mobile(const space *s, arena *a)
{
    nasc_diag d = {0};
    settings set =
        make_settings(s, SETTINGS_PROXYLESS, (const char *[]){"channels=8", "classes=10", "input=64x64x3", NULL});
    space_net net = build(s, &set, (space_mode){true, true}, a);
    assert_int_equal(net.choice_count, BLOCKS);
    const float *alphas[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        float *alpha = NEW_ARRAY(a, float, net.choices[i].columns);
        alpha[mobile[i]] = 1;
        alphas[i] = alpha;
    }
    char *genotype = space_derive(s, &net, alphas, "mobile", a, &d);
    must(genotype != NULL, &d);
    return genotype;
}

static void derived_network(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    space *s = small_space("[{\"block\": \"mb\", \"channels\": 8, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 8, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 10, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 12, \"repeat\": 4, \"stride\": 1},"
                           " {\"block\": \"mb\", \"channels\": 24, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 40, \"repeat\": 1, \"stride\": 1}]",
                           64);
    char *genotype = derive_mobile(s, &a);
    space *g = space_parse(genotype, strlen(genotype), "mobile", &d);
    must(g != NULL, &d);
    settings set =
        make_settings(g, SETTINGS_TRAIN, (const char *[]){"channels=8", "classes=10", "input=64x64x3", NULL});
    space_net net = build(g, &set, (space_mode){false, false}, &a);
    same_parameters(net.net, FIXTURES "proxyless_fixed.safetensors");
    space_free(g);
    space_free(s);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supernet),
        cmocka_unit_test(derived_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
