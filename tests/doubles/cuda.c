/* A double of the driver of an NVIDIA GPU: the functions of it that nasc uses, on the CPU. What its compiler's double
 * has made is text, which the C++ compiler at hand takes when it is first launched. Every address that a kernel or a copy
 * is given must lie in memory that was taken and not given back, nothing may be given back that work still uses, and
 * whoever ends must have given everything back. cuda_streams.c says when work is done, cuda_graph.c has graphs.
 *
 * CUDA_DOUBLE=FUNCTION:N makes the Nth call of that function fail as the driver would; CUDA_DOUBLE=none: there is no GPU;
 * CUDA_DOUBLE_CAPABILITY is what the GPU says of itself (80), CUDA_DOUBLE_VERSION what the driver does (12040). */
#include "cuda_double.h"

#include <dlfcn.h>
#include <unistd.h>

struct gpu gpu;

int fails(const char *function, int code)
{
    const char *wanted = getenv("CUDA_DOUBLE");
    size_t length = strlen(function);
    bool counted = wanted && strncmp(wanted, function, length) == 0 && wanted[length] == ':';
    bool now = counted && ++gpu.calls == atoi(wanted + length + 1);
    if (now && code == LAUNCH_FAILED) {
        gpu.lost = true;
        streams_forget();
    }
    return gpu.lost ? LAUNCH_FAILED : now ? code : OK;
}

struct piece *piece_of(uint64_t at, size_t bytes, bool pinned)
{
    for (int i = 0; i < PIECES_MAX; i++) {
        struct piece *p = &gpu.piece[i];
        uint64_t from = (uint64_t)(uintptr_t)p->at;
        if (p->at && p->pinned == pinned && at >= from && at + bytes <= from + p->bytes)
            return p;
    }
    return NULL;
}

void wrong(const char *what)
{
    fprintf(stderr, "CUDA's double: %s\n", what);
    abort();
}

EXPORT int cuDriverGetVersion(int *version)
{
    const char *said = getenv("CUDA_DOUBLE_VERSION");
    *version = said ? atoi(said) : 12040;
    return OK;
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
    if (gpu.events || gpu.graphs || gpu.ready || gpu.streams)
        wrong("events, graphs or streams are not destroyed");
    gpu.retained = gpu.entered = false;
    return device == 0 ? OK : INVALID_VALUE;
}

