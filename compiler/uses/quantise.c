/* Which values of an inference network become bytes, their ranges, and the nets of quantised primitives. */
#include "net/copy.h"
#include "quantise_plan.h"

#include <math.h>
#include <string.h>

typedef struct planner {
    quantiser *q;
    const net *n;
    int *uses;    /* of each node */
    int *user;    /* its last user */
    int *unit_of; /* of each node's value; -1: none yet */
    bool *floor;  /* the value is that unit's made at least zero */
    bool *normal; /* the value is the images', normalised */
    bool *inside; /* computed within a unit whose value is another node */
    nasc_diag *d;
} planner;

/* ---- units ------------------------------------------------------------------------------------------------------- */

static const net_node *node_of(const planner *p, int id)
{
    return &p->n->nodes.at[id];
}

static bool refuse(planner *p, int id, const char *why)
{
    const net_node *v = node_of(p, id);
    return diag_fail(p->d, DIAG_INPUT, v->name ? v->name : net_prim_info[v->prim].name, "int8 has no %s%s",
                     net_prim_info[v->prim].name, why);
}

static bool is_weight(const planner *p, int id)
{
    return node_of(p, id)->prim == NET_input && node_of(p, id)->attr.slot == SLOT_WEIGHTS;
}

static unit *unit_add(planner *p, enum unit_kind kind, int node)
{
    unit u = {.kind = kind, .node = node, .value = node, .like = p->q->units.count, .probe = -1};
    VEC_PUSH(p->q->arena, &p->q->units, u);
    p->unit_of[node] = u.like;
    return &p->q->units.at[u.like];
}

/* A unit of one operand that is a value as it stands, else one that makes it so. -1: there is none. */
static int plain_unit(planner *p, int id)
{
    int of = p->unit_of[id];
    if (of < 0 || !p->floor[id])
        return p->normal[id] ? -1 : of;
    unit *u = unit_add(p, UNIT_ADD, id);
    VEC_PUSH(p->q->arena, &u->input, of);
    p->floor[id] = false;
    return p->unit_of[id];
}

static bool take_inputs(planner *p, unit *u, int count)
{
    int self = u->like;
    for (int i = 0; i < count; i++) {
        int x = plain_unit(p, node_of(p, p->q->units.at[self].node)->operand[i]);
        if (x < 0)
            return refuse(p, p->q->units.at[self].node, " of this operand");
        VEC_PUSH(p->q->arena, &p->q->units.at[self].input, x);
    }
    return true;
}

static void value_moves(planner *p, unit *u, int node)
{
    p->unit_of[u->value] = -1;
    p->inside[u->value] = true;
    u->value = node;
    p->unit_of[node] = u->like;
}

/* What follows at once and is read by nobody else. -1: nothing. */
static int lone_user(const planner *p, int id)
{
    for (int i = 0; i < p->n->outputs.count; i++)
        if (p->n->outputs.at[i].value == id)
            return -1;
    return p->uses[id] == 1 ? p->user[id] : -1;
}

static bool is_relu(const planner *p, int id)
{
    return id >= 0 && (node_of(p, id)->prim == NET_relu || node_of(p, id)->prim == NET_relu6);
}

static bool is_affine(const planner *p, int id)
{
    return id >= 0 && (node_of(p, id)->prim == NET_bias || node_of(p, id)->prim == NET_normalise) &&
           is_weight(p, node_of(p, id)->operand[1]);
}

/* A concat of convolutions that one normalise follows, as factorised reductions have it. */
static bool is_normalised_concat(const planner *p, int id)
{
    if (id < 0 || node_of(p, id)->prim != NET_concat || !is_affine(p, lone_user(p, id)))
        return false;
    for (int k = 0; k < node_of(p, id)->count; k++) {
        int part = node_of(p, id)->operand[k];
        if (node_of(p, part)->prim != NET_conv || p->uses[part] != 1)
            return false;
    }
    return true;
}

