/* Random nets of every primitive: what fuse, the lowering and the plan make of them computes what the net says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fused_compare.h"

enum { VALUES = 12, CLASSES = 5 };
enum nets { PLAIN, SELECTS, STRIDES };

typedef struct maker {
    arena *a;
    net *n;
    uint64_t seed;
    int values[64], count;
    int names;
    bool train;
    enum nets what;
    nasc_diag d;
} maker;

static int below(maker *m, int n)
{
    return (int)((noise(&m->seed) + 0.5) * n);
}

static const char *fresh(maker *m, const char *what)
{
    return arena_printf(m->a, "%s%d", what, m->names++);
}

static const net_type *type(const maker *m, int v)
{
    return &m->n->nodes.at[v].type;
}

static int add(maker *m, enum net_prim prim, const int *operand, int count, const net_attr *attr)
{
    nasc_diag refused = {0}; /* a draw that does not fit is drawn again */
    return net_add(m->n, prim, operand, count, attr, NULL, &refused);
}

static net_window window(maker *m, bool symmetric)
{
    net_window w = {.kh = 1 + below(m, 4), .kw = 1 + below(m, 4), .sh = 1 + below(m, 2), .dh = 1, .dw = 1, .groups = 1};
    w.sw = below(m, 3) == 0 ? 1 + below(m, 3) : w.sh;
    if (!symmetric && below(m, 3) == 0)
        w.dh = w.dw = 2;
    w.top = below(m, w.kh);
    w.left = below(m, w.kw);
    w.bottom = below(m, w.kh);
    w.right = below(m, w.kw);
    return w;
}

/* A pointwise convolution that leaves out pixels, and may read zeros beyond the map. */
static net_window sampling(maker *m)
{
    net_window w = {.kh = 1, .kw = 1, .sh = 1 + below(m, 4), .sw = 1 + below(m, 3), .dh = 1, .dw = 1, .groups = 1};
    w.top = -below(m, w.sh);
    w.left = -below(m, w.sw);
    w.bottom = -w.top - (below(m, 4) ? 0 : below(m, 2));
    w.right = -w.left - (below(m, 4) ? 0 : below(m, 2));
    return w;
}

static int make_conv(maker *m, int x)
{
    int c = type(m, x)->c, groups = 1, out = 1 + below(m, 10);
    net_attr attr = {.window = window(m, false)};
    if (below(m, 2)) { /* depthwise, or depthwise with a multiplier */
        groups = c;
        out = c * (1 + (below(m, 4) == 0));
    } else if (c % 2 == 0 && below(m, 3) == 0) {
        groups = 2;
        out = 2 * (1 + below(m, 5));
    }
    attr.window.groups = groups;
    if (below(m, 3) == 0)
        attr.window = (net_window){1, 1, 1, 1, 1, 1, 0, 0, 0, 0, groups};
    if (m->what == STRIDES && below(m, 2)) {
        groups = 1;
        out = 1 + below(m, 20);
        attr.window = sampling(m);
    }
    const int dim[4] = {attr.window.kh, attr.window.kw, c / groups, out};
    int w = net_weight(m->n, fresh(m, "w"), dim, LAYOUT_CONV, INIT_UNIFORM, 1);
    int bias = -1, operand[3] = {x, w, 0};
    if (below(m, 3) == 0) {
        const int vector[4] = {1, 1, 1, out};
        operand[2] = bias = net_weight(m->n, fresh(m, "b"), vector, LAYOUT_VECTOR, INIT_UNIFORM, 1);
    }
    return add(m, NET_conv, operand, bias < 0 ? 2 : 3, &attr);
}

static int make_norm(maker *m, int x)
{
    int c = type(m, x)->c, operand[4] = {x, 0, 0, 0}, count = 2;
    const int vector[4] = {1, 1, 1, c};
    const char *name = fresh(m, "bn");
    operand[1] = net_stats(m->n, name, c);
    if (below(m, 2)) {
        operand[count++] = net_weight(m->n, fresh(m, "gamma"), vector, LAYOUT_VECTOR, INIT_ONE, 0);
        operand[count++] = net_weight(m->n, fresh(m, "beta"), vector, LAYOUT_VECTOR, INIT_ZERO, 0);
    }
    net_attr attr = {.eps = 1e-2, .momentum = 0.1, .train = m->train, .move = m->train && below(m, 2)};
    return add(m, NET_batch_norm, operand, count, &attr);
}

