/* Devices: every unit of every instance runs once whatever the threads, launches run in order, and those that a run
 * leaves out stay out. Kernels are C functions here, and on the double of a GPU text. */
#include "cuda_doubles.h"
#include "runtime/device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 10, MARKS = 1024, INSTANCES = 7 };

/* a1[u] = a0[u] + n; a2[u] counts the visits of unit u. */
static void add_n(void *const *buffer, int64_t n, int64_t begin, int64_t end, void *scratch)
{
    const float *from = buffer[0];
    float *to = buffer[1], *visits = buffer[2];
    assert_true((uintptr_t)scratch % 64 == 0);
    memset(scratch, 1, 100);
    for (int64_t u = begin; u < end; u++) {
        to[u] = from[u] + (float)n;
        visits[u]++;
    }
}

/* The same of doubles. */
static void add_n_wide(void *const *buffer, int64_t n, int64_t begin, int64_t end, void *scratch)
{
    const double *from = buffer[0];
    double *to = buffer[1], *visits = buffer[2];
    memset(scratch, 1, 200);
    for (int64_t u = begin; u < end; u++) {
        to[u] = from[u] + (double)n;
        visits[u]++;
    }
}

static int add_instance(arena *a, program *p, program_instance i, program_arg from, program_arg to)
{
    int number = p->instances.count;
    i.first_arg = p->args.count;
    i.args = 3;
    VEC_PUSH(a, &p->args, from);
    VEC_PUSH(a, &p->args, to);
    program_arg visits = {SLOT_USER, (int64_t)number * MARKS, MARKS, true};
    VEC_PUSH(a, &p->args, visits);
    VEC_PUSH(a, &p->instances, i);
    return number;
}

static void add_launch(arena *a, program *p, int first, int count, unsigned flags, int select, int candidate)
{
    program_launch l = {.first = first, .count = count, .flags = flags, .select = select, .candidate = candidate};
    VEC_PUSH(a, &p->launches, l);
}

/* Launch 0: three instances from SLOT_IMAGES into the arena; launch 1: of the arena's second part into SLOT_LOGITS;
 * launch 2: the same, moving statistics; launches 3, 4: candidates of choice 0. */
static program *sample(arena *a)
{
    program *p = NEW(a, program);
    p->batch = BATCH;
    p->arena_elements = 3 * MARKS;
    p->scratch_bytes = 100;
    p->selects = 1;
    for (int k = 0; k < 3; k++) {
        program_instance i = {.unit_images = k, .unit_tiles = 7 * (k + 1), .bytes_image = 1000000 * k, .name = "first"};
        add_instance(a, p, i, (program_arg){SLOT_IMAGES, 8, MARKS, false},
                     (program_arg){SLOT_NONE, k * MARKS, MARKS, true});
    }
    add_launch(a, p, 0, 3, 0, -1, 0);
    for (int k = 0; k < 4; k++) {
        program_instance i = {.unit_images = 0, .unit_tiles = 5, .flops_image = 80000000, .name = "second"};
        int first = add_instance(a, p, i, (program_arg){SLOT_NONE, MARKS, MARKS, false},
                                 (program_arg){SLOT_LOGITS, (int64_t)k * MARKS, MARKS, true});
        add_launch(a, p, first, 1, k == 1 ? LAUNCH_MOVES_STATS : 0, k < 2 ? -1 : 0, k - 2);
    }
    return p;
}

static void run_and_check(device *v, const program *p, const program_code *code, int n, bool keep, int active)
{
    static float images[MARKS + 8], logits[4 * MARKS], visits[INSTANCES * MARKS];
    for (int u = 0; u < MARKS + 8; u++)
        images[u] = (float)u;
    memset(logits, 0, sizeof logits);
    memset(visits, 0, sizeof visits);
    device_run r = {.program = p, .code = code, .n = n, .keep_stats = keep, .active = &active};
    r.slot[SLOT_IMAGES] = images;
    r.slot[SLOT_LOGITS] = logits;
    r.slot[SLOT_USER] = visits;
    nasc_diag d = {0};
    assert_true(device_execute(v, &r, &d));
    for (int i = 0; i < INSTANCES; i++) {
        bool runs = i < 3 || i == 3 || (i == 4 && !keep) || i == 5 + active;
        int units = i == 0 ? 7 : i == 1 ? 14 * n : i == 2 ? 21 * ((n + 1) / 2) : 5;
        for (int u = 0; u < MARKS; u++)
            assert_true(visits[i * MARKS + u] == (runs && u < units ? 1.0f : 0.0f));
        for (int u = 0; i >= 3 && u < units; u++)
            assert_true(logits[(i - 3) * MARKS + u] == (runs ? (float)(u + 8 + 2 * n) : 0.0f));
    }
}

