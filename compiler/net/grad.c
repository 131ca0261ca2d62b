/* Reverse differentiation, net to net. One walk from the loss back over the nodes; each node's rule gives shares to its
 * operands, which stand before it, so all shares of a value are known when the walk reaches it.
 *
 * Regions: the gradient of what stands in a forward region stands in its backward region (same select, same candidate).
 * Shares that leave a backward region do so through a select over the same choice, with zeros from candidates that give
 * none. requires: verified, no composites. breaks: nothing. */
#include "net/grad.h"
#include "net/copy.h"
#include <string.h>

bool grad_needs(const net_grad_context *g, int node, int i)
{
    return g->needs[g->n->nodes.at[node].operand[i]];
}

int grad_new(net_grad_context *g, enum net_prim prim, const int *operand, int count, const net_attr *attr)
{
    int value = net_add(g->n, prim, operand, count, attr, g->n->nodes.at[g->consumer].name, g->d);
    g->ok = g->ok && value >= 0;
    return value;
}

void grad_give(net_grad_context *g, int to, int value)
{
    if (value >= 0)
        VEC_PUSH(g->n->arena, &g->shares[to].gifts, ((grad_gift){g->consumer, value, g->n->region}));
}

void grad_give_row(net_grad_context *g, int to, int row, const int *pick, int value)
{
    if (value >= 0)
        VEC_PUSH(g->n->arena, &g->shares[to].pieces, ((grad_piece){value, row, g->n->region, pick}));
}

/* Gifts come from the last consumer to the first; within one consumer in the order of its operands. */
static grad_gift *gifts_in_order(net_grad_context *g, int node, int *count)
{
    grad_gift *from = g->shares[node].gifts.at;
    int total = g->shares[node].gifts.count, done = 0;
    grad_gift *to = NEW_ARRAY(g->n->arena, grad_gift, total);
    for (int end = total; end > 0;) {
        int begin = end - 1;
        while (begin > 0 && from[begin - 1].consumer == from[end - 1].consumer)
            begin--;
        for (int i = begin; i < end; i++)
            to[done++] = from[i];
        end = begin;
    }
    *count = total;
    return to;
}

/* The region below `target` on the way to `region`; -1 where `region` is not inside `target`. */
static int region_child(const net *n, int region, int target)
{
    while (region > 0 && n->regions.at[region].parent != target)
        region = n->regions.at[region].parent;
    return region > 0 ? region : -1;
}

static int sum_gifts(net_grad_context *g, const grad_gift *gift, int count, int target, const net_type *type);

/* Those of the gifts that come from the select whose first region is `first`, as one value outside of it. */
static int sum_select(net_grad_context *g, const grad_gift *gift, int count, int target, int first,
                      const net_type *type)
{
    net *n = g->n;
    int candidates = net_region_candidates(n, first), result[NET_OPERANDS_MAX];
    CHECK(candidates <= NET_OPERANDS_MAX);
    grad_gift *inside = NEW_ARRAY(n->arena, grad_gift, count);
    for (int k = 0; k < candidates; k++) {
        int found = 0;
        for (int i = 0; i < count; i++)
            if (region_child(n, gift[i].region, target) == first + k)
                inside[found++] = gift[i];
        result[k] = found ? sum_gifts(g, inside, found, first + k, type) : net_constant(n, *type, 0);
    }
    n->region = target;
    int value = net_select_end(n, first, result, candidates, n->nodes.at[g->consumer].name, g->d);
    g->ok = g->ok && value >= 0;
    return value;
}

static int sum_gifts(net_grad_context *g, const grad_gift *gift, int count, int target, const net_type *type)
{
    net *n = g->n;
    int *part = NEW_ARRAY(n->arena, int, count), *seen = NEW_ARRAY(n->arena, int, count), parts = 0, selects = 0;
    for (int i = 0; i < count; i++) {
        int child = region_child(n, gift[i].region, target), first = 0, known = 0;
        if (child < 0) {
            part[parts++] = gift[i].value;
            continue;
        }
        first = child - n->regions.at[child].candidate;
        while (known < selects && seen[known] != first)
            known++;
        if (known < selects)
            continue;
        seen[selects++] = first;
        part[parts++] = sum_select(g, gift, count, target, first, type);
    }
    n->region = target;
    return parts == 1 ? part[0] : grad_new(g, NET_add, part, parts, NULL);
}

