/* Splits an evaluation network in two: what is computed once from the weights, and what each image needs. */
#include "inference.h"
#include "loop/lower.h"
#include "net/copy.h"
#include "objective.h"

#include <string.h>

enum {
    ALIGN = 16,    /* elements: 64 bytes */
    NORM_ROWS = 5, /* of bn_fixed, of which `normalise` reads the first three: mean, scale, shift */
    NORM_ROWS_READ = 3
};

typedef struct splitter {
    inference *to;
    const net *from; /* expanded */
    net *fold, *main;
    int *fold_map, *main_map; /* of nodes of `from`; -1: not there (yet) */
    bool *constant;           /* the same for all images */
    int64_t end;              /* elements that kernels may touch: the last norms' rows go beyond their pieces */
    const inference_options *o;
    nasc_diag *d;
} splitter;

static bool is_constant(const splitter *s, int id)
{
    const net_node *v = &s->from->nodes.at[id];
    if (v->prim == NET_input)
        return v->attr.slot == SLOT_WEIGHTS || v->attr.slot == SLOT_STATS;
    if (v->region != 0 || net_prim_info[v->prim].class != NET_VECTOR)
        return false;
    for (int i = 0; i < v->count; i++)
        if (!s->constant[v->operand[i]])
            return false;
    return true;
}

/* A leaf of the packed vector, its piece at the end. */
static int add_leaf(splitter *s, net_type type, int from, int64_t at, int64_t count, const char *name)
{
    inference *to = s->to;
    net_attr attr = {.slot = SLOT_WEIGHTS, .type = type, .offset = to->constants};
    struct inference_piece piece = {.from = from, .at = at, .to = to->constants, .count = count};
    VEC_PUSH(s->main->arena, &to->pieces, piece);
    int64_t end = to->constants + net_elements(&type);
    s->end = end > s->end ? end : s->end;
    to->constants += (count + ALIGN - 1) / ALIGN * ALIGN;
    return net_add(s->main, NET_input, NULL, 0, &attr, name, s->d);
}

/* The leaf of what the main net reads of constant `id`: a weight, or a value that `fold` gives out. */
static int leaf_of(splitter *s, int id)
{
    const net_node *v = &s->from->nodes.at[id];
    int64_t count = net_elements(&v->type), at = s->to->folded;
    if (v->prim == NET_input && v->attr.slot == SLOT_WEIGHTS)
        return add_leaf(s, v->type, PIECE_WEIGHTS, v->attr.offset, count, v->name);
    net_output_add(s->fold, s->fold_map[id], SLOT_USER, at);
    s->to->folded += count;
    if (v->prim == NET_bn_fixed)
        count = count / NORM_ROWS * NORM_ROWS_READ;
    return add_leaf(s, v->type, PIECE_FOLDED, at, count, v->name);
}

static int normalised(splitter *s, int images)
{
    int c = s->main->nodes.at[images].type.c;
    net_type type = {DT_F32, false, 1, 1, 1, c};
    int mean = add_leaf(s, type, PIECE_MEAN, 0, c, "mean");
    int std = add_leaf(s, type, PIECE_STD, 0, c, "std");
    int centred = net_add(s->main, NET_sub, (int[]){images, mean}, 2, NULL, "normalise", s->d);
    return net_add(s->main, NET_divide, (int[]){centred, std}, 2, NULL, "normalise", s->d);
}

static bool split_node(splitter *s, int id)
{
    const net_node *v = &s->from->nodes.at[id];
    s->main_map[id] = -1;
    s->constant[id] = is_constant(s, id);
    if (s->constant[id]) {
        s->fold_map[id] = net_copy_node(s->fold, s->from, id, s->fold_map, s->d);
        return s->fold_map[id] >= 0;
    }
    for (int i = 0; i < v->count; i++)
        if (s->main_map[v->operand[i]] < 0)
            s->main_map[v->operand[i]] = leaf_of(s, v->operand[i]);
    int copy = net_copy_node(s->main, s->from, id, s->main_map, s->d);
    if (copy >= 0 && s->o->normalise && v->prim == NET_input && v->attr.slot == SLOT_IMAGES)
        copy = normalised(s, copy);
    s->main_map[id] = copy;
    return copy >= 0;
}

