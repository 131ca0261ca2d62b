/* Exported C against the engines, bit for bit: the network as trained evaluates it (batch norms by running statistics,
 * the loader normalises), the inference network (norms folded, it normalises itself) on JIT and interpreter, and the C
 * that export writes, for the generic target and for this machine's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "emit/export.h"
#include "uses/inference.h"
#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"
#include "runtime/device/device.h"
#include "runtime/parameters.h"
#include "runtime/rng.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 12, CHANNELS = 3, CLASSES = 10, IMAGES = 100, PIXELS = SIDE * SIDE * CHANNELS, SEED = 17 };

typedef struct world {
    arena a;
    space *space;
    settings settings;
    inference network; /* normalises */
    float *weights, *stats, *constants;
    unsigned char grey[IMAGES * PIXELS];
    float in[IMAGES * PIXELS]; /* [0, 1] */
    float mean[CHANNELS], std[CHANNELS];
} world;

static void check(const nasc_diag *d)
{
    if (d->kind)
        fail_msg("%s: %s", d->where, d->message);
}

/* Logits of `n` images; `bind` holds the other slots. */
static void run_net(world *w, const net *n, target t, enum engine_kind kind, int images, bool sequential,
                    device_run bind, float *logits)
{
    nasc_diag d = {0};
    pipeline_options o = {.batch = images, .sequential = sequential};
    program *p = pipeline_compile(&w->a, n, &t, &o, &d);
    check(&d);
    engine *e = engine_open(kind, &t, 1, &d);
    program_code code;
    device *v = device_open_cpu(2, &d);
    check(&d);
    engine_load(e, p, &code, &d);
    check(&d);
    assert_true(device_prepare(v, p, &code, &d));
    bind.program = p;
    bind.code = &code;
    bind.n = images;
    bind.slot[SLOT_LOGITS] = logits;
    device_execute(v, &bind, &d);
    check(&d);
    device_close(v);
    engine_close(e);
}

static void fold(world *w, target t)
{
    device_run bind = {0};
    float *folded = bind.slot[SLOT_USER] = NEW_ARRAY(&w->a, float, w->network.folded + 1);
    bind.slot[SLOT_WEIGHTS] = w->weights;
    bind.slot[SLOT_STATS] = w->stats;
    assert_non_null(w->network.fold);
    run_net(w, w->network.fold, t, ENGINE_INTERPRETER, 1, true, bind, NULL);
    w->constants = NEW_ARRAY(&w->a, float, w->network.constants);
    inference_pack(&w->network, w->weights, folded, w->mean, w->std, w->constants);
}

/* Weights as they begin, statistics and images by chance. */
static world *make_world(void)
{
    nasc_diag d = {0};
    world *w = calloc(1, sizeof *w);
    w->space = space_read(SOURCE_DIR "/genotypes/darts_v2.json", &d);
    check(&d);
    settings_defaults(&w->settings, SETTINGS_TRAIN);
    settings_from_space(&w->settings, w->space);
    static const char *const small[] = {"input=12x12x3", "channels=5", "cells=3"};
    for (size_t i = 0; i < COUNT(small); i++)
        assert_true(settings_assign(&w->settings, small[i], "test", &d));
    inference_build(w->space, &w->settings, &(inference_options){.normalise = true}, &w->a, &w->network, &d);
    check(&d);
    const net *built = w->network.built.net;
    w->weights = NEW_ARRAY(&w->a, float, built->slot_size[SLOT_WEIGHTS]);
    w->stats = NEW_ARRAY(&w->a, float, built->slot_size[SLOT_STATS]);
    parameters p = {.at = built->params.at, .count = built->params.count};
    parameters_init(&p, &(parameter_values){.weights = w->weights}, SEED);
    rng r = rng_open(SEED, RNG_TEST, 0, 0);
    for (int64_t i = 0; i < built->slot_size[SLOT_STATS]; i++)
        w->stats[i] = 0.25f + rng_unit_float(&r);
    for (int i = 0; i < IMAGES * PIXELS; i++) {
        w->grey[i] = (unsigned char)rng_below(&r, 256);
        w->in[i] = (float)w->grey[i] / 255.0f;
    }
    for (int c = 0; c < CHANNELS; c++) {
        w->mean[c] = 0.4f + 0.2f * rng_unit_float(&r);
        w->std[c] = 0.2f + 0.1f * rng_unit_float(&r);
    }
    return w;
}

static void free_world(world *w)
{
    space_free(w->space);
    arena_free(&w->a);
    free(w);
}

