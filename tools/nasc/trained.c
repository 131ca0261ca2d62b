/* Networks with weights. */
#include "trained.h"
#include "space/json.h"

#include <string.h>

enum { BATCH = 16 }; /* images of the batch whose statistics go with initial weights */

/* ---- what the operand is ----------------------------------------------------------------------------------------- */

static float *floats_at(reader *in, const json_t *about, const char *key, int count)
{
    size_t mark;
    float *at = NEW_ARRAY(in->arena, float, count);
    read_floats(in, read_at(in, about, key, &mark), count, at);
    read_leave(in, mark);
    return at;
}

static const char **names_at(reader *in, const json_t *about, const char *key, int count)
{
    size_t mark;
    const char **names = NEW_ARRAY(in->arena, const char *, count);
    const json_t *all = read_at(in, about, key, &mark);
    bool fits = read_list(in, all, count, "names");
    for (int i = 0; fits && i < count; i++) {
        size_t inner = read_enter_index(in, (size_t)i);
        names[i] = read_string(in, json_array_get(all, (size_t)i), "the name of a class");
        read_leave(in, inner);
    }
    read_leave(in, mark);
    return names;
}

/* Mean, deviation and names of classes, as run.json has them of the training's data, where it has them. */
static bool know_from_run(trained *t, const char *folder, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    reader in = {.arena = t->session->arena, .file = run_file(folder, "run.json", file), .diag = d};
    size_t mark;
    const json_t *about = read_at(&in, t->run, "images", &mark);
    if (!about || !read_object(&in, about, NULL, 0))
        return !about;
    t->mean = floats_at(&in, about, "mean", t->c);
    t->std = floats_at(&in, about, "std", t->c);
    if (json_object_get(about, "classes"))
        t->class_names = names_at(&in, about, "classes", t->classes);
    return d->kind == DIAG_NONE;
}

bool trained_data(trained *t, nasc_diag *d)
{
    if (!t->set)
        t->set = session_data(t->session, t->data, t->seed, &t->settings, d);
    if (!t->set)
        return false;
    t->mean = t->set->mean;
    t->std = t->set->std;
    t->class_names = t->set->class_names;
    return true;
}

static bool open_run(trained *t, const char *from, const char *weights, const char *data, nasc_diag *d)
{
    record r;
    t->run = record_read(from, "train", &r, &t->genotype, &t->settings, t->session->arena, d);
    if (!t->run)
        return false;
    t->seed = (uint64_t)r.seed;
    t->data = data ? data : r.data;
    t->weights = weights ? weights : arena_printf(t->session->arena, "%s/checkpoint.safetensors", from);
    return model_settings(&t->settings, t->session->arguments, d);
}

static bool open_genotype(trained *t, const char *from, const char *weights, const char *data, nasc_diag *d)
{
    model m;
    bool ok = model_open(&m, t->session->arguments, from, d);
    t->genotype = m.space;
    t->settings = m.settings;
    t->seed = (uint64_t)t->session->arguments->seed;
    t->data = data;
    t->weights = weights;
    return ok && (m.genotype || diag_fail(d, DIAG_INPUT, from, "is a space: its choices are still to be made"));
}

bool trained_open(trained *t, session *s, const char *from, const char *weights, const char *data, nasc_diag *d)
{
    *t = (trained){.session = s};
    bool is_run = record_exists(from);
    if (!(is_run ? open_run(t, from, weights, data, d) : open_genotype(t, from, weights, data, d)))
        return false;
    if (data && !trained_data(t, d))
        return false;
    t->classes = (int)settings_int(&t->settings, SETTING_classes);
    if (!settings_input(&t->settings, &t->h, &t->w, &t->c))
        return diag_fail(d, DIAG_INPUT, from, "input is '%s', expected HxWxC",
                         settings_text(&t->settings, SETTING_input));
    if (!data && is_run && !know_from_run(t, from, d))
        return false;
    return t->mean || !is_run || trained_data(t, d);
}

void trained_close(trained *t)
{
    json_decref(t->run);
    if (t->genotype)
        space_free(t->genotype);
    *t = (trained){0};
}

/* ---- constants --------------------------------------------------------------------------------------------------- */

static bool execute(session *s, const net *n, device_run *run, nasc_diag *d)
{
    runnable *what = NEW(s->arena, runnable);
    pipeline_options o = {.batch = run->n, .sequential = true};
    if (!session_compile(s, n, &o, what, d) || !device_prepare(s->device, what->program, &what->code, d))
        return false;
    run->program = what->program;
    run->code = &what->code;
    return device_execute(s->device, run, d);
}

