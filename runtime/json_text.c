/* A JSON printer. */
#include "runtime/json_text.h"

#include <math.h>
#include <string.h>

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
