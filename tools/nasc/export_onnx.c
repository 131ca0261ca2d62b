/* nasc export --to onnx. */
#include "emit/onnx.h"
#include "export.h"
#include "output.h"

#include <inttypes.h>
#include <string.h>

/* Weights and statistics in the table's order, laid out as files have them. */
static const float *const *tensor_values(const exporting *e, const parameter_values *values)
{
    arena *a = e->session.arena;
    parameters p = session_parameters(e->network.built.net);
    struct tensor *made = NEW_ARRAY(a, struct tensor, p.count + 1);
    const float **at = NEW_ARRAY(a, const float *, p.count + 1);
    CHECK(parameters_tensors(&p, "", values, made, a) == p.count);
    for (int i = 0; i < p.count; i++)
        at[i] = made[i].data;
    return at;
}

static bool print_sizes(const exporting *e, const onnx_sizes *sizes, nasc_diag *d)
{
    if (!e->a->common.json) {
        printf("%s: %d nodes, %" PRId64 " bytes\n", e->a->out, sizes->nodes, sizes->bytes);
        return true;
    }
    json_t *all = json_pack("{ss si sI}", "file", e->a->out, "nodes", sizes->nodes, "bytes", (json_int_t)sizes->bytes);
    return output_json(all, JSON_COMPACT, d);
}

bool export_to_onnx(exporting *e, nasc_diag *d)
{
    trained *t = &e->trained;
    const export_arguments *a = e->a;
    parameter_values values;
    if (!trained_values(t, &e->network, &values, d))
        return false;
    onnx_model m = {.net = e->network.built.net,
                    .logits = e->network.built.logits,
                    .name = a->name ? a->name : space_name(t->genotype),
                    .facts = export_facts(e, "", NULL),
                    .values = tensor_values(e, &values),
                    .mean = a->no_normalise ? NULL : t->mean,
                    .std = a->no_normalise ? NULL : t->std,
                    .channels_last = a->layout && strcmp(a->layout, "nhwc") == 0};
    onnx_sizes sizes;
    return export_onnx(&m, a->out, &sizes, d) && print_sizes(e, &sizes, d);
}
