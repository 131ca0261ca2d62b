/* Fusion works on structure: ops that a user writes in JSON take no more launches for a convolution than sep_conv does.
 * Counted is what an op adds to a network of one edge whose other candidate is the identity. A depthwise convolution
 * and the pointwise one on it are one here, as they are one kernel: what stands alone cannot be half of one. And states
 * of a published genotype are made where they are read. */
#include "uses/objective.h"
#include "pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* %s: the op's steps. */
static const char space_of_one_edge[] =
    "{\"format\": 1, \"space\": \"edge\", \"settings\": {\"channels\": 16, \"cells\": 1, \"nodes\": 1}, \"train\": {},"
    " \"ops\": {\"bn\": [{\"batch_norm\": {\"affine\": \"not search\"}}], \"skip\": [],"
    "  \"op\": %s},"
    " \"cells\": {\"cell\": {\"inputs\": [{\"steps\": []}], \"nodes\": 1, \"edges\": \"all\", \"choice\": [\"skip\", "
    "\"op\"],"
    "  \"combine\": \"mix\", \"alpha\": \"by kind\", \"output\": \"last\"}},"
    " \"network\": [{\"stem\": {\"cifar\": [{\"name\": \"stem\", \"steps\": [{\"conv\": {\"kernel\": 3}}, "
    "{\"batch_norm\": {}}]}]}},"
    "  {\"cells\": \"cell\", \"channels\": \"channels\"},"
    "  {\"head\": [{\"global_pool\": {}}, {\"name\": \"classifier\", \"linear\": {\"out\": \"classes\"}}]}],"
    " \"derive\": {\"edges_per_node\": 1}}";

#define HALF(k)                                                                                                        \
    "{\"relu\": {}}, {\"conv\": {\"kernel\": " k ", \"groups\": \"c\"}}, {\"conv\": {\"kernel\": 1}}, {\"use\": "      \
    "\"bn\"}"
#define SEP_CONV(k) "[" HALF(k) ", " HALF(k) "]"

static const struct op {
    const char *name, *steps;
    int convolutions; /* pairs are one */
} sep_conv = {"sep_conv_3x3", SEP_CONV("3"), 2},
  ops[] = {
      {"MBConv 3x3, 6",
       "[{\"conv\": {\"out\": \"6*c\", \"kernel\": 1}}, {\"use\": \"bn\"}, {\"relu6\": {}},"
       " {\"conv\": {\"out\": \"c\", \"kernel\": 3, \"groups\": \"c\"}}, {\"use\": \"bn\"}, {\"relu6\": {}}, "
       "{\"conv\": {\"kernel\": 1}}, {\"use\": \"bn\"}]",
       3},
      {"squeeze-excite",
       "[{\"conv\": {\"kernel\": 3, \"groups\": \"c\"}}, {\"use\": \"bn\"}, {\"hard_swish\": {}}, {\"join\": \"mul\","
       " \"branches\": [[], [{\"global_pool\": {}}, {\"conv\": {\"out\": \"c//4\", \"kernel\": 1, \"bias\": true}}, "
       "{\"relu\": {}},"
       "  {\"conv\": {\"kernel\": 1, \"bias\": true}}, {\"hard_sigmoid\": {}}]]}, {\"conv\": {\"kernel\": 1}}, "
       "{\"use\": \"bn\"}]",
       4},
      {"dense 3x3", "[{\"relu\": {}}, {\"conv\": {\"kernel\": 3}}, {\"use\": \"bn\"}]", 1},
      {"dense 7x7", "[{\"relu\": {}}, {\"conv\": {\"kernel\": 7}}, {\"use\": \"bn\"}]", 1},
      {"sep_conv_7x7", SEP_CONV("7"), 2},
      {"1x7, 7x1",
       "[{\"relu\": {}}, {\"conv\": {\"kernel\": [1, 7]}}, {\"conv\": {\"kernel\": [7, 1]}}, {\"use\": \"bn\"}]", 2},
};

