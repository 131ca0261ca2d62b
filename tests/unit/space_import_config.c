/* Network configurations of ProxylessNAS: the published one becomes genotypes/proxyless_mobile.json, with the names of
 * the published checkpoint; what the space cannot say is refused where it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "space_parameters.h"

#define PROXYLESS SOURCE_DIR "/genotypes/spaces/proxyless.json"
#define CONFIG    TESTS_DIR "/cli/proxyless_mobile.config"
#define PUBLISHED SOURCE_DIR "/genotypes/proxyless_mobile.json"

/* The value at `pointer` ("/blocks/3/name"), replaced by the JSON text `value`; NULL removes it. */
static void replace(json_t *root, const char *pointer, const char *value)
{
    char path[128], *key = path + 1, *next;
    snprintf(path, sizeof path, "%s", pointer);
    json_t *at = root;
    for (; (next = strchr(key, '/')); key = next + 1) {
        *next = 0;
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
        assert_non_null(at);
    }
    json_t *new = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    if (json_is_array(at))
        assert_int_equal(json_array_set_new(at, (size_t)atoi(key), new), 0);
    else if (new)
        assert_int_equal(json_object_set_new(at, key, new), 0);
    else
        assert_int_equal(json_object_del(at, key), 0);
}

/* The published configuration with `changes` (pointer, value, …, NULL), imported into `into`. */
static char *import(const char *into, const char *const *changes, arena *a, nasc_diag *d)
{
    json_t *root = json_load_file(CONFIG, 0, NULL);
    assert_non_null(root);
    for (; *changes; changes += 2)
        replace(root, changes[0], changes[1]);
    char *source = json_dumps(root, 0);
    space *s = read_space(into);
    char *made = space_import(s, source, "folder/net.config", a, d);
    space_free(s);
    free(source);
    json_decref(root);
    return made;
}

/* NASC_WRITE=1 writes the committed file anew. */
static void published(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    const char *source = file_read(&a, CONFIG, &size, &d);
    assert_string_equal(space_import_kind(source), "proxyless");
    space *s = read_space(PROXYLESS);
    char *made = space_import(s, source, CONFIG, &a, &d);
    must(made != NULL, &d);
    if (getenv("NASC_WRITE"))
        assert_true(file_replace(PUBLISHED, made, strlen(made), &d));
    assert_string_equal(made, file_read(&a, PUBLISHED, &size, &d));
    space_free(s);
    arena_free(&a);
}

/* The space with 32 channels in its first stage, as the published network has them. */
static space *wide_space(void)
{
    nasc_diag d = {0};
    json_t *root = json_load_file(PROXYLESS, 0, NULL);
    replace(root, "/network/1/blocks/1/channels", "32");
    char *source = json_dumps(root, 0);
    space *s = space_parse(source, strlen(source), "wide", &d);
    must(s != NULL, &d);
    free(source);
    json_decref(root);
    return s;
}

/* The candidates that the published network chose, 6 is Zero: derived from the space they are the same file. */
static void derived_is_imported(void **state)
{
    (void)state;
    enum { BLOCKS = 21 };
    static const int mobile[BLOCKS] = {2, 0, 6, 6, 4, 0, 2, 2, 5, 2, 2, 2, 3, 2, 2, 2, 5, 5, 4, 4, 5};
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    space *s = wide_space();
    settings set = make_settings(s, SETTINGS_PROXYLESS, (const char *[]){NULL});
    space_net net = build(s, &set, (space_mode){false, false}, &a);
    assert_int_equal(net.choice_count, BLOCKS);
    const float *alphas[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        float *alpha = NEW_ARRAY(&a, float, net.choices[i].columns);
        alpha[mobile[i]] = 1;
        alphas[i] = alpha;
    }
    char *derived = space_derive(s, &net, alphas, "proxyless_mobile", &a, &d);
    must(derived != NULL, &d);
    assert_string_equal(derived, file_read(&a, PUBLISHED, &size, &d));
    space_free(s);
    arena_free(&a);
}

static const net_param *param(const net *n, const char *name)
{
    for (int i = 0; i < n->params.count; i++)
        if (strcmp(n->params.at[i].name, name) == 0)
            return &n->params.at[i];
    return NULL;
}

static space_net build_text(const char *genotype, arena *a)
{
    nasc_diag d = {0};
    space *g = space_parse(genotype, strlen(genotype), "made", &d);
    must(g != NULL, &d);
    settings set = make_settings(g, SETTINGS_TRAIN, (const char *[]){NULL});
    space_net net = build(g, &set, (space_mode){true, true}, a);
    space_free(g);
    return net;
}

