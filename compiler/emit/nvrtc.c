/* CUDA's compiler at run time, in a library that is opened when it is first asked for: nasc is built without CUDA. One
 * kernel is one cubin, in the cache that the JIT has too, together with what the assembler said that it takes. */
#include "base/cuda_libraries.h"
#include "emit/cache.h"
#include "emit/emit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Goes up whenever cuda.c or the prelude makes other text of the same kernel. */
enum { CUDA_EMITTER_VERSION = 8 };

typedef void *nvrtc_program;

/* X(name, parameters): the functions that are used, as nvrtc.h declares them; all but one return 0 for success. */
#define NVRTC_CALLS(X)                                                                                                 \
    X(Version, (int *major, int *minor))                                                                               \
    X(GetNumSupportedArchs, (int *count))                                                                              \
    X(GetSupportedArchs, (int *archs))                                                                                 \
    X(CreateProgram, (nvrtc_program * program, const char *source, const char *name, int headers,                      \
                      const char *const *texts, const char *const *names))                                             \
    X(DestroyProgram, (nvrtc_program * program))                                                                       \
    X(CompileProgram, (nvrtc_program program, int count, const char *const *options))                                  \
    X(GetProgramLogSize, (nvrtc_program program, size_t *size))                                                        \
    X(GetProgramLog, (nvrtc_program program, char *log))                                                               \
    X(GetCUBINSize, (nvrtc_program program, size_t *size))                                                             \
    X(GetCUBIN, (nvrtc_program program, char *cubin))                                                                  \
    X(GetPTXSize, (nvrtc_program program, size_t *size))                                                               \
    X(GetPTX, (nvrtc_program program, char *ptx))

struct nvrtc {
    void *library;
    cache cache;
    int major, minor;
#define X(name, parameters) int(*name) parameters;
    NVRTC_CALLS(X)
#undef X
};

/* ---- the library ------------------------------------------------------------------------------------------------- */

