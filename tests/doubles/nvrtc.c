/* A double of CUDA's run-time compiler: the functions of it that nasc uses. What it calls a cubin is the text itself, to
 * its NUL: the double of the driver has a C++ compiler take all that is loaded together, which takes less long. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { OK = 0, INVALID_INPUT = 3, COMPILATION = 6, ARCHS = 6 };

typedef struct program {
    char *source;
    bool compiled, ptx;
} program;

EXPORT int nvrtcVersion(int *major, int *minor)
{
    *major = 0; /* so that nothing in a cache is taken for its work, nor its work for CUDA's */
    *minor = 2;
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
    free(*p);
    *p = NULL;
    return OK;
}

EXPORT int nvrtcCompileProgram(program *p, int count, const char *const *options)
{
    for (int i = 0; i < count; i++)
        if (strcmp(options[i], "--fmad=false") == 0) /* what contracts has other bits */
            p->compiled = true;
        else if (strncmp(options[i], "--gpu-architecture=compute_", 27) == 0)
            p->ptx = true;
    return p->compiled ? OK : COMPILATION;
}

/* NVRTC_DOUBLE=spills: so it says. */
static const char *said(void)
{
    const char *wanted = getenv("NVRTC_DOUBLE");
    return wanted && strcmp(wanted, "spills") == 0
               ? "    0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads\nptxas info    : Used 255 "
                 "registers\n"
               : "ptxas info    : Used 32 registers, used 1 barriers, 256 bytes smem\n";
}

EXPORT int nvrtcGetProgramLogSize(const program *p, size_t *size)
{
    (void)p;
    *size = strlen(said()) + 1;
    return OK;
}

EXPORT int nvrtcGetProgramLog(const program *p, char *log)
{
    (void)p;
    memcpy(log, said(), strlen(said()) + 1);
    return OK;
}

static int code_size(const program *p, bool ptx, size_t *size)
{
    *size = strlen(p->source) + 1;
    return p->compiled && p->ptx == ptx ? OK : INVALID_INPUT;
}

static int code(const program *p, bool ptx, char *to)
{
    memcpy(to, p->source, strlen(p->source) + 1);
    return p->compiled && p->ptx == ptx ? OK : INVALID_INPUT;
}

EXPORT int nvrtcGetCUBINSize(const program *p, size_t *size)
{
    return code_size(p, false, size);
}

EXPORT int nvrtcGetCUBIN(const program *p, char *cubin)
{
    return code(p, false, cubin);
}

EXPORT int nvrtcGetPTXSize(const program *p, size_t *size)
{
    return code_size(p, true, size);
}

EXPORT int nvrtcGetPTX(const program *p, char *ptx)
{
    return code(p, true, ptx);
}
