/* The methods' nets: a row each in the table of program.h, a builder each here. Weights and alphas are flat vectors;
 * what works by rows (softmax) is built once for each part of alpha. */
#include "net/methods.h"

/* The pen: the first problem stands in the diagnostic, and everything after it gives -1. */
typedef struct method_pen {
    net *n;
    const method_shape *shape;
    nasc_diag *d;
} method_pen;

static int one(method_pen *p, enum net_prim prim, int a)
{
    return net_add(p->n, prim, &a, 1, NULL, NULL, p->d);
}

static int two(method_pen *p, enum net_prim prim, int a, int b)
{
    return net_add(p->n, prim, (int[]){a, b}, 2, NULL, NULL, p->d);
}

/* x·s + y */
static int madd(method_pen *p, int x, int s, int y)
{
    return net_add(p->n, NET_madd, (int[]){x, s, y}, 3, NULL, NULL, p->d);
}

static int scalar(method_pen *p, enum method_scalar s)
{
    return net_scalar(p->n, s);
}

static int constant(method_pen *p, double value)
{
    return net_constant(p->n, (net_type){DT_F32, false, 1, 1, 1, 1}, value);
}

static int weights(method_pen *p, enum method_binding b)
{
    return net_flat(p->n, b, p->shape->weights);
}

static int alphas(method_pen *p, enum method_binding b)
{
    return net_flat(p->n, b, p->shape->alphas);
}

/* Part `rows` of alpha, or of what is laid out like it. */
static int part(method_pen *p, enum method_binding b, const method_rows *rows)
{
    net_attr attr = {.slot = SLOT_USER + b, .offset = rows->offset};
    attr.type = (net_type){DT_F32, false, 1, 1, rows->rows, rows->columns};
    p->n->slot_size[attr.slot] = p->shape->alphas;
    return net_add(p->n, NET_input, NULL, 0, &attr, NULL, p->d);
}

static void leave(method_pen *p, int value, enum method_binding b, int64_t offset, int64_t elements)
{
    p->n->slot_size[SLOT_USER + b] = elements;
    net_output_add(p->n, value, SLOT_USER + b, offset);
}

static int norm(method_pen *p, int x)
{
    return one(p, NET_square_root, one(p, NET_norm2, x));
}

/* ---- alpha ------------------------------------------------------------------------------------------------------- */

static void build_softmax(method_pen *p)
{
    for (int k = 0; k < p->shape->kind_count; k++) {
        const method_rows *rows = &p->shape->kinds[k];
        int weight = one(p, NET_row_softmax, part(p, BIND_VALUE, rows));
        leave(p, weight, BIND_VALUE_OUT, rows->offset, p->shape->alphas);
    }
}

static void build_alpha(method_pen *p)
{
    for (int k = 0; k < p->shape->kind_count; k++) {
        const method_rows *rows = &p->shape->kinds[k];
        int gradient = two(p, NET_row_softmax_dx, part(p, BIND_VALUE, rows), part(p, BIND_GRAD, rows));
        leave(p, gradient, BIND_VALUE_OUT, rows->offset, p->shape->alphas);
    }
}

static void build_alpha_2nd(method_pen *p)
{
    int lr = scalar(p, SCALAR_LR), epsilon = net_flat(p->n, BIND_EPSILON, 1);
    int factor = two(p, NET_divide, lr, two(p, NET_add, epsilon, epsilon));
    for (int k = 0; k < p->shape->kind_count; k++) {
        const method_rows *rows = &p->shape->kinds[k];
        int side = two(p, NET_sub, part(p, BIND_PLUS, rows), part(p, BIND_MINUS, rows));
        int whole = two(p, NET_sub, part(p, BIND_GRAD, rows), two(p, NET_mul, side, factor));
        int gradient = two(p, NET_row_softmax_dx, part(p, BIND_VALUE, rows), whole);
        leave(p, gradient, BIND_VALUE_OUT, rows->offset, p->shape->alphas);
    }
}

static void build_reinforce(method_pen *p)
{
    int away = two(p, NET_sub, alphas(p, BIND_VALUE), alphas(p, BIND_SAMPLE));
    leave(p, two(p, NET_mul, away, scalar(p, SCALAR_ADVANTAGE)), BIND_VALUE_OUT, 0, p->shape->alphas);
}

