/* The latency table: samples as JSON. */
#include "latency.h"
#include "runtime/json_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const sample *latency_find(const latency_table *t, uint64_t shape)
{
    for (int i = 0; i < t->samples.count; i++)
        if (t->samples.at[i].shape == shape)
            return &t->samples.at[i];
    return NULL;
}

/* ---- writing -------------------------------------------------------------------------------------------------------
 */

static json_t *hash_json(uint64_t hash)
{
    return json_sprintf("%016" PRIx64, hash);
}

static json_t *sample_json(const sample *s)
{
    const part_traits *t = &s->traits;
    return json_pack("{so ss s[iii] s[iii] si sf si sb sI sI sf sf sf}", "shape", hash_json(s->shape), "op", t->op,
                     "in", t->in[0], t->in[1], t->in[2], "out", t->out[0], t->out[1], t->out[2], "kernel", t->kernel,
                     "expansion", t->expansion, "stride", t->stride, "shortcut", t->shortcut, "macs",
                     (json_int_t)t->macs, "bytes", (json_int_t)t->bytes, "min_ms", s->time.min_ms, "median_ms",
                     s->time.median_ms, "noise", s->time.noise);
}

static json_t *network_json(const sampled_network *n, int choices)
{
    json_t *choice = json_array();
    for (int i = 0; i < choices; i++)
        json_array_append_new(choice, json_integer(n->choice[i]));
    return json_pack("{so sf sf sf sf}", "choices", choice, "predicted_ms", n->predicted_ms, "min_ms", n->time.min_ms,
                     "median_ms", n->time.median_ms, "noise", n->time.noise);
}

bool latency_write(const latency_table *t, int choices, const char *file, arena *a, nasc_diag *d)
{
    json_t *samples = json_array(), *networks = json_array();
    for (int i = 0; i < t->samples.count; i++)
        json_array_append_new(samples, sample_json(&t->samples.at[i]));
    for (int i = 0; i < t->networks.count; i++)
        json_array_append_new(networks, network_json(&t->networks.at[i], choices));
    json_t *fit =
        t->fit.held_out ? json_pack("{si sf}", "held_out", t->fit.held_out, "median_error", t->fit.error) : NULL;
    json_t *all = json_pack("{si ss so ss ss* ss* ss* si sI so* so so}", "format", 1, "space", t->space, "shapes",
                            hash_json(t->key), "target", t->target, "cpu", t->cpu, "compiler", t->compiler, "run",
                            t->run, "rounds", t->rounds, "seed", (json_int_t)t->seed, "predictor", fit, "samples",
                            samples, "networks", networks);
    char *text = all ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(all);
    if (!text)
        return diag_memory(d);
    const char *lines = arena_printf(a, "%s\n", text);
    free(text);
    return file_replace(file, lines, strlen(lines), d);
}

/* ---- reading -------------------------------------------------------------------------------------------------------
 */

static bool sample_read(json_t *j, sample *s, arena *a)
{
    const char *shape, *op;
    int shortcut;
    json_int_t macs, bytes;
    part_traits *t = &s->traits;
    if (json_unpack(j, "{ss ss s[iii!] s[iii!] si sF si sb sI sI sF sF sF}", "shape", &shape, "op", &op, "in",
                    &t->in[0], &t->in[1], &t->in[2], "out", &t->out[0], &t->out[1], &t->out[2], "kernel", &t->kernel,
                    "expansion", &t->expansion, "stride", &t->stride, "shortcut", &shortcut, "macs", &macs, "bytes",
                    &bytes, "min_ms", &s->time.min_ms, "median_ms", &s->time.median_ms, "noise", &s->time.noise) != 0)
        return false;
    s->shape = strtoull(shape, NULL, 16);
    t->op = arena_strdup(a, op);
    t->shortcut = shortcut != 0;
    t->macs = macs;
    t->bytes = bytes;
    return s->time.min_ms >= 0;
}

static bool samples_read(latency_table *t, const json_t *list, const char *file, arena *a, nasc_diag *d)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        sample s = {0};
        if (!sample_read(json_array_get(list, i), &s, a))
            return diag_fail(d, DIAG_INPUT, arena_printf(a, "%s#/samples/%zu", file, i),
                             "is no sample of a latency table");
        VEC_PUSH(a, &t->samples, s);
    }
    return true;
}

bool latency_read(latency_table *t, const char *file, arena *a, nasc_diag *d)
{
    json_t *all = json_file_read(file, d), *samples = NULL;
    const char *space, *target;
    json_int_t seed = 0;
    int format = 0;
    *t = (latency_table){0};
    if (!all)
        return false;
    bool ok = json_unpack(all, "{si ss ss s?I so}", "format", &format, "space", &space, "target", &target, "seed",
                          &seed, "samples", &samples) == 0 &&
              format == 1 && json_is_array(samples);
    if (!ok)
        diag_fail(d, DIAG_INPUT, file, "is no latency table that this version of nasc can read");
    else {
        t->seed = seed;
        t->space = arena_strdup(a, space);
        t->target = arena_strdup(a, target);
        ok = samples_read(t, samples, file, a, d);
    }
    json_decref(all);
    return ok;
}
