/* Gradients of every primitive against central differences in float64, on the reference evaluator. Each case is a small
 * net: images, a convolution, the case's body, and a head whose loss treats all pixels and channels unlike. The same
 * run tests expand (loss of the composites = loss of the core) and simplify (gradients do not change). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "net_reference.h"

enum { SIZE = 5, CHANNELS = 4, CLASSES = 3, BATCH = 9 }; /* 9 images: a whole chunk and a short one */

static uint64_t seed_now;

static double uniform(void)
{
    seed_now = seed_now * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed_now >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

typedef struct bench {
    net *n;
    nasc_diag d;
    int weights; /* numbers their names */
} bench;

static int weight(bench *b, int ky, int kx, int ci, int co)
{
    char name[32];
    snprintf(name, sizeof name, "w%d", b->weights++);
    return net_weight(b->n, name, (int[]){ky, kx, ci, co}, LAYOUT_CONV, INIT_UNIFORM, 1);
}

#define ADD(b, prim, attr, ...)                                                                                        \
    net_add((b)->n, prim, (int[]){__VA_ARGS__}, COUNT(((int[]){__VA_ARGS__})), attr, #prim, &(b)->d)

static net_attr windowed(int k, int s, int d, int p, int groups)
{
    return (net_attr){.window = {k, k, s, s, d, d, p, p, p, p, groups}};
}

static int channels_of(const bench *b, int x)
{
    return x < 0 ? 1 : b->n->nodes.at[x].type.c;
}

static int conv(bench *b, int x, int co, net_attr attr)
{
    const net_window *w = &attr.window;
    return ADD(b, NET_conv, &attr, x, weight(b, w->kh, w->kw, channels_of(b, x) / w->groups, co));
}

static int head(bench *b, int x, double smoothing)
{
    net_attr xent = {.value = smoothing};
    int labels = net_labels(b->n);
    x = conv(b, x, 5, windowed(1, 1, 1, 0, 1));
    if (b->n->nodes.at[x].type.h > 1) {
        net_attr whole = windowed(1, 1, 1, 0, 1);
        whole.window.kh = b->n->nodes.at[x].type.h;
        whole.window.kw = b->n->nodes.at[x].type.w;
        x = conv(b, ADD(b, NET_tanh, NULL, x), 4, whole);
    }
    x = ADD(b, NET_linear, NULL, x, weight(b, 1, 1, channels_of(b, x), CLASSES), weight(b, 1, 1, 1, CLASSES));
    return ADD(b, NET_batch_mean, NULL, ADD(b, NET_softmax_xent, &xent, x, labels));
}

/* The mean square of a linear layer's result. */
static int squares(bench *b, int x)
{
    int y = ADD(b, NET_global_pool, NULL, ADD(b, NET_tanh, NULL, x));
    y = ADD(b, NET_linear, NULL, y, weight(b, 1, 1, channels_of(b, y), 1), weight(b, 1, 1, 1, 1));
    return ADD(b, NET_batch_mean, NULL, ADD(b, NET_mul, NULL, y, y));
}

/* ---- the cases: bodies that take and give a value ---------------------------------------------------------------- */

static int body_conv(bench *b, int x)
{
    net_attr attr = windowed(3, 2, 1, 1, 1);
    return ADD(b, NET_conv, &attr, x, weight(b, 3, 3, CHANNELS, 6), weight(b, 1, 1, 1, 6));
}

/* Its loss is a mean of squares. */
static int body_squared(bench *b, int x)
{
    return body_conv(b, x);
}

static int body_conv_rectangular(bench *b, int x)
{
    net_attr attr = {.window = {1, 3, 1, 2, 1, 1, 0, 1, 0, 0, 1}};
    return conv(b, x, 3, attr);
}

static int body_conv_grouped(bench *b, int x)
{
    return conv(b, x, 6, windowed(3, 1, 1, 1, 2));
}

static int body_conv_depthwise(bench *b, int x)
{
    return conv(b, x, CHANNELS, windowed(3, 1, 2, 2, CHANNELS));
}

static int body_conv_multiplier(bench *b, int x)
{
    return conv(b, x, 2 * CHANNELS, windowed(3, 2, 1, 1, CHANNELS));
}

static int body_conv_one_channel(bench *b, int x)
{
    net_attr first = {.count = 1};
    return conv(b, ADD(b, NET_slice, &first, x), 3, windowed(3, 1, 1, 1, 1));
}

static int body_max_pool(bench *b, int x)
{
    net_attr attr = windowed(3, 2, 1, 1, 1);
    return ADD(b, NET_max_pool, &attr, x);
}

static int body_avg_pool(bench *b, int x)
{
    net_attr attr = windowed(3, 1, 1, 1, 1);
    return ADD(b, NET_avg_pool, &attr, x);
}

static int body_avg_pool_strided(bench *b, int x)
{
    net_attr attr = {.window = {3, 2, 2, 2, 1, 1, 1, 0, 1, 1, 1}};
    return ADD(b, NET_avg_pool, &attr, x);
}

static int body_global_pool(bench *b, int x)
{
    return ADD(b, NET_global_pool, NULL, x);
}

/* Weights whose gradient has a primitive of its own (linear_dw), and the head has as many. */
static int body_linear_large(bench *b, int x)
{
    enum { WIDE = 1024 };
    x = ADD(b, NET_global_pool, NULL, x);
    return ADD(b, NET_linear, NULL, x, weight(b, 1, 1, CHANNELS, WIDE));
}

/* Every activation, at arguments that reach its bends. */
static int body_activations(bench *b, int x)
{
    static const enum net_prim act[] = {NET_relu, NET_relu6, NET_hard_swish, NET_hard_sigmoid, NET_sigmoid, NET_tanh};
    int part[COUNT(act)], wide = ADD(b, NET_mul, NULL, x, net_constant(b->n, (net_type){DT_F32, false, 1, 1, 1, 1}, 6));
    for (size_t i = 0; i < COUNT(act); i++)
        part[i] = ADD(b, act[i], NULL, wide);
    return net_add(b->n, NET_concat, part, COUNT(act), NULL, "acts", &b->d);
}

static int body_add(bench *b, int x)
{
    int image = ADD(b, NET_global_pool, NULL, x);
    return ADD(b, NET_add, NULL, x, image, ADD(b, NET_relu, NULL, x), x, weight(b, 1, 1, 1, CHANNELS));
}

static int body_squeeze_excite(bench *b, int x)
{
    int gate = conv(b, ADD(b, NET_global_pool, NULL, x), 2, windowed(1, 1, 1, 0, 1));
    gate = ADD(b, NET_sigmoid, NULL, conv(b, ADD(b, NET_relu, NULL, gate), CHANNELS, windowed(1, 1, 1, 0, 1)));
    return ADD(b, NET_mul, NULL, x, gate);
}

static int body_mul(bench *b, int x)
{
    int scaled = ADD(b, NET_mul, NULL, weight(b, 1, 1, 1, CHANNELS), x);
    int both = ADD(b, NET_mul, NULL, ADD(b, NET_global_pool, NULL, x), weight(b, 1, 1, 1, CHANNELS));
    return ADD(b, NET_mul, NULL, ADD(b, NET_mul, NULL, scaled, ADD(b, NET_tanh, NULL, x)), both);
}

static int body_masks(bench *b, int x)
{
    int path = net_mask(b->n, 1, 1, "path"), channels = net_mask(b->n, CHANNELS, 0.5, "channels");
    return ADD(b, NET_mul, NULL, ADD(b, NET_mul, NULL, x, path), channels);
}

/* Factorised reduction, channel shuffle and a split that joins again. */
static int body_views(bench *b, int x)
{
    net_attr shift = {.window = {.top = -1, .left = -1, .bottom = 1, .right = 1}}, shuffle = {.window = {.groups = 2}};
    net_attr low = {.begin = 0, .count = 1}, high = {.begin = 1, .count = 3}, odd = {.begin = 1, .count = 2};
    int y = ADD(b, NET_concat, NULL, conv(b, x, 2, windowed(1, 2, 1, 0, 1)),
                conv(b, ADD(b, NET_pad, &shift, x), 2, windowed(1, 2, 1, 0, 1)));
    y = ADD(b, NET_shuffle, &shuffle, y);
    int joined = ADD(b, NET_concat, NULL, ADD(b, NET_slice, &high, y), ADD(b, NET_slice, &low, y));
    return ADD(b, NET_concat, NULL, joined, ADD(b, NET_slice, &odd, y));
}

static int body_pads(bench *b, int x)
{
    net_attr grow = {.window = {.top = 1, .left = 2, .bottom = 0, .right = 1}},
             cut = {.window = {.top = -1, .bottom = -2}};
    net_attr pool = windowed(2, 1, 1, 0, 1);
    int grown = ADD(b, NET_sum_pool, &pool, ADD(b, NET_pad, &grow, x));
    int cut_then_padded = conv(b, ADD(b, NET_pad, &cut, x), 2, windowed(3, 1, 1, 1, 1));
    int most = ADD(b, NET_max_pool, &pool, ADD(b, NET_pad, &cut, x));
    return ADD(b, NET_concat, NULL, ADD(b, NET_global_pool, NULL, grown),
               ADD(b, NET_global_pool, NULL, cut_then_padded), ADD(b, NET_global_pool, NULL, most));
}

static int norm(bench *b, int x, bool affine, bool train)
{
    char name[32];
    snprintf(name, sizeof name, "bn%d", b->weights++);
    net_attr attr = {.eps = 1e-5, .momentum = 0.1, .train = train, .move = train};
    int c = channels_of(b, x), stats = net_stats(b->n, name, c);
    return affine ? ADD(b, NET_batch_norm, &attr, x, stats, weight(b, 1, 1, 1, c), weight(b, 1, 1, 1, c))
                  : ADD(b, NET_batch_norm, &attr, x, stats);
}

static int body_norm(bench *b, int x)
{
    return ADD(b, NET_relu, NULL, norm(b, x, false, true));
}

static int body_norm_affine(bench *b, int x)
{
    return norm(b, x, true, true);
}

static int body_norm_fixed(bench *b, int x)
{
    return norm(b, norm(b, x, false, false), true, false);
}

/* A node of a DARTS cell: two edges, candidates with and without batch norm, a skip, a pool and none. */
static int body_mix(bench *b, int x)
{
    net_attr strided = {.window = {.sh = 1, .sw = 1}}, pool = windowed(3, 1, 1, 1, 1);
    int w = net_mix_weights(b->n, "alphas", 3, 5), edge[3];
    for (int row = 0; row < 3; row++) {
        net_attr attr = {.row = row == 2 ? 0 : row, .pick = (int[]){0, 1, 2, 3, 4}}; /* rows may be shared */
        int none = ADD(b, NET_zero, &strided, x), mean = norm(b, ADD(b, NET_avg_pool, &pool, x), false, true);
        int dw = conv(b, ADD(b, NET_relu, NULL, x), CHANNELS, windowed(3, 1, 1, 1, CHANNELS));
        int pair = norm(b, conv(b, dw, CHANNELS, windowed(1, 1, 1, 0, 1)), row == 1, true);
        edge[row] = ADD(b, NET_mix, &attr, w, none, mean, x, pair, dw);
    }
    return ADD(b, NET_add, NULL, edge[0], edge[1], edge[2]);
}

static int body_softmax_mix(bench *b, int x)
{
    net_attr attr = {.row = 1, .pick = (int[]){2, 0}}, one = {.row = 0, .pick = (int[]){1}};
    int p = ADD(b, NET_row_softmax, NULL, net_mix_weights(b->n, "alphas", 2, 3));
    int mixed = ADD(b, NET_mix, &attr, p, ADD(b, NET_tanh, NULL, x), norm(b, x, true, true));
    return ADD(b, NET_scale, &one, norm(b, mixed, false, true), p);
}

static int active_choices[3]; /* by the seed */

/* Two candidates: one uses weights of its own and a weight that both share, one also a value from outside; a choice
 * inside of a choice; a candidate that is none and one that is its input. */
static int body_select(bench *b, int x)
{
    net *n = b->n;
    int shared = weight(b, 1, 1, CHANNELS, CHANNELS), outside = ADD(b, NET_tanh, NULL, x), result[2], inner[2];
    net_attr point = windowed(1, 1, 1, 0, 1), same = {.window = {.sh = 1, .sw = 1}};
    int first = net_select_begin(n, 0, 2);
    net_region_begin(n, first, 0);
    result[0] = norm(b, ADD(b, NET_conv, &point, x, shared), true, true);
    net_region_end(n);
    net_region_begin(n, first, 1);
    int y = conv(b, ADD(b, NET_relu, NULL, x), CHANNELS, windowed(3, 1, 1, 1, 1));
    y = ADD(b, NET_mul, NULL, ADD(b, NET_conv, &point, y, shared), outside);
    int nested = net_select_begin(n, 1, 2);
    net_region_begin(n, nested, 0);
    inner[0] = ADD(b, NET_add, NULL, conv(b, y, CHANNELS, point), x);
    net_region_end(n);
    inner[1] = y;
    result[1] = net_select_end(n, nested, inner, 2, "inner", &b->d);
    net_region_end(n);
    int chosen = net_select_end(n, first, result, 2, "outer", &b->d);
    int last = net_select_begin(n, 2, 2);
    net_region_begin(n, last, 0);
    inner[0] = ADD(b, NET_zero, &same, chosen);
    net_region_end(n);
    inner[1] = chosen;
    return ADD(b, NET_add, NULL, net_select_end(n, last, inner, 2, "last", &b->d), outside);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

typedef struct slots {
    double *at[SLOT_COUNT];
    int32_t labels[BATCH];
} slots;

static slots slots_new(const net *n)
{
    slots s = {0};
    for (int i = 0; i < SLOT_COUNT; i++)
        s.at[i] = calloc((size_t)n->slot_size[i] * BATCH + 1, sizeof(double));
    free(s.at[SLOT_IMAGES]);
    free(s.at[SLOT_WEIGHT_GRAD]);
    free(s.at[SLOT_MIX_GRAD]);
    s.at[SLOT_WEIGHT_GRAD] = calloc((size_t)n->slot_size[SLOT_WEIGHTS] + 1, sizeof(double));
    s.at[SLOT_MIX_GRAD] = calloc((size_t)n->slot_size[SLOT_MIX] + 1, sizeof(double));
    s.at[SLOT_IMAGES] = calloc(BATCH * SIZE * SIZE * 3, sizeof(double));
    for (int i = 0; i < BATCH * SIZE * SIZE * 3; i++)
        s.at[SLOT_IMAGES][i] = uniform();
    for (int i = 0; i < n->slot_size[SLOT_WEIGHTS]; i++)
        s.at[SLOT_WEIGHTS][i] = uniform() * 0.7;
    for (int i = 0; i < n->slot_size[SLOT_MIX]; i++)
        s.at[SLOT_MIX][i] = uniform();
    for (int i = 0; i < n->slot_size[SLOT_STATS]; i++)
        s.at[SLOT_STATS][i] = 1 + 0.5 * uniform(); /* variances must be positive */
    for (int i = 0; i < n->slot_size[SLOT_MASKS] * BATCH; i++)
        s.at[SLOT_MASKS][i] = uniform() > 0 ? 2 : 0;
    for (int i = 0; i < BATCH; i++)
        s.labels[i] = (int32_t)((uniform() + 1) / 2 * CLASSES);
    return s;
}

static void slots_free(slots *s)
{
    for (int i = 0; i < SLOT_COUNT; i++)
        free(s->at[i]);
}

/* Runs without touching the running statistics; the loss. */
static double run_net(const net *n, slots *s)
{
    double loss = 0, *at[SLOT_COUNT];
    memcpy(at, s->at, sizeof at);
    at[SLOT_LOSS] = &loss;
    double *stats = malloc((size_t)(n->slot_size[SLOT_STATS] + 1) * sizeof *stats);
    memcpy(stats, s->at[SLOT_STATS], (size_t)n->slot_size[SLOT_STATS] * sizeof *stats);
    at[SLOT_STATS] = stats;
    reference_free(n, reference_run(n, BATCH, at, s->labels, active_choices));
    free(stats);
    return loss;
}

/* The weights' gradients at the places of the weights: candidates share a place, and those that rest have none. */
static double *spread(const net *n, const net_paths *paths, const double *grad)
{
    double *to = calloc((size_t)n->slot_size[SLOT_WEIGHTS] + 1, sizeof *to);
    for (int i = 0; i < paths->at.count; i++) {
        const net_path *path = &paths->at.at[i];
        bool runs = true;
        for (int r = path->region; r > 0; r = n->regions.at[r].parent)
            runs = runs && n->regions.at[r].candidate == active_choices[n->regions.at[r].select];
        if (runs)
            memcpy(to + path->offset, grad + path->grad, (size_t)path->count * sizeof *to);
    }
    return to;
}

static void check(bool ok, const nasc_diag *d)
{
    if (!ok)
        fail_msg("%s: %s", d->where, d->message);
}

static int loss_of(const net *n)
{
    for (int i = 0; i < n->outputs.count; i++)
        if (n->outputs.at[i].slot == SLOT_LOSS)
            return n->outputs.at[i].value;
    return -1;
}

/* A few elements of the slot against central differences of the forward net. */
static void compare_slot(const net *forward, slots *s, enum net_slot slot, const double *gradient, const char *name)
{
    int64_t count = forward->slot_size[slot], step = count > 60 ? count / 37 : 1;
    for (int64_t i = 0; i < count; i += step) {
        double kept = s->at[slot][i], h = 1e-5;
        s->at[slot][i] = kept + h;
        double above = run_net(forward, s);
        s->at[slot][i] = kept - h;
        double below = run_net(forward, s);
        s->at[slot][i] = kept;
        double wanted = (above - below) / (2 * h), error = fabs(wanted - gradient[i]);
        if (!(error < 1e-7 + 1e-5 * fabs(wanted)))
            fail_msg("%s: slot %d element %lld: gradient %.10g, by differences %.10g", name, slot, (long long)i,
                     gradient[i], wanted);
    }
}

static void same(const double *a, const double *b, int64_t count, const char *name, const char *what)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(a[i] - b[i]) < 1e-12 * (1 + fabs(a[i]))))
            fail_msg("%s: %s: element %lld is %.17g, was %.17g", name, what, (long long)i, b[i], a[i]);
}

