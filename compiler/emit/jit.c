/* The JIT: finds kernels among those linked already, in the cache, or compiles them; then links what is new.
 *
 * One object a kernel, in the cache and in memory: a space that changes in one op finds all its other kernels again.
 * Reading and linking cost 0.1 to 0.2 ms a kernel; larger objects would save less than the first change loses. */
#ifdef NASC_LLVM
#include "emit/cache.h"
#include "emit/llvm.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xxhash.h>

typedef struct linked {
    unsigned char key[16];
    kernel_fn *entry;
} linked;

struct jit {
    target target;
    LLVMOrcLLJITRef link;
    cache cache;
    arena arena;
    VEC(linked) known; /* searched from end to end: a search knows some hundred kernels */
};

/* A kernel that is not linked yet. */
typedef struct pending {
    const kernel *kernel;
    int known; /* its place in jit.known */
    bool cached;
    LLVMMemoryBufferRef object;
    nasc_diag diag;
} pending;

static bool orc_failed(LLVMErrorRef error, nasc_diag *d)
{
    if (!error)
        return false;
    char *message = LLVMGetErrorMessage(error);
    diag_fail(d, DIAG_DEVICE, "LLVM", "%s", message);
    LLVMDisposeErrorMessage(message);
    return true;
}

static bool same_architecture(const char *triple)
{
    char *host = LLVMGetDefaultTargetTriple();
    size_t length = strcspn(host, "-");
    bool same = strcspn(triple, "-") == length && strncmp(triple, host, length) == 0;
    LLVMDisposeMessage(host);
    return same;
}

jit *jit_open(const target *t, nasc_diag *d)
{
    llvm_start();
    LLVMTargetMachineRef machine = llvm_machine(t, d);
    if (!machine)
        return NULL;
    if (!same_architecture(t->triple)) {
        LLVMDisposeTargetMachine(machine);
        diag_fail(d, DIAG_DEVICE, t->name, "this machine does not execute code for %s", t->triple);
        return NULL;
    }
    jit *j = mem_alloc(sizeof *j);
    if (!j) {
        LLVMDisposeTargetMachine(machine);
        diag_memory(d);
        return NULL;
    }
    *j = (jit){.target = *t};
    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(builder,
                                                  LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(machine));
    if (orc_failed(LLVMOrcCreateLLJIT(&j->link, builder), d)) {
        mem_free(j);
        return NULL;
    }
    cache_open(&j->cache);
    return j;
}

void jit_close(jit *j)
{
    if (!j)
        return;
    LLVMConsumeError(LLVMOrcDisposeLLJIT(j->link));
    arena_free(&j->arena);
    mem_free(j);
}

/* What else the object depends on is hashed with the kernel's own key. */
static void object_key(const jit *j, const unsigned char kernel_key[16], unsigned char key[CACHE_KEY_BYTES])
{
    unsigned version[4] = {LLVM_EMITTER_VERSION};
    LLVMGetVersion(&version[1], &version[2], &version[3]);
    const char *words[] = {j->target.name, j->target.triple, j->target.cpu, j->target.features};
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, kernel_key, 16);
    XXH3_128bits_update(state, version, sizeof version);
    for (size_t i = 0; i < COUNT(words); i++)
        if (words[i])
            XXH3_128bits_update(state, words[i], strlen(words[i]) + 1);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    memcpy(key, bytes.digest, CACHE_KEY_BYTES);
}

/* Fills p->object, from the cache or by compiling; `machine` is made when the thread first needs it. */
static void object_make(const jit *j, pending *p, LLVMTargetMachineRef *machine)
{
    unsigned char key[CACHE_KEY_BYTES];
    char symbol[LLVM_SYMBOL_BYTES];
    size_t size;
    object_key(j, j->known.at[p->known].key, key);
    llvm_symbol(symbol, j->known.at[p->known].key);
    void *cached = cache_load(&j->cache, key, &size);
    if (cached) {
        p->cached = true;
        p->object = LLVMCreateMemoryBufferWithMemoryRangeCopy(cached, size, symbol);
        mem_free(cached);
        return;
    }
    if (!*machine)
        *machine = llvm_machine(&j->target, &p->diag);
    if (*machine)
        p->object = llvm_object(*machine, p->kernel, symbol, &p->diag);
    if (p->object)
        cache_store(&j->cache, key, LLVMGetBufferStart(p->object), LLVMGetBufferSize(p->object));
}

static void objects_make(const jit *j, pending *new, int count, int threads)
{
#pragma omp parallel num_threads(threads)
    {
        LLVMTargetMachineRef machine = NULL;
#pragma omp for schedule(dynamic, 1)
        for (int i = 0; i < count; i++)
            object_make(j, &new[i], &machine);
        if (machine)
            LLVMDisposeTargetMachine(machine);
    }
}

