/* The pareto front: which points are on it, and the table. */
#include "front.h"
#include "runtime/run_folder.h"

#include <inttypes.h>
#include <string.h>

const cost_row *cost_find(const char *name)
{
    static const cost_row rows[] = {
        {"macs", "target-cost", "macs", 1e3, 0, "multiply-adds in millions", 1e6},
        {"params", "target-cost", "params", 1e3, 0, "parameters in thousands", 1e3},
        {"latency", "target-ms", "predicted ms", 1, 4, "predicted milliseconds", 1},
    };
    for (size_t i = 0; name && i < COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static bool dominates(const front_point *one, const front_point *other)
{
    return one->cost <= other->cost && one->accuracy >= other->accuracy &&
           (one->cost < other->cost || one->accuracy > other->accuracy);
}

void front_mark(front *f)
{
    for (int i = 0; i < f->count; i++)
        for (int k = 0; k < f->count; k++)
            f->at[i].dominated |= dominates(&f->at[k], &f->at[i]);
}

const front_point *front_best(const front *f)
{
    const front_point *best = &f->at[0];
    for (int i = 1; i < f->count; i++) {
        const front_point *p = &f->at[i];
        if (p->accuracy > best->accuracy || (p->accuracy == best->accuracy && p->cost < best->cost))
            best = p;
    }
    return best;
}

json_t *front_json(const front *f)
{
    json_t *all = json_array();
    for (int i = 0; i < f->count; i++) {
        const front_point *p = &f->at[i];
        json_t *one =
            json_pack("{ss sI sf}", "folder", p->folder, "seed", (json_int_t)p->seed, "held_out_accuracy", p->accuracy);
        if (f->cost)
            json_object_update_new(one, json_pack("{so so sb}", "target", run_number(p->target), "cost",
                                                  run_number(p->cost), "dominated", (int)p->dominated));
        if (json_array_append_new(all, one) < 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

void front_print(const front *f, FILE *out)
{
    if (f->several_targets)
        fprintf(out, "%12s", "target");
    if (f->several_seeds)
        fprintf(out, "%8s", "seed");
    if (f->cost)
        fprintf(out, "%14s", f->cost->unit);
    fprintf(out, "  held-out accuracy\n");
    for (int i = 0; i < f->count; i++) {
        const front_point *p = &f->at[i];
        if (f->several_targets)
            fprintf(out, "%12.15g", p->target);
        if (f->several_seeds)
            fprintf(out, "%8" PRId64, p->seed);
        if (f->cost)
            fprintf(out, "%14.*f", f->cost->decimals, p->cost);
        fprintf(out, "%17.2f %%%s\n", 100 * p->accuracy, f->cost && p->dominated ? "  dominated" : "");
    }
}
