/* A net as built, node by node, as an ONNX graph. The net is NHWC, ONNX is NCHW: only shapes are written otherwise, and
 * weights come in the layout that files have. A row of `rows` says what writes a primitive; one without a row is refused
 * by its name, so that a new primitive is never left out in silence. */
#include "emit/onnx.h"
#include "emit/onnx_graph.h"

#include <string.h>

typedef struct writer {
    onnx_graph g;
    const onnx_model *m;
    const char **value; /* of each node, what ONNX calls it; NULL: not written (yet) */
    bool *flat;         /* (n, c), as a linear layer leaves it, where the net has (n, 1, 1, c) */
    bool *live;         /* the logits need it */
    bool *written;      /* parameters */
    bool constants[2];  /* of enum constant: written */
    const char *path;
    onnx_sizes *sizes;
    nasc_diag *d;
} writer;

/* Writes node `id` and returns the name of its result; NULL with a diagnostic. */
typedef const char *write_fn(writer *w, int id, const char *op);

static const net_node *node_of(const writer *w, int id)
{
    return &w->m->net->nodes.at[id];
}

static const net_type *type_of(const writer *w, int id)
{
    return &node_of(w, id)->type;
}

static const char *refuse(writer *w, int id, const char *why)
{
    const net_node *v = node_of(w, id);
    diag_fail(w->d, DIAG_INPUT, v->name ? v->name : w->m->name, "%s %s", net_prim_info[v->prim].name, why);
    return NULL;
}

/* ---- operands ---------------------------------------------------------------------------------------------------- */

static const char *path_of(writer *w, int id, const char *what)
{
    const char *name = node_of(w, id)->name;
    return arena_printf(w->g.a, "%s/%s_%d", name ? name : "", what, id);
}

static const char *reshape(writer *w, const char *x, int id, const int64_t *shape, int rank)
{
    const char *list = onnx_list(&w->g, path_of(w, w->g.nodes.count, "shape"), shape, rank);
    return onnx_result(onnx_node(&w->g, "Reshape", node_of(w, id)->name, (const char *[]){x, list}, 2));
}

/* Operand i as (n, c, h, w). */
static const char *image(writer *w, int id, int i)
{
    int x = node_of(w, id)->operand[i];
    if (w->flat[x]) {
        w->value[x] = reshape(w, w->value[x], x, (int64_t[]){0, type_of(w, x)->c, 1, 1}, 4);
        w->flat[x] = false;
    }
    return w->value[x];
}

static int find_parameter(const writer *w, enum net_slot slot, int64_t offset)
{
    const net *n = w->m->net;
    for (int i = 0; i < n->params.count; i++)
        if (n->params.at[i].slot == slot && n->params.at[i].offset == offset)
            return i;
    BUG("no parameter lies at element %lld", (long long)offset);
}

/* The tensor that leaf `id` is, or begins at element `from` of it; shaped as PyTorch has it. */
static const char *parameter(writer *w, int id, int64_t from)
{
    const net_attr *leaf = &node_of(w, id)->attr;
    int at = find_parameter(w, leaf->slot, leaf->offset + from);
    const net_param *p = &w->m->net->params.at[at];
    const int *dim = p->dim;
    int64_t conv[4] = {dim[3], dim[2], dim[0], dim[1]}, linear[2] = {dim[3], dim[2]}, vector[1] = {dim[3]};
    if (w->written[at])
        return p->name;
    w->written[at] = true;
    if (p->layout == LAYOUT_CONV)
        return onnx_floats(&w->g, p->name, w->m->values[at], conv, 4);
    if (p->layout == LAYOUT_LINEAR)
        return onnx_floats(&w->g, p->name, w->m->values[at], linear, 2);
    return onnx_floats(&w->g, p->name, w->m->values[at], vector, 1);
}

/* A number that nodes share. */
enum constant { ZERO, SIX };
static const char *constant(writer *w, enum constant k)
{
    static const float values[] = {[ZERO] = 0, [SIX] = 6};
    static const char *const names[] = {[ZERO] = "zero", [SIX] = "six"};
    if (!w->constants[k])
        onnx_floats(&w->g, names[k], &values[k], NULL, 0);
    w->constants[k] = true;
    return names[k];
}

