/* Ops into the net: each step appends its node, a parameter is named by the path to its step. */
#include "space/build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- paths and diagnostics --------------------------------------------------------------------------------------- */

size_t path_enter(builder *b, const char *name, const char *where)
{
    size_t mark = strlen(b->path), room = sizeof b->path - mark;
    if (*name && strlen(name) + 1 >= room)
        diag_fail(b->diag, DIAG_INPUT, where,
                  "found names that make a path of %zu characters or more, expected shorter names", sizeof b->path);
    else if (*name)
        snprintf(b->path + mark, room, "%s%s", mark ? "." : "", name);
    return mark;
}

size_t path_enter_index(builder *b, const char *name, int index, const char *where)
{
    char number[16];
    snprintf(number, sizeof number, "%d", index);
    size_t mark = path_enter(b, name, where);
    path_enter(b, number, where);
    return mark;
}

void path_leave(builder *b, size_t mark)
{
    b->path[mark] = 0;
}

const char *path_of(builder *b, const char *last)
{
    return arena_printf(b->arena, "%s%s%s", b->path, *b->path && *last ? "." : "", last);
}

bool build_failed(const builder *b)
{
    return b->diag->kind != DIAG_NONE;
}

int flow_channels(const builder *b, flow x)
{
    return x.value < 0 ? 0 : b->net->nodes.at[x.value].type.c;
}

int64_t build_number(builder *b, const expr *e, const scope *s, const char *where, const char *key, int64_t low,
                     int64_t high)
{
    char problem[256];
    int64_t value = low;
    if (build_failed(b))
        return low;
    const char *slash = *key ? "/" : "";
    if (!expr_value(e, s, &value, problem, sizeof problem))
        diag_fail(b->diag, DIAG_INPUT, arena_printf(b->arena, "%s%s%s", where, slash, key), "%s", problem);
    else if (value < low || value > high)
        diag_fail(b->diag, DIAG_INPUT, arena_printf(b->arena, "%s%s%s", where, slash, key),
                  "found %lld, expected a number from %lld to %lld", (long long)value, (long long)low, (long long)high);
    return value < low || value > high ? low : value;
}

int build_node(builder *b, enum net_prim prim, const int *operand, int count, const net_attr *attr, const char *where)
{
    if (build_failed(b))
        return -1;
    nasc_diag why = {0};
    int id = net_add(b->net, prim, operand, count, attr, path_of(b, ""), &why);
    if (id < 0)
        diag_fail(b->diag, why.kind, where, "%s (at %s)", why.message, b->path);
    else if (b->net->nodes.at[id].type.c > SPACE_CHANNELS_MAX)
        diag_fail(b->diag, DIAG_INPUT, where, "found a map of %d channels, expected at most %d (at %s)",
                  b->net->nodes.at[id].type.c, SPACE_CHANNELS_MAX, b->path);
    return id;
}

/* ---- primitives ----------------------------------------------------------------------------------------------- */

/* The attributes of a step as numbers, in the order of the primitive's row. */
typedef struct numbers {
    int y[PRIMITIVE_ATTRIBUTES_MAX], x[PRIMITIVE_ATTRIBUTES_MAX];
    double real[PRIMITIVE_ATTRIBUTES_MAX];
    bool given[PRIMITIVE_ATTRIBUTES_MAX];
} numbers;

typedef flow build_fn(builder *b, const step *s, flow x, const numbers *a);

static flow one(builder *b, const step *s, enum net_prim prim, flow x, const net_attr *attr)
{
    return (flow){build_node(b, prim, &x.value, 1, attr, s->where), x.stride};
}

/* A leaf that must be new: two steps of the same path would share one tensor unseen. */
static int new_leaf(builder *b, const step *s, const char *name, const int dim[4], enum net_layout layout,
                    int init_kind, double init)
{
    int known = b->net->params.count;
    const char *path = path_of(b, name);
    int leaf = net_weight(b->net, path, dim, layout, init_kind, init);
    if (leaf < 0 || b->net->params.count == known)
        diag_fail(b->diag, DIAG_INPUT, s->where,
                  "found a second parameter \"%.200s\", expected different names (\"name\") for steps", path);
    return leaf;
}

