/* Costs in ms: each part of a network by what was measured of its shape. */
#include "latency.h"

#include <string.h>

static const char *place_text(arena *a, const part *p)
{
    const part_traits *t = &p->traits;
    return arena_printf(a, "%s at %dx%dx%d -> %dx%dx%d", *t->op ? t->op : "what stands outside of choices", t->in[0],
                        t->in[1], t->in[2], t->out[0], t->out[1], t->out[2]);
}

bool latency_costs(session *s, const latency_table *t, const parts *p, const space_net *built, const char *space,
                   const char *file, costs *to, nasc_diag *d)
{
    double *ms = NEW_ARRAY(s->arena, double, p->at.count + 1);
    for (int i = 0; i < p->at.count; i++) {
        const part *one = &p->at.at[i];
        const sample *found = one->empty ? NULL : latency_find(t, one->shape);
        if (!one->empty && !found)
            return diag_fail(d, DIAG_INPUT, file, "was measured for %s; for %s it lacks %s", t->space, space,
                             place_text(s->arena, one));
        ms[i] = found ? found->time.min_ms : 0;
    }
    *to = parts_costs(s->arena, p, built->net, ms);
    return true;
}

bool latency_costs_of(session *s, const space *of, const settings *set, const char *file, costs *to, nasc_diag *d)
{
    latency_table t;
    space_net built;
    parts p;
    return latency_read(&t, file, s->arena, d) && space_build(of, set, (space_mode){0}, s->arena, &built, d) &&
           parts_of(s->arena, &built, &p, d) && latency_costs(s, &t, &p, &built, space_name(of), file, to, d);
}

json_t *latency_costs_json(const costs *c)
{
    json_t *of = json_array();
    for (int64_t i = 0; i < c->count; i++)
        json_array_append_new(of, json_real((double)c->of[i]));
    return json_pack("{sf sf sf so}", "fixed_ms", c->fixed, "least_ms", c->least, "most_ms", c->most, "candidates_ms",
                     of);
}

const costs *latency_costs_read(const json_t *j, arena *a)
{
    costs *c = NEW(a, costs);
    json_t *of;
    if (!j || json_unpack((json_t *)(uintptr_t)j, "{sF sF sF so}", "fixed_ms", &c->fixed, "least_ms", &c->least,
                          "most_ms", &c->most, "candidates_ms", &of) != 0)
        return NULL;
    c->count = (int64_t)json_array_size(of);
    c->of = NEW_ARRAY(a, float, c->count + 1);
    for (int64_t i = 0; i < c->count; i++)
        c->of[i] = (float)json_number_value(json_array_get(of, (size_t)i));
    return c;
}
