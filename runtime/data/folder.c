/* What lies in a folder. */
#include "runtime/data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool fail(struct source *s)
{
    return errno == ENOMEM ? diag_memory(s->d)
                           : diag_fail(s->d, DIAG_IO, s->file, "cannot be opened: %s", strerror(errno));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool folder_is_folder(const struct source *s, const char *name)
{
    struct stat about;
    return fstatat(dirfd(s->folder), name, &about, 0) == 0 && S_ISDIR(about.st_mode);
}

/* The order of readdir is the disk's affair. */
static bool read_names(struct source *s, folder_wants *wants, folder_names *to)
{
    for (;;) {
        errno = 0;
        const struct dirent *one = readdir(s->folder);
        if (!one)
            break;
        if (one->d_name[0] != '.' && wants(s, one->d_name))
            VEC_PUSH(&s->scratch, to, arena_strdup(&s->scratch, one->d_name));
    }
    if (errno)
        return fail(s);
    if (to->count)
        qsort(to->at, (size_t)to->count, sizeof *to->at, by_name);
    return true;
}

bool folder_list(struct source *s, const char *path, folder_wants *wants, folder_names *to)
{
    int length = snprintf(s->file, sizeof s->file, "%s", path);
    if (length < 0 || (size_t)length >= sizeof s->file)
        return diag_fail(s->d, DIAG_IO, s->spec, "the path is too long");
    *to = (folder_names){0};
    s->folder = opendir(path);
    if (!s->folder)
        return fail(s);
    bool ok = read_names(s, wants, to);
    folder_drop(s);
    return ok;
}

void folder_drop(struct source *s)
{
    if (s->folder)
        closedir(s->folder);
    s->folder = NULL;
}