static bool objects_link(jit *j, pending *new, int count, nasc_diag *d)
{
    LLVMOrcResourceTrackerRef tracker = LLVMOrcJITDylibCreateResourceTracker(LLVMOrcLLJITGetMainJITDylib(j->link));
    bool ok = true;
    for (int i = 0; i < count && ok; i++) {
        LLVMMemoryBufferRef object = new[i].object;
        new[i].object = NULL; /* the linker's now */
        ok = !orc_failed(LLVMOrcLLJITAddObjectFileWithRT(j->link, tracker, object), d);
    }
    for (int i = 0; i < count && ok; i++) {
        char symbol[LLVM_SYMBOL_BYTES];
        LLVMOrcExecutorAddress address = 0;
        linked *known = &j->known.at[new[i].known];
        llvm_symbol(symbol, known->key);
        ok = !orc_failed(LLVMOrcLLJITLookup(j->link, &address, symbol), d);
        known->entry = (kernel_fn *)(uintptr_t)address;
    }
    if (!ok)
        LLVMConsumeError(LLVMOrcResourceTrackerRemove(tracker));
    LLVMOrcReleaseResourceTracker(tracker);
    return ok;
}

/* Compiles and links what is new, and counts it. */
static bool pending_finish(jit *j, pending *new, int count, int threads, jit_stats *stats, nasc_diag *d)
{
    bool ok = true;
    objects_make(j, new, count, threads);
    for (int i = 0; i < count; i++) {
        if (!new[i].object && ok)
            ok = diag_fail(d, new[i].diag.kind, new[i].diag.where, "%s", new[i].diag.message);
        stats->cached += new[i].cached;
        stats->compiled += !new[i].cached;
    }
    ok = ok && objects_link(j, new, count, d);
    for (int i = 0; i < count; i++)
        if (new[i].object)
            LLVMDisposeMemoryBuffer(new[i].object);
    if (ok && stats->compiled)
        cache_trim(&j->cache, CACHE_BYTES_MAX);
    return ok;
}

/* The kernel's place in jit.known, which may be a new one. */
static int known_place(jit *j, const kernel *k)
{
    linked l = {0};
    loop_key(k, l.key);
    for (int i = 0; i < j->known.count; i++)
        if (memcmp(j->known.at[i].key, l.key, sizeof l.key) == 0)
            return i;
    VEC_PUSH(&j->arena, &j->known, l);
    return j->known.count - 1;
}

/* The longest first, so that no thread is left alone with one at the end. */
static int by_length(const void *a, const void *b)
{
    const kernel *x = ((const pending *)a)->kernel, *y = ((const pending *)b)->kernel;
    return (x->ins.count < y->ins.count) - (x->ins.count > y->ins.count);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What jit_compile is asked for. */
typedef struct order {
    jit *j;
    const kernel *const *kernels;
    int count, threads;
    kernel_fn **entry;
    jit_stats *stats;
} order;

/* Only the tables come from arenas, and they are made before any object. */
static bool compile(void *user, arena *a, nasc_diag *d)
{
    const order *o = user;
    jit *j = o->j;
    const kernel *const *kernels = o->kernels;
    const int count = o->count, old = j->known.count;
    int fresh = 0;
    j->arena.unwind = a->unwind;
    pending *new = NEW_ARRAY(a, pending, count);
    int *place = NEW_ARRAY(a, int, count);
    for (int i = 0; i < count; i++) {
        place[i] = known_place(j, kernels[i]);
        if (place[i] == old + fresh)
            new[fresh++] = (pending){.kernel = kernels[i], .known = place[i]};
    }
    qsort(new, (size_t)fresh, sizeof *new, by_length);
    if (!pending_finish(j, new, fresh, o->threads > 1 ? o->threads : 1, o->stats, d))
        return false;
    for (int i = 0; i < count; i++)
        o->entry[i] = j->known.at[place[i]].entry;
    return true;
}

bool jit_compile(jit *j, const kernel *const *kernels, int count, int threads, kernel_fn **entry, jit_stats *stats,
                 nasc_diag *d)
{
    const double start = seconds_now();
    const int old = j->known.count;
    order o = {j, kernels, count, threads, entry, stats};
    *stats = (jit_stats){0};
    bool ok = arena_within(compile, &o, d);
    j->arena.unwind = NULL;
    if (!ok)
        j->known.count = old;
    for (int i = 0; !ok && i < count; i++)
        entry[i] = NULL;
    stats->seconds = seconds_now() - start;
    return ok;
}
#endif
