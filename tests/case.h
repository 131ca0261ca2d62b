/* A reference case (see diff/fixtures.c): its tensors and configuration, and comparing with them. Every tensor's error
 * is printed, relative to the tensor's largest value; no tensor of a case may be left over. */
#ifndef NASC_TEST_CASE_H
#define NASC_TEST_CASE_H

#include "cuda_doubles.h"
#include "fixture.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest errors allowed, relative to the tensor's largest value. */
static const double OUTPUT = 2e-6, GRADIENT = 1e-5;
static const double ZERO = 1e-12, ZERO_GOT = 1e-6; /* what is zero by theory, and what it may be */

typedef struct fixture {
    workshop w;
    const char *name;
    json_t *config;
    struct tensors *set;
    space *space;
    settings settings;
    double logits, auxiliary, gradient; /* largest errors allowed, in training */
    int batch, bad;
} fixture;

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static inline void compare(fixture *f, const char *name, const float *got, int64_t count, double limit)
{
    double *want = NEW_ARRAY(&f->w.arena, double, count), largest = 0, worst = 0;
    if (!tensors_doubles(f->set, name, count, want, &f->w.d))
        fail_msg("%s: %s", f->w.d.where, f->w.d.message);
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(got[i] - want[i]);
        largest = fmax(largest, fabs(want[i]));
        worst = error > worst || isnan(error) ? error : worst;
    }
    bool zero = largest < ZERO;
    double relative = zero ? worst : worst / largest, most = zero ? ZERO_GOT : limit;
    bool ok = relative <= most;
    f->bad += !ok;
    printf("%s %-70s %.2e of %.0e%s%s\n", f->name, name, relative, most, zero ? " (zero)" : "", ok ? "" : "  WRONG");
}

static inline const char *joined(fixture *f, const char *prefix, const char *name)
{
    return arena_printf(&f->w.arena, "%s%s", prefix, name);
}

/* Every parameter of a slot, in `flat`, with PREFIXname. */
static inline void compare_parameters(fixture *f, const parameters *p, enum net_slot slot, const char *prefix,
                                      const float *flat, double limit)
{
    for (int i = 0; i < p->count; i++) {
        const net_param *q = &p->at[i];
        if (q->slot != slot)
            continue;
        float *got = NEW_ARRAY(&f->w.arena, float, parameter_count(q));
        parameter_to_file(q, got, flat + q->offset);
        compare(f, joined(f, prefix, q->name), got, parameter_count(q), limit);
    }
}

/* ---- reading a case ---------------------------------------------------------------------------------------------- */

static inline int number(const fixture *f, const char *key)
{
    return (int)json_number_value(json_object_get(f->config, key));
}

static inline void set_number(fixture *f, const char *setting, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    assert_true(settings_set(&f->settings, setting, text, "test", &f->w.d));
}

/* NCHW doubles to NHWC floats. */
static inline feed read_batch(fixture *f, const char *x, const char *y)
{
    int n = f->batch, c = number(f, "channels"), size = number(f, "size"), plane = size * size;
    feed b = {NEW_ARRAY(&f->w.arena, float, n *plane *c), NEW_ARRAY(&f->w.arena, int32_t, n), n, 0};
    double *from = NEW_ARRAY(&f->w.arena, double, n *plane *c);
    int64_t *labels = NEW_ARRAY(&f->w.arena, int64_t, n);
    assert_true(tensors_doubles(f->set, x, (int64_t)n * plane * c, from, &f->w.d));
    assert_true(tensors_integers(f->set, y, n, labels, &f->w.d));
    for (int image = 0; image < n; image++) {
        b.y[image] = (int32_t)labels[image];
        for (int channel = 0; channel < c; channel++)
            for (int p = 0; p < plane; p++)
                b.x[(image * plane + p) * c + channel] = (float)from[(image * c + channel) * plane + p];
    }
    return b;
}

/* CUDA's is a GPU where NASC_TEST_GPU is set, else its doubles. */
static inline void skip_without_doubles(const char *name)
{
    const char *why = cuda_doubles_open();
    if (!why)
        return;
    printf("%s on CUDA's doubles: skipped, %s\n", name, why);
    skip();
}

/* The case NAME of a folder; skips the test where this nasc has no such engine. The caller gives it a space. */
static inline void case_open(fixture *f, const char *folder, const char *name, enum engine_kind kind)
{
    char path[1024];
    json_error_t error;
    *f = (fixture){.name = name, .logits = OUTPUT, .auxiliary = OUTPUT, .gradient = GRADIENT};
    if (kind == ENGINE_CUDA)
        skip_without_doubles(name);
    if (!workshop_open(&f->w, kind, 2)) {
        printf("%s: skipped, %s\n", name, f->w.d.message);
        workshop_close(&f->w);
        skip();
    }
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    f->config = json_load_file(path, 0, &error);
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
    f->set = f->config ? tensors_read(&f->w.arena, path, &f->w.d) : NULL;
    if (!f->set)
        fail_msg("%s: %s %s", path, f->w.d.where, f->w.d.message);
    f->batch = number(f, "batch");
}

static inline void case_close(fixture *f)
{
    text names = {.arena = &f->w.arena};
    int unused = tensors_unused(f->set, &names), bad = f->bad;
    if (unused)
        printf("%s: left over: %s\n", f->name, names.at);
    json_decref(f->config);
    space_free(f->space);
    workshop_close(&f->w);
    assert_int_equal(unused, 0);
    assert_int_equal(bad, 0);
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s: %s", #call, f->w.d.where, f->w.d.message);                                               \
    } while (0)

#endif