/* Whether a layer's weights are as few as a leaf can hold. */
static bool weights_fit(builder *b, const step *s, const char *layer, int64_t count)
{
    enum { WEIGHT_MAX = 1 << 30 };
    return count <= WEIGHT_MAX || diag_fail(b->diag, DIAG_INPUT, s->where,
                                            "found a %s of more than %d weights, expected fewer", layer, WEIGHT_MAX);
}

static int weight(builder *b, const step *s, int ky, int kx, int ci, int co, enum net_layout layout)
{
    const int dim[4] = {ky, kx, ci, co};
    if (b->space->normal_init && layout == LAYOUT_CONV)
        return new_leaf(b, s, "weight", dim, layout, INIT_NORMAL, sqrt(2.0 / ((double)ky * kx * co)));
    return new_leaf(b, s, "weight", dim, layout, INIT_UNIFORM, 1 / sqrt((double)ky * kx * ci));
}

static int vector(builder *b, const step *s, const char *name, int channels, int init_kind, double init)
{
    return new_leaf(b, s, name, (int[]){1, 1, 1, channels}, LAYOUT_VECTOR, init_kind, init);
}

static const char *attribute_where(builder *b, const step *s, const char *key)
{
    return arena_printf(b->arena, "%s/%s/%s", s->where, s->primitive->name, key);
}

static net_window window(const numbers *a, int kernel, int stride, int padding, int dilation)
{
    net_window w = {
        .kh = a->y[kernel], .kw = a->x[kernel], .sh = a->y[stride], .sw = a->x[stride], .dh = 1, .dw = 1, .groups = 1};
    if (dilation >= 0) {
        w.dh = a->y[dilation];
        w.dw = a->x[dilation];
    }
    w.top = w.bottom = a->given[padding] ? a->y[padding] : w.dh * (w.kh - 1) / 2;
    w.left = w.right = a->given[padding] ? a->x[padding] : w.dw * (w.kw - 1) / 2;
    return w;
}

static flow build_conv(builder *b, const step *s, flow x, const numbers *a)
{
    enum { OUT, KERNEL, STRIDE, PADDING, DILATION, GROUPS, BIAS };
    int c = flow_channels(b, x), out = a->y[OUT], groups = a->y[GROUPS];
    if (c % groups || out % groups)
        diag_fail(b->diag, DIAG_INPUT, attribute_where(b, s, "groups"),
                  "found %d, expected a divisor of %d and %d channels", groups, c, out);
    if (build_failed(b) || !weights_fit(b, s, "convolution", (int64_t)a->y[KERNEL] * a->x[KERNEL] * (c / groups) * out))
        return x;
    net_attr attr = {.window = window(a, KERNEL, STRIDE, PADDING, DILATION)};
    attr.window.groups = groups;
    int kh = attr.window.kh, kw = attr.window.kw;
    int operand[3] = {x.value, weight(b, s, kh, kw, c / groups, out, LAYOUT_CONV)};
    if (a->y[BIAS])
        operand[2] = vector(b, s, "bias", out, INIT_UNIFORM, 1 / sqrt((double)kh * kw * (c / groups)));
    return (flow){build_node(b, NET_conv, operand, 2 + a->y[BIAS], &attr, s->where), x.stride * attr.window.sh};
}

