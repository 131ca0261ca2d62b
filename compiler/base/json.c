/* JSON text. */
#include "base/json.h"

#include <stdio.h>

bool json_no_memory(const json_error_t *e)
{
    return json_error_code(e) == json_error_out_of_memory || e->text[0] == 0;
}

json_t *json_read(const char *bytes, size_t size, const char *file, int line, nasc_diag *d)
{
    json_error_t error = {0};
    char where[sizeof d->where];
    json_t *value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (value)
        return value;
    /* Jansson calls some failed allocations syntax errors; a true one is found again. */
    json_t *again = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    snprintf(where, sizeof where, "%.290s:%d:%d", file, line + error.line - 1, error.column);
    if (again || json_no_memory(&error))
        diag_memory(d);
    else
        diag_fail(d, DIAG_INPUT, where, "%s", error.text);
    json_decref(again);
    return NULL;
}

json_t *json_file_read(const char *file, nasc_diag *d)
{
    arena a = {0};
    size_t size;
    const char *bytes = file_read(&a, file, &size, d);
    json_t *value = bytes ? json_read(bytes, size, file, 1, d) : NULL;
    arena_free(&a);
    return value;
}
