/* Ops: lists of steps, and the table of primitives that steps may name. "use" is resolved when all ops are known; an op
 * that uses itself, by whatever detour, is refused. */
#include "space/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INT(name, fallback, low, high)  {#name, ATTRIBUTE_INT, fallback, low, high},
#define PAIR(name, fallback, low, high) {#name, ATTRIBUTE_PAIR, fallback, low, high},
#define REAL(name, fallback)            {#name, ATTRIBUTE_REAL, fallback, 0, 0},
#define FLAG(name, fallback)            {#name, ATTRIBUTE_FLAG, fallback, 0, 1},
const primitive primitive_table[PRIMITIVE_COUNT] = {
#define X(name, attributes) {#name, {attributes}},
    SPACE_PRIMITIVES(X)
#undef X
};

/* A number, or the name of a setting that holds one; eps, momentum and rates lie in [0, 1]. */
static void read_real(reader *r, const json_t *j, const char *fallback, attribute_value *v)
{
    if (json_is_string(j)) {
        int id = setting_find(json_string_value(j));
        if (id < 0 || setting_table[id].type == SETTING_TEXT)
            read_expected(r, j, "a number or the name of a setting that is one");
        else
            v->setting = setting_table[id].name;
        return;
    }
    v->real = j ? json_number_value(j) : strtod(fallback, NULL);
    if ((j && !json_is_number(j)) || !(v->real >= 0 && v->real <= 1))
        read_expected(r, j, "a number from 0 to 1");
}

static void read_pair(reader *r, const json_t *j, const char *fallback, attribute_value *v)
{
    if (!json_is_array(j)) {
        v->y = v->x = read_expr(r, j, fallback);
        return;
    }
    if (json_array_size(j) != 2) {
        read_expected(r, j, "a number, or a list of two: height and width");
        return;
    }
    size_t mark = read_enter_index(r, 0);
    v->y = read_expr(r, json_array_get(j, 0), NULL);
    read_leave(r, mark);
    mark = read_enter_index(r, 1);
    v->x = read_expr(r, json_array_get(j, 1), NULL);
    read_leave(r, mark);
}

static void read_attribute(reader *r, const json_t *object, const attribute *a, attribute_value *v)
{
    size_t mark;
    const json_t *j = read_at(r, object, a->name, &mark);
    v->given = j != NULL;
    if (!j && !a->fallback)
        read_fail(r, "found no \"%s\", expected it: it has no default", a->name);
    else if (j || *a->fallback) {
        if (a->kind == ATTRIBUTE_REAL)
            read_real(r, j, a->fallback, v);
        else if (a->kind == ATTRIBUTE_PAIR)
            read_pair(r, j, a->fallback, v);
        else
            v->y = v->x = read_expr(r, j, a->fallback);
    }
    read_leave(r, mark);
}

static void read_primitive(reader *r, const json_t *j, const primitive *p, step *s)
{
    const char *keys[PRIMITIVE_ATTRIBUTES_MAX];
    int count = 0;
    while (count < PRIMITIVE_ATTRIBUTES_MAX && p->attributes[count].name) {
        keys[count] = p->attributes[count].name;
        count++;
    }
    size_t mark = read_enter(r, p->name);
    s->kind = STEP_PRIMITIVE;
    s->primitive = p;
    const json_t *object = read_object(r, j, keys, count);
    for (int i = 0; object && i < count; i++)
        read_attribute(r, object, &p->attributes[i], &s->value[i]);
    read_leave(r, mark);
}

static void read_use(reader *r, const json_t *j, step *s)
{
    size_t mark;
    s->kind = STEP_USE;
    s->used_name = read_string(r, read_at(r, j, "use", &mark), "the name of an op");
    read_leave(r, mark);
    const json_t *with = read_at(r, j, "with", &mark);
    if (with && (with = read_object(r, with, NULL, 0))) {
        s->with = NEW_ARRAY(r->arena, binding, json_object_size(with));
        for (member m = {0}; read_member(r, with, &m);)
            s->with[s->with_count++] = (binding){m.name, read_expr(r, m.value, NULL)};
    }
    read_leave(r, mark);
}

static void read_branches(reader *r, const json_t *j, step *s)
{
    static const char *const joins[] = {"add", "mul", "concat"};
    s->kind = STEP_BRANCHES;
    s->join = (enum join)read_word_at(r, j, "join", joins, 3, -1);
    size_t mark;
    const json_t *list = read_array(r, read_at(r, j, "branches", &mark), "a list of lists of steps");
    size_t count = json_array_size(list);
    if (list && (count < 1 || count > SPACE_CANDIDATES_MAX))
        read_fail(r, "found %zu branches, expected 1 to %d", count, SPACE_CANDIDATES_MAX);
    else if (list && s->join == JOIN_MUL && count != 2)
        read_fail(r, "found %zu branches, expected 2 for \"mul\"", count);
    else if (list) {
        s->branch = NEW_ARRAY(r->arena, steps, count);
        s->branches = (int)count;
        for (size_t i = 0; i < count; i++) {
            size_t inner = read_enter_index(r, i);
            s->branch[i] = read_steps(r, json_array_get(list, i));
            read_leave(r, inner);
        }
    }
    read_leave(r, mark);
}

static void read_condition(reader *r, const json_t *j, step *s)
{
    s->kind = STEP_IF;
    s->condition = read_expr_at(r, j, "if", NULL);
    s->branch = NEW_ARRAY(r->arena, steps, 2);
    s->branches = 2;
    static const char *const sides[] = {"then", "else"};
    for (int i = 0; i < 2; i++) {
        size_t mark;
        const json_t *side = read_at(r, j, sides[i], &mark);
        if (side || i == 0)
            s->branch[i] = read_steps(r, side);
        read_leave(r, mark);
    }
}

