/* Copying nets, node by node, for passes that rewrite. */
#include "net/copy.h"

static const char *name_copy(net *to, const net *from, const char *name)
{
    return name && to->arena != from->arena ? arena_strdup(to->arena, name) : name;
}

net *net_copy_frame(arena *a, const net *from)
{
    net *to = net_new(a);
    to->chunk = from->chunk;
    for (int r = 1; r < from->regions.count; r++)
        VEC_PUSH(a, &to->regions, from->regions.at[r]);
    for (int i = 0; i < from->params.count; i++) {
        net_param param = from->params.at[i];
        param.name = name_copy(to, from, param.name);
        VEC_PUSH(a, &to->params, param);
    }
    for (int i = 0; i < from->mask_list.count; i++)
        VEC_PUSH(a, &to->mask_list, from->mask_list.at[i]);
    to->masks = from->masks;
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        to->slot_size[slot] = from->slot_size[slot];
    return to;
}

int net_copy_node(net *to, const net *from, int node, const int *map, nasc_diag *d)
{
    const net_node *old = &from->nodes.at[node];
    int operand[NET_OPERANDS_MAX];
    for (int i = 0; i < old->count; i++)
        operand[i] = map[old->operand[i]];
    to->region = old->region;
    int copy = net_add(to, old->prim, operand, old->count, &old->attr, name_copy(to, from, old->name), d);
    enum net_slot slot = old->attr.slot;
    if (copy >= 0 && old->prim == NET_input && old->name &&
        (slot == SLOT_WEIGHTS || slot == SLOT_STATS || slot == SLOT_MIX))
        net_name_leaf(to, to->nodes.at[copy].name, copy);
    return copy;
}

void net_copy_outputs(net *to, const net *from, const int *map)
{
    for (int i = 0; i < from->outputs.count; i++)
        net_output_add(to, map[from->outputs.at[i].value], from->outputs.at[i].slot, from->outputs.at[i].offset);
}

const net_users *net_users_of(arena *a, const net *n)
{
    int count = n->nodes.count, total = 0;
    net_users *users = NEW(a, net_users);
    users->first = NEW_ARRAY(a, int, count + 2);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < n->nodes.at[i].count; k++, total++)
            users->first[n->nodes.at[i].operand[k] + 1]++;
    for (int i = 0; i < count; i++)
        users->first[i + 1] += users->first[i];
    int *next = arena_copy(a, users->first, (size_t)(count + 1) * sizeof(int));
    users->at = NEW_ARRAY(a, net_user, total + 1);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < n->nodes.at[i].count; k++)
            users->at[next[n->nodes.at[i].operand[k]]++] = (net_user){i, k};
    users->is_output = NEW_ARRAY(a, bool, count + 1);
    for (int i = 0; i < n->outputs.count; i++)
        users->is_output[n->outputs.at[i].value] = true;
    return users;
}

bool *net_live(arena *a, const net *n)
{
    bool *live = NEW_ARRAY(a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->outputs.count; i++)
        live[n->outputs.at[i].value] = true;
    for (int i = n->nodes.count - 1; i >= 0; i--)
        for (int j = 0; live[i] && j < n->nodes.at[i].count; j++)
            live[n->nodes.at[i].operand[j]] = true;
    return live;
}

net *net_sweep(arena *a, const net *n, nasc_diag *d)
{
    net *to = net_copy_frame(a, n);
    bool *live = net_live(a, n);
    int *map = NEW_ARRAY(a, int, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        map[i] = live[i] ? net_copy_node(to, n, i, map, d) : -1;
        if (live[i] && map[i] < 0)
            return NULL;
    }
    to->region = 0;
    net_copy_outputs(to, n, map);
    return to;
}

bool net_is_zero(const net *n, int node)
{
    return n->nodes.at[node].prim == NET_constant && n->nodes.at[node].attr.value == 0;
}
