/* A JSON reader whose errors have a place, and a printer. */
#include "runtime/json_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

json_t *json_read(const char *bytes, size_t size, const char *file, int line, nasc_diag *d)
{
    json_error_t error = {0};
    char where[sizeof d->where];
    json_t *value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (value)
        return value;
    snprintf(where, sizeof where, "%.290s:%d:%d", file, line + error.line - 1, error.column);
    if (json_no_memory(&error))
        diag_memory(d);
    else
        diag_fail(d, DIAG_INPUT, where, "%s", error.text);
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

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static void new_line(text *t, int depth)
{
    if (depth >= 0)
        text_add(t, "\n%*s", 2 * depth, "");
}

static bool is_nested(const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_is_object(item) || json_is_array(item))
            return true;
    }
    return false;
}

/* depth < 0: all on one line. */
static void print_value(text *t, const json_t *value, int depth)
{
    int inner = depth < 0 ? -1 : depth + 1;
    size_t i = 0;
    const char *key;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        text_add(t, "{");
        json_object_foreach((json_t *)value, key, item)
        {
            text_add(t, i++ == 0 ? "" : inner < 0 ? ", " : ",");
            new_line(t, inner);
            text_quoted(t, key, strlen(key));
            text_add(t, ": ");
            print_value(t, item, inner);
        }
        if (i)
            new_line(t, depth);
        text_add(t, "}");
        break;
    case JSON_ARRAY:
        if (!is_nested(value))
            inner = depth = -1;
        text_add(t, "[");
        json_array_foreach(value, i, item)
        {
            text_add(t, i == 0 ? "" : inner < 0 ? ", " : ",");
            new_line(t, inner);
            print_value(t, item, inner);
        }
        new_line(t, depth);
        text_add(t, "]");
        break;
    case JSON_STRING:
        text_quoted(t, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        text_add(t, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        if (isfinite(json_real_value(value)))
            text_json_real(t, json_real_value(value));
        else
            text_add(t, "null");
        break;
    case JSON_TRUE:
        text_add(t, "true");
        break;
    case JSON_FALSE:
        text_add(t, "false");
        break;
    case JSON_NULL:
        text_add(t, "null");
        break;
    }
}

void json_print(text *t, const json_t *value, bool indent)
{
    print_value(t, value, indent ? 0 : -1);
}