static void fold_behind(planner *p, unit *u)
{
    int next;
    for (next = lone_user(p, u->value); is_affine(p, next); next = lone_user(p, u->value)) {
        VEC_PUSH(p->q->arena, &u->folded, ((folded){next, 0}));
        value_moves(p, u, next);
    }
    if (is_relu(p, next)) {
        value_moves(p, u, next);
        return;
    }
    if (!is_normalised_concat(p, next))
        return;
    const net_node *joined = node_of(p, next);
    int begin = 0;
    for (int k = 0; joined->operand[k] != u->value; k++)
        begin += node_of(p, joined->operand[k])->type.c;
    VEC_PUSH(p->q->arena, &u->folded, ((folded){lone_user(p, next), begin}));
    u->part = true;
}

static bool add_conv(planner *p, int id)
{
    const net_node *v = node_of(p, id);
    int x = v->operand[0], groups = v->attr.window.groups;
    if (p->unit_of[x] < 0 || !is_weight(p, v->operand[1]))
        return refuse(p, id, " of this operand");
    if (groups != 1 && (groups != node_of(p, x)->type.c || groups != v->type.c))
        return refuse(p, id, " of groups that are neither one nor as many as channels");
    unit *u = unit_add(p, UNIT_CONV, id);
    VEC_PUSH(p->q->arena, &u->input, p->unit_of[x]);
    u->floor = p->floor[x];
    u->normalised = p->normal[x];
    fold_behind(p, u);
    return true;
}

static bool add_sum(planner *p, int id)
{
    const net_node *v = node_of(p, id);
    for (int i = 0; i < v->count; i++)
        if (!net_type_equal(&node_of(p, v->operand[i])->type, &v->type))
            return refuse(p, id, " of maps of several shapes");
    if (v->count > 16)
        return refuse(p, id, " of more than 16 maps");
    unit *u = unit_add(p, UNIT_ADD, id);
    int self = u->like;
    if (!take_inputs(p, u, v->count))
        return false;
    u = &p->q->units.at[self];
    int next = lone_user(p, id);
    if (is_relu(p, next))
        value_moves(p, u, next);
    return true;
}

/* The unit whose scale this one has. */
static int unit_scale(const quantiser *q, int unit)
{
    while (q->units.at[unit].like != unit)
        unit = q->units.at[unit].like;
    return unit;
}

/* Two units that need one scale get it. */
static void join(planner *p, int a, int b)
{
    p->q->units.at[unit_scale(p->q, a)].like = unit_scale(p->q, b);
}

static bool is_own(const planner *p, int unit, int concat)
{
    const struct unit *u = &p->q->units.at[unit];
    if (u->kind == UNIT_IMAGES || u->kind == UNIT_CONCAT)
        return false;
    for (int i = 0; i < p->q->units.count; i++)
        for (int k = 0; p->q->units.at[i].kind == UNIT_CONCAT && i != concat && k < p->q->units.at[i].input.count; k++)
            if (p->q->units.at[i].input.at[k] == unit)
                return false;
    return true;
}

/* What a concat joins lies in it: a copy of what lies elsewhere. */
static bool add_concat(planner *p, int id)
{
    int self = unit_add(p, UNIT_CONCAT, id)->like;
    if (!take_inputs(p, &p->q->units.at[self], node_of(p, id)->count))
        return false;
    for (int i = 0; i < p->q->units.at[self].input.count; i++) {
        int x = p->q->units.at[self].input.at[i], copy = x;
        bool again = false;
        for (int k = 0; k < i; k++)
            again |= p->q->units.at[self].input.at[k] == x;
        if (again || !is_own(p, x, self)) {
            int value = p->q->units.at[x].value, of = p->unit_of[value];
            copy = unit_add(p, UNIT_ADD, value)->like;
            p->unit_of[value] = of;
            VEC_PUSH(p->q->arena, &p->q->units.at[copy].input, x);
            p->q->units.at[self].input.at[i] = copy;
        }
        join(p, copy, self);
    }
    int next = lone_user(p, id);
    if (is_normalised_concat(p, id)) /* its parts have it folded in */
        value_moves(p, &p->q->units.at[self], next);
    return true;
}

