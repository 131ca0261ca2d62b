/* What a user may write in JSON alone: ops of other papers, cells with an alpha each; and the schemas know every
 * primitive. */
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
#include "space/model.h"

static int64_t weights_of(const space_net *n, const char *ending)
{
    int64_t count = 0;
    for (int i = 0; i < n->net->params.count; i++) {
        const net_param *p = &n->net->params.at[i];
        const char *found = strstr(p->name, ending);
        if (p->slot == SLOT_WEIGHTS && found)
            count += (int64_t)p->dim[0] * p->dim[1] * p->dim[2] * p->dim[3];
    }
    return count;
}

/* The DARTS space with `op` in place of sep_conv_5x5's body, 4 channels, `cells` cells, and `change` of the normal
 * cell. */
static space *darts_with(const char *op, const char *change)
{
    nasc_diag d = {0};
    json_t *root = json_load_file(SOURCE_DIR "/genotypes/spaces/darts.json", 0, NULL), *steps = json_loads(op, 0, NULL);
    assert_non_null(steps);
    json_object_set_new(json_object_get(root, "ops"), "sep_conv_5x5", steps);
    json_t *changes = json_loads(change, 0, NULL);
    assert_int_equal(json_object_update(json_object_get(json_object_get(root, "cells"), "normal"), changes), 0);
    json_decref(changes);
    char *source = json_dumps(root, 0);
    space *s = space_parse(source, strlen(source), "custom", &d);
    must(s != NULL, &d);
    free(source);
    json_decref(root);
    return s;
}

static void ops_of_other_papers(void **state)
{
    (void)state;
    static const struct {
        const char *op, *ending;
        int64_t weights; /* of cells.0._ops.0, with 4 channels */
    } ops[] = {
        {"[{\"conv\": {\"kernel\": 3, \"stride\": \"s\", \"groups\": \"c\"}}, {\"batch_norm\": {}}, {\"hard_swish\": "
         "{}},"
         " {\"join\": \"mul\", \"branches\": [[], [{\"global_pool\": {}}, {\"conv\": {\"kernel\": 1, \"out\": "
         "\"c//4\", \"bias\": true}},"
         "  {\"relu\": {}}, {\"conv\": {\"kernel\": 1, \"bias\": true}}, {\"hard_sigmoid\": {}}]]}]",
         "cells.0._ops.0._ops.5.", 4 * 9 + 8 + 4 + 1 + 4 + 4},
        /* partial channels: a quarter goes through the op, the rest around it */
        {"[{\"join\": \"concat\", \"branches\": [[{\"slice\": {\"count\": \"c//4\"}}, {\"conv\": {\"kernel\": 3, "
         "\"stride\": \"s\", \"out\": \"c\"}}],"
         "  [{\"slice\": {\"begin\": \"c//4\", \"count\": \"c - c//4\"}}, {\"if\": \"s != 1\", \"then\": "
         "[{\"max_pool\": {\"kernel\": 2, \"stride\": 2,"
         "   \"padding\": 0}}]}]]}, {\"shuffle\": {\"groups\": 4}}]",
         "cells.0._ops.0._ops.5.", 9},
        {"[{\"conv\": {\"kernel\": [1, 7], \"stride\": [1, \"s\"]}}, {\"conv\": {\"kernel\": [7, 1], \"stride\": "
         "[\"s\", 1], \"bias\": true}}]",
         "cells.0._ops.0._ops.5.", 2 * 7 * 16 + 4},
    };
    for (size_t i = 0; i < COUNT(ops); i++) {
        arena a = {0};
        space *s = darts_with(ops[i].op, "{}");
        settings set = make_settings(s, SETTINGS_DARTS, (const char *[]){"channels=4", "cells=3", NULL});
        space_net net = build(s, &set, (space_mode){true, true}, &a);
        assert_int_equal(weights_of(&net, ops[i].ending), ops[i].weights);
        arena_free(&a);
        space_free(s);
    }
}

