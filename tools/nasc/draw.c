/* nasc draw: cells and blocks as Graphviz sees them. The text is ours; pictures are made by its `dot`. A cell of a
 * genotype shows the op of each edge, a cell of a space how many candidates the edge has to choose from. */
#include "cli.h"
#include "model.h"
#include "output.h"

#include "space/model.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct draw_arguments {
    arguments common;
    const char *out;
} draw_arguments;

static void quoted(text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s; s++)
        text_add(t, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    text_add(t, "\"");
}

/* A cell's node: inputs first, then intermediate ones. */
static void node_name(text *t, const cell *c, int node)
{
    if (node < c->input_count)
        quoted(t, arena_printf(t->arena, "%s/in%d", c->name, node));
    else
        quoted(t, arena_printf(t->arena, "%s/%d", c->name, node - c->input_count));
}

static void output_name(text *t, const cell *c)
{
    quoted(t, arena_printf(t->arena, "%s/out", c->name));
}

static void draw_nodes(text *t, const cell *c, int nodes)
{
    text_add(t, "  subgraph ");
    quoted(t, arena_printf(t->arena, "cluster %s", c->name));
    text_add(t, " {\n    label=");
    quoted(t, c->name);
    text_add(t, ";\n");
    for (int node = 0; node < c->input_count + nodes; node++) {
        text_add(t, "    ");
        node_name(t, c, node);
        text_add(t, " [label=");
        if (node < c->input_count)
            quoted(t, arena_printf(t->arena, "input %d", node));
        else
            quoted(t, arena_printf(t->arena, "%d", node - c->input_count));
        text_add(t, node < c->input_count ? ", fillcolor=\"#cfe3cf\"];\n" : "];\n");
    }
    text_add(t, "    ");
    output_name(t, c);
    text_add(t, " [label=%s, fillcolor=\"#ecdcae\"];\n  }\n", c->output == OUTPUT_LAST ? "output" : "concat");
}

static void draw_edge(text *t, const cell *c, const edge *e, int candidates)
{
    text_add(t, "  ");
    node_name(t, c, e->from);
    text_add(t, " -> ");
    node_name(t, c, e->to);
    text_add(t, " [label=");
    quoted(t, e->op ? e->op->name : arena_printf(t->arena, "1 of %d", candidates));
    text_add(t, "];\n");
}

static void draw_cell(text *t, const cell *c, const edge *edges, int count, int nodes, int candidates)
{
    draw_nodes(t, c, nodes);
    for (int e = 0; e < count; e++)
        draw_edge(t, c, &edges[e], candidates);
    int leaving = c->output == OUTPUT_LIST ? c->listed_count : nodes;
    for (int i = c->output == OUTPUT_LAST ? nodes - 1 : 0; i < leaving; i++) {
        text_add(t, "  ");
        node_name(t, c, c->output == OUTPUT_LIST ? c->listed[i] : c->input_count + i);
        text_add(t, " -> ");
        output_name(t, c);
        text_add(t, " [style=dashed];\n");
    }
}

/* A chain of blocks where something is or was to choose: the ops of a genotype, the number of candidates in a space. */
static void draw_stages(text *t, const section *s, const space_net *built, int number)
{
    const char *before = NULL;
    for (int k = 0; k < s->stage_count; k++) {
        const stage *st = &s->stages[k];
        int count = st->made_count;
        if (!st->made && !st->block->chosen)
            continue;
        for (int i = 0; i < built->choice_count; i++)
            count += built->choices[i].section == number && built->choices[i].stage == k && !built->choices[i].cell;
        for (int i = 0; i < (count ? count : 1); i++) {
            const char *id = arena_printf(t->arena, "section %d, stage %d, %d", number, k, i);
            text_add(t, "  ");
            quoted(t, id);
            text_add(t, " [label=");
            quoted(t, st->made ? st->made[i]->name
                      : st->block->chosen
                          ? arena_printf(t->arena, "%s: 1 of %d", st->block->name, st->block->choice.count)
                          : st->block->name);
            text_add(t, "];\n");
            if (before) {
                text_add(t, "  ");
                quoted(t, before);
                text_add(t, " -> ");
                quoted(t, id);
                text_add(t, ";\n");
            }
            before = id;
        }
    }
}

