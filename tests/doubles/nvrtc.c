/* A double of CUDA's run-time compiler: the functions of it that nasc uses. Text goes to the C++ compiler at hand,
 * behind cuda_device.hpp, and what it calls a cubin is a shared object, which the double of the driver runs. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum { OK = 0, INVALID_INPUT = 3, COMPILATION = 6, ARCHS = 6 };

typedef struct program {
    char *source, *cubin;
    size_t size;
} program;

EXPORT int nvrtcVersion(int *major, int *minor)
{
    *major = 0; /* so that nothing in a cache is taken for its work, nor its work for CUDA's */
    *minor = 1;
    return OK;
}

EXPORT int nvrtcGetNumSupportedArchs(int *count)
{
    *count = ARCHS;
    return OK;
}

EXPORT int nvrtcGetSupportedArchs(int *archs)
{
    static const int known[ARCHS] = {75, 80, 86, 89, 90, 100};
    memcpy(archs, known, sizeof known);
    return OK;
}

EXPORT int nvrtcCreateProgram(program **made, const char *source, const char *name, int headers,
                              const char *const *texts, const char *const *names)
{
    (void)name, (void)texts, (void)names;
    program *p = calloc(1, sizeof *p);
    if (!p || headers != 0)
        return INVALID_INPUT;
    p->source = strdup(source);
    *made = p;
    return OK;
}

EXPORT int nvrtcDestroyProgram(program **p)
{
    free((*p)->source);
    free((*p)->cubin);
    free(*p);
    *p = NULL;
    return OK;
}

static bool write_file(const char *path, const program *p)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    fprintf(f, "#include \"%s/cuda_device.hpp\"\n%s\nGRID(kernel, %s)\n", TESTS_DIR, p->source,
            strstr(p->source, "__syncthreads()") ? "true" : "false");
    return fclose(f) == 0;
}

static bool read_file(const char *path, program *p)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool ok = fseek(f, 0, SEEK_END) == 0;
    p->size = ok ? (size_t)ftell(f) : 0;
    p->cubin = malloc(p->size);
    ok = ok && p->cubin && fseek(f, 0, SEEK_SET) == 0 && fread(p->cubin, 1, p->size, f) == p->size;
    fclose(f);
    return ok;
}

EXPORT int nvrtcCompileProgram(program *p, int count, const char *const *options)
{
    char folder[] = "/tmp/nasc-double-XXXXXX", source[64], library[64], command[512];
    bool contracts = true;
    for (int i = 0; i < count; i++)
        contracts &= strcmp(options[i], "--fmad=false") != 0;
    if (contracts || !mkdtemp(folder))
        return INVALID_INPUT;
    snprintf(source, sizeof source, "%s/k.cpp", folder);
    snprintf(library, sizeof library, "%s/k.so", folder);
    /* C++14: <math.h> of C++17 takes as long as all else. */
    snprintf(command, sizeof command, "c++ -std=c++14 -O0 -ffp-contract=off -fPIC -shared -o %s %s", library, source);
    bool ok = write_file(source, p) && system(command) == 0 && read_file(library, p);
    unlink(source);
    unlink(library);
    rmdir(folder);
    return ok ? OK : COMPILATION;
}

static const char said[] = "ptxas info    : Used 32 registers, used 1 barriers, 256 bytes smem\n";

EXPORT int nvrtcGetProgramLogSize(const program *p, size_t *size)
{
    (void)p;
    *size = sizeof said;
    return OK;
}

EXPORT int nvrtcGetProgramLog(const program *p, char *log)
{
    (void)p;
    memcpy(log, said, sizeof said);
    return OK;
}

EXPORT int nvrtcGetCUBINSize(const program *p, size_t *size)
{
    *size = p->size;
    return OK;
}

EXPORT int nvrtcGetCUBIN(const program *p, char *cubin)
{
    memcpy(cubin, p->cubin, p->size);
    return OK;
}
