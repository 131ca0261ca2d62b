/* The latency table: samples as JSON. */
#include "latency.h"
#include "space/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

const sample *latency_find(const latency_table *t, uint64_t shape)
{
    for (int i = 0; i < t->samples.count; i++)
        if (t->samples.at[i].shape == shape)
            return &t->samples.at[i];
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

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
    json_t *all = json_pack("{si ss so ss ss* ss* ss* si sI so* so so}", "format", FORMAT, "space", t->space, "shapes",
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

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Height, width and channels. */
static void extents_at(reader *in, const json_t *j, const char *key, int to[3])
{
    size_t mark;
    const json_t *all = read_at(in, j, key, &mark);
    bool fits = read_list(in, all, 3, "integers");
    for (size_t i = 0; fits && i < 3; i++) {
        size_t inner = read_enter_index(in, i);
        to[i] = (int)read_integer(in, json_array_get(all, i), 0, INT32_MAX);
        read_leave(in, inner);
    }
    read_leave(in, mark);
}

static uint64_t hash_at(reader *in, const json_t *j, const char *key)
{
    size_t mark;
    const json_t *value = read_at(in, j, key, &mark);
    const char *digits = json_string_value(value);
    if (!digits || strlen(digits) != 16 || strspn(digits, "0123456789abcdef") != 16)
        read_expected(in, value, "16 hexadecimal digits");
    read_leave(in, mark);
    return digits ? strtoull(digits, NULL, 16) : 0;
}

static sample sample_read(reader *in, const json_t *j)
{
    sample s = {0};
    part_traits *t = &s.traits;
    if (!read_object(in, j, NULL, 0))
        return s;
    s.shape = hash_at(in, j, "shape");
    t->op = read_string_at(in, j, "op", "the name of a candidate");
    extents_at(in, j, "in", t->in);
    extents_at(in, j, "out", t->out);
    t->kernel = (int)read_integer_at(in, j, "kernel", 0, INT32_MAX);
    t->stride = (int)read_integer_at(in, j, "stride", 0, INT32_MAX);
    t->expansion = read_number_at(in, j, "expansion", 0);
    t->shortcut = read_flag_at(in, j, "shortcut", false);
    t->macs = read_integer_at(in, j, "macs", 0, INT64_MAX);
    t->bytes = read_integer_at(in, j, "bytes", 0, INT64_MAX);
    s.time.min_ms = read_number_at(in, j, "min_ms", 0);
    s.time.median_ms = read_number_at(in, j, "median_ms", 0);
    s.time.noise = read_number_at(in, j, "noise", 0);
    return s;
}

static void samples_read(reader *in, latency_table *t, const json_t *all)
{
    size_t mark;
    const json_t *list = read_array(in, read_at(in, all, "samples", &mark), "a list of samples");
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t inner = read_enter_index(in, i);
        sample s = sample_read(in, json_array_get(list, i));
        VEC_PUSH(in->arena, &t->samples, s);
        read_leave(in, inner);
    }
    read_leave(in, mark);
}

bool latency_read(latency_table *t, const char *file, arena *a, nasc_diag *d)
{
    json_t *all = json_file_read(file, d);
    reader in = {.arena = a, .file = file, .diag = d};
    *t = (latency_table){0};
    if (all && read_object(&in, all, NULL, 0)) {
        read_format(&in, all, FORMAT);
        t->space = read_string_at(&in, all, "space", "the name of a space");
        t->target = read_string_at(&in, all, "target", "the name of a target");
        t->seed = json_object_get(all, "seed") ? read_integer_at(&in, all, "seed", 0, SEED_MOST) : 0;
        samples_read(&in, t, all);
    }
    json_decref(all);
    return d->kind == DIAG_NONE;
}
