/* Every device does what its kind does. */
#include "device_kind.h"

void device_close(device *v)
{
    if (v)
        v->kind->close(v);
}

bool device_prepare(device *v, const program *p, const program_code *code, nasc_diag *d)
{
    return v->kind->prepare(v, p, code, d);
}

bool device_execute(device *v, const device_run *r, nasc_diag *d)
{
    return v->kind->execute(v, r, d);
}

bool device_runs(const device_run *r, const program_launch *l)
{
    if (r->keep_stats && l->flags & LAUNCH_MOVES_STATS)
        return false;
    if (l->flags & LAUNCH_GATE)
        return r->gates && r->gates[l->select] >> l->candidate & 1;
    return l->select < 0 || r->active[l->select] == l->candidate;
}

int64_t device_units(const program_instance *i, int n)
{
    int64_t images = i->unit_images ? ((int64_t)n + i->unit_images - 1) / i->unit_images : 1;
    return images * i->unit_tiles;
}