static flow build_linear(builder *b, const step *s, flow x, const numbers *a)
{
    enum { OUT, BIAS };
    int c = flow_channels(b, x), out = a->y[OUT];
    const net_type *t = &b->net->nodes.at[x.value].type;
    if (t->h != 1 || t->w != 1) {
        diag_fail(b->diag, DIAG_INPUT, s->where,
                  "found a map of %dx%d, expected 1x1 before a linear layer (a \"global_pool\"?)", t->h, t->w);
        return x;
    }
    if (!weights_fit(b, s, "linear layer", (int64_t)c * out))
        return x;
    int operand[3] = {x.value, weight(b, s, 1, 1, c, out, LAYOUT_LINEAR)};
    if (a->y[BIAS])
        operand[2] = vector(b, s, "bias", out, INIT_UNIFORM, 1 / sqrt(c));
    return (flow){build_node(b, NET_linear, operand, 2 + a->y[BIAS], NULL, s->where), x.stride};
}

static flow build_batch_norm(builder *b, const step *s, flow x, const numbers *a)
{
    enum { AFFINE, EPS, MOMENTUM };
    int c = flow_channels(b, x);
    net_attr attr = {.eps = a->real[EPS],
                     .momentum = a->real[MOMENTUM],
                     .train = b->mode.train,
                     .move = b->mode.train && b->mode.move};
    int operand[4] = {x.value}, count = 2;
    if (a->y[AFFINE]) {
        operand[2] = vector(b, s, "weight", c, INIT_ONE, 0);
        operand[3] = vector(b, s, "bias", c, INIT_ZERO, 0);
        count = 4;
    }
    int known = b->net->params.count;
    operand[1] = net_stats(b->net, path_of(b, ""), c);
    if (operand[1] < 0 || b->net->params.count == known)
        diag_fail(b->diag, DIAG_INPUT, s->where,
                  "found second statistics \"%.200s\", expected different names (\"name\") for steps", b->path);
    return (flow){build_node(b, NET_batch_norm, operand, count, &attr, s->where), x.stride};
}

static flow pool(builder *b, const step *s, enum net_prim prim, flow x, const numbers *a)
{
    enum { KERNEL, STRIDE, PADDING };
    net_attr attr = {.window = window(a, KERNEL, STRIDE, PADDING, -1)};
    const net_window *w = &attr.window;
    if (2 * w->top > w->kh || 2 * w->left > w->kw) {
        diag_fail(b->diag, DIAG_INPUT, attribute_where(b, s, "padding"),
                  "found %d, expected at most half of the kernel", 2 * w->top > w->kh ? w->top : w->left);
        return x;
    }
    flow y = one(b, s, prim, x, &attr);
    y.stride *= w->sh;
    return y;
}

static flow build_max_pool(builder *b, const step *s, flow x, const numbers *a)
{
    return pool(b, s, NET_max_pool, x, a);
}

static flow build_avg_pool(builder *b, const step *s, flow x, const numbers *a)
{
    return pool(b, s, NET_avg_pool, x, a);
}

