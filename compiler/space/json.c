/* What every part of the reader stands on: a JSON pointer that follows the reading, and checks that say what was found
 * and what was expected. */
#include "space/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t read_enter(reader *r, const char *key)
{
    size_t mark = strlen(r->pointer), n = mark;
    if (n + 2 < sizeof r->pointer)
        r->pointer[n++] = '/';
    for (; *key && n + 3 < sizeof r->pointer; key++) { /* RFC 6901: ~ is ~0, / is ~1 */
        if (*key == '~' || *key == '/') {
            r->pointer[n++] = '~';
            r->pointer[n++] = *key == '~' ? '0' : '1';
        } else {
            r->pointer[n++] = *key;
        }
    }
    r->pointer[n] = 0;
    return mark;
}

size_t read_enter_index(reader *r, size_t index)
{
    char key[24];
    snprintf(key, sizeof key, "%zu", index);
    return read_enter(r, key);
}

void read_leave(reader *r, size_t mark)
{
    r->pointer[mark] = 0;
}

const json_t *read_at(reader *r, const json_t *object, const char *key, size_t *mark)
{
    *mark = read_enter(r, key);
    return json_object_get(object, key);
}

const char *read_where(reader *r)
{
    return arena_printf(r->arena, "%s#%s", r->file, r->pointer);
}

void read_fail(reader *r, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    diag_fail(r->diag, DIAG_INPUT, read_where(r), "%s", message);
}

const char *json_describe(const json_t *j, char *to, size_t size)
{
    switch (j ? json_typeof(j) : JSON_NULL) {
    case JSON_OBJECT:
        snprintf(to, size, json_object_size(j) ? "an object" : "an empty object");
        break;
    case JSON_ARRAY:
        if (json_array_size(j))
            snprintf(to, size, "a list of %zu", json_array_size(j));
        else
            snprintf(to, size, "an empty list");
        break;
    case JSON_STRING:
        snprintf(to, size, "\"%.80s\"", json_string_value(j));
        break;
    case JSON_INTEGER:
        snprintf(to, size, "%lld", (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        snprintf(to, size, "%.10g", json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(to, size, json_is_true(j) ? "true" : "false");
        break;
    case JSON_NULL:
        snprintf(to, size, j ? "null" : "nothing");
        break;
    }
    return to;
}

void read_expected(reader *r, const json_t *found, const char *expected)
{
    char description[128];
    read_fail(r, "found %s, expected %s", json_describe(found, description, sizeof description), expected);
}

static void unknown_key(reader *r, const char *key, const char *const *keys, int count)
{
    char list[320] = "";
    for (int i = 0; i < count; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s\"%s\"", i ? ", " : "", keys[i]);
    }
    const char *guess = text_suggest(key, keys, count);
    if (guess)
        read_fail(r, "found the unknown key \"%.60s\", did you mean \"%s\"?", key, guess);
    else if (count)
        read_fail(r, "found the unknown key \"%.60s\", expected one of %s", key, list);
    else
        read_fail(r, "found the unknown key \"%.60s\", expected no keys", key);
}

void read_format(reader *r, const json_t *root, int known)
{
    size_t mark;
    char expected[64];
    const json_t *format = read_at(r, root, "format", &mark);
    snprintf(expected, sizeof expected, "%d, the version of the format", known);
    if (json_is_integer(format) && json_integer_value(format) > known)
        read_fail(r, "found format %lld, expected %d: this file comes from a newer nasc",
                  (long long)json_integer_value(format), known);
    else if (!json_is_integer(format) || json_integer_value(format) != known)
        read_expected(r, format, expected);
    read_leave(r, mark);
}

const json_t *read_object(reader *r, const json_t *j, const char *const *keys, int count)
{
    if (!json_is_object(j)) {
        read_expected(r, j, "an object");
        return NULL;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        bool known = keys == NULL;
        for (int i = 0; i < count && !known; i++)
            known = strcmp(key, keys[i]) == 0;
        if (!known) {
            unknown_key(r, key, keys, count);
            return NULL;
        }
    }
    return j;
}

bool read_member(reader *r, const json_t *object, member *m)
{
    json_t *members = (json_t *)(uintptr_t)object;
    if (m->at)
        read_leave(r, m->mark);
    m->at = m->at ? json_object_iter_next(members, m->at) : json_object_iter(members);
    if (!m->at)
        return false;
    m->name = arena_strdup(r->arena, json_object_iter_key(m->at));
    m->value = json_object_iter_value(m->at);
    m->mark = read_enter(r, m->name);
    return true;
}

const json_t *read_array(reader *r, const json_t *j, const char *of)
{
    if (json_is_array(j))
        return j;
    read_expected(r, j, of);
    return NULL;
}

bool read_list(reader *r, const json_t *j, int64_t count, const char *of)
{
    char expected[80];
    if (json_is_array(j) && (int64_t)json_array_size(j) == count)
        return true;
    snprintf(expected, sizeof expected, "a list of %lld %s", (long long)count, of);
    read_expected(r, j, expected);
    return false;
}

void read_floats(reader *r, const json_t *j, int count, float *to)
{
    bool fits = read_list(r, j, count, "numbers");
    for (int i = 0; fits && i < count; i++) {
        size_t mark = read_enter_index(r, (size_t)i);
        to[i] = (float)read_number_from(r, json_array_get(j, (size_t)i), -INFINITY);
        read_leave(r, mark);
    }
}

const char *read_string(reader *r, const json_t *j, const char *expected)
{
    if (json_is_string(j))
        return arena_strdup(r->arena, json_string_value(j));
    read_expected(r, j, expected);
    return "";
}

int64_t read_integer(reader *r, const json_t *j, int64_t low, int64_t high)
{
    char expected[96];
    snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)low, (long long)high);
    if (!json_is_integer(j) || json_integer_value(j) < low || json_integer_value(j) > high) {
        read_expected(r, j, expected);
        return low;
    }
    return json_integer_value(j);
}

