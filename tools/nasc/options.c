/* Parses a command's arguments by its table: --name value, --name=value, -n value, -nvalue, operands anywhere, and `--`
 * before operands that begin with a dash. The last of a repeated option counts, except --set, which adds up. */
#include "cli.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(arguments, name)

static const option_row setting_options[] = {
    {.name = "set",
     .value = "KEY=VALUE",
     .kind = OPTION_SET,
     .help = "any setting: channels, cells, batch, epochs, lr …"},
    {.name = "channels", .value = "N", .kind = OPTION_SETTING, .help = "channels of the first cell"},
    {.name = "cells", .value = "N", .kind = OPTION_SETTING, .help = "cells, or blocks, of the network"},
    {.name = "stem", .value = "NAME", .kind = OPTION_SETTING, .help = "the stem, by its name in the file"},
    {.name = "classes", .value = "N", .kind = OPTION_SETTING, .help = "classes of the last layer"},
    {.name = "input", .value = "HxWxC", .kind = OPTION_SETTING, .help = "size of an input image"},
};
static const option_row common_options[] = {
    {.name = "threads",
     .value = "N",
     .kind = OPTION_INT,
     .offset = FIELD(threads),
     .least = 1,
     .most = THREADS_MOST,
     .help = "threads to use; as many as there are cores unless given"},
    {.name = "seed",
     .value = "N",
     .kind = OPTION_INT,
     .offset = FIELD(seed),
     .most = SEED_MOST,
     .help = "seed of all random numbers (0)"},
    {.name = "device",
     .value = "cpu|cuda",
     .kind = OPTION_TEXT,
     .offset = FIELD(device),
     .help = "where to compute (cpu)"},
    {.name = "cudnn",
     .value = "float32|tf32",
     .kind = OPTION_TEXT,
     .offset = FIELD(cudnn),
     .help = "on a GPU: have cuDNN compute dense convolutions, in float32 or on tensor cores too"},
    {.name = "json", .kind = OPTION_FLAG, .offset = FIELD(json), .help = "print results as JSON"},
    {.name = "quiet", .kind = OPTION_FLAG, .offset = FIELD(quiet), .help = "print no progress"},
    {.name = "help", .kind = OPTION_FLAG, .offset = FIELD(help), .help = "print this", .letter = 'h'},
};

const option_row *option_at(const command *c, int i)
{
    if (i < c->option_count)
        return &c->options[i];
    i -= c->option_count;
    if (c->settings) {
        if (i < (int)COUNT(setting_options))
            return &setting_options[i];
        i -= COUNT(setting_options);
    }
    return i < (int)COUNT(common_options) ? &common_options[i] : NULL;
}

bool word_at(const char *list, char separator, int i, char *word, size_t size)
{
    while (i-- > 0) {
        list = strchr(list, separator);
        if (!list)
            return false;
        list++;
    }
    const char *end = strchr(list, separator);
    size_t length = end ? (size_t)(end - list) : strlen(list);
    if (!length)
        return false;
    CHECK(length < size);
    memcpy(word, list, length);
    word[length] = 0;
    return true;
}

/* True where `list` is no choice, or has the word. */
static bool choice_allows(const char *list, const char *given)
{
    char word[64];
    if (!strchr(list, '|'))
        return true;
    for (int i = 0; word_at(list, '|', i, word, sizeof word); i++)
        if (strcmp(word, given) == 0)
            return true;
    return false;
}

static bool parse_int(const char *text, int64_t least, int64_t most, int64_t *to)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        return false;
    *to = value;
    return true;
}

static bool parse_size(const char *text, int64_t *to)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno || !(value > 0))
        return false;
    const char *unit = *end ? strchr(units, *end) : NULL;
    for (long i = unit ? unit - units + 1 : 0; i > 0; i--)
        value *= 1024;
    if ((*end && !unit) || (unit && end[1]) || value >= 9e18)
        return false;
    *to = (int64_t)value;
    return true;
}

bool numbers_add(numbers *n, double value)
{
    double last = n->count ? n->at[n->count - 1] : 0;
    if (!(value > last && value <= DBL_MAX) || n->count == NUMBERS_MOST)
        return false;
    n->at[n->count++] = value;
    return true;
}

static bool parse_numbers(const char *text, numbers *to)
{
    *to = (numbers){0};
    if (strspn(text, "0123456789.,eE+-") != strlen(text))
        return false;
    for (;;) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !numbers_add(to, value) || (*end && *end != ','))
            return false;
        if (!*end)
            return true;
        text = end + 1;
    }
}

