/* Reading data files whole, compressed or not. */
#include "runtime/data/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

bool source_has(const char *folder, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

static bool fail_read(struct source *s, gzFile file)
{
    int code;
    const char *message = gzerror(file, &code); /* "PATH: what" */
    if (code == Z_MEM_ERROR)
        return diag_memory(s->d);
    if (code == Z_ERRNO)
        message = strerror(errno);
    else if (code == Z_BUF_ERROR)
        message = "the compressed data ends early";
    else if (strncmp(message, s->file, strlen(s->file)) == 0)
        message += strlen(s->file) + 2;
    return diag_fail(s->d, DIAG_INPUT, s->file, "cannot be read: %s", message);
}

/* Reads to the end of `file`, where zlib checks the sum. `bytes` grows outside any arena: nothing unwinds here. */
static bool read_whole(struct source *s, gzFile file)
{
    size_t capacity = 0;
    for (;;) {
        if (s->size == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            uint8_t *wider = mem_resize(s->bytes, capacity);
            if (!wider)
                return diag_memory(s->d);
            s->bytes = wider;
        }
        size_t room = capacity - s->size;
        int got = gzread(file, s->bytes + s->size, room > 1 << 30 ? 1 << 30 : (unsigned)room);
        if (got <= 0) {
            int code; /* a cut file reads as ended, but not as Z_OK */
            gzerror(file, &code);
            return (got == 0 && code == Z_OK) || fail_read(s, file);
        }
        s->size += (size_t)got;
    }
}

bool source_read(struct source *s, const char *folder, const char *name)
{
    source_drop(s);
    bool compressed = false;
    for (int attempt = 0; attempt < 2; attempt++) {
        int length = snprintf(s->file, sizeof s->file, "%s/%s%s", folder, name, compressed ? ".gz" : "");
        if (length < 0 || (size_t)length >= sizeof s->file)
            return diag_fail(s->d, DIAG_IO, s->spec, "the path is too long");
        gzFile file = gzopen(s->file, "rb");
        if (file) {
            bool ok = read_whole(s, file);
            gzclose(file);
            return ok;
        }
        if (errno == ENOMEM)
            return diag_memory(s->d);
        if (errno != ENOENT || compressed)
            break;
        compressed = true;
    }
    if (compressed)
        s->file[strlen(s->file) - 3] = 0;
    return diag_fail(s->d, DIAG_IO, s->file, "cannot be opened: %s%s", strerror(errno),
                     compressed ? " (nor with .gz)" : "");
}

void source_drop(struct source *s)
{
    mem_free(s->bytes);
    s->bytes = NULL;
    s->size = 0;
}

void source_class_names(struct source *s, const char *folder, const char *name)
{
    if (!source_has(folder, name) || !source_read(s, folder, name))
        return;
    int classes = s->set->classes, found = 0;
    const char **names = NEW_ARRAY(s->a, const char *, classes);
    for (size_t from = 0, to; from < s->size; from = to + 1) {
        for (to = from; to < s->size && s->bytes[to] != '\n'; to++)
            ;
        int length = (int)(to - from);
        if (length && s->bytes[to - 1] == '\r')
            length--;
        if (length && found < classes)
            names[found] = arena_printf(s->a, "%.*s", length, (const char *)s->bytes + from);
        found += length > 0;
    }
    s->set->class_names = found == classes ? names : NULL;
    source_drop(s);
}