typedef struct cost {
    int launches, kernels;
} cost;

/* For this machine, with what a space or genotype asks for and `more` (to a NULL) on top. */
static program *compile(arena *a, const space *s, const char *const *more, enum objective_use use)
{
    nasc_diag d = {0};
    settings set;
    objective built;
    target t = target_host();
    settings_defaults(&set, space_is_genotype(s) ? SETTINGS_TRAIN : SETTINGS_DARTS);
    settings_from_space(&set, s);
    for (; *more; more++)
        assert_true(settings_assign(&set, *more, "test", &d));
    if (!objective_build(s, &set, use, a, &built, &d))
        fail_msg("%s: %s", d.where, d.message);
    pipeline_options o = {.batch = 8, .grad = built.grad, .sequential = false};
    program *p = pipeline_compile(a, built.built.net, &t, &o, &d);
    if (!p)
        fail_msg("%s: %s", d.where, d.message);
    return p;
}

/* What a network with this op takes. */
static cost count(const char *steps, enum objective_use use)
{
    static const char *const nothing[] = {NULL};
    char source[4096];
    nasc_diag d = {0};
    arena a = {0};
    snprintf(source, sizeof source, space_of_one_edge, steps);
    space *s = space_parse(source, strlen(source), "edge", &d);
    if (!s)
        fail_msg("%s: %s", d.where, d.message);
    const program *p = compile(&a, s, nothing, use);
    cost c = {p->launches.count, p->instances.count};
    arena_free(&a);
    space_free(s);
    return c;
}

/* Launches that do not depend on each other run as one, so kernels are counted too; a candidate has one of its own, for
 * the gradient by its weight. */
static void compare(enum objective_use use, const char *name)
{
    cost none = count("[{\"shift\": {}}]", use), sep = count(sep_conv.steps, use);
    sep.launches -= none.launches;
    sep.kernels -= none.kernels;
    assert_in_range(sep.launches, 1, 4 * sep_conv.convolutions);
    for (size_t i = 0; i < COUNT(ops); i++) {
        const struct op *op = &ops[i];
        cost c = count(op->steps, use);
        c.launches -= none.launches;
        c.kernels -= none.kernels;
        printf("%s: %s takes %d launches, %d kernels for %d convolutions; sep_conv_3x3 %d, %d for %d\n", name, op->name,
               c.launches, c.kernels, op->convolutions, sep.launches, sep.kernels, sep_conv.convolutions);
        assert_true(c.launches * sep_conv.convolutions <= sep.launches * op->convolutions);
        assert_true((c.kernels - 1) * sep_conv.convolutions <= sep.kernels * op->convolutions);
    }
}

static void forward(void **state)
{
    (void)state;
    compare(USE_FORWARD, "forward");
}

static void learning(void **state)
{
    (void)state;
    compare(USE_WEIGHTS, "weights");
    compare(USE_MIX, "mix");
}

/* States that nothing but the next cells' pointwise convolutions reads are made by these. In DARTS_V2 that is all of them
 * but one: a dilated convolution of the same cell reads around its pixels. The last cell's are read by the head. */
static void states(void **state)
{
    (void)state;
    static const char *const four[] = {"cells=4", "auxiliary=0", NULL};
    nasc_diag d = {0};
    arena a = {0};
    int alone = 0;
    space *s = space_read(SOURCE_DIR "/genotypes/darts_v2.json", &d);
    if (!s)
        fail_msg("%s: %s", d.where, d.message);
    const program *p = compile(&a, s, four, USE_WEIGHTS);
    for (int i = 0; i < p->instances.count; i++) {
        const program_instance *at = &p->instances.at[i];
        bool map = strcmp(p->kernels.at[at->kernel]->name, "add") == 0 && strncmp(at->name, "cells.", 6) == 0;
        alone += map && strncmp(at->name, "cells.3", 7) != 0;
    }
    assert_int_equal(alone, 1);
    arena_free(&a);
    space_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(learning), cmocka_unit_test(states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
