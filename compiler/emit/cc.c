/* Kernels through the host's C compiler: one file, one shared object, opened here.
 *
 * The folder that the compiler works in is private and gone before cc_open returns: an open shared object needs no
 * file. */
#include "emit/emit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CC_WORDS_MAX = 16, PATH_MAX_BYTES = 512 };

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
    emit_c_prelude(out, t);
    for (int i = 0, next = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "k%d", next);
        if (index[i] < next)
            continue;
        if (!emit_c_kernel(out, kernels[i], t, name, d))
            return false;
        next++;
    }
    text_add(out, "\nvoid (*const kernels[])(void *const *, int64_t, int64_t, int64_t, void *) = {");
    for (int i = 0; i < known; i++)
        text_add(out, "%sk%d", i ? ", " : "", i);
    text_add(out, "};\n");
    return true;
}

/* $CC may hold options too. */
static void compiler_command(arena *a, char *word[], const char *source, const char *object)
{
    const char *cc = getenv("CC");
    char *rest = arena_strdup(a, cc && *cc ? cc : "cc"), *state;
    int count = 0;
    for (char *w = strtok_r(rest, " ", &state); w && count < CC_WORDS_MAX; w = strtok_r(NULL, " ", &state))
        word[count++] = w;
    const char *const options[] = {"-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-o", object, source};
    for (size_t i = 0; i < COUNT(options); i++)
        word[count++] = arena_strdup(a, options[i]);
    word[count] = NULL;
}

/* The first error that the compiler tells of, else the first line that it wrote, else its exit status. */
static const char *first_message(arena *a, const char *log, int status)
{
    nasc_diag ignored = {0};
    size_t size;
    char *said = file_read(a, log, &size, &ignored);
    if (!said || size == 0)
        return arena_printf(a, "exit status %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    char *error = strstr(said, "error: ");
    said = error ? error : said;
    said[strcspn(said, "\n")] = 0;
    return said;
}

static bool run_compiler(arena *a, const char *source, const char *object, const char *log, nasc_diag *d)
{
    char *word[CC_WORDS_MAX + 10];
    compiler_command(a, word, source, object);
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return diag_memory(d);
    int failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    failed |= posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    failed |= posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    pid_t child;
    int error = failed ? ENOMEM : posix_spawnp(&child, word[0], &actions, NULL, word, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        return diag_fail(d, DIAG_DEVICE, word[0], "cannot run the C compiler: %s", strerror(error));
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return diag_fail(d, DIAG_DEVICE, word[0], "cannot wait for the C compiler: %s", strerror(errno));
    if (status != 0)
        return diag_fail(d, DIAG_DEVICE, word[0], "the C compiler failed: %s", first_message(a, log, status));
    return true;
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

static bool make_folder(cc_library *l, nasc_diag *d)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base)
        base = "/tmp";
    int length = snprintf(l->folder, sizeof l->folder, "%s/nasc-XXXXXX", base);
    errno = ENAMETOOLONG;
    if (length < (int)sizeof l->folder && mkdtemp(l->folder)) /* mode 0700 */
        return true;
    l->folder[0] = 0;
    return diag_fail(d, DIAG_IO, base, "cannot make a temporary folder: %s", strerror(errno));
}

/* Compiles `source` in a folder of its own and opens the result. Returns the table of kernels. */
static kernel_fn *const *compile_and_open(arena *a, cc_library *l, const text *source, nasc_diag *d)
{
    if (!make_folder(l, d))
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

static bool open_kernels(arena *a, cc_library *l, const kernel *const *kernels, int count, const target *t,
                         kernel_fn **entry, nasc_diag *d)
{
    text source = {.arena = a};
    int *index = NEW_ARRAY(a, int, count);
    int known = distinct(a, kernels, count, index);
    if (!write_source(&source, kernels, index, count, known, t, d))
        return false;
    kernel_fn *const *table = compile_and_open(a, l, &source, d);
    for (int i = 0; table && i < count; i++)
        entry[i] = table[index[i]];
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
    arena a = {0};
    jmp_buf out_of_memory;
    bool opened = false;
    if (setjmp(out_of_memory) == 0) {
        a.unwind = &out_of_memory;
        opened = open_kernels(&a, l, kernels, count, t, entry, d);
    } else {
        diag_memory(d);
    }
    remove_folder(l);
    arena_free(&a);
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