double read_number_from(reader *r, const json_t *j, double low)
{
    char expected[64] = "a number";
    if (isfinite(low))
        snprintf(expected, sizeof expected, "a number of at least %g", low);
    if (json_is_number(j) && json_number_value(j) >= low)
        return json_number_value(j);
    read_expected(r, j, expected);
    return 0;
}

const char *read_string_at(reader *r, const json_t *object, const char *key, const char *expected)
{
    size_t mark;
    const char *text = read_string(r, read_at(r, object, key, &mark), expected);
    read_leave(r, mark);
    return text;
}

int64_t read_integer_at(reader *r, const json_t *object, const char *key, int64_t low, int64_t high)
{
    size_t mark;
    int64_t value = read_integer(r, read_at(r, object, key, &mark), low, high);
    read_leave(r, mark);
    return value;
}

double read_number_at(reader *r, const json_t *object, const char *key, double low)
{
    size_t mark;
    double value = read_number_from(r, read_at(r, object, key, &mark), low);
    read_leave(r, mark);
    return value;
}

bool read_flag_at(reader *r, const json_t *object, const char *key, bool fallback)
{
    const json_t *j = json_object_get(object, key);
    if (j && !json_is_boolean(j)) {
        size_t mark = read_enter(r, key);
        read_expected(r, j, "true or false");
        read_leave(r, mark);
    }
    return j ? json_is_true(j) : fallback;
}

/* ---- expressions ------------------------------------------------------------------------------------------------- */

static bool known_name(const void *context, const char *name)
{
    const reader *r = context;
    for (int i = 0; i < r->names.count; i++)
        if (strcmp(r->names.at[i], name) == 0)
            return true;
    return false;
}

