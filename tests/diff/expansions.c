/* Networks of inverted bottlenecks on maps so large that norms are taken by Gram matrices, and sums behind choices: forward,
 * and back to the gates, for each candidate of each choice; what the passes make of them against the net as it is built. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fused_compare.h"
#include "net/gram.h"
#include "proxyless_space.h"
#include "uses/objective.h"

/* How many norms are taken by Gram matrices in the program of a net, gates left out. */
static int expansions_in(const net *built, unsigned grad)
{
    arena a = {0};
    nasc_diag d = {0};
    net *n = net_simplify(&a, net_with_gradient(&a, built, grad, &d), &d);
    const net *seen = net_norms_by_gram(&a, n, &d);
    fail_with(&d, "expansions");
    int count = 0;
    for (int i = 0; i < seen->nodes.count; i++)
        count += seen->nodes.at[i].prim == NET_bn_gram && !seen->regions.at[seen->nodes.at[i].region].gate;
    arena_free(&a);
    return count;
}

/* Blocks of candidate k % 6, one kind or another of kernel and expansion, over maps of `size` / 2. */
static void compare_blocks(const char *target_name, int size, int k, int rows, enum objective_use use)
{
    arena a = {0};
    nasc_diag d = {0};
    char input[32], what[96];
    snprintf(input, sizeof input, "input=%dx%dx3", size, size);
    snprintf(what, sizeof what, "%s, size %d, candidate %d, rows %d, use %d", target_name, size, k, rows, use);
    space *s = small_space("[{\"block\": \"mb\", \"channels\": 8, \"repeat\": 2, \"stride\": 1},"
                           " {\"block\": \"mb\", \"channels\": 10, \"repeat\": 1, \"stride\": 2}]",
                           16);
    settings set = make_settings(s, SETTINGS_PROXYLESS, (const char *[]){"channels=8", "classes=4", input, NULL});
    objective o;
    must(objective_build(s, &set, use, &a, &o, &d), &d);
    const int active[] = {k % 6, (k + 2) % 6, (k + 4) % 6};
    assert_int_equal(o.built.choice_count, COUNT(active));
    assert_true(size / 2 * (size / 2) >= 400 && expansions_in(o.built.net, o.grad) == (o.grad & GRAD_WEIGHTS ? 0 : 18));
    const target *t = strcmp(target_name, "gpu") ? target_find(target_name) : &target_gpus[0];
    compare_fused_for(t, o.built.net, o.grad, 4, rows, false, 4, active, what);
    space_free(s);
    arena_free(&a);
}

/* On vectors of two widths and a GPU, tiles of three heights, maps of even and of odd size. */
static void gates_agree(void **state)
{
    static const char *const targets[] = {"x86-64-v4", "aarch64", "gpu"};
    (void)state;
    for (int k = 0; k < 6; k++)
        compare_blocks(targets[k % 3], k % 4 ? 44 : 42, k, k / 2, USE_MIX);
}

static void paths_agree(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k += 2)
        compare_blocks("x86-64-v4", 44, k, k / 2, USE_WEIGHTS);
}

/* Do two instances touch the same place in the arena, and one writes it? */
static bool meet_in_arena(const program *p, int x, int y)
{
    const program_instance *a = &p->instances.at[x], *b = &p->instances.at[y];
    for (int i = a->first_arg; i < a->first_arg + a->args; i++)
        for (int k = b->first_arg; k < b->first_arg + b->args; k++) {
            const program_arg *q = &p->args.at[i], *r = &p->args.at[k];
            bool both = q->slot == SLOT_NONE && r->slot == SLOT_NONE && (q->written || r->written);
            if (both && q->offset < r->offset + r->elements && r->offset < q->offset + q->elements)
                return true;
        }
    return false;
}

static void launches_meet_not(const program *p, int gate, int other)
{
    const program_launch *g = &p->launches.at[gate], *l = &p->launches.at[other];
    for (int i = g->first; i < g->first + g->count; i++)
        for (int k = l->first; k < l->first + l->count; k++)
            if (meet_in_arena(p, i, k))
                fail_msg("launches %d and %d may run at once, and share memory", gate, other);
}

/* Gates, and what may run beside them. */
static void nothing_is_shared_beside(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    space *s = search_space();
    settings set =
        make_settings(s, SETTINGS_PROXYLESS, (const char *[]){"channels=8", "classes=4", "input=44x44x3", NULL});
    objective o;
    must(objective_build(s, &set, USE_MIX, &a, &o, &d), &d);
    pipeline_options options = {.batch = 4, .grad = o.grad};
    program *p = pipeline_compile(&a, o.built.net, target_find("x86-64-v4"), &options, &d);
    must(p != NULL, &d);
    int pairs = 0;
    for (int i = 0; i < p->launches.count; i++)
        for (int k = i + 1; k < p->launches.count && p->launches.at[i].flags & LAUNCH_GATE; k++)
            if (p->launches.at[k].beside == p->launches.at[i].beside && !(p->launches.at[k].flags & LAUNCH_GATE)) {
                launches_meet_not(p, i, k);
                pairs++;
            }
    assert_true(pairs > 100);
    space_free(s);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates_agree),
        cmocka_unit_test(paths_agree),
        cmocka_unit_test(nothing_is_shared_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
