/* Growing strings, what JSON is made of, and the guess behind "did you mean". */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void text_reserve(text *t, size_t more)
{
    if (t->length + more + 1 <= t->capacity)
        return;
    size_t wider = t->capacity ? t->capacity : 256;
    while (wider < t->length + more + 1)
        wider *= 2;
    char *at = arena_alloc(t->arena, wider);
    if (t->length)
        memcpy(at, t->at, t->length);
    t->at = at;
    t->capacity = wider;
}

void text_bytes(text *t, const char *bytes, size_t count)
{
    text_reserve(t, count);
    memcpy(t->at + t->length, bytes, count);
    t->length += count;
    t->at[t->length] = 0;
}

void text_add(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);
    text_reserve(t, (size_t)length);
    va_start(args, format);
    vsnprintf(t->at + t->length, (size_t)length + 1, format, args);
    va_end(args);
    t->length += (size_t)length;
}

void text_quoted(text *t, const char *bytes, size_t count)
{
    text_bytes(t, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '\\')
            text_add(t, "\\%c", c);
        else if (c < ' ')
            text_add(t, "\\u%04x", c);
        else
            text_bytes(t, bytes + i, 1);
    }
    text_bytes(t, "\"", 1);
}

void text_real(text *t, double value)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_bytes(t, digits, strlen(digits));
}

void text_json_real(text *t, double value)
{
    size_t begin = t->length;
    text_real(t, value);
    if (!strpbrk(t->at + begin, ".e"))
        text_bytes(t, ".0", 2);
}

enum { WORD_MAX = 63 };

/* Levenshtein distance of two words of at most WORD_MAX bytes. */
static int edit_distance(const char *a, const char *b)
{
    int row[WORD_MAX + 2];
    int la = (int)strlen(a), lb = (int)strlen(b);
    for (int j = 0; j <= lb; j++)
        row[j] = j;
    for (int i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= lb; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[lb];
}

const char *text_suggest(const char *word, const char *const *known, int count)
{
    size_t length = strlen(word);
    if (length > WORD_MAX)
        return NULL;
    const char *best = NULL;
    int least = (int)length / 3 + 1;
    for (int i = 0; i < count; i++) {
        if (strlen(known[i]) > WORD_MAX)
            continue;
        int distance = edit_distance(word, known[i]);
        if (distance < least + (best == NULL)) {
            least = distance;
            best = known[i];
        }
    }
    return best;
}
