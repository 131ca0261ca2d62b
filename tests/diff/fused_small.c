/* Kernels of small tensors read memory alone: what has none, a slice or a constant, is given some. The statistics of a
 * map of few pixels (bn_exact) are such a kernel, and the gradient of a linear layer of many weights (linear_dw). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fused_compare.h"

/* The norm of %1, or of what `middle` makes of it as %2, trained through its scale and shift. */
static void run_net(const char *middle, int normed, const char *what)
{
    arena a = {0};
    nasc_diag d = {0};
    text t = {.arena = &a};
    text_add(&t,
             "slot weights 31\nslot stats 6\nslot logits 5\n"
             "%%0 = input {slot images} : f32 Nx3x4x5\n%s",
             middle);
    int v = normed;
    text_add(&t, "%%%d = input {slot stats} : f32 1x1x2x3\n%%%d = input {slot weights} : f32 1x1x1x3\n", v + 1, v + 2);
    text_add(&t, "%%%d = input {slot weights offset 3} : f32 1x1x1x3\n", v + 3);
    text_add(&t, "%%%d = batch_norm %%%d, %%%d, %%%d, %%%d {eps 0.01 momentum 0.1 train} : f32 Nx3x4x3\n", v + 4, v,
             v + 1, v + 2, v + 3);
    text_add(&t, "%%%d = relu %%%d : f32 Nx3x4x3\n%%%d = global_pool %%%d : f32 Nx1x1x3\n", v + 5, v + 4, v + 6, v + 5);
    text_add(&t, "%%%d = input {slot weights offset 6} : f32 1x1x3x5\n", v + 7);
    text_add(&t, "%%%d = linear %%%d, %%%d : f32 Nx1x1x5\n%%%d = input {slot labels} : i32 Nx1x1x1\n", v + 8, v + 6,
             v + 7, v + 9);
    text_add(&t, "%%%d = softmax_xent %%%d, %%%d : f32 Nx1x1x1\n%%%d = batch_mean %%%d : f32 1x1x1x1\n", v + 10, v + 8,
             v + 9, v + 11, v + 10);
    text_add(&t, "out %%%d logits 0\nout %%%d loss 0\n", v + 8, v + 11);
    net *n = net_parse(&a, t.at, what, &d);
    fail_with(&d, what);
    for (int batch = 1; batch <= 9; batch += 4)
        compare_fused(n, GRAD_WEIGHTS, batch, 0, batch > 1, 5, NULL, what);
    arena_free(&a);
}

static void slice_of_images(void **state)
{
    (void)state;
    run_net("%1 = slice %0 {begin 1 count 3} : f32 Nx3x4x3\n", 1, "a slice of images");
}

static void slice_of_a_map(void **state)
{
    (void)state;
    run_net("%1 = sigmoid %0 : f32 Nx3x4x5\n%2 = slice %1 {begin 2 count 3} : f32 Nx3x4x3\n", 2, "a slice of a map");
}

static void slice_of_a_slice(void **state)
{
    (void)state;
    run_net("%1 = slice %0 {begin 1 count 4} : f32 Nx3x4x4\n%2 = slice %1 {begin 1 count 3} : f32 Nx3x4x3\n", 2,
            "a slice of a slice");
}

static void constant(void **state)
{
    (void)state;
    run_net("%1 = slice %0 {begin 1 count 3} : f32 Nx3x4x3\n%2 = zero %1 {k 1x1 s 1x1 d 1x1 g 1} : f32 Nx3x4x3\n", 2,
            "zeros");
}

/* A linear layer from `rows` features to `columns`, and one more to the classes. */
static void run_linear(int rows, int columns)
{
    arena a = {0};
    nasc_diag d = {0};
    text t = {.arena = &a};
    int hidden = rows * columns;
    char what[64];
    snprintf(what, sizeof what, "linear, %d x %d", rows, columns);
    text_add(&t, "slot weights %d\nslot logits 5\n%%0 = input {slot images} : f32 Nx1x1x%d\n", hidden + columns * 5,
             rows);
    text_add(&t, "%%1 = input {slot weights} : f32 1x1x%dx%d\n", rows, columns);
    text_add(&t, "%%2 = linear %%0, %%1 : f32 Nx1x1x%d\n%%3 = tanh %%2 : f32 Nx1x1x%d\n", columns, columns);
    text_add(&t, "%%4 = input {slot weights offset %d} : f32 1x1x%dx5\n", hidden, columns);
    text_add(&t, "%%5 = linear %%3, %%4 : f32 Nx1x1x5\n%%6 = input {slot labels} : i32 Nx1x1x1\n"
                 "%%7 = softmax_xent %%5, %%6 : f32 Nx1x1x1\n%%8 = batch_mean %%7 : f32 1x1x1x1\n"
                 "out %%5 logits 0\nout %%8 loss 0\n");
    net *n = net_parse(&a, t.at, what, &d);
    fail_with(&d, what);
    for (int batch = 1; batch <= 9; batch += 4)
        compare_fused(n, GRAD_WEIGHTS, batch, 0, batch > 1, 5, NULL, what);
    arena_free(&a);
}

/* Vectors and what is left, rows that blocks divide and a prime number of them, a column; both layers. */
static void linear_of_many_weights(void **state)
{
    (void)state;
    run_linear(64, 64);
    run_linear(67, 61);
    run_linear(37, 1021);
    run_linear(4099, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slice_of_images), cmocka_unit_test(slice_of_a_map),
                                       cmocka_unit_test(slice_of_a_slice), cmocka_unit_test(constant),
                                       cmocka_unit_test(linear_of_many_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
