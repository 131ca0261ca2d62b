/* nasc: finds the command, hands it its parsed arguments, and turns what it returns into an exit code. Results go to
 * stdout; everything else, and only from here, to stderr. */
#include "cli.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DECLARE(name) extern const command command_##name;
#define ROW(name)     &command_##name,
COMMANDS(DECLARE)
const command *const commands[] = {COMMANDS(ROW) NULL};

const command *command_find(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static bool colours(void)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && isatty(STDERR_FILENO);
}

static void diag_print(const nasc_diag *d)
{
    bool bold = colours();
    fprintf(stderr, "%snasc: %s%s%s%s\n", bold ? "\033[1m" : "", d->where, *d->where ? ": " : "", bold ? "\033[0m" : "",
            d->message);
}

static enum exit_code usage_failed(const char *about, const nasc_diag *d)
{
    diag_print(d);
    fprintf(stderr, "Try 'nasc %s%s--help'.\n", about, *about ? " " : "");
    return EXIT_USAGE;
}

typedef struct call {
    const command *c;
    char **argv;
    int count;
    enum exit_code code;
} call;

static bool run_guarded(void *user, arena *memory, nasc_diag *d)
{
    call *r = user;
    arguments *a = arena_alloc(memory, r->c->bytes);
    a->arena = memory;
    bool ok = options_parse(r->c, r->argv, r->count, a, d);
    if (ok && a->help)
        help_command(stdout, r->c);
    if (ok)
        r->code = a->help ? EXIT_DONE : r->c->run(a, d);
    if (d->kind == DIAG_USAGE)
        r->code = usage_failed(r->c->name, d);
    else if (d->kind != DIAG_NONE)
        diag_print(d);
    return true;
}

/* Running out of memory anywhere below without a guard of its own ends here. */
static enum exit_code command_run(const command *c, char **argv, int count)
{
    nasc_diag d = {0};
    call r = {c, argv, count, EXIT_FAILED};
    if (!arena_within(run_guarded, &r, &d))
        diag_print(&d);
    return r.code;
}

static enum exit_code no_command(const char *word)
{
    const char *known[64] = {NULL};
    int count = 0;
    for (; commands[count]; count++) {
        CHECK(count < (int)COUNT(known));
        known[count] = commands[count]->name;
    }
    const char *near = text_suggest(word, known, count);
    nasc_diag d = {0};
    diag_fail(&d, DIAG_USAGE, "", "there is no %s '%s'%s%s%s", *word == '-' ? "option" : "command", word,
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return usage_failed("", &d);
}

static enum exit_code print_version(bool json)
{
    nasc_diag d = {0};
    if (version_print(json, &d))
        return EXIT_DONE;
    diag_print(&d);
    return EXIT_FAILED;
}

static enum exit_code dispatch(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "--help", *second = argc > 2 ? argv[2] : "";
    const command *c = command_find(first);
    if (c)
        return command_run(c, argv + 2, argc - 2);
    if (strcmp(first, "--help") == 0 || strcmp(first, "help") == 0) {
        c = command_find(second);
        if (*second && !c)
            return no_command(second);
        if (c)
            help_command(stdout, c);
        else
            help_overview(argc > 1 ? stdout : stderr);
        return argc > 1 ? EXIT_DONE : EXIT_USAGE;
    }
    if (strcmp(first, "--version") == 0 && (argc == 2 || (argc == 3 && strcmp(second, "--json") == 0)))
        return print_version(argc == 3);
    if (strcmp(first, "--man") == 0 && argc == 2) {
        manual_print(stdout);
        return EXIT_DONE;
    }
    if (strcmp(first, "--completion") == 0 && argc == 3 && strcmp(second, "bash") == 0) {
        completion_print(stdout);
        return EXIT_DONE;
    }
    return no_command(first);
}

int main(int argc, char **argv)
{
    enum exit_code code = dispatch(argc, argv);
    nasc_diag d = {0};
    if (!output_end(&d) && code == EXIT_DONE) {
        diag_print(&d);
        code = EXIT_FAILED;
    }
    return code;
}