/* Stores the value of an option that has one. */
static bool option_store(const option_row *o, const char *value, arguments *into, const char *where, nasc_diag *d)
{
    void *field = (char *)into + o->offset;
    switch (o->kind) {
    case OPTION_FLAG: /* has no value to store */
        break;
    case OPTION_TEXT:
        if (!choice_allows(o->value, value))
            return diag_fail(d, DIAG_USAGE, where, "--%s is '%s', expected one of %s", o->name, value, o->value);
        *(const char **)field = value;
        return true;
    case OPTION_INT:
        CHECK(o->most > o->least);
        return parse_int(value, o->least, o->most, field) ||
               diag_fail(d, DIAG_USAGE, where, "--%s is '%s', expected an integer from %lld to %lld", o->name, value,
                         (long long)o->least, (long long)o->most);
    case OPTION_SIZE:
        return parse_size(value, field) ||
               diag_fail(d, DIAG_USAGE, where, "--%s is '%s', expected a size such as 300M or 2G", o->name, value);
    case OPTION_NUMBERS:
        return parse_numbers(value, field) ||
               diag_fail(d, DIAG_USAGE, where,
                         "--%s is '%s', expected numbers above 0 that increase, at most %d, as 10,15.5,20", o->name,
                         value, NUMBERS_MOST);
    case OPTION_SET:
        if (!strchr(value, '=') || *value == '=')
            return diag_fail(d, DIAG_USAGE, where, "--set is '%s', expected KEY=VALUE", value);
        VEC_PUSH(into->arena, &into->settings, value);
        return true;
    case OPTION_SETTING:
        VEC_PUSH(into->arena, &into->settings, arena_printf(into->arena, "%s=%s", o->name, value));
        return true;
    }
    BUG("option kind %d", o->kind);
}

static bool option_unknown(const command *c, const char *name, size_t length, nasc_diag *d)
{
    const char *known[64] = {NULL};
    char word[64];
    int count = 0;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    for (const option_row *o; count < (int)COUNT(known) && (o = option_at(c, count)); count++)
        known[count] = o->name;
    const char *near = text_suggest(word, known, count);
    return diag_fail(d, DIAG_USAGE, c->name, "there is no option --%s%s%s%s", word, near ? "; did you mean --" : "",
                     near ? near : "", near ? "?" : "");
}

/* The row that argv's word names; its index in *row. NULL with a message where there is none. */
static const option_row *option_find(const command *c, const char *word, int *row, nasc_diag *d)
{
    bool is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    size_t length = strcspn(name, "=");
    const option_row *o;
    for (*row = 0; (o = option_at(c, *row)); ++*row)
        if (is_long ? strlen(o->name) == length && memcmp(o->name, name, length) == 0 : o->letter == *name)
            return o;
    if (is_long)
        option_unknown(c, name, length, d);
    else
        diag_fail(d, DIAG_USAGE, c->name, "there is no option -%c", *name);
    return NULL;
}

/* Takes the option in argv[*i], and its value from the same word or the next one. */
static bool option_take(const command *c, char **argv, int count, int *i, bool *seen, arguments *into, nasc_diag *d)
{
    const char *word = argv[*i], *value = NULL;
    int row;
    const option_row *o = option_find(c, word, &row, d);
    if (!o)
        return false;
    seen[row] = true;
    if (word[1] == '-')
        value = strchr(word, '=');
    else if (word[2])
        value = word + 1;
    if (!o->value) {
        *(bool *)((char *)into + o->offset) = true;
        return !value || diag_fail(d, DIAG_USAGE, c->name, "--%s takes no value, found '%s'", o->name, value + 1);
    }
    if (!value && *i + 1 == count)
        return diag_fail(d, DIAG_USAGE, c->name, "--%s needs a value: %s", o->name, o->value);
    return option_store(o, value ? value + 1 : argv[++*i], into, c->name, d);
}

/* The words of c->operands against what was given. */
static bool operands_check(const command *c, const arguments *given, nasc_diag *d)
{
    char word[64];
    int most = 0;
    for (; word_at(c->operands, ' ', most, word, sizeof word); most++) {
        if (most >= given->operand_count && *word != '[')
            return diag_fail(d, DIAG_USAGE, c->name, "%s is missing", word);
        if (most < given->operand_count && !choice_allows(word, given->operand[most]))
            return diag_fail(d, DIAG_USAGE, c->name, "found '%s', expected one of %s", given->operand[most], word);
    }
    return given->operand_count <= most ||
           diag_fail(d, DIAG_USAGE, c->name, "'%s' is one operand too many", given->operand[most]);
}

bool options_parse(const command *c, char **argv, int count, arguments *into, nasc_diag *d)
{
    bool seen[64] = {0}, only_operands = false;
    into->device = "cpu";
    for (int i = 0; i < count; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            if (!option_take(c, argv, count, &i, seen, into, d))
                return false;
        } else if (into->operand_count == (int)COUNT(into->operand)) {
            return diag_fail(d, DIAG_USAGE, c->name, "'%s' is one operand too many", argv[i]);
        } else {
            into->operand[into->operand_count++] = argv[i];
        }
    }
    if (into->help)
        return true;
    const option_row *o;
    for (int row = 0; (o = option_at(c, row)); row++) {
        CHECK(row < (int)COUNT(seen));
        if (o->required && !seen[row])
            return diag_fail(d, DIAG_USAGE, c->name, "--%s %s is missing", o->name, o->value ? o->value : "");
    }
    return operands_check(c, into, d);
}