static bool find_calls(nvrtc *r, nasc_diag *d)
{
#define X(name, parameters)                                                                                            \
    r->name = (int(*) parameters)(uintptr_t)dlsym(r->library, "nvrtc" #name);                                          \
    if (!r->name)                                                                                                      \
        return diag_fail(d, DIAG_DEVICE, "NVRTC", "the library has no nvrtc%s: CUDA 11.2 or newer is needed", #name);
    NVRTC_CALLS(X)
#undef X
    return r->Version(&r->major, &r->minor) == 0 || diag_fail(d, DIAG_DEVICE, "NVRTC", "does not say its version");
}

nvrtc *nvrtc_open(nasc_diag *d)
{
    const char *why = "";
    void *library = cuda_library_open(CUDA_NVRTC, &why);
    if (!library) {
        diag_fail(d, DIAG_DEVICE, "NVRTC",
                  "CUDA's compiler is not installed, or not where libraries are looked for (LD_LIBRARY_PATH): %s", why);
        return NULL;
    }
    nvrtc *r = mem_alloc(sizeof *r);
    if (!r) {
        dlclose(library);
        diag_memory(d);
        return NULL;
    }
    *r = (nvrtc){.library = library};
    if (!find_calls(r, d)) {
        nvrtc_close(r);
        return NULL;
    }
    cache_open(&r->cache);
    return r;
}

void nvrtc_close(nvrtc *r)
{
    if (!r)
        return;
    dlclose(r->library);
    mem_free(r);
}

/* What is compiled for: the target, or where that is newer than NVRTC, the newest GPU that it knows; then the code is PTX,
 * text that the driver of any newer GPU compiles. */
typedef struct architecture {
    int capability;
    bool ptx;
} architecture;

static bool choose(const nvrtc *r, arena *a, const target *t, architecture *to, nasc_diag *d)
{
    int count = 0;
    *to = (architecture){t->capability, false};
    if (r->GetNumSupportedArchs(&count) != 0 || count < 1)
        return diag_fail(d, DIAG_DEVICE, "NVRTC", "does not say which GPUs it knows");
    int *archs = NEW_ARRAY(a, int, count);
    bool known = r->GetSupportedArchs(archs) != 0; /* then compiling tells */
    for (int i = 0; i < count; i++)
        known |= archs[i] == t->capability;
    if (!known && t->capability > archs[count - 1])
        *to = (architecture){archs[count - 1], true};
    return known || to->ptx ||
           diag_fail(d, DIAG_DEVICE, t->name, "NVRTC %d.%d does not know this GPU, only sm_%d to sm_%d", r->major,
                     r->minor, archs[0], archs[count - 1]);
}

/* ---- what a kernel takes ----------------------------------------------------------------------------------------- */

/* The number in front of `words` in a line of the assembler's log; 0: nothing is said. */
static int32_t number_before(const char *log, const char *words)
{
    const char *at = strstr(log, words);
    if (!at)
        return 0;
    while (at > log && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return (int32_t)strtol(at, NULL, 10);
}

static struct cubin_use read_use(const char *log)
{
    return (struct cubin_use){.registers = number_before(log, " registers"),
                              .shared_bytes = number_before(log, " bytes smem"),
                              .stack_bytes = number_before(log, " bytes stack frame"),
                              .spill_bytes =
                                  number_before(log, " bytes spill stores") + number_before(log, " bytes spill loads")};
}

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static const char *log_of(const nvrtc *r, arena *a, nvrtc_program program)
{
    size_t size = 0;
    if (r->GetProgramLogSize(program, &size) != 0)
        return "";
    char *log = arena_alloc(a, size + 1);
    return r->GetProgramLog(program, log) == 0 ? log : "";
}

static bool take_code(const nvrtc *r, arena *a, nvrtc_program program, bool ptx, cubin *made)
{
    int (*const size)(nvrtc_program, size_t *) = ptx ? r->GetPTXSize : r->GetCUBINSize;
    int (*const get)(nvrtc_program, char *) = ptx ? r->GetPTX : r->GetCUBIN;
    if (size(program, &made->size) != 0 || made->size == 0)
        return false;
    made->image = arena_alloc(a, made->size);
    return get(program, made->image) == 0;
}

/* alone: a block has all registers of a multiprocessor. A failure is a bug of ours, unless the machine is short of memory:
 * NVRTC is given no text that a user wrote. */
static bool compile_text(const nvrtc *r, arena *a, const kernel *k, const architecture *to, bool alone,
                         const char *source, cubin *made, nasc_diag *d)
{
    const char *arch = arena_printf(a, "--gpu-architecture=%s_%d", to->ptx ? "compute" : "sm", to->capability);
    const char *const options[] = {arch,
                                   alone ? "--define-macro=ALONE" : "--undefine-macro=ALONE",
                                   "--fmad=false",
                                   "--prec-div=true",
                                   "--prec-sqrt=true",
                                   "--ftz=false",
                                   "--ptxas-options=-v"};
    int count = (int)COUNT(options) - to->ptx; /* no assembler is asked for text */
    nvrtc_program program = NULL;
    if (r->CreateProgram(&program, source, k->name, 0, NULL, NULL) != 0)
        return diag_fail(d, DIAG_DEVICE, "NVRTC", "takes no text");
    int status = r->CompileProgram(program, count, options);
    const char *log = log_of(r, a, program);
    bool ok = status == 0 && take_code(r, a, program, to->ptx, made);
    made->use = read_use(log);
    r->DestroyProgram(&program);
    return ok ||
           diag_fail(d, DIAG_DEVICE, k->name, "NVRTC fails with code %d: %.*s", status, (int)strcspn(log, "\n"), log);
}

void cuda_function_key(const program_function *f, const kernel *const *kernels, unsigned char key[16])
{
    struct {
        unsigned char kernel[GRID_KERNELS][16];
        int32_t kernels, threads, table, none;
    } all = {.kernels = f->kernels, .threads = f->threads, .table = f->table};
    for (int i = 0; i < f->kernels; i++)
        loop_key(kernels[f->part[i].kernel], all.kernel[i]);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(&all, sizeof all));
    memcpy(key, bytes.digest, 16);
}

program_function cuda_function_of(const kernel *k)
{
    return (program_function){.kernels = 1,
                              .threads = cuda_block_threads(k),
                              .part = {{.args = k->args.count, .threads = loop_threads_of(k)}}};
}

/* What else the cubin depends on is hashed with the function's own key. */
static void cubin_key(const nvrtc *r, const program_function *f, const kernel *const *kernels, const architecture *to,
                      unsigned char key[CACHE_KEY_BYTES])
{
    struct {
        unsigned char function[16];
        int32_t number[4];
    } all = {.number = {CUDA_EMITTER_VERSION, r->major, r->minor, to->ptx ? -to->capability : to->capability}};
    cuda_function_key(f, kernels, all.function);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(&all, sizeof all));
    memcpy(key, bytes.digest, CACHE_KEY_BYTES);
}

/* An entry of the cache is the use, then the image. */
static bool load_cubin(const nvrtc *r, arena *a, const unsigned char *key, cubin *made)
{
    size_t size;
    char *entry = cache_load(&r->cache, key, &size);
    if (!entry)
        return false;
    made->cached = size > sizeof made->use;
    if (made->cached) {
        memcpy(&made->use, entry, sizeof made->use);
        made->size = size - sizeof made->use;
        made->image = arena_copy(a, entry + sizeof made->use, made->size);
    }
    mem_free(entry);
    return made->cached;
}

static void store_cubin(const nvrtc *r, arena *a, const unsigned char *key, const cubin *made)
{
    CHECK(made->image);
    char *entry = arena_alloc(a, sizeof made->use + made->size);
    memcpy(entry, &made->use, sizeof made->use);
    memcpy(entry + sizeof made->use, made->image, made->size);
    cache_store(&r->cache, key, entry, sizeof made->use + made->size);
}

bool nvrtc_compile(const nvrtc *r, arena *a, const program_function *f, const kernel *const *kernels, const target *t,
                   cubin *made, nasc_diag *d)
{
    unsigned char key[CACHE_KEY_BYTES];
    text source = {.arena = a};
    *made = (cubin){0};
    architecture to;
    if (!choose(r, a, t, &to, d))
        return false;
    cubin_key(r, f, kernels, &to, key);
    if (load_cubin(r, a, key, made))
        return true;
    emit_cuda_prelude(&source);
    const kernel *first = kernels[f->part[0].kernel];
    if (!emit_cuda_function(&source, f, kernels, t, CUDA_SYMBOL, d) ||
        !compile_text(r, a, first, &to, false, source.at, made, d))
        return false;
    if (made->use.spill_bytes && !compile_text(r, a, first, &to, true, source.at, made, d))
        return false;
    store_cubin(r, a, key, made);
    return true;
}