/* A vector of equal values, for a batch norm that has none of its own. */
static const char *even_vector(writer *w, int id, const char *what, float value)
{
    int64_t count = type_of(w, id)->c;
    float *values = NEW_ARRAY(w->g.a, float, count);
    for (int64_t c = 0; c < count; c++)
        values[c] = value;
    return onnx_floats(&w->g, path_of(w, id, what), values, &count, 1);
}

/* ---- primitives -------------------------------------------------------------------------------------------------- */

/* All operands, no attributes. */
static const char *write_plain(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    const char **inputs = NEW_ARRAY(w->g.a, const char *, v->count);
    for (int i = 0; i < v->count; i++)
        inputs[i] = image(w, id, i);
    return onnx_result(onnx_node(&w->g, op, v->name, inputs, v->count));
}

static const char *write_relu6(writer *w, int id, const char *op)
{
    const char *inputs[] = {image(w, id, 0), constant(w, ZERO), constant(w, SIX)};
    return onnx_result(onnx_node(&w->g, op, node_of(w, id)->name, inputs, 3));
}

static const char *write_hard_sigmoid(writer *w, int id, const char *op)
{
    Onnx__NodeProto *made = onnx_node(&w->g, op, node_of(w, id)->name, (const char *[]){image(w, id, 0)}, 1);
    onnx_float(&w->g, made, "alpha", 1.0f / 6);
    onnx_float(&w->g, made, "beta", 0.5f);
    return onnx_result(made);
}

static const char *write_identity(writer *w, int id, const char *op)
{
    (void)op;
    return image(w, id, 0);
}

/* What adds nothing is left out (`none` of a cell), unless nothing else is added. */
static bool is_left_out(const writer *w, const net_node *add, int i)
{
    bool needed = i + 1 == add->count; /* the last stands for all, where all are zero */
    for (int k = 0; needed && k < i; k++)
        needed = node_of(w, add->operand[k])->prim == NET_zero;
    return add->prim == NET_add && node_of(w, add->operand[i])->prim == NET_zero && !needed;
}

static const char *write_add(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    const char *sum = NULL;
    for (int i = 0; i < v->count; i++) {
        if (is_left_out(w, v, i))
            continue;
        const char *x = image(w, id, i);
        sum = sum ? onnx_result(onnx_node(&w->g, op, v->name, (const char *[]){sum, x}, 2)) : x;
    }
    return sum;
}

/* Of `axes` axes from `axis` on, what lies from `from` to before `to`; of that each `step`th (NULL: all). */
static const char *write_cut(writer *w, int id, const char *x, int axis, int axes, const int64_t from[],
                             const int64_t to[], const int64_t step[])
{
    const int64_t along[] = {axis, axis + 1};
    const char *inputs[] = {x, onnx_list(&w->g, path_of(w, id, "starts"), from, axes),
                            onnx_list(&w->g, path_of(w, id, "ends"), to, axes),
                            onnx_list(&w->g, path_of(w, id, "axes"), along, axes),
                            step ? onnx_list(&w->g, path_of(w, id, "steps"), step, axes) : NULL};
    return onnx_result(onnx_node(&w->g, "Slice", node_of(w, id)->name, inputs, step ? 5 : 4));
}

/* Every s-th pixel, times zero. */
static const char *write_zero(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    const net_window *window = &v->attr.window;
    const char *x = image(w, id, 0);
    if (window->sh > 1 || window->sw > 1)
        x = write_cut(w, id, x, 2, 2, (int64_t[]){0, 0}, (int64_t[]){INT32_MAX, INT32_MAX},
                      (int64_t[]){window->sh, window->sw});
    return onnx_result(onnx_node(&w->g, op, v->name, (const char *[]){x, constant(w, ZERO)}, 2));
}