static void threads_and_choices(void **state)
{
    (void)state;
    arena a = {0};
    program *p = sample(&a);
    kernel_fn *entry[1] = {add_n};
    program_code code = {.entry = entry};
    for (int threads = 1; threads <= 4; threads++) {
        nasc_diag d = {0};
        device *v = device_open_cpu(threads, &d);
        assert_non_null(v);
        assert_true(device_prepare(v, p, &code, &d));
        for (int n = 1; n <= BATCH; n++)
            run_and_check(v, p, &code, n, n % 2, n % 3 % 2);
        device_close(v);
    }
    arena_free(&a);
}

/* Machine code of float64: places in the arena and in slots are those of doubles, and scratch holds twice as much. */
static void doubles(void **state)
{
    (void)state;
    arena a = {0};
    nasc_diag d = {0};
    program *p = sample(&a);
    kernel_fn *entry[1] = {add_n_wide};
    program_code code = {.entry = entry, .wide = true};
    static double images[MARKS + 8], logits[4 * MARKS], visits[INSTANCES * MARKS];
    for (int u = 0; u < MARKS + 8; u++)
        images[u] = u + 0x1p-40;
    int active = 1;
    device *v = device_open_cpu(3, &d);
    assert_true(v && device_prepare(v, p, &code, &d));
    device_run r = {.program = p, .code = &code, .n = BATCH, .active = &active};
    r.slot[SLOT_IMAGES] = images;
    r.slot[SLOT_LOGITS] = logits;
    r.slot[SLOT_USER] = visits;
    assert_true(device_execute(v, &r, &d));
    for (int u = 0; u < 4 * MARKS; u++)
        assert_true(logits[u] == (u / MARKS != 2 && u % MARKS < 5 ? u % MARKS + 8 + 2 * BATCH + 0x1p-40 : 0));
    device_close(v);
    arena_free(&a);
}

static bool refuse(const struct kernel *k, void *const *buffer, const int64_t *sizes, int64_t n, int64_t begin,
                   int64_t end, bool wide, nasc_diag *d)
{
    (void)k, (void)buffer, (void)n, (void)end;
    assert_true(wide);
    assert_int_equal(sizes[0], MARKS);
    return begin < 3 || diag_fail(d, DIAG_INPUT, "unit", "refused");
}

static void errors_come_back(void **state)
{
    (void)state;
    arena a = {0};
    program *p = sample(&a);
    VEC_PUSH(&a, &p->kernels, NULL);
    program_code code = {.interpret = refuse, .wide = true};
    nasc_diag d = {0};
    device *v = device_open_cpu(3, &d);
    assert_true(v && device_prepare(v, p, &code, &d));
    static double images[MARKS + 8];
    int active = 0;
    device_run r = {.program = p, .code = &code, .n = BATCH, .active = &active};
    r.slot[SLOT_IMAGES] = r.slot[SLOT_LOGITS] = r.slot[SLOT_USER] = images;
    assert_false(device_execute(v, &r, &d));
    assert_string_equal(d.message, "refused");
    device_close(v);
    arena_free(&a);
}

/* ---- on the double of a GPU -------------------------------------------------------------------------------------- */

static const char add_n_text[] =
    "extern \"C\" __global__ void kernel(const float *a0, float *a1, float *a2, int n, int units)"
    "{ int u = blockIdx.x * blockDim.x + threadIdx.x;"
    "  if (u < units) { a1[u] = a0[u] + (float)n; a2[u] += 1; } }";

/* Every instance is a grid. */
static void add_grids(arena *a, program *p)
{
    program_function f = {.kernels = 1, .threads = 256, .part = {{.args = 3}}};
    VEC_PUSH(a, &p->functions, f);
    for (int l = 0; l < p->launches.count; l++) {
        program_launch *launch = &p->launches.at[l];
        launch->first_grid = p->grids.count;
        launch->grids = launch->count;
        for (int i = 0; i < launch->count; i++) {
            program_grid g = {.first = launch->first + i, .count = 1, .of = {1}};
            VEC_PUSH(a, &p->grids, g);
        }
    }
}

