/* The predictor's network. */
#include "predictor.h"
#include "net/methods.h"

#include <math.h>

enum { HIDDEN = 32 };

static int linear(net *n, int x, int out, const char *name, nasc_diag *d)
{
    int in = n->nodes.at[x].type.c;
    double bound = 1 / sqrt(in);
    int w = net_weight(n, arena_printf(n->arena, "%s.weight", name), (int[]){1, 1, in, out}, LAYOUT_LINEAR,
                       INIT_UNIFORM, bound);
    int b = net_weight(n, arena_printf(n->arena, "%s.bias", name), (int[]){1, 1, 1, out}, LAYOUT_VECTOR, INIT_UNIFORM,
                       bound);
    return net_add(n, NET_linear, (int[]){x, w, b}, 3, NULL, name, d);
}

static int hidden(net *n, int x, const char *name, nasc_diag *d)
{
    int y = linear(n, x, HIDDEN, name, d);
    return net_add(n, NET_relu, &y, 1, NULL, name, d);
}

net *predictor_net(arena *a, int features, bool fit, nasc_diag *d)
{
    net *n = net_new(a);
    int all = net_images(n, 1, 1, features + 1);
    net_attr first = {.begin = 0, .count = features}, last = {.begin = features, .count = 1};
    int x = net_add(n, NET_slice, &all, 1, &first, "features", d);
    int straight = linear(n, x, 1, "straight", d);
    int bent = linear(n, hidden(n, hidden(n, x, "hidden0", d), "hidden1", d), 1, "bent", d);
    int y = net_add(n, NET_add, (int[]){straight, bent}, 2, NULL, "sum", d);
    net_output_add(n, y, SLOT_LOGITS, 0);
    n->slot_size[SLOT_LOGITS] = 1;
    if (fit) {
        int wanted = net_add(n, NET_slice, &all, 1, &last, "wanted", d);
        int error = net_add(n, NET_add, (int[]){y, wanted}, 2, NULL, "error", d);
        int square = net_add(n, NET_mul, (int[]){error, error}, 2, NULL, "square", d);
        net_output_add(n, net_add(n, NET_batch_mean, &square, 1, NULL, "loss", d), SLOT_LOSS, 0);
    }
    return d->kind == DIAG_NONE ? n : NULL;
}

net *predictor_adam(arena *a, const net *n, nasc_diag *d)
{
    return method_build(a, METHOD_adam, &(method_shape){.alphas = n->slot_size[SLOT_WEIGHTS]}, d);
}
