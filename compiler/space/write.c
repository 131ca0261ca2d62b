/* JSON as people like to read it: what fits on a line stays on a line. The order of keys is that of the file or of the
 * making, so equal genotypes are equal bytes. */
#include "space/model.h"

#include <string.h>

enum { LINE_WIDTH = 110 };

void write_number(text *t, const json_t *j)
{
    if (json_is_integer(j))
        text_add(t, "%lld", (long long)json_integer_value(j));
    else
        text_json_real(t, json_real_value(j));
}

static void write_flat(text *t, const json_t *j)
{
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
            text_quoted(t, key, strlen(key));
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
        text_quoted(t, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        write_number(t, j);
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
            text_quoted(t, key, strlen(key));
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