/* Makes a gift of the pieces that one region gives to candidate weights; pieces in the order of their consumers. */
static void scatter_pieces(net_grad_context *g, int node, int last, int region)
{
    net *n = g->n;
    int operand[NET_OPERANDS_MAX], row[NET_OPERANDS_MAX], count = 0, picks = 0, *pick = NULL;
    struct grad_shares *shares = &g->shares[node];
    for (int pass = 0; pass < 2; pass++) {
        count = picks = 0;
        for (int i = last; i >= 0 && count < NET_OPERANDS_MAX; i--) {
            grad_piece *piece = &shares->pieces.at[i];
            if (piece->value < 0 || piece->region != region)
                continue;
            int columns = n->nodes.at[piece->value].type.c;
            if (pass) {
                memcpy(pick + picks, piece->pick, (size_t)columns * sizeof *pick);
                operand[count] = piece->value;
                row[count] = piece->row;
                piece->value = -1;
            }
            picks += columns;
            count++;
        }
        if (!pass)
            pick = NEW_ARRAY(n->arena, int, picks);
    }
    n->region = region;
    net_attr attr = {.type = n->nodes.at[node].type, .rows = row, .pick = pick};
    grad_give(g, node, grad_new(g, NET_scatter_rows, operand, count, &attr));
}

static void gather_pieces(net_grad_context *g, int node)
{
    for (int i = g->shares[node].pieces.count - 1; i >= 0; i--)
        if (g->shares[node].pieces.at[i].value >= 0)
            scatter_pieces(g, node, i, g->shares[node].pieces.at[i].region);
}

/* Where the gradient by the node stands: its backward region; for a leaf that one region alone uses, that one's. */
static int gradient_region(const net_grad_context *g, int node)
{
    const struct grad_shares *shares = &g->shares[node];
    if (g->n->nodes.at[node].prim != NET_input)
        return g->backward[g->n->nodes.at[node].region];
    for (int i = 1; i < shares->gifts.count; i++)
        if (shares->gifts.at[i].region != shares->gifts.at[0].region)
            return 0;
    return shares->gifts.at[0].region;
}

static void leaf_output(net_grad_context *g, int node, int gradient)
{
    const net_attr *attr = &g->n->nodes.at[node].attr;
    if (attr->slot != SLOT_WEIGHTS) {
        net_output_add(g->n, gradient, SLOT_MIX_GRAD, attr->offset);
        return;
    }
    CHECK(g->paths); /* gradients of weights are wanted */
    int i = 0;
    while (attr->offset >= g->paths->at.at[i].offset + g->paths->at.at[i].count)
        i++;
    net_output_add(g->n, gradient, SLOT_WEIGHT_GRAD,
                   attr->offset - g->paths->at.at[i].offset + g->paths->at.at[i].grad);
}

/* ---- select ------------------------------------------------------------------------------------------------------ */

/* `node`, which stands in region `from`, once more in the present region; what stands outside is taken as it is.
 * `copy`: of each node that was copied. */
static int computed_again(net_grad_context *g, int *copy, int node, int from)
{
    net *n = g->n;
    if (n->nodes.at[node].region != from)
        return node;
    if (copy[node])
        return copy[node];
    net_node v = n->nodes.at[node];
    int *operand = NEW_ARRAY(n->arena, int, v.count + 1);
    for (int k = 0; k < v.count; k++)
        operand[k] = computed_again(g, copy, v.operand[k], from);
    if (v.prim == NET_select)
        g->ok = diag_fail(g->d, DIAG_INPUT, v.name ? v.name : "gradient", "a choice inside a choice has no gates");
    copy[node] = grad_new(g, v.prim, operand, v.count, &v.attr);
    return copy[node];
}

/* The gate of candidate k: its gradient is noted, to be written when all places of the choice are known. */
static void add_gate(net_grad_context *g, const net_node *select, int k, int gradient, int result)
{
    if (net_is_zero(g->n, result) || !g->ok)
        return;
    struct grad_gate gate = {select->attr.offset + (int64_t)select->attr.row * select->count + k, 0};
    gate.value = grad_dot(g, gradient, result);
    VEC_PUSH(g->n->arena, &g->gate_values, gate);
}

static void add_gate_regions(net_grad_context *g, const net_node *select, int gradient)
{
    net *n = g->n;
    int outside = n->region, first = net_select_begin(n, select->attr.select, select->count);
    int *copy = NEW_ARRAY(n->arena, int, n->nodes.count);
    for (int k = 0; k < select->count; k++)
        n->regions.at[first + k].gate = true;
    for (int k = 0; k < select->count && g->ok; k++) {
        n->region = first + k;
        add_gate(g, select, k, gradient, computed_again(g, copy, select->operand[k], select->attr.first_region + k));
    }
    n->region = outside;
}

