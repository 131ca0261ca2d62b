/* A genotype from a space and decisions: cells get their nodes in place of a choice, blocks their op, and ops that
 * nothing uses any more are left out. The result is read back before it leaves, so what is written is always a valid
 * genotype. */
#include "space/genotype.h"

#include <stdio.h>
#include <string.h>

void make_put(making *m, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        m->lost = true;
}

void make_append(making *m, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0)
        m->lost = true;
}

static const char *const choice_keys[] = {"edges", "choice", "combine", "alpha", "alpha_name"};

static void drop_choice(json_t *object)
{
    for (size_t i = 0; i < COUNT(choice_keys); i++)
        json_object_del(object, choice_keys[i]);
}

/* ---- cells and blocks ----------------------------------------------------------------------------------------- */

static void write_kinds(making *m, const json_t *cells, const json_t *decided, json_t *to)
{
    const char *name, *key;
    json_t *value, *part;
    json_object_foreach((json_t *)(uintptr_t)cells, name, value)
    {
        const json_t *made = json_object_get(decided, name);
        json_t *cell = json_deep_copy(value);
        if (made)
            drop_choice(cell);
        json_object_foreach((json_t *)(uintptr_t)made, key, part) make_put(m, cell, key, json_incref(part));
        make_put(m, to, name, cell);
    }
}

/* Cells with an alpha of their own: each becomes a kind of its own, complete without "like". */
static void write_own(making *m, const json_t *cells, const json_t *own, json_t *section, json_t *to)
{
    json_t *names = json_array(), *reductions = json_array(), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)own, i, one)
    {
        const char *kind = json_string_value(json_object_get(one, "kind"));
        const json_t *from = kind ? json_object_get(cells, kind) : NULL;
        const char *like = json_string_value(json_object_get(from, "like"));
        json_t *cell = json_deep_copy(like ? json_object_get(cells, like) : from);
        if (json_object_update(cell, (json_t *)(uintptr_t)from) != 0)
            m->lost = true;
        drop_choice(cell);
        json_object_del(cell, "like");
        make_put(m, cell, "nodes", json_incref(json_object_get(one, "nodes")));
        char name[96];
        snprintf(name, sizeof name, "%.60s_%zu", kind ? kind : "", i);
        make_put(m, to, name, cell);
        make_append(m, names, json_string(name));
        if (json_is_true(json_object_get(one, "reduction")))
            make_append(m, reductions, json_integer((json_int_t)i));
        json_object_del(to, kind ? kind : "");
    }
    make_put(m, section, "cells", names);
    make_put(m, section, "reduce_at", reductions);
    json_object_del(section, "repeat");
    json_object_del(section, "reduce");
}

static void write_blocks(making *m, const json_t *blocks, const json_t *decided, json_t *to)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)blocks, name, value)
    {
        json_t *block = json_deep_copy(value);
        const json_t *op = json_object_get(decided, name);
        drop_choice(block);
        if (op)
            make_put(m, block, "steps", json_pack("[{sOss}]", "use", op, "name", ""));
        make_put(m, to, name, block);
    }
}

static void write_made(making *m, json_t *section, const json_t *made)
{
    const char *stage;
    json_t *ops;
    json_object_foreach((json_t *)(uintptr_t)made, stage, ops)
    {
        size_t number = 0;
        for (const char *p = stage; *p; p++)
            number = number * 10 + (size_t)(*p - '0');
        json_t *to = json_array_get(json_object_get(section, "blocks"), number);
        make_put(m, to, "repeat", json_integer((json_int_t)json_array_size(ops)));
        make_put(m, to, "made", json_incref(ops));
    }
}

static void write_network(making *m, const space *s, const json_t *decisions, json_t *root)
{
    json_t *cells = json_object(), *blocks = json_object(),
           *network = json_deep_copy(json_object_get(s->json, "network"));
    const json_t *own = json_object_get(decisions, "own"), *made = json_object_get(decisions, "made");
    write_kinds(m, json_object_get(s->json, "cells"), json_object_get(decisions, "cells"), cells);
    write_blocks(m, json_object_get(s->json, "blocks"), json_object_get(decisions, "blocks"), blocks);
    for (int i = 0; i < s->section_count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        json_t *section = json_array_get(network, (size_t)i);
        if (json_object_get(own, number))
            write_own(m, json_object_get(s->json, "cells"), json_object_get(own, number), section, cells);
        if (json_object_get(made, number))
            write_made(m, section, json_object_get(made, number));
    }
    if (json_object_size(cells))
        make_put(m, root, "cells", json_incref(cells));
    if (json_object_size(blocks))
        make_put(m, root, "blocks", json_incref(blocks));
    json_decref(cells);
    json_decref(blocks);
    make_put(m, root, "network", network);
}

