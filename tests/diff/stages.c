/* Nets in which stages of a kernel meet in ways that no network of the examples has: what a slice reads of scratch in two
 * pieces, two tiles that are each made by another convolution, rows of a grouped convolution that are streamed, tiles that are made
 * while those before are summed, with halos of more rows than a tile has; and pointwise convolutions of any stride. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fused_compare.h"

/* The net of a file, its logits as long as what it gives. */
static net *net_of(arena *a, const char *name)
{
    size_t size;
    nasc_diag d = {0};
    const char *path = arena_printf(a, SOURCE_DIR "/tests/diff/stages/%s.net", name);
    const char *source = file_read(a, path, &size, &d);
    net *n = source ? net_parse(a, source, path, &d) : NULL;
    fail_with(&d, name);
    for (int i = 0; i < n->outputs.count; i++)
        if (n->outputs.at[i].slot == SLOT_LOGITS)
            n->slot_size[SLOT_LOGITS] = net_elements(&n->nodes.at[n->outputs.at[i].value].type);
    return n;
}

/* On vectors of two widths, tiles of three heights, in the last cache and beyond it. */
static void compare_with(const char *name, unsigned grad)
{
    static const char *const targets[] = {"x86-64-v4", "aarch64"};
    for (int i = 0; i < 12; i++) {
        int rows = i / 2 % 3;
        arena a = {0};
        target t = *target_find(targets[i / 6]);
        if (i % 2)
            t.l3_bytes = 1024;
        compare_fused_for(&t, net_of(&a, name), grad, 3, rows, false, 4, NULL, name);
        arena_free(&a);
    }
}

static void compare_net(const char *name)
{
    compare_with(name, 0);
}

static void slices_read_split_scratch(void **state)
{
    (void)state;
    compare_net("slice_of_split");
}

static void each_tile_has_its_maker(void **state)
{
    (void)state;
    compare_net("two_tiles");
}

static void grouped_rows_are_whole(void **state)
{
    (void)state;
    compare_net("grouped_rows");
}

static void tiles_are_made_ahead(void **state)
{
    (void)state;
    compare_net("tiles_ahead");
}

static void columns_are_read_by_rows(void **state)
{
    (void)state;
    compare_net("one_column");
}

/* The gradient of a strided window, whose tile would need rows around it. */
static void strides_have_no_halo(void **state)
{
    (void)state;
    compare_with("strided_gradient", GRAD_MIX);
}

static void a_map_holds_one_window(void **state)
{
    (void)state;
    compare_net("two_windows");
}

/* Pixels that a pointwise convolution leaves out, and zeros that its gradient does; one reads beyond its map. Of a pool they
 * are not those of its tile. */
static void single_pixels_are_read(void **state)
{
    (void)state;
    compare_with("strided_pointwise", GRAD_WEIGHTS);
    compare_with("pool_sampled", GRAD_WEIGHTS);
    compare_with("pool_sampled_by_rows", GRAD_MIX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_read_split_scratch), cmocka_unit_test(each_tile_has_its_maker),
        cmocka_unit_test(grouped_rows_are_whole),    cmocka_unit_test(tiles_are_made_ahead),
        cmocka_unit_test(columns_are_read_by_rows),  cmocka_unit_test(strides_have_no_halo),
        cmocka_unit_test(a_map_holds_one_window),    cmocka_unit_test(single_pixels_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