static bool set_window(writer *w, int id, Onnx__NodeProto *made, int kh, int kw)
{
    const net_window *v = &node_of(w, id)->attr.window;
    if (v->top < 0 || v->left < 0 || v->bottom < 0 || v->right < 0)
        return refuse(w, id, "cuts off its input's edge, which ONNX's windows do not");
    onnx_ints(&w->g, made, "kernel_shape", (int64_t[]){kh, kw}, 2);
    onnx_ints(&w->g, made, "strides", (int64_t[]){v->sh, v->sw}, 2);
    onnx_ints(&w->g, made, "pads", (int64_t[]){v->top, v->left, v->bottom, v->right}, 4);
    return true;
}

static const char *write_conv(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    const net_window *window = &v->attr.window;
    const net_type *weights = type_of(w, v->operand[1]);
    const char *inputs[3] = {image(w, id, 0), parameter(w, v->operand[1], 0)};
    if (v->count > 2)
        inputs[2] = parameter(w, v->operand[2], 0);
    Onnx__NodeProto *made = onnx_node(&w->g, op, v->name, inputs, v->count);
    onnx_ints(&w->g, made, "dilations", (int64_t[]){window->dh, window->dw}, 2);
    onnx_int(&w->g, made, "group", window->groups);
    return set_window(w, id, made, weights->n, weights->h) ? onnx_result(made) : NULL;
}

/* ONNX leaves what is beyond the edge out of the maximum, and out of the mean unless told otherwise. */
static const char *write_pool(writer *w, int id, const char *op)
{
    const net_window *window = &node_of(w, id)->attr.window;
    Onnx__NodeProto *made = onnx_node(&w->g, op, node_of(w, id)->name, (const char *[]){image(w, id, 0)}, 1);
    return set_window(w, id, made, window->kh, window->kw) ? onnx_result(made) : NULL;
}

static const char *write_linear(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    int x = v->operand[0];
    const char *inputs[3] = {w->value[x], parameter(w, v->operand[1], 0)};
    if (!w->flat[x])
        inputs[0] = onnx_result(onnx_node(&w->g, "Flatten", v->name, inputs, 1));
    if (v->count > 2)
        inputs[2] = parameter(w, v->operand[2], 0);
    Onnx__NodeProto *made = onnx_node(&w->g, op, v->name, inputs, v->count);
    onnx_int(&w->g, made, "transB", 1);
    w->flat[id] = true;
    return onnx_result(made);
}

static const char *write_batch_norm(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    CHECK(!v->attr.train);
    bool affine = v->count > 2;
    const char *inputs[] = {image(w, id, 0), affine ? parameter(w, v->operand[2], 0) : even_vector(w, id, "ones", 1),
                            affine ? parameter(w, v->operand[3], 0) : even_vector(w, id, "zeros", 0),
                            parameter(w, v->operand[1], 0), parameter(w, v->operand[1], v->type.c)};
    Onnx__NodeProto *made = onnx_node(&w->g, op, v->name, inputs, 5);
    onnx_float(&w->g, made, "epsilon", (float)v->attr.eps);
    return onnx_result(made);
}

static const char *write_concat(writer *w, int id, const char *op)
{
    const char *result = write_plain(w, id, op);
    onnx_int(&w->g, w->g.nodes.at[w->g.nodes.count - 1], "axis", 1);
    return result;
}

static const char *write_slice(writer *w, int id, const char *op)
{
    (void)op;
    const net_attr *a = &node_of(w, id)->attr;
    const int64_t from[] = {a->begin}, to[] = {a->begin + a->count};
    return write_cut(w, id, image(w, id, 0), 1, 1, from, to, NULL);
}

static int64_t above(int64_t value)
{
    return value > 0 ? value : 0;
}

/* A shift pads by less than nothing on one side. ONNX allows that, and few readers do: they get a Slice. */
static const char *write_pad(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    const net_window *p = &v->attr.window;
    const net_type *t = type_of(w, v->operand[0]);
    const char *x = image(w, id, 0);
    if (p->top < 0 || p->left < 0 || p->bottom < 0 || p->right < 0)
        x = write_cut(w, id, x, 2, 2, (int64_t[]){above(-p->top), above(-p->left)},
                      (int64_t[]){t->h - above(-p->bottom), t->w - above(-p->right)}, NULL);
    const int64_t pads[] = {0, 0, above(p->top), above(p->left), 0, 0, above(p->bottom), above(p->right)};
    const char *inputs[] = {x, onnx_list(&w->g, path_of(w, id, "pads"), pads, 8)};
    return onnx_result(onnx_node(&w->g, op, v->name, inputs, 2));
}