static int make_pool(maker *m, int x)
{
    net_attr attr = {.window = window(m, true)};
    attr.window.top = below(m, attr.window.kh / 2 + 1);
    attr.window.left = below(m, attr.window.kw / 2 + 1);
    attr.window.bottom = attr.window.top;
    attr.window.right = attr.window.left;
    return add(m, below(m, 2) ? NET_max_pool : NET_avg_pool, &x, 1, &attr);
}

static int make_activation(maker *m, int x)
{
    static const enum net_prim acts[] = {NET_relu,         NET_relu,    NET_relu6, NET_hard_swish,
                                         NET_hard_sigmoid, NET_sigmoid, NET_tanh};
    return add(m, acts[below(m, (int)COUNT(acts))], &x, 1, NULL);
}

/* Another value of the same shape, or -1. */
static int mate(maker *m, int x)
{
    int found[64], count = 0;
    for (int i = 0; i < m->count; i++)
        if (net_type_equal(type(m, m->values[i]), type(m, x)))
            found[count++] = m->values[i];
    return count ? found[below(m, count)] : -1;
}

static int make_mix(maker *m, int x)
{
    int operand[4] = {net_mix_weights(m->n, "alpha", 2, 3), x, mate(m, x), mate(m, x)};
    int pick[3] = {0, 2, 1};
    net_attr attr = {.row = below(m, 2), .pick = pick};
    return add(m, NET_mix, operand, 4, &attr);
}

/* x · sigmoid(W · pool(x)): squeeze and excite. */
static int make_gate(maker *m, int x)
{
    int c = type(m, x)->c, g = add(m, NET_global_pool, &x, 1, NULL);
    const int dim[4] = {1, 1, c, c};
    int operand[2] = {g, net_weight(m->n, fresh(m, "se"), dim, LAYOUT_LINEAR, INIT_UNIFORM, 1)};
    g = add(m, NET_linear, operand, 2, NULL);
    g = add(m, NET_sigmoid, &g, 1, NULL);
    return add(m, NET_mul, (int[]){x, g}, 2, NULL);
}

static int make_channels(maker *m, int x)
{
    int c = type(m, x)->c;
    net_attr attr = {.window = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}};
    switch (below(m, 3)) {
    case 0:
        return add(m, NET_concat, (int[]){x, mate(m, x)}, 2, NULL);
    case 1:
        attr.begin = below(m, c);
        attr.count = 1 + below(m, c - attr.begin);
        return add(m, NET_slice, &x, 1, &attr);
    default:
        attr.window.groups = c % 2 == 0 ? 2 : c;
        return add(m, NET_shuffle, &x, 1, &attr);
    }
}

static int make_pad(maker *m, int x)
{
    net_attr attr = {.window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .groups = 1}};
    int d = 1 + below(m, 1);
    attr.window.top = attr.window.left = below(m, 2) ? d : -d;
    attr.window.bottom = attr.window.right = below(m, 2) ? -attr.window.top : attr.window.top;
    return add(m, NET_pad, &x, 1, &attr);
}

/* Two candidates of one shape, the first a convolution, the second a map. */
static int make_select(maker *m, int x, int choice)
{
    int first = net_select_begin(m->n, choice, 2), result[2], c = type(m, x)->c;
    const int dim[4] = {3, 3, 1, c};
    net_region_begin(m->n, first, 0);
    int w = net_weight(m->n, fresh(m, "w"), dim, LAYOUT_CONV, INIT_UNIFORM, 1);
    net_attr attr = {.window = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1, c}};
    result[0] = make_norm(m, add(m, NET_conv, (int[]){x, w}, 2, &attr));
    net_region_end(m->n);
    net_region_begin(m->n, first, 1);
    result[1] = below(m, 2) ? x : make_activation(m, x);
    net_region_end(m->n);
    return net_select_end(m->n, first, result, 2, fresh(m, "select"), &m->d);
}

