/* Alphas in the log. A float32 printed as a double reads back as itself. */
#include "runtime/search/alphas.h"

static json_t *rows_json(const net_param *q, const float *values)
{
    json_t *rows = json_array();
    for (int row = 0; row < q->dim[2]; row++) {
        json_t *of_row = json_array();
        for (int k = 0; k < q->dim[3]; k++)
            json_array_append_new(of_row, json_real((double)values[(int64_t)row * q->dim[3] + k]));
        json_array_append_new(rows, of_row);
    }
    return rows;
}

bool alphas_log(json_t *line, const parameters *p, const float *alphas, nasc_diag *d)
{
    json_t *all = json_object();
    for (int i = 0; i < p->count; i++)
        if (p->at[i].slot == SLOT_MIX)
            json_object_set_new(all, p->at[i].name, rows_json(&p->at[i], alphas + p->at[i].offset));
    return json_object_set_new(line, "alphas", all) == 0 || diag_memory(d);
}
