/* --help, from the tables. */
#include "cli.h"

#include <string.h>

void help_overview(FILE *out)
{
    fputs("nasc compiles neural architecture search: spaces and genotypes in JSON become machine code.\n\n"
          "usage: nasc COMMAND [FILE] [options]\n\n",
          out);
    for (int i = 0; commands[i]; i++)
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n  nasc COMMAND --help        what a command takes\n"
          "  nasc --version [--json]    versions and what this machine can do\n"
          "  nasc --man                 the manual page\n"
          "  nasc --completion bash     completion for the shell\n",
          out);
}

enum { COLUMN = 29, WIDTH = 110 }; /* where what an option does begins, and where lines end */

/* Of UTF-8. */
static int width(const char *text, size_t bytes)
{
    int count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* From column `at` on; gives the column behind the last word. */
static int print_words(FILE *out, const char *text, int at)
{
    while (*text) {
        size_t bytes = strcspn(text, " ");
        if (at > COLUMN && at + 1 + width(text, bytes) > WIDTH)
            at = fprintf(out, "\n%*s", COLUMN, "") - 1;
        else if (at > COLUMN)
            at += fprintf(out, " ");
        fwrite(text, 1, bytes, out);
        at += width(text, bytes);
        text += bytes + strspn(text + bytes, " ");
    }
    return at;
}

static void print_option(FILE *out, const option_row *o)
{
    const char *value = o->value ? o->value : "";
    int at = o->letter ? fprintf(out, "  -%c, ", o->letter) : fprintf(out, "  ");
    at += fprintf(out, "--%s %s", o->name, value) - (int)strlen(value) + width(value, strlen(value));
    if (at >= COLUMN)
        at = fprintf(out, "\n") - 1;
    fprintf(out, "%*s", COLUMN - at, "");
    at = print_words(out, o->help, COLUMN);
    print_words(out, o->required ? "(needed)" : "", at);
    fputs("\n", out);
}

void help_command(FILE *out, const command *c)
{
    fprintf(out, "usage: nasc %s %s%s[options]\n%s\n", c->name, c->operands, *c->operands ? " " : "", c->summary);
    if (c->details)
        fprintf(out, "\n%s\n", c->details);
    fputs("\n", out);
    const option_row *o;
    for (int i = 0; (o = option_at(c, i)); i++)
        print_option(out, o);
}
