/* What the builder, the verifier and the reader of nets refuse, and where they say it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "net/net.h"

/* A node that does not fit, after these lines; the message says what was found. */
static const char leaves[] = "region 1 select 0 candidate 0 parent 0\n"
                             "slot weights 99999\n"
                             "%0 = input {slot images} : f32 Nx8x8x4\n"
                             "%1 = input {slot weights} : f32 3x3x4x6\n"
                             "%2 = input {slot weights} : f32 1x1x1x4\n"
                             "%3 = input {slot weights} : f32 1x1x2x4\n"
                             "%4 = input {slot labels} : i32 Nx1x1x1\n"
                             "%5 = chan_sum %0 : f32 Kx1x1x4\n";

static const struct refusal {
    const char *line, *where, *message;
} refusals[] = {
    {"%6 = conv %0, %2 {k 3x3 s 1x1 d 1x1 g 1} : f32 Nx6x6x4", ":9:", "weights are 1x1x1x4, expected 3x3x4xC_OUT"},
    {"%6 = conv %0, %1 {k 3x3 s 1x1 d 1x1 g 3} : f32 Nx6x6x6", ":9:", "3 groups do not divide 4 input"},
    {"%6 = conv %0, %1 {k 3x3 d 1x1 g 1} : f32 Nx6x6x6", ":9:", "stride is 0x0"},
    {"%6 = conv %0, %1, %2 {k 3x3 s 1x1 d 1x1 g 1} : f32 Nx6x6x6", ":9:", "bias is 1x1x1x4, expected 1x1x1x6"},
    {"%6 = conv %0, %1 {k 3x3 s 1x1 d 5x5 g 1} : f32 Nx6x6x6", ":9:", "does not fit into a map of 8x8"},
    {"%6 = conv %0, %1 {k 3x3 s 1x1 d 1x1 g 1} : f32 Nx8x8x6", ":9:44", "the shape rule gives another type"},
    {"%6 = conv %0 {k 3x3 s 1x1 d 1x1 g 1} : f32 Nx8x8x6", ":9:", "conv has 1 operands, expected 2 to 3"},
    {"%6 = max_pool %0 {k 3x3 s 1x1 d 1x1 p 3,0,0,0 g 1} : f32 Nx9x6x4", ":9:", "lets a 3x3 window lie outside"},
    {"%6 = linear %0, %3 : f32 Nx1x1x4", ":9:", "input is Nx8x8x4, expected Nx1x1xC"},
    {"%6 = add %0, %3 : f32 Nx8x8x4", ":9:", "operands are Nx8x8x4 and 1x1x2x4, expected equal extents or 1"},
    {"%6 = mix %3, %0, %0 {row 2 pick 0,1} : f32 Nx8x8x4", ":9:", "row 2 of candidate weights 1x1x2x4"},
    {"%6 = mix %3, %0, %0 {pick 0,4} : f32 Nx8x8x4", ":9:", "column 4 of candidate weights 1x1x2x4"},
    {"%6 = mix %3, %0, %0 {pick 0} : f32 Nx8x8x4", ":9:", "as many columns"},
    {"%6 = mix %3, %0, %4 {pick 0,1} : f32 Nx8x8x4", ":9:", "candidates are Nx8x8x4 and Nx1x1x1"},
    {"%6 = slice %0 {begin 2 count 3} : f32 Nx8x8x3", ":9:", "channels [2, 5) of 4"},
    {"%6 = concat %0, %2 : f32 Nx8x8x8", ":9:", "operands are Nx8x8x4 and 1x1x1x4, expected equal maps"},
    {"%6 = shuffle %0 {g 3} : f32 Nx8x8x4", ":9:", "3 groups do not divide 4 channels"},
    {"%6 = pad %0 {p -8,0,1,0} : f32 Nx1x8x4", ":9:", "cut off all of Nx8x8x4"},
    {"%6 = subsample %0 {k 1x1 s 2x2 d 1x1 p 1,0,0,0 g 1} : f32 Nx5x4x4", ":9:", "reads more than pixels of Nx8x8x4"},
    {"%6 = subsample %0 {k 1x1 s 3x3 d 1x1 p -2,0,3,1 g 1} : f32 Nx3x3x4", ":9:", "reads more than pixels of Nx8x8x4"},
    {"%6 = subsample_dx %0 {k 1x1 s 2x2 d 1x1 g 1 h 14 w 16} : f32 Nx14x16x4",
     ":9:", "gradient is Nx8x8x4, expected Nx7"},
    {"%6 = subsample_dx %0 {k 1x1 s 2x2 d 1x1 p -2,0,2,0 g 1 h 16 w 16} : f32 Nx16x16x4", ":9:", "of Nx16x16xC on its"},
    {"%6 = batch_norm %0, %2 : f32 Nx8x8x4", ":9:", "running statistics are 1x1x1x4, expected 1x1x2x4"},
    {"%6 = batch_norm %0, %3, %2 : f32 Nx8x8x4", ":9:", "or 4 with gamma and beta"},
    {"%6 = softmax_xent %0, %4 : f32 Nx1x1x1", ":9:", "logits are Nx8x8x4, expected Nx1x1xCLASSES"},
    {"%6 = fold %5 : f32 1x1x1x5", ":9:", "chunk rows Kx1x1x4 as 1x1x1x5"},
    {"%6 = add %5, %0 : f32 Nx8x8x4", ":9:", "operands are Kx1x1x4 and Nx8x8x4"},
    {"%6 = select %0 {regions 2} : f32 Nx8x8x4", ":9:", "regions 2 to 2 of 2"},
    {"%6 = bias %0, %3 : f32 Nx8x8x4", ":9:", "bias is 1x1x2x4, expected 1x1x1x4"},
    /* and the text itself */
    {"%7 = relu %0 : f32 Nx8x8x4", ":9:2", "expected node 6, found '7'"},
    {"%6 = rellu %0 : f32 Nx8x8x4", ":9:6", "expected a primitive, found 'rellu'"},
    {"%6 = relu %9 : f32 Nx8x8x4", ":9:12", "a number from 0 to 5"},
    {"%6 = relu %0 : f32 Nx8x8", ":9:25", "expected x, found the end"},
    {"%6 = relu %0 : f32 Nx65536x65536x4", ":9:", "a number from 1 to 32767"},
    {"%6 = relu %0 : f16 Nx8x8x4", ":9:16", "an element type"},
    {"%6 = relu %0 {kernel 3x3} : f32 Nx8x8x4", ":9:15", "an attribute or '}'"},
    {"%6 = relu %0 : f32 Nx8x8x4 \"name", ":9:", "a \" that ends the name"},
    {"%6 = relu %0 : f32 Nx8x8x4 @2", ":9:", "a number from 0 to 1"},
    {"%6 = relu %0 : f32 Nx8x8x4 extra", ":9:28", "the end of the line"},
    {"out %5 nowhere 0", ":9:8", "expected a slot, found 'nowhere'"},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        arena a = {0};
        nasc_diag d = {0};
        const char *source = arena_printf(&a, "%s%s\n", leaves, refusals[i].line);
        if (net_parse(&a, source, "in.net", &d))
            fail_msg("accepted: %s", refusals[i].line);
        if (!strstr(d.where, refusals[i].where) || !strstr(d.message, refusals[i].message))
            fail_msg("%s\nsays %s: %s\nexpected %s: %s", refusals[i].line, d.where, d.message, refusals[i].where,
                     refusals[i].message);
        arena_free(&a);
    }
}

