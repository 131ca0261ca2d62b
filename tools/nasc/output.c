/* Writes results. */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool output_failed(nasc_diag *d)
{
    return diag_fail(d, DIAG_IO, "standard output", "cannot be written: %s", strerror(errno));
}

bool output_text(const char *path, const char *bytes, size_t length, nasc_diag *d)
{
    if (path)
        return file_replace(path, bytes, length, d);
    return fwrite(bytes, 1, length, stdout) == length || output_failed(d);
}

bool output_json(json_t *value, size_t flags, nasc_diag *d)
{
    char *line = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    if (!line)
        return diag_memory(d);
    bool ok = puts(line) >= 0 || output_failed(d);
    free(line);
    return ok;
}

bool output_end(nasc_diag *d)
{
    bool failed = ferror(stdout);
    errno = EIO; /* of a write whose reason is lost */
    return (fclose(stdout) == 0 && !failed) || output_failed(d);
}
