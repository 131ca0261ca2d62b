/* The network: a list of sections, from the stem to the head. */
#include "space/model.h"

static void read_part(reader *r, const json_t *j, struct part *p)
{
    static const char *const keys[] = {"name", "steps"};
    size_t mark;
    if (!read_object(r, j, keys, 2))
        return;
    p->name = read_name_at(r, j, "name", "");
    p->body = read_steps(r, read_at(r, j, "steps", &mark));
    read_leave(r, mark);
}

/* A stem's variant is a list of one or more parts, each an output; an auxiliary head's is a list of steps. */
static void read_variant(reader *r, const json_t *j, bool stem, variant *v)
{
    v->where = read_where(r);
    v->part_count = stem ? (int)json_array_size(j) : 1;
    if (stem && (!json_is_array(j) || v->part_count < 1 || v->part_count > SPACE_INPUTS_MAX)) {
        read_expected(r, j, "a list of parts, such as [{\"name\": \"stem\", \"steps\": […]}]");
        return;
    }
    v->parts = NEW_ARRAY(r->arena, struct part, v->part_count);
    if (!stem) {
        v->parts[0] = (struct part){.name = "", .body = read_steps(r, j)};
        return;
    }
    for (int i = 0; i < v->part_count; i++) {
        size_t mark = read_enter_index(r, (size_t)i);
        read_part(r, json_array_get(j, (size_t)i), &v->parts[i]);
        read_leave(r, mark);
    }
}

static void read_variants(reader *r, const json_t *j, const char *key, section *s)
{
    size_t mark;
    const json_t *object = read_object(r, read_at(r, j, key, &mark), NULL, 0);
    if (object && json_object_size(object) == 0)
        read_expected(r, object, "at least one named variant");
    s->variants = NEW_ARRAY(r->arena, variant, json_object_size(object));
    for (member m = {0}; read_member(r, object, &m);) {
        variant *v = &s->variants[s->variant_count++];
        v->name = m.name;
        read_variant(r, m.value, s->kind == SECTION_STEM, v);
    }
    read_leave(r, mark);
}

static const cell *read_kind(reader *r, const json_t *j)
{
    const struct space *s = r->space;
    const char *name = read_string(r, j, "the name of a cell");
    return read_named(r, read_where(r), "cell", name, s->cells, sizeof *s->cells, s->cell_count);
}

static void read_kinds(reader *r, const json_t *j, section *s)
{
    size_t mark;
    const json_t *kinds = read_at(r, j, "cells", &mark);
    s->each = json_is_array(kinds);
    s->kind_count = s->each ? (int)json_array_size(kinds) : 1;
    if (s->kind_count < 1 || s->kind_count > SPACE_CELLS_MAX) {
        read_fail(r, "found %d cells, expected 1 to %d", s->kind_count, SPACE_CELLS_MAX);
        s->kind_count = 0;
    }
    s->kinds = NEW_ARRAY(r->arena, const cell *, s->kind_count);
    if (!s->each && s->kind_count)
        s->kinds[0] = read_kind(r, kinds);
    for (int i = 0; s->each && i < s->kind_count; i++) {
        size_t inner = read_enter_index(r, (size_t)i);
        s->kinds[i] = read_kind(r, json_array_get(kinds, (size_t)i));
        read_leave(r, inner);
    }
    read_leave(r, mark);
}

