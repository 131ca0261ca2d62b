/* Text frames with places to fill. A key that a frame names must be known. */
#include "emit/export.h"

#include <string.h>

typedef struct filler {
    const template_value *values;
    int count;
} filler;

static const template_value *value_of(const filler *f, const char *key, size_t length)
{
    for (int i = 0; i < f->count; i++)
        if (strlen(f->values[i].key) == length && memcmp(f->values[i].key, key, length) == 0)
            return &f->values[i];
    BUG("no value for @%.*s@", (int)length, key);
}

static size_t key_length(const char *at)
{
    return strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
}

/* One line, its newline included. A line that only holds a value of several lines gets no newline of its own. */
static void fill_line(const filler *f, text *out, const char *line, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t key = line[i] == '@' ? key_length(line + i + 1) : 0;
        if (key == 0 || line[i + 1 + key] != '@') {
            text_bytes(out, line + i++, 1);
            continue;
        }
        const char *value = value_of(f, line + i + 1, key)->value;
        CHECK(value);
        text_bytes(out, value, strlen(value));
        i += key + 2;
        size_t end = strlen(value);
        if (line[i] == '\n' && i == key + 2 && end > 0 && value[end - 1] == '\n')
            i++;
    }
}

void template_fill(text *out, const char *frame, const template_value *values, int count)
{
    filler f = {values, count};
    bool shown = true;
    for (const char *line = frame; *line;) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, "@if ", 4) == 0)
            shown = value_of(&f, line + 4, length - 4)->value != NULL;
        else if (strncmp(line, "@end", 4) == 0)
            shown = true;
        else if (shown)
            fill_line(&f, out, line, length + (line[length] == '\n'));
        line += length + (line[length] == '\n');
    }
}
