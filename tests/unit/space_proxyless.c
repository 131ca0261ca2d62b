/* The ProxylessNAS space is JSON alone: its supernet, and the network that is derived from it, have the parameters of
 * the reference model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proxyless_space.h"

static void supernet(void **state)
{
    (void)state;
    arena a = {0};
    space *s = search_space();
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

static void derived_network(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    char *genotype = mobile_genotype(&a);
    space *g = space_parse(genotype, strlen(genotype), "mobile", &d);
    must(g != NULL, &d);
    settings set =
        make_settings(g, SETTINGS_TRAIN, (const char *[]){"channels=8", "classes=10", "input=64x64x3", NULL});
    space_net net = build(g, &set, (space_mode){false, false}, &a);
    same_parameters(net.net, FIXTURES "proxyless_fixed.safetensors");
    space_free(g);
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