static void read_cells_section(reader *r, const json_t *j, section *s)
{
    static const char *const keys[] = {"cells", "name", "repeat", "channels", "reduce", "reduce_at", "widen"};
    if (!read_object(r, j, keys, COUNT(keys)))
        return;
    size_t mark;
    s->name = read_name_at(r, j, "name", "cells");
    read_kinds(r, j, s);
    s->repeat = s->each ? NULL : read_expr_at(r, j, "repeat", "1");
    s->channels = read_expr_at(r, j, "channels", "C");
    s->widen = read_expr_at(r, j, "widen", "2");
    const json_t *reduce = read_at(r, j, "reduce", &mark);
    s->reduce = reduce ? read_kind(r, reduce) : NULL;
    read_leave(r, mark);
    const json_t *at = read_at(r, j, "reduce_at", &mark);
    if (at && read_array(r, at, "a list of cell numbers")) {
        s->reduce_at = NEW_ARRAY(r->arena, const expr *, json_array_size(at));
        for (size_t i = 0; i < json_array_size(at); i++) {
            size_t inner = read_enter_index(r, i);
            s->reduce_at[s->reduce_count++] = read_expr(r, json_array_get(at, i), NULL);
            read_leave(r, inner);
        }
    }
    if (s->reduce_count && !s->reduce && !s->each)
        read_fail(r, "found \"reduce_at\" without \"reduce\", expected the cell that stands there");
    read_leave(r, mark);
}

static const block *read_block_name(reader *r, const json_t *j)
{
    const struct space *s = r->space;
    const char *name = read_string(r, j, "the name of a block");
    return read_named(r, read_where(r), "block", name, s->blocks, sizeof *s->blocks, s->block_count);
}

static void read_stage(reader *r, const json_t *j, stage *s)
{
    static const char *const keys[] = {"block", "channels", "repeat", "stride", "made"};
    size_t mark;
    if (!read_object(r, j, keys, COUNT(keys)))
        return;
    s->where = read_where(r);
    s->block = read_block_name(r, read_at(r, j, "block", &mark));
    read_leave(r, mark);
    s->channels = read_expr_at(r, j, "channels", "C");
    s->repeat = read_expr_at(r, j, "repeat", "1");
    s->stride = read_expr_at(r, j, "stride", "1");
    const json_t *made = read_at(r, j, "made", &mark);
    if (made && read_array(r, made, "a list of ops, one for each block")) {
        s->made_count = (int)json_array_size(made);
        s->made = NEW_ARRAY(r->arena, const op *, s->made_count);
        for (int i = 0; i < s->made_count; i++) {
            size_t inner = read_enter_index(r, (size_t)i);
            s->made[i] = read_op_name(r, json_array_get(made, (size_t)i));
            read_leave(r, inner);
        }
        if (s->block && s->block->chosen)
            read_fail(r, "found made choices for a block that has a choice, expected one or the other");
    } else if (s->block && !s->block->chosen && !s->block->body.at && !s->made)
        read_fail(r, "found a block without \"steps\" and without \"choice\", expected \"made\" here");
    read_leave(r, mark);
}

static void read_stages(reader *r, const json_t *j, section *s)
{
    static const char *const keys[] = {"blocks", "name", "left_out"}, *const left_out[] = {"skipped", "counted"};
    size_t mark;
    if (!read_object(r, j, keys, COUNT(keys)))
        return;
    s->name = read_name_at(r, j, "name", "blocks");
    s->count_left_out = read_word_at(r, j, "left_out", left_out, 2, 0) == 1;
    const json_t *list = read_array(r, read_at(r, j, "blocks", &mark), "a list of stages");
    s->stage_count = (int)json_array_size(list);
    if (list && (s->stage_count < 1 || s->stage_count > SPACE_CELLS_MAX)) {
        read_fail(r, "found %d stages, expected 1 to %d", s->stage_count, SPACE_CELLS_MAX);
        s->stage_count = 0;
    }
    s->stages = NEW_ARRAY(r->arena, stage, s->stage_count);
    for (int i = 0; i < s->stage_count; i++) {
        size_t inner = read_enter_index(r, (size_t)i);
        read_stage(r, json_array_get(list, (size_t)i), &s->stages[i]);
        read_leave(r, inner);
    }
    read_leave(r, mark);
}