/* A net with the regions and masks of `from`, but with slots of its own. */
static net *new_frame(arena *a, const net *from)
{
    net *n = net_copy_frame(a, from);
    n->params.count = 0;
    n->slot_size[SLOT_STATS] = 0;
    return n;
}

static bool split(splitter *s, arena *a)
{
    int count = s->from->nodes.count;
    s->main = new_frame(a, s->from);
    s->fold = net_copy_frame(a, s->from);
    s->main_map = NEW_ARRAY(a, int, count + 1);
    s->fold_map = NEW_ARRAY(a, int, count + 1);
    s->constant = NEW_ARRAY(a, bool, count + 1);
    for (int i = 0; i < count; i++)
        if (!split_node(s, i))
            return false;
    s->main->region = s->fold->region = 0;
    net_copy_outputs(s->main, s->from, s->main_map);
    s->to->constants = (s->end + ALIGN - 1) / ALIGN * ALIGN;
    s->main->slot_size[SLOT_WEIGHTS] = s->to->constants;
    s->fold->slot_size[SLOT_USER] = s->to->folded;
    s->to->net = s->main;
    s->to->fold = s->to->folded ? s->fold : NULL;
    return s->d->kind == DIAG_NONE;
}

bool inference_split(const net *n, const inference_options *o, arena *a, inference *result, nasc_diag *d)
{
    splitter state = {.to = result, .from = net_expand(a, n, d), .o = o, .d = d};
    return state.from && split(&state, a);
}

bool inference_build(const space *s, const settings *set, const inference_options *o, arena *a, inference *result,
                     nasc_diag *d)
{
    *result = (inference){0};
    space_net *built = &result->built;
    if (!space_build(s, set, (space_mode){.train = false}, a, built, d))
        return false;
    if (!o->scored)
        net_output_add(built->net, built->logits, SLOT_LOGITS, 0);
    else if (!objective_add(built, 0, 0, d))
        return false;
    return inference_split(built->net, o, a, result, d);
}

void inference_pack(const inference *i, const float *weights, const float *folded, const float *mean, const float *std,
                    float *constants)
{
    memset(constants, 0, (size_t)i->constants * sizeof *constants);
    for (int k = 0; k < i->pieces.count; k++) {
        const struct inference_piece *p = &i->pieces.at[k];
        const float *const from[] = {
            [PIECE_WEIGHTS] = weights, [PIECE_FOLDED] = folded, [PIECE_MEAN] = mean, [PIECE_STD] = std};
        memcpy(constants + p->to, from[p->from] + p->at, (size_t)p->count * sizeof *constants);
    }
}

/* ---- the order of weights ---------------------------------------------------------------------------------------- */

/* [sums][channels] to panels of so many channels; `from`: room for as many. */
static void turn(float *at, int64_t sums, int channels, int panel, float *from)
{
    memcpy(from, at, (size_t)(sums * channels) * sizeof *at);
    for (int lo = 0; lo < channels; lo += panel) {
        int width = channels - lo < panel ? channels - lo : panel;
        for (int64_t k = 0; k < sums; k++, at += width)
            memcpy(at, from + k * channels + lo, (size_t)width * sizeof *at);
    }
}

/* Does every reader of the leaf want panels of as many channels? How many; 0: no. */
static int panel_of(const net *n, int leaf, const target *t, bool small)
{
    int panel = 0;
    for (int i = leaf + 1; i < n->nodes.count; i++) {
        const net_node *v = &n->nodes.at[i];
        for (int k = 0; k < v->count; k++) {
            if (v->operand[k] != leaf)
                continue;
            int wanted = k == 1 ? lower_panel(n, v, t, small) : 0;
            if (!wanted || (panel && wanted != panel))
                return 0;
            panel = wanted;
        }
    }
    return panel;
}

void inference_arrange(const inference *i, const target *t, bool small, float *constants, arena *a)
{
    float *room = constants ? NEW_ARRAY(a, float, i->constants + 1) : NULL;
    for (int leaf = 0; leaf < i->net->nodes.count; leaf++) {
        net_node *v = &i->net->nodes.at[leaf];
        if (v->prim != NET_input || v->attr.slot != SLOT_WEIGHTS)
            continue;
        v->attr.panel = panel_of(i->net, leaf, t, small);
        if (v->attr.panel && constants)
            turn(constants + v->attr.offset, net_elements(&v->type) / v->type.c, v->type.c, v->attr.panel, room);
    }
}