static int make_value(maker *m)
{
    int x = m->values[below(m, 2) ? m->count - 1 : below(m, m->count)];
    switch (below(m, 12)) {
    case 0:
    case 1:
    case 2:
        return make_conv(m, x);
    case 3:
    case 4:
        return make_norm(m, x);
    case 5:
        return make_pool(m, x);
    case 6:
        return make_activation(m, x);
    case 7:
        return add(m, NET_add, (int[]){x, mate(m, x)}, 2, NULL);
    case 8:
        return make_mix(m, x);
    case 9:
        return make_gate(m, x);
    case 10:
        return make_channels(m, x);
    default:
        return make_pad(m, x);
    }
}

static void finish(maker *m)
{
    int x = m->values[m->count - 1], pooled = add(m, NET_global_pool, &x, 1, NULL);
    const int dim[4] = {1, 1, type(m, pooled)->c, CLASSES}, vector[4] = {1, 1, 1, CLASSES};
    int operand[3] = {pooled, net_weight(m->n, "head", dim, LAYOUT_LINEAR, INIT_UNIFORM, 1),
                      net_weight(m->n, "head_bias", vector, LAYOUT_VECTOR, INIT_UNIFORM, 1)};
    int logits = add(m, NET_linear, operand, 3, NULL);
    net_attr attr = {.value = below(m, 2) ? 0.1 : 0};
    int loss = add(m, NET_softmax_xent, (int[]){logits, net_labels(m->n)}, 2, &attr);
    loss = add(m, NET_batch_mean, &loss, 1, NULL);
    net_output_add(m->n, logits, SLOT_LOGITS, 0);
    m->n->slot_size[SLOT_LOGITS] = CLASSES;
    net_output_add(m->n, loss, SLOT_LOSS, 0);
}

static void run_seed(uint64_t seed, enum nets nets)
{
    static const char *const kinds[] = {"", ", selects", ", strides"};
    arena a = {0};
    char what[64];
    snprintf(what, sizeof what, "seed %llu%s", (unsigned long long)seed, kinds[nets]);
    maker m = {.a = &a, .n = net_new(&a), .seed = seed * 977 + 1, .train = seed % 4 != 0, .what = nets};
    for (int i = 0; i < 5; i++)
        noise(&m.seed);
    int most = nets == STRIDES ? 18 : 9;
    m.values[m.count++] = net_images(m.n, 2 + below(&m, most), 2 + below(&m, most), 1 + below(&m, most));
    for (int tries = 0; m.count < VALUES && tries < 100; tries++) {
        int v = make_value(&m);
        if (v >= 0 && type(&m, v)->h >= 1 && type(&m, v)->w >= 1)
            m.values[m.count++] = v;
        bool here = m.count == 4 || m.count == 8;
        if (nets == SELECTS && v >= 0 && here) {
            int choice = m.count / 8;
            m.values[m.count++] = make_select(&m, v, choice);
        }
    }
    finish(&m);
    const int active[2] = {(int)seed % 2, (int)seed / 2 % 2};
    unsigned grad = nets == STRIDES ? 1 + (unsigned)(seed / 4 % 3) : m.train ? (unsigned)(seed / 4 % 4) : 0;
    compare_fused(m.n, grad, 1 + (int)(seed % 11), (int)(seed % 3), seed % 2, CLASSES, active, what);
    arena_free(&a);
}

static void random_nets(void **state)
{
    (void)state;
    uint64_t first = getenv("NASC_TEST_SEED") ? strtoull(getenv("NASC_TEST_SEED"), NULL, 10) : 1;
    int count = getenv("NASC_TEST_COUNT") ? atoi(getenv("NASC_TEST_COUNT")) : 150;
    printf("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)first + count - 1);
    for (int i = 0; i < count; i++)
        run_seed(first + (uint64_t)i, PLAIN);
}

static void random_nets_with_selects(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++)
        run_seed(10000 + (uint64_t)i, SELECTS);
}

static void random_nets_with_strides(void **state)
{
    (void)state;
    for (int i = 0; i < 80; i++)
        run_seed(29700 + (uint64_t)i, STRIDES);
}

/* A gradient of alpha that is a hundredth of its terms. */
static void terms_that_cancel(void **state)
{
    (void)state;
    run_seed(889, PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_nets), cmocka_unit_test(random_nets_with_selects),
                                       cmocka_unit_test(random_nets_with_strides), cmocka_unit_test(terms_that_cancel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