static void draw_all(text *t, const struct space *s, const space_net *built)
{
    text_add(t, "digraph ");
    quoted(t, s->name);
    text_add(t, " {\n  rankdir=LR;\n  fontname=Helvetica;\n"
                "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#d8e4f2\", fontname=Helvetica];\n"
                "  edge [fontname=Helvetica, fontsize=11];\n");
    for (int i = 0; i < s->cell_count; i++) {
        const cell *c = &s->cells[i];
        const space_choice *found = NULL;
        for (int k = 0; k < built->choice_count && !found; k++)
            if (built->choices[k].cell == c)
                found = &built->choices[k];
        if (c->fixed)
            draw_cell(t, c, c->edges, c->edge_count, c->node_count, 0);
        else if (found)
            draw_cell(t, c, found->edges, found->rows, found->nodes, found->columns);
    }
    for (int i = 0; i < s->section_count; i++)
        if (s->sections[i].kind == SECTION_BLOCKS)
            draw_stages(t, &s->sections[i], built, i);
    text_add(t, "}\n");
}

/* Runs dot -Tformat on `graph` into `beside`, which is to become `path`. */
static bool run_dot(const char *graph, const char *format, char *beside, const char *path, arena *a, nasc_diag *d)
{
    char *argv[] = {"dot", arena_printf(a, "-T%s", format), "-o", beside, NULL};
    char *const environment[] = {arena_printf(a, "PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), NULL};
    FILE *in = tmpfile();
    if (!in || fputs(graph, in) < 0 || fflush(in) != 0 || fseek(in, 0, SEEK_SET) != 0) {
        if (in)
            fclose(in);
        return diag_fail(d, DIAG_IO, path, "no temporary file can be written: %s", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    pid_t dot;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
    int error = posix_spawnp(&dot, "dot", &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    fclose(in);
    if (error)
        return diag_fail(d, DIAG_IO, path, "dot, which draws it, cannot be run: %s (package graphviz)",
                         strerror(error));
    int status;
    while (waitpid(dot, &status, 0) < 0)
        if (errno != EINTR)
            return diag_fail(d, DIAG_IO, path, "dot was lost: %s", strerror(errno));
    return status == 0 || diag_fail(d, DIAG_IO, path, "dot cannot write it (exit %d)", WEXITSTATUS(status));
}

static bool write_picture(const char *graph, size_t length, const char *path, arena *a, nasc_diag *d)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".dot") == 0)
        return file_replace(path, graph, length, d);
    if (!dot || (strcmp(dot, ".svg") != 0 && strcmp(dot, ".png") != 0))
        return diag_fail(d, DIAG_INPUT, path, "expected a name that ends in .svg, .png or .dot");
    char *beside = arena_printf(a, "%s.%ld.tmp", path, (long)getpid());
    if (!run_dot(graph, dot + 1, beside, path, a, d)) {
        unlink(beside);
        return false;
    }
    return rename(beside, path) == 0 || diag_fail(d, DIAG_IO, path, "cannot be written: %s", strerror(errno));
}

static bool draw(const draw_arguments *a, model *m, nasc_diag *d)
{
    space_net net;
    if (!model_open(m, &a->common, a->common.operand[0], d) || !model_build(m, &a->common, (space_mode){0}, &net, d))
        return false;
    text t = {.arena = a->common.arena};
    draw_all(&t, m->space, &net);
    if (!a->out)
        return output_text(NULL, t.at, t.length, d);
    return write_picture(t.at, t.length, a->out, a->common.arena, d);
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    model m;
    bool ok = draw(arguments, &m, d);
    model_close(&m);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const option_row options[] = {
    {.name = "out",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = offsetof(draw_arguments, out),
     .help = "the picture, .svg, .png or .dot; Graphviz text on stdout unless given",
     .letter = 'o'},
};

const command command_draw = {
    .name = "draw",
    .operands = "FILE",
    .summary = "Draws the cells and blocks of a space or genotype, through Graphviz.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(draw_arguments),
    .run = run,
};
