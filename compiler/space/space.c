/* Reading a space or a genotype: syntax by Jansson, then the parts in the order in which they refer to each other. */
#include "space/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

/* What expressions may name besides what the file binds: the variables of a place, and settings of the architecture. */
static const char *const builtin_names[] = {"C",      "c_out", "c_in",     "c",     "s",     "search",  "from",   "to",
                                            "inputs", "cell",  "channels", "cells", "nodes", "classes", "reduced"};

static bool is_identifier(const char *name)
{
    static const char *const words[] = {"and", "or", "not"};
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_')
            return false;
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(words[i], name) == 0)
            return false;
    return strlen(name) <= 64;
}

static void collect_bound(reader *r, const json_t *with)
{
    const char *name;
    json_t *bound;
    json_object_foreach((json_t *)(uintptr_t)with, name, bound)
    {
        if (is_identifier(name))
            VEC_PUSH(r->arena, &r->names, arena_strdup(r->arena, name));
        else
            read_fail(r, "found \"%.60s\", expected the name of a variable (letters, digits, _)", name);
    }
}

/* Collects the names that "with" binds, anywhere in the file, before expressions are read. */
static void collect_names(reader *r, const json_t *j)
{
    json_t *value;
    size_t index;
    if (json_is_object(j)) {
        for (member m = {0}; read_member(r, j, &m);)
            if (strcmp(m.name, "with") == 0 && json_is_object(m.value))
                collect_bound(r, m.value);
            else
                collect_names(r, m.value);
    } else if (json_is_array(j)) {
        json_array_foreach((json_t *)(uintptr_t)j, index, value)
        {
            size_t mark = read_enter_index(r, index);
            collect_names(r, value);
            read_leave(r, mark);
        }
    }
}

static void read_variables(reader *r, const json_t *root)
{
    size_t mark;
    const json_t *j = read_at(r, root, "variables", &mark);
    const json_t *object = j ? read_object(r, j, NULL, 0) : NULL;
    struct space *s = r->space;
    s->variables = NEW_ARRAY(r->arena, binding, json_object_size(object));
    for (member m = {0}; read_member(r, object, &m);) {
        bool taken = false;
        for (size_t i = 0; i < COUNT(builtin_names); i++)
            taken = taken || strcmp(builtin_names[i], m.name) == 0;
        if (!is_identifier(m.name) || taken)
            read_fail(r, "found the variable \"%.60s\", expected a name (letters, digits, _) that is not taken",
                      m.name);
        s->variables[s->variable_count++] = (binding){m.name, read_expr(r, m.value, NULL)};
        VEC_PUSH(r->arena, &r->names, m.name);
    }
    read_leave(r, mark);
}

static void read_settings(reader *r, const json_t *root, const char *key, preset **presets, int *count)
{
    size_t mark;
    settings scratch = {0};
    const json_t *j = read_at(r, root, key, &mark);
    const json_t *object = j ? read_object(r, j, NULL, 0) : NULL;
    *presets = NEW_ARRAY(r->arena, preset, json_object_size(object));
    for (member m = {0}; read_member(r, object, &m);) {
        text value = {.arena = r->arena};
        if (json_is_number(m.value))
            write_number(&value, m.value);
        else
            text_add(&value, "%s", read_string(r, m.value, "a number or a string"));
        if (r->diag->kind == DIAG_NONE && settings_set(&scratch, m.name, value.at, read_where(r), r->diag))
            (*presets)[(*count)++] = (preset){m.name, value.at};
    }
    read_leave(r, mark);
}

static void read_derive(reader *r, const json_t *root)
{
    static const char *const keys[] = {"edges_per_node", "never"};
    size_t mark, inner;
    const json_t *j = read_at(r, root, "derive", &mark);
    struct space *s = r->space;
    if (j && read_object(r, j, keys, 2)) {
        const json_t *edges = read_at(r, j, "edges_per_node", &inner);
        if (json_is_integer(edges))
            s->edges_per_node = (int)read_integer(r, edges, 1, SPACE_NODES_MAX);
        else if (edges && !(json_is_string(edges) && strcmp(json_string_value(edges), "all") == 0))
            read_expected(r, edges, "an integer or \"all\"");
        read_leave(r, inner);
        const json_t *never = read_at(r, j, "never", &inner);
        if (never && read_array(r, never, "a list of ops")) {
            s->never = NEW_ARRAY(r->arena, const char *, json_array_size(never));
            for (size_t i = 0; i < json_array_size(never); i++) {
                size_t item = read_enter_index(r, i);
                const op *o = read_op_name(r, json_array_get(never, i));
                s->never[s->never_count++] = o ? o->name : "";
                read_leave(r, item);
            }
        }
        read_leave(r, inner);
    }
    read_leave(r, mark);
}