static bool add_pool(planner *p, int id, enum unit_kind kind)
{
    const net_node *v = node_of(p, id);
    int self = unit_add(p, kind, id)->like, next = lone_user(p, id);
    if (!take_inputs(p, &p->q->units.at[self], 1))
        return false;
    if (kind == UNIT_GLOBAL_POOL)
        return true;
    join(p, self, p->q->units.at[self].input.at[0]);
    if (kind == UNIT_MAX_POOL)
        return true;
    const net_window *w = &v->attr.window;
    if (next < 0 || node_of(p, next)->prim != NET_pool_scale)
        return refuse(p, id, " by itself");
    if (w->dh != 1 || w->dw != 1 || w->kh * w->kw > 128)
        return refuse(p, id, " with dilation, or of more than 128 taps");
    value_moves(p, &p->q->units.at[self], next);
    return true;
}

/* relu: of convolutions' operands it is their floor; of all others a unit of its own. relu6 always is. */
static bool add_relu(planner *p, int id)
{
    int x = node_of(p, id)->operand[0];
    if (p->unit_of[x] < 0 || p->normal[x])
        return refuse(p, id, " of this operand");
    if (node_of(p, id)->prim == NET_relu) {
        p->unit_of[id] = p->unit_of[x];
        p->floor[id] = true;
        return true;
    }
    int from = plain_unit(p, x);
    unit *u = unit_add(p, UNIT_ADD, id);
    VEC_PUSH(p->q->arena, &u->input, from);
    return true;
}

static bool add_input(planner *p, int id)
{
    if (node_of(p, id)->attr.slot == SLOT_IMAGES)
        p->q->images = unit_add(p, UNIT_IMAGES, id)->like;
    return true;
}

/* (images - mean) / std: the images as they come, where convolutions alone read them. */
static bool add_normalised(planner *p, int id)
{
    const net_node *v = node_of(p, id);
    int x = v->operand[0], of = p->unit_of[x];
    bool first = v->prim == NET_sub && of == p->q->images && of >= 0 && !p->normal[x];
    bool second = v->prim == NET_divide && of == p->q->images && of >= 0 && p->normal[x];
    if ((!first && !second) || !is_weight(p, v->operand[1]))
        return refuse(p, id, "");
    *(first ? &p->q->mean : &p->q->std) = v->operand[1];
    p->unit_of[id] = of;
    p->normal[id] = true;
    return true;
}

static bool plan_node(planner *p, int id)
{
    const net_node *v = node_of(p, id);
    if (p->inside[id] || p->unit_of[id] >= 0)
        return true;
    switch (v->prim) {
    case NET_input:
        return add_input(p, id);
    case NET_sub:
    case NET_divide:
        return add_normalised(p, id);
    case NET_conv:
        return add_conv(p, id);
    case NET_add:
        return add_sum(p, id);
    case NET_concat:
        return add_concat(p, id);
    case NET_max_pool:
        return add_pool(p, id, UNIT_MAX_POOL);
    case NET_sum_pool:
        return add_pool(p, id, UNIT_AVG_POOL);
    case NET_global_pool:
        return add_pool(p, id, UNIT_GLOBAL_POOL);
    case NET_relu:
    case NET_relu6:
        return add_relu(p, id);
    default:
        return refuse(p, id, "");
    }
}

static bool plan_all(planner *p)
{
    int count = p->n->nodes.count;
    p->uses = NEW_ARRAY(p->q->arena, int, count + 1);
    p->user = NEW_ARRAY(p->q->arena, int, count + 1);
    p->unit_of = NEW_ARRAY(p->q->arena, int, count + 1);
    p->floor = NEW_ARRAY(p->q->arena, bool, count + 1);
    p->normal = NEW_ARRAY(p->q->arena, bool, count + 1);
    p->inside = NEW_ARRAY(p->q->arena, bool, count + 1);
    memset(p->unit_of, -1, (size_t)count * sizeof(int));
    for (int i = 0; i < count; i++)
        for (int k = 0; k < node_of(p, i)->count; k++) {
            p->uses[node_of(p, i)->operand[k]]++;
            p->user[node_of(p, i)->operand[k]] = i;
        }
    for (int i = 0; i < count; i++)
        if (!plan_node(p, i))
            return false;
    for (int i = 0; i < p->n->outputs.count; i++)
        if (p->n->outputs.at[i].slot == SLOT_LOGITS)
            p->q->logits = plain_unit(p, p->n->outputs.at[i].value);
    if (p->q->logits < 0 || p->q->images < 0)
        return diag_fail(p->d, DIAG_INPUT, "int8", "the network has no logits of images");
    return true;
}

