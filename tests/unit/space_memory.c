/* Reading, building, deriving and importing survive the failure of any one allocation, nasc's or Jansson's: the answer
 * is "out of memory" or a whole result, never a crash, a leak (the sanitizers look) or half a genotype. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "failing.h"
#include "space/space.h"

#define SPACE(blocks, stages)                                                                                          \
    "{\"format\": 1, \"space\": \"small\", \"settings\": {\"channels\": 2, \"cells\": 2, \"nodes\": 1, \"input\": "    \
    "\"4x4x3\"},"                                                                                                      \
    " \"train\": {\"lr\": 0.1}, \"variables\": {\"k\": \"1 + 2\"},"                                                    \
    " \"ops\": {\"none\": [{\"zero\": {\"stride\": \"s\"}}], \"conv\": [{\"use\": \"any\", \"with\": {\"kernel\": "    \
    "\"k\"}}],"                                                                                                        \
    "  \"any\": [{\"conv\": {\"kernel\": \"kernel\", \"stride\": \"s\"}}, {\"batch_norm\": {}}]},"                     \
    " \"cells\": {\"normal\": {\"inputs\": [{\"steps\": []}], \"nodes\": \"nodes\", \"choice\": [\"none\", \"conv\"]," \
    "   \"combine\": \"mix\", \"output\": \"last\"}, \"reduce\": {\"like\": \"normal\"}}," blocks                      \
    " \"network\": [{\"stem\": {\"cifar\": [{\"steps\": [{\"conv\": {\"kernel\": 1}}]}]}},"                            \
    "  {\"cells\": \"normal\", \"repeat\": \"cells\", \"reduce\": \"reduce\", \"reduce_at\": [1], \"widen\": "         \
    "1}," stages "  {\"head\": [{\"global_pool\": {}}, {\"linear\": {\"out\": \"classes\"}}]}], \"derive\": "          \
    "{\"never\": [\"none\"]}}"

static const char with_blocks[] =
    SPACE(" \"blocks\": {\"own\": {\"choice\": [\"none\", \"conv\"], \"combine\": \"select\", \"alpha\": \"own\","
          "   \"shortcut\": \"s == 1\"}},",
          "  {\"blocks\": [{\"block\": \"own\", \"repeat\": 2}]},");
static const char cells_alone[] = SPACE("", "");

static const char tuples[] = "Genotype(normal=[('conv', 0), ('conv', 0)], normal_concat=[1], "
                             "reduce=[('none', 0), ('conv', 0)], reduce_concat=range(1, 2))";

/* What import needs of the ProxylessNAS space, and a configuration that adds an op to it. */
static const char backbone[] =
    "{\"format\": 1, \"space\": \"small\", \"train\": {\"stem\": \"imagenet\"}, \"ops\": {"
    "  \"conv_bn\": [{\"conv\": {\"kernel\": \"k\", \"stride\": \"s\"}}, {\"batch_norm\": {}}],"
    "  \"MBConv\": [{\"use\": \"conv_bn\"}, {\"conv\": {\"out\": \"e*C\", \"kernel\": 1}}],"
    "  \"k3\": [{\"use\": \"MBConv\", \"with\": {\"k\": 3, \"e\": 2}}], \"Zero\": [{\"zero\": {}}]},"
    " \"blocks\": {\"first\": {\"steps\": []}, \"mb\": {\"choice\": [\"k3\"], \"combine\": \"select\"}},"
    " \"network\": [{\"stem\": {\"imagenet\": [{\"steps\": [{\"use\": \"conv_bn\", \"with\": {\"k\": 3, \"s\": "
    "2}}]}]}},"
    "  {\"blocks\": [{\"block\": \"mb\"}]}, {\"name\": \"feature_mix_layer\", \"steps\": []},"
    "  {\"head\": [{\"global_pool\": {}}, {\"linear\": {\"out\": \"classes\"}}]}]}";
