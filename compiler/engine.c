/* Code for programs. An engine is one way to make it, and owns what it made: objects by LLVM, libraries by the C compiler,
 * images by NVRTC. */
#include "engine.h"

#include "plan/plan.h"

#include <string.h>

struct engine {
    enum engine_kind kind;
    target t;
    int threads;
    jit *jit;
    nvrtc *nvrtc;
    cudnn *cudnn;
    net_library library; /* it, for the compiler */
    VEC(struct made {
        unsigned char key[16];
        program_image image;
    })
    images; /* by NVRTC */
    arena a;
    VEC(cc_library *) libraries;
    jit_stats stats;
    text spills; /* since it was last asked; owned by `a` */
};

static bool is_jit(enum engine_kind kind)
{
    return kind == ENGINE_JIT || kind == ENGINE_JIT_WIDE;
}

static bool is_wide(enum engine_kind kind)
{
    return kind == ENGINE_JIT_WIDE || kind == ENGINE_INTERPRETER_WIDE;
}

engine *engine_open(enum engine_kind kind, const target *t, int threads, nasc_diag *d)
{
    engine *e = mem_alloc(sizeof *e);
    if (!e) {
        diag_memory(d);
        return NULL;
    }
    *e = (engine){.kind = kind, .t = *t, .threads = threads, .spills = {.arena = &e->a}};
    bool ok = true;
    if (is_jit(kind))
        ok = (e->jit = jit_open(&e->t, d)) != NULL;
    if (kind == ENGINE_CUDA)
        ok = (e->nvrtc = nvrtc_open(d)) != NULL;
    if (ok)
        return e;
    mem_free(e);
    return NULL;
}

enum { WORKSPACE_MOST = 32 << 20 }; /* bytes that one convolution of a library may work in */

static bool library_takes(void *user, const program_conv *conv, int batch, int64_t *workspace)
{
    nasc_diag why = {0};
    return cudnn_takes(user, conv, batch, WORKSPACE_MOST, workspace, &why);
}

net_library cudnn_as_library(cudnn *c)
{
    return (net_library){library_takes, c};
}

bool engine_open_library(engine *e, bool tensor_cores, nasc_diag *d)
{
    CHECK(e->kind == ENGINE_CUDA);
    e->cudnn = cudnn_open(NULL, tensor_cores, d);
    e->library = cudnn_as_library(e->cudnn);
    return e->cudnn != NULL;
}

const net_library *engine_library(const engine *e)
{
    return e->cudnn ? &e->library : NULL;
}

static bool interpret(const kernel *k, void *const *buffer, const int64_t *sizes, int64_t n, int64_t begin, int64_t end,
                      bool wide, nasc_diag *d)
{
    int64_t elements[LOOP_ARGS_MAX]; /* a program counts words of four bytes */
    for (int i = 0; i < k->args.count; i++)
        elements[i] = sizes[i] * (dtype_info[k->args.at[i].dtype].bytes == 1 ? 4 : 1);
    loop_call call = {buffer, elements, n, begin, end, wide};
    return loop_interpret(k, &call, d);
}

/* The program's kernels as the engine compiles them. */
static const kernel *const *kernels_of(const engine *e, const program *p, arena *a)
{
    if (!is_wide(e->kind))
        return p->kernels.at;
    const kernel **wide = NEW_ARRAY(a, const kernel *, p->kernels.count + 1);
    for (int k = 0; k < p->kernels.count; k++)
        wide[k] = loop_widen(a, p->kernels.at[k]);
    return wide;
}

/* The image of a function, an earlier one's where they are equal. */
static bool make_image(engine *e, const program *p, const program_function *f, program_image *image, nasc_diag *d)
{
    struct made m = {0};
    cubin made;
    cuda_function_key(f, p->kernels.at, m.key);
    for (int i = 0; i < e->images.count; i++)
        if (memcmp(e->images.at[i].key, m.key, sizeof m.key) == 0) {
            *image = e->images.at[i].image;
            return true;
        }
    if (!nvrtc_compile(e->nvrtc, &e->a, f, p->kernels.at, &e->t, &made, d))
        return false;
    e->stats.compiled += !made.cached;
    e->stats.cached += made.cached;
    if (made.use.spill_bytes > 0)
        text_add(&e->spills, "  %s: %d bytes, with %d registers of %s\n", program_function_name(&e->a, p, f),
                 made.use.spill_bytes, made.use.registers, e->t.name);
    m.image = (program_image){made.image, CUDA_SYMBOL};
    VEC_PUSH(&e->a, &e->images, m);
    *image = m.image;
    return true;
}

static bool load_images(engine *e, const program *p, program_code *code, nasc_diag *d)
{
    program_image *image = NEW_ARRAY(&e->a, program_image, p->functions.count + 1);
    code->image = image;
    if (e->cudnn)
        code->library = cudnn_library(e->cudnn);
    for (int f = 0; f < p->functions.count; f++)
        if (!make_image(e, p, &p->functions.at[f], &image[f], d))
            return false;
    return true;
}

/* LLVM is not told of whole numbers yet: kernels that compute with them go through the C compiler. */
static bool any_integers(const kernel *const *kernels, int count)
{
    for (int i = 0; i < count; i++)
        if (loop_has_integers(kernels[i]))
            return true;
    return false;
}

static bool load_machine_code(engine *e, const kernel *const *kernels, int count, kernel_fn **entry, nasc_diag *d)
{
    if (is_jit(e->kind) && !any_integers(kernels, count)) {
        jit_stats more = {0};
        bool ok = jit_compile(e->jit, kernels, count, e->threads, entry, &more, d);
        e->stats.compiled += more.compiled;
        e->stats.cached += more.cached;
        e->stats.seconds += more.seconds;
        return ok;
    }
    cc_library *l = cc_open(kernels, count, &e->t, entry, d);
    if (l)
        VEC_PUSH(&e->a, &e->libraries, l);
    return l != NULL;
}

/* What is loaded: where, what, and into what. */
typedef struct loading {
    engine *e;
    const program *p;
    program_code *code;
} loading;

static bool load(void *user, arena *scratch, nasc_diag *d)
{
    const loading *l = user;
    engine *e = l->e;
    const program *p = l->p;
    e->a.unwind = scratch->unwind;
    if (e->kind == ENGINE_CUDA)
        return load_images(e, p, l->code, d);
    kernel_fn **entry = NEW_ARRAY(&e->a, kernel_fn *, p->kernels.count + 1);
    l->code->entry = entry;
    return load_machine_code(e, kernels_of(e, p, scratch), p->kernels.count, entry, d);
}

bool engine_load(engine *e, const program *p, program_code *code, nasc_diag *d)
{
    *code = (program_code){.interpret = interpret, .wide = is_wide(e->kind)};
    loading l = {e, p, code};
    if (e->kind == ENGINE_INTERPRETER || e->kind == ENGINE_INTERPRETER_WIDE)
        return true;
    bool ok = arena_within(load, &l, d);
    e->a.unwind = NULL;
    return ok;
}

jit_stats engine_stats(const engine *e)
{
    return e->stats;
}

const char *engine_spills(engine *e)
{
    const char *lines = e->spills.at;
    e->spills = (text){.arena = &e->a};
    return lines;
}

void engine_close(engine *e)
{
    if (!e)
        return;
    for (int i = 0; i < e->libraries.count; i++)
        cc_close(e->libraries.at[i]);
    jit_close(e->jit);
    nvrtc_close(e->nvrtc);
    cudnn_close(e->cudnn);
    arena_free(&e->a);
    mem_free(e);
}
