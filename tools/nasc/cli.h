/* The command line: a command is one row here and one file, NAME.c, that defines `command_NAME`. What a command takes
 * stands in one table, which yields parsing, --help, the shell completion and the man page. */
#ifndef NASC_CLI_H
#define NASC_CLI_H

#include "base/base.h"

#include <stdio.h>

/* X(name), in the order in which help lists them. */
#define COMMANDS(X) X(info) X(search) X(derive) X(train) X(eval) X(export) X(import) X(dump) X(draw) X(bench) X(latency)

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

enum option_kind {
    OPTION_FLAG,    /* bool: given or not */
    OPTION_TEXT,    /* const char *; where `value` is "a|b|c", one of these words */
    OPTION_INT,     /* int64_t, from `least` to `most` */
    OPTION_SIZE,    /* int64_t bytes: 300M, 2G, 4096 */
    OPTION_NUMBERS, /* numbers: 20, or 10,15.5,20 */
    OPTION_SET,     /* --set KEY=VALUE, appended to arguments.settings */
    OPTION_SETTING, /* --NAME VALUE, short for --set NAME=VALUE */
};

/* What integers may be at most, in options and in run.json. Seeds stay exact where JSON's numbers are doubles. */
enum { THREADS_MOST = 1024, SEARCHES_MOST = 1000, STEPS_MOST = 1000000000 };
#define SEED_MOST (INT64_C(1) << 53)

/* Numbers above 0, each larger than the one before it. */
enum { NUMBERS_MOST = 16 };
typedef struct numbers {
    double at[NUMBERS_MOST];
    int count;
} numbers;

typedef struct option_row {
    const char *name;  /* without the dashes */
    const char *value; /* what help calls its value: "RUN", "cpu|cuda"; NULL for a flag */
    enum option_kind kind;
    size_t offset; /* of its field in the command's arguments; SET and SETTING have none */
    const char *help;
    int64_t least, most;
    char letter; /* its short form, or 0 */
    bool required;
} option_row;

/* What every command is given; a command with options of its own puts this first in its struct. */
typedef struct arguments {
    const char *operand[3];
    int operand_count;
    VEC(const char *) settings; /* "key=value", in the order given */
    int64_t threads;            /* 0: as many as the machine has cores */
    int64_t seed;
    const char *device, *cudnn; /* cudnn: NULL, or its engines' precision */
    bool json, quiet, help;
    arena *arena;
} arguments;

typedef struct command {
    const char *name;
    const char *operands; /* "FILE", "[SPACE]", "step|infer|peak [FILE]"; brackets: may be left out */
    const char *summary;  /* one line */
    const char *details;  /* more lines for help and the man page, or NULL */
    const option_row *options;
    int option_count;
    bool settings; /* takes --set and its short forms */
    size_t bytes;  /* size of its arguments */
    enum exit_code (*run)(void *arguments, nasc_diag *d);
} command;

extern const command *const commands[]; /* ends with NULL */
const command *command_find(const char *name);

/* ---- options.c ---- */

/* Parses argv[0 … count) into `into` (c->bytes, zeroed). False with a message: EXIT_USAGE. */
bool options_parse(const command *c, char **argv, int count, arguments *into, nasc_diag *d);
/* Appends a number that is larger than those before it; false: it is not, or there are too many. */
bool numbers_add(numbers *n, double value);
/* Row i of the command's own options, then of those that it shares with others; NULL after the last. */
const option_row *option_at(const command *c, int i);
/* Word i of an operand list or of a value "a|b|c", cut at `separator`; false after the last. */
bool word_at(const char *list, char separator, int i, char *word, size_t size);

/* ---- help.c, manual.c, completion.c, version.c ---- */

void help_overview(FILE *out);
void help_command(FILE *out, const command *c);
void manual_print(FILE *out);
void completion_print(FILE *out);
bool version_print(bool json, nasc_diag *d);

#endif