static void read_body(reader *r, const json_t *j, const char *key, section *s)
{
    const char *keys[] = {key, "name", "channels"};
    size_t mark;
    if (!read_object(r, j, keys, 3))
        return;
    s->name = read_name_at(r, j, "name", "");
    s->channels = read_expr_at(r, j, "channels", "C");
    s->body = read_steps(r, read_at(r, j, key, &mark));
    read_leave(r, mark);
}

static void read_section(reader *r, const json_t *j, section *s)
{
    static const char *const stem_keys[] = {"stem"}, *const auxiliary_keys[] = {"auxiliary", "name", "after"},
                             *const any_keys[] = {"stem", "cells", "blocks", "steps", "auxiliary", "head"};
    s->where = read_where(r);
    if (json_object_get(j, "stem")) {
        s->kind = SECTION_STEM;
        if (read_object(r, j, stem_keys, 1))
            read_variants(r, j, "stem", s);
    } else if (json_object_get(j, "cells")) {
        s->kind = SECTION_CELLS;
        read_cells_section(r, j, s);
    } else if (json_object_get(j, "blocks")) {
        s->kind = SECTION_BLOCKS;
        read_stages(r, j, s);
    } else if (json_object_get(j, "auxiliary")) {
        s->kind = SECTION_AUXILIARY;
        if (!read_object(r, j, auxiliary_keys, 3))
            return;
        s->name = read_name_at(r, j, "name", "auxiliary_head");
        read_variants(r, j, "auxiliary", s);
        s->after = read_expr_at(r, j, "after", NULL);
        if (!s->after)
            read_fail(r, "found no \"after\", expected the number of the cell that the auxiliary head follows");
    } else if (json_object_get(j, "steps") || json_object_get(j, "head")) {
        s->kind = json_object_get(j, "steps") ? SECTION_STEPS : SECTION_HEAD;
        read_body(r, j, s->kind == SECTION_STEPS ? "steps" : "head", s);
    } else if (read_object(r, j, any_keys, COUNT(any_keys)))
        read_expected(r, j, "a section: \"stem\", \"cells\", \"blocks\", \"steps\", \"auxiliary\" or \"head\"");
}

/* The order that building relies on. */
static void check_order(reader *r)
{
    const struct space *s = r->space;
    bool numbered = false;
    int auxiliary = 0;
    for (int i = 0; i < s->section_count && r->diag->kind == DIAG_NONE; i++) {
        enum section_kind kind = s->sections[i].kind;
        const char *wrong = NULL;
        if ((kind == SECTION_STEM) != (i == 0))
            wrong = i ? "a second stem, expected it at the start alone" : "no stem, expected one as the first section";
        else if ((kind == SECTION_HEAD) != (i + 1 == s->section_count))
            wrong = kind == SECTION_HEAD ? "a head, expected it as the last section alone"
                                         : "no head, expected one as the last section";
        else if (kind == SECTION_AUXILIARY && (!numbered || auxiliary++))
            wrong = numbered ? "a second auxiliary head, expected at most one"
                             : "an auxiliary head, expected it after cells or blocks";
        if (wrong)
            diag_fail(r->diag, DIAG_INPUT, s->sections[i].where, "found %s", wrong);
        numbered = numbered || kind == SECTION_CELLS || kind == SECTION_BLOCKS;
    }
}

void read_network(reader *r, const json_t *j)
{
    size_t mark = read_enter(r, "network");
    const json_t *list = read_array(r, j, "a list of sections");
    struct space *s = r->space;
    s->section_count = (int)json_array_size(list);
    s->sections = NEW_ARRAY(r->arena, section, s->section_count);
    for (int i = 0; i < s->section_count; i++) {
        size_t inner = read_enter_index(r, (size_t)i);
        read_section(r, json_array_get(list, (size_t)i), &s->sections[i]);
        read_leave(r, inner);
    }
    if (list && s->section_count < 2)
        read_fail(r, "found %d sections, expected at least a stem and a head", s->section_count);
    read_leave(r, mark);
    check_order(r);
}
