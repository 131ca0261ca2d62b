/* JSON as people like to read it: what fits on a line stays on a line. The order of keys is that of the file or of the
 * making, so equal genotypes are equal bytes. */
#include "space/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_WIDTH = 110 };

void number_text(const json_t *j, char *to, size_t size)
{
    if (json_is_integer(j)) {
        snprintf(to, size, "%lld", (long long)json_integer_value(j));
        return;
    }
    for (int digits = 1; digits <= 17; digits++) { /* the shortest text that reads back as the same number */
        snprintf(to, size, "%.*g", digits, json_real_value(j));
        if (strtod(to, NULL) == json_real_value(j))
            break;
    }
    if (!strpbrk(to, ".e") && strlen(to) + 3 <= size)
        strcat(to, ".0");
}

static void write_string(text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            text_add(t, "\\%c", c);
        else if (c < ' ')
            text_add(t, "\\u%04x", c);
        else
            text_bytes(t, s, 1);
    }
    text_add(t, "\"");
}

static void write_flat(text *t, const json_t *j)
{
    char number[40];
    const char *key;
    json_t *value;
    size_t index;
    bool first = true;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        text_add(t, "{");
        json_object_foreach((json_t *)(uintptr_t)j, key, value)
        {
            text_add(t, first ? "" : ", ");
            write_string(t, key);
            text_add(t, ": ");
            write_flat(t, value);
            first = false;
        }
        text_add(t, "}");
        break;
    case JSON_ARRAY:
        text_add(t, "[");
        json_array_foreach((json_t *)(uintptr_t)j, index, value)
        {
            text_add(t, index ? ", " : "");
            write_flat(t, value);
        }
        text_add(t, "]");
        break;
    case JSON_STRING:
        write_string(t, json_string_value(j));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        number_text(j, number, sizeof number);
        text_add(t, "%s", number);
        break;
    default:
        text_add(t, "%s", json_is_true(j) ? "true" : json_is_false(j) ? "false" : "null");
    }
}

static void write_value(text *t, const json_t *j, int depth)
{
    size_t begin = t->length, line = begin;
    while (line > 0 && t->at[line - 1] != '\n')
        line--;
    write_flat(t, j);
    bool object = json_is_object(j);
    size_t count = object ? json_object_size(j) : json_array_size(j);
    if (t->length - line <= LINE_WIDTH && depth > 0)
        return;
    if (count == 0)
        return;
    t->length = begin; /* too long: again, an item a line */
    t->at[begin] = 0;
    text_add(t, object ? "{" : "[");
    const char *key;
    json_t *value;
    size_t done = 0;
    if (object) {
        json_object_foreach((json_t *)(uintptr_t)j, key, value)
        {
            text_add(t, "%s\n%*s", done++ ? "," : "", depth + 1, "");
            write_string(t, key);
            text_add(t, ": ");
            write_value(t, value, depth + 1);
        }
    } else {
        for (; done < count; done++) {
            text_add(t, "%s\n%*s", done ? "," : "", depth + 1, "");
            write_value(t, json_array_get(j, done), depth + 1);
        }
    }
    text_add(t, "%s", object ? "}" : "]");
}

const char *json_pretty(arena *a, const json_t *j)
{
    text t = {.arena = a};
    write_value(&t, j, 0);
    text_add(&t, "\n");
    return t.at;
}

const char *space_text(const space *s, arena *a)
{
    return json_pretty(a, s->json);
}
