/* The methods against their equations in plain C, in double: as nets on the reference evaluator, and as programs on the
 * interpreter. */
#include "net/methods.h"
#include "net_reference.h"
#include "engine.h"
#include "pipeline.h"
#include "runtime/device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

static const double LOGARITHM = 1e-8; /* float32's series, which programs have */
enum { P = 4100, A = 22 };            /* weights: more than a block of norm2 */
static const method_rows kinds[] = {{0, 3, 4}, {12, 5, 2}};
static net_path whole[] = {{0, P, 0, 0}};
static const net_paths one_path = {{whole, 1, 1}, P};

/* What runs a method: the definition, or a program for this CPU or for a GPU. */
enum way { AS_NET, AS_PROGRAM, AS_GPU_PROGRAM };

typedef struct bench {
    arena a;
    method_shape shape;
    double user[BIND_SECOND_OUT + 1][P], scalar[SCALAR_COUNT];
    unsigned seed;
    enum way way;
    const int *active;
} bench;

static double draw(bench *b)
{
    return 2.0 * rand_r(&b->seed) / RAND_MAX - 1;
}

static bench *bench_new(enum way way)
{
    bench *b = calloc(1, sizeof *b);
    b->way = way;
    b->seed = (unsigned)time(NULL);
    printf("seed %u\n", b->seed);
    b->shape =
        (method_shape){.weights = P, .alphas = A, .kinds = kinds, .kind_count = COUNT(kinds), .paths = &one_path};
    for (size_t i = 0; i < COUNT(b->user); i++)
        for (int k = 0; k < P; k++)
            b->user[i][k] = draw(b);
    for (int k = 0; k < P; k++)
        b->user[BIND_SECOND][k] = b->user[BIND_SECOND][k] * b->user[BIND_SECOND][k];
    for (int i = 0; i < SCALAR_COUNT; i++)
        b->scalar[i] = 0.5 + 0.4 * draw(b);
    return b;
}

static void bench_free(bench *b)
{
    arena_free(&b->a);
    free(b);
}

static void run_program(bench *b, const net *n, double **slots)
{
    nasc_diag d = {0};
    target t = b->way == AS_GPU_PROGRAM ? target_gpus[0] : target_host();
    pipeline_options o = {.batch = 1};
    program_code code;
    program *p = pipeline_compile(&b->a, n, &t, &o, &d);
    engine *e = engine_open(ENGINE_INTERPRETER_WIDE, &t, 1, &d);
    device *v = device_open_cpu(2, &d);
    bool ok = p && e && v && engine_load(e, p, &code, &d) && device_prepare(v, p, &code, &d);
    device_run r = {.program = p, .code = &code, .n = 1, .active = b->active};
    memcpy(r.slot, slots, sizeof r.slot);
    if (!ok || !device_execute(v, &r, &d))
        fail_msg("%s: %s", d.where, d.message);
    device_close(v);
    engine_close(e);
}

/* Runs a method; what it wrote lies in b->user. */
static void run(bench *b, enum net_method method)
{
    nasc_diag d = {0};
    net *n = method_build(&b->a, method, &b->shape, &d);
    if (!n || !net_verify(n, &d))
        fail_msg("%s: %s", d.where, d.message);
    double *slots[SLOT_COUNT] = {[SLOT_SCALARS] = b->scalar};
    for (size_t i = 0; i < COUNT(b->user); i++)
        slots[SLOT_USER + i] = b->user[i];
    if (b->way != AS_NET)
        run_program(b, n, slots);
    else
        reference_free(n, reference_run(n, 1, slots, NULL, b->active));
}

static void within(const double *got, const double *want, int count, double limit)
{
    for (int i = 0; i < count; i++)
        if (!(fabs(got[i] - want[i]) <= limit * (1 + fabs(want[i]))))
            fail_msg("element %d is %.17g, expected %.17g", i, got[i], want[i]);
}

/* Exponentials of programs are those of float32. */
static void near(const double *got, const double *want, int count)
{
    within(got, want, count, 1e-9);
}

static void row_softmax(const double *alpha, double *p)
{
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (int row = 0; row < kinds[k].rows; row++) {
            int64_t at = kinds[k].offset + (int64_t)row * kinds[k].columns;
            double sum = 0;
            for (int c = 0; c < kinds[k].columns; c++)
                sum += exp(alpha[at + c]);
            for (int c = 0; c < kinds[k].columns; c++)
                p[at + c] = exp(alpha[at + c]) / sum;
        }
}

static void row_softmax_dx(const double *p, const double *g, double *to)
{
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (int row = 0; row < kinds[k].rows; row++) {
            int64_t at = kinds[k].offset + (int64_t)row * kinds[k].columns;
            double dot = 0;
            for (int c = 0; c < kinds[k].columns; c++)
                dot += p[at + c] * g[at + c];
            for (int c = 0; c < kinds[k].columns; c++)
                to[at + c] = p[at + c] * (g[at + c] - dot);
        }
}