static void build_adam(method_pen *p)
{
    int64_t size = p->shape->alphas;
    int value = alphas(p, BIND_VALUE), gradient = alphas(p, BIND_GRAD);
    int decayed = madd(p, value, scalar(p, SCALAR_ADAM_DECAY), gradient);
    int fresh = two(p, NET_mul, decayed, scalar(p, SCALAR_BETA1_REST));
    int first = madd(p, alphas(p, BIND_FIRST), scalar(p, SCALAR_BETA1), fresh);
    int square = two(p, NET_mul, two(p, NET_mul, decayed, decayed), scalar(p, SCALAR_BETA2_REST));
    int second = madd(p, alphas(p, BIND_SECOND), scalar(p, SCALAR_BETA2), square);
    int root = two(p, NET_mul, one(p, NET_square_root, second), scalar(p, SCALAR_ADAM_ROOT));
    int ratio = two(p, NET_divide, first, two(p, NET_add, root, scalar(p, SCALAR_ADAM_EPS)));
    int result = two(p, NET_sub, value, two(p, NET_mul, ratio, scalar(p, SCALAR_ADAM_LR)));
    leave(p, result, BIND_VALUE_OUT, 0, size);
    leave(p, first, BIND_FIRST_OUT, 0, size);
    leave(p, second, BIND_SECOND_OUT, 0, size);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static void build_sgd(method_pen *p)
{
    int64_t size = p->shape->weights;
    int value = weights(p, BIND_VALUE), gradient = weights(p, BIND_GRAD), momentum = scalar(p, SCALAR_MOMENTUM);
    int bound = two(p, NET_divide, scalar(p, SCALAR_CLIP), two(p, NET_add, norm(p, gradient), constant(p, 1e-6)));
    int clipped = two(p, NET_mul, gradient, two(p, NET_minimum, constant(p, 1), bound));
    int decayed = madd(p, value, scalar(p, SCALAR_DECAY), clipped);
    int buffer = madd(p, weights(p, BIND_FIRST), momentum, decayed);
    int step = p->shape->nesterov ? madd(p, buffer, momentum, decayed) : buffer;
    leave(p, two(p, NET_sub, value, two(p, NET_mul, step, scalar(p, SCALAR_LR))), BIND_VALUE_OUT, 0, size);
    leave(p, buffer, BIND_FIRST_OUT, 0, size);
}

static void build_unroll(method_pen *p)
{
    int value = weights(p, BIND_VALUE);
    int decayed = madd(p, value, scalar(p, SCALAR_DECAY), weights(p, BIND_GRAD));
    int step = madd(p, weights(p, BIND_FIRST), scalar(p, SCALAR_MOMENTUM), decayed);
    int result = two(p, NET_sub, value, two(p, NET_mul, step, scalar(p, SCALAR_LR)));
    leave(p, result, BIND_VALUE_OUT, 0, p->shape->weights);
}

static void build_perturb(method_pen *p)
{
    int value = weights(p, BIND_VALUE), direction = weights(p, BIND_GRAD);
    int epsilon = two(p, NET_divide, scalar(p, SCALAR_RADIUS), norm(p, direction));
    int move = two(p, NET_mul, direction, epsilon);
    leave(p, two(p, NET_add, value, move), BIND_PLUS, 0, p->shape->weights);
    leave(p, two(p, NET_sub, value, move), BIND_MINUS, 0, p->shape->weights);
    leave(p, epsilon, BIND_EPSILON, 0, 1);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void (*const builders[METHOD_COUNT])(method_pen *p) = {
#define X(name) [METHOD_##name] = build_##name,
    NET_METHODS(X)
#undef X
};

method_shape method_shape_of(arena *a, const net *n)
{
    method_shape shape = {.weights = n->slot_size[SLOT_WEIGHTS], .alphas = n->slot_size[SLOT_MIX]};
    method_rows *kinds = NEW_ARRAY(a, method_rows, n->params.count);
    for (int i = 0; i < n->params.count; i++) {
        const net_param *q = &n->params.at[i];
        if (q->slot == SLOT_MIX)
            kinds[shape.kind_count++] = (method_rows){q->offset, q->dim[2], q->dim[3]};
    }
    shape.kinds = kinds;
    return shape;
}

net *method_build(arena *a, enum net_method method, const method_shape *shape, nasc_diag *d)
{
    method_pen p = {net_new(a), shape, d};
    builders[method](&p);
    return d->kind == DIAG_NONE ? p.n : NULL;
}