float *session_constants(session *s, const inference *i, const parameter_values *values, const float *mean,
                         const float *std, nasc_diag *d)
{
    device_run run = {.n = 1};
    run.slot[SLOT_WEIGHTS] = values->weights;
    run.slot[SLOT_STATS] = values->stats;
    float *folded = run.slot[SLOT_USER] = NEW_ARRAY(s->arena, float, i->folded + 1);
    if (i->fold && !execute(s, i->fold, &run, d))
        return NULL;
    float *constants = device_vector(s->device, s->arena, i->constants);
    inference_pack(i, values->weights, folded, mean, std, constants);
    return constants;
}

/* The training network with statistics that become the batch's own. */
static bool build_for_statistics(trained *t, space_net *built, nasc_diag *d)
{
    settings plain = t->settings;
    bool ok = settings_set(&plain, "drop_path", "0", "", d) && settings_set(&plain, "dropout", "0", "", d) &&
              settings_set(&plain, "auxiliary", "0", "", d) &&
              space_build(t->genotype, &plain, (space_mode){true, true}, t->session->arena, built, d);
    for (int i = 0; ok && i < built->net->nodes.count; i++)
        if (built->net->nodes.at[i].prim == NET_batch_norm)
            built->net->nodes.at[i].attr.momentum = 1;
    return ok;
}

static bool initial_values(trained *t, const inference *i, const parameter_values *to, nasc_diag *d)
{
    session *s = t->session;
    parameters p = session_parameters(i->built.net);
    space_net built;
    const char *spec = arena_printf(s->arena, "synthetic:%dx%dx%d/%d/%d", t->h, t->w, t->c, t->classes, 4 * BATCH);
    const dataset *set = data_open(s->arena, spec, &(data_options){.seed = t->seed}, d);
    if (!set || !build_for_statistics(t, &built, d) || !objective_share(built.net, i->built.net, d))
        return false;
    net_output_add(built.net, built.logits, SLOT_LOGITS, 0);
    parameters_init(&p, to, t->seed);
    feed batch = feed_new(s->arena, set, BATCH);
    batch_key key = {.of = samples_of(&set->train), .n = BATCH, .augment = &(struct data_augment){.normalise = true}};
    if (data_batch(set, &key, batch.x, NULL, d) < 0)
        return false;
    device_run run = {.n = BATCH};
    run.slot[SLOT_IMAGES] = batch.x;
    run.slot[SLOT_WEIGHTS] = to->weights;
    run.slot[SLOT_STATS] = to->stats;
    run.slot[SLOT_LOGITS] = NEW_ARRAY(s->arena, float, (int64_t)BATCH * t->classes);
    t->mean = t->mean ? t->mean : set->mean;
    t->std = t->std ? t->std : set->std;
    return execute(s, built.net, &run, d);
}

/* Names on stderr whatever does not fit. What is left over harms nothing (an auxiliary head), but may be a mistake; nasc's
 * own checkpoints hold more than weights. */
static bool check_names(const trained *t, const parameters *p, const struct tensors *set, const parameter_values *to,
                        nasc_diag *d)
{
    text report = {.arena = t->session->arena};
    parameters_fit fit = parameters_compare(p, parameters_prefix(set), set, to, &report);
    bool fits = !fit.missing && !fit.reshaped;
    if (report.at && (!fits || !tensors_text(set, "nasc")))
        fprintf(stderr, "%s: these tensors do not fit\n%s", t->weights, report.at);
    return fits || diag_fail(d, DIAG_INPUT, t->weights,
                             "of the network's %d tensors %d are missing, %d have another shape; %d are left over",
                             p->count, fit.missing, fit.reshaped, fit.left_over);
}

static bool read_values(trained *t, const inference *i, const parameter_values *to, nasc_diag *d)
{
    parameters p = session_parameters(i->built.net);
    struct tensors *set = tensors_read(t->session->arena, t->weights, d);
    return set && check_names(t, &p, set, to, d) && parameters_read(&p, parameters_prefix(set), set, to, d);
}

bool trained_values(trained *t, const inference *i, parameter_values *values, nasc_diag *d)
{
    arena *a = t->session->arena;
    const net *built = i->built.net;
    *values = (parameter_values){.weights = NEW_ARRAY(a, float, built->slot_size[SLOT_WEIGHTS] + 1),
                                 .stats = NEW_ARRAY(a, float, built->slot_size[SLOT_STATS] + 1)};
    return (t->weights ? read_values : initial_values)(t, i, values, d);
}

float *trained_constants(trained *t, const inference *i, nasc_diag *d)
{
    parameter_values values;
    bool ok = trained_values(t, i, &values, d);
    return ok ? session_constants(t->session, i, &values, t->mean, t->std, d) : NULL;
}
