/* nasc draw: cells and blocks as Graphviz sees them. The text is ours; pictures are made by its `dot`. A cell of a
 * genotype shows the op of each edge, a cell of a space how many candidates the edge has to choose from. */
#include "cli.h"
#include "model.h"
#include "output.h"

#include "emit/process.h"
#include "space/model.h"

#include <string.h>
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
        for (int i = 0; i < count; i++) {
            const char *id = arena_printf(t->arena, "section %d, stage %d, %d", number, k, i);
            text_add(t, "  ");
            quoted(t, id);
            text_add(t, " [label=");
            quoted(t, st->made ? st->made[i]->name
                               : arena_printf(t->arena, "%s: 1 of %d", st->block->name, st->block->choice.count));
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

/* Runs dot -Tformat on the files of a folder; the picture, NULL with a diagnostic. */
static const char *run_dot(char *graph, char *picture, const char *log, const char *format, const char *path,
                           size_t *size, arena *a, nasc_diag *d)
{
    char *word[] = {"dot", arena_printf(a, "-T%s", format), "-o", picture, graph, NULL};
    nasc_diag problem = {0};
    pid_t child;
    int status;
    if (!process_start(word, log, &child, &problem))
        diag_fail(d, problem.kind, path, "dot, which draws it, %s (package graphviz)", problem.message);
    else if (process_wait(&child, &status, d) && status == 0)
        return file_read(a, picture, size, d);
    else
        diag_fail(d, DIAG_DEVICE, path, "dot cannot draw it: %s", process_complaint(a, log, status));
    return NULL;
}

static bool draw_by_dot(const char *text, size_t length, const char *format, const char *path, arena *a, nasc_diag *d)
{
    char folder[512];
    size_t size;
    if (!folder_temporary(folder, sizeof folder, d))
        return false;
    char *graph = arena_printf(a, "%s/graph", folder), *picture = arena_printf(a, "%s/picture", folder),
         *log = arena_printf(a, "%s/log", folder);
    const char *drawn =
        file_replace(graph, text, length, d) ? run_dot(graph, picture, log, format, path, &size, a, d) : NULL;
    bool ok = drawn && file_replace(path, drawn, size, d);
    unlink(graph);
    unlink(picture);
    unlink(log);
    rmdir(folder);
    return ok;
}

static bool write_picture(const char *graph, size_t length, const char *path, arena *a, nasc_diag *d)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".dot") == 0)
        return file_replace(path, graph, length, d);
    if (!dot || (strcmp(dot, ".svg") != 0 && strcmp(dot, ".png") != 0))
        return diag_fail(d, DIAG_USAGE, path, "expected a name that ends in .svg, .png or .dot");
    return draw_by_dot(graph, length, dot + 1, path, a, d);
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
