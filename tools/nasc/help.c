/* --help, from the tables. */
#include "cli.h"

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

void help_command(FILE *out, const command *c)
{
    fprintf(out, "usage: nasc %s %s%s[options]\n%s\n", c->name, c->operands, *c->operands ? " " : "", c->summary);
    if (c->details)
        fprintf(out, "\n%s\n", c->details);
    fputs("\n", out);
    const option_row *o;
    for (int i = 0; (o = option_at(c, i)); i++) {
        char left[64], letter[8] = "";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s %s", letter, o->name, o->value ? o->value : "");
        fprintf(out, "  %-26s %s%s\n", left, o->help, o->required ? " (needed)" : "");
    }
}
