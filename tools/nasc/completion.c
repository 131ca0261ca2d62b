/* Completion for bash, from the same tables as --help: commands, then options, then the words of a choice; other values
 * and operands are files. */
#include "cli.h"

#include <string.h>

static void print_choice(FILE *out, const char *list)
{
    for (; *list; list++)
        fputc(*list == '|' ? ' ' : *list, out);
}

/* One case per command: its options, the words of its first operand, and what may follow an option. */
static void command_completion(FILE *out, const command *c)
{
    const option_row *o;
    char first[64] = "";
    fprintf(out, "    %s)\n        case $previous in\n", c->name);
    for (int i = 0; (o = option_at(c, i)); i++) {
        if (!o->value || !strchr(o->value, '|'))
            continue;
        fprintf(out, "        --%s) words='", o->name);
        print_choice(out, o->value);
        fputs("' ;;\n", out);
    }
    fputs("        *) options='", out);
    for (int i = 0; (o = option_at(c, i)); i++)
        fprintf(out, "%s--%s", i ? " " : "", o->name);
    fputs("' ;;\n        esac\n", out);
    if (word_at(c->operands, ' ', 0, first, sizeof first) && strchr(first, '|')) {
        fputs("        [ \"$COMP_CWORD\" -eq 2 ] && words='", out);
        print_choice(out, first);
        fputs("'\n", out);
    }
    fputs("        ;;\n", out);
}

void completion_print(FILE *out)
{
    fputs("# bash completion for nasc, written by `nasc --completion bash`\n"
          "_nasc()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words='' options=''\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='",
          out);
    for (int i = 0; commands[i]; i++)
        fprintf(out, "%s ", commands[i]->name);
    fputs("--help --version --man --completion'\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n        return\n    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          out);
    for (int i = 0; commands[i]; i++)
        command_completion(out, commands[i]);
    fputs("    esac\n"
          "    if [ -n \"$words\" ]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "    elif [[ $word == -* ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
          "    else\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
          "    fi\n}\n"
          "complete -o filenames -F _nasc nasc\n",
          out);
}