/* The step's verb: "use", "branches", "if", or the primitive whose name is a key. */
static const primitive *find_primitive(const json_t *j)
{
    for (int i = 0; i < PRIMITIVE_COUNT; i++)
        if (json_object_get(j, primitive_table[i].name))
            return &primitive_table[i];
    return NULL;
}

static void read_step(reader *r, const json_t *j, step *s)
{
    static const char *const use_keys[] = {"use", "with", "name"}, *const branch_keys[] = {"branches", "join", "name"},
                             *const if_keys[] = {"if", "then", "else"};
    if (!json_is_object(j)) {
        read_expected(r, j, "a step: an object such as {\"relu\": {}}");
        return;
    }
    s->where = read_where(r);
    const primitive *p = find_primitive(j);
    const char *words[PRIMITIVE_COUNT + 4] = {"use", "branches", "if", "name"};
    for (int i = 0; i < PRIMITIVE_COUNT; i++)
        words[i + 4] = primitive_table[i].name;
    s->name = read_name_at(r, j, "name", NULL);
    if (json_object_get(j, "use")) {
        if (read_object(r, j, use_keys, COUNT(use_keys)))
            read_use(r, j, s);
    } else if (json_object_get(j, "branches")) {
        if (read_object(r, j, branch_keys, COUNT(branch_keys)))
            read_branches(r, j, s);
    } else if (json_object_get(j, "if")) {
        if (read_object(r, j, if_keys, COUNT(if_keys)))
            read_condition(r, j, s);
    } else if (p) {
        const char *keys[] = {p->name, "name"};
        if (read_object(r, j, keys, 2))
            read_primitive(r, json_object_get(j, p->name), p, s);
    } else if (read_object(r, j, words, COUNT(words))) {
        read_fail(r, "found a step that says nothing, expected a primitive, \"use\", \"branches\" or \"if\"");
    }
}

steps read_steps(reader *r, const json_t *j)
{
    steps list = {0};
    if (!read_array(r, j, "a list of steps"))
        return list;
    if (++r->depth > SPACE_NESTING_MAX) {
        read_fail(r, "found steps nested deeper than %d, expected fewer levels", SPACE_NESTING_MAX);
        r->depth--;
        return list;
    }
    list.count = (int)json_array_size(j);
    list.at = NEW_ARRAY(r->arena, step, list.count);
    for (int i = 0; i < list.count; i++) {
        size_t mark = read_enter_index(r, (size_t)i);
        read_step(r, json_array_get(j, (size_t)i), &list.at[i]);
        if (list.at[i].kind == STEP_USE)
            VEC_PUSH(r->arena, &r->uses, &list.at[i]);
        read_leave(r, mark);
    }
    r->depth--;
    return list;
}

void read_ops(reader *r, const json_t *j)
{
    size_t mark = read_enter(r, "ops");
    const json_t *object = read_object(r, j, NULL, 0);
    struct space *s = r->space;
    s->ops = NEW_ARRAY(r->arena, op, json_object_size(object));
    for (member m = {0}; read_member(r, object, &m);)
        s->ops[s->op_count++] = (op){.name = m.name, .where = read_where(r), .body = read_steps(r, m.value)};
    read_leave(r, mark);
}

static const op *find_op(reader *r, const char *name, const char *where)
{
    const struct space *s = r->space;
    return read_named(r, where, "op", name, s->ops, sizeof *s->ops, s->op_count);
}

const op *read_op_name(reader *r, const json_t *j)
{
    const char *name = read_string(r, j, "the name of an op");
    return r->diag->kind == DIAG_NONE ? find_op(r, name, read_where(r)) : NULL;
}

static int visit(reader *r, op *o);

/* How many ops deep the list goes. */
static int visit_steps(reader *r, const steps *list)
{
    int height = 0;
    for (int i = 0; i < list->count && r->diag->kind == DIAG_NONE; i++) {
        const step *s = &list->at[i];
        int below = 0;
        if (s->kind == STEP_USE && s->used->height < 0)
            diag_fail(r->diag, DIAG_INPUT, s->where,
                      "found the op \"%.60s\" within itself, expected ops without cycles", s->used_name);
        else if (s->kind == STEP_USE)
            below = visit(r, (op *)(uintptr_t)s->used);
        height = below > height ? below : height;
        for (int b = 0; b < s->branches; b++) {
            below = visit_steps(r, &s->branch[b]);
            height = below > height ? below : height;
        }
    }
    return height;
}

static int visit(reader *r, op *o)
{
    if (o->height > 0)
        return o->height;
    o->height = -1;
    o->height = 1 + visit_steps(r, &o->body);
    if (o->height > SPACE_NESTING_MAX)
        diag_fail(r->diag, DIAG_INPUT, o->where, "found ops nested deeper than %d, expected fewer levels",
                  SPACE_NESTING_MAX);
    return o->height;
}

void read_uses(reader *r)
{
    for (int i = 0; i < r->uses.count && r->diag->kind == DIAG_NONE; i++)
        r->uses.at[i]->used = find_op(r, r->uses.at[i]->used_name, r->uses.at[i]->where);
    for (int i = 0; i < r->space->op_count && r->diag->kind == DIAG_NONE; i++)
        visit(r, &r->space->ops[i]);
}