/* Writes each gate's gradient, where several places share a choice as their sum: once for the case that its candidate
 * is active, once for that it is not. */
static void write_gates(net_grad_context *g)
{
    net *n = g->n;
    int count = g->gate_values.count, *same = NEW_ARRAY(n->arena, int, count + 1);
    for (int i = 0; i < count && g->ok; i++) {
        struct grad_gate *one = &g->gate_values.at[i];
        bool gate = one->value >= 0 && n->regions.at[n->nodes.at[one->value].region].gate;
        int found = 0, last = one->value;
        for (int j = i; j < count && one->value >= 0; j++) {
            struct grad_gate *other = &g->gate_values.at[j];
            if (other->value < 0 || other->offset != one->offset ||
                n->regions.at[n->nodes.at[other->value].region].gate != gate)
                continue;
            same[found++] = last = other->value;
            other->value = j > i ? -1 : other->value;
        }
        if (found == 0)
            continue;
        n->region = n->nodes.at[last].region;
        net_output_add(n, found == 1 ? last : grad_new(g, NET_add, same, found, NULL), SLOT_MIX_GRAD, one->offset);
    }
    n->region = 0;
}

/* Opens the backward regions and hands each candidate's result the gradient. */
static void select_rule(net_grad_context *g, int node, int gradient)
{
    net *n = g->n;
    net_node select = n->nodes.at[node];
    int outside = n->region, first = select.attr.first_region;
    bool gates = g->gates && select.attr.slot == SLOT_MIX;
    if (gates)
        add_gate_regions(g, &select, gradient);
    int backward = net_select_begin(n, select.attr.select, select.count);
    for (int k = 0; k < select.count; k++)
        g->backward[first + k] = backward + k;
    for (int k = 0; k < select.count; k++) {
        n->region = backward + k;
        if (gates)
            add_gate(g, &select, k, gradient, select.operand[k]);
        if (grad_needs(g, node, k))
            grad_give(g, select.operand[k], gradient);
    }
    n->region = outside;
}

static void visit(net_grad_context *g, int node)
{
    net *n = g->n;
    g->consumer = node;
    gather_pieces(g, node);
    if (!g->ok || g->shares[node].gifts.count == 0)
        return;
    int count = 0, region = gradient_region(g, node);
    net_type type = n->nodes.at[node].type;
    grad_gift *gift = gifts_in_order(g, node, &count);
    int gradient = sum_gifts(g, gift, count, region, &type);
    n->region = region;
    if (!g->ok)
        return;
    CHECK(net_type_equal(&n->nodes.at[gradient].type, &type));
    enum net_prim prim = n->nodes.at[node].prim;
    if (prim == NET_input)
        leaf_output(g, node, gradient);
    else if (prim == NET_select)
        select_rule(g, node, gradient);
    else
        net_prim_info[prim].grad(g, node, gradient);
}

static bool node_wanted(const net_node *node, unsigned wanted)
{
    return (node->prim == NET_input && node->attr.slot == SLOT_WEIGHTS && (wanted & GRAD_WEIGHTS)) ||
           ((node->prim == NET_input || node->prim == NET_select) && node->attr.slot == SLOT_MIX &&
            (wanted & GRAD_MIX));
}

bool net_grad(net *n, int loss, unsigned wanted, nasc_diag *d)
{
    int count = n->nodes.count;
    const net_type scalar = {DT_F32, false, 1, 1, 1, 1};
    net_grad_context g = {.n = n, .d = d, .ok = true, .gates = wanted & GRAD_MIX};
    if (loss < 0 || loss >= count || !net_type_equal(&n->nodes.at[loss].type, &scalar))
        return diag_fail(d, DIAG_INPUT, "gradient", "the loss is not a scalar");
    g.needs = NEW_ARRAY(n->arena, bool, count);
    g.shares = NEW_ARRAY(n->arena, struct grad_shares, count);
    g.backward = NEW_ARRAY(n->arena, int, n->regions.count);
    g.paths = wanted & GRAD_WEIGHTS ? net_paths_of(n->arena, n) : NULL;
    for (int i = 0; i < count; i++) {
        const net_node *node = &n->nodes.at[i];
        g.needs[i] = node_wanted(node, wanted);
        for (int j = 0; j < node->count; j++)
            g.needs[i] = g.needs[i] || g.needs[node->operand[j]];
    }
    n->region = 0;
    g.consumer = loss;
    if (g.needs[loss])
        grad_give(&g, loss, net_constant(n, scalar, 1));
    for (int i = loss; i >= 0 && g.ok; i--)
        visit(&g, i);
    write_gates(&g);
    n->region = 0;
    return g.ok;
}
