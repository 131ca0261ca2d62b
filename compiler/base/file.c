/* Files: read whole, replaced atomically. */
#define _POSIX_C_SOURCE 200809L
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int fd, char *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, to + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Of a file that is open. */
typedef struct content {
    const char *path;
    int fd;
    char *bytes;
    size_t size;
} content;

static bool read_open(void *user, arena *a, nasc_diag *d)
{
    content *c = user;
    c->bytes = arena_alloc(a, c->size + 1);
    return read_all(c->fd, c->bytes, c->size) || diag_fail(d, DIAG_IO, c->path, "cannot be read to its end");
}

char *file_read(arena *a, const char *path, size_t *size, nasc_diag *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0) {
        diag_fail(d, DIAG_IO, path, "cannot be opened: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!S_ISREG(info.st_mode)) {
        diag_fail(d, DIAG_IO, path, "is not a regular file");
        close(fd);
        return NULL;
    }
    content c = {.path = path, .fd = fd, .size = (size_t)info.st_size};
    bool ok = arena_guard(a, read_open, &c, d);
    close(fd);
    *size = c.size;
    return ok ? c.bytes : NULL;
}

static bool write_all(int fd, const char *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, from + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

/* Makes a rename in `path`'s folder durable. */
static void folder_sync(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

bool file_replace(const char *path, const void *bytes, size_t size, nasc_diag *d)
{
    char beside[4096];
    int n = snprintf(beside, sizeof beside, "%s.%ld.tmp", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof beside)
        return diag_fail(d, DIAG_IO, path, "the path is too long");
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return diag_fail(d, DIAG_IO, path, "cannot be written: %s", strerror(errno));
    bool ok = write_all(fd, bytes, size) && fsync(fd) == 0;
    int error = errno;
    ok = close(fd) == 0 && ok;
    if (ok && rename(beside, path) < 0) {
        error = errno;
        ok = false;
    }
    if (!ok) {
        unlink(beside);
        return diag_fail(d, DIAG_IO, path, "cannot be written: %s", strerror(error));
    }
    folder_sync(path);
    return true;
}

bool folder_make(const char *path, nasc_diag *d)
{
    char part[4096];
    if (strlen(path) >= sizeof part)
        return diag_fail(d, DIAG_IO, path, "the path is too long");
    strcpy(part, path);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char end = *p;
        *p = 0;
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return diag_fail(d, DIAG_IO, part, "cannot be made: %s", strerror(errno));
        *p = end;
        if (!end)
            break;
    }
    struct stat info;
    if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
        return diag_fail(d, DIAG_IO, path, "is not a folder");
    return true;
}