quantiser *quantise_plan(arena *a, const inference *of, nasc_diag *d)
{
    quantiser *q = NEW(a, quantiser);
    *q = (quantiser){.arena = a, .n = net_simplify(a, of->net, d), .images = -1, .logits = -1, .mean = -1, .std = -1};
    planner p = {.q = q, .n = q->n, .d = d};
    if (!q->n || !plan_all(&p))
        return NULL;
    for (int i = 0; i < q->units.count; i++) {
        unit *u = &q->units.at[i];
        bool known =
            u->part || (u->kind == UNIT_CONCAT && u->value == u->node) || (u->kind == UNIT_IMAGES && q->mean >= 0);
        u->probe = known ? -1 : q->probed;
        q->probed += known ? 0 : net_elements(&q->n->nodes.at[u->value].type);
    }
    return q;
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

net *quantise_probe(const quantiser *q, int64_t *elements, nasc_diag *d)
{
    net *probe = net_copy_frame(q->arena, q->n);
    int *map = NEW_ARRAY(q->arena, int, q->n->nodes.count + 1);
    for (int i = 0; i < q->n->nodes.count; i++)
        if ((map[i] = net_copy_node(probe, q->n, i, map, d)) < 0)
            return NULL;
    for (int i = 0; i < q->units.count; i++)
        if (q->units.at[i].probe >= 0)
            net_output_add(probe, map[q->units.at[i].value], SLOT_USER, q->units.at[i].probe);
    probe->slot_size[SLOT_USER] = *elements = q->probed;
    return probe;
}

/* 0 is in every range: so padding and what relu cuts off are exact. */
void quantise_observe(quantiser *q, const float *values)
{
    for (int i = 0; i < q->units.count; i++) {
        unit *u = &q->units.at[i], *all = &q->units.at[unit_scale(q, i)];
        int64_t count = u->probe < 0 ? 0 : net_elements(&q->n->nodes.at[u->value].type);
        for (int64_t e = 0; e < count; e++) {
            double x = (double)values[u->probe + e];
            all->lo = x < all->lo ? x : all->lo;
            all->hi = x > all->hi ? x : all->hi;
        }
    }
}

static void find_scales(quantiser *q)
{
    for (int i = 0; i < q->units.count; i++) {
        unit *u = &q->units.at[i];
        const unit *all = &q->units.at[unit_scale(q, i)];
        u->scale.scale = all->hi > all->lo ? (all->hi - all->lo) / 255 : 1;
        u->scale.zero = (int)floor(-all->lo / u->scale.scale + 0.5);
        if (u->kind == UNIT_IMAGES && q->mean >= 0)
            u->scale = (quantised_scale){1.0 / 255, 0};
    }
}

/* ---- the nets ---------------------------------------------------------------------------------------------------- */

typedef struct maker {
    const quantiser *q;
    net *to;
    const packed *packed; /* of each unit */
    int *value;           /* of each unit: node */
    nasc_diag *d;
} maker;

static int leaf(maker *m, enum dtype type, int rows, int64_t elements, int64_t word)
{
    net_attr attr = {.slot = SLOT_WEIGHTS, .type = {type, false, 1, 1, rows, (int)elements}, .offset = word};
    return net_add(m->to, NET_input, NULL, 0, &attr, NULL, m->d);
}

static int make_unit(maker *m, int i, bool bytes)
{
    const unit *u = &m->q->units.at[i];
    const net_node *v = unit_node(m->q, u);
    const packed *p = &m->packed[i];
    net_attr attr = {.window = v->attr.window, .step = p->step, .floor = u->floor};
    int operand[NET_OPERANDS_MAX], count = u->input.count;
    const char *name = m->q->n->nodes.at[u->value].name ? m->q->n->nodes.at[u->value].name : v->name;
    for (int k = 0; k < count; k++)
        operand[k] = m->value[u->input.at[k]];
    switch (u->kind) {
    case UNIT_IMAGES:
        attr = (net_attr){.slot = SLOT_IMAGES, .type = v->type};
        attr.type.dtype = bytes ? DT_U8 : DT_F32;
        operand[0] = net_add(m->to, NET_input, NULL, 0, &attr, "images", m->d);
        attr = (net_attr){.value = 1 / u->scale.scale, .begin = u->scale.zero};
        return bytes ? operand[0] : net_add(m->to, NET_q_images, operand, 1, &attr, "quantise", m->d);
    case UNIT_CONV:
        attr.count = v->type.c;
        operand[1] = leaf(m, DT_I8, 1, p->weight_bytes, p->weights);
        operand[2] = leaf(m, DT_I32, 4, p->row_words / 4, p->rows);
        return net_add(m->to, NET_q_conv, operand, 3, &attr, name, m->d);
    case UNIT_CONCAT:
        return net_add(m->to, NET_concat, operand, count, NULL, name, m->d);
    case UNIT_MAX_POOL:
        return net_add(m->to, NET_q_max_pool, operand, 1, &attr, name, m->d);
    default:
        operand[count] = leaf(m, DT_I32, 1, p->row_words, p->rows);
        attr.window = u->kind == UNIT_AVG_POOL ? attr.window : (net_window){0};
        return net_add(m->to,
                       u->kind == UNIT_ADD        ? NET_q_add
                       : u->kind == UNIT_AVG_POOL ? NET_q_avg_pool
                                                  : NET_q_global_pool,
                       operand, count + 1, &attr, name, m->d);
    }
}

/* Units stand in order, but those that were found to be needed after others had been begun. */
static bool make_from(maker *m, int i, bool bytes)
{
    for (int k = 0; k < m->q->units.at[i].input.count; k++)
        if (m->value[m->q->units.at[i].input.at[k]] < 0 && !make_from(m, m->q->units.at[i].input.at[k], bytes))
            return false;
    m->value[i] = make_unit(m, i, bytes);
    return m->value[i] >= 0;
}

static net *make_net(const quantiser *q, const packed *packed, int64_t words, bool bytes, nasc_diag *d)
{
    maker m = {.q = q, .to = net_new(q->arena), .packed = packed, .d = d};
    m.value = NEW_ARRAY(q->arena, int, q->units.count);
    memset(m.value, -1, (size_t)q->units.count * sizeof(int));
    m.to->slot_size[SLOT_WEIGHTS] = words;
    for (int i = 0; i < q->units.count; i++)
        if (m.value[i] < 0 && !make_from(&m, i, bytes))
            return NULL;
    int logits = m.value[q->logits];
    quantised_scale s = q->units.at[q->logits].scale;
    net_attr attr = {.value = s.scale, .begin = s.zero};
    if (!bytes)
        logits = net_add(m.to, NET_q_logits, &logits, 1, &attr, "dequantise", d);
    net_output_add(m.to, logits, SLOT_LOGITS, 0);
    return logits < 0 ? NULL : m.to;
}

bool quantise_finish(quantiser *q, const float *constants, const target *t, quantised *result, nasc_diag *d)
{
    packing p = {.q = q, .constants = constants, .t = t, .d = d};
    packed *at = NEW_ARRAY(q->arena, packed, q->units.count);
    find_scales(q);
    for (int i = 0; i < q->units.count; i++)
        if (!quantise_pack(&p, &q->units.at[i], &at[i]))
            return false;
    result->net = make_net(q, at, p.words.count, false, d);
    result->bytes = result->net ? make_net(q, at, p.words.count, true, d) : NULL;
    result->constants = p.words.at;
    result->words = p.words.count;
    result->in = q->units.at[q->images].scale;
    result->out = q->units.at[q->logits].scale;
    return result->bytes != NULL;
}