static double norm(const double *x)
{
    double sum = 0;
    for (int i = 0; i < P; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

static void alpha_check(enum way way)
{
    bench *b = bench_new(way);
    double want[A], mixed[A];
    row_softmax(b->user[BIND_VALUE], want);
    run(b, METHOD_softmax);
    near(b->user[BIND_VALUE_OUT], want, A);
    memcpy(b->user[BIND_VALUE], want, sizeof want); /* the others take p */

    row_softmax_dx(b->user[BIND_VALUE], b->user[BIND_GRAD], want);
    run(b, METHOD_alpha);
    near(b->user[BIND_VALUE_OUT], want, A);

    for (int i = 0; i < A; i++)
        mixed[i] = b->user[BIND_GRAD][i] - b->scalar[SCALAR_LR] * (b->user[BIND_PLUS][i] - b->user[BIND_MINUS][i]) /
                                               (2 * b->user[BIND_EPSILON][0]);
    row_softmax_dx(b->user[BIND_VALUE], mixed, want);
    run(b, METHOD_alpha_2nd);
    near(b->user[BIND_VALUE_OUT], want, A);

    for (int i = 0; i < A; i++)
        want[i] =
            (b->user[BIND_VALUE][i] - b->user[BIND_SAMPLE][i]) * b->scalar[SCALAR_ADVANTAGE] + b->user[BIND_GRAD][i];
    run(b, METHOD_reinforce);
    near(b->user[BIND_VALUE_OUT], want, A);
    bench_free(b);
}

/* Marked are, in each row, some candidates but not all. */
static void gates_check(enum way way)
{
    bench *b = bench_new(way);
    double want[A], *alpha = b->user[BIND_VALUE], *mark = b->user[BIND_SAMPLE], *grad = b->user[BIND_GRAD];
    double *price = b->user[BIND_COST], loss = b->scalar[SCALAR_LOSS_SCALE], factor = b->scalar[SCALAR_COST_SCALE];
    for (int i = 0; i < A; i++)
        mark[i] = i % 4 != 2;
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (int row = 0; row < kinds[k].rows; row++) {
            int64_t first = kinds[k].offset + (int64_t)row * kinds[k].columns, end = first + kinds[k].columns;
            double sum = 0, dot = 0;
            for (int64_t i = first; i < end; i++)
                sum += mark[i] * exp(alpha[i]);
            for (int64_t i = first; i < end; i++)
                dot += mark[i] * exp(alpha[i]) / sum * (loss * grad[i] + factor * price[i]);
            for (int64_t i = first; i < end; i++)
                want[i] = mark[i] * exp(alpha[i]) / sum * (loss * grad[i] + factor * price[i] - dot);
        }
    run(b, METHOD_gates);
    near(b->user[BIND_VALUE_OUT], want, A);
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (int row = 0; row < kinds[k].rows; row++) {
            int64_t first = kinds[k].offset + (int64_t)row * kinds[k].columns, end = first + kinds[k].columns;
            double before = 0, after = 0;
            for (int64_t i = first; i < end; i++) {
                before += mark[i] * exp(alpha[i]);
                after += mark[i] * exp(grad[i]);
            }
            for (int64_t i = first; i < end; i++)
                want[i] = grad[i] - mark[i] * log(after / before);
        }
    run(b, METHOD_rescale);
    within(b->user[BIND_VALUE_OUT], want, A, way != AS_NET ? LOGARITHM : 1e-9);
    bench_free(b);
}

/* Two candidates of one choice beside what always runs: the active one's weights move, the other's stay; the bound is
 * on the norm of the gradients that there are, which lie in one place. */
static void paths_check(enum way way, double clip)
{
    enum { ALWAYS = 40, SHORT = 7, LONG = 30, GRADS = ALWAYS + LONG };
    static net_path at[] = {{0, ALWAYS, 0, 0}, {ALWAYS, SHORT, ALWAYS, 1}, {ALWAYS + SHORT, LONG, ALWAYS, 2}};
    static const net_paths paths = {{at, COUNT(at), COUNT(at)}, GRADS};
    static const net_region regions[] = {{-1, -1, -1, false}, {0, 0, 0, false}, {0, 1, 0, false}};
    for (int active = 0; active < 2; active++) {
        bench *b = bench_new(way);
        double *s = b->scalar, value[P], buffer[P], sum = 0;
        int count = active ? LONG : SHORT, first = active ? ALWAYS + SHORT : ALWAYS;
        b->shape.paths = &paths;
        b->shape.region = regions;
        b->shape.regions = COUNT(regions);
        b->shape.nesterov = true;
        b->active = &active;
        s[SCALAR_CLIP] = clip;
        for (int i = 0; i < ALWAYS + count; i++)
            sum += b->user[BIND_GRAD][i] * b->user[BIND_GRAD][i];
        double scale = fmin(1, clip / (sqrt(sum) + 1e-6)), momentum = s[SCALAR_MOMENTUM];
        memcpy(value, b->user[BIND_VALUE_OUT], sizeof value);
        memcpy(buffer, b->user[BIND_FIRST_OUT], sizeof buffer);
        for (int k = 0; k < ALWAYS + count; k++) {
            int i = k < ALWAYS ? k : first + k - ALWAYS;
            double g = scale * b->user[BIND_GRAD][k] + s[SCALAR_DECAY] * b->user[BIND_VALUE][i];
            buffer[i] = momentum * b->user[BIND_FIRST][i] + g;
            value[i] = b->user[BIND_VALUE][i] - s[SCALAR_LR] * (g + momentum * buffer[i]);
        }
        run(b, METHOD_sgd);
        near(b->user[BIND_VALUE_OUT], value, P);
        near(b->user[BIND_FIRST_OUT], buffer, P);
        bench_free(b);
    }
}

static void adam_check(enum way way)
{
    bench *b = bench_new(way);
    double *s = b->scalar, value[A], first[A], second[A];
    for (int i = 0; i < A; i++) {
        double g = b->user[BIND_GRAD][i] + s[SCALAR_ADAM_DECAY] * b->user[BIND_VALUE][i];
        first[i] = s[SCALAR_BETA1] * b->user[BIND_FIRST][i] + s[SCALAR_BETA1_REST] * g;
        second[i] = s[SCALAR_BETA2] * b->user[BIND_SECOND][i] + s[SCALAR_BETA2_REST] * g * g;
        value[i] = b->user[BIND_VALUE][i] -
                   s[SCALAR_ADAM_LR] * first[i] / (sqrt(second[i]) * s[SCALAR_ADAM_ROOT] + s[SCALAR_ADAM_EPS]);
    }
    run(b, METHOD_adam);
    near(b->user[BIND_VALUE_OUT], value, A);
    near(b->user[BIND_FIRST_OUT], first, A);
    near(b->user[BIND_SECOND_OUT], second, A);
    bench_free(b);
}

/* clip: above or below the gradient's norm. */
static void sgd_check(enum way way, bool nesterov, double clip)
{
    bench *b = bench_new(way);
    double *s = b->scalar, *value = calloc(P, sizeof *value), *buffer = calloc(P, sizeof *buffer);
    b->shape.nesterov = nesterov;
    s[SCALAR_CLIP] = clip;
    double scale = fmin(1, clip / (norm(b->user[BIND_GRAD]) + 1e-6)), momentum = s[SCALAR_MOMENTUM];
    for (int i = 0; i < P; i++) {
        double g = scale * b->user[BIND_GRAD][i] + s[SCALAR_DECAY] * b->user[BIND_VALUE][i];
        buffer[i] = momentum * b->user[BIND_FIRST][i] + g;
        value[i] = b->user[BIND_VALUE][i] - s[SCALAR_LR] * (nesterov ? g + momentum * buffer[i] : buffer[i]);
    }
    run(b, METHOD_sgd);
    near(b->user[BIND_VALUE_OUT], value, P);
    near(b->user[BIND_FIRST_OUT], buffer, P);
    free(value);
    free(buffer);
    bench_free(b);
}

static void vectors_check(enum way way)
{
    bench *b = bench_new(way);
    double *s = b->scalar, *want = calloc(P, sizeof *want), *w = b->user[BIND_VALUE], *g = b->user[BIND_GRAD];
    for (int i = 0; i < P; i++)
        want[i] = w[i] - s[SCALAR_LR] * (s[SCALAR_MOMENTUM] * b->user[BIND_FIRST][i] + g[i] + s[SCALAR_DECAY] * w[i]);
    run(b, METHOD_unroll);
    near(b->user[BIND_VALUE_OUT], want, P);

    double epsilon = s[SCALAR_RADIUS] / norm(g);
    run(b, METHOD_perturb);
    near(b->user[BIND_EPSILON], &epsilon, 1);
    for (int i = 0; i < P; i++)
        want[i] = w[i] + epsilon * g[i];
    near(b->user[BIND_PLUS], want, P);
    for (int i = 0; i < P; i++)
        want[i] = w[i] - epsilon * g[i];
    near(b->user[BIND_MINUS], want, P);
    free(want);
    bench_free(b);
}

static void check(enum way way)
{
    alpha_check(way);
    adam_check(way);
    sgd_check(way, false, 5);
    sgd_check(way, true, 5);
    sgd_check(way, false, 3.4e38);
    vectors_check(way);
    gates_check(way);
    paths_check(way, 0.5);
    paths_check(way, 3.4e38);
}

static void nets(void **state)
{
    (void)state;
    check(AS_NET);
}

static void programs(void **state)
{
    (void)state;
    check(AS_PROGRAM);
}

static void programs_for_a_gpu(void **state)
{
    (void)state;
    check(AS_GPU_PROGRAM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nets), cmocka_unit_test(programs),
                                       cmocka_unit_test(programs_for_a_gpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