EXPORT int cuCtxSetCurrent(void *context)
{
    gpu.entered = context == &gpu && gpu.retained;
    return gpu.entered ? OK : INVALID_CONTEXT;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* It begins as numbers that no result may depend on. */
static char *take(size_t bytes, bool pinned)
{
    for (int i = 0; i < PIECES_MAX; i++) {
        if (gpu.piece[i].at)
            continue;
        char *taken = malloc(bytes + GUARD);
        if (taken)
            memset(taken, 0xff, bytes + GUARD); /* NaN */
        gpu.piece[i] = (struct piece){taken, bytes, pinned};
        return taken;
    }
    return NULL;
}

static void give_back(uint64_t at, bool pinned)
{
    struct piece *p = piece_of(at, 0, pinned);
    if (!p || (uint64_t)(uintptr_t)p->at != at)
        wrong("what is given back was not taken");
    if (streams_use(p))
        wrong("memory is given back that work still uses");
    for (int i = 0; i < GUARD; i++)
        if (p->at[p->bytes + (size_t)i] != (char)0xff)
            wrong("something writes behind its memory");
    free(p->at);
    *p = (struct piece){0};
}

EXPORT int cuMemGetInfo_v2(size_t *left, size_t *all)
{
    *left = *all = (size_t)1 << 30;
    return gpu.entered ? OK : INVALID_CONTEXT;
}

EXPORT int cuMemAlloc_v2(uint64_t *at, size_t bytes)
{
    int code = fails("cuMemAlloc_v2", OUT_OF_MEMORY);
    if (code != OK || !gpu.entered || bytes == 0)
        return code != OK ? code : gpu.entered ? INVALID_VALUE : INVALID_CONTEXT;
    *at = (uint64_t)(uintptr_t)take(bytes, false);
    return *at ? OK : OUT_OF_MEMORY;
}

EXPORT int cuMemFree_v2(uint64_t at)
{
    give_back(at, false);
    return gpu.lost ? LAUNCH_FAILED : OK;
}

EXPORT int cuMemHostAlloc(void **at, size_t bytes, unsigned flags)
{
    int code = fails("cuMemHostAlloc", OUT_OF_MEMORY);
    if (code != OK || !gpu.entered || flags != 0)
        return code != OK ? code : INVALID_VALUE;
    *at = take(bytes, true);
    return *at ? OK : OUT_OF_MEMORY;
}

EXPORT int cuMemFreeHost(void *at)
{
    give_back((uint64_t)(uintptr_t)at, true);
    return gpu.lost ? LAUNCH_FAILED : OK;
}

/* ---- modules: an image is the text of a function named kernel ----------------------------------------------------- */

/* Parameters are pointers, int n, int units; or a table of pointers, int n, and of each part three. */
static void read_parameters(struct module *m)
{
    const char *at = strstr(m->text, "_table {\n    void *at["), *parts = strstr(m->text, "} part[");
    m->table = at != NULL;
    if (m->table) {
        m->pointers = atoi(strchr(at, '[') + 1);
        m->numbers = 1 + 3 * atoi(strchr(parts, '[') + 1);
        return;
    }
    m->pointers = -1;
    m->numbers = 2;
    for (at = strstr(m->text, " kernel("); at && *at && *at != ')'; at++)
        m->pointers += *at == ',';
}

EXPORT int cuModuleLoadData(void **made, const void *image)
{
    int code = fails("cuModuleLoadData", OUT_OF_MEMORY);
    if (code != OK)
        return code;
    struct module *m = calloc(1, sizeof *m);
    *m = (struct module){.text = strdup(image), .number = gpu.numbers++, .next = gpu.modules};
    read_parameters(m);
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

/* ---- calls of kernels -------------------------------------------------------------------------------------------- */

static uint64_t *room_for(const struct module *m)
{
    return calloc((size_t)m->pointers + (size_t)m->numbers, sizeof(uint64_t));
}

/* A pointer of a table may be none. */
static bool is_address(const struct module *m, uint64_t at)
{
    return (m->table && at == 0) || piece_of(at, 1, false);
}

bool call_make(struct call *c, void *function, unsigned blocks, unsigned threads, void **parameters)
{
    struct module *m = function;
    if (!gpu.entered || blocks < 1 || threads < 1 || threads > 1024)
        return false;
    *c = (struct call){m, blocks, threads, room_for(m)};
    int *number = (int *)(c->table + m->pointers);
    if (m->table)
        memcpy(c->table, parameters[0], (size_t)m->pointers * 8 + (size_t)m->numbers * sizeof *number);
    for (int i = 0; i < m->pointers && !m->table; i++)
        memcpy(&c->table[i], parameters[i], sizeof *c->table);
    for (int i = 0; i < m->numbers && !m->table; i++)
        memcpy(&number[i], parameters[m->pointers + i], sizeof *number);
    for (int i = 0; i < m->pointers; i++)
        if (!is_address(m, c->table[i]))
            wrong("a kernel is given an address where no memory is");
    return true;
}

void call_run(const struct call *c)
{
    const struct module *m = c->module;
    void *parameters[PARAMETERS_MAX];
    if (!m->grid)
        compile_modules();
    parameters[0] = c->table;
    for (int i = 0; i < m->pointers && !m->table; i++)
        parameters[i] = &c->table[i];
    for (int i = 0; i < m->numbers && !m->table; i++)
        parameters[m->pointers + i] = (int *)(c->table + m->pointers) + i;
    m->grid(parameters, c->blocks, c->threads);
}

void call_drop(struct call *c)
{
    free(c->table);
}

bool call_uses(const struct call *c, const struct piece *p)
{
    uint64_t from = (uint64_t)(uintptr_t)p->at;
    for (int i = 0; i < c->module->pointers; i++)
        if (c->table[i] >= from && c->table[i] < from + p->bytes)
            return true;
    return false;
}