/* A device that the sample has been prepared for; NULL: skipped. */
static device *gpu_open(program *p, arena *a, program_code *code)
{
    static const program_image image = {add_n_text, "kernel"};
    int capability;
    nasc_diag d = {0};
    const char *why = getenv("NASC_TEST_GPU") ? "a GPU takes no text" : cuda_doubles_open();
    if (why) {
        printf("skipped, on CUDA's doubles: %s\n", why);
        return NULL;
    }
    VEC_PUSH(a, &p->kernels, NULL);
    add_grids(a, p);
    *code = (program_code){.image = &image};
    device *v = device_open_cuda(&capability, &d);
    assert_true(v && device_prepare(v, p, code, &d));
    return v;
}

/* Runs that come again are graphs, with other candidates switched on; both stages have each. */
static void runs_come_again(void **state)
{
    (void)state;
    arena a = {0};
    program *p = sample(&a);
    program_code code;
    device *v = gpu_open(p, &a, &code);
    for (int k = 0; k < 24 && v; k++)
        run_and_check(v, p, &code, BATCH, k % 5 < 2, k % 2);
    device_close(v);
    arena_free(&a);
}

/* What the host binds it may change at once; what is late is there after the next step; what is kept adds up. */
static void steps_overlap(void **state)
{
    (void)state;
    enum { STEPS = 9 };
    static float images[MARKS + 8], logits[STEPS][4 * MARKS];
    arena a = {0};
    nasc_diag d = {0};
    program *p = sample(&a);
    program_code code;
    device *v = gpu_open(p, &a, &code);
    float *visits = v ? device_vector(v, &a, INSTANCES * MARKS) : NULL;
    for (int step = 0; step < STEPS && v; step++) {
        int active = step % 2;
        bool all;
        device_run r = {.program = p, .code = &code, .n = BATCH, .late = true, .active = &active};
        r.slot[SLOT_IMAGES] = images;
        r.slot[SLOT_LOGITS] = logits[step];
        r.slot[SLOT_USER] = visits;
        images[8] = (float)step;
        assert_true(device_execute(v, &r, &d));
        images[8] = -1;
        assert_true(device_submit(v, &all, &d) && !all);
        assert_true(step == 0 || logits[step - 1][0] == (float)(step - 1 + 2 * BATCH));
    }
    if (v) {
        assert_true(device_fetch(v, visits, &d));
        assert_true(visits[0] == STEPS && visits[5 * MARKS] == 5 && visits[6 * MARKS] == 4);
        assert_true(logits[STEPS - 1][0] == STEPS - 1 + 2 * BATCH);
        visits[0] = 0.5F;
        device_changed(v, visits);
    }
    device_close(v);
    arena_free(&a);
}

/* Every run meets news of a vector that the one before it reads, so that a queue each begins which the host never asked
 * for: what a stage brought is taken before another queue fills it. */
static void news_begin_queues(void **state)
{
    (void)state;
    enum { STEPS = 7 };
    static float logits[STEPS][4 * MARKS], visits[INSTANCES * MARKS];
    arena a = {0};
    nasc_diag d = {0};
    program *p = sample(&a);
    program_code code;
    device *v = gpu_open(p, &a, &code);
    float *images = v ? device_vector(v, &a, MARKS + 8) : NULL;
    for (int step = 0; step < STEPS && v; step++) {
        int active = 0;
        device_run r = {.program = p, .code = &code, .n = BATCH, .late = true, .active = &active};
        r.slot[SLOT_IMAGES] = images;
        r.slot[SLOT_LOGITS] = logits[step];
        r.slot[SLOT_USER] = visits;
        images[8] = (float)step;
        device_changed(v, images);
        assert_true(device_execute(v, &r, &d));
    }
    assert_true(!v || device_wait(v, &d));
    for (int step = 0; step < STEPS && v; step++)
        assert_true(logits[step][0] == (float)(step + 2 * BATCH));
    device_close(v);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_and_choices), cmocka_unit_test(doubles),
                                       cmocka_unit_test(errors_come_back),    cmocka_unit_test(runs_come_again),
                                       cmocka_unit_test(steps_overlap),       cmocka_unit_test(news_begin_queues)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
