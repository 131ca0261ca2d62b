/* Reading JSON: a pointer that follows the reading, and checks that say what was found and what was expected. */
#ifndef NASC_SPACE_JSON_H
#define NASC_SPACE_JSON_H

#include "base/json.h"

/* The reader is sticky: the first problem stands in the diagnostic, everything after it reads nothing, and whoever
 * began looks at the diagnostic once, at the end. */
typedef struct reader {
    arena *arena;
    const char *file;
    nasc_diag *diag;
    char pointer[240];
    int depth;
    struct space *space;
    VEC(const char *) names; /* that expressions may use, beyond settings: builtin, variables, bound by "with" */
    VEC(struct step *) uses; /* to be resolved when all ops are known */
} reader;

size_t read_enter(reader *r, const char *key);
size_t read_enter_index(reader *r, size_t index);
void read_leave(reader *r, size_t mark);
const char *read_where(reader *r); /* file#/pointer, in the arena */
void read_fail(reader *r, const char *format, ...) PRINTF(2, 3);
void read_expected(reader *r, const json_t *found, const char *expected);
const char *json_describe(const json_t *j, char *to, size_t size);

/* The "format" of a file whose newest version is `known`. */
void read_format(reader *r, const json_t *root, int known);
/* An object with no key beyond `keys` (an error otherwise, with a suggestion); NULL after an error. */
const json_t *read_object(reader *r, const json_t *j, const char *const *keys, int count);
/* An object's members in order, the pointer at each: for (member m = {0}; read_member(r, object, &m);), to its end.
 * `object` may be NULL. */
typedef struct member {
    const char *name; /* in the arena */
    const json_t *value;
    void *at;
    size_t mark;
} member;
bool read_member(reader *r, const json_t *object, member *m);
/* A list of `count` things, which `of` calls them; false with an error. */
bool read_list(reader *r, const json_t *j, int64_t count, const char *of);
/* A list of `count` numbers into `to`. */
void read_floats(reader *r, const json_t *j, int count, float *to);
const json_t *read_array(reader *r, const json_t *j, const char *of);
const char *read_string(reader *r, const json_t *j, const char *expected);
int64_t read_integer(reader *r, const json_t *j, int64_t low, int64_t high);
/* Any number, or one of at least `low` where that is not -INFINITY. */
double read_number_from(reader *r, const json_t *j, double low);
/* The same of the value of `key`. */
const char *read_string_at(reader *r, const json_t *object, const char *key, const char *expected);
int64_t read_integer_at(reader *r, const json_t *object, const char *key, int64_t low, int64_t high);
double read_number_at(reader *r, const json_t *object, const char *key, double low);
bool read_flag_at(reader *r, const json_t *object, const char *key, bool fallback);
/* The value of `key`, with the pointer moved there for messages about it: read_leave(r, mark) afterwards. */
const json_t *read_at(reader *r, const json_t *object, const char *key, size_t *mark);
/* A name in parameters' paths, without spaces and quotes; an empty one leaves no trace. */
const char *read_name_at(reader *r, const json_t *object, const char *key, const char *fallback);
/* The same where it must not be empty. */
const char *read_whole_name_at(reader *r, const json_t *object, const char *key, const char *fallback);
/* The one called `name` of `count` items of `size` bytes, each of which begins with its name; NULL with an error, with a
 * suggestion where one is near. `kind` is what an item is, "op" of "ops". */
const void *read_named(reader *r, const char *where, const char *kind, const char *name, const void *items, size_t size,
                       int count);
/* The value of a string that must be one of `words`: its index; `fallback` where it is absent. */
int read_word_at(reader *r, const json_t *object, const char *key, const char *const *words, int count, int fallback);

#endif
