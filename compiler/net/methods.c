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
    leave(p, madd(p, away, scalar(p, SCALAR_ADVANTAGE), alphas(p, BIND_GRAD)), BIND_VALUE_OUT, 0, p->shape->alphas);
}

/* What is not marked has so little of the softmax that its exponential is 0. */
static void build_gates(method_pen *p)
{
    const double far = 1e4;
    int loss = scalar(p, SCALAR_LOSS_SCALE), price = scalar(p, SCALAR_COST_SCALE);
    for (int k = 0; k < p->shape->kind_count; k++) {
        const method_rows *rows = &p->shape->kinds[k];
        int off = madd(p, part(p, BIND_SAMPLE, rows), constant(p, far), constant(p, -far));
        int q = one(p, NET_row_softmax, two(p, NET_add, part(p, BIND_VALUE, rows), off));
        int g = madd(p, part(p, BIND_COST, rows), price, two(p, NET_mul, part(p, BIND_GRAD, rows), loss));
        leave(p, two(p, NET_row_softmax_dx, q, g), BIND_VALUE_OUT, rows->offset, p->shape->alphas);
    }
}

static void build_rescale(method_pen *p)
{
    for (int k = 0; k < p->shape->kind_count; k++) {
        const method_rows *rows = &p->shape->kinds[k];
        int operand[] = {part(p, BIND_VALUE, rows), part(p, BIND_GRAD, rows), part(p, BIND_SAMPLE, rows)};
        leave(p, net_add(p->n, NET_row_rescale, operand, 3, NULL, NULL, p->d), BIND_VALUE_OUT, rows->offset,
              p->shape->alphas);
    }
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

/* A stretch of what is laid out like the weights, or of their gradients. */
static int stretch(method_pen *p, enum method_binding b, const net_path *path)
{
    net_attr attr = {.slot = SLOT_USER + b, .offset = b == BIND_GRAD ? path->grad : path->offset};
    attr.type = (net_type){DT_F32, false, 1, 1, 1, (int)path->count};
    p->n->slot_size[attr.slot] = b == BIND_GRAD ? p->shape->paths->grad_elements : p->shape->weights;
    return net_add(p->n, NET_input, NULL, 0, &attr, NULL, p->d);
}

/* Adds Σ x² of the gradients of a region, computed there, to `sum` (-1: none yet). */
static int squares(method_pen *p, int region, int sum)
{
    for (int i = 0; i < p->shape->paths->at.count; i++) {
        const net_path *path = &p->shape->paths->at.at[i];
        if (path->region != region)
            continue;
        p->n->region = region;
        int next = one(p, NET_norm2, stretch(p, BIND_GRAD, path));
        sum = sum < 0 ? next : two(p, NET_add, sum, next);
    }
    p->n->region = 0;
    return sum;
}

/* Σ x² of all gradients that there are: those of a choice are its active candidate's. */
static int all_squares(method_pen *p)
{
    int sum = squares(p, 0, -1), result[NET_OPERANDS_MAX];
    for (int first = 1; first < p->n->regions.count;) {
        int candidates = net_region_candidates(p->n, first);
        for (int k = 0; k < candidates; k++) {
            result[k] = squares(p, first + k, -1);
            result[k] = result[k] < 0 ? constant(p, 0) : result[k];
        }
        int chosen = net_select_end(p->n, first, result, candidates, NULL, p->d);
        sum = sum < 0 ? chosen : two(p, NET_add, sum, chosen);
        first += candidates;
    }
    return sum < 0 ? constant(p, 0) : sum;
}

static void step_stretch(method_pen *p, const net_path *path, int factor)
{
    int64_t size = p->shape->weights;
    int value = stretch(p, BIND_VALUE, path), momentum = scalar(p, SCALAR_MOMENTUM);
    int clipped = two(p, NET_mul, stretch(p, BIND_GRAD, path), factor);
    int decayed = madd(p, value, scalar(p, SCALAR_DECAY), clipped);
    int buffer = madd(p, stretch(p, BIND_FIRST, path), momentum, decayed);
    int step = p->shape->nesterov ? madd(p, buffer, momentum, decayed) : buffer;
    leave(p, two(p, NET_sub, value, two(p, NET_mul, step, scalar(p, SCALAR_LR))), BIND_VALUE_OUT, path->offset, size);
    leave(p, buffer, BIND_FIRST_OUT, path->offset, size);
}

static void build_sgd(method_pen *p)
{
    const net_paths *paths = p->shape->paths;
    for (int r = 1; r < p->shape->regions; r++)
        VEC_PUSH(p->n->arena, &p->n->regions, p->shape->region[r]);
    int length = one(p, NET_square_root, all_squares(p));
    int bound = two(p, NET_divide, scalar(p, SCALAR_CLIP), two(p, NET_add, length, constant(p, 1e-6)));
    int factor = two(p, NET_minimum, constant(p, 1), bound);
    for (int i = 0; i < paths->at.count; i++) {
        p->n->region = paths->at.at[i].region;
        step_stretch(p, &paths->at.at[i], factor);
    }
    p->n->region = 0;
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
    method_shape shape = {.weights = n->slot_size[SLOT_WEIGHTS],
                          .alphas = n->slot_size[SLOT_MIX],
                          .paths = net_paths_of(a, n),
                          .region = n->regions.at,
                          .regions = n->regions.count};
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
