/* Norms whose sums begin with rows, on a GPU: tiles that are no whole number of rows, channels and chunks that do not fill a
 * block, more chunks than are added up at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fused_compare.h"

/* images, pointwise, norm, relu, depthwise, pointwise, norm, relu, and a linear layer. */
static const char separable[] = "slot weights 625\nslot stats 64\nslot logits 5\n"
                                "%%0 = input {slot images} : f32 Nx%dx%dx5\n"
                                "%%1 = input {slot weights} : f32 1x1x5x20\n"
                                "%%2 = conv %%0, %%1 {k 1x1 s 1x1 d 1x1 g 1} : f32 Nx%dx%dx20\n"
                                "%%3 = input {slot stats} : f32 1x1x2x20\n"
                                "%%4 = input {slot weights offset 100} : f32 1x1x1x20\n"
                                "%%5 = input {slot weights offset 120} : f32 1x1x1x20\n"
                                "%%6 = batch_norm %%2, %%3, %%4, %%5 {eps 0.01 momentum 0.1 train} : f32 Nx%dx%dx20\n"
                                "%%7 = relu %%6 : f32 Nx%dx%dx20\n"
                                "%%8 = input {slot weights offset 140} : f32 3x3x1x20\n"
                                "%%9 = conv %%7, %%8 {k 3x3 s 1x1 d 1x1 p 1,1,1,1 g 20} : f32 Nx%dx%dx20\n"
                                "%%10 = input {slot weights offset 320} : f32 1x1x20x12\n"
                                "%%11 = conv %%9, %%10 {k 1x1 s 1x1 d 1x1 g 1} : f32 Nx%dx%dx12\n"
                                "%%12 = input {slot stats offset 40} : f32 1x1x2x12\n"
                                "%%13 = batch_norm %%11, %%12 {eps 0.01 momentum 0.1 train} : f32 Nx%dx%dx12\n"
                                "%%14 = relu %%13 : f32 Nx%dx%dx12\n"
                                "%%15 = global_pool %%14 : f32 Nx1x1x12\n"
                                "%%16 = input {slot weights offset 560} : f32 1x1x12x5\n"
                                "%%17 = linear %%15, %%16 : f32 Nx1x1x5\n"
                                "%%18 = input {slot labels} : i32 Nx1x1x1\n"
                                "%%19 = softmax_xent %%17, %%18 : f32 Nx1x1x1\n"
                                "%%20 = batch_mean %%19 : f32 1x1x1x1\n"
                                "out %%17 logits 0\nout %%20 loss 0\n";

/* The same without the depthwise convolution, of channels that fill a block: its sources and results fill shared memory. */
static const char wide[] = "slot weights 4736\nslot stats 256\nslot logits 5\n"
                           "%0 = input {slot images} : f32 Nx4x28x5\n"
                           "%1 = input {slot weights} : f32 1x1x5x64\n"
                           "%2 = conv %0, %1 {k 1x1 s 1x1 d 1x1 g 1} : f32 Nx4x28x64\n"
                           "%3 = input {slot stats} : f32 1x1x2x64\n"
                           "%4 = batch_norm %2, %3 {eps 0.01 momentum 0.1 train} : f32 Nx4x28x64\n"
                           "%5 = relu %4 : f32 Nx4x28x64\n"
                           "%6 = input {slot weights offset 320} : f32 1x1x64x64\n"
                           "%7 = conv %5, %6 {k 1x1 s 1x1 d 1x1 g 1} : f32 Nx4x28x64\n"
                           "%8 = input {slot stats offset 128} : f32 1x1x2x64\n"
                           "%9 = batch_norm %7, %8 {eps 0.01 momentum 0.1 train} : f32 Nx4x28x64\n"
                           "%10 = relu %9 : f32 Nx4x28x64\n"
                           "%11 = global_pool %10 : f32 Nx1x1x64\n"
                           "%12 = input {slot weights offset 4416} : f32 1x1x64x5\n"
                           "%13 = linear %11, %12 : f32 Nx1x1x5\n"
                           "%14 = input {slot labels} : i32 Nx1x1x1\n"
                           "%15 = softmax_xent %13, %14 : f32 Nx1x1x1\n"
                           "%16 = batch_mean %15 : f32 1x1x1x1\n"
                           "out %13 logits 0\nout %16 loss 0\n";

static void run_map(int h, int w, int batch)
{
    arena a = {0};
    nasc_diag d = {0};
    text t = {.arena = &a};
    char what[64];
    snprintf(what, sizeof what, "%d maps of %dx%d", batch, h, w);
    text_add(&t, separable, h, w, h, w, h, w, h, w, h, w, h, w, h, w, h, w);
    net *n = net_parse(&a, t.at, what, &d);
    fail_with(&d, what);
    compare_fused(n, GRAD_WEIGHTS, batch, 0, false, 5, NULL, what);
    arena_free(&a);
}

static void whole_rows(void **state)
{
    (void)state;
    run_map(4, 8, 3);
    run_map(8, 16, 1);
}

static void parts_of_tiles(void **state)
{
    (void)state;
    run_map(5, 12, 9);
    run_map(6, 28, 2);
    run_map(3, 7, 2);
}

static void many_chunks(void **state)
{
    (void)state;
    run_map(4, 8, 70);
}

/* Few images get narrower blocks: what is compared, and what is only looked at. */
static void full_blocks(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    net *n = net_parse(&a, wide, "wide", &d);
    fail_with(&d, "wide");
    compare_fused(n, GRAD_WEIGHTS, 2, 0, false, 5, NULL, "wide");
    pipeline_options o = {.batch = 128, .grad = GRAD_WEIGHTS};
    program *p = pipeline_compile(&a, n, &target_gpus[0], &o, &d);
    fail_with(&d, "wide");
    check_shared(p, &target_gpus[0], "wide");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_rows), cmocka_unit_test(parts_of_tiles),
                                       cmocka_unit_test(many_chunks), cmocka_unit_test(full_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
