/* --version: what this nasc is, what compiles its kernels, and what the machine it runs on can do. */
#include "cli.h"

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

bool version_print(FILE *out, bool json)
{
    char llvm_text[32];
    const char *llvm = llvm_version(llvm_text, sizeof llvm_text);
    if (!json) {
        fprintf(out, "nasc %s\nLLVM %s\n", nasc_version(), llvm ? llvm : "none");
        return true;
    }
    json_t *all = json_pack("{s:s, s:s?}", "version", nasc_version(), "llvm", llvm);
    bool ok = all && json_dumpf(all, out, JSON_INDENT(2)) == 0;
    json_decref(all);
    fputc('\n', out);
    return ok;
}
