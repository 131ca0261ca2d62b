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

float *device_vector(device *v, arena *a, int64_t elements)
{
    float *at = NEW_ARRAY(a, float, elements + 1); /* none is empty: its address is its name */
    if (v->kind->keep)
        v->kind->keep(v, a, at, elements);
    return at;
}

bool device_fetch(device *v, const void *at, nasc_diag *d)
{
    CHECK(at);
    return !v->kind->fetch || v->kind->fetch(v, at, d);
}

bool device_fetch_all(device *v, nasc_diag *d)
{
    return !v->kind->fetch || v->kind->fetch(v, NULL, d);
}

void device_changed(device *v, const void *at)
{
    CHECK(at);
    if (v->kind->changed)
        v->kind->changed(v, at);
}

bool device_submit(device *v, bool *all, nasc_diag *d)
{
    *all = !v->kind->submit;
    return *all || v->kind->submit(v, d);
}

bool device_wait(device *v, nasc_diag *d)
{
    return !v->kind->wait || v->kind->wait(v, d);
}

int64_t device_bytes(const device *v)
{
    return v->kind->bytes ? v->kind->bytes(v) : 0;
}

bool device_runs(const device_run *r, const program_launch *l)
{
    if (r->keep_stats && l->flags & LAUNCH_MOVES_STATS)
        return false;
    if (l->flags & LAUNCH_GATE)
        return r->gates && r->active[l->select] != l->candidate && r->gates[l->select] >> l->candidate & 1;
    return l->select < 0 || r->active[l->select] == l->candidate;
}

int64_t device_units(const program_instance *i, int n)
{
    int64_t images = i->unit_images ? ((int64_t)n + i->unit_images - 1) / i->unit_images : 1;
    return images * i->unit_tiles;
}