static const char *write_shuffle(writer *w, int id, const char *op)
{
    const net_node *v = node_of(w, id);
    int64_t groups = v->attr.window.groups, h = v->type.h, width = v->type.w, c = v->type.c;
    const char *apart = reshape(w, image(w, id, 0), id, (int64_t[]){0, groups, c / groups, h, width}, 5);
    Onnx__NodeProto *made = onnx_node(&w->g, op, v->name, &apart, 1);
    onnx_ints(&w->g, made, "perm", (int64_t[]){0, 2, 1, 3, 4}, 5);
    return reshape(w, onnx_result(made), id, (int64_t[]){0, c, h, width}, 4);
}

static const char *per_channel(writer *w, int id, const char *op, const char *x, const char *name, const float *values)
{
    const int64_t shape[] = {1, type_of(w, id)->c, 1, 1};
    const char *inputs[] = {x, onnx_floats(&w->g, name, values, shape, 4)};
    return onnx_result(onnx_node(&w->g, op, "normalise", inputs, 2));
}

/* Images; weights and statistics are written where they are used. */
static const char *write_input(writer *w, int id, const char *op)
{
    const onnx_model *m = w->m;
    if (node_of(w, id)->attr.slot != SLOT_IMAGES)
        return op;
    const char *x = op;
    if (m->channels_last) {
        Onnx__NodeProto *made = onnx_node(&w->g, "Transpose", "", &x, 1);
        onnx_ints(&w->g, made, "perm", (int64_t[]){0, 3, 1, 2}, 4);
        x = onnx_result(made);
    }
    if (!m->mean)
        return x;
    return per_channel(w, id, "Div", per_channel(w, id, "Sub", x, "mean", m->mean), "std", m->std);
}

#define IMAGES "images"
#define LOGITS "logits"

/* A row a primitive: what writes it, and as which of ONNX's operators. */
static const struct {
    write_fn *write;
    const char *op;
} rows[NET_PRIM_COUNT] = {
    [NET_input] = {write_input, IMAGES},
    [NET_conv] = {write_conv, "Conv"},
    [NET_linear] = {write_linear, "Gemm"},
    [NET_max_pool] = {write_pool, "MaxPool"},
    [NET_avg_pool] = {write_pool, "AveragePool"},
    [NET_global_pool] = {write_plain, "GlobalAveragePool"},
    [NET_batch_norm] = {write_batch_norm, "BatchNormalization"},
    [NET_relu] = {write_plain, "Relu"},
    [NET_relu6] = {write_relu6, "Clip"},
    [NET_hard_swish] = {write_plain, "HardSwish"},
    [NET_hard_sigmoid] = {write_hard_sigmoid, "HardSigmoid"},
    [NET_sigmoid] = {write_plain, "Sigmoid"},
    [NET_tanh] = {write_plain, "Tanh"},
    [NET_add] = {write_add, "Add"},
    [NET_mul] = {write_plain, "Mul"},
    [NET_concat] = {write_concat, "Concat"},
    [NET_slice] = {write_slice, "Slice"},
    [NET_pad] = {write_pad, "Pad"},
    [NET_shuffle] = {write_shuffle, "Transpose"},
    [NET_zero] = {write_zero, "Mul"},
    [NET_identity] = {write_identity, NULL},
};

/* ---- the graph --------------------------------------------------------------------------------------------------- */

/* Marks what the logits need. */
static void mark_live(writer *w)
{
    w->live[w->m->logits] = true;
    for (int id = w->m->logits; id >= 0; id--) {
        const net_node *v = node_of(w, id);
        for (int i = 0; w->live[id] && i < v->count; i++)
            if (!is_left_out(w, v, i))
                w->live[v->operand[i]] = true;
    }
}

