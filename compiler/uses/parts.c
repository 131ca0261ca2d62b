/* Cutting a net of choices into parts: nodes are taken as they are, the values between parts become inputs and outputs.
 * What a part is known by is the text of its simplified net without names. */
#include "parts.h"
#include "net/copy.h"

#include <string.h>
#include <xxhash.h>

typedef struct cutter {
    const space_net *built;
    const net *from;
    arena *a;
    parts *to;
    bool *live;
    int *absorbed; /* of each sum of a choice and its input: the select's node; else -1 */
    int *group;    /* of each node outside of choices: one node of the part it belongs to; -1: of none */
    nasc_diag *d;
} cutter;

static bool is_leaf(const net_node *v)
{
    return (v->prim == NET_input && v->attr.slot != SLOT_IMAGES) || v->prim == NET_constant;
}

/* ---- a part ------------------------------------------------------------------------------------------------------ */

/* What is being cut out: nodes that `inside` says, and what they need. */
typedef struct cut {
    net *net;
    int *map; /* nodes of the net to those of the part; -1: not there yet */
    const bool *inside;
    int64_t in, out;
    net_type first_in, first_out;
    int inputs;
} cut;

static int cut_input(cut *c, const net_node *v, nasc_diag *d)
{
    net_attr attr = {.slot = SLOT_IMAGES, .type = v->type, .offset = c->in};
    if (c->inputs++ == 0)
        c->first_in = v->type;
    c->in += net_elements(&v->type);
    return net_add(c->net, NET_input, NULL, 0, &attr, NULL, d);
}

/* Weights and statistics lie close, in the order of use. */
static int cut_leaf(cut *c, const net_node *v, nasc_diag *d)
{
    net_attr attr = v->attr;
    attr.offset = v->prim == NET_input ? c->net->slot_size[attr.slot] : 0;
    if (v->prim == NET_input)
        c->net->slot_size[attr.slot] += net_elements(&v->type);
    return net_add(c->net, v->prim, NULL, 0, &attr, NULL, d);
}

static int cut_value(cut *c, const net *from, int id, nasc_diag *d)
{
    const net_node *v = &from->nodes.at[id];
    if (c->map[id] >= 0)
        return c->map[id];
    if (is_leaf(v))
        return c->map[id] = cut_leaf(c, v, d);
    if (!c->inside[id])
        return c->map[id] = cut_input(c, v, d);
    int operand[NET_OPERANDS_MAX];
    for (int i = 0; i < v->count; i++)
        if ((operand[i] = cut_value(c, from, v->operand[i], d)) < 0)
            return -1;
    return c->map[id] = net_add(c->net, v->prim, operand, v->count, &v->attr, NULL, d);
}

static cut cut_begin(const cutter *k, const bool *inside)
{
    int count = k->from->nodes.count;
    cut c = {.net = net_new(k->a), .map = NEW_ARRAY(k->a, int, count + 1), .inside = inside};
    memset(c.map, -1, (size_t)count * sizeof *c.map);
    return c;
}

static void cut_output(cut *c, int value)
{
    const net_type *type = &c->net->nodes.at[value].type;
    if (c->out == 0)
        c->first_out = *type;
    net_output_add(c->net, value, SLOT_LOGITS, c->out);
    c->out += net_elements(type);
}

/* ---- traits ------------------------------------------------------------------------------------------------------ */

static void extents(const net_type *t, int to[3])
{
    to[0] = t->h;
    to[1] = t->w;
    to[2] = t->c;
}

