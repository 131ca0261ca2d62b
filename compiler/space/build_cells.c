/* Cells and blocks into the net: nodes, edges, and the choices on them. */
#include "space/build_network.h"

#include <string.h>

/* ---- choices -------------------------------------------------------------------------------------------------- */

/* The candidates that the place offers, by number; their count. */
static int offered(walk *w, const choice *c, flow x, const place *p, int *pick)
{
    int count = 0;
    for (int k = 0; k < c->count && !build_failed(&w->b); k++)
        if (build_condition(&w->b, c->at[k].condition, x, p, c->where))
            pick[count++] = k;
    if (count == 0)
        diag_fail(w->b.diag, DIAG_INPUT, c->where,
                  "found no candidate whose condition holds at %s, expected at least one", w->b.path);
    return count;
}

/* Where the alpha of this place stands: a choice shared by kind is found again, an own one is new each time. */
static int walk_choice(walk *w, const choice *c, space_choice new)
{
    builder *b = &w->b;
    if (c->own)
        new.alpha = arena_printf(b->arena, "%s.%d", c->alpha, w->own_alphas++);
    else
        new.alpha = c->alpha;
    new.combine = c->combine;
    for (int i = 0; i < w->choices.count; i++) {
        space_choice *old = &w->choices.at[i];
        if (strcmp(old->alpha, new.alpha) != 0)
            continue;
        bool same = old->rows == new.rows && old->columns == new.columns && old->cell == new.cell;
        for (int k = 0; same && k < new.columns; k++)
            same = strcmp(old->candidates[k], new.candidates[k]) == 0;
        if (!same)
            diag_fail(
                b->diag, DIAG_INPUT, c->where,
                "found places that share \"%.60s\" but differ in edges or candidates, expected \"alpha\": \"own\"",
                new.alpha);
        return i;
    }
    if (!c->own)
        new.instance = -1;
    new.first_select = c->combine == COMBINE_SELECT ? w->selects.count : -1;
    for (int row = 0; row < new.rows && c->combine == COMBINE_SELECT; row++)
        VEC_PUSH(b->arena, &w->selects, ((struct space_select){w->choices.count, row}));
    VEC_PUSH(b->arena, &w->choices, new);
    return w->choices.count - 1;
}

/* The candidate weights of a choice. */
static int choice_weights(walk *w, const choice *c, const space_choice *of)
{
    builder *b = &w->b;
    int weights = net_mix_weights(b->net, of->alpha, of->rows, of->columns);
    if (weights < 0)
        diag_fail(b->diag, DIAG_INPUT, c->where,
                  "found the alpha \"%.60s\", the name of another parameter, expected a name of its own", of->alpha);
    return weights;
}

static const char *const *candidate_names(arena *a, const choice *c, const int *pick, int count)
{
    const char **names = NEW_ARRAY(a, const char *, count);
    for (int k = 0; k < count; k++)
        names[k] = c->at[pick[k]].name;
    return names;
}

static flow mixed(walk *w, const choice *c, const int *pick, int count, flow x, const place *p, int weights, int row)
{
    builder *b = &w->b;
    int *operand = NEW_ARRAY(b->arena, int, count + 1);
    flow y = x;
    net_attr attr = {.row = row, .pick = NEW_ARRAY(b->arena, int, count)};
    operand[0] = weights;
    for (int k = 0; k < count && !build_failed(b); k++) {
        size_t mark = path_enter_index(b, c->path, pick[k], c->where);
        y = build_op(b, c->at[pick[k]].op, x, p, c->where);
        path_leave(b, mark);
        operand[k + 1] = y.value;
        attr.pick[k] = k;
    }
    return (flow){build_node(b, NET_mix, operand, count + 1, &attr, c->where), y.stride};
}