/* ---- ops ------------------------------------------------------------------------------------------------------ */

/* Marks every op whose name stands anywhere in `j`, and what those use. */
static void mark_ops(making *m, const json_t *ops, const json_t *j, json_t *marked)
{
    const char *key;
    json_t *value;
    size_t index;
    if (json_is_string(j)) {
        const char *name = json_string_value(j);
        if (json_object_get(ops, name) && !json_object_get(marked, name)) {
            make_put(m, marked, name, json_true());
            if (!m->lost)
                mark_ops(m, ops, json_object_get(ops, name), marked);
        }
    } else if (json_is_object(j)) {
        json_object_foreach((json_t *)(uintptr_t)j, key, value) mark_ops(m, ops, value, marked);
    } else if (json_is_array(j)) {
        json_array_foreach((json_t *)(uintptr_t)j, index, value) mark_ops(m, ops, value, marked);
    }
}

/* In the order of the space; `root` has "ops" already, empty, so that it stands before cells and network. */
static void write_ops(making *m, const space *s, json_t *root)
{
    const json_t *ops = json_object_get(s->json, "ops");
    json_t *marked = json_object(), *to = json_object_get(root, "ops"), *value;
    const char *name;
    mark_ops(m, ops, json_object_get(root, "cells"), marked);
    mark_ops(m, ops, json_object_get(root, "blocks"), marked);
    mark_ops(m, ops, json_object_get(root, "network"), marked);
    json_object_foreach((json_t *)(uintptr_t)ops, name, value)
    {
        if (json_object_get(marked, name))
            make_put(m, to, name, json_incref(value));
    }
    json_decref(marked);
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static void make_root(making *m, const space *s, const char *name, const json_t *decisions)
{
    static const char *const kept[] = {"variables", "conv_init"};
    m->root = json_object();
    make_put(m, m->root, "format", json_integer(1));
    make_put(m, m->root, "genotype", json_string(name));
    if (json_object_get(s->json, "train"))
        make_put(m, m->root, "settings", json_incref(json_object_get(s->json, "train")));
    for (size_t i = 0; i < COUNT(kept); i++)
        if (json_object_get(s->json, kept[i]))
            make_put(m, m->root, kept[i], json_incref(json_object_get(s->json, kept[i])));
    make_put(m, m->root, "ops", json_object());
    write_network(m, s, decisions, m->root);
    write_ops(m, s, m->root);
}

/* `written` read back: an error there is one of memory or one of ours. */
static bool check(const char *written, nasc_diag *d)
{
    nasc_diag why = {0};
    space *s = space_parse(written, strlen(written), "genotype", &why);
    if (!s)
        diag_fail(d, why.kind, why.where, "%s", why.message);
    space_free(s);
    return s != NULL;
}

typedef struct printing {
    const json_t *root;
    char *written;
} printing;

static bool print_root(void *user, arena *a, nasc_diag *d)
{
    (void)d;
    printing *p = user;
    p->written = (char *)(uintptr_t)json_pretty(a, p->root);
    return true;
}

char *genotype_text(const space *s, const char *name, making *decisions, arena *a, nasc_diag *d)
{
    making m = {.lost = decisions->lost || !decisions->root};
    if (!m.lost && d->kind == DIAG_NONE)
        make_root(&m, s, name, decisions->root);
    json_decref(decisions->root);
    if (m.lost)
        diag_memory(d);
    if (d->kind != DIAG_NONE) {
        json_decref(m.root);
        return NULL;
    }
    printing p = {m.root, NULL};
    bool ok = arena_guard(a, print_root, &p, d) && check(p.written, d);
    json_decref(m.root);
    return ok ? p.written : NULL;
}
