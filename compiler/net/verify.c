/* What every net promises, whichever pass made it: operands before their users and visible from their regions, types
 * that the shape rules agree with, places inside their slots, parameters of one name each. */
#include "net/copy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool net_region_sees(const net *n, int from, int to)
{
    const net_region *target = &n->regions.at[to];
    for (int r = from; r > 0; r = n->regions.at[r].parent) {
        const net_region *around = &n->regions.at[r];
        if (r == to || (to > 0 && around->select == target->select && around->candidate == target->candidate &&
                        around->gate == target->gate))
            return true;
    }
    return to == 0;
}

static bool node_fail(const net *n, int id, nasc_diag *d, const char *why)
{
    const net_node *node = &n->nodes.at[id];
    char where[128];
    snprintf(where, sizeof where, "%%%d%s%s", id, node->name ? " " : "", node->name ? node->name : "");
    return diag_fail(d, DIAG_INPUT, where, "%s: %s", net_prim_info[node->prim].name, why);
}

static bool verify_operands(const net *n, int id, nasc_diag *d)
{
    const net_node *node = &n->nodes.at[id];
    const struct net_prim_info *info = &net_prim_info[node->prim];
    if (node->count < info->least || node->count > (info->most < 0 ? NET_OPERANDS_MAX : info->most))
        return node_fail(n, id, d, "wrong number of operands");
    for (int i = 0; i < node->count; i++) {
        int operand = node->operand[i];
        if (operand < 0 || operand >= id)
            return node_fail(n, id, d, "an operand does not stand before it");
        int from = node->prim == NET_select ? node->attr.first_region + i : node->region;
        if (from < 0 || from >= n->regions.count || !net_region_sees(n, from, n->nodes.at[operand].region))
            return node_fail(n, id, d, "an operand stands in a region that it does not see");
    }
    return true;
}

/* Whether [offset, offset + words) lies inside the slot. Gradients share their weights' offsets. */
static bool place_fits(const net *n, enum net_slot slot, int64_t offset, int64_t words)
{
    enum net_slot size_of = slot == SLOT_WEIGHT_GRAD ? SLOT_WEIGHTS : slot == SLOT_MIX_GRAD ? SLOT_MIX : slot;
    bool flat = size_of == SLOT_WEIGHTS || size_of == SLOT_STATS || size_of == SLOT_MIX || size_of == SLOT_MASKS ||
                size_of == SLOT_SCALARS;
    return !flat || (offset >= 0 && words <= n->slot_size[size_of] && offset <= n->slot_size[size_of] - words);
}

static bool verify_node(const net *n, int id, nasc_diag *d)
{
    const net_node *node = &n->nodes.at[id];
    net_type type;
    char why[320] = "";
    if ((int)node->prim < 0 || node->prim >= NET_PRIM_COUNT)
        return diag_fail(d, DIAG_INPUT, "net", "node %d has no primitive", id);
    if (node->region < 0 || node->region >= n->regions.count)
        return node_fail(n, id, d, "its region does not exist");
    if (!verify_operands(n, id, d))
        return false;
    if (!net_prim_info[node->prim].shape(n, node, &type, why, sizeof why))
        return node_fail(n, id, d, why);
    if (!net_type_equal(&type, &node->type))
        return node_fail(n, id, d, "its type is not what its shape rule says");
    if (node->prim == NET_input && !place_fits(n, node->attr.slot, node->attr.offset, net_words(&node->type)))
        return node_fail(n, id, d, "it lies outside of its slot");
    return true;
}

static bool verify_regions(const net *n, nasc_diag *d)
{
    for (int r = 1; r < n->regions.count; r++)
        if (n->regions.at[r].parent < 0 || n->regions.at[r].parent >= r)
            return diag_fail(d, DIAG_INPUT, "net", "region %d does not stand in one before it", r);
    return n->regions.count > 0 || diag_fail(d, DIAG_INPUT, "net", "there is no region 0");
}

static bool verify_outputs(const net *n, nasc_diag *d)
{
    for (int i = 0; i < n->outputs.count; i++) {
        const net_output *out = &n->outputs.at[i];
        if (out->value < 0 || out->value >= n->nodes.count)
            return diag_fail(d, DIAG_INPUT, "net", "output %d has no value", i);
        if (!place_fits(n, out->slot, out->offset, net_words(&n->nodes.at[out->value].type)))
            return node_fail(n, out->value, d, "an output of it lies outside of its slot");
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const net_param *const *)a)->name, (*(const net_param *const *)b)->name);
}

static bool verify_params(const net *n, nasc_diag *d)
{
    const net_param **sorted = NEW_ARRAY(n->arena, const net_param *, n->params.count + 1);
    for (int i = 0; i < n->params.count; i++) {
        const net_param *p = sorted[i] = &n->params.at[i];
        if (!place_fits(n, p->slot, p->offset, (int64_t)p->dim[0] * p->dim[1] * p->dim[2] * p->dim[3]))
            return diag_fail(d, DIAG_INPUT, p->name, "the parameter lies outside of its slot");
    }
    qsort(sorted, (size_t)n->params.count, sizeof *sorted, by_name);
    for (int i = 1; i < n->params.count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return diag_fail(d, DIAG_INPUT, sorted[i]->name, "two parameters have this name");
    return true;
}

bool net_verify(const net *n, nasc_diag *d)
{
    if (!verify_regions(n, d))
        return false;
    for (int i = 0; i < n->nodes.count; i++)
        if (!verify_node(n, i, d))
            return false;
    return verify_outputs(n, d) && verify_params(n, d);
}
