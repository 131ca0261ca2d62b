/* An ONNX graph while it is made: messages of protobuf-c in an arena. Values go by name; a node has one result. */
#ifndef NASC_ONNX_GRAPH_H
#define NASC_ONNX_GRAPH_H

#include "base/base.h"

#include <onnx.pb-c.h>

typedef struct onnx_graph {
    arena *a;
    VEC(Onnx__NodeProto *) nodes;
    VEC(Onnx__TensorProto *) tensors;
} onnx_graph;

/* A node named PATH/OP_NUMBER, as is its result. Inputs are names, none of them NULL. */
Onnx__NodeProto *onnx_node(onnx_graph *g, const char *op, const char *path, const char *const *inputs, int count);
const char *onnx_result(const Onnx__NodeProto *node);

void onnx_int(onnx_graph *g, Onnx__NodeProto *node, const char *name, int64_t value);
void onnx_float(onnx_graph *g, Onnx__NodeProto *node, const char *name, float value);
void onnx_ints(onnx_graph *g, Onnx__NodeProto *node, const char *name, const int64_t *values, int count);

/* Initializers: the name is returned, and must be no other's. Values are not copied. */
const char *onnx_floats(onnx_graph *g, const char *name, const float *values, const int64_t *shape, int rank);
/* A list that a node takes as an input. */
const char *onnx_list(onnx_graph *g, const char *name, const int64_t *values, int count);

/* float32 of n × sizes, where n may be anything. */
Onnx__ValueInfoProto *onnx_value(onnx_graph *g, const char *name, const int64_t *sizes, int count);

#endif
