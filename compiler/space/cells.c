/* Cells and blocks: where choices stand, or where they stood before a search made them. */
#include "space/model.h"

#include <string.h>

static void read_candidate(reader *r, const json_t *j, candidate *c)
{
    static const char *const keys[] = {"op", "if"};
    size_t mark;
    if (json_is_object(j)) {
        if (!read_object(r, j, keys, 2))
            return;
        c->op = read_op_name(r, read_at(r, j, "op", &mark));
        read_leave(r, mark);
        c->condition = read_expr_at(r, j, "if", NULL);
    } else {
        c->op = read_op_name(r, j);
    }
    c->name = c->op ? c->op->name : "";
}

static const char *read_path_at(reader *r, const json_t *object, const char *key, const char *fallback)
{
    size_t mark;
    const json_t *names = read_at(r, object, "names", &mark);
    const char *path = names ? read_name_at(r, names, key, fallback) : fallback;
    read_leave(r, mark);
    return path;
}

static choice read_choice(reader *r, const json_t *j, const char *alpha)
{
    static const char *const combines[] = {"mix", "select"}, *const sharing[] = {"by kind", "own"};
    size_t mark;
    choice c = {.alpha = read_whole_name_at(r, j, "alpha_name", alpha),
                .combine = (enum combine)read_word_at(r, j, "combine", combines, 2, -1),
                .own = read_word_at(r, j, "alpha", sharing, 2, 0) == 1,
                .path = read_path_at(r, j, "candidates", "_ops")};
    const json_t *list = read_array(r, read_at(r, j, "choice", &mark), "a list of candidates");
    c.where = read_where(r);
    size_t count = json_array_size(list);
    if (list && (count < 1 || count > SPACE_CANDIDATES_MAX))
        read_fail(r, "found %zu candidates, expected 1 to %d", count, SPACE_CANDIDATES_MAX);
    else {
        c.at = NEW_ARRAY(r->arena, candidate, count);
        c.count = (int)count;
        for (size_t i = 0; i < count; i++) {
            size_t inner = read_enter_index(r, i);
            read_candidate(r, json_array_get(list, i), &c.at[i]);
            for (size_t before = 0; before < i && r->diag->kind == DIAG_NONE; before++)
                if (c.at[before].op == c.at[i].op)
                    read_fail(r, "found the candidate \"%.60s\" a second time, expected each once", c.at[i].name);
            read_leave(r, inner);
        }
    }
    read_leave(r, mark);
    return c;
}

/* ---- cells ---------------------------------------------------------------------------------------------------- */

static void read_inputs(reader *r, const json_t *j, cell *c)
{
    static const char *const keys[] = {"name", "steps"};
    size_t mark;
    const json_t *list = read_array(r, read_at(r, j, "inputs", &mark), "a list of inputs");
    size_t count = json_array_size(list);
    if (list && (count < 1 || count > SPACE_INPUTS_MAX))
        read_fail(r, "found %zu inputs, expected 1 to %d", count, SPACE_INPUTS_MAX);
    else {
        c->inputs = NEW_ARRAY(r->arena, cell_input, count);
        c->input_count = (int)count;
        for (size_t i = 0; i < count; i++) {
            size_t inner = read_enter_index(r, i), deeper;
            const json_t *input = read_object(r, json_array_get(list, i), keys, 2);
            if (input) {
                c->inputs[i].name = read_name_at(r, input, "name", arena_printf(r->arena, "preprocess%zu", i));
                c->inputs[i].body = read_steps(r, read_at(r, input, "steps", &deeper));
                read_leave(r, deeper);
            }
            read_leave(r, inner);
        }
    }
    read_leave(r, mark);
}

static void read_edges(reader *r, const json_t *j, cell *c)
{
    size_t mark;
    const json_t *list = read_at(r, j, "edges", &mark);
    c->every_edge = !list || (json_is_string(list) && strcmp(json_string_value(list), "all") == 0);
    if (!c->every_edge && read_array(r, list, "\"all\" or a list of [from, to]")) {
        size_t count = json_array_size(list);
        int last = c->input_count + SPACE_NODES_MAX - 1;
        c->edges = NEW_ARRAY(r->arena, edge, count);
        for (size_t i = 0; i < count; i++) {
            size_t inner = read_enter_index(r, i);
            const json_t *pair = json_array_get(list, i);
            if (!json_is_array(pair) || json_array_size(pair) != 2)
                read_expected(r, pair, "[from, to], two nodes");
            else {
                edge e = {.from = (int)read_integer(r, json_array_get(pair, 0), 0, last),
                          .to = (int)read_integer(r, json_array_get(pair, 1), 0, last)};
                if (e.from >= e.to || e.to < c->input_count)
                    read_fail(r, "found an edge from %d to %d, expected one to a later node, %d or above", e.from, e.to,
                              c->input_count);
                c->edges[c->edge_count++] = e;
            }
            read_leave(r, inner);
        }
    }
    read_leave(r, mark);
}