static bool write_nodes(writer *w)
{
    mark_live(w);
    for (int id = 0; id <= w->m->logits; id++) {
        if (!w->live[id])
            continue;
        enum net_prim prim = node_of(w, id)->prim;
        if (!rows[prim].write)
            return refuse(w, id, "has no counterpart in ONNX");
        w->value[id] = rows[prim].write(w, id, rows[prim].op);
        if (!w->value[id])
            return false;
    }
    const char *last = w->value[w->m->logits];
    const char *op = w->flat[w->m->logits] ? "Identity" : "Flatten";
    onnx_node(&w->g, op, NULL, &last, 1)->output[0] = arena_strdup(w->g.a, LOGITS);
    return true;
}

static Onnx__GraphProto *make_graph(writer *w, Onnx__GraphProto *graph)
{
    const net *n = w->m->net;
    const net_type *x = NULL, *logits = type_of(w, w->m->logits);
    for (int i = 0; i < n->nodes.count && !x; i++)
        if (n->nodes.at[i].prim == NET_input && n->nodes.at[i].attr.slot == SLOT_IMAGES)
            x = type_of(w, i);
    CHECK(x);
    const int64_t first[] = {x->c, x->h, x->w}, last[] = {x->h, x->w, x->c}, classes = logits->c;
    Onnx__ValueInfoProto **ends = NEW_ARRAY(w->g.a, Onnx__ValueInfoProto *, 2);
    ends[0] = onnx_value(&w->g, IMAGES, w->m->channels_last ? last : first, 3);
    ends[1] = onnx_value(&w->g, LOGITS, &classes, 1);
    graph->name = arena_strdup(w->g.a, w->m->name);
    graph->node = w->g.nodes.at;
    graph->n_node = (size_t)w->g.nodes.count;
    graph->initializer = w->g.tensors.at;
    graph->n_initializer = (size_t)w->g.tensors.count;
    graph->n_input = graph->n_output = 1;
    graph->input = &ends[0];
    graph->output = &ends[1];
    return graph;
}

/* protobuf holds no message of 2 GiB or more. */
static bool write_file(writer *w, const Onnx__ModelProto *model, const char *path, int64_t *bytes)
{
    size_t size = onnx__model_proto__get_packed_size(model);
    if (size > INT32_MAX)
        return diag_fail(w->d, DIAG_INPUT, path, "would have %zu bytes, expected at most %d in an ONNX file", size,
                         INT32_MAX);
    uint8_t *packed = arena_alloc(w->g.a, size);
    onnx__model_proto__pack(model, packed);
    *bytes = (int64_t)size;
    return file_replace(path, packed, size, w->d);
}

static bool write_model(void *user, arena *a, nasc_diag *d)
{
    writer *w = user;
    w->g.a = a;
    w->d = d;
    int count = w->m->net->nodes.count;
    w->value = NEW_ARRAY(a, const char *, count);
    w->flat = NEW_ARRAY(a, bool, count);
    w->live = NEW_ARRAY(a, bool, count);
    w->written = NEW_ARRAY(a, bool, w->m->net->params.count + 1);
    if (!write_nodes(w))
        return false;
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    opset.domain = arena_strdup(a, "");
    opset.has_version = model.has_ir_version = true;
    opset.version = ONNX_OPSET;
    model.ir_version = ONNX_IR;
    model.producer_name = arena_strdup(a, "nasc");
    model.producer_version = arena_strdup(a, NASC_VERSION);
    model.doc_string = arena_strdup(a, w->m->facts);
    model.graph = make_graph(w, &graph);
    model.opset_import = opsets;
    model.n_opset_import = 1;
    w->sizes->nodes = w->g.nodes.count;
    return write_file(w, &model, w->path, &w->sizes->bytes);
}

bool export_onnx(const onnx_model *m, const char *path, onnx_sizes *sizes, nasc_diag *d)
{
    writer w = {.m = m, .path = path, .sizes = sizes};
    return arena_within(write_model, &w, d);
}
