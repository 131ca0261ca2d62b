/* Kernels through the host's C compiler: one file, one shared object, opened here.
 *
 * The folder that the compiler works in is private and gone before cc_open returns: an open shared object needs no
 * file. */
#include "emit/emit.h"
#include "emit/process.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 512 };

struct cc_library {
    void *handle;
    char folder[PATH_MAX_BYTES]; /* empty once it is gone */
};

/* index[i]: which of the distinct kernels kernel i is. Returns how many there are. */
static int distinct(arena *a, const kernel *const *kernels, int count, int *index)
{
    typedef unsigned char key[16];
    key *keys = arena_alloc(a, (size_t)count * sizeof(key));
    int known = 0;
    for (int i = 0; i < count; i++) {
        loop_key(kernels[i], keys[known]);
        int same = 0;
        while (memcmp(keys[same], keys[known], sizeof(key)) != 0)
            same++;
        index[i] = same;
        known += same == known;
    }
    return known;
}

/* The file: prelude, kernels, and a table of them, the only symbol that it exports. */
static bool write_source(text *out, const kernel *const *kernels, const int *index, int count, int known,
                         const target *t, nasc_diag *d)
{
    bool integers = false;
    for (int i = 0; i < count; i++)
        integers |= loop_has_integers(kernels[i]);
    emit_c_prelude(out, t);
    if (integers)
        emit_c_integers(out, t);
    for (int i = 0, next = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "k%d", next);
        if (index[i] < next)
            continue;
        if (!emit_c_kernel(out, kernels[i], t, name, d))
            return false;
        next++;
    }
    text_add(out, "\nvoid (*const kernels[])(void *const *, ptrdiff_t, ptrdiff_t, ptrdiff_t, void *) = {");
    for (int i = 0; i < known; i++)
        text_add(out, "%sk%d", i ? ", " : "", i);
    text_add(out, "};\n");
    return true;
}

static bool run_compiler(arena *a, const char *source, const char *object, const char *log, nasc_diag *d)
{
    char *word[PROCESS_WORDS_MAX];
    int count = process_compiler(a, "cc", word), status;
    const char *const options[] = {"-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-o", object, source};
    for (size_t i = 0; i < COUNT(options); i++)
        word[count++] = arena_strdup(a, options[i]);
    word[count] = NULL;
    pid_t child;
    if (!process_start(word, log, &child, d) || !process_wait(&child, &status, d))
        return false;
    return status == 0 ||
           diag_fail(d, DIAG_DEVICE, word[0], "the C compiler failed: %s", process_complaint(a, log, status));
}

static const char *const file_name[] = {"kernels.c", "kernels.so", "log"};

static void remove_folder(cc_library *l)
{
    if (!l->folder[0])
        return;
    for (size_t i = 0; i < COUNT(file_name); i++) {
        char path[PATH_MAX_BYTES + 16];
        snprintf(path, sizeof path, "%s/%s", l->folder, file_name[i]);
        unlink(path);
    }
    rmdir(l->folder);
    l->folder[0] = 0;
}

/* Compiles `source` in a folder of its own and opens the result. Returns the table of kernels. */
static kernel_fn *const *compile_and_open(arena *a, cc_library *l, const text *source, nasc_diag *d)
{
    if (!folder_temporary(l->folder, sizeof l->folder, d))
        return NULL;
    const char *path[COUNT(file_name)];
    for (size_t i = 0; i < COUNT(file_name); i++)
        path[i] = arena_printf(a, "%s/%s", l->folder, file_name[i]);
    if (!file_replace(path[0], source->at, source->length, d) || !run_compiler(a, path[0], path[1], path[2], d))
        return NULL;
    l->handle = dlopen(path[1], RTLD_NOW | RTLD_LOCAL);
    kernel_fn *const *table = l->handle ? dlsym(l->handle, "kernels") : NULL;
    if (!table)
        diag_fail(d, DIAG_DEVICE, path[1], "cannot open what the C compiler wrote: %s", dlerror());
    return table;
}

/* What cc_open is asked for. */
typedef struct order {
    cc_library *l;
    const kernel *const *kernels;
    int count;
    const target *t;
    kernel_fn **entry;
} order;

static bool open_kernels(void *user, arena *a, nasc_diag *d)
{
    const order *o = user;
    text source = {.arena = a};
    int *index = NEW_ARRAY(a, int, o->count);
    int known = distinct(a, o->kernels, o->count, index);
    if (!write_source(&source, o->kernels, index, o->count, known, o->t, d))
        return false;
    kernel_fn *const *table = compile_and_open(a, o->l, &source, d);
    for (int i = 0; table && i < o->count; i++)
        o->entry[i] = table[index[i]];
    return table != NULL;
}

cc_library *cc_open(const kernel *const *kernels, int count, const target *t, kernel_fn **entry, nasc_diag *d)
{
    cc_library *l = mem_alloc(sizeof *l);
    if (!l) {
        diag_memory(d);
        return NULL;
    }
    *l = (cc_library){0};
    order o = {l, kernels, count, t, entry};
    bool opened = arena_within(open_kernels, &o, d);
    remove_folder(l);
    if (opened)
        return l;
    cc_close(l);
    return NULL;
}

void cc_close(cc_library *l)
{
    if (!l)
        return;
    if (l->handle)
        dlclose(l->handle);
    mem_free(l);
}
