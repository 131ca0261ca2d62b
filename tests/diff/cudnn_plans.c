/* cuDNN itself, where it is installed, makes plans for every dense convolution of the published spaces and their gradients,
 * for GPUs that are not here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "emit/cudnn.h"
#include "fused_compare.h"
#include "net/library.h"
#include "net/settle.h"
#include "uses/objective.h"
#include "space/space.h"

enum { BATCH = 64, WORKSPACE_MOST = 32 << 20 };

static const char *const spaces[] = {"darts", "nasbench201", "proxyless"};

typedef struct tally {
    int asked, taken;
    int64_t workspace; /* most */
} tally;

static bool is_dense(const net *n, int node)
{
    const net_node *v = &n->nodes.at[node];
    bool conv = v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw;
    const net_window *w = &v->attr.window;
    return conv && w->groups == 1 && w->top >= 0 && w->left >= 0 && w->bottom >= 0 && w->right >= 0;
}

static void ask(cudnn *c, const net *n, const char *what, tally *t)
{
    arena a = {0};
    const int *owner = net_owners(&a, n);
    for (int i = 0; i < n->nodes.count; i++) {
        nasc_diag d = {0};
        int64_t workspace = 0;
        if (!is_dense(n, i))
            continue;
        program_conv conv = net_library_conv(n, i, owner);
        t->asked++;
        if (!cudnn_takes(c, &conv, BATCH, WORKSPACE_MOST, &workspace, &d))
            print_error("%s, %s %s: %s\n", what, net_prim_info[n->nodes.at[i].prim].name, n->nodes.at[i].name,
                        d.message);
        else
            t->taken++;
        t->workspace = workspace > t->workspace ? workspace : t->workspace;
    }
    arena_free(&a);
}

/* The net of the weights' pass of a search, as the library's pass would see it. */
static const net *settled(arena *a, const char *name)
{
    char file[512];
    nasc_diag d = {0};
    objective o;
    settings set;
    snprintf(file, sizeof file, "%s/genotypes/spaces/%s.json", SOURCE_DIR, name);
    space *s = space_read(file, &d);
    fail_with(&d, file);
    settings_defaults(&set, SETTINGS_DARTS);
    settings_from_space(&set, s);
    objective_build(s, &set, USE_WEIGHTS, a, &o, &d);
    fail_with(&d, file);
    net *n = net_with_gradient(a, o.built.net, o.grad, &d);
    n = n ? net_simplify(a, n, &d) : NULL;
    n = n ? net_settle(a, n, &d) : NULL;
    fail_with(&d, file);
    space_free(s);
    return n;
}

static void every_convolution(void **state)
{
    (void)state;
    int missing = 0;
    for (size_t k = 0; k < COUNT(spaces); k++) {
        arena a = {0};
        const net *n = settled(&a, spaces[k]);
        for (int g = 0; g < 2 * cudnn_gpu_count; g++) {
            nasc_diag d = {0};
            const cudnn_gpu *gpu = &cudnn_gpus[g / 2];
            tally t = {0};
            cudnn *c = cudnn_open(gpu, g % 2, &d);
            if (!c) {
                assert_int_equal(d.kind, DIAG_DEVICE);
                printf("skipped, plans of cuDNN for %s: %s: %s\n", gpu->name, d.where, d.message);
                continue;
            }
            ask(c, n, spaces[k], &t);
            printf("%s, %s, %s: %d of %d have a plan, which works in %.1f MiB at most\n", spaces[k], gpu->name,
                   g % 2 ? "tf32" : "float32", t.taken, t.asked, (double)t.workspace / 1048576);
            missing += t.asked - t.taken;
            assert_true(t.asked > 100);
            cudnn_close(c);
        }
        arena_free(&a);
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_convolution)};
    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
