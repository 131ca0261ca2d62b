/* Nets that ONNX has no nodes for are refused, with the place and the primitive's name, and no file is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "emit/onnx.h"

static const char path[] = "/tmp/nasc-error-onnx.onnx";

static void refused(const net *n, int logits, const char *where, const char *message)
{
    nasc_diag d = {0};
    onnx_sizes sizes;
    onnx_model m = {.net = n, .logits = logits, .name = "refused", .facts = ""};
    unlink(path);
    assert_false(export_onnx(&m, path, &sizes, &d));
    assert_int_equal(d.kind, DIAG_INPUT);
    assert_string_equal(d.where, where);
    assert_string_equal(d.message, message);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void primitive_without_a_row(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    net *n = net_new(&a);
    int x = net_images(n, 4, 4, 3);
    int root = net_add(n, NET_square_root, &x, 1, NULL, "cells.0.root", &d);
    refused(n, root, "cells.0.root", "square_root has no counterpart in ONNX");
    arena_free(&a);
}

static void window_that_cuts(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    net *n = net_new(&a);
    int x = net_images(n, 4, 4, 3);
    net_attr attr = {.window = {.kh = 2, .kw = 2, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .top = -1, .groups = 1}};
    int pool = net_add(n, NET_max_pool, &x, 1, &attr, "pool", &d);
    assert_true(pool >= 0);
    refused(n, pool, "pool", "max_pool cuts off its input's edge, which ONNX's windows do not");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(primitive_without_a_row), cmocka_unit_test(window_that_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
