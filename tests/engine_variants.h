/* One net, every engine and schedule, the same bits: interpreter, JIT and compiled C; tiles of one, two and all rows,
 * one thread and several; launches wide and in sequence; kernels for a GPU. The engines in float64 have theirs. */
#ifndef NASC_ENGINE_VARIANTS_H
#define NASC_ENGINE_VARIANTS_H

#include "cuda_emulation.h"
#include "fused_compare.h"
#include "uses/objective.h"
#include "space/space.h"

typedef struct variant {
    const char *name;
    enum engine_kind kind;
    lower_options lower;
    int threads;
    bool sequential;
    double memory; /* share of the arena that it may take; 0: all */
    bool large;    /* as if no cache could hold the tensors */
    bool gpu;      /* kernels of threads */
    bool emulated; /* by their CUDA text, on the CPU */
} variant;

static const variant variants[] = {
    {.name = "interpreter", .kind = ENGINE_INTERPRETER, .threads = 1},
    {.name = "jit", .threads = 1},
    {.name = "jit, 4 threads", .threads = 4},
    {.name = "jit, no cache holds it, 4 threads", .threads = 4, .large = true},
    {.name = "interpreter, no cache holds it", .kind = ENGINE_INTERPRETER, .threads = 1, .large = true},
    {.name = "jit, a row a tile", .lower = {.tile_rows = 1}, .threads = 2},
    {.name = "jit, two rows a tile", .lower = {.tile_rows = 2}, .threads = 1},
    {.name = "jit, all rows a tile", .lower = {.tile_rows = 8}, .threads = 2},
    {.name = "jit, four rows a tile, no cache holds it", .lower = {.tile_rows = 4}, .threads = 1, .large = true},
    {.name = "jit, one vector a block", .lower = {.vectors = 1}, .threads = 1},
    {.name = "jit, three vectors a block", .lower = {.vectors = 3}, .threads = 1},
    {.name = "jit, in sequence", .threads = 1, .sequential = true},
    {.name = "interpreter, for a GPU", .kind = ENGINE_INTERPRETER, .threads = 1, .gpu = true},
};

/* What the slots hold: floats, or doubles. */
typedef struct values {
    void *slot[SLOT_COUNT];
    size_t bytes[SLOT_COUNT];
} values;

static values values_of(const bound *b, bool wide)
{
    values v = {{0}, {0}};
    size_t item = wide ? sizeof(double) : sizeof(float);
    for (int s = 1; s < SLOT_COUNT; s++) {
        v.bytes[s] = (size_t)b->size[s] * item;
        v.slot[s] = malloc(v.bytes[s] + 64 * item);
        for (int64_t i = 0; i < b->size[s] + 64; i++)
            if (wide)
                ((double *)v.slot[s])[i] = b->slot[s][i];
            else
                ((float *)v.slot[s])[i] = (float)b->slot[s][i];
    }
    return v;
}

static void free_values(values *v)
{
    for (int s = 1; s < SLOT_COUNT; s++)
        free(v->slot[s]);
}

static void free_bound(bound *b)
{
    for (int s = 1; s < SLOT_COUNT; s++)
        free(b->slot[s]);
    free(b->labels);
}

/* Of each choice another candidate is active, and the gates of all others are asked for. */
static void choose(const net *n, const program *p, arena *a, device_run *run)
{
    int *active = NEW_ARRAY(a, int, p->selects + 1);
    uint64_t *gates = NEW_ARRAY(a, uint64_t, p->selects + 1);
    for (int r = 1; r < n->regions.count; r += net_region_candidates(n, r)) {
        int candidates = net_region_candidates(n, r), choice = n->regions.at[r].select;
        active[choice] = (choice + 2) % candidates;
        gates[choice] = ((UINT64_C(1) << candidates) - 1) & ~(UINT64_C(1) << active[choice]);
    }
    run->active = active;
    run->gates = gates;
}

/* A program's kernels as their CUDA text on the CPU. */
static void *emulate(arena *a, const program *p, const target *t, program_code *code)
{
    kernel_fn **entry = NEW_ARRAY(a, kernel_fn *, p->kernels.count + 1);
    code->entry = entry;
    return emulation_open(p->kernels.at, p->kernels.count, t, entry);
}