static void unverified(void **state)
{
    static const struct refusal broken[] = {
        {"%6 = relu %0 : f32 Nx8x8x4 @1\n%7 = relu %6 : f32 Nx8x8x4", "%7", "a region that it does not see"},
        {"%6 = input {slot weights offset 99998} : f32 1x1x1x2", "%6", "outside of its slot"},
        {"%6 = relu %3 : f32 1x1x2x4\nout %6 weight_grad 99992", "%6", "outside of its slot"},
        {"param \"a\" weights 0 1x1x1x4 vector zero 0\nparam \"a\" weights 8 1x1x1x4 vector zero 0", "a",
         "two parameters"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(broken); i++) {
        arena a = {0};
        nasc_diag d = {0};
        net *n = net_parse(&a, arena_printf(&a, "%s%s\n", leaves, broken[i].line), "in.net", &d);
        assert_non_null(n);
        assert_false(net_verify(n, &d));
        if (!strstr(d.where, broken[i].where) || !strstr(d.message, broken[i].message))
            fail_msg("%s\nsays %s: %s", broken[i].line, d.where, d.message);
        arena_free(&a);
    }
}

/* Leaves are shared by name, and equal names of unequal shapes are refused. Offsets follow the order of creation. */
static void leaves_by_name(void **state)
{
    arena a = {0};
    net *n = net_new(&a);
    const int dim[4] = {3, 3, 4, 8}, other[4] = {3, 3, 8, 4};
    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(net_weight(n, arena_printf(&a, "w%d", i), dim, LAYOUT_CONV, INIT_UNIFORM, 1), i);
    assert_int_equal(net_weight(n, "w77", dim, LAYOUT_CONV, INIT_UNIFORM, 1), 77);
    assert_int_equal(net_weight(n, "w77", other, LAYOUT_CONV, INIT_UNIFORM, 1), -1);
    assert_int_equal(net_stats(n, "w77", 4), -1);
    assert_int_equal(n->nodes.at[199].attr.offset, 199 * 288);
    assert_int_equal(n->params.count, 200);
    int alphas = net_mix_weights(n, "alphas", 14, 8);
    assert_int_equal(net_mix_weights(n, "alphas", 14, 8), alphas);
    assert_int_equal(net_mix_weights(n, "alphas", 14, 7), -1);
    assert_int_equal(net_images(n, 50000, 50000, 3), -1);
    arena_free(&a);
}

/* A node of what could not be built, and one with more elements than can be counted. */
static void nodes_that_cannot_be(void **state)
{
    arena a = {0};
    nasc_diag d = {0};
    net *n = net_new(&a);
    (void)state;
    int x = net_images(n, 20000, 20000, 3), w = net_weight(n, "w", (int[]){1, 1, 3, 8}, LAYOUT_CONV, INIT_ZERO, 0);
    assert_int_equal(net_add(n, NET_relu, (int[]){-1}, 1, NULL, "cells.0", &d), -1);
    assert_string_equal(d.where, "cells.0");
    assert_string_equal(d.message, "operand 0 of relu could not be built");
    d = (nasc_diag){0};
    net_attr attr = {.window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .groups = 1}};
    assert_int_equal(net_add(n, NET_conv, (int[]){x, w}, 2, &attr, "cells.1", &d), -1);
    assert_string_equal(d.message, "conv: the result has 2^31 elements or more");
    arena_free(&a);
}

/* Rows enough for threads, none of a few images where it can be helped, and not so many that sums outweigh maps. */
static void chunks(void **state)
{
    (void)state;
    const int of[][2] = {{1, 1},   {3, 1},   {8, 2},  {16, 4},  {32, 8}, {64, 8},
                         {80, 10}, {96, 12}, {97, 8}, {128, 8}, {256, 8}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        assert_int_equal(net_chunk_of(of[i][0]), of[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(unverified),
                                       cmocka_unit_test(leaves_by_name), cmocka_unit_test(nodes_that_cannot_be),
                                       cmocka_unit_test(chunks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