#define BUILD_MAP(name)                                                                                                \
    static flow build_##name(builder *b, const step *s, flow x, const numbers *a)                                      \
    {                                                                                                                  \
        (void)a;                                                                                                       \
        return one(b, s, NET_##name, x, NULL);                                                                         \
    }
BUILD_MAP(global_pool)
BUILD_MAP(relu)
BUILD_MAP(relu6)
BUILD_MAP(hard_swish)
BUILD_MAP(sigmoid)
BUILD_MAP(hard_sigmoid)
BUILD_MAP(tanh)

static flow build_zero(builder *b, const step *s, flow x, const numbers *a)
{
    flow y =
        one(b, s, NET_zero, x,
            &(net_attr){.window = {.kh = 1, .kw = 1, .sh = a->y[0], .sw = a->x[0], .dh = 1, .dw = 1, .groups = 1}});
    y.stride *= a->y[0];
    return y;
}

/* The map moved up and left; zeros come in from beyond the edge. */
static flow build_shift(builder *b, const step *s, flow x, const numbers *a)
{
    int y = a->y[0], left = a->y[1];
    return one(b, s, NET_pad, x, &(net_attr){.window = {.top = -y, .bottom = y, .left = -left, .right = left}});
}

static flow build_pad(builder *b, const step *s, flow x, const numbers *a)
{
    return one(b, s, NET_pad, x,
               &(net_attr){.window = {.top = a->y[0], .left = a->y[1], .bottom = a->y[2], .right = a->y[3]}});
}

static flow build_slice(builder *b, const step *s, flow x, const numbers *a)
{
    return one(b, s, NET_slice, x, &(net_attr){.begin = a->y[0], .count = a->y[1]});
}

static flow build_shuffle(builder *b, const step *s, flow x, const numbers *a)
{
    return one(b, s, NET_shuffle, x, &(net_attr){.window = {.groups = a->y[0]}});
}

static flow masked(builder *b, const char *where, flow x, int channels, double rate)
{
    int operand[2] = {x.value, net_mask(b->net, channels, rate, path_of(b, "mask"))};
    return (flow){build_node(b, NET_mul, operand, 2, NULL, where), x.stride};
}

static flow build_dropout(builder *b, const step *s, flow x, const numbers *a)
{
    return b->mode.train && a->real[0] > 0 ? masked(b, s->where, x, flow_channels(b, x), a->real[0]) : x;
}

flow build_drop(builder *b, flow x, double rate, const char *where)
{
    bool drops = b->mode.train && !b->search && settings_number(b->set, SETTING_drop_path) > 0;
    return drops && !build_failed(b) ? masked(b, where, x, 1, rate) : x;
}

static flow build_drop_path(builder *b, const step *s, flow x, const numbers *a)
{
    return build_drop(b, x, a->real[0], s->where);
}

static build_fn *const build_table[PRIMITIVE_COUNT] = {
#define X(name, attributes) build_##name,
    SPACE_PRIMITIVES(X)
#undef X
};

/* ---- steps ---------------------------------------------------------------------------------------------------- */

enum { PLACE_VARIABLES = 5 };

/* The scope of a step: what its place says, before what is bound around it. */
static scope step_scope(builder *b, flow x, const place *p, variable *at)
{
    at[0] = (variable){"C", p->C};
    at[1] = (variable){"c_out", p->C};
    at[2] = (variable){"s", p->s};
    at[3] = (variable){"c_in", p->c_in};
    at[4] = (variable){"c", flow_channels(b, x)};
    return (scope){p->outer, at, PLACE_VARIABLES};
}

static bool find_numbers(builder *b, const step *s, const scope *vars, numbers *a)
{
    const primitive *p = s->primitive;
    *a = (numbers){0};
    for (int i = 0; i < PRIMITIVE_ATTRIBUTES_MAX && p->attributes[i].name && !build_failed(b); i++) {
        const attribute *row = &p->attributes[i];
        const attribute_value *v = &s->value[i];
        const char *where = arena_printf(b->arena, "%s/%s", s->where, p->name);
        a->given[i] = v->given;
        if (row->kind == ATTRIBUTE_REAL)
            a->real[i] = v->setting ? settings_number(b->set, (enum setting_id)setting_find(v->setting)) : v->real;
        else if (row->kind == ATTRIBUTE_FLAG)
            a->y[i] = build_number(b, v->y, vars, where, row->name, INT64_MIN, INT64_MAX) != 0;
        else if (v->y) {
            a->y[i] = (int)build_number(b, v->y, vars, where, row->name, row->low, row->high);
            a->x[i] = (int)build_number(b, v->x, vars, where, row->name, row->low, row->high);
        }
    }
    return !build_failed(b);
}

static flow build_list(builder *b, const steps *list, flow x, const place *p, const char *prefix, int *index);

static flow build_use(builder *b, const step *s, flow x, const place *p, const scope *vars)
{
    variable *bound = NEW_ARRAY(b->arena, variable, s->with_count);
    scope inner = {p->outer, bound, s->with_count};
    place at = {&inner, p->C, p->s, flow_channels(b, x)};
    for (int i = 0; i < s->with_count; i++) {
        const char *name = s->with[i].name;
        bool channels = strcmp(name, "C") == 0 || strcmp(name, "c_out") == 0, stride = strcmp(name, "s") == 0;
        bound[i] = (variable){name, build_number(b, s->with[i].value, vars, arena_printf(b->arena, "%s/with", s->where),
                                                 name, channels || stride ? 1 : INT32_MIN,
                                                 channels ? SPACE_CHANNELS_MAX : INT32_MAX)};
        if (channels)
            at.C = bound[i].value;
        else if (stride)
            at.s = bound[i].value;
    }
    return build_steps(b, &s->used->body, x, &at);
}

static flow build_branches(builder *b, const step *s, flow x, const place *p)
{
    static const enum net_prim joins[] = {[JOIN_ADD] = NET_add, [JOIN_MUL] = NET_mul, [JOIN_CONCAT] = NET_concat};
    int *values = NEW_ARRAY(b->arena, int, s->branches);
    int64_t stride = 0;
    for (int i = 0; i < s->branches; i++) {
        int index = 0;
        flow y = build_list(b, &s->branch[i], x, p, arena_printf(b->arena, "%d.", i), &index);
        values[i] = y.value;
        stride = y.stride > stride ? y.stride : stride;
    }
    if (s->branches == 1)
        return (flow){values[0], stride};
    return (flow){build_node(b, joins[s->join], values, s->branches, NULL, s->where), stride};
}

static flow build_step(builder *b, const step *s, flow x, const place *p)
{
    variable at[PLACE_VARIABLES];
    scope vars = step_scope(b, x, p, at);
    numbers a;
    if (++b->steps > SPACE_STEPS_MAX)
        diag_fail(b->diag, DIAG_INPUT, s->where, "found a network of more than %d steps, expected fewer",
                  SPACE_STEPS_MAX);
    if (build_failed(b))
        return x;
    switch (s->kind) {
    case STEP_USE:
        return build_use(b, s, x, p, &vars);
    case STEP_BRANCHES:
        return build_branches(b, s, x, p);
    default:
        return find_numbers(b, s, &vars, &a) ? build_table[s->primitive - primitive_table](b, s, x, &a) : x;
    }
}

bool build_condition(builder *b, const expr *e, flow x, const place *p, const char *where)
{
    variable at[PLACE_VARIABLES];
    scope vars = step_scope(b, x, p, at);
    return !e || build_number(b, e, &vars, where, "if", INT64_MIN, INT64_MAX) != 0;
}

/* The steps of a taken "if" stand in its place, so they take its number and the following ones. */
static flow build_list(builder *b, const steps *list, flow x, const place *p, const char *prefix, int *index)
{
    for (int i = 0; i < list->count && !build_failed(b); i++) {
        const step *s = &list->at[i];
        if (s->kind == STEP_IF) {
            bool holds = build_condition(b, s->condition, x, p, s->where);
            x = build_list(b, &s->branch[holds ? 0 : 1], x, p, prefix, index);
            continue;
        }
        const char *name = s->name ? s->name : arena_printf(b->arena, "%s%d", prefix, *index);
        size_t mark = path_enter(b, name, s->where);
        x = build_step(b, s, x, p);
        path_leave(b, mark);
        ++*index;
    }
    return x;
}

flow build_steps(builder *b, const steps *list, flow x, const place *p)
{
    int index = 0;
    return build_list(b, list, x, p, "", &index);
}

flow build_op(builder *b, const op *o, flow x, const place *p, const char *where)
{
    place at = *p;
    at.c_in = flow_channels(b, x);
    flow y = build_steps(b, &o->body, x, &at);
    if (!build_failed(b) && flow_channels(b, y) != p->C)
        diag_fail(b->diag, DIAG_INPUT, where, "found that the op \"%.60s\" gives %d channels, expected %lld (at %s)",
                  o->name, flow_channels(b, y), (long long)p->C, b->path);
    return y;
}
