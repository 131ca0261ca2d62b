/* Messages of an ONNX graph. protobuf-c's structures are filled in by hand and packed once, at the end. */
#include "emit/onnx_graph.h"

#define MESSAGE(g, Type, init) onnx_message((g)->a, sizeof(Type), &(Type)init)

static void *onnx_message(arena *a, size_t bytes, const void *empty)
{
    return arena_copy(a, empty, bytes);
}

Onnx__NodeProto *onnx_node(onnx_graph *g, const char *op, const char *path, const char *const *inputs, int count)
{
    Onnx__NodeProto *node = MESSAGE(g, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    node->op_type = arena_strdup(g->a, op);
    node->name = arena_printf(g->a, "%s/%s_%d", path ? path : "", op, g->nodes.count);
    node->n_input = (size_t)count;
    node->input = NEW_ARRAY(g->a, char *, count);
    for (int i = 0; i < count; i++)
        node->input[i] = arena_strdup(g->a, inputs[i]);
    node->n_output = 1;
    node->output = NEW(g->a, char *);
    node->output[0] = node->name;
    VEC_PUSH(g->a, &g->nodes, node);
    return node;
}

const char *onnx_result(const Onnx__NodeProto *node)
{
    return node->output[0];
}

static Onnx__AttributeProto *add_attribute(onnx_graph *g, Onnx__NodeProto *node, const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *made = MESSAGE(g, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    Onnx__AttributeProto **all = NEW_ARRAY(g->a, Onnx__AttributeProto *, node->n_attribute + 1);
    for (size_t i = 0; i < node->n_attribute; i++)
        all[i] = node->attribute[i];
    all[node->n_attribute++] = made;
    node->attribute = all;
    made->name = arena_strdup(g->a, name);
    made->has_type = true;
    made->type = type;
    return made;
}

void onnx_int(onnx_graph *g, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *made = add_attribute(g, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    made->has_i = true;
    made->i = value;
}

void onnx_float(onnx_graph *g, Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *made = add_attribute(g, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    made->has_f = true;
    made->f = value;
}

void onnx_ints(onnx_graph *g, Onnx__NodeProto *node, const char *name, const int64_t *values, int count)
{
    Onnx__AttributeProto *made = add_attribute(g, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    made->n_ints = (size_t)count;
    made->ints = arena_copy(g->a, values, (size_t)count * sizeof *values);
}

static const char *add_tensor(onnx_graph *g, const char *name, Onnx__TensorProto__DataType type, const int64_t *shape,
                              int rank, ProtobufCBinaryData data)
{
    Onnx__TensorProto *made = MESSAGE(g, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    made->name = arena_strdup(g->a, name);
    made->has_data_type = made->has_raw_data = true;
    made->data_type = (int32_t)type;
    made->n_dims = (size_t)rank;
    made->dims = arena_copy(g->a, shape, (size_t)rank * sizeof *shape);
    made->raw_data = data;
    VEC_PUSH(g->a, &g->tensors, made);
    return made->name;
}

const char *onnx_floats(onnx_graph *g, const char *name, const float *values, const int64_t *shape, int rank)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    ProtobufCBinaryData data = {count * sizeof *values, (uint8_t *)(uintptr_t)values};
    return add_tensor(g, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, shape, rank, data);
}

const char *onnx_list(onnx_graph *g, const char *name, const int64_t *values, int count)
{
    size_t bytes = (size_t)count * sizeof *values;
    ProtobufCBinaryData data = {bytes, arena_copy(g->a, values, bytes)};
    return add_tensor(g, name, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, &(int64_t){count}, 1, data);
}

static Onnx__TensorShapeProto__Dimension *add_dimension(onnx_graph *g, Onnx__TensorShapeProto *shape)
{
    Onnx__TensorShapeProto__Dimension *made =
        MESSAGE(g, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
    shape->dim[shape->n_dim++] = made;
    return made;
}

Onnx__ValueInfoProto *onnx_value(onnx_graph *g, const char *name, const int64_t *sizes, int count)
{
    Onnx__ValueInfoProto *made = MESSAGE(g, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TypeProto *type = MESSAGE(g, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor = MESSAGE(g, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *shape = MESSAGE(g, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    shape->dim = NEW_ARRAY(g->a, Onnx__TensorShapeProto__Dimension *, count + 1);
    Onnx__TensorShapeProto__Dimension *images = add_dimension(g, shape);
    images->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    images->dim_param = arena_strdup(g->a, "n");
    for (int i = 0; i < count; i++) {
        Onnx__TensorShapeProto__Dimension *size = add_dimension(g, shape);
        size->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        size->dim_value = sizes[i];
    }
    tensor->has_elem_type = true;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    made->name = arena_strdup(g->a, name);
    made->type = type;
    return made;
}
