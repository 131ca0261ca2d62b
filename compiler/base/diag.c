/* Errors as values, and the way out when a promise of our own is broken. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

bool diag_fail(nasc_diag *d, enum diag_kind kind, const char *where, const char *format, ...)
{
    if (!d || d->kind != DIAG_NONE)
        return false;
    d->kind = kind;
    snprintf(d->where, sizeof d->where, "%s", where ? where : "");
    va_list args;
    va_start(args, format);
    vsnprintf(d->message, sizeof d->message, format, args);
    va_end(args);
    return false;
}

bool diag_memory(nasc_diag *d)
{
    return diag_fail(d, DIAG_MEMORY, "", "out of memory");
}

void bug(const char *file, int line, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "nasc: bug at %s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