static void clear(slots *s, const net *n)
{
    memset(s->at[SLOT_WEIGHT_GRAD], 0, (size_t)n->slot_size[SLOT_WEIGHTS] * sizeof(double));
    memset(s->at[SLOT_MIX_GRAD], 0, (size_t)n->slot_size[SLOT_MIX] * sizeof(double));
}

/* What is asked for is there, and nothing else. */
static void compare_outputs(const net *n, unsigned wanted)
{
    for (int i = 0; i < n->outputs.count; i++) {
        assert_true(n->outputs.at[i].slot != SLOT_WEIGHT_GRAD || (wanted & GRAD_WEIGHTS));
        assert_true(n->outputs.at[i].slot != SLOT_MIX_GRAD || (wanted & GRAD_MIX));
    }
}

/* What is printed reads back as the same net. */
static void round_trip(arena *a, const net *n, const char *name)
{
    nasc_diag d = {0};
    text first = {.arena = a}, second = {.arena = a};
    net_print(&first, n);
    net *again = net_parse(a, first.at, name, &d);
    check(again && net_verify(again, &d), &d);
    net_print(&second, again);
    assert_string_equal(first.at, second.at);
}

static const struct grad_case {
    const char *name;
    int (*body)(bench *b, int x);
} cases[] = {
    {"conv", body_conv},
    {"conv rectangular", body_conv_rectangular},
    {"conv grouped", body_conv_grouped},
    {"conv depthwise", body_conv_depthwise},
    {"conv with a depth multiplier", body_conv_multiplier},
    {"conv of one channel", body_conv_one_channel},
    {"max pool", body_max_pool},
    {"avg pool", body_avg_pool},
    {"avg pool strided", body_avg_pool_strided},
    {"global pool", body_global_pool},
    {"linear with many weights", body_linear_large},
    {"activations", body_activations},
    {"add", body_add},
    {"squeeze-excite", body_squeeze_excite},
    {"mul", body_mul},
    {"masks", body_masks},
    {"views", body_views},
    {"pads", body_pads},
    {"norm", body_norm},
    {"norm affine", body_norm_affine},
    {"norm fixed", body_norm_fixed},
    {"mix", body_mix},
    {"mix by softmax", body_softmax_mix},
    {"select", body_select},
    {"mean of squares", body_squared},
};

