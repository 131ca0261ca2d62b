/* The network into the net: sections in order. The state is the list of outputs so far, of which a cell reads the last
 * few. */
#include "space/build_network.h"

#include <stdio.h>
#include <string.h>

static flow last(const walk *w)
{
    return w->states.at[w->states.count - 1];
}

static void push(walk *w, flow x)
{
    VEC_PUSH(w->b.arena, &w->states, x);
}

static void number(walk *w, const char *name, int index, flow out)
{
    numbered n = {name, index, out, w->C};
    VEC_PUSH(w->b.arena, &w->numbered, n);
}

/* Sections of the same name number their cells on. */
static int next_index(const walk *w, const char *name)
{
    int index = 0;
    for (int i = 0; i < w->numbered.count; i++)
        if (strcmp(w->numbered.at[i].name, name) == 0)
            index = w->numbered.at[i].index + 1;
    return index;
}

/* ---- stem and auxiliary head ---------------------------------------------------------------------------------- */

static const variant *find_variant(walk *w, const section *s)
{
    const char *wanted = settings_text(w->b.set, SETTING_stem), *names[16];
    int count = 0;
    for (int i = 0; i < s->variant_count; i++) {
        if (strcmp(s->variants[i].name, wanted) == 0)
            return &s->variants[i];
        if (count < (int)COUNT(names))
            names[count++] = s->variants[i].name;
    }
    char list[200] = "";
    for (int i = 0; i < count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s\"%.40s\"", i ? ", " : "", names[i]);
    diag_fail(w->b.diag, DIAG_INPUT, s->where, "found the setting stem = \"%s\", expected one of %s", wanted, list);
    return NULL;
}

static void build_stem(walk *w, const section *s, flow x)
{
    builder *b = &w->b;
    const variant *v = find_variant(w, s);
    for (int i = 0; v && i < v->part_count && !build_failed(b); i++) {
        place p = {&w->globals, w->C, 1, flow_channels(b, x)};
        size_t mark = path_enter(b, v->parts[i].name, v->where);
        x = build_steps(b, &v->parts[i].body, x, &p);
        path_leave(b, mark);
        push(w, x);
    }
}

static void check_logits(walk *w, int value, const char *where)
{
    builder *b = &w->b;
    if (build_failed(b))
        return;
    const net_type *t = &b->net->nodes.at[value].type;
    int64_t classes = settings_int(b->set, SETTING_classes);
    if (t->h != 1 || t->w != 1 || t->c != classes)
        diag_fail(b->diag, DIAG_INPUT, where, "found that it ends in %dx%dx%d, expected 1x1x%lld (the classes)", t->h,
                  t->w, t->c, (long long)classes);
}

static void build_auxiliary(walk *w, const section *s)
{
    builder *b = &w->b;
    if (!b->mode.train || settings_number(b->set, SETTING_auxiliary) == 0)
        return;
    if (w->numbered.count == 0) {
        diag_fail(b->diag, DIAG_INPUT, s->where,
                  "found an auxiliary head after blocks that are all left out, expected a block with a body before it");
        return;
    }
    const char *of = w->numbered.at[w->numbered.count - 1].name;
    int64_t index = build_number(b, s->after, &w->globals, s->where, "after", 0, next_index(w, of) - 1);
    const variant *v = find_variant(w, s);
    for (int i = 0; v && i < w->numbered.count && !build_failed(b); i++) {
        const numbered *n = &w->numbered.at[i];
        if (strcmp(n->name, of) != 0 || n->index != index)
            continue;
        place p = {&w->globals, n->C, 1, flow_channels(b, n->out)};
        size_t mark = path_enter(b, s->name, s->where);
        w->auxiliary = build_steps(b, &v->parts[0].body, n->out, &p).value;
        path_leave(b, mark);
        check_logits(w, w->auxiliary, s->where);
    }
}

/* ---- cells, blocks, steps ------------------------------------------------------------------------------------- */

static void cell_inputs(const walk *w, const cell *c, flow *from)
{
    for (int i = 0; i < c->input_count; i++) {
        int state = w->states.count - c->input_count + i;
        from[i] = w->states.at[state < 0 ? 0 : state]; /* too few yet: the first one again */
    }
}

static int64_t width(walk *w, const section *s, const expr *e, const char *key)
{
    variable at[] = {{"C", w->C}};
    scope vars = {&w->globals, at, 1};
    return build_number(&w->b, e, &vars, s->where, key, 1, SPACE_CHANNELS_MAX);
}

static bool reduces(walk *w, const section *s, int instance)
{
    for (int i = 0; i < s->reduce_count; i++)
        if (build_number(&w->b, s->reduce_at[i], &w->globals, arena_printf(w->b.arena, "%s/reduce_at/%d", s->where, i),
                         "", INT32_MIN, INT32_MAX) == instance)
            return true;
    return false;
}

