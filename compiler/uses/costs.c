/* Costs of candidates: sums over the nodes, or the weights, of their regions. */
#include "costs.h"

/* Of each region: where its candidate stands in SLOT_MIX; -1: outside of choices. */
static int64_t *find_places(arena *a, const net *n)
{
    int64_t *place = NEW_ARRAY(a, int64_t, n->regions.count);
    for (int r = 0; r < n->regions.count; r++)
        place[r] = -1;
    for (int i = 0; i < n->nodes.count; i++) {
        const net_attr *attr = &n->nodes.at[i].attr;
        for (int k = 0; n->nodes.at[i].prim == NET_select && k < n->nodes.at[i].count; k++)
            place[attr->first_region + k] = attr->offset + (int64_t)attr->row * n->nodes.at[i].count + k;
    }
    return place;
}

void costs_bounds(costs *c, const net *n)
{
    c->least = c->most = c->fixed;
    for (int i = 0; i < n->params.count; i++) {
        const net_param *p = &n->params.at[i];
        for (int row = 0; p->slot == SLOT_MIX && row < p->dim[2]; row++) {
            const double *of = c->of + p->offset + (int64_t)row * p->dim[3];
            double low = of[0], high = of[0];
            for (int k = 1; k < p->dim[3]; k++) {
                low = of[k] < low ? of[k] : low;
                high = of[k] > high ? of[k] : high;
            }
            c->least += low;
            c->most += high;
        }
    }
}

costs costs_of(arena *a, const net *n, enum cost_kind kind)
{
    const int64_t *place = find_places(a, n);
    costs c = {.of = NEW_ARRAY(a, double, n->slot_size[SLOT_MIX] + 1), .count = n->slot_size[SLOT_MIX]};
    for (int i = 0; i < n->nodes.count && kind == COST_MACS; i++) {
        const net_node *v = &n->nodes.at[i];
        *(place[v->region] < 0 ? &c.fixed : &c.of[place[v->region]]) += (double)net_prim_info[v->prim].cost(n, v).macs;
    }
    const net_paths *paths = net_paths_of(a, n);
    for (int i = 0; i < paths->at.count && kind == COST_PARAMS; i++) {
        const net_path *path = &paths->at.at[i];
        *(place[path->region] < 0 ? &c.fixed : &c.of[place[path->region]]) += (double)path->count;
    }
    costs_bounds(&c, n);
    return c;
}
