/* The arena of exported C is at most a tenth longer than what lives at once, scratch included, for every target and the
 * published networks; and no launch's scratch lies on what it reads or writes, or on what one before it left for one after
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "uses/inference.h"
#include "pipeline.h"

static const struct network {
    const char *file, *set[6];
} networks[] = {
    {"darts_v2.json", {NULL}},
    {"darts_v2.json", {"stem=imagenet", "channels=48", "cells=14", "input=224x224x3", "classes=1000", NULL}},
    {"proxyless_mobile.json", {NULL}},
};

static int64_t scratch_of(const program *p, const program_instance *i)
{
    const kernel *k = p->kernels.at[i->kernel];
    return (loop_scratch_offset(k, k->scratch.count) + 3) / 4;
}

/* Marks, launch by launch, the elements that hold a result; scratch unmarks them, and none of those may be read. */
static void check_scratch(const program *p)
{
    bool *holds = calloc((size_t)p->single_elements, sizeof *holds);
    for (int i = 0; i < p->instances.count; i++) {
        const program_instance *in = &p->instances.at[i];
        memset(holds + in->scratch, 0, (size_t)scratch_of(p, in));
        for (int k = 0; k < in->args; k++) {
            const program_arg *arg = &p->args.at[in->first_arg + k];
            bool reads = p->kernels.at[in->kernel]->args.at[k].access == LOOP_IN;
            if (arg->slot != SLOT_NONE)
                continue;
            if (reads && !holds[arg->offset])
                fail_msg("%s: argument %d was written over", in->name, k);
            if (in->scratch < arg->offset + 1 && arg->offset < in->scratch + scratch_of(p, in))
                fail_msg("%s: scratch lies on argument %d", in->name, k);
            for (int64_t at = 0; !reads && at < arg->elements; at++)
                holds[arg->offset + at] = true;
        }
    }
    free(holds);
}

static void check(const struct network *of, const target *t)
{
    arena a = {0};
    nasc_diag d = {0};
    settings set;
    inference network;
    space *s = space_read(arena_printf(&a, "%s/genotypes/%s", SOURCE_DIR, of->file), &d);
    assert_non_null(s);
    settings_defaults(&set, SETTINGS_TRAIN);
    settings_from_space(&set, s);
    for (int i = 0; of->set[i]; i++)
        assert_true(settings_assign(&set, of->set[i], "test", &d));
    assert_true(inference_build(s, &set, &(inference_options){.normalise = true}, &a, &network, &d));
    pipeline_options o = {.batch = 1, .sequential = true, .lean = true};
    const program *p = pipeline_compile(&a, network.net, t, &o, &d);
    assert_non_null(p);
    assert_true(p->alive_elements > 0 && p->alive_elements <= p->arena_elements);
    assert_true(p->arena_elements <= p->single_elements);
    if (p->single_elements * 10 > p->alive_elements * 11)
        fail_msg("%s for %s: %lld elements, %lld live at once", of->file, t->name, (long long)p->single_elements,
                 (long long)p->alive_elements);
    check_scratch(p);
    space_free(s);
    arena_free(&a);
}

static void every_target(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(networks); i++)
        for (int t = 0; t < target_count; t++)
            check(&networks[i], &target_table[t]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_target)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
