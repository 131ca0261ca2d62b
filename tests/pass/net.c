/* Net passes on pairs of files: pass/net/PASS/CASE/in.net becomes out.net, of fuse its groups and places. What grad
 * differentiates is the value that leaves in the slot loss. NASC_UPDATE=1 writes the outputs anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include "net/choices.h"
#include "net/gram.h"
#include "net/row_sums.h"
#include "net/shares.h"
#include "net/strides.h"

static net *run_grad(arena *a, net *n, unsigned wanted, nasc_diag *d)
{
    (void)a;
    for (int i = 0; i < n->outputs.count; i++)
        if (n->outputs.at[i].slot == SLOT_LOSS)
            return net_grad(n, n->outputs.at[i].value, wanted, d) ? n : NULL;
    diag_fail(d, DIAG_INPUT, "grad", "no output is the loss");
    return NULL;
}

static const net *run_pass(arena *a, net *n, const char *path, nasc_diag *d)
{
    if (strstr(path, "/expand/"))
        return net_expand(a, n, d);
    if (strstr(path, "/simplify/"))
        return net_simplify(a, n, d);
    if (strstr(path, "/choices/"))
        return net_add_in_choices(a, n, d);
    if (strstr(path, "/gram/"))
        return net_norms_by_gram(a, n, d);
    if (strstr(path, "/strides/"))
        return net_sample_strides(a, n, d);
    if (strstr(path, "/shares/"))
        return net_chain_shares(a, n, FUSE_TILES, d);
    if (strstr(path, "/sums/"))
        return net_split_sums(a, n, d);
    if (strstr(path, "/grad_weights/"))
        return run_grad(a, n, GRAD_WEIGHTS, d);
    if (strstr(path, "/grad_mix/"))
        return run_grad(a, n, GRAD_MIX, d);
    diag_fail(d, DIAG_INPUT, path, "no pass of this folder's name");
    return NULL;
}

static void check_pair(const char *in)
{
    arena a = {0};
    nasc_diag d = {0};
    size_t size;
    char *source = file_read(&a, in, &size, &d);
    net *n = source ? net_parse(&a, source, in, &d) : NULL;
    if (!n || !net_verify(n, &d))
        fail_msg("%s: %s", d.where, d.message);
    bool groups = strstr(in, "/fuse/");
    const net *after = groups ? n : run_pass(&a, n, in, &d);
    if (!after || !net_verify(after, &d))
        fail_msg("%s: %s: %s", in, d.where, d.message);
    text got = {.arena = &a};
    if (groups)
        fusion_print(&got, net_fuse(&a, after, FUSE_TILES));
    else
        net_print(&got, after);
    char *out = arena_printf(&a, "%.*s/out.net", (int)(strrchr(in, '/') - in), in);
    if (getenv("NASC_UPDATE"))
        assert_true(file_replace(out, got.at, got.length, &d));
    char *want = file_read(&a, out, &size, &d);
    if (!want)
        fail_msg("%s: %s", d.where, d.message);
    if (strcmp(got.at, want) != 0)
        fail_msg("%s: the pass yields\n%s", in, got.at);
    arena_free(&a);
}

static void pairs(void **state)
{
    glob_t found;
    (void)state;
    assert_int_equal(glob(TESTS_DIR "/pass/net/*/*/in.net", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_pair(found.gl_pathv[i]);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
