/* What quantise refuses: a net by text, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "uses/quantise.h"

static const char leaves[] = "slot weights 200000\n"
                             "%0 = input {slot images} : f32 Nx8x8x4 \"images\"\n"
                             "%1 = input {slot weights} : f32 3x3x4x8 \"w\"\n"
                             "%2 = input {slot weights offset 512} : f32 3x3x2x8 \"grouped\"\n"
                             "%3 = input {slot weights offset 1024} : f32 1x1x1x4 \"v\"\n";

static const struct refusal {
    const char *lines, *where, *message;
} refusals[] = {
    {"%4 = sigmoid %0 : f32 Nx8x8x4 \"gate\"\nout %4 logits 0", "gate", "int8 has no sigmoid"},
    {"%4 = slice %0 {begin 1 count 2} : f32 Nx8x8x2 \"part\"\nout %4 logits 0", "part", "int8 has no slice"},
    {"%4 = conv %0, %2 {k 3x3 s 1x1 d 1x1 p 1,1,1,1 g 2} : f32 Nx8x8x8 \"c\"\nout %4 logits 0", "c",
     "groups that are neither one"},
    {"%4 = sub %0, %3 : f32 Nx8x8x4 \"mean\"\n%5 = add %4, %0 : f32 Nx8x8x4 \"sum\"\nout %5 logits 0", "sum",
     "int8 has no add of this operand"},
    {"%4 = sub %0, %3 : f32 Nx8x8x4 \"mean\"\n%5 = relu %4 : f32 Nx8x8x4 \"r\"\nout %5 logits 0", "r",
     "int8 has no relu of this operand"},
    {"%4 = global_pool %0 : f32 Nx1x1x4 \"g\"\n%5 = add %0, %4 : f32 Nx8x8x4 \"sum\"\nout %5 logits 0", "sum",
     "maps of several shapes"},
    {"%4 = sum_pool %0 {k 3x3 s 1x1 d 1x1 p 1,1,1,1} : f32 Nx8x8x4 \"p\"\nout %4 logits 0", "p", "by itself"},
    {"%4 = sum_pool %0 {k 3x3 s 1x1 d 2x2 p 2,2,2,2} : f32 Nx8x8x4 \"p\"\n"
     "%5 = pool_scale %4 {k 3x3 s 1x1 d 2x2 p 2,2,2,2 h 8 w 8} : f32 Nx8x8x4\nout %5 logits 0",
     "p", "with dilation"},
    {"%4 = relu %0 : f32 Nx8x8x4", "int8", "no logits of images"},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const struct refusal *r = &refusals[i];
        arena a = {0};
        nasc_diag d = {0};
        inference of = {.net = net_parse(&a, arena_printf(&a, "%s%s\n", leaves, r->lines), "in.net", &d)};
        if (of.net && quantise_plan(&a, &of, &d))
            fail_msg("accepted: %s", r->lines);
        if (!strstr(d.where, r->where) || !strstr(d.message, r->message))
            fail_msg("%s\nsays %s: %s", r->lines, d.where, d.message);
        arena_free(&a);
    }
}

static void too_long_a_sum(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    static const char text[] = "slot weights 200000\n%0 = input {slot images} : f32 Nx1x1x60000 \"images\"\n"
                               "%1 = input {slot weights} : f32 1x1x60000x1 \"w\"\n"
                               "%2 = conv %0, %1 {k 1x1 s 1x1 d 1x1 g 1} : f32 Nx1x1x1 \"long\"\nout %2 logits 0\n";
    inference of = {.net = net_parse(&a, text, "in.net", &d)};
    assert_non_null(of.net);
    quantiser *q = quantise_plan(&a, &of, &d);
    assert_non_null(q);
    float *constants = NEW_ARRAY(&a, float, 200000);
    quantised result;
    assert_false(quantise_finish(q, constants, target_find("generic"), &result, &d));
    assert_string_equal(d.where, "long");
    assert_non_null(strstr(d.message, "sums of 60000 products may not fit 32 bits"));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(too_long_a_sum)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
