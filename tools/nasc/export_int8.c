/* nasc export --dtype int8: ranges from training images, and both networks judged on the test images. */
#include "export.h"
#include "runtime/rng.h"

#include <string.h>

enum { CALIBRATION = 256, BATCH = 32 };

/* A network ready to run on `most` images at a time. */
typedef struct ready {
    device_run run;
    float *images, *logits;
    int most;
} ready;

static bool make_ready(exporting *e, const net *n, int most, void *constants, ready *to, nasc_diag *d)
{
    session *s = &e->session;
    runnable *what = NEW(s->arena, runnable);
    pipeline_options o = {.batch = most, .sequential = true};
    if (!session_compile(s, n, &o, what, d) || !device_prepare(s->device, what->program, &what->code, d))
        return false;
    *to = (ready){.run = {.program = what->program, .code = &what->code}, .most = most};
    to->images = NEW_ARRAY(s->arena, float, (int64_t)most * e->trained.h * e->trained.w * e->trained.c);
    to->logits = NEW_ARRAY(s->arena, float, (int64_t)most * e->trained.classes);
    to->run.slot[SLOT_IMAGES] = to->images;
    to->run.slot[SLOT_WEIGHTS] = constants;
    to->run.slot[SLOT_LOGITS] = to->logits;
    return true;
}

/* Images as the exported network takes them. */
static bool fetch(const exporting *e, samples of, uint32_t first, int n, float *images, int32_t *labels, nasc_diag *d)
{
    struct data_augment view = {.normalise = e->a->no_normalise};
    batch_key key = {.of = of, .first = first, .n = n, .augment = &view, .seed = e->trained.seed};
    return data_batch(e->trained.set, &key, images, labels, d) >= 0;
}

/* Training images by chance: files lie sorted by class. */
static samples calibration_images(const exporting *e)
{
    samples all = samples_of(&e->trained.set->train);
    uint32_t *order = NEW_ARRAY(e->session.arena, uint32_t, all.count + 1);
    int64_t most = e->a->calibration ? e->a->calibration : CALIBRATION;
    data_order(NULL, all.count, e->trained.seed, 0, 0, order);
    all.at = order;
    all.count = most < all.count ? (uint32_t)most : all.count;
    return all;
}

static bool calibrate(exporting *e, quantiser *q, nasc_diag *d)
{
    int64_t elements;
    ready r;
    const net *probe = quantise_probe(q, &elements, d);
    if (!probe || !make_ready(e, probe, 1, e->constants, &r, d))
        return false;
    float *values = r.run.slot[SLOT_USER] = NEW_ARRAY(e->session.arena, float, elements + 1);
    samples of = calibration_images(e);
    r.run.n = 1;
    for (uint32_t i = 0; i < of.count; i++) {
        if (!fetch(e, of, i, 1, r.images, NULL, d) || !device_execute(e->session.device, &r.run, d))
            return false;
        quantise_observe(q, values);
    }
    return true;
}

static int64_t count_right(const float *logits, const int32_t *labels, int n, int classes)
{
    int64_t right = 0;
    for (int i = 0; i < n; i++) {
        int most = 0;
        for (int k = 1; k < classes; k++)
            most = logits[i * classes + k] > logits[i * classes + most] ? k : most;
        right += most == labels[i];
    }
    return right;
}

/* Of the test images: which part each network gets right. */
static bool judge(exporting *e, ready *floats, ready *bytes, nasc_diag *d)
{
    samples test = samples_of(&e->trained.set->test);
    int64_t right = 0, float_right = 0;
    int32_t labels[BATCH];
    for (uint32_t at = 0; at < test.count; at += BATCH) {
        int n = test.count - at < BATCH ? (int)(test.count - at) : BATCH;
        floats->run.n = bytes->run.n = n;
        bytes->run.slot[SLOT_IMAGES] = floats->images;
        if (!fetch(e, test, at, n, floats->images, labels, d) || !device_execute(e->session.device, &floats->run, d) ||
            !device_execute(e->session.device, &bytes->run, d))
            return false;
        right += count_right(bytes->logits, labels, n, e->trained.classes);
        float_right += count_right(floats->logits, labels, n, e->trained.classes);
    }
    e->images = test.count;
    e->accuracy = test.count ? (double)right / test.count : 0;
    e->float_accuracy = test.count ? (double)float_right / test.count : 0;
    return true;
}

/* The session's engine is for the host, whose vectors the weights are packed for a second time. */
static bool judge_on_host(exporting *e, quantiser *q, nasc_diag *d)
{
    quantised here;
    ready floats, bytes;
    return quantise_finish(q, e->constants, &e->session.target, &here, d) &&
           make_ready(e, e->network.net, BATCH, e->constants, &floats, d) &&
           make_ready(e, here.net, BATCH, here.constants, &bytes, d) && judge(e, &floats, &bytes, d);
}

bool export_quantise(exporting *e, nasc_diag *d)
{
    if (!e->trained.data)
        return diag_fail(d, DIAG_INPUT, "--dtype int8", "needs --data: images by which ranges are found");
    if (!trained_data(&e->trained, d))
        return false;
    quantiser *q = quantise_plan(e->session.arena, &e->network, d);
    return q && calibrate(e, q, d) && judge_on_host(e, q, d) &&
           quantise_finish(q, e->constants, &e->target, &e->bytes, d);
}
