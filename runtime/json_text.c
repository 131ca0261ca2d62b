/* A JSON printer. */
#include "runtime/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_string(text *t, const char *s, size_t length)
{
    text_bytes(t, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            text_add(t, "\\%c", c);
        else if (c == '\n')
            text_add(t, "\\n");
        else if (c < 32)
            text_add(t, "\\u%04x", c);
        else
            text_bytes(t, s + i, 1);
    }
    text_bytes(t, "\"", 1);
}

static void print_real(text *t, double value)
{
    char digits[40];
    if (!isfinite(value)) {
        text_add(t, "null");
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_add(t, "%s%s", digits, strpbrk(digits, ".e") ? "" : ".0"); /* a real stays a real when read back */
}

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
            print_string(t, key, strlen(key));
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
        print_string(t, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        text_add(t, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        print_real(t, json_real_value(value));
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