static void run_case(const struct grad_case *one, unsigned wanted)
{
    arena a = {0};
    bench b = {.n = net_new(&a)};
    int x = conv(&b, net_images(b.n, SIZE, SIZE, 3), CHANNELS, windowed(3, 1, 1, 1, 1));
    x = one->body(&b, x);
    int loss = one->body == body_squared ? squares(&b, x) : head(&b, x, 0.1);
    check(loss >= 0, &b.d);
    net_output_add(b.n, loss, SLOT_LOSS, 0);
    check(net_verify(b.n, &b.d), &b.d);
    slots s = slots_new(b.n);
    net *core = net_expand(&a, b.n, &b.d);
    check(core && net_verify(core, &b.d), &b.d);
    double composite_loss = run_net(b.n, &s), core_loss = run_net(core, &s);
    same(&composite_loss, &core_loss, 1, one->name, "loss after expand");
    net *forward = net_simplify(&a, core, &b.d);
    check(forward && net_verify(forward, &b.d), &b.d);
    const net_paths *paths = net_paths_of(&a, core);
    check(net_grad(core, loss_of(core), wanted, &b.d), &b.d);
    check(net_verify(core, &b.d), &b.d);
    compare_outputs(core, wanted);
    net *clean = net_simplify(&a, core, &b.d);
    check(clean && net_verify(clean, &b.d), &b.d);
    round_trip(&a, b.n, one->name);
    round_trip(&a, clean, one->name);
    run_net(core, &s);
    double *weights = s.at[SLOT_WEIGHT_GRAD], *mixes = s.at[SLOT_MIX_GRAD];
    s.at[SLOT_WEIGHT_GRAD] = calloc((size_t)core->slot_size[SLOT_WEIGHTS] + 1, sizeof(double));
    s.at[SLOT_MIX_GRAD] = calloc((size_t)core->slot_size[SLOT_MIX] + 1, sizeof(double));
    clear(&s, core);
    run_net(clean, &s);
    same(weights, s.at[SLOT_WEIGHT_GRAD], core->slot_size[SLOT_WEIGHTS], one->name, "weight gradient after simplify");
    same(mixes, s.at[SLOT_MIX_GRAD], core->slot_size[SLOT_MIX], one->name, "mix gradient after simplify");
    double *placed = spread(core, paths, weights);
    if (wanted & GRAD_WEIGHTS)
        compare_slot(forward, &s, SLOT_WEIGHTS, placed, one->name);
    free(placed);
    if (wanted & GRAD_MIX)
        compare_slot(forward, &s, SLOT_MIX, mixes, one->name);
    free(weights);
    free(mixes);
    slots_free(&s);
    arena_free(&a);
}