static part_traits traits_of(const cut *c, const char *op)
{
    part_traits t = {.op = op, .kernel = 1};
    int most = 0;
    extents(&c->first_in, t.in);
    extents(&c->first_out, t.out);
    for (int i = 0; i < c->net->nodes.count; i++) {
        const net_node *v = &c->net->nodes.at[i];
        t.kernel = v->attr.window.kh > t.kernel ? v->attr.window.kh : t.kernel;
        most = v->prim != NET_input && v->type.n == NET_BATCH && v->type.c > most ? v->type.c : most;
        t.macs += net_prim_info[v->prim].cost(c->net, v).macs;
    }
    t.stride = t.out[0] ? t.in[0] / t.out[0] : 1;
    t.expansion = t.in[2] ? (double)most / t.in[2] : 1;
    t.bytes = 4 * (c->in + c->out + c->net->slot_size[SLOT_WEIGHTS]);
    return t;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* Only inputs, or zeros: a sum or a copy of the neighbours takes no time of its own. */
static bool nothing_left(const net *n)
{
    for (int i = 0; i < n->outputs.count; i++) {
        const net_node *v = &n->nodes.at[n->outputs.at[i].value];
        if (v->prim != NET_input && v->prim != NET_constant)
            return false;
    }
    return true;
}

static uint64_t shape_of(arena *a, const net *n)
{
    text printed = {.arena = a};
    net_print(&printed, n);
    return XXH3_64bits(printed.at, printed.length);
}

/* The finished part's place among the distinct ones. */
static bool add_part(cutter *k, cut *c, const char *op, bool shortcut, int64_t place, const char *where)
{
    c->net->slot_size[SLOT_IMAGES] = c->in;
    c->net->slot_size[SLOT_LOGITS] = c->out;
    part new = {.in = c->in, .out = c->out, .traits = traits_of(c, op)};
    net *expanded = net_expand(k->a, c->net, k->d);
    new.net = expanded ? net_simplify(k->a, expanded, k->d) : NULL;
    if (!new.net)
        return false;
    new.traits.shortcut = shortcut;
    new.empty = nothing_left(new.net);
    new.shape = shape_of(k->a, new.net);
    int i = 0;
    while (i < k->to->at.count && k->to->at.at[i].shape != new.shape)
        i++;
    if (i == k->to->at.count)
        VEC_PUSH(k->a, &k->to->at, new);
    VEC_PUSH(k->a, &k->to->uses, ((part_use){i, place, where}));
    return true;
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

/* The node that alone uses `id`; -1: several do, or an output. */
static int only_user(const cutter *k, int id)
{
    int user = -1;
    for (int i = id + 1; i < k->from->nodes.count; i++)
        for (int j = 0; k->live[i] && j < k->from->nodes.at[i].count; j++)
            if (k->from->nodes.at[i].operand[j] == id) {
                if (user >= 0)
                    return -1;
                user = i;
            }
    for (int i = 0; i < k->from->outputs.count; i++)
        if (k->from->outputs.at[i].value == id)
            return -1;
    return user;
}

/* The one value from outside that the select's candidates read; -1: there is none, or several. */
static int input_of(const cutter *k, const net_node *select)
{
    const net *n = k->from;
    int input = -1, first = select->attr.first_region;
    for (int i = 0; i < n->nodes.count; i++) {
        int region = n->nodes.at[i].region;
        for (int j = 0; region >= first && region < first + select->count && j < n->nodes.at[i].count; j++) {
            int x = n->nodes.at[i].operand[j];
            if (is_leaf(&n->nodes.at[x]) || n->nodes.at[x].region == region)
                continue;
            if (input >= 0 && input != x)
                return -1;
            input = x;
        }
    }
    return input;
}

/* Finds sums of a choice and its input. */
static void absorb(cutter *k)
{
    const net *n = k->from;
    memset(k->absorbed, -1, (size_t)n->nodes.count * sizeof *k->absorbed);
    for (int i = 0; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        int user = v->prim == NET_select && k->live[i] ? only_user(k, i) : -1;
        if (user < 0 || n->nodes.at[user].prim != NET_add || n->nodes.at[user].count != 2)
            continue;
        const int *of = n->nodes.at[user].operand;
        if (input_of(k, v) == (of[0] == i ? of[1] : of[0]))
            k->absorbed[user] = i;
    }
}

static const char *candidate_name(const cutter *k, int select, int candidate)
{
    const space_choice *c = &k->built->choices[k->built->selects[select].choice];
    return c->candidates[candidate];
}

/* Candidate `of` of the select `id`; `sum`: the node that adds the shortcut, or -1. */
static bool cut_candidate(cutter *k, int id, int of, int sum)
{
    const net *n = k->from;
    const net_node *select = &n->nodes.at[id];
    bool *inside = NEW_ARRAY(k->a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        inside[i] = n->nodes.at[i].region == select->attr.first_region + of;
        CHECK(!inside[i] || n->nodes.at[i].prim != NET_select); /* ops have no choices */
    }
    cut c = cut_begin(k, inside);
    int value = cut_value(&c, n, select->operand[of], k->d);
    if (value >= 0 && sum >= 0) {
        const int *operand = n->nodes.at[sum].operand;
        int x = cut_value(&c, n, operand[0] == id ? operand[1] : operand[0], k->d);
        int both[2] = {operand[0] == id ? value : x, operand[0] == id ? x : value};
        value = x < 0 ? -1 : net_add(c.net, NET_add, both, 2, NULL, NULL, k->d);
    }
    if (value < 0)
        return false;
    cut_output(&c, value);
    int64_t place = select->attr.offset + (int64_t)select->attr.row * select->count + of;
    return add_part(k, &c, candidate_name(k, select->attr.select, of), sum >= 0, place, select->name);
}

static bool cut_candidates(cutter *k)
{
    int *sum = NEW_ARRAY(k->a, int, k->from->nodes.count + 1);
    memset(sum, -1, (size_t)k->from->nodes.count * sizeof *sum);
    for (int i = 0; i < k->from->nodes.count; i++)
        if (k->absorbed[i] >= 0)
            sum[k->absorbed[i]] = i;
    for (int i = 0; i < k->from->nodes.count; i++)
        for (int c = 0; k->live[i] && k->from->nodes.at[i].prim == NET_select && c < k->from->nodes.at[i].count; c++)
            if (!cut_candidate(k, i, c, sum[i]))
                return false;
    return true;
}

/* ---- outside of choices ------------------------------------------------------------------------------------------ */

static bool is_outside(const cutter *k, int id)
{
    const net_node *v = &k->from->nodes.at[id];
    return k->live[id] && v->region == 0 && v->prim != NET_input && v->prim != NET_constant && v->prim != NET_select &&
           k->absorbed[id] < 0;
}

/* Nodes outside that use each other's values are of one part; the first of its nodes stands for it. */
static void group_outside(cutter *k)
{
    const net *n = k->from;
    for (int i = 0; i < n->nodes.count; i++) {
        k->group[i] = is_outside(k, i) ? i : -1;
        for (int j = 0; k->group[i] >= 0 && j < n->nodes.at[i].count; j++) {
            int mine = k->group[i], other = k->group[n->nodes.at[i].operand[j]];
            int least = other >= 0 && other < mine ? other : mine;
            for (int m = 0; other >= 0 && m <= i; m++)
                if (k->group[m] == mine || k->group[m] == other)
                    k->group[m] = least;
        }
    }
}

static bool is_used_elsewhere(const cutter *k, int id)
{
    const net *n = k->from;
    for (int i = id + 1; i < n->nodes.count; i++)
        for (int j = 0; k->live[i] && k->group[i] != k->group[id] && j < n->nodes.at[i].count; j++)
            if (n->nodes.at[i].operand[j] == id)
                return true;
    return id == k->built->logits;
}

static bool cut_outside(cutter *k, int group)
{
    const net *n = k->from;
    bool *inside = NEW_ARRAY(k->a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++)
        inside[i] = k->group[i] == group;
    cut c = cut_begin(k, inside);
    for (int i = 0; i < n->nodes.count; i++) {
        if (!inside[i] || !is_used_elsewhere(k, i))
            continue;
        int value = cut_value(&c, n, i, k->d);
        if (value < 0)
            return false;
        cut_output(&c, value);
    }
    return add_part(k, &c, "", false, -1, n->nodes.at[group].name);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

bool parts_of(arena *a, const space_net *built, parts *p, nasc_diag *d)
{
    const net *n = built->net;
    int count = n->nodes.count;
    *p = (parts){0};
    cutter k = {.built = built, .from = n, .a = a, .to = p, .d = d};
    net_output_add(built->net, built->logits, SLOT_LOGITS, 0);
    k.live = net_live(a, n);
    k.absorbed = NEW_ARRAY(a, int, count + 1);
    k.group = NEW_ARRAY(a, int, count + 1);
    absorb(&k);
    group_outside(&k);
    if (!cut_candidates(&k))
        return false;
    for (int i = 0; i < count; i++)
        if (k.group[i] == i && !cut_outside(&k, i))
            return false;
    return d->kind == DIAG_NONE;
}

uint64_t parts_key(const parts *p)
{
    uint64_t key = 0;
    for (int i = 0; i < p->uses.count; i++)
        if (p->uses.at[i].place >= 0)
            key = XXH3_64bits_withSeed(&p->at.at[p->uses.at[i].part].shape, sizeof(uint64_t), key);
    return key;
}

costs parts_costs(arena *a, const parts *p, const net *n, const double *cost)
{
    costs c = {.of = NEW_ARRAY(a, double, n->slot_size[SLOT_MIX] + 1), .count = n->slot_size[SLOT_MIX]};
    for (int i = 0; i < p->uses.count; i++) {
        const part_use *use = &p->uses.at[i];
        *(use->place < 0 ? &c.fixed : &c.of[use->place]) += cost[use->part];
    }
    costs_bounds(&c, n);
    return c;
}
