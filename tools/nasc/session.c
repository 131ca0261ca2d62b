/* Engine, device, data and compiled networks of one command. */
#include "session.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

bool session_interrupted(void)
{
    return interrupted != 0;
}

/* The first signal asks; the second kills. */
static void listen(void)
{
    struct sigaction ask = {.sa_handler = interrupt, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    sigemptyset(&ask.sa_mask);
    sigaction(SIGINT, &ask, NULL);
    sigaction(SIGTERM, &ask, NULL);
}

static bool open_engine(session *s, const char *name, nasc_diag *d)
{
    static const struct {
        const char *name;
        enum engine_kind kind;
    } kinds[] = {{"jit", ENGINE_JIT}, {"interpreter", ENGINE_INTERPRETER}, {"cc", ENGINE_CC}};
    for (size_t i = 0; name && i < COUNT(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            s->engine = engine_open(kinds[i].kind, &s->target, s->threads, d);
    if (name)
        return s->engine != NULL;
    nasc_diag none = {0};
    s->engine = engine_open(ENGINE_JIT, &s->target, s->threads, &none);
    if (!s->engine)
        s->engine = engine_open(ENGINE_CC, &s->target, s->threads, d);
    return s->engine != NULL;
}

static bool open_gpu(session *s, const char *engine, nasc_diag *d)
{
    int capability;
    if (engine)
        return diag_fail(d, DIAG_USAGE, "--engine", "is for the CPU: a GPU has its own");
    if (!(s->device = device_open_cuda(&capability, d)))
        return false;
    if (!target_gpu(capability, &s->target))
        return diag_fail(d, DIAG_DEVICE, "--device cuda",
                         "the GPU's compute capability is %d.%d; nasc makes code for %s and newer", capability / 10,
                         capability % 10, target_gpus[0].name);
    s->engine = engine_open(ENGINE_CUDA, &s->target, s->threads, d);
    return s->engine != NULL;
}

bool session_use_cudnn(session *s, const char *precision, nasc_diag *d)
{
    bool rounds = precision && strcmp(precision, "tf32") == 0;
    if (!precision)
        return true;
    if (!s->target.capability)
        return diag_fail(d, DIAG_USAGE, "--cudnn", "is for GPUs: it goes with --device cuda");
    return engine_library(s->engine) || engine_open_library(s->engine, rounds, d);
}

bool session_open(session *s, const arguments *a, const char *engine, nasc_diag *d)
{
    *s = (session){.arguments = a, .arena = a->arena, .target = target_host()};
    tuned_open(&s->tuned, &s->target);
    s->schedules = tuned_book(&s->tuned);
    s->threads = a->threads > 0 ? (int)a->threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    s->bar = progress_open(a->quiet, &interrupted);
    s->progress = progress_reporter(&s->bar);
    listen();
    if (a->device && strcmp(a->device, "cuda") == 0)
        return open_gpu(s, engine, d) && session_use_cudnn(s, a->cudnn, d);
    if (!open_engine(s, engine, d))
        return false;
    s->device = device_open_cpu(s->threads, d);
    return s->device && session_use_cudnn(s, a->cudnn, d);
}

void session_close(session *s)
{
    progress_close(&s->bar);
    device_close(s->device);
    engine_close(s->engine);
    arena_free(&s->kernels);
    tuned_close(&s->tuned);
    s->device = NULL;
    s->engine = NULL;
}

bool session_target(arena *a, const char *wanted, bool gpus, target *to, nasc_diag *d)
{
    int count = 1, all = target_count + (gpus ? target_gpu_count : 0);
    const char **names = NEW_ARRAY(a, const char *, all + 1);
    text list = {.arena = a};
    names[0] = "native";
    text_add(&list, "%s", names[0]);
    for (; count <= all; count++) {
        names[count] = (count <= target_count ? target_table[count - 1] : target_gpus[count - 1 - target_count]).name;
        text_add(&list, ", %s", names[count]);
    }
    wanted = wanted ? wanted : names[0];
    const target *found = target_find(wanted);
    if (!found && gpus)
        found = target_find_gpu(wanted);
    if (!found && strcmp(wanted, names[0]) != 0) {
        const char *near = text_suggest(wanted, names, count);
        return diag_fail(d, DIAG_USAGE, "--target", "there is no target '%s'%s%s%s; targets are %s", wanted,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", list.at);
    }
    *to = found ? *found : target_host();
    return true;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

bool session_given(const arguments *a, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < a->settings.count; i++)
        if (strncmp(a->settings.at[i], name, length) == 0 && a->settings.at[i][length] == '=')
            return true;
    return false;
}

static bool agree(const session *s, settings *set, enum setting_id id, const char *of_data, const char *spec,
                  nasc_diag *d)
{
    const char *name = setting_table[id].name;
    if (session_given(s->arguments, name) && strcmp(settings_text(set, id), of_data) != 0)
        return diag_fail(d, DIAG_INPUT, spec, "the data have %s = %s, the settings say %s", name, of_data,
                         settings_text(set, id));
    return settings_set(set, name, of_data, spec, d);
}

/* The size of images that have none of their own is the settings' affair. */
static bool size_data(const char *spec, settings *set, data_options *o, nasc_diag *d)
{
    if (!data_takes_size(spec))
        return true;
    settings_for_images(set);
    o->centre = settings_number(set, SETTING_centre);
    return settings_input(set, &o->h, &o->w, &o->c) ||
           diag_fail(d, DIAG_INPUT, spec, "input is '%s', expected HxWxC", settings_text(set, SETTING_input));
}

dataset *session_data(const session *s, const char *spec, uint64_t seed, settings *set, nasc_diag *d)
{
    data_options o = {.seed = seed, .threads = s->threads};
    if (!size_data(spec, set, &o, d))
        return NULL;
    dataset *data = data_open(s->arena, spec, &o, d);
    if (!data)
        return NULL;
    if (data->note)
        fprintf(stderr, "nasc: %s\n", data->note);
    data_tell(data, &s->progress);
    const char *input = arena_printf(s->arena, "%dx%dx%d", data->h, data->w, data->c);
    const char *classes = arena_printf(s->arena, "%d", data->classes);
    return agree(s, set, SETTING_input, input, spec, d) && agree(s, set, SETTING_classes, classes, spec, d) ? data
                                                                                                            : NULL;
}

/* Whether the training network can be built; `d` (may be NULL) says why not. */
static bool builds(const space *of, const settings *set, nasc_diag *d)
{
    arena a = {0};
    space_net built;
    nasc_diag none = {0};
    bool ok = space_build(of, set, (space_mode){.train = true}, &a, &built, d ? d : &none);
    arena_free(&a);
    return ok;
}

bool session_fit_auxiliary(const session *s, const space *of, settings *set, nasc_diag *d)
{
    settings without = *set;
    if (settings_number(set, SETTING_auxiliary) == 0 || session_given(s->arguments, "auxiliary") ||
        builds(of, set, NULL))
        return true;
    if (!settings_set(&without, "auxiliary", "0", "", d) || !builds(of, &without, d))
        return false;
    *set = without;
    fputs("nasc: the auxiliary head does not fit maps of this size: left out (auxiliary = 0)\n", stderr);
    return true;
}

/* ---- networks ---------------------------------------------------------------------------------------------------- */

bool session_compile(session *s, const net *n, const pipeline_options *o, runnable *to, nasc_diag *d)
{
    pipeline_options apart = *o;
    apart.kernels = &s->kernels;
    apart.book = &s->schedules;
    apart.library = engine_library(s->engine);
    program *p = pipeline_compile(s->arena, n, &s->target, &apart, d);
    double start = clock_seconds();
    *to = (runnable){.program = p};
    bool ok = p && engine_load(s->engine, p, &to->code, d);
    s->load_seconds += clock_seconds() - start;
    const char *spills = engine_spills(s->engine);
    if (spills)
        fprintf(stderr, "nasc: these kernels have too few registers, and are slow:\n%s", spills);
    if (ok && (to->code.entry || to->code.image)) {
        program_forget_kernels(p);
        arena_free(&s->kernels);
    }
    malloc_trim(0); /* what compiling took is not to lie beside what running takes */
    return ok;
}

bool session_network(session *s, const space *of, const settings *set, enum objective_use use, const net *model,
                     objective *built, runnable *to, nasc_diag *d)
{
    if (!objective_build(of, set, use, s->arena, built, d) || (model && !objective_share(built->built.net, model, d)))
        return false;
    pipeline_options o = {.batch = (int)settings_int(set, SETTING_batch),
                          .grad = built->grad,
                          .sequential = use == USE_EVAL,
                          .memory = built->grad ? s->memory : 0};
    return session_compile(s, built->built.net, &o, to, d);
}

bool session_method(session *s, const net *n, enum net_method method, bool nesterov, runnable *to, nasc_diag *d)
{
    method_shape shape = method_shape_of(s->arena, n);
    shape.nesterov = nesterov;
    net *built = method_build(s->arena, method, &shape, d);
    pipeline_options o = {.batch = 1};
    return built && session_compile(s, built, &o, to, d);
}

parameters session_parameters(const net *n)
{
    return (parameters){.at = n->params.at,
                        .count = n->params.count,
                        .weights = n->slot_size[SLOT_WEIGHTS],
                        .stats = n->slot_size[SLOT_STATS],
                        .mix = n->slot_size[SLOT_MIX]};
}