static bool read_head(reader *r, const json_t *root)
{
    struct space *s = r->space;
    size_t mark;
    if (!json_is_object(root)) {
        read_expected(r, root, "an object");
        return false;
    }
    read_format(r, root, FORMAT);
    static const char *const inits[] = {"uniform", "normal"};
    static const char *const space_keys[] = {"format",    "space", "description", "settings", "train",   "variables",
                                             "conv_init", "ops",   "cells",       "blocks",   "network", "derive"};
    static const char *const genotype_keys[] = {"format",    "genotype", "description", "settings", "variables",
                                                "conv_init", "ops",      "cells",       "blocks",   "network"};
    s->genotype = json_object_get(root, "genotype") != NULL;
    if (s->genotype ? !read_object(r, root, genotype_keys, COUNT(genotype_keys))
                    : !read_object(r, root, space_keys, COUNT(space_keys)))
        return false;
    const char *kind = s->genotype ? "genotype" : "space";
    s->name = read_whole_name_at(r, root, kind, NULL);
    if (!s->name)
        read_fail(r, "found neither \"space\" nor \"genotype\", expected one of them with a name");
    s->normal_init = read_word_at(r, root, "conv_init", inits, 2, 0) == 1;
    const json_t *description = read_at(r, root, "description", &mark);
    if (description)
        read_string(r, description, "a text");
    read_leave(r, mark);
    return r->diag->kind == DIAG_NONE;
}

/* A genotype has every choice made. */
static void check_genotype(reader *r)
{
    const struct space *s = r->space;
    for (int i = 0; s->genotype && i < s->cell_count; i++)
        if (!s->cells[i].fixed)
            diag_fail(r->diag, DIAG_INPUT, s->cells[i].where,
                      "found a choice in a genotype, expected a list of nodes with their ops");
    for (int i = 0; s->genotype && i < s->block_count; i++)
        if (s->blocks[i].chosen)
            diag_fail(r->diag, DIAG_INPUT, s->blocks[i].where,
                      "found a choice in a genotype, expected steps, or stages with \"made\"");
}

static void read_root(reader *r, const json_t *root)
{
    struct space *s = r->space;
    if (!read_head(r, root))
        return;
    for (size_t i = 0; i < COUNT(builtin_names); i++)
        VEC_PUSH(r->arena, &r->names, builtin_names[i]);
    collect_names(r, root);
    read_settings(r, root, "settings", &s->settings, &s->settings_count);
    read_settings(r, root, "train", &s->train, &s->train_count);
    read_variables(r, root);
    read_ops(r, json_object_get(root, "ops"));
    read_cells(r, json_object_get(root, "cells"));
    read_blocks(r, json_object_get(root, "blocks"));
    read_network(r, json_object_get(root, "network"));
    read_derive(r, root);
    read_uses(r);
    check_genotype(r);
}

/* ---- entry points ------------------------------------------------------------------------------------------------ */

typedef struct reading {
    space *s;
    const char *file;
} reading;

static bool read_json(void *user, arena *a, nasc_diag *d)
{
    const reading *from = user;
    space *s = from->s;
    s->file = arena_strdup(a, from->file);
    reader *r = NEW(a, reader);
    *r = (reader){.arena = a, .file = s->file, .diag = d, .space = s};
    read_root(r, s->json);
    return d->kind == DIAG_NONE;
}

space *space_parse(const char *source, size_t length, const char *file, nasc_diag *d)
{
    space *s = mem_alloc(sizeof *s);
    if (!s) {
        diag_memory(d);
        return NULL;
    }
    *s = (space){0};
    s->json = json_read(source, length, file, 1, d);
    reading r = {s, file};
    if (s->json && arena_guard(&s->arena, read_json, &r, d))
        return s;
    space_free(s);
    return NULL;
}

space *space_read(const char *path, nasc_diag *d)
{
    arena a = {0};
    size_t size;
    char *source = file_read(&a, path, &size, d);
    space *s = source ? space_parse(source, size, path, d) : NULL;
    arena_free(&a);
    return s;
}

void space_free(space *s)
{
    if (!s)
        return;
    json_decref(s->json);
    arena_free(&s->arena);
    mem_free(s);
}

bool space_selects(const space *s)
{
    for (int i = 0; i < s->cell_count; i++)
        if (!s->cells[i].fixed && s->cells[i].choice.combine == COMBINE_SELECT)
            return true;
    for (int i = 0; i < s->block_count; i++)
        if (s->blocks[i].chosen && s->blocks[i].choice.combine == COMBINE_SELECT)
            return true;
    return false;
}

bool space_is_genotype(const space *s)
{
    return s->genotype;
}

const char *space_name(const space *s)
{
    return s->name;
}