/* An alpha for each normal cell: the genotype has a kind for each, and reductions where they were. */
static void own_alphas(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    space *s = darts_with("[{\"conv\": {\"kernel\": 5, \"stride\": \"s\"}}]",
                          "{\"alpha\": \"own\", \"alpha_name\": \"alpha\"}");
    settings set = make_settings(s, SETTINGS_DARTS, (const char *[]){"channels=4", "cells=3", NULL});
    space_net net = build(s, &set, (space_mode){true, true}, &a);
    assert_int_equal(net.choice_count, 3);
    float *alpha[3];
    for (int i = 0; i < 3; i++) {
        alpha[i] = NEW_ARRAY(&a, float, 14 * 8);
        for (int row = 0; row < 14; row++)
            alpha[i][8 * row + 1 + i] = 1;
    }
    char *genotype = space_derive(s, &net, (const float *const[]){alpha[0], alpha[1], alpha[2]}, "own", &a, &d);
    must(genotype != NULL, &d);
    assert_non_null(strstr(genotype, "\"cells\": [\"normal_0\", \"reduce_1\", \"reduce_2\"]"));
    assert_non_null(strstr(genotype, "\"reduce_at\": [1, 2]"));
    assert_non_null(strstr(genotype, "[[\"avg_pool_3x3\", 0], [\"avg_pool_3x3\", 1]]"));
    space *found = space_parse(genotype, strlen(genotype), "own", &d);
    must(found != NULL, &d);
    set = make_settings(found, SETTINGS_TRAIN, (const char *[]){"channels=4", "auxiliary=0", NULL});
    net = build(found, &set, (space_mode){true, true}, &a);
    const net_node *logits = &net.net->nodes.at[net.logits];
    assert_int_equal(net.net->nodes.at[logits->operand[0]].type.c, 4 * 4 * 4);
    space_free(found);
    space_free(s);
    arena_free(&a);
}

static void derives_nothing(space *s, const char *where)
{
    arena a = {0};
    nasc_diag d = {0};
    settings set = make_settings(s, SETTINGS_DARTS, (const char *[]){"channels=4", "cells=3", "input=8x8x3", NULL});
    space_net net = build(s, &set, (space_mode){true, true}, &a);
    const float alpha[14] = {0}, *const alphas[] = {alpha, alpha};
    assert_in_range(net.choice_count, 1, COUNT(alphas));
    assert_null(space_derive(s, &net, alphas, "nothing", &a, &d));
    assert_string_equal(d.where, where);
    assert_string_equal(d.message, "found no candidate that \"never\" leaves, expected at least one");
    arena_free(&a);
    space_free(s);
}

/* Choices whose every candidate is one that "never" names. */
static void nothing_to_derive(void **state)
{
    (void)state;
    static const char block[] = "{\"format\": 1, \"space\": \"block\", \"ops\": {\"none\": [{\"zero\": {}}]},"
                                " \"blocks\": {\"mb\": {\"choice\": [\"none\"], \"combine\": \"select\"}},"
                                " \"network\": [{\"stem\": {\"cifar\": [{\"steps\": [{\"conv\": {\"kernel\": 1}}]}]}},"
                                "  {\"blocks\": [{\"block\": \"mb\"}]},"
                                "  {\"head\": [{\"global_pool\": {}}, {\"linear\": {\"out\": \"classes\"}}]}],"
                                " \"derive\": {\"never\": [\"none\"]}}";
    nasc_diag d = {0};
    derives_nothing(darts_with("[{\"relu\": {}}]", "{\"choice\": [\"none\"]}"), "custom#/cells/normal/choice");
    space *s = space_parse(block, strlen(block), "block", &d);
    must(s != NULL, &d);
    derives_nothing(s, "block#/blocks/mb/choice");
}

static const json_t *schema_of(const json_t *schema, const char *primitive)
{
    const json_t *steps = json_object_get(json_object_get(json_object_get(schema, "$defs"), "step"), "oneOf");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *found = json_object_get(json_object_get(json_array_get(steps, i), "properties"), primitive);
        if (found)
            return json_object_get(found, "properties");
    }
    return NULL;
}

static void schemas_know_the_primitives(void **state)
{
    (void)state;
    const char *const files[] = {SOURCE_DIR "/genotypes/schema/space.schema.json",
                                 SOURCE_DIR "/genotypes/schema/genotype.schema.json"};
    for (size_t f = 0; f < COUNT(files); f++) {
        json_t *schema = json_load_file(files[f], JSON_REJECT_DUPLICATES, NULL);
        for (int i = 0; i < PRIMITIVE_COUNT; i++) {
            const json_t *properties = schema_of(schema, primitive_table[i].name);
            size_t count = 0;
            for (; count < PRIMITIVE_ATTRIBUTES_MAX && primitive_table[i].attributes[count].name; count++)
                if (!json_object_get(properties, primitive_table[i].attributes[count].name))
                    fail_msg("%s: no %s of %s", files[f], primitive_table[i].attributes[count].name,
                             primitive_table[i].name);
            assert_int_equal(json_object_size(properties), count);
            assert_non_null(properties);
        }
        json_decref(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_of_other_papers),
        cmocka_unit_test(own_alphas),
        cmocka_unit_test(nothing_to_derive),
        cmocka_unit_test(schemas_know_the_primitives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
