/* The manual page, in man's macros, from the same tables as --help. */
#include "cli.h"

#include "nasc.h"

/* Text with what roff would take for its own escaped: backslashes, dashes, and a dot or quote that begins a line. */
static void roff(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        line_start = *text == '\n';
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void command_manual(FILE *out, const command *c)
{
    fprintf(out, ".SS nasc %s ", c->name);
    roff(out, c->operands);
    fputs("\n", out);
    roff(out, c->summary);
    fputs("\n", out);
    if (c->details) {
        fputs(".PP\n", out);
        roff(out, c->details);
        fputs("\n", out);
    }
    const option_row *o;
    for (int i = 0; (o = option_at(c, i)); i++) {
        fputs(".TP\n", out);
        if (o->letter)
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", out);
        roff(out, o->name);
        fputs("\\fR ", out);
        roff(out, o->value ? o->value : "");
        fputs("\n", out);
        roff(out, o->help);
        fputs("\n", out);
    }
}

void manual_print(FILE *out)
{
    fprintf(out,
            ".TH NASC 1 \"\" \"nasc %s\"\n.SH NAME\nnasc \\- compiles neural architecture search\n"
            ".SH SYNOPSIS\n\\fBnasc\\fR COMMAND [FILE] [options]\n.SH COMMANDS\n",
            nasc_version());
    for (int i = 0; commands[i]; i++)
        command_manual(out, commands[i]);
    fputs(".SH EXIT STATUS\n"
          ".TP\n0\ndone\n.TP\n1\nthe input, the disk, memory or the device is at fault; a message says where\n"
          ".TP\n2\nwrong usage\n.TP\n130\ninterrupted, after a checkpoint was written\n"
          ".SH ENVIRONMENT\n"
          ".TP\nNASC_CACHE\nfolder of compiled kernels, instead of nasc in XDG_CACHE_HOME or ~/.cache\n"
          ".TP\nNO_COLOR\nif set and not empty, no colours\n",
          out);
}