static flow selected(walk *w, const choice *c, const int *pick, int count, flow x, const place *p, int weights,
                     int select, int row)
{
    builder *b = &w->b;
    if (build_failed(b))
        return x;
    int first = net_select_begin(b->net, select, count), *result = NEW_ARRAY(b->arena, int, count);
    flow y = x;
    for (int k = 0; k < count && !build_failed(b); k++) {
        net_region_begin(b->net, first, k);
        size_t mark = path_enter_index(b, c->path, pick[k], c->where);
        y = build_op(b, c->at[pick[k]].op, x, p, c->where);
        path_leave(b, mark);
        result[k] = y.value;
        net_region_end(b->net);
    }
    if (build_failed(b))
        return x;
    nasc_diag why = {0};
    y.value = net_select_end(b->net, first, result, count, path_of(b, ""), &why);
    if (y.value < 0)
        diag_fail(b->diag, why.kind, c->where, "%s (at %s)", why.message, b->path);
    else
        net_select_weights(b->net, y.value, weights, row);
    return y;
}

/* ---- cells ---------------------------------------------------------------------------------------------------- */

typedef struct cell_walk {
    const cell *cell;
    const scope *scope; /* reduced, inputs, cell, and what is global */
    flow states[SPACE_INPUTS_MAX + SPACE_NODES_MAX];
    int64_t C;
    int nodes;
    edge *edges;
    int edge_count;
    int choice, weights;
    int pick[SPACE_CANDIDATES_MAX], picks;
} cell_walk;

static bool list_edges(walk *w, cell_walk *cw)
{
    builder *b = &w->b;
    const cell *c = cw->cell;
    if (!c->every_edge || c->fixed) {
        cw->edges = c->edges;
        cw->edge_count = c->edge_count;
    } else {
        cw->edges = NEW_ARRAY(b->arena, edge, cw->nodes * (c->input_count + cw->nodes));
        for (int i = 0; i < cw->nodes; i++)
            for (int from = 0; from < c->input_count + i; from++)
                cw->edges[cw->edge_count++] = (edge){.from = from, .to = c->input_count + i};
    }
    for (int e = 0; e < cw->edge_count; e++)
        if (cw->edges[e].to >= c->input_count + cw->nodes)
            return diag_fail(b->diag, DIAG_INPUT, arena_printf(b->arena, "%s/edges/%d", c->where, e),
                             "found node %d, expected one below %d (inputs and nodes)", cw->edges[e].to,
                             c->input_count + cw->nodes);
    return true;
}

static place edge_place(walk *w, cell_walk *cw, const edge *e, scope *vars, variable *at)
{
    at[0] = (variable){"from", e->from};
    at[1] = (variable){"to", e->to};
    *vars = (scope){cw->scope, at, 2};
    return (place){vars, cw->C, build_number(&w->b, cw->cell->stride, vars, cw->cell->where, "stride", 1, 64), cw->C};
}

static flow build_edge(walk *w, cell_walk *cw, int number)
{
    builder *b = &w->b;
    const cell *c = cw->cell;
    const edge *e = &cw->edges[number];
    scope vars;
    variable at[2];
    place p = edge_place(w, cw, e, &vars, at);
    flow x = cw->states[e->from], y;
    if (c->fixed) {
        y = build_op(b, e->op, x, &p, c->where);
        return c->drop_path && y.value != x.value ? build_drop(b, y, 1, c->where)
                                                  : y; /* an identity is never dropped */
    }
    if (c->choice.combine == COMBINE_SELECT)
        return selected(w, &c->choice, cw->pick, cw->picks, x, &p, cw->weights,
                        w->choices.at[cw->choice].first_select + number, number);
    return mixed(w, &c->choice, cw->pick, cw->picks, x, &p, cw->weights, number);
}