static const expr *parse(reader *r, const char *source)
{
    char problem[400];
    const expr *e = expr_parse(r->arena, source, problem, sizeof problem);
    if (!e) {
        read_fail(r, "%s", problem);
        return NULL;
    }
    const char *unknown = expr_unknown(e, known_name, r);
    const char *guess = unknown ? text_suggest(unknown, r->names.at, r->names.count) : NULL;
    if (guess)
        read_fail(r, "found the unknown variable \"%.60s\", did you mean \"%.60s\"?", unknown, guess);
    else if (unknown)
        read_fail(r,
                  "found the unknown variable \"%.60s\", expected a setting, a variable of the place or one bound by "
                  "\"with\"",
                  unknown);
    return e;
}

const expr *read_expr(reader *r, const json_t *j, const char *fallback)
{
    if (!j)
        return fallback ? parse(r, fallback) : NULL;
    if (json_is_string(j))
        return parse(r, json_string_value(j));
    expr *e = NEW(r->arena, expr);
    if (json_is_integer(j) && json_integer_value(j) >= -INT32_MAX && json_integer_value(j) <= INT32_MAX)
        e->number = json_integer_value(j);
    else if (json_is_boolean(j))
        e->number = json_is_true(j);
    else
        read_expected(r, j, "an integer between -2^31 and 2^31 or an expression");
    return e;
}

const expr *read_expr_at(reader *r, const json_t *object, const char *key, const char *fallback)
{
    size_t mark = read_enter(r, key);
    const expr *e = read_expr(r, json_object_get(object, key), fallback);
    read_leave(r, mark);
    return e;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

const char *read_name_at(reader *r, const json_t *object, const char *key, const char *fallback)
{
    const json_t *j = json_object_get(object, key);
    if (!j)
        return fallback;
    size_t mark = read_enter(r, key);
    const char *name = read_string(r, j, "a name");
    bool good = strlen(name) <= 64;
    for (const char *p = name; *p && good; p++)
        good = (unsigned char)*p > ' ' && *p != '"' && *p != '\\' && *p != 127;
    if (!good)
        read_fail(r, "found \"%.80s\", expected a name of at most 64 characters without spaces and quotes", name);
    read_leave(r, mark);
    return name;
}

const char *read_whole_name_at(reader *r, const json_t *object, const char *key, const char *fallback)
{
    const char *name = read_name_at(r, object, key, fallback);
    size_t mark = read_enter(r, key);
    if (name && !*name)
        read_fail(r, "found an empty name, expected at least one character");
    read_leave(r, mark);
    return name;
}

static const char *name_of(const void *items, size_t size, int i)
{
    const char *name;
    memcpy(&name, (const char *)items + (size_t)i * size, sizeof name);
    return name;
}

const void *read_named(reader *r, const char *where, const char *kind, const char *name, const void *items, size_t size,
                       int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(name_of(items, size, i), name) == 0)
            return (const char *)items + (size_t)i * size;
    const char **names = NEW_ARRAY(r->arena, const char *, count);
    for (int i = 0; i < count; i++)
        names[i] = name_of(items, size, i);
    const char *guess = text_suggest(name, names, count);
    if (guess)
        diag_fail(r->diag, DIAG_INPUT, where, "found the %s \"%.60s\", did you mean \"%.60s\"?", kind, name, guess);
    else
        diag_fail(r->diag, DIAG_INPUT, where, "found the %s \"%.60s\", expected one that stands in \"%ss\"", kind, name,
                  kind);
    return NULL;
}

int read_word_at(reader *r, const json_t *object, const char *key, const char *const *words, int count, int fallback)
{
    const json_t *j = json_object_get(object, key);
    char expected[160] = "";
    if (!j && fallback >= 0)
        return fallback;
    for (int i = 0; i < count; i++) {
        if (json_is_string(j) && strcmp(json_string_value(j), words[i]) == 0)
            return i;
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s\"%s\"",
                 i == 0           ? ""
                 : i + 1 == count ? " or "
                                  : ", ",
                 words[i]);
    }
    size_t mark = read_enter(r, key);
    read_expected(r, j, expected);
    read_leave(r, mark);
    return fallback >= 0 ? fallback : 0;
}