/* As in the published checkpoint: blocks that are left out keep their number. */
static void names(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    space_net net = build_text(file_read(&a, PUBLISHED, &size, &d), &a);
    assert_non_null(param(net.net, "first_conv.conv.weight"));
    assert_non_null(param(net.net, "blocks.0.mobile_inverted_conv.depth_conv.conv.weight"));
    assert_null(param(net.net, "blocks.0.mobile_inverted_conv.inverted_bottleneck.conv.weight"));
    assert_non_null(param(net.net, "blocks.2.mobile_inverted_conv.depth_conv.conv.weight"));
    assert_null(param(net.net, "blocks.3.mobile_inverted_conv.depth_conv.conv.weight"));
    assert_null(param(net.net, "blocks.4.mobile_inverted_conv.depth_conv.conv.weight"));
    assert_non_null(param(net.net, "blocks.5.mobile_inverted_conv.inverted_bottleneck.bn.weight"));
    assert_non_null(param(net.net, "blocks.21.mobile_inverted_conv.point_linear.bn.bias"));
    assert_non_null(param(net.net, "feature_mix_layer.conv.weight"));
    assert_non_null(param(net.net, "classifier.linear.bias"));
    arena_free(&a);
}

/* Widths, kernels, strides, batch norm and dropout of the file's own. */
static void other_networks(void **state)
{
    (void)state;
    static const char *const changes[] = {"/bn/eps",
                                          "1e-5",
                                          "/bn/momentum",
                                          "0.05",
                                          "/first_conv/kernel_size",
                                          "5",
                                          "/first_conv/out_channels",
                                          "40",
                                          "/blocks/0/mobile_inverted_conv/in_channels",
                                          "40",
                                          "/blocks/21/mobile_inverted_conv/expand_ratio",
                                          "4",
                                          "/blocks/21/mobile_inverted_conv/out_channels",
                                          "352",
                                          "/feature_mix_layer",
                                          "null",
                                          "/classifier/in_features",
                                          "352",
                                          "/classifier/out_features",
                                          "7",
                                          "/classifier/dropout_rate",
                                          "0.25",
                                          NULL};
    arena a = {0};
    nasc_diag d = {0};
    char *made = import(PROXYLESS, changes, &a, &d);
    must(made != NULL, &d);
    assert_non_null(strstr(made, "\"genotype\": \"net\""));
    assert_non_null(
        strstr(made, "\"7x7_MBConv4\": [{\"name\": \"\", \"use\": \"MBConv\", \"with\": {\"k\": 7, \"e\": 4}}]"));
    assert_non_null(strstr(made, "\"batch_norm\": {\"eps\": 1e-05, \"momentum\": 0.05}"));
    assert_non_null(strstr(made, "\"dropout\": 0.25"));
    assert_null(strstr(made, "feature_mix_layer"));
    space_net net = build_text(made, &a);
    const net_param *first = param(net.net, "first_conv.conv.weight"),
                    *last = param(net.net, "classifier.linear.weight");
    assert_non_null(first);
    assert_int_equal(first->dim[0], 5);
    assert_int_equal(first->dim[3], 40);
    assert_non_null(last);
    assert_int_equal(last->dim[2], 352);
    assert_int_equal(last->dim[3], 7);
    arena_free(&a);
}

