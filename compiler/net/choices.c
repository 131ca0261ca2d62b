/* Sums behind choices go into them: select(a, b) + x is select(a + x, b + x). */
#include "net/choices.h"
#include "net/copy.h"

typedef struct pusher {
    const net *from;
    net *to;
    int *map;    /* of each old node, its copy */
    int *behind; /* of each select, the sum that alone reads it, +1 */
    nasc_diag *d;
} pusher;

/* Is it a sum of a select and of what is there before, in the same region, all of one shape? */
static bool may_enter(const net *n, int sum, int select)
{
    const net_node *v = &n->nodes.at[sum], *s = &n->nodes.at[select];
    int times = 0;
    if (v->prim != NET_add || s->prim != NET_select || v->region != s->region || !net_type_equal(&v->type, &s->type))
        return false;
    for (int k = 0; k < v->count; k++) {
        times += v->operand[k] == select;
        if (v->operand[k] > select || !net_type_equal(&n->nodes.at[v->operand[k]].type, &v->type))
            return false;
    }
    return times == 1;
}

static bool find_sums(pusher *p, arena *a)
{
    const net *n = p->from;
    const net_users *users = net_users_of(a, n);
    bool any = false;
    for (int i = 0; i < n->nodes.count; i++)
        for (int k = 0; k < n->nodes.at[i].count; k++) {
            int x = n->nodes.at[i].operand[k];
            if (users->first[x + 1] - users->first[x] == 1 && !users->is_output[x] && may_enter(n, i, x)) {
                p->behind[x] = i + 1;
                any = true;
                break; /* a sum enters one choice */
            }
        }
    return any;
}

/* The sum with one candidate's result in the select's place; a zero is left out. -1: refused. */
static int add_candidate(pusher *p, const net_node *sum, int select, int result, int region)
{
    int operand[NET_OPERANDS_MAX], count = 0;
    for (int k = 0; k < sum->count; k++) {
        int x = sum->operand[k] == select ? result : sum->operand[k];
        if (x != result || !net_is_zero(p->from, x))
            operand[count++] = p->map[x];
    }
    if (count == 1)
        return operand[0];
    p->to->region = region;
    return net_add(p->to, NET_add, operand, count, NULL, sum->name, p->d);
}

static int add_select(pusher *p, int select)
{
    const net_node *v = &p->from->nodes.at[select], *sum = &p->from->nodes.at[p->behind[select] - 1];
    int operand[NET_OPERANDS_MAX];
    for (int k = 0; k < v->count; k++)
        if ((operand[k] = add_candidate(p, sum, select, v->operand[k], v->attr.first_region + k)) < 0)
            return -1;
    p->to->region = v->region;
    return net_add(p->to, NET_select, operand, v->count, &v->attr, v->name, p->d);
}

const net *net_add_in_choices(arena *a, const net *n, nasc_diag *d)
{
    pusher p = {.from = n, .d = d};
    p.behind = NEW_ARRAY(a, int, n->nodes.count + 1);
    if (!find_sums(&p, a))
        return n;
    p.map = NEW_ARRAY(a, int, n->nodes.count + 1);
    p.to = net_copy_frame(a, n);
    bool *entered = NEW_ARRAY(a, bool, n->nodes.count + 1);
    for (int i = 0; i < n->nodes.count; i++) {
        if (p.behind[i]) {
            entered[p.behind[i] - 1] = true;
            p.map[i] = p.map[p.behind[i] - 1] = add_select(&p, i);
        } else if (!entered[i]) {
            p.map[i] = net_copy_node(p.to, n, i, p.map, d);
        }
        if (p.map[i] < 0)
            return NULL;
    }
    net_copy_outputs(p.to, n, p.map);
    p.to->region = 0;
    return p.to;
}
