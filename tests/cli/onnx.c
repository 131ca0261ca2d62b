/* Reads an ONNX file as nasc's own schema has it, and tells what is in it: onnx FILE. Fails where a node takes what no
 * node, input or tensor before it gives, a name is given twice, or a tensor has not the bytes of its shape. */
#include <onnx.pb-c.h>

#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_MOST = 20000 };

typedef struct known {
    const char *at[NAMES_MOST];
    int count, bad;
} known;

static bool knows(const known *k, const char *name)
{
    for (int i = 0; i < k->count; i++)
        if (strcmp(k->at[i], name) == 0)
            return true;
    return false;
}

static void learn(known *k, const char *name)
{
    if (knows(k, name) || k->count == NAMES_MOST) {
        printf("twice: %s\n", name);
        k->bad++;
        return;
    }
    k->at[k->count++] = name;
}

static void print_value(const char *what, const Onnx__ValueInfoProto *v)
{
    const Onnx__TensorShapeProto *shape = v->type->tensor_type->shape;
    printf("%s %s", what, v->name);
    for (size_t i = 0; i < shape->n_dim; i++)
        if (shape->dim[i]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM)
            printf("%s%s", i ? "x" : " ", shape->dim[i]->dim_param);
        else
            printf("%s%" PRId64, i ? "x" : " ", shape->dim[i]->dim_value);
    printf("\n");
}

static void read_tensor(known *k, const Onnx__TensorProto *t)
{
    size_t bytes = t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT ? 4 : 8;
    learn(k, t->name);
    printf("tensor %s", t->name);
    for (size_t i = 0; i < t->n_dims; i++) {
        printf("%s%" PRId64, i ? "x" : " ", t->dims[i]);
        bytes *= (size_t)t->dims[i];
    }
    printf("\n");
    if (bytes != t->raw_data.len) {
        printf("%s: %zu bytes, expected %zu\n", t->name, t->raw_data.len, bytes);
        k->bad++;
    }
}

static void read_node(known *k, const Onnx__NodeProto *node)
{
    printf("node %s\n", node->op_type);
    for (size_t i = 0; i < node->n_input; i++)
        if (!knows(k, node->input[i])) {
            printf("%s takes %s, which nobody gave\n", node->name, node->input[i]);
            k->bad++;
        }
    learn(k, node->output[0]);
}

int main(int argc, char **argv)
{
    static known k;
    arena a = {0};
    nasc_diag d = {0};
    size_t size = 0;
    char *bytes = argc == 2 ? file_read(&a, argv[1], &size, &d) : NULL;
    Onnx__ModelProto *m = bytes ? onnx__model_proto__unpack(NULL, size, (const uint8_t *)bytes) : NULL;
    if (!m)
        return 2;
    printf("ir %" PRId64 " opset %" PRId64 "\n%s", m->ir_version, m->opset_import[0]->version, m->doc_string);
    print_value("input", m->graph->input[0]);
    print_value("output", m->graph->output[0]);
    learn(&k, m->graph->input[0]->name);
    for (size_t i = 0; i < m->graph->n_initializer; i++)
        read_tensor(&k, m->graph->initializer[i]);
    for (size_t i = 0; i < m->graph->n_node; i++)
        read_node(&k, m->graph->node[i]);
    if (!knows(&k, m->graph->output[0]->name))
        k.bad++;
    onnx__model_proto__free_unpacked(m, NULL);
    arena_free(&a);
    return k.bad != 0;
}
