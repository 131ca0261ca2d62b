/* Losses, and one layout for several nets. */
#include "objective.h"

#include <stdlib.h>
#include <string.h>

/* ---- loss -------------------------------------------------------------------------------------------------------- */

static int mean_of(net *n, enum net_prim prim, int logits, int labels, double smoothing, const char *name, nasc_diag *d)
{
    net_attr attr = {.value = smoothing};
    int each = net_add(n, prim, (int[]){logits, labels}, 2, &attr, name, d);
    return net_add(n, NET_batch_mean, &each, 1, NULL, name, d);
}

bool objective_add(space_net *built, double smoothing, double auxiliary, nasc_diag *d)
{
    net *n = built->net;
    int labels = net_labels(n);
    int loss = mean_of(n, NET_softmax_xent, built->logits, labels, smoothing, "loss", d);
    net_output_add(n, built->logits, SLOT_LOGITS, 0);
    n->slot_size[SLOT_LOGITS] = n->nodes.at[built->logits].type.c;
    if (built->auxiliary >= 0) {
        net_output_add(n, built->auxiliary, SLOT_AUX_LOGITS, 0);
        n->slot_size[SLOT_AUX_LOGITS] = n->slot_size[SLOT_LOGITS];
        int side = mean_of(n, NET_softmax_xent, built->auxiliary, labels, smoothing, "auxiliary_loss", d);
        int weight = net_constant(n, (net_type){DT_F32, false, 1, 1, 1, 1}, auxiliary);
        side = net_add(n, NET_mul, (int[]){side, weight}, 2, NULL, "auxiliary_loss", d);
        loss = net_add(n, NET_add, (int[]){loss, side}, 2, NULL, "total_loss", d);
    }
    net_output_add(n, loss, SLOT_LOSS, 0);
    net_output_add(n, mean_of(n, NET_correct, built->logits, labels, 0, "correct", d), SLOT_CORRECT, 0);
    return d->kind == DIAG_NONE;
}

bool objective_build(const space *s, const settings *set, enum objective_use use, arena *a, objective *o, nasc_diag *d)
{
    static const struct {
        space_mode mode;
        unsigned grad;
    } uses[] = {[USE_WEIGHTS] = {{.train = true, .move = true}, GRAD_WEIGHTS},
                [USE_MIX] = {{.train = true}, GRAD_MIX},
                [USE_BOTH] = {{.train = true}, GRAD_WEIGHTS | GRAD_MIX},
                [USE_FORWARD] = {{.train = true}, 0},
                [USE_EVAL] = {{.train = false}, 0}};
    double smoothing = uses[use].mode.train ? settings_number(set, SETTING_label_smoothing) : 0;
    if (!space_build(s, set, uses[use].mode, a, &o->built, d))
        return false;
    o->grad = uses[use].grad;
    o->built.net->chunk = net_chunk_of((int)settings_int(set, SETTING_batch));
    return objective_add(&o->built, smoothing, settings_number(set, SETTING_auxiliary), d);
}

/* ---- one layout -------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const net_param *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_place(const void *a, const void *b)
{
    const net_param *const *x = a, *const *y = b;
    if ((*x)->slot != (*y)->slot)
        return (*x)->slot < (*y)->slot ? -1 : 1;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

static net_param **sorted(const net *n, arena *a, int (*order)(const void *, const void *))
{
    net_param **at = NEW_ARRAY(a, net_param *, n->params.count + 1);
    for (int i = 0; i < n->params.count; i++)
        at[i] = &n->params.at[i];
    qsort(at, (size_t)n->params.count, sizeof *at, order);
    return at;
}

static net_param **find(net_param **at, int count, const net_param *key, int (*order)(const void *, const void *))
{
    return bsearch(&key, at, (size_t)count, sizeof *at, order);
}

bool objective_share(net *n, const net *model, nasc_diag *d)
{
    net_param **theirs = sorted(model, n->arena, by_name), **mine = sorted(n, n->arena, by_place);
    int64_t *moved = NEW_ARRAY(n->arena, int64_t, n->params.count + 1); /* where mine[i] goes */
    for (int i = 0; i < n->params.count; i++) {
        net_param **same = find(theirs, model->params.count, mine[i], by_name);
        if (!same || memcmp((*same)->dim, mine[i]->dim, sizeof mine[i]->dim) != 0)
            return diag_fail(d, DIAG_INPUT, mine[i]->name, "is not the same tensor in both networks");
        moved[i] = (*same)->offset;
    }
    for (int i = 0; i < n->nodes.count; i++) {
        net_node *leaf = &n->nodes.at[i];
        enum net_slot slot = leaf->attr.slot;
        if ((leaf->prim != NET_input && leaf->prim != NET_select) ||
            (slot != SLOT_WEIGHTS && slot != SLOT_STATS && slot != SLOT_MIX))
            continue;
        net_param key = {.slot = slot, .offset = leaf->attr.offset};
        net_param **named = find(mine, n->params.count, &key, by_place);
        CHECK(named);
        leaf->attr.offset = moved[named - mine];
    }
    for (int i = 0; i < n->params.count; i++)
        mine[i]->offset = moved[i];
    for (enum net_slot s = SLOT_WEIGHTS; s <= SLOT_MIX; s++)
        n->slot_size[s] = model->slot_size[s];
    return true;
}
