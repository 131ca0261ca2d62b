/* Settings: one table of rows, and values that keep the text they were given, so that what is written down again
 * (run.json) is what was said. */
#include "space/model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const setting_row setting_table[SETTING_COUNT] = {
#define X(name, type, low, high, darts, proxyless, train, help)                                                        \
    {#name, SETTING_##type, low, high, {darts, proxyless, train}, help},
    SPACE_SETTINGS(X)
#undef X
};

int setting_find(const char *name)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(setting_table[i].name, name) == 0)
            return i;
    return -1;
}

/* "32x32x3" as three positive numbers and nothing else. */
static bool parse_input(const char *value, int *h, int *w, int *c)
{
    int used = 0;
    return strspn(value, "0123456789x") == strlen(value) && sscanf(value, "%5dx%5dx%5d%n", h, w, c, &used) == 3 &&
           (size_t)used == strlen(value) && *h > 0 && *w > 0 && *c > 0;
}

static bool unknown(const char *name, const char *where, nasc_diag *d)
{
    const char *names[SETTING_COUNT];
    char list[480] = "";
    for (int i = 0; i < SETTING_COUNT; i++) {
        names[i] = setting_table[i].name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? " " : "", names[i]);
    }
    const char *guess = text_suggest(name, names, SETTING_COUNT);
    if (guess)
        return diag_fail(d, DIAG_INPUT, where, "found the setting \"%.40s\", did you mean \"%s\"? Settings: %s", name,
                         guess, list);
    return diag_fail(d, DIAG_INPUT, where, "found the setting \"%.40s\", expected one of: %s", name, list);
}

static bool set_number(setting_value *v, const setting_row *row, const char *value, const char *where, nasc_diag *d)
{
    char *end;
    double number = strtod(value, &end);
    bool whole = row->type == SETTING_INT;
    if (!*value || *end || strspn(value, "0123456789.eE+-") != strlen(value) || (whole && number != floor(number)))
        return diag_fail(d, DIAG_INPUT, where, "%s: found \"%.40s\", expected %s", row->name, value,
                         whole ? "an integer" : "a number");
    if (!(number >= row->low && number <= row->high))
        return diag_fail(d, DIAG_INPUT, where, "%s: found %.40s, expected a number from %g to %g", row->name, value,
                         row->low, row->high);
    v->number = number;
    return true;
}

static bool set_text(enum setting_id id, const char *value, const char *where, nasc_diag *d)
{
    int h = 0, w = 0, c = 0;
    if (id == SETTING_input && !parse_input(value, &h, &w, &c))
        return diag_fail(d, DIAG_INPUT, where, "input: found \"%.40s\", expected HxWxC, as in 32x32x3", value);
    if ((int64_t)h * w * c > INT32_MAX)
        return diag_fail(d, DIAG_INPUT, where, "input: found \"%.40s\", expected an image of fewer than 2^31 values",
                         value);
    if (id == SETTING_lr_schedule && strcmp(value, "epoch") != 0 && strcmp(value, "step") != 0)
        return diag_fail(d, DIAG_INPUT, where, "lr_schedule: found \"%.40s\", expected \"epoch\" or \"step\"", value);
    if (id == SETTING_cost_loss && strcmp(value, "mul#log") != 0 && strcmp(value, "add#linear") != 0 &&
        strcmp(value, "add#absolute") != 0)
        return diag_fail(d, DIAG_INPUT, where,
                         "cost_loss: found \"%.40s\", expected \"mul#log\", \"add#linear\" or \"add#absolute\"", value);
    if (!*value)
        return diag_fail(d, DIAG_INPUT, where, "%s: found nothing, expected a name", setting_table[id].name);
    return true;
}

bool settings_set(settings *s, const char *name, const char *value, const char *where, nasc_diag *d)
{
    int id = setting_find(name);
    if (id < 0)
        return unknown(name, where, d);
    if (strlen(value) >= SETTING_TEXT_MAX)
        return diag_fail(d, DIAG_INPUT, where, "%s: found a value of %zu characters, expected fewer than %d", name,
                         strlen(value), SETTING_TEXT_MAX);
    const setting_row *row = &setting_table[id];
    if (row->type == SETTING_TEXT ? !set_text((enum setting_id)id, value, where, d)
                                  : !set_number(&s->at[id], row, value, where, d))
        return false;
    memcpy(s->at[id].text, value, strlen(value) + 1);
    s->at[id].given = true;
    return true;
}

bool settings_assign(settings *s, const char *assignment, const char *where, nasc_diag *d)
{
    const char *equals = strchr(assignment, '=');
    char name[SETTING_TEXT_MAX];
    if (!equals || equals == assignment)
        return diag_fail(d, DIAG_INPUT, where, "found \"%.60s\", expected key=value", assignment);
    snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    return settings_set(s, name, equals + 1, where, d);
}

static void set_default(settings *s, const char *name, const char *value)
{
    CHECK(settings_set(s, name, value, "", NULL));
    s->at[setting_find(name)].given = false;
}

void settings_defaults(settings *s, enum settings_use use)
{
    *s = (settings){0};
    for (int i = 0; i < SETTING_COUNT; i++)
        set_default(s, setting_table[i].name, setting_table[i].fallback[use]);
}

void settings_for_images(settings *s)
{
#define X(name, value)                                                                                                 \
    if (!s->at[SETTING_##name].given)                                                                                  \
        set_default(s, #name, value);
    IMAGE_SETTINGS(X)
#undef X
}

void settings_from_space(settings *s, const space *of)
{
    for (int i = 0; i < of->settings_count; i++)
        CHECK(settings_set(s, of->settings[i].name, of->settings[i].value, "", NULL));
}

double settings_number(const settings *s, enum setting_id id)
{
    CHECK(setting_table[id].type != SETTING_TEXT);
    return s->at[id].number;
}

int64_t settings_int(const settings *s, enum setting_id id)
{
    CHECK(setting_table[id].type == SETTING_INT);
    return (int64_t)s->at[id].number;
}

const char *settings_text(const settings *s, enum setting_id id)
{
    return s->at[id].text;
}

bool settings_input(const settings *s, int *h, int *w, int *c)
{
    return parse_input(s->at[SETTING_input].text, h, w, c);
}