static void build_nodes(walk *w, cell_walk *cw)
{
    builder *b = &w->b;
    const cell *c = cw->cell;
    int *sum = NEW_ARRAY(b->arena, int, cw->edge_count);
    for (int to = c->input_count; to < c->input_count + cw->nodes && !build_failed(b); to++) {
        int count = 0;
        flow y = {0};
        for (int e = 0; e < cw->edge_count && !build_failed(b); e++) {
            if (cw->edges[e].to != to)
                continue;
            size_t mark = path_enter_index(b, c->path, e, c->where);
            y = build_edge(w, cw, e);
            path_leave(b, mark);
            sum[count++] = y.value;
        }
        if (count == 0)
            diag_fail(b->diag, DIAG_INPUT, c->where, "found no edge to node %d, expected at least one", to);
        size_t mark = path_enter_index(b, "node", to, c->where);
        if (count > 1)
            y.value = build_node(b, NET_add, sum, count, NULL, c->where);
        path_leave(b, mark);
        cw->states[to] = y;
    }
}

static flow build_output(walk *w, cell_walk *cw)
{
    builder *b = &w->b;
    const cell *c = cw->cell;
    int last = c->input_count + cw->nodes - 1, count = c->output == OUTPUT_LIST ? c->listed_count : cw->nodes;
    if (c->output == OUTPUT_LAST)
        return cw->states[last];
    int *values = NEW_ARRAY(b->arena, int, count);
    for (int i = 0; i < count; i++) {
        int node = c->output == OUTPUT_LIST ? c->listed[i] : c->input_count + i;
        if (node > last) {
            diag_fail(b->diag, DIAG_INPUT, arena_printf(b->arena, "%s/output/%d", c->where, i),
                      "found node %d, expected at most %d", node, last);
            return cw->states[last];
        }
        values[i] = cw->states[node].value;
    }
    if (count == 1)
        return (flow){values[0], cw->states[last].stride};
    return (flow){build_node(b, NET_concat, values, count, NULL, c->where), cw->states[last].stride};
}

static void build_inputs(walk *w, cell_walk *cw, const flow *from)
{
    builder *b = &w->b;
    const cell *c = cw->cell;
    for (int i = 0; i < c->input_count && !build_failed(b); i++) {
        variable at[] = {{"reduced", from[i].stride < from[c->input_count - 1].stride}};
        scope vars = {cw->scope, at, 1};
        place p = {&vars, cw->C, 1, flow_channels(b, from[i])};
        size_t mark = path_enter(b, c->inputs[i].name, c->where);
        cw->states[i] = build_steps(b, &c->inputs[i].body, from[i], &p);
        path_leave(b, mark);
    }
}

/* The alpha of the cell's edges. Conditions of candidates see the first edge's place: they may depend on the cell
 * alone. */
static void cell_choice(walk *w, cell_walk *cw, flow x, space_choice new)
{
    builder *b = &w->b;
    const cell *c = cw->cell;
    scope vars;
    variable at[2];
    CHECK(cw->edge_count > 0 && cw->edges);
    place p = edge_place(w, cw, &cw->edges[0], &vars, at);
    cw->picks = offered(w, &c->choice, x, &p, cw->pick);
    if (build_failed(b))
        return;
    new.rows = cw->edge_count;
    new.columns = cw->picks;
    new.candidates = candidate_names(b->arena, &c->choice, cw->pick, cw->picks);
    new.cell = c;
    new.edges = cw->edges;
    new.nodes = cw->nodes;
    cw->choice = walk_choice(w, &c->choice, new);
    if (!build_failed(b))
        cw->weights = choice_weights(w, &c->choice, &w->choices.at[cw->choice]);
}

static cell_walk *cell_begin(walk *w, const cell *c, const scope *vars, int64_t C)
{
    cell_walk *cw = NEW(w->b.arena, cell_walk);
    *cw = (cell_walk){.cell = c, .scope = vars, .C = C};
    cw->nodes =
        c->fixed ? c->node_count : (int)build_number(&w->b, c->nodes, vars, c->where, "nodes", 1, SPACE_NODES_MAX);
    if (!build_failed(&w->b) && list_edges(w, cw) && cw->edge_count == 0)
        diag_fail(w->b.diag, DIAG_INPUT, c->where, "found a cell without edges, expected at least one");
    return cw;
}

