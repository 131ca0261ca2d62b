/* The ProxylessNAS space as the fixtures have it: smaller than the published network, so the stages are replaced. */
#ifndef NASC_TEST_PROXYLESS_SPACE_H
#define NASC_TEST_PROXYLESS_SPACE_H

#include "space_parameters.h"

#include <jansson.h>

#define PROXYLESS SOURCE_DIR "/genotypes/spaces/proxyless.json"

/* The space with `stages` (blocks 1 and up) and `last` channels before the classifier. */
static inline space *small_space(const char *stages, int last)
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

/* Of the fixture proxyless_search. */
static inline space *search_space(void)
{
    return small_space("[{\"block\": \"mb\", \"channels\": 8, \"repeat\": 2, \"stride\": 2},"
                       " {\"block\": \"mb\", \"channels\": 16, \"repeat\": 2, \"stride\": 2}]",
                       32);
}

enum { BLOCKS = 21 };

/* The published network for phones: candidates by number, 6 is Zero. Skipped blocks do not count in the names. */
static const int mobile[BLOCKS] = {2, 0, 6, 6, 4, 0, 2, 2, 5, 2, 2, 2, 3, 2, 2, 2, 5, 5, 4, 4, 5};

static inline char *derive_mobile(const space *s, arena *a)
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

/* The network of the fixture proxyless_fixed, as a genotype's text. */
static inline char *mobile_genotype(arena *a)
{
    space *s = small_space("[{\"block\": \"mb\", \"channels\": 8, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 8, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 10, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 12, \"repeat\": 4, \"stride\": 1},"
                           " {\"block\": \"mb\", \"channels\": 24, \"repeat\": 4, \"stride\": 2},"
                           " {\"block\": \"mb\", \"channels\": 40, \"repeat\": 1, \"stride\": 1}]",
                           64);
    char *genotype = derive_mobile(s, a);
    space_free(s);
    return genotype;
}

#endif