/* The outputs of the net on one variant; `first` holds those of the variant before all others. */
static void run_variant(const net *n, unsigned grad, int batch, const variant *v, values *first, const char *what)
{
    nasc_diag d = {0};
    arena a = {0};
    target t = target_host();
    if (v->gpu && !t.fma)
        return; /* GPUs have one: its sums are others */
    if (v->gpu)
        t = target_gpus[0];
    if (v->large)
        t.l3_bytes = 0;
    pipeline_options o = {.batch = batch, .grad = grad, .lower = v->lower, .sequential = v->sequential};
    program *p = pipeline_compile(&a, n, &t, &o, &d);
    fail_with(&d, what);
    if (v->memory > 0 && grad) {
        int64_t all = p->arena_elements;
        o.memory = (int64_t)(v->memory * (double)all * 4);
        p = pipeline_compile(&a, n, &t, &o, &d);
        fail_with(&d, what);
        assert_true(p->arena_elements < all);
    }
    engine *e = engine_open(v->kind, &t, 2, &d);
    fail_with(&d, what);
    program_code code;
    engine_load(e, p, &code, &d);
    fail_with(&d, what);
    void *emulated = v->emulated ? emulate(&a, p, &t, &code) : NULL;
    device *device = device_open_cpu(v->threads, &d);
    assert_true(device_prepare(device, p, &code, &d));
    bound given;
    fill_slots(&given, n, p, batch, (int)n->slot_size[SLOT_LOGITS], 11);
    values got = values_of(&given, code.wide);
    device_run run = {.program = p, .code = &code, .n = batch};
    for (int s = 1; s < SLOT_COUNT; s++)
        run.slot[s] = got.slot[s];
    run.slot[SLOT_LABELS] = given.labels;
    choose(n, p, &a, &run);
    device_execute(device, &run, &d);
    fail_with(&d, what);
    for (int s = 1; s < SLOT_COUNT; s++) {
        if (!first->slot[s]) {
            first->slot[s] = malloc(got.bytes[s] + 1);
            first->bytes[s] = got.bytes[s];
            memcpy(first->slot[s], got.slot[s], got.bytes[s]);
        } else if (memcmp(first->slot[s], got.slot[s], got.bytes[s]) != 0) {
            fail_msg("%s, %s: other bits in slot %d", what, v->name, s);
        }
    }
    device_close(device);
    engine_close(e);
    if (emulated)
        dlclose(emulated);
    free_values(&got);
    free_bound(&given);
    arena_free(&a);
}

/* Variants where what is kept from one pass to the other is most of the memory. */
static const variant kept = {.name = "jit", .threads = 2},
                     again = {.name = "jit, less memory", .threads = 2, .memory = 0.8};
/* C compilers are slow: of small spaces. */
static const variant by_c = {.name = "c", .kind = ENGINE_CC, .threads = 1};
/* So is LLVM where a register holds half as many numbers. */
static const variant wide[] = {
    {.name = "interpreter, float64", .kind = ENGINE_INTERPRETER_WIDE, .threads = 1},
    {.name = "jit, float64", .kind = ENGINE_JIT_WIDE, .threads = 1},
    {.name = "jit, float64, a row a tile, no cache holds it",
     .kind = ENGINE_JIT_WIDE,
     .lower = {.tile_rows = 1},
     .threads = 2,
     .large = true},
};

/* C++ compilers are slower still. */
static const variant cuda[] = {
    {.name = "interpreter", .kind = ENGINE_INTERPRETER, .threads = 1},
    {.name = "interpreter, for a GPU", .kind = ENGINE_INTERPRETER, .threads = 1, .gpu = true},
    {.name = "CUDA text", .kind = ENGINE_INTERPRETER, .threads = 1, .gpu = true, .emulated = true},
};

/* What to run: the first few variants, all of them, and those above. */
enum which { FEW = 1, SCHEDULES = 2, WITH_C = 4, MEMORY = 8, FLOAT64 = 16, CUDA = 32 };

static void run_all(const char *file, const char *const *set, bool train, unsigned grad, unsigned which, int batch)
{
    nasc_diag d = {0};
    space *s = space_read(file, &d);
    fail_with(&d, file);
    settings to;
    settings_defaults(&to, space_is_genotype(s) ? SETTINGS_TRAIN : SETTINGS_DARTS);
    settings_from_space(&to, s);
    for (int i = 0; set[i]; i++)
        assert_true(settings_assign(&to, set[i], "test", &d));
    arena a = {0};
    space_net built;
    space_build(s, &to, (space_mode){train, train}, &a, &built, &d);
    fail_with(&d, file);
    assert_true(objective_add(&built, 0.1, 0.4, &d));
    values first = {{0}, {0}}, first_wide = {{0}, {0}};
    for (int i = 0; i < (which & SCHEDULES ? (int)COUNT(variants) : which & FEW ? 6 : 0); i++)
        run_variant(built.net, grad, batch, &variants[i], &first, file);
    if (which & WITH_C)
        run_variant(built.net, grad, batch, &by_c, &first, file);
    for (int i = 0; i < (which & FLOAT64 ? (int)COUNT(wide) : 0); i++)
        run_variant(built.net, grad, batch, &wide[i], &first_wide, file);
    for (int i = 0; i < (which & CUDA ? (int)COUNT(cuda) : 0); i++)
        run_variant(built.net, grad, batch, &cuda[i], &first, file);
    if (which & MEMORY) {
        run_variant(built.net, grad, batch, &kept, &first, file);
        run_variant(built.net, grad, batch, &again, &first, file);
    }
    free_values(&first);
    free_values(&first_wide);
    arena_free(&a);
    space_free(s);
}

#endif
