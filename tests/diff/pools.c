/* Pools of random windows and their gradients, alone and one behind the other: what the kernels compute is what the net
 * says, whatever the height of a tile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fused_compare.h"

enum { CLASSES = 4, NETS = 120 };

static int below(uint64_t *seed, int n)
{
    return (int)((noise(seed) + 0.5) * n);
}

/* Windows up to 6 × 6 and strides up to 6, often larger than the window; every window sees the map. */
static net_window window(uint64_t *seed, bool max, const net_type *x)
{
    net_window w = {.kh = 1 + below(seed, 6), .kw = 1 + below(seed, 6), .dh = 1, .dw = 1, .groups = 1};
    bool same = below(seed, 3) > 0; /* the map's height divides: tiles */
    w.sh = same ? 1 + below(seed, 2) : 1 + below(seed, 6);
    w.sw = same ? w.sh : 1 + below(seed, 6);
    if (max && below(seed, 4) == 0) {
        w.dh = 1 + below(seed, 2);
        w.dw = 1 + below(seed, 3);
    }
    w.top = below(seed, w.dh > 1 ? 1 : w.kh);
    w.left = below(seed, w.dw > 1 ? 1 : w.kw);
    w.bottom = w.kh - 1 > w.top ? w.kh - 1 - w.top : 0;
    w.right = below(seed, w.dw > 1 ? 1 : w.kw);
    if ((w.kh - 1) * w.dh >= x->h || (w.kw - 1) * w.dw >= x->w)
        w = (net_window){.kh = 2, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1, .top = 1, .groups = 1};
    return w;
}

static int add(net *n, enum net_prim prim, const int *operand, int count, const net_attr *attr)
{
    nasc_diag d = {0};
    int v = net_add(n, prim, operand, count, attr, NULL, &d);
    fail_with(&d, "net");
    return v;
}

static int pointwise(arena *a, net *n, int x, int out, const char *name)
{
    const int dim[4] = {1, 1, n->nodes.at[x].type.c, out};
    net_attr attr = {.window = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}};
    int operand[2] = {x, net_weight(n, arena_printf(a, "%s", name), dim, LAYOUT_CONV, INIT_UNIFORM, 1)};
    return add(n, NET_conv, operand, 2, &attr);
}

static int pool(net *n, uint64_t *seed, int x, int index)
{
    bool max = below(seed, 3) > 0;
    net_attr attr = {.window = window(seed, max, &n->nodes.at[x].type)};
    x = add(n, max ? NET_max_pool : NET_avg_pool, &x, 1, &attr);
    if (below(seed, 4) == 0)
        return add(n, NET_relu, &x, 1, NULL);
    if (below(seed, 4) == 0)
        return x;
    int operand[2] = {x, net_stats(n, index ? "bn1" : "bn0", n->nodes.at[x].type.c)};
    net_attr norm = {.eps = 1e-2, .momentum = 0.1, .train = true};
    return add(n, NET_batch_norm, operand, 2, &norm);
}

static void run_seed(uint64_t number)
{
    arena a = {0};
    uint64_t seed = number * 811 + 3;
    for (int i = 0; i < 5; i++)
        noise(&seed);
    net *n = net_new(&a);
    static const int channels[] = {1, 3, 4, 8, 12, 16, 19};
    int h = below(&seed, 2) ? 8 : 4 + below(&seed, 9), w = below(&seed, 2) ? 12 : 4 + below(&seed, 18);
    int x = net_images(n, h, w, 2);
    x = pointwise(&a, n, x, channels[below(&seed, (int)COUNT(channels))], "w0");
    int y = pool(n, &seed, x, 0);
    const net_type *t = &n->nodes.at[y].type;
    if (below(&seed, 2) && t->h > 1 && t->w > 1)
        y = pool(n, &seed, y, 1);
    if (net_type_equal(&n->nodes.at[x].type, &n->nodes.at[y].type))
        y = add(n, NET_add, (int[]){x, y}, 2, NULL);
    bool direct = below(&seed, 3) == 0;
    if (!direct)
        y = pointwise(&a, n, y, CLASSES, "w1");
    int logits = add(n, NET_global_pool, &y, 1, NULL);
    if (direct)
        logits = pointwise(&a, n, logits, CLASSES, "w1");
    int loss = add(n, NET_softmax_xent, (int[]){logits, net_labels(n)}, 2, &(net_attr){0});
    loss = add(n, NET_batch_mean, &loss, 1, NULL);
    net_output_add(n, logits, SLOT_LOGITS, 0);
    n->slot_size[SLOT_LOGITS] = CLASSES;
    net_output_add(n, loss, SLOT_LOSS, 0);
    const char *what = arena_printf(&a, "seed %llu", (unsigned long long)number);
    compare_fused(n, 1, 2 + (int)(number % 3), (int)(number % 3), number % 2, CLASSES, NULL, what);
    arena_free(&a);
}

static void random_pools(void **state)
{
    (void)state;
    uint64_t first = getenv("NASC_TEST_SEED") ? strtoull(getenv("NASC_TEST_SEED"), NULL, 10) : 1;
    int count = getenv("NASC_TEST_COUNT") ? atoi(getenv("NASC_TEST_COUNT")) : NETS;
    printf("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)first + count - 1);
    for (int i = 0; i < count; i++)
        run_seed(first + (uint64_t)i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_pools)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