static void refusals(void **state)
{
    (void)state;
#define CONV "/blocks/3/mobile_inverted_conv"
    static const struct {
        const char *pointer, *value, *where, *message;
    } cases[] = {
        {"/name", "\"MobileNetV3\"", "/name", "found \"MobileNetV3\", expected \"ProxylessNASNets\""},
        {"/name", NULL, "/name", "found nothing, expected \"ProxylessNASNets\""},
        {"/blcks", "[]", "", "found the unknown key \"blcks\", did you mean \"blocks\"?"},
        {"/bn", "null", "/bn", "found null, expected an object"},
        {"/bn/eps", "2", "/bn/eps", "found 2, expected a number from 1e-12 to 1"},
        {"/bn/momentum", "\"x\"", "/bn/momentum", "expected a number from 0 to 1"},
        {"/bn/ws_eps", "1e-5", "/bn/ws_eps", "expected null"},
        {"/first_conv", "null", "/first_conv", "found null, expected an object"},
        {"/first_conv/name", "\"DepthConvLayer\"", "/first_conv/name", "expected \"ConvLayer\""},
        {"/first_conv/dilation", "2", "/first_conv/dilation", "found 2, expected 1"},
        {"/first_conv/groups", "2", "/first_conv/groups", "expected 1"},
        {"/first_conv/bias", "true", "/first_conv/bias", "found true, expected false"},
        {"/first_conv/has_shuffle", "true", "/first_conv/has_shuffle", "expected false"},
        {"/first_conv/use_bn", "false", "/first_conv/use_bn", "expected true"},
        {"/first_conv/act_func", "\"h_swish\"", "/first_conv/act_func", "found \"h_swish\", expected \"relu6\""},
        {"/first_conv/dropout_rate", "0.5", "/first_conv/dropout_rate", "expected 0"},
        {"/first_conv/ops_order", "\"bn_act_weight\"", "/first_conv/ops_order", "expected \"weight_bn_act\""},
        {"/first_conv/kernel_size", "[3, 3]", "/first_conv/kernel_size", "found a list of 2, expected an odd integer"},
        {"/first_conv/in_channels", "1", "/first_conv/in_channels", "found 1, expected 3"},
        {"/first_conv/stride", "5", "/first_conv/stride", "found 5, expected an integer from 1 to 4"},
        {"/first_conv/out_channels", "0", "/first_conv/out_channels", "found 0, expected an integer from 1 to"},
        {"/first_conv/num_bits", "8", "/first_conv", "found the unknown key \"num_bits\""},
        {"/blocks", "{}", "/blocks", "expected a list of blocks"},
        {"/blocks", "[]", "/blocks", "found an empty list, expected at least one block"},
        {"/blocks/2/name", "\"Block\"", "/blocks/2/name", "expected \"MobileInvertedResidualBlock\""},
        {"/blocks/2/gate", "1", "/blocks/2", "found the unknown key \"gate\""},
        {"/blocks/2/mobile_inverted_conv", "null", "/blocks/2/mobile_inverted_conv", "found null, expected a layer"},
        {"/blocks/2/mobile_inverted_conv/name", "\"ConvLayer\"", "/blocks/2/mobile_inverted_conv/name",
         "found \"ConvLayer\", expected \"MBInvertedConvLayer\" or \"ZeroLayer\""},
        {"/blocks/2/mobile_inverted_conv/kernel_size", "4", "/blocks/2/mobile_inverted_conv/kernel_size",
         "found 4, expected an odd integer from 1 to 31"},
        {"/blocks/2/mobile_inverted_conv/in_channels", "24", "/blocks/2/mobile_inverted_conv/in_channels",
         "found 24, expected 32"},
        {"/blocks/2/mobile_inverted_conv/expand_ratio", "2.5", "/blocks/2/mobile_inverted_conv/expand_ratio",
         "found 2.5, expected an integer from 1 to 64"},
        {"/blocks/2/mobile_inverted_conv/mid_channels", "80", "/blocks/2/mobile_inverted_conv/mid_channels",
         "found 80, expected 96"},
        {"/blocks/2/mobile_inverted_conv/use_se", "true", "/blocks/2/mobile_inverted_conv/use_se", "expected false"},
        {"/blocks/2/shortcut", "null", "/blocks/2/shortcut", "found null, expected an \"IdentityLayer\""},
        {"/blocks/1/shortcut", "{\"name\": \"IdentityLayer\"}", "/blocks/1/shortcut",
         "found a shortcut, expected null: the stride is 2, the channels change from 16 to 32"},
        {"/blocks/2/shortcut/name", "\"ConvLayer\"", "/blocks/2/shortcut/name", "expected \"IdentityLayer\""},
        {"/blocks/2/shortcut/use_bn", "true", "/blocks/2/shortcut/use_bn", "expected false"},
        {CONV "/stride", "2", CONV "/stride", "found 2, expected 1"},
        {CONV "/kernel_size", "3", CONV, "found the unknown key \"kernel_size\""},
        {"/feature_mix_layer/kernel_size", "3", "/feature_mix_layer/kernel_size", "found 3, expected 1"},
        {"/feature_mix_layer/in_channels", "3", "/feature_mix_layer/in_channels", "found 3, expected 320"},
        {"/classifier/name", "\"X\"", "/classifier/name", "expected \"LinearLayer\""},
        {"/classifier/bias", "false", "/classifier/bias", "expected true"},
        {"/classifier/in_features", "3", "/classifier/in_features", "found 3, expected 1280"},
        {"/classifier/out_features", "0", "/classifier/out_features", "found 0, expected an integer from 1"},
        {"/classifier/dropout_rate", "1", "/classifier/dropout_rate", "expected a number from 0 to 0.99"},
        {"/classifier", NULL, "/classifier", "found nothing, expected an object"},
    };
#undef CONV
    for (size_t i = 0; i < COUNT(cases); i++) {
        arena a = {0};
        nasc_diag d = {0};
        char where[128];
        snprintf(where, sizeof where, "folder/net.config#%s", cases[i].where);
        assert_null(import(PROXYLESS, (const char *[]){cases[i].pointer, cases[i].value, NULL}, &a, &d));
        if (strcmp(d.where, where) != 0 || !strstr(d.message, cases[i].message))
            fail_msg("%s = %s: got \"%s: %s\"", cases[i].pointer, cases[i].value, d.where, d.message);
        arena_free(&a);
    }
}

static void not_a_config(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    space *s = read_space(PROXYLESS);
    assert_null(space_import(s, "{\"name\": 1,,}", "net.config", &a, &d));
    assert_string_equal(d.where, "net.config:1:12");
    d = (nasc_diag){0};
    assert_null(space_import(s, "{\"name\": 1, \"name\": 2}", "net.config", &a, &d));
    assert_non_null(strstr(d.message, "duplicate object key"));
    d = (nasc_diag){0};
    assert_null(import(SOURCE_DIR "/genotypes/spaces/darts.json", (const char *[]){NULL}, &a, &d));
    assert_non_null(strstr(d.message, "expected a space with its ops, blocks and stem; \"darts\" has them not"));
    space_free(s);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published), cmocka_unit_test(derived_is_imported),
        cmocka_unit_test(names),     cmocka_unit_test(other_networks),
        cmocka_unit_test(refusals),  cmocka_unit_test(not_a_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
