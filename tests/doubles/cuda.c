/* A double of the driver of an NVIDIA GPU: the functions of it that nasc uses, on the CPU. What its compiler's double
 * has made is text, which runs at once when it is launched; every address that a kernel or a copy is given must lie in memory that was taken
 * and not given back, and whoever ends must have given everything back.
 *
 * CUDA_DOUBLE=FUNCTION:N makes the Nth call of that function fail as the driver would; CUDA_DOUBLE=none: there is no GPU;
 * CUDA_DOUBLE_CAPABILITY is what the GPU says of itself (80). */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum {
    OK,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719
};
enum { PIECES_MAX = 64, GUARD = 256 };

typedef void grid(void **parameters, unsigned blocks, unsigned threads);
struct module {
    char *text;
    grid *grid; /* NULL until it is launched, or another is */
    int number;
    struct module *next;
};
static struct {
    bool started, retained, entered, lost;
    int calls, events;
    struct piece {
        char *at;
        size_t bytes;
    } piece[PIECES_MAX];
    struct module *modules;
    int numbers;
} gpu;

/* The code with which this call fails; 0: it does not. A GPU that a launch has failed on stays lost. */
static int fails(const char *function, int code)
{
    const char *wanted = getenv("CUDA_DOUBLE");
    size_t length = strlen(function);
    bool counted = wanted && strncmp(wanted, function, length) == 0 && wanted[length] == ':';
    bool now = counted && ++gpu.calls == atoi(wanted + length + 1);
    gpu.lost |= now && code == LAUNCH_FAILED;
    return gpu.lost ? LAUNCH_FAILED : now ? code : OK;
}

static struct piece *piece_of(uint64_t at, size_t bytes)
{
    for (int i = 0; i < PIECES_MAX; i++) {
        struct piece *p = &gpu.piece[i];
        uint64_t from = (uint64_t)(uintptr_t)p->at;
        if (p->at && at >= from && at + bytes <= from + p->bytes)
            return p;
    }
    return NULL;
}

static void wrong(const char *what)
{
    fprintf(stderr, "CUDA's double: %s\n", what);
    abort();
}

EXPORT int cuInit(unsigned flags)
{
    gpu.started = flags == 0;
    return getenv("CUDA_DOUBLE") && strcmp(getenv("CUDA_DOUBLE"), "none") == 0 ? NO_DEVICE : OK;
}

EXPORT int cuGetErrorString(int code, const char **words)
{
    *words = code == OUT_OF_MEMORY   ? "out of memory"
             : code == NO_DEVICE     ? "no CUDA-capable device is detected"
             : code == LAUNCH_FAILED ? "unspecified launch failure"
                                     : "another error";
    return OK;
}

EXPORT int cuDeviceGet(int *device, int number)
{
    *device = number;
    return gpu.started ? OK : NOT_INITIALIZED;
}

EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    const char *capability = getenv("CUDA_DOUBLE_CAPABILITY");
    int all = capability ? atoi(capability) : 80;
    *value = attribute == 75 ? all / 10 : all % 10;
    return device == 0 && (attribute == 75 || attribute == 76) ? OK : INVALID_VALUE;
}

EXPORT int cuDevicePrimaryCtxRetain(void **context, int device)
{
    *context = &gpu;
    gpu.retained = device == 0;
    return OK;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int device)
{
    for (int i = 0; i < PIECES_MAX; i++)
        if (gpu.piece[i].at)
            wrong("memory is not given back");
    if (gpu.modules)
        wrong("modules are not unloaded");
    if (gpu.events != 0)
        wrong("events are not destroyed");
    gpu.retained = gpu.entered = false;
    return device == 0 ? OK : INVALID_VALUE;
}

EXPORT int cuCtxSetCurrent(void *context)
{
    gpu.entered = context == &gpu && gpu.retained;
    return gpu.entered ? OK : INVALID_CONTEXT;
}

EXPORT int cuCtxSynchronize(void)
{
    return fails("cuCtxSynchronize", LAUNCH_FAILED);
}

/* An event is the time at which it was recorded: what was launched before has run. */
EXPORT int cuEventCreate(void **event, unsigned flags)
{
    int code = fails("cuEventCreate", OUT_OF_MEMORY);
    if (code != OK || !gpu.entered || flags != 0)
        return code ? code : INVALID_VALUE;
    *event = calloc(1, sizeof(struct timespec));
    gpu.events++;
    return *event ? OK : OUT_OF_MEMORY;
}

EXPORT int cuEventDestroy_v2(void *event)
{
    free(event);
    gpu.events--;
    return OK;
}

EXPORT int cuEventRecord(void *event, void *stream)
{
    int code = fails("cuEventRecord", LAUNCH_FAILED);
    if (stream)
        return INVALID_VALUE;
    clock_gettime(CLOCK_MONOTONIC, event);
    return code;
}

EXPORT int cuEventElapsedTime(float *milliseconds, void *start, void *end)
{
    const struct timespec *from = start, *to = end;
    *milliseconds = (float)((double)(to->tv_sec - from->tv_sec) * 1e3 + (double)(to->tv_nsec - from->tv_nsec) * 1e-6);
    return from->tv_sec && to->tv_sec ? OK : INVALID_VALUE;
}

