/* nasc import: published genotype text becomes a genotype file. The spaces that such texts speak of are compiled in. */
#include "cli.h"
#include "output.h"

#include "space/space.h"
#include "spaces.h"

#include <string.h>

typedef struct import_arguments {
    arguments common;
    const char *out, *space;
} import_arguments;

static const struct published_space {
    const char *name, *json;
} published[] = {
    {"darts", space_darts_json},
    {"nasbench201", space_nasbench201_json},
    {"proxyless", space_proxyless_json},
};

/* The text itself, or that of the file of this name. */
static const char *read_text(const char *operand, const char **file, arena *a, nasc_diag *d)
{
    size_t size;
    *file = operand;
    if (strchr(operand, '(') || strchr(operand, '|') || operand[0] == '{') {
        *file = "text";
        return operand;
    }
    const char *text = file_read(a, operand, &size, d);
    if (text && strlen(text) != size) {
        diag_fail(d, DIAG_INPUT, operand, "found a zero byte, expected text");
        return NULL;
    }
    return text;
}

/* The space that the text's ops and cells are of: --space, or the published one. */
static space *open_space(const import_arguments *a, const char *text, const char *file, nasc_diag *d)
{
    if (a->space)
        return space_read(a->space, d);
    const char *kind = space_import_kind(text);
    for (size_t i = 0; kind && i < COUNT(published); i++)
        if (strcmp(published[i].name, kind) == 0)
            return space_parse(published[i].json, strlen(published[i].json), kind, d);
    diag_fail(d, DIAG_INPUT, file,
              "is no genotype that is known here; expected Genotype(normal=[('sep_conv_3x3', 0), …], …) "
              "or |op~0|+|op~0|op~1|+… or the JSON of a ProxylessNAS network");
    return NULL;
}

static bool import(const import_arguments *a, nasc_diag *d)
{
    const char *file, *text = read_text(a->common.operand[0], &file, a->common.arena, d);
    space *into = text ? open_space(a, text, file, d) : NULL;
    if (!into)
        return false;
    const char *made = space_import(into, text, file, a->common.arena, d);
    bool ok = made && output_text(a->out, made, strlen(made), d);
    space_free(into);
    return ok;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    return import(arguments, d) ? EXIT_DONE : EXIT_FAILED;
}

static const option_row options[] = {
    {.name = "out",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = offsetof(import_arguments, out),
     .help = "the genotype file; stdout unless given",
     .letter = 'o'},
    {.name = "space",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = offsetof(import_arguments, space),
     .help = "the space that the text is of; the published one unless given"},
};

const command command_import = {
    .name = "import",
    .operands = "TEXT",
    .summary = "Makes a genotype file of a published genotype.",
    .details =
        "TEXT is a file, or the text itself: a DARTS genotype, Genotype(normal=[('sep_conv_3x3', 0), …],\n"
        "normal_concat=range(2, 6), …), a NAS-Bench-201 string, |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, or the JSON\n"
        "configuration of a ProxylessNAS network.",
    .options = options,
    .option_count = COUNT(options),
    .bytes = sizeof(import_arguments),
    .run = run,
};
