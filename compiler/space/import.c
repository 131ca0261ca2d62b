/* Published genotypes: DARTS tuples, `Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), …)`, and
 * NAS-Bench-201 strings, `|op~0|+|op~0|op~1|+…`. Both become decisions about the cells of a space that is given, so an
 * op that the space does not offer is refused where it stands. ProxylessNAS publishes JSON: import_config.c. */
#include "space/genotype.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { PAIRS_MAX = 2 * SPACE_NODES_MAX };

typedef struct importer {
    const space *into;
    const char *source, *at, *file;
    making decisions;
    nasc_diag *diag;
    char name[64];
} importer;

static bool failed(const importer *m)
{
    return m->diag->kind != DIAG_NONE;
}

/* "file:line:column" of a place in the text. */
static void complain(importer *m, const char *place, const char *format, ...) PRINTF(3, 4);
static void complain(importer *m, const char *place, const char *format, ...)
{
    int line = 1, column = 1;
    char where[320], message[400];
    for (const char *p = m->source; p < place; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(where, sizeof where, "%.290s:%d:%d", m->file, line, column);
    if (m->decisions.lost) /* then what is missing here is no fault of the text */
        diag_memory(m->diag);
    diag_fail(m->diag, DIAG_INPUT, where, "%s", message);
}

static void skip(importer *m)
{
    for (;;) {
        while (isspace((unsigned char)*m->at))
            m->at++;
        if (*m->at != '#')
            return;
        m->at += strcspn(m->at, "\n");
    }
}

static void expected(importer *m, const char *what)
{
    if (*m->at)
        complain(m, m->at, "found '%.*s', expected %s", (int)strcspn(m->at, "\n") > 12 ? 12 : (int)strcspn(m->at, "\n"),
                 m->at, what);
    else
        complain(m, m->at, "found the end, expected %s", what);
}

static bool peek(importer *m, char c)
{
    skip(m);
    return !failed(m) && *m->at == c;
}

static bool accept(importer *m, char c)
{
    bool there = peek(m, c);
    m->at += there;
    return there;
}

static void require(importer *m, char c)
{
    char what[4] = {'\'', c, '\'', 0};
    if (!accept(m, c))
        expected(m, what);
}

static int integer(importer *m)
{
    int value = 0;
    skip(m);
    if (!isdigit((unsigned char)*m->at)) {
        expected(m, "a number");
        return 0;
    }
    for (; isdigit((unsigned char)*m->at); m->at++)
        value = value > 100000 ? value : value * 10 + (*m->at - '0');
    return value;
}

/* A word of letters, digits and _, copied. */
static void word(importer *m, char *to, size_t size, const char *what)
{
    skip(m);
    size_t n = 0;
    while (isalnum((unsigned char)m->at[n]) || m->at[n] == '_')
        n++;
    if (n == 0 || n >= size) {
        expected(m, what);
        n = 0;
    }
    memcpy(to, m->at, n);
    to[n] = 0;
    m->at += n;
}

/* The op must be one that the cell's choice offers. */
static void check_op(importer *m, const cell *c, const char *op, const char *place)
{
    const char *names[SPACE_CANDIDATES_MAX];
    for (int k = 0; k < c->choice.count; k++) {
        names[k] = c->choice.at[k].name;
        if (strcmp(names[k], op) == 0)
            return;
    }
    const char *guess = text_suggest(op, names, c->choice.count);
    if (guess)
        complain(m, place, "found the op '%s', did you mean '%s'?", op, guess);
    else
        complain(m, place, "found the op '%s', expected one that the space \"%s\" offers", op, m->into->name);
}

static const cell *find_cell(importer *m, const char *name)
{
    for (int i = 0; i < m->into->cell_count; i++)
        if (strcmp(m->into->cells[i].name, name) == 0 && !m->into->cells[i].fixed)
            return &m->into->cells[i];
    complain(m, m->at, "found a genotype with a cell '%s', expected a space that has it; \"%s\" has not", name,
             m->into->name);
    return NULL;
}

/* decisions.cells[kind], made where it does not stand yet. */
static json_t *decided(importer *m, const char *kind)
{
    json_t *cells = json_object_get(m->decisions.root, "cells");
    if (!json_object_get(cells, kind))
        make_put(&m->decisions, cells, kind, json_object());
    return json_object_get(cells, kind);
}

/* ---- DARTS ---------------------------------------------------------------------------------------------------- */

static void parse_pair(importer *m, const cell *c, json_t *nodes, int number)
{
    char op[64];
    int inputs = c->input_count + number / 2;
    require(m, '(');
    char quote = peek(m, '"') ? '"' : '\'';
    require(m, quote);
    const char *place = m->at;
    word(m, op, sizeof op, "the name of an op");
    require(m, quote);
    if (!failed(m))
        check_op(m, c, op, place);
    require(m, ',');
    skip(m);
    place = m->at;
    int from = integer(m);
    if (!failed(m) && from >= inputs)
        complain(m, place, "found the input %d of node %d, expected one below %d", from, number / 2 + c->input_count,
                 inputs);
    require(m, ')');
    if (failed(m))
        return;
    if (number % 2 == 0)
        make_append(&m->decisions, nodes, json_array());
    make_append(&m->decisions, json_array_get(nodes, (size_t)number / 2), json_pack("[si]", op, from));
}

/* [('op', input), …]: two a node. */
static void parse_pairs(importer *m, const cell *c)
{
    char close = peek(m, '(') ? ')' : ']';
    int number = 0;
    const char *place = m->at;
    require(m, close == ')' ? '(' : '[');
    json_t *nodes = json_array();
    make_put(&m->decisions, decided(m, c->name), "nodes", nodes);
    while (!failed(m) && !peek(m, close)) {
        if (number >= PAIRS_MAX)
            complain(m, m->at, "found more than %d pairs, expected fewer", PAIRS_MAX);
        else
            parse_pair(m, c, nodes, number++);
        if (!failed(m) && !accept(m, ',') && !peek(m, close))
            expected(m, "',' or the end of the list");
    }
    require(m, close);
    if (!failed(m) && (number == 0 || number % 2))
        complain(m, place, "found %d pairs, expected an even number: two for each node", number);
}

/* range(2, 6), or [2, 3, 4, 5]. */
static void parse_concat(importer *m, const cell *c)
{
    json_t *list = json_array();
    make_put(&m->decisions, decided(m, c->name), "output", list);
    skip(m);
    const char *place = m->at;
    if (strncmp(m->at, "range", 5) == 0) {
        m->at += 5;
        require(m, '(');
        int first = integer(m);
        require(m, ',');
        int last = integer(m);
        require(m, ')');
        for (int i = first; i < last && i < first + PAIRS_MAX; i++)
            make_append(&m->decisions, list, json_integer(i));
    } else {
        char close = peek(m, '(') ? ')' : ']';
        require(m, close == ')' ? '(' : '[');
        while (!failed(m) && !peek(m, close)) {
            make_append(&m->decisions, list, json_integer(integer(m)));
            if (!failed(m) && !accept(m, ',') && !peek(m, close))
                expected(m, "',' or the end of the list");
        }
        require(m, close);
    }
    if (!failed(m) && json_array_size(list) == 0)
        complain(m, place, "found an empty concatenation, expected at least one node");
}

/* Nodes that are concatenated must exist; all of them in order is what "concat" says shorter. */
static void check_concat(importer *m, const cell *c)
{
    json_t *made = decided(m, c->name), *list = json_object_get(made, "output"),
           *nodes = json_object_get(made, "nodes");
    size_t inner = json_array_size(nodes), count = json_array_size(list);
    if (!nodes || !list) {
        complain(m, m->at, "found no %s%s, expected it in the genotype", c->name, nodes ? "_concat" : "");
        return;
    }
    bool all = count == inner;
    for (size_t i = 0; i < count; i++) {
        json_int_t node = json_integer_value(json_array_get(list, i));
        all = all && node == (json_int_t)i + c->input_count;
        if (node >= (json_int_t)inner + c->input_count)
            complain(m, m->at, "found node %d in %s_concat, expected at most %d", (int)node, c->name,
                     (int)inner + c->input_count - 1);
    }
    if (all)
        make_put(&m->decisions, made, "output", json_string("concat"));
}

static void parse_field(importer *m)
{
    static const char *const fields[] = {"normal", "normal_concat", "reduce", "reduce_concat"};
    char key[64];
    skip(m);
    const char *place = m->at;
    word(m, key, sizeof key, "normal, normal_concat, reduce or reduce_concat");
    size_t i = 0;
    while (i < COUNT(fields) && strcmp(fields[i], key) != 0)
        i++;
    if (i == COUNT(fields)) {
        complain(m, place, "found '%s', expected normal, normal_concat, reduce or reduce_concat", key);
        return;
    }
    const cell *c = find_cell(m, i < 2 ? "normal" : "reduce");
    require(m, '=');
    if (failed(m))
        return;
    if (json_object_get(decided(m, c->name), i % 2 ? "output" : "nodes"))
        complain(m, place, "found '%s' a second time, expected it once", key);
    else if (i % 2)
        parse_concat(m, c);
    else
        parse_pairs(m, c);
}

static void parse_darts(importer *m)
{
    char name[64];
    word(m, name, sizeof name, "Genotype(…)");
    if (!failed(m) && accept(m, '=')) {
        snprintf(m->name, sizeof m->name, "%s", name);
        word(m, name, sizeof name, "Genotype(…)");
    }
    if (!failed(m) && strcmp(name, "Genotype") != 0)
        complain(m, m->at - strlen(name), "found '%s', expected Genotype(…)", name);
    require(m, '(');
    while (!failed(m) && !peek(m, ')')) {
        parse_field(m);
        if (!failed(m) && !accept(m, ',') && !peek(m, ')'))
            expected(m, "',' or ')'");
    }
    require(m, ')');
    for (int i = 0; i < 2 && !failed(m); i++) {
        const cell *c = find_cell(m, i ? "reduce" : "normal");
        if (c)
            check_concat(m, c);
    }
}

/* Nothing but the two cells may be open in the space. */
static void check_whole(importer *m)
{
    const space *s = m->into;
    for (int i = 0; i < s->block_count && !failed(m); i++)
        if (s->blocks[i].chosen)
            complain(m, m->at,
                     "found a genotype that says nothing of the block '%s', expected a space without such a choice",
                     s->blocks[i].name);
    for (int i = 0; i < s->cell_count && !failed(m); i++)
        if (!s->cells[i].fixed && !json_object_get(json_object_get(m->decisions.root, "cells"), s->cells[i].name))
            complain(m, m->at,
                     "found a genotype that says nothing of the cell '%s', expected a space without such a choice",
                     s->cells[i].name);
}

/* ---- NAS-Bench-201 -------------------------------------------------------------------------------------------- */

static void parse_bench_node(importer *m, const cell *c, json_t *pairs, int node)
{
    char op[64];
    require(m, '|');
    for (int i = 0; !failed(m) && i <= node; i++) {
        skip(m);
        const char *place = m->at;
        word(m, op, sizeof op, "the name of an op");
        if (!failed(m))
            check_op(m, c, op, place);
        require(m, '~');
        place = m->at;
        int from = integer(m);
        if (!failed(m) && from != i)
            complain(m, place, "found the input %d, expected %d", from, i);
        require(m, '|');
        if (!failed(m))
            make_append(&m->decisions, pairs, json_pack("[si]", op, from));
    }
}

static void parse_bench(importer *m)
{
    if (m->into->cell_count != 1 || m->into->cells[0].fixed) {
        complain(m, m->at, "found a NAS-Bench-201 string, expected a space with one kind of cell; \"%s\" is not",
                 m->into->name);
        return;
    }
    const cell *c = &m->into->cells[0];
    json_t *nodes = json_array();
    make_put(&m->decisions, decided(m, c->name), "nodes", nodes);
    int node = 0;
    do {
        json_t *pairs = json_array();
        make_append(&m->decisions, nodes, pairs);
        parse_bench_node(m, c, pairs, node++);
    } while (!failed(m) && node < SPACE_NODES_MAX && accept(m, '+'));
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static bool is_bench(importer *m)
{
    skip(m);
    return *m->at == '|';
}

const char *space_import_kind(const char *source)
{
    importer m = {.source = source, .at = source, .diag = &(nasc_diag){0}};
    if (is_bench(&m))
        return "nasbench201";
    if (*m.at == '{')
        return "proxyless";
    return strstr(m.at, "Genotype") ? "darts" : NULL;
}

char *space_import(const space *into, const char *source, const char *file, arena *a, nasc_diag *d)
{
    importer m = {.into = into, .source = source, .at = source, .file = file, .diag = d, .name = "imported"};
    if (peek(&m, '{'))
        return import_config(into, source, file, a, d);
    m.decisions.root = json_object();
    make_put(&m.decisions, m.decisions.root, "cells", json_object());
    if (is_bench(&m))
        parse_bench(&m);
    else
        parse_darts(&m);
    skip(&m);
    if (!failed(&m) && *m.at)
        expected(&m, "the end");
    check_whole(&m);
    return genotype_text(into, m.name, &m.decisions, a, d);
}
