/* A network as an ONNX file: what other engines read. */
#ifndef NASC_ONNX_H
#define NASC_ONNX_H

#include "net/net.h"

enum { ONNX_OPSET = 15, ONNX_IR = 8 }; /* of the files: ONNX 1.10 (2021) and whatever came after it */

typedef struct onnx_model {
    const net *net; /* as built for evaluation, composites and all, without choices */
    int logits;     /* the value that leaves */
    const char *name;
    const char *facts;          /* lines for people, the file's doc_string */
    const float *const *values; /* one for each of net->params, laid out as files have them (OIHW, [out][in]) */
    const float *mean, *std;    /* a channel, where the network normalises its input; else NULL */
    bool channels_last;         /* the input is NHWC; else NCHW, as is usual in ONNX */
} onnx_model;

typedef struct onnx_sizes {
    int nodes;
    int64_t bytes;
} onnx_sizes;

/* Writes the file: input `images`, float32, n × c × h × w with any n; output `logits`, n × classes. Batch norms stay nodes
 * of their own, so that tensors keep their names and values: engines fold them when they load. Fails where a primitive has
 * no counterpart in ONNX. */
bool export_onnx(const onnx_model *m, const char *path, onnx_sizes *sizes, nasc_diag *d);

#endif