/* Memory begins as numbers that no result may depend on. */
EXPORT int cuMemAlloc_v2(uint64_t *at, size_t bytes)
{
    int code = fails("cuMemAlloc_v2", OUT_OF_MEMORY);
    for (int i = 0; i < PIECES_MAX && code == OK; i++) {
        if (gpu.piece[i].at)
            continue;
        char *taken = malloc(bytes + GUARD);
        if (!taken || !gpu.entered)
            return taken ? INVALID_CONTEXT : OUT_OF_MEMORY;
        memset(taken, 0xff, bytes + GUARD); /* NaN */
        gpu.piece[i] = (struct piece){taken, bytes};
        *at = (uint64_t)(uintptr_t)taken;
        return OK;
    }
    return code ? code : OUT_OF_MEMORY;
}

EXPORT int cuMemFree_v2(uint64_t at)
{
    struct piece *p = piece_of(at, 0);
    if (!p || (uint64_t)(uintptr_t)p->at != at)
        wrong("what is given back was not taken");
    for (int i = 0; i < GUARD; i++)
        if (p->at[p->bytes + (size_t)i] != (char)0xff)
            wrong("a kernel writes behind its memory");
    free(p->at);
    *p = (struct piece){0};
    return OK;
}

EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes)
{
    if (!piece_of(to, bytes))
        wrong("a copy goes where no memory is");
    memcpy((void *)(uintptr_t)to, from, bytes);
    return fails("cuMemcpyHtoD_v2", LAUNCH_FAILED);
}

EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)
{
    int code = fails("cuMemcpyDtoH_v2", LAUNCH_FAILED);
    if (!piece_of(from, bytes))
        wrong("a copy comes from where no memory is");
    if (code == OK)
        memcpy(to, (const void *)(uintptr_t)from, bytes);
    return code;
}

/* ---- modules: an image is the text of a function named kernel ----------------------------------------------------- */

EXPORT int cuModuleLoadData(void **made, const void *image)
{
    int code = fails("cuModuleLoadData", OUT_OF_MEMORY);
    if (code != OK)
        return code;
    struct module *m = calloc(1, sizeof *m);
    *m = (struct module){.text = strdup(image), .number = gpu.numbers++, .next = gpu.modules};
    *made = gpu.modules = m;
    return OK;
}

EXPORT int cuModuleUnload(void *module)
{
    struct module **at = &gpu.modules;
    while (*at != module)
        at = &(*at)->next;
    *at = (*at)->next;
    free(((struct module *)module)->text);
    free(module);
    return OK;
}

EXPORT int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = module;
    return strcmp(name, "kernel") == 0 ? OK : NOT_FOUND;
}

/* The text of each module that no library has yet, as function kernel_NUMBER. */
static void write_modules(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        wrong("a file cannot be written");
    fprintf(f, "#include \"%s/cuda_device.hpp\"\n", TESTS_DIR);
    for (const struct module *m = gpu.modules; m; m = m->next)
        if (!m->grid)
            fprintf(f, "namespace m%d {\n#define kernel kernel_%d\n%s\n#undef kernel\nGRID(kernel_%d, %s)\n}\n",
                    m->number, m->number, m->text, m->number, strstr(m->text, "__syncthreads()") ? "true" : "false");
    fclose(f);
}

static void *compile(const char *source, const char *library)
{
    char command[512];
    /* C++14: <math.h> of C++17 takes as long as all else. */
    snprintf(command, sizeof command, "c++ -std=c++14 -O0 -ffp-contract=off -fPIC -shared -o %s %s", library, source);
    void *handle = system(command) == 0 ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!handle)
        wrong("the emitted text does not compile");
    return handle;
}

static void find_grid(void *library, struct module *m)
{
    char symbol[64];
    snprintf(symbol, sizeof symbol, "kernel_%d_grid", m->number);
    m->grid = (grid *)(uintptr_t)dlsym(library, symbol);
}

static void compile_modules(void)
{
    char folder[] = "/tmp/nasc-double-XXXXXX", source[64], library[64];
    if (!mkdtemp(folder))
        wrong("no folder can be made");
    snprintf(source, sizeof source, "%s/k.cpp", folder);
    snprintf(library, sizeof library, "%s/k.so", folder);
    write_modules(source);
    void *made = compile(source, library);
    for (struct module *m = gpu.modules; m; m = m->next)
        if (!m->grid)
            find_grid(made, m);
    unlink(source);
    unlink(library);
    rmdir(folder);
}

EXPORT int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                          unsigned block_y, unsigned block_z, unsigned shared_bytes, void *stream, void **parameters,
                          void **extra)
{
    int code = fails("cuLaunchKernel", LAUNCH_FAILED);
    if (code != OK)
        return code;
    if (!gpu.entered || grid_x < 1 || grid_y != 1 || grid_z != 1 || block_x < 1 || block_x > 1024 || block_y != 1 ||
        block_z != 1 || shared_bytes || stream || extra)
        return INVALID_VALUE;
    struct module *m = function;
    if (!m->grid)
        compile_modules();
    m->grid(parameters, grid_x, block_x);
    return OK;
}
