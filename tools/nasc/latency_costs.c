/* Costs in ms: each part of a network by what was measured of its shape. */
#include "latency.h"
#include "space/json.h"

#include <string.h>

static const char *place_text(arena *a, const part *p)
{
    const part_traits *t = &p->traits;
    return arena_printf(a, "%s at %dx%dx%d -> %dx%dx%d", *t->op ? t->op : "what stands outside of choices", t->in[0],
                        t->in[1], t->in[2], t->out[0], t->out[1], t->out[2]);
}

/* What is known of the parts: measured, nothing, or not (a negative number). */
static int look_up(const latency_table *t, const parts *p, double *ms)
{
    int missing = 0;
    for (int i = 0; i < p->at.count; i++) {
        const part *one = &p->at.at[i];
        const sample *found = one->empty ? NULL : latency_find(t, one->shape);
        ms[i] = one->empty ? 0 : found ? found->time.median_ms : -1;
        missing += ms[i] < 0;
    }
    return missing;
}

/* Of the table: ms a multiply-add outside of choices. */
static double outside_rate(const latency_table *t)
{
    double ms = 0, macs = 0;
    for (int i = 0; i < t->samples.count; i++)
        if (!*t->samples.at[i].traits.op) {
            ms += t->samples.at[i].time.median_ms;
            macs += (double)t->samples.at[i].traits.macs;
        }
    return macs > 0 ? ms / macs : 0;
}

/* A part that the predictor cannot tell of; NULL: there is none. */
static const part *unknown_part(const latency_predictor *p, const parts *all, const double *ms)
{
    for (int i = 0; i < all->at.count; i++) {
        const char *op = all->at.at[i].traits.op;
        if (ms[i] < 0 && *op && !latency_predictor_knows(p, op))
            return &all->at.at[i];
    }
    return NULL;
}

static bool predict(session *s, const latency_table *t, latency_predictor *with, const parts *p, double *ms,
                    nasc_diag *d)
{
    const sample **samples;
    const part_traits **asked = NEW_ARRAY(s->arena, const part_traits *, p->at.count + 1);
    double *answer = NEW_ARRAY(s->arena, double, p->at.count + 1);
    int *which = NEW_ARRAY(s->arena, int, p->at.count + 1), count = 0,
        known = latency_candidates(t, s->arena, &samples);
    for (int i = 0; i < p->at.count; i++) {
        const part_traits *traits = &p->at.at[i].traits;
        if (ms[i] < 0 && !*traits->op)
            ms[i] = outside_rate(t) * (double)traits->macs;
        if (ms[i] < 0) {
            which[count] = i;
            asked[count++] = traits;
        }
    }
    if (count && (!latency_predictor_fit(with, samples, known, (uint64_t)t->seed, d) ||
                  !latency_predictor_apply(with, asked, count, answer, d)))
        return false;
    for (int i = 0; i < count; i++)
        ms[which[i]] = answer[i];
    return true;
}

/* The first part that is missing and will stay so. */
static const part *missing_part(const parts *p, const double *ms)
{
    int i = 0;
    while (ms[i] >= 0)
        i++;
    return &p->at.at[i];
}

static bool fill_in(session *s, const latency_table *t, const parts *p, const char *space, const char *file, double *ms,
                    nasc_diag *d)
{
    latency_predictor with = {0};
    const sample **samples;
    int count = latency_candidates(t, s->arena, &samples), room = count > p->at.count ? count : p->at.count;
    const part *lacks = NULL;
    bool ok = true;
    if (strcmp(t->space, space) != 0 || count < LATENCY_FIT_LEAST)
        lacks = missing_part(p, ms);
    else
        ok = latency_predictor_open(&with, s, t, room, d);
    if (ok && !lacks)
        lacks = unknown_part(&with, p, ms);
    if (ok && lacks)
        ok = diag_fail(d, DIAG_INPUT, file, "was measured for %s (%d samples); for %s it lacks %s", t->space, count,
                       space, place_text(s->arena, lacks));
    ok = ok && predict(s, t, &with, p, ms, d);
    latency_predictor_close(&with);
    return ok;
}

bool latency_costs(session *s, const latency_table *t, const parts *p, const space_net *built, const char *space,
                   const char *file, costs *to, nasc_diag *d)
{
    double *ms = NEW_ARRAY(s->arena, double, p->at.count + 1);
    if (look_up(t, p, ms) && !fill_in(s, t, p, space, file, ms, d))
        return false;
    *to = parts_costs(s->arena, p, built->net, ms);
    return true;
}

bool latency_costs_of(session *s, const space_net *built, const char *space, const char *file, costs *to, nasc_diag *d)
{
    latency_table t;
    parts p;
    return latency_read(&t, file, s->arena, d) && parts_of(s->arena, built, &p, d) &&
           latency_costs(s, &t, &p, built, space, file, to, d);
}

json_t *latency_costs_json(const costs *c)
{
    json_t *of = json_array();
    for (int64_t i = 0; i < c->count; i++)
        json_array_append_new(of, json_real(c->of[i]));
    return json_pack("{sf sf sf so}", "fixed_ms", c->fixed, "least_ms", c->least, "most_ms", c->most, "candidates_ms",
                     of);
}

bool latency_costs_read(const json_t *j, int64_t count, const char *file, arena *a, costs *c, nasc_diag *d)
{
    reader in = {.arena = a, .file = file, .diag = d};
    size_t mark;
    read_enter(&in, "latency");
    *c = (costs){.of = NEW_ARRAY(a, double, count + 1), .count = count};
    if (!read_object(&in, j, NULL, 0))
        return false;
    c->fixed = read_number_at(&in, j, "fixed_ms", 0);
    c->least = read_number_at(&in, j, "least_ms", 0);
    c->most = read_number_at(&in, j, "most_ms", 0);
    const json_t *of = read_at(&in, j, "candidates_ms", &mark);
    bool fits = read_list(&in, of, count, "numbers, one a candidate of the space");
    for (int64_t i = 0; fits && i < count; i++) {
        size_t inner = read_enter_index(&in, (size_t)i);
        c->of[i] = read_number_from(&in, json_array_get(of, (size_t)i), 0);
        read_leave(&in, inner);
    }
    return d->kind == DIAG_NONE;
}