/* The network as training evaluates it, on images that the loader normalised. */
static void run_trained(world *w, target t, float *logits)
{
    nasc_diag d = {0};
    objective built;
    float normal[IMAGES * PIXELS], loss, correct;
    int32_t labels[IMAGES] = {0};
    for (int i = 0; i < IMAGES * PIXELS; i++)
        normal[i] = (w->in[i] - w->mean[i % CHANNELS]) / w->std[i % CHANNELS];
    objective_build(w->space, &w->settings, USE_EVAL, &w->a, &built, &d);
    check(&d);
    device_run bind = {0};
    bind.slot[SLOT_IMAGES] = normal;
    bind.slot[SLOT_WEIGHTS] = w->weights;
    bind.slot[SLOT_STATS] = w->stats;
    bind.slot[SLOT_LABELS] = labels;
    bind.slot[SLOT_LOSS] = &loss;
    bind.slot[SLOT_CORRECT] = &correct;
    run_net(w, built.built.net, t, ENGINE_JIT, IMAGES, false, bind, logits);
}

/* Writes C for target `t`, compiles it, runs it on every image. `expected` goes into its own test, which must pass. */
static void run_exported(world *w, const target *t, bool as_file, const float *expected, float *logits)
{
    nasc_diag d = {0};
    pipeline_options o = {.batch = 1, .sequential = true, .lean = true};
    char folder[] = "/tmp/nasc-export-XXXXXX", command[512];
    assert_non_null(mkdtemp(folder));
    export_model m = {.program = pipeline_compile(&w->a, w->network.net, t, &o, &d),
                      .target = t,
                      .name = "tiny",
                      .facts = " * of a test\n",
                      .h = SIDE,
                      .w = SIDE,
                      .c = CHANNELS,
                      .classes = CLASSES,
                      .normalises = true,
                      .weights_as_file = as_file,
                      .constants = w->constants,
                      .constant_count = w->network.constants,
                      .key = 0x0123456789abcdef,
                      .image = w->grey,
                      .expected = expected};
    check(&d);
    export_sizes sizes;
    assert_true(export_c(&m, folder, &sizes, &d));
    snprintf(command, sizeof command,
             "cd %s && make -s CFLAGS='-O1 -fPIC -Werror' check && cc -shared -o tiny.so $(ls tiny*.o | grep -v test)",
             folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/tiny.so", folder);
    void *library = dlopen(command, RTLD_NOW);
    assert_non_null(library);
    int (*run)(const float **, const float *, float *, void *) = NULL;
    *(void **)&run = dlsym(library, "tiny_run");
    void *arena = aligned_alloc(64, (size_t)sizes.arena_bytes);
    for (int i = 0; i < IMAGES; i++)
        assert_int_equal(run(&(const float *){w->constants}, w->in + i * PIXELS, logits + i * CLASSES, arena), 0);
    free(arena);
    dlclose(library);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void compare(const float *want, const float *got, int images, const char *what)
{
    if (memcmp(want, got, (size_t)images * CLASSES * sizeof *want) != 0)
        fail_msg("%s: other bits (seed %d); first logit %.9g, expected %.9g", what, SEED, got[0], want[0]);
}

/* `t`: whose results; engines run as this machine with the target's kind of multiply-add. */
static void all_agree(world *w, const target *t, bool as_file)
{
    target host = target_host();
    float want[IMAGES * CLASSES], got[IMAGES * CLASSES];
    host.fma = t->fma;
    run_trained(w, host, want);
    fold(w, host);
    device_run bind = {0};
    bind.slot[SLOT_IMAGES] = w->in;
    bind.slot[SLOT_WEIGHTS] = w->constants;
    run_net(w, w->network.net, host, ENGINE_JIT, IMAGES, true, bind, got);
    compare(want, got, IMAGES, "inference network, JIT");
    run_net(w, w->network.net, *t, ENGINE_INTERPRETER, 2, true, bind, got);
    compare(want, got, 2, "inference network, interpreter");
    run_exported(w, t, as_file, want, got);
    compare(want, got, IMAGES, t->name);
    inference_arrange(&w->network, t, false, w->constants, &w->a);
    run_net(w, w->network.net, *t, ENGINE_INTERPRETER, 2, true, bind, got);
    compare(want, got, 2, "weights in panels, interpreter");
    run_exported(w, t, as_file, want, got);
    compare(want, got, IMAGES, "weights in panels");
}

static void generic(void **state)
{
    (void)state;
    world *w = make_world();
    all_agree(w, target_find("generic"), false);
    free_world(w);
}

static void native(void **state)
{
    (void)state;
    world *w = make_world();
    target host = target_host();
    all_agree(w, &host, true);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(generic), cmocka_unit_test(native)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