/* One node of a cell whose choices are made: [[op, input], …]. */
static void read_made_node(reader *r, const json_t *pairs, cell *c, int to)
{
    if (!read_array(r, pairs, "a list of [op, input]") || json_array_size(pairs) == 0) {
        read_expected(r, pairs, "a list of at least one [op, input]");
        return;
    }
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        size_t mark = read_enter_index(r, i);
        const json_t *pair = json_array_get(pairs, i);
        if (!json_is_array(pair) || json_array_size(pair) != 2)
            read_expected(r, pair, "[op, input]");
        else {
            size_t inner = read_enter_index(r, 0);
            const op *o = read_op_name(r, json_array_get(pair, 0));
            read_leave(r, inner);
            inner = read_enter_index(r, 1);
            int from = (int)read_integer(r, json_array_get(pair, 1), 0, to - 1);
            read_leave(r, inner);
            c->edges[c->edge_count++] = (edge){from, to, o};
        }
        read_leave(r, mark);
    }
}

static void read_made(reader *r, const json_t *nodes, cell *c)
{
    size_t count = json_array_size(nodes), pairs = 0;
    c->fixed = true;
    c->node_count = (int)count;
    if (count < 1 || count > SPACE_NODES_MAX) {
        read_fail(r, "found %zu nodes, expected 1 to %d", count, SPACE_NODES_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++)
        pairs += json_array_size(json_array_get(nodes, i));
    c->edges = NEW_ARRAY(r->arena, edge, pairs);
    for (size_t i = 0; i < count; i++) {
        size_t mark = read_enter_index(r, i);
        read_made_node(r, json_array_get(nodes, i), c, c->input_count + (int)i);
        read_leave(r, mark);
    }
}

static void read_output(reader *r, const json_t *j, cell *c)
{
    size_t mark;
    const json_t *output = read_at(r, j, "output", &mark);
    const char *word = json_string_value(output);
    if (!output || (word && strcmp(word, "concat") == 0))
        c->output = OUTPUT_CONCAT;
    else if (word && strcmp(word, "last") == 0)
        c->output = OUTPUT_LAST;
    else if (json_is_array(output) && json_array_size(output) > 0) {
        c->output = OUTPUT_LIST;
        c->listed_count = (int)json_array_size(output);
        c->listed = NEW_ARRAY(r->arena, int, c->listed_count);
        for (int i = 0; i < c->listed_count; i++) {
            size_t inner = read_enter_index(r, (size_t)i);
            int last = c->input_count + (c->fixed ? c->node_count : SPACE_NODES_MAX) - 1;
            c->listed[i] = (int)read_integer(r, json_array_get(output, (size_t)i), 0, last);
            read_leave(r, inner);
        }
    } else
        read_expected(r, output, "\"concat\", \"last\" or a list of nodes");
    read_leave(r, mark);
}

static void read_cell_body(reader *r, const json_t *j, cell *c)
{
    static const char *const names[] = {"edges", "candidates"};
    size_t mark;
    const json_t *paths = read_at(r, j, "names", &mark);
    if (paths)
        read_object(r, paths, names, 2);
    read_leave(r, mark);
    read_inputs(r, j, c);
    c->path = read_path_at(r, j, "edges", "_ops");
    c->stride = read_expr_at(r, j, "stride", "1");
    c->drop_path = read_flag_at(r, j, "drop_path", false);
    const json_t *nodes = read_at(r, j, "nodes", &mark);
    if (json_is_array(nodes)) {
        read_made(r, nodes, c);
        if (json_object_get(j, "choice") || json_object_get(j, "edges"))
            read_fail(r,
                      "found nodes whose choices are made beside \"choice\" or \"edges\", expected one or the other");
    } else if (!nodes)
        read_expected(r, NULL, "a number of nodes, or a list of nodes with their ops");
    else
        c->nodes = read_expr(r, nodes, NULL);
    read_leave(r, mark);
    if (!c->fixed) {
        read_edges(r, j, c);
        c->choice = read_choice(r, j, arena_printf(r->arena, "alphas_%s", c->name));
    }
    read_output(r, j, c);
}

static const char *const cell_keys[] = {"like",    "inputs", "nodes",      "edges", "stride", "choice",
                                        "combine", "alpha",  "alpha_name", "names", "output", "drop_path"};

/* A cell whose object is made here. */
typedef struct merged {
    reader *r;
    const json_t *whole;
    cell *c;
} merged;

static bool read_merged(void *user, arena *a, nasc_diag *d)
{
    (void)a;
    const merged *m = user;
    read_cell_body(m->r, m->whole, m->c);
    return d->kind == DIAG_NONE;
}

/* A cell, after what it is "like" has been laid under it. */
static void read_cell(reader *r, const json_t *all, const json_t *j, cell *c)
{
    if (!read_object(r, j, cell_keys, COUNT(cell_keys)))
        return;
    size_t mark;
    const json_t *like = read_at(r, j, "like", &mark);
    const json_t *base = json_is_string(like) ? json_object_get(all, json_string_value(like)) : NULL;
    if (like && (!json_is_object(base) || json_object_get(base, "like") || base == j))
        read_expected(r, like, "the name of another cell, one that is not like a third");
    read_leave(r, mark);
    if (r->diag->kind != DIAG_NONE)
        return;
    json_t *whole = json_object(); /* json_copy does not tell when it leaves something out */
    if ((base && json_object_update(whole, (json_t *)(uintptr_t)base) != 0) ||
        json_object_update(whole, (json_t *)(uintptr_t)j) != 0) {
        json_decref(whole);
        diag_memory(r->diag);
        return;
    }
    merged m = {r, whole, c};
    arena_guard(r->arena, read_merged, &m, r->diag); /* the merged object does not live in the arena */
    json_decref(whole);
}

void read_cells(reader *r, const json_t *j)
{
    size_t mark = read_enter(r, "cells");
    const json_t *all = j ? read_object(r, j, NULL, 0) : NULL;
    struct space *s = r->space;
    s->cells = NEW_ARRAY(r->arena, cell, json_object_size(all));
    for (member m = {0}; read_member(r, all, &m);) {
        cell *c = &s->cells[s->cell_count++];
        c->name = m.name;
        c->where = read_where(r);
        read_cell(r, all, m.value, c);
    }
    read_leave(r, mark);
}

/* ---- blocks --------------------------------------------------------------------------------------------------- */

static void read_block(reader *r, const json_t *j, block *b)
{
    static const char *const keys[] = {"name",       "choice", "combine", "alpha",
                                       "alpha_name", "names",  "steps",   "shortcut"};
    static const char *const names[] = {"candidates"};
    size_t mark;
    if (!read_object(r, j, keys, COUNT(keys)))
        return;
    const json_t *paths = read_at(r, j, "names", &mark);
    if (paths)
        read_object(r, paths, names, 1);
    read_leave(r, mark);
    b->path = read_name_at(r, j, "name", "");
    b->chosen = json_object_get(j, "choice") != NULL;
    b->shortcut = read_expr_at(r, j, "shortcut", NULL);
    if (b->chosen && json_object_get(j, "steps"))
        read_fail(r, "found \"choice\" and \"steps\", expected one of the two");
    else if (b->chosen)
        b->choice = read_choice(r, j, arena_printf(r->arena, "alpha_%s", b->name));
    else if (json_object_get(j, "steps")) {
        b->body = read_steps(r, read_at(r, j, "steps", &mark));
        read_leave(r, mark);
    }
}

void read_blocks(reader *r, const json_t *j)
{
    size_t mark = read_enter(r, "blocks");
    const json_t *all = j ? read_object(r, j, NULL, 0) : NULL;
    struct space *s = r->space;
    s->blocks = NEW_ARRAY(r->arena, block, json_object_size(all));
    for (member m = {0}; read_member(r, all, &m);) {
        block *b = &s->blocks[s->block_count++];
        b->name = m.name;
        b->where = read_where(r);
        read_block(r, m.value, b);
    }
    read_leave(r, mark);
}
