/* Importing published genotypes: they become the committed files, and what cannot be expressed is refused where it
 * stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "space/space.h"

#define DARTS SOURCE_DIR "/genotypes/spaces/darts.json"
#define BENCH SOURCE_DIR "/genotypes/spaces/nasbench201.json"
#define V1_TEXT                                                                                                        \
    "# the authors' first\nDARTS_V1 = Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', "    \
    "0),\n"                                                                                                            \
    "  ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)],\n"    \
    "  normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2),\n"           \
    "  ('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)],\n"    \
    "  reduce_concat=[2, 3, 4, 5])\n"
#define V2_TEXT                                                                                                        \
    "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), " \
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), " \
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "                     \
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=(2, 3, 4, "    \
    "5,),)"

static space *read_space(const char *path)
{
    nasc_diag d = {0};
    space *s = space_read(path, &d);
    if (!s)
        fail_msg("%s: %s", d.where, d.message);
    return s;
}

static char *import(const char *into, const char *source, arena *a)
{
    nasc_diag d = {0};
    space *s = read_space(into);
    char *made = space_import(s, source, "text", a, &d);
    if (!made)
        fail_msg("%s: %s", d.where, d.message);
    space_free(s);
    return made;
}

/* NASC_WRITE=1 writes the committed files anew. */
static void becomes(const char *into, const char *source, const char *file)
{
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    char *made = import(into, source, &a);
    if (getenv("NASC_WRITE"))
        assert_true(file_replace(file, made, strlen(made), &d));
    assert_string_equal(made, file_read(&a, file, &size, &d));
    arena_free(&a);
}

static void darts_genotypes(void **state)
{
    (void)state;
    becomes(DARTS, V1_TEXT, SOURCE_DIR "/genotypes/darts_v1.json");
    becomes(DARTS, V2_TEXT, SOURCE_DIR "/genotypes/darts_v2.json");
    assert_string_equal(space_import_kind(V1_TEXT), "darts");
}

/* What was imported, formatted again, is the same text. */
static void a_genotype_stays_as_it_is(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    const char *bench =
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
    const char *made[] = {import(DARTS, V2_TEXT, &a), import(BENCH, bench, &a)};
    assert_string_equal(space_import_kind(bench), "nasbench201");
    for (int i = 0; i < 2; i++) {
        space *s = space_parse(made[i], strlen(made[i]), "made", &d);
        assert_non_null(s);
        assert_true(space_is_genotype(s));
        assert_string_equal(space_text(s, &a), made[i]);
        space_free(s);
    }
    assert_non_null(strstr(made[1], "[[\"skip_connect\", 0], [\"nor_conv_3x3\", 1], [\"skip_connect\", 2]]"));
    arena_free(&a);
}

static void space_refuses(space *s, const char *source, const char *where, const char *message)
{
    arena a = {0};
    nasc_diag d = {0};
    assert_null(space_import(s, source, "text", &a, &d));
    if (strcmp(d.where, where) != 0 || !strstr(d.message, message))
        fail_msg("%s: got \"%s: %s\"", source, d.where, d.message);
    space_free(s);
    arena_free(&a);
}

static void refuses(const char *into, const char *source, const char *where, const char *message)
{
    space_refuses(read_space(into), source, where, message);
}

static void refusals(void **state)
{
    (void)state;
    const char *tail = "normal_concat=[2], reduce=[('none', 0), ('none', 1)], reduce_concat=[2])";
    char source[512];
#define NORMAL(x) (snprintf(source, sizeof source, "Genotype(normal=%s, %s", x, tail), source)
    refuses(DARTS, "", "text:1:1", "found the end, expected Genotype");
    refuses(DARTS, "Genotyp(", "text:1:1", "found 'Genotyp', expected Genotype");
    refuses(DARTS, "X = Y(", "text:1:5", "found 'Y', expected Genotype");
    refuses(DARTS, "Genotype(\n  norml=[])", "text:2:3", "found 'norml', expected normal");
    refuses(DARTS, "Genotype(normal=[('sep_conv_4x4', 0)", "text:1:20", "did you mean 'sep_conv_3x3'?");
    refuses(DARTS, "Genotype(normal=[('zigzag', 0)", "text:1:20", "expected one that the space \"darts\" offers");
    refuses(DARTS, "Genotype(normal=[('none', 2)", "text:1:27", "found the input 2 of node 2, expected one below 2");
    refuses(DARTS, "Genotype(normal=[('none' 1)", "text:1:26", "found '1)', expected ','");
    refuses(DARTS, "Genotype(normal=[('none', x)", "text:1:27", "expected a number");
    refuses(DARTS, "Genotype(normal=[('none', 0) 3", "text:1:30", "expected ',' or the end of the list");
    refuses(DARTS, NORMAL("[('none', 0)]"), "text:1:17", "found 1 pairs, expected an even number");
    refuses(DARTS, NORMAL("[]"), "text:1:17", "found 0 pairs");
    refuses(DARTS, NORMAL("[('none', 0), ('none', 0)], normal=[]"), "text:1:45", "found 'normal' a second time");
    refuses(DARTS, "Genotype(normal_concat=range(2, 2))", "text:1:24", "found an empty concatenation");
    refuses(DARTS, "Genotype(normal_concat=[2, 3]", "text:1:30", "found the end, expected ',' or ')'");
    refuses(DARTS, "Genotype(normal=[('none', 0), ('none', 1)])", "text:1:44", "found no normal_concat");
    refuses(DARTS, "Genotype(normal=[('none', 0), ('none', 1)], normal_concat=[3])", "text:1:63",
            "found node 3 in normal_concat, expected at most 2");
    refuses(DARTS, V2_TEXT " + 1", "text:1:432", "found '+ 1', expected the end");
    refuses(BENCH, V2_TEXT, "text:1:27", "found a genotype with a cell 'normal'");
    refuses(DARTS, "|none~0|", "text:1:1", "expected a space with one kind of cell");
    refuses(BENCH, "|none~0|+|none~1|none~0|", "text:1:16", "found the input 1, expected 0");
    refuses(BENCH, "|none~0|+|none~0|", "text:1:18", "found the end, expected the name of an op");
    refuses(BENCH, "|none~0|+|none-0|", "text:1:15", "expected '~'");
#undef NORMAL
}

/* The DARTS space with one more cell or block that has a choice. */
static space *darts_with(const char *kind, json_t *what)
{
    nasc_diag d = {0};
    json_t *root = json_load_file(DARTS, 0, NULL);
    assert_non_null(root);
    if (!json_object_get(root, kind))
        json_object_set_new(root, kind, json_object());
    json_object_set_new(json_object_get(root, kind), "third", what);
    char *source = json_dumps(root, 0);
    space *s = space_parse(source, strlen(source), "custom", &d);
    if (!s)
        fail_msg("%s: %s", d.where, d.message);
    free(source);
    json_decref(root);
    return s;
}

static void choices_that_the_text_leaves_open(void **state)
{
    (void)state;
    space_refuses(darts_with("blocks", json_pack("{s[s]ss}", "choice", "none", "combine", "mix")), V2_TEXT,
                  "text:1:431",
                  "found a genotype that says nothing of the block 'third', expected a space without such a choice");
    space_refuses(darts_with("cells", json_pack("{ss}", "like", "normal")), V2_TEXT, "text:1:431",
                  "found a genotype that says nothing of the cell 'third', expected a space without such a choice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(darts_genotypes),
        cmocka_unit_test(a_genotype_stays_as_it_is),
        cmocka_unit_test(refusals),
        cmocka_unit_test(choices_that_the_text_leaves_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
