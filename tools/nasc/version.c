/* --version: what this nasc is, what compiles its kernels, and what the machine it runs on can do. */
#include "cli.h"
#include "output.h"

#include "base/cuda_libraries.h"
#include "loop/target.h"
#include "nasc.h"

#include <jansson.h>

static const char *llvm_version(char *text, size_t size)
{
    unsigned version[3];
    if (!nasc_llvm_version(version))
        return NULL;
    snprintf(text, size, "%u.%u.%u", version[0], version[1], version[2]);
    return text;
}

/* "CUDA: driver 12.4, NVRTC 12.6, cuDNN not found", or an object with null for what is not found. */
static void print_cuda(void)
{
    for (int i = 0; i < CUDA_LIBRARY_COUNT; i++) {
        char version[32];
        bool found = cuda_library_version(i, version, sizeof version);
        printf("%s %s %s", i ? "," : "CUDA:", cuda_library_word(i), found ? version : "not found");
    }
    putchar('\n');
}

static json_t *cuda_json(void)
{
    static const char *const keys[CUDA_LIBRARY_COUNT] = {"driver", "nvrtc", "cudnn"};
    json_t *all = json_object();
    for (int i = 0; i < CUDA_LIBRARY_COUNT; i++) {
        char version[32];
        bool found = cuda_library_version(i, version, sizeof version);
        json_object_set_new(all, keys[i], found ? json_string(version) : json_null());
    }
    return all;
}

bool version_print(bool json, nasc_diag *d)
{
    char llvm_text[32];
    const char *llvm = llvm_version(llvm_text, sizeof llvm_text);
    target host = target_host();
    if (!json) {
        printf("nasc %s\nLLVM %s\n%s: vectors of %d floats, %s fused multiply-add, caches of %d and %d kB a core\n",
               nasc_version(), llvm ? llvm : "none", host.name, host.lanes, host.fma ? "a" : "no", host.l1_bytes >> 10,
               host.l2_bytes >> 10);
        print_cuda();
        return true;
    }
    json_t *all = json_pack("{s:s, s:s?, s:o, s:{s:s, s:i, s:i, s:b, s:i, s:i}}", "version", nasc_version(), "llvm",
                            llvm, "cuda", cuda_json(), "cpu", "target", host.name, "lanes", host.lanes, "registers",
                            host.registers, "fma", (int)host.fma, "l1_bytes", host.l1_bytes, "l2_bytes", host.l2_bytes);
    return output_json(all, JSON_INDENT(2), d);
}