flow build_cell(walk *w, const cell *c, const flow *from, int64_t C, int section, int instance, bool reduction)
{
    builder *b = &w->b;
    variable at[] = {{"inputs", c->input_count}, {"cell", instance}};
    scope vars = {&w->globals, at, 2};
    cell_walk *cw = cell_begin(w, c, &vars, C);
    build_inputs(w, cw, from);
    if (!c->fixed && !build_failed(b))
        cell_choice(w, cw, cw->states[0],
                    (space_choice){.section = section, .instance = instance, .reduction = reduction});
    build_nodes(w, cw);
    return build_failed(b) ? from[0] : build_output(w, cw);
}

void declare_cell(walk *w, const cell *c)
{
    if (c->fixed || c->choice.own)
        return;
    for (int i = 0; i < w->choices.count; i++)
        if (w->choices.at[i].cell == c)
            return;
    variable at[] = {{"inputs", c->input_count}, {"cell", 0}};
    scope vars = {&w->globals, at, 2};
    cell_walk *cw = cell_begin(w, c, &vars, w->C);
    if (!build_failed(&w->b))
        cell_choice(w, cw, w->states.at[w->states.count - 1], (space_choice){0});
}

/* ---- blocks --------------------------------------------------------------------------------------------------- */

static flow block_choice(walk *w, const block *k, flow x, const place *p, int section, int stage, int instance)
{
    builder *b = &w->b;
    int pick[SPACE_CANDIDATES_MAX], picks = offered(w, &k->choice, x, p, pick);
    if (build_failed(b))
        return x;
    int number = walk_choice(w, &k->choice,
                             (space_choice){.rows = 1,
                                            .columns = picks,
                                            .candidates = candidate_names(b->arena, &k->choice, pick, picks),
                                            .section = section,
                                            .stage = stage,
                                            .instance = instance});
    if (build_failed(b))
        return x;
    int weights = choice_weights(w, &k->choice, &w->choices.at[number]);
    if (k->choice.combine == COMBINE_SELECT)
        return selected(w, &k->choice, pick, picks, x, p, weights, w->choices.at[number].first_select, 0);
    return mixed(w, &k->choice, pick, picks, x, p, weights, 0);
}

static bool op_is_zero(const op *o)
{
    return o->body.count == 1 && o->body.at[0].kind == STEP_PRIMITIVE &&
           o->body.at[0].primitive == &primitive_table[PRIMITIVE_zero];
}

/* One block; `left_out` where the choice made was to have no body beside the shortcut. */
flow build_block(walk *w, const section *s, const stage *st, int instance, flow x, const place *p, bool *left_out)
{
    builder *b = &w->b;
    const block *k = st->block;
    flow y;
    bool shortcut = k->shortcut && build_condition(b, k->shortcut, x, p, k->where);
    const op *made = st->made ? st->made[instance] : NULL;
    *left_out = made && shortcut && op_is_zero(made);
    if (*left_out || build_failed(b))
        return x;
    size_t mark = path_enter(b, k->path, k->where);
    if (made)
        y = build_op(b, made, x, p, st->where);
    else if (k->chosen)
        y = block_choice(w, k, x, p, (int)(s - b->space->sections), (int)(st - s->stages), instance);
    else
        y = build_steps(b, &k->body, x, p);
    path_leave(b, mark);
    if (!build_failed(b) && flow_channels(b, y) != p->C)
        diag_fail(b->diag, DIAG_INPUT, k->where, "found %d channels at the end of %s, expected %lld",
                  flow_channels(b, y), b->path, (long long)p->C);
    if (shortcut)
        y.value = build_node(b, NET_add, (int[]){x.value, y.value}, 2, NULL, k->where);
    return y;
}
