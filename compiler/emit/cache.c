/* The object cache. An entry is a header and the object; the checksum in the header, not fsync, guards against a crash
 * half way: what cannot be trusted is compiled anew, and a cold start does not wait for the disk 300 times. */
#include "emit/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

typedef struct header {
    char magic[8];
    unsigned char key[CACHE_KEY_BYTES];
    uint64_t size;
    uint64_t checksum; /* xxh3 of the object, seeded with its size */
} header;

static const char MAGIC[8] = "nascobj";
static const char SUFFIX[] = ".o", TEMPORARY[] = ".tmp";
enum { NAME_DIGITS = 2 * CACHE_KEY_BYTES, STALE_SECONDS = 3600, DISK_BLOCK = 4096 };

/* Without a trailing slash; false: the environment names no place. */
static bool folder_choose(char *folder, size_t size)
{
    const char *own = getenv("NASC_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (own && *own)
        n = snprintf(folder, size, "%s", own);
    else if (xdg && *xdg == '/')
        n = snprintf(folder, size, "%s/nasc", xdg);
    else if (home && *home)
        n = snprintf(folder, size, "%s/.cache/nasc", home);
    if (n <= 0 || (size_t)n >= size)
        return false;
    while (n > 1 && folder[n - 1] == '/')
        folder[--n] = 0;
    return true;
}

static bool parents_make(const char *folder)
{
    char parent[CACHE_PATH_MAX];
    nasc_diag ignored = {0};
    snprintf(parent, sizeof parent, "%s", folder);
    char *slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return true;
    *slash = 0;
    return folder_make(parent, &ignored);
}

void cache_open(cache *c)
{
    struct stat info;
    if (!folder_choose(c->folder, sizeof c->folder) || !parents_make(c->folder) ||
        (mkdir(c->folder, 0700) < 0 && errno != EEXIST) || stat(c->folder, &info) < 0 || !S_ISDIR(info.st_mode) ||
        info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH))) /* machine code that others could plant */
        c->folder[0] = 0;
}

static bool entry_path(const cache *c, const unsigned char key[CACHE_KEY_BYTES], char path[CACHE_PATH_MAX])
{
    if (!c->folder[0])
        return false;
    int n = snprintf(path, CACHE_PATH_MAX, "%s/", c->folder);
    for (int i = 0; i < CACHE_KEY_BYTES; i++)
        n += snprintf(path + n, 3, "%02x", key[i]);
    strcpy(path + n, SUFFIX);
    return true;
}

static bool transfer(int fd, char *bytes, size_t size, bool writing)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = writing ? write(fd, bytes + done, size - done) : read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static uint64_t checksum(const void *object, size_t size)
{
    return XXH3_64bits_withSeed(object, size, size);
}

/* The rest of an open entry, or NULL. */
static void *entry_read(int fd, const unsigned char key[CACHE_KEY_BYTES], size_t *size)
{
    header h;
    struct stat info;
    if (fstat(fd, &info) < 0 || !transfer(fd, (char *)&h, sizeof h, false) ||
        memcmp(h.magic, MAGIC, sizeof MAGIC) != 0 || memcmp(h.key, key, sizeof h.key) != 0 ||
        h.size != (uint64_t)info.st_size - sizeof h)
        return NULL;
    void *object = mem_alloc(h.size);
    if (object && transfer(fd, object, h.size, false) && checksum(object, h.size) == h.checksum) {
        *size = h.size;
        return object;
    }
    mem_free(object);
    return NULL;
}

void *cache_load(const cache *c, const unsigned char key[CACHE_KEY_BYTES], size_t *size)
{
    char path[CACHE_PATH_MAX];
    if (!entry_path(c, key, path))
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *object = entry_read(fd, key, size);
    if (object)
        futimens(fd, NULL); /* used now; what cannot be touched only leaves the cache sooner */
    close(fd);
    return object;
}

void cache_store(const cache *c, const unsigned char key[CACHE_KEY_BYTES], const void *object, size_t size)
{
    char path[CACHE_PATH_MAX], beside[CACHE_PATH_MAX];
    if (!entry_path(c, key, path))
        return;
    snprintf(beside, sizeof beside, "%s/XXXXXX%s", c->folder, TEMPORARY);
    int fd = mkostemps(beside, (int)strlen(TEMPORARY), O_CLOEXEC);
    if (fd < 0)
        return;
    header h = {.size = size, .checksum = checksum(object, size)};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    memcpy(h.key, key, sizeof h.key);
    bool ok = transfer(fd, (char *)&h, sizeof h, true) && transfer(fd, (char *)object, size, true);
    ok = close(fd) == 0 && ok;
    if (!ok || rename(beside, path) < 0)
        unlink(beside);
}

/* ---- the bound ----------------------------------------------------------------------------------------------- */

typedef struct entry {
    char name[NAME_DIGITS + sizeof SUFFIX];
    int64_t bytes;
    struct timespec used;
} entry;

static bool is_entry(const char *name)
{
    return strspn(name, "0123456789abcdef") == NAME_DIGITS && strcmp(name + NAME_DIGITS, SUFFIX) == 0;
}

/* A temporary file whose writer died. */
static bool is_stale(const char *name, const struct stat *info)
{
    return strlen(name) == 6 + strlen(TEMPORARY) && strcmp(name + 6, TEMPORARY) == 0 &&
           time(NULL) - info->st_mtime > STALE_SECONDS;
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const entry *)a)->used, *y = &((const entry *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* The entries, to be freed with mem_free; those that memory does not suffice for are left out. */
static entry *entries_list(DIR *folder, int *count)
{
    entry *all = NULL;
    int room = 0;
    *count = 0;
    for (struct dirent *file; (file = readdir(folder));) {
        struct stat info;
        if (fstatat(dirfd(folder), file->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode))
            continue;
        if (is_stale(file->d_name, &info))
            unlinkat(dirfd(folder), file->d_name, 0);
        if (!is_entry(file->d_name))
            continue;
        if (*count == room) {
            entry *more = mem_resize(all, (size_t)(room + 1024) * sizeof *all);
            if (!more)
                break;
            all = more;
            room += 1024;
        }
        entry *e = &all[(*count)++];
        *e = (entry){.bytes = (info.st_size + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK, .used = info.st_mtim};
        strcpy(e->name, file->d_name);
    }
    return all;
}

void cache_trim(const cache *c, int64_t most)
{
    DIR *folder = c->folder[0] ? opendir(c->folder) : NULL;
    if (!folder)
        return;
    int count;
    entry *all = entries_list(folder, &count);
    int64_t total = 0;
    for (int i = 0; i < count; i++)
        total += all[i].bytes;
    if (total > most)
        qsort(all, (size_t)count, sizeof *all, by_use);
    for (int i = 0; i < count && total > most; i++) {
        unlinkat(dirfd(folder), all[i].name, 0);
        total -= all[i].bytes;
    }
    mem_free(all);
    closedir(folder);
}