/* ---- gates ------------------------------------------------------------------------------------------------------- */

enum { CANDIDATES = 4 };

/* Candidate k on x: a norm with and one without affine part, nothing, and the input. */
static int candidate(bench *b, int k, int x)
{
    net_attr point = windowed(1, 1, 1, 0, 1), same = {.window = {.sh = 1, .sw = 1}};
    if (k < 2)
        return norm(b, conv(b, ADD(b, NET_relu, NULL, x), CHANNELS, k ? point : windowed(3, 1, 1, 1, 1)), k == 0, true);
    return k == 2 ? ADD(b, NET_zero, &same, x) : x;
}

static int gated(bench *b, int x, int weights, int row)
{
    int result[CANDIDATES], first = net_select_begin(b->n, row, CANDIDATES);
    for (int k = 0; k < CANDIDATES; k++) {
        net_region_begin(b->n, first, k);
        result[k] = candidate(b, k, x);
        net_region_end(b->n);
    }
    int y = net_select_end(b->n, first, result, CANDIDATES, "gated", &b->d);
    net_select_weights(b->n, y, weights, row);
    return y;
}

/* What the gates mean: candidate weights of a sum. */
static int summed(bench *b, int x, int weights, int row)
{
    net_attr attr = {.row = row, .pick = (int[]){0, 1, 2, 3}};
    int r[CANDIDATES];
    for (int k = 0; k < CANDIDATES; k++)
        r[k] = candidate(b, k, x);
    return ADD(b, NET_mix, &attr, weights, r[0], r[1], r[2], r[3]);
}