static const char configuration[] =
    "{\"name\": \"ProxylessNASNets\", \"bn\": {\"momentum\": 0.2, \"eps\": 0.001}, \"first_conv\": {\"name\": "
    "\"ConvLayer\", \"kernel_size\": 3, \"stride\": 2, \"in_channels\": 3, \"out_channels\": 4}, \"blocks\": ["
    "{\"name\": \"MobileInvertedResidualBlock\", \"mobile_inverted_conv\": {\"name\": \"MBInvertedConvLayer\", "
    "\"in_channels\": 4, \"out_channels\": 8, \"kernel_size\": 5, \"stride\": 2, \"expand_ratio\": 4}, \"shortcut\": "
    "null}], \"feature_mix_layer\": null, \"classifier\": {\"name\": \"LinearLayer\", \"in_features\": 8, "
    "\"out_features\": 3, \"dropout_rate\": 0.5}}";

static const char *derive(arena *a, nasc_diag *d)
{
    space_net net;
    settings set;
    static const float alpha[2] = {0, 1};
    const float *alphas[] = {alpha, alpha, alpha, alpha};
    const char *made = NULL;
    space *s = space_parse(with_blocks, sizeof with_blocks - 1, "with_blocks", d);
    if (!s)
        return NULL;
    settings_defaults(&set, SETTINGS_DARTS);
    settings_from_space(&set, s);
    if (space_build(s, &set, (space_mode){true, true}, a, &net, d))
        made = space_derive(s, &net, alphas, "small", a, d);
    space_free(s);
    return made;
}

static const char *import_into(const char *into, const char *text, arena *a, nasc_diag *d)
{
    space *s = space_parse(into, strlen(into), "into", d);
    const char *made = s ? space_import(s, text, "text", a, d) : NULL;
    space_free(s);
    return made;
}

/* Jansson loses a character of a string of 16 and more where the allocation for it fails, and says nothing: the names
 * of a configuration are as long, so only our allocations fail there. */
static const char *import(arena *a, nasc_diag *d)
{
    const char *cells = import_into(cells_alone, tuples, a, d);
    if (failing_of == ALLOCATOR_JANSSON)
        return cells;
    const char *blocks = cells ? import_into(backbone, configuration, a, d) : NULL;
    return blocks ? arena_printf(a, "%s%s", cells, blocks) : NULL;
}

/* Everything once. The genotypes are compared with what was kept, or kept. */
static bool all(arena *kept, const char **derived, const char **imported, nasc_diag *d)
{
    arena a = {0};
    const char *one = derive(&a, d), *other = one ? import(&a, d) : NULL;
    if (other && *derived) {
        assert_string_equal(one, *derived);
        assert_string_equal(other, *imported);
    } else if (other) {
        *derived = arena_strdup(kept, one);
        *imported = arena_strdup(kept, other);
    }
    arena_free(&a);
    return other != NULL;
}

static void each_failure(void **state)
{
    failing_of = *state ? ALLOCATOR_JANSSON : ALLOCATOR_OURS;
    arena kept = {0};
    nasc_diag d = {0};
    const char *derived = NULL, *imported = NULL;
    all(&kept, &derived, &imported, &d);
    if (d.kind)
        fail_msg("%s: %s", d.where, d.message);
    assert_non_null(strstr(derived, "\"made\": [\"conv\", \"conv\"]"));
    json_set_alloc_funcs(failing_jansson, free);
    long n = 0;
    for (bool whole = false; !whole; n++) {
        d = (nasc_diag){0};
        failing_left = n;
        bool done = all(&kept, &derived, &imported, &d);
        whole = failing_left >= 0;
        failing_left = -1;
        if (done ? d.kind != DIAG_NONE : d.kind != DIAG_MEMORY)
            fail_msg("allocation %ld: %s: %s", n, d.where, d.message);
    }
    json_set_alloc_funcs(malloc, free);
    print_message("%ld allocations\n", n - 1);
    assert_true(n > 5);
    arena_free(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"nasc's allocations", each_failure, NULL, NULL, NULL},
        {"Jansson's allocations", each_failure, NULL, NULL, (void *)"jansson"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