static void build_cells(walk *w, const section *s)
{
    builder *b = &w->b;
    int repeat =
        s->each ? s->kind_count : (int)build_number(b, s->repeat, &w->globals, s->where, "repeat", 1, SPACE_CELLS_MAX);
    int first = next_index(w, s->name);
    w->C = width(w, s, s->channels, "channels");
    for (int i = 0; i < repeat && !build_failed(b); i++) {
        bool reduction = reduces(w, s, i);
        const cell *c = s->each ? s->kinds[i] : reduction ? s->reduce : s->kinds[0];
        flow from[SPACE_INPUTS_MAX];
        if (reduction)
            w->C *= build_number(b, s->widen, &w->globals, s->where, "widen", 1, 64);
        if (w->C > SPACE_CHANNELS_MAX)
            diag_fail(b->diag, DIAG_INPUT, s->where, "found cells of %lld channels, expected at most %d",
                      (long long)w->C, SPACE_CHANNELS_MAX);
        if (build_failed(b))
            return;
        cell_inputs(w, c, from);
        size_t mark = path_enter_index(b, s->name, first + i, s->where);
        flow out = build_cell(w, c, from, w->C, (int)(s - b->space->sections), i, reduction);
        path_leave(b, mark);
        push(w, out);
        number(w, s->name, first + i, out);
    }
    if (!build_failed(b) && !s->each)
        declare_cell(w, s->kinds[0]);
    if (!build_failed(b) && s->reduce)
        declare_cell(w, s->reduce);
}

static void build_stage(walk *w, const section *s, const stage *st)
{
    builder *b = &w->b;
    variable at[] = {{"C", w->C}};
    scope vars = {&w->globals, at, 1};
    int repeat = (int)build_number(b, st->repeat, &vars, st->where, "repeat", 1, SPACE_CELLS_MAX);
    int64_t stride = build_number(b, st->stride, &vars, st->where, "stride", 1, 64);
    w->C = build_number(b, st->channels, &vars, st->where, "channels", 1, SPACE_CHANNELS_MAX);
    if (st->made && st->made_count != repeat)
        diag_fail(b->diag, DIAG_INPUT, arena_printf(b->arena, "%s/made", st->where),
                  "found %d ops, expected %d, one for each block", st->made_count, repeat);
    for (int i = 0; i < repeat && !build_failed(b); i++) {
        int index = next_index(w, s->name);
        flow x = last(w);
        place p = {&w->globals, w->C, i == 0 ? stride : 1, flow_channels(b, x)};
        bool left_out;
        size_t mark = path_enter_index(b, s->name, index, st->where);
        flow y = build_block(w, s, st, i, x, &p, &left_out);
        path_leave(b, mark);
        if (!left_out)
            push(w, y);
        if (!left_out || s->count_left_out)
            number(w, s->name, index, y);
    }
}

static flow build_body(walk *w, const section *s)
{
    builder *b = &w->b;
    w->C = width(w, s, s->channels, "channels");
    flow x = last(w);
    place p = {&w->globals, w->C, 1, flow_channels(b, x)};
    size_t mark = path_enter(b, s->name, s->where);
    x = build_failed(b) ? x : build_steps(b, &s->body, x, &p);
    path_leave(b, mark);
    return x;
}

static void build_section(walk *w, const section *s, int images)
{
    switch (s->kind) {
    case SECTION_STEM:
        build_stem(w, s, (flow){images, 1});
        break;
    case SECTION_CELLS:
        build_cells(w, s);
        break;
    case SECTION_BLOCKS:
        for (int i = 0; i < s->stage_count && !build_failed(&w->b); i++)
            build_stage(w, s, &s->stages[i]);
        break;
    case SECTION_AUXILIARY:
        build_auxiliary(w, s);
        break;
    case SECTION_STEPS:
        push(w, build_body(w, s));
        break;
    case SECTION_HEAD:
        w->logits = build_body(w, s).value;
        check_logits(w, w->logits, s->where);
        break;
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* Settings of the architecture, then the space's own variables, each of which sees those before it. */
static void make_globals(walk *w)
{
    builder *b = &w->b;
    static const enum setting_id ids[] = {SETTING_channels, SETTING_cells, SETTING_nodes, SETTING_classes};
    variable *at = NEW_ARRAY(b->arena, variable, COUNT(ids) + 1 + b->space->variable_count);
    w->globals.at = at;
    for (size_t i = 0; i < COUNT(ids); i++)
        at[w->globals.count++] = (variable){setting_table[ids[i]].name, settings_int(b->set, ids[i])};
    at[w->globals.count++] = (variable){"search", b->search};
    for (int i = 0; i < b->space->variable_count; i++) {
        const binding *v = &b->space->variables[i];
        int64_t value =
            build_number(b, v->value, &w->globals, arena_printf(b->arena, "%s#/variables/%s", b->space->file, v->name),
                         "", INT32_MIN, INT32_MAX);
        at[w->globals.count++] = (variable){v->name, value};
    }
}

static bool build_all(void *user, arena *a, nasc_diag *d)
{
    walk *w = user;
    const space *s = w->b.space;
    int height, width_, channels;
    w->b.net = net_new(a);
    w->b.arena = a;
    w->b.diag = d;
    w->C = settings_int(w->b.set, SETTING_channels);
    make_globals(w);
    int images =
        settings_input(w->b.set, &height, &width_, &channels) ? net_images(w->b.net, height, width_, channels) : -1;
    if (images < 0)
        BUG("the setting \"input\" was not checked");
    for (int i = 0; i < s->section_count && !build_failed(&w->b); i++)
        build_section(w, &s->sections[i], images);
    *w->result = (space_net){.net = w->b.net,
                             .images = images,
                             .logits = w->logits,
                             .auxiliary = w->auxiliary,
                             .choices = w->choices.at,
                             .choice_count = w->choices.count,
                             .selects = w->selects.at,
                             .select_count = w->selects.count};
    return d->kind == DIAG_NONE;
}

bool space_build(const space *s, const settings *set, space_mode mode, arena *a, space_net *result, nasc_diag *d)
{
    walk w = {.b = {.space = s, .set = set, .mode = mode, .search = !s->genotype},
              .logits = -1,
              .auxiliary = -1,
              .result = result};
    return arena_guard(a, build_all, &w, d);
}