/* Three places, of which two share a row of the weights. */
static net *gates_net(arena *a, int (*choice)(bench *b, int x, int weights, int row), nasc_diag *d)
{
    bench b = {.n = net_new(a)};
    int x = conv(&b, net_images(b.n, SIZE, SIZE, 3), CHANNELS, windowed(3, 1, 1, 1, 1));
    int weights = net_mix_weights(b.n, "alphas", 2, CANDIDATES);
    for (int place = 0; place < 3; place++) {
        int y = choice(&b, x, weights, place % 2);
        x = ADD(&b, NET_add, NULL, y, ADD(&b, NET_tanh, NULL, x));
    }
    net_output_add(b.n, head(&b, x, 0.1), SLOT_LOSS, 0);
    check(net_verify(b.n, &b.d), &b.d);
    net *core = net_expand(a, b.n, d);
    check(core != NULL, d);
    return core;
}

/* The gradients of all gates, active or not, are those of the weights of a sum, taken where one weight is 1. */
static void gates(void **state)
{
    (void)state;
    for (int active = 0; active < CANDIDATES * CANDIDATES; active++) {
        arena a = {0};
        nasc_diag d = {0};
        seed_now = (uint64_t)active + 5;
        net *chosen = gates_net(&a, gated, &d), *sum = gates_net(&a, summed, &d);
        check(net_grad(chosen, loss_of(chosen), GRAD_MIX, &d) && net_verify(chosen, &d), &d);
        compare_outputs(chosen, GRAD_MIX);
        net *clean = net_simplify(&a, chosen, &d);
        check(clean && net_verify(clean, &d), &d);
        round_trip(&a, clean, "gates");
        slots s = slots_new(chosen);
        active_choices[0] = active % CANDIDATES;
        active_choices[1] = active / CANDIDATES;
        for (int i = 0; i < 2 * CANDIDATES; i++)
            s.at[SLOT_MIX][i] = active_choices[i / CANDIDATES] == i % CANDIDATES;
        run_net(clean, &s);
        compare_slot(sum, &s, SLOT_MIX, s.at[SLOT_MIX_GRAD], "gates");
        slots_free(&s);
        arena_free(&a);
    }
}

static void gradients(void **state)
{
    const char *given = getenv("NASC_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20;
    (void)state;
    printf("seed %llu (NASC_SEED)\n", (unsigned long long)seed);
    for (size_t i = 0; i < COUNT(cases); i++)
        for (unsigned wanted = GRAD_WEIGHTS; wanted <= (GRAD_WEIGHTS | GRAD_MIX); wanted++) {
            seed_now = seed * 1000 + i;
            for (int choice = 0; choice < 3; choice++)
                active_choices[choice] = (int)(seed + wanted) >> choice & 1;
            if (wanted == GRAD_WEIGHTS || cases[i].body == body_mix || cases[i].body == body_softmax_mix ||
                cases[i].body == body_select)
                run_case(&cases[i], wanted);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(gates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
