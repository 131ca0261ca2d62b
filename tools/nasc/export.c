/* nasc export: a network with its weights as standalone C, or as an ONNX file (export_onnx.c). */
#include "emit/export.h"
#include "export.h"
#include "output.h"
#include "runtime/rng.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

enum {
    ARRAY_BYTES_MOST = 100000, /* of weights that become an array unless said otherwise */
    PARTS_MOST = 64            /* threads of exported code */
};

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

/* --name, or the genotype's own, as C can have it. */
static const char *choose_name(const exporting *e, nasc_diag *d)
{
    char *name = arena_strdup(e->session.arena, e->a->name ? e->a->name : space_name(e->trained.genotype));
    for (char *c = name; *c && !e->a->name; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    if (!e->a->name && isdigit((unsigned char)*name))
        name = arena_printf(e->session.arena, "net_%s", name);
    if (export_name_fits(name))
        return name;
    diag_fail(d, DIAG_USAGE, "--name", "found '%s', expected letters, digits and _, as names in C have them", name);
    return NULL;
}

/* ---- the test case ----------------------------------------------------------------------------------------------- */

/* An engine on this machine whose results are those of the target: what fused multiply-adds do is all that differs. */
static engine *open_reference(const exporting *e, target *host, nasc_diag *d)
{
    if (export_is_int8(e)) { /* weights are packed for the target's vectors; any engine has its bits */
        *host = e->target;
        return engine_open(ENGINE_INTERPRETER, host, 1, d);
    }
    nasc_diag none = {0};
    bool as_host = host->fma || !e->target.fma;
    host->fma = e->target.fma;
    engine *found = as_host ? engine_open(ENGINE_JIT, host, e->session.threads, &none) : NULL;
    if (!found && as_host)
        found = engine_open(ENGINE_CC, host, e->session.threads, d);
    return found ? found : engine_open(ENGINE_INTERPRETER, host, 1, d);
}

static bool run_reference(exporting *e, engine *with, const target *host, float *in, nasc_diag *d)
{
    session *s = &e->session;
    pipeline_options o = {.batch = 1, .sequential = true};
    program_code code;
    program *p = pipeline_compile(s->arena, export_is_int8(e) ? e->bytes.net : e->network.net, host, &o, d);
    if (!p || !engine_load(with, p, &code, d) || !device_prepare(s->device, p, &code, d))
        return false;
    device_run run = {.program = p, .code = &code, .n = 1};
    run.slot[SLOT_IMAGES] = in;
    run.slot[SLOT_WEIGHTS] = export_is_int8(e) ? (void *)e->bytes.constants : e->constants;
    run.slot[SLOT_LOGITS] = e->expected;
    return device_execute(s->device, &run, d);
}

/* Grey levels by chance, and the logits of them. `image` is laid out as the exported function takes it. */
static bool make_case(exporting *e, nasc_diag *d)
{
    const trained *t = &e->trained;
    int channels = t->c, pixels = t->h * t->w;
    bool turned = e->a->layout && strcmp(e->a->layout, "nchw") == 0;
    e->image = arena_alloc(e->session.arena, (size_t)pixels * (size_t)channels);
    e->expected = NEW_ARRAY(e->session.arena, float, t->classes);
    float *in = NEW_ARRAY(e->session.arena, float, (int64_t)pixels *channels);
    rng r = rng_open(t->seed, RNG_TEST, 0, 0);
    for (int i = 0; i < pixels * channels; i++) {
        int at = turned ? i % channels * pixels + i / channels : i;
        e->image[at] = (unsigned char)rng_below(&r, 256);
        in[i] = (float)e->image[at] / 255.0f;
    }
    target host = e->session.target;
    engine *with = open_reference(e, &host, d);
    bool ok = with && run_reference(e, with, &host, in, d);
    engine_close(with);
    return ok;
}

/* ---- the header's comment ---------------------------------------------------------------------------------------- */

static void add_values(text *facts, const char *what, const float *at, int count)
{
    text_add(facts, "%s", what);
    for (int i = 0; i < count; i++)
        text_add(facts, "%s%.9g", i ? ", " : " ", (double)at[i]);
}

static const char *weights_text(const exporting *e)
{
    const trained *t = &e->trained;
    const char *slash = t->weights ? strrchr(t->weights, '/') : NULL;
    if (t->weights)
        return arena_printf(e->session.arena, "%s", slash ? slash + 1 : t->weights);
    return "initial ones, not trained, with the statistics of one batch of synthetic images";
}

const char *export_facts(const exporting *e, const char *margin, const char *target)
{
    const trained *t = &e->trained;
    const net *built = e->network.built.net;
    text facts = {.arena = e->session.arena};
    const char *json = space_text(t->genotype, e->session.arena);
    text_add(&facts, "%sgenotype  %s, hash %016" PRIx64 "\n", margin, space_name(t->genotype),
             (uint64_t)XXH3_64bits(json, strlen(json)));
    text_add(&facts, "%ssettings  channels %s, cells %s, stem %s\n", margin,
             settings_text(&t->settings, SETTING_channels), settings_text(&t->settings, SETTING_cells),
             settings_text(&t->settings, SETTING_stem));
    text_add(&facts, "%sweights   %s\n%sseed      %" PRIu64 "\n", margin, weights_text(e), margin, t->seed);
    if (target)
        text_add(&facts, "%starget    %s\n", margin, target);
    text_add(&facts, "%ssize      %" PRId64 " parameters, %" PRId64 " multiply-adds an image\n", margin,
             built->slot_size[SLOT_WEIGHTS], net_cost_total(built).macs);
    text_add(&facts, "%sinput     %d x %d x %d", margin, t->h, t->w, t->c);
    if (!e->a->no_normalise) {
        add_values(&facts, ", (x - mean) / std with mean", t->mean, t->c);
        add_values(&facts, ", std", t->std, t->c);
    }
    text_add(&facts, "\n%sclasses   %d", margin, t->classes);
    for (int k = 0; t->class_names && k < t->classes; k++)
        if (k % 8 == 0)
            text_add(&facts, "\n%s          %d %s", margin, k, t->class_names[k]);
        else
            text_add(&facts, ", %d %s", k, t->class_names[k]);
    text_add(&facts, "\n");
    return facts.at;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static bool is_onnx(const exporting *e)
{
    return strcmp(e->a->to, "onnx") == 0;
}

static bool check_options(const exporting *e, nasc_diag *d)
{
    const export_arguments *a = e->a;
    if (a->calibration && !export_is_int8(e))
        return diag_fail(d, DIAG_USAGE, "--calibration", "is for --dtype int8");
    const char *alone = export_is_int8(e) ? "--dtype int8"
                        : a->target       ? "--target"
                        : a->weights_as   ? "--weights-as"
                        : a->optimize     ? "--optimize"
                        : a->parallel     ? "--parallel"
                                          : NULL;
    return !is_onnx(e) || !alone || diag_fail(d, DIAG_USAGE, alone, "is for --to c: an ONNX file has none");
}

static bool is_parallel(const exporting *e)
{
    return e->a->parallel && strcmp(e->a->parallel, "openmp") == 0;
}

/* Threads take an operating system, and are several. */
static bool check_parallel(const exporting *e, nasc_diag *d)
{
    if (is_parallel(e) && e->target.place != ON_SYSTEM)
        return diag_fail(d, DIAG_USAGE, "--parallel", "target %s has no threads; expected one with an operating system",
                         e->target.name);
    if (is_parallel(e) && (e->session.threads < 2 || e->session.threads > PARTS_MOST))
        return diag_fail(d, DIAG_USAGE, "--threads", "found %d, expected 2 to %d with --parallel openmp",
                         e->session.threads, PARTS_MOST);
    return true;
}

bool export_is_int8(const exporting *e)
{
    return e->a->dtype && strcmp(e->a->dtype, "int8") == 0;
}

static bool build(exporting *e, nasc_diag *d)
{
    trained *t = &e->trained;
    inference_options o = {.normalise = !e->a->no_normalise};
    if (!inference_build(t->genotype, &t->settings, &o, e->session.arena, &e->network, d))
        return false;
    if (o.normalise && t->weights && !t->mean)
        return diag_fail(d, DIAG_INPUT, e->a->common.operand[0],
                         "mean and deviation of the data are not known; expected --data, or --no-normalise where the "
                         "caller normalises");
    if (!t->weights)
        fprintf(stderr,
                "nasc: no --weights: initial ones of seed %" PRIu64 ", with the statistics of one synthetic "
                "batch\n",
                t->seed);
    return true;
}

static uint64_t network_key(const exporting *e)
{
    text printed = {.arena = e->session.arena};
    net_print(&printed, export_is_int8(e) ? e->bytes.bytes : e->network.net);
    return XXH3_64bits(printed.at, printed.length);
}

static bool print_json(const exporting *e, const export_model *m, const export_sizes *sizes, nasc_diag *d)
{
    json_t *all = json_pack("{ss ss sI sI sI ss}", "name", m->name, "target", m->target->name, "arena_bytes",
                            (json_int_t)sizes->arena_bytes, "weights_bytes", (json_int_t)sizes->weights_bytes,
                            "code_bytes_estimated", (json_int_t)sizes->code_bytes, "weights_as",
                            m->weights_as_file ? "file" : "array");
    if (export_is_int8(e)) {
        json_object_set_new(all, "accuracy", json_real(e->accuracy));
        json_object_set_new(all, "float_accuracy", json_real(e->float_accuracy));
    }
    return output_json(all, JSON_COMPACT, d);
}

static bool for_size(const exporting *e)
{
    return e->a->optimize && strcmp(e->a->optimize, "size") == 0;
}

static int64_t constant_count(const exporting *e)
{
    return export_is_int8(e) ? e->bytes.words : e->network.constants;
}

/* A board has flash, and no files. */
static bool weights_as_file(const exporting *e)
{
    if (e->a->weights_as)
        return strcmp(e->a->weights_as, "file") == 0;
    return e->target.place != ON_BOARD && 4 * constant_count(e) > ARRAY_BYTES_MOST;
}

static bool write_c(exporting *e, nasc_diag *d)
{
    const export_arguments *a = e->a;
    const trained *t = &e->trained;
    int parts = is_parallel(e) ? e->session.threads : 0;
    pipeline_options o = {.batch = 1,
                          .sequential = true,
                          .lean = true,
                          .parts = parts,
                          .lower = {.small = for_size(e), .rolled = true, .tiles_least = parts}};
    const char *name = choose_name(e, d);
    e->constants = name ? trained_constants(&e->trained, &e->network, d) : NULL;
    bool int8 = export_is_int8(e);
    if (!e->constants || (int8 && !export_quantise(e, d)) || !make_case(e, d))
        return false;
    if (!int8)
        inference_arrange(&e->network, &e->target, o.lower.small, e->constants, e->session.arena);
    const net *what = int8 ? e->bytes.bytes : e->network.net;
    program *p = pipeline_compile(e->session.arena, what, &e->target, &o, d);
    export_model m = {.program = p,
                      .target = &e->target,
                      .name = name,
                      .h = t->h,
                      .w = t->w,
                      .c = t->c,
                      .classes = t->classes,
                      .normalises = !a->no_normalise,
                      .channels_first = a->layout && strcmp(a->layout, "nchw") == 0,
                      .weights_as_file = weights_as_file(e),
                      .small = for_size(e),
                      .parts = parts,
                      .constants = int8 ? (const void *)e->bytes.constants : e->constants,
                      .constant_count = constant_count(e),
                      .in = {int8 ? e->bytes.in.scale : 0, e->bytes.in.zero},
                      .out = {e->bytes.out.scale, e->bytes.out.zero},
                      .image = e->image,
                      .expected = e->expected};
    if (!p)
        return false;
    m.key = network_key(e);
    m.facts = export_facts(e, " * ", e->target.name);
    export_sizes sizes;
    if (!export_c(&m, a->out, &sizes, d))
        return false;
    if (a->common.json)
        return print_json(e, &m, &sizes, d);
    printf("%s for %s: arena %" PRId64 " bytes, weights %" PRId64 " bytes in %s, code about %" PRId64
           " kB (estimated)\n",
           name, e->target.name, sizes.arena_bytes, sizes.weights_bytes, m.weights_as_file ? "a file" : "an array",
           (sizes.code_bytes + 999) / 1000);
    if (int8)
        printf("accuracy of int8 %.2f %%, of float %.2f %%, on %" PRId64 " test images\n", 100 * e->accuracy,
               100 * e->float_accuracy, e->images);
    return true;
}

static bool choose_target(exporting *e, nasc_diag *d)
{
    bool native = !e->a->target || strcmp(e->a->target, "native") == 0;
    if (!session_target(e->session.arena, e->a->target, false, &e->target, d))
        return false;
    if (native && export_is_int8(e))
        e->target = target_host_integers();
    return true;
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    exporting e = {.a = arguments};
    const export_arguments *a = e.a;
    bool ok = check_options(&e, d) && session_open(&e.session, &a->common, NULL, d) && choose_target(&e, d) &&
              check_parallel(&e, d) &&
              trained_open(&e.trained, &e.session, a->common.operand[0], a->weights, a->data, d) && build(&e, d) &&
              (is_onnx(&e) ? export_to_onnx : write_c)(&e, d);
    trained_close(&e.trained);
    session_close(&e.session);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

#define AT(field) offsetof(export_arguments, field)
static const option_row options[] = {
    {.name = "to",
     .value = "c|onnx",
     .kind = OPTION_TEXT,
     .offset = AT(to),
     .help = "what to write: C, or an ONNX file",
     .required = true},
    {.name = "out",
     .value = "PATH",
     .kind = OPTION_TEXT,
     .offset = AT(out),
     .help = "the ONNX file; of C, the folder that receives NAME.h, NAME.c, the weights, NAME_test.c, Makefile, "
             "CMakeLists.txt",
     .required = true},
    {.name = "target",
     .value = "TARGET",
     .kind = OPTION_TEXT,
     .offset = AT(target),
     .help = "generic (strict C11), native, x86-64-v3, x86-64-v4, x86-64-v4+vnni, aarch64, aarch64+dotprod, cortex-m, "
             "wasm; native unless given"},
    {.name = "name",
     .value = "NAME",
     .kind = OPTION_TEXT,
     .offset = AT(name),
     .help = "what names in C begin with, or ONNX's graph is called; the genotype's name unless given"},
    {.name = "weights",
     .value = "FILE",
     .kind = OPTION_TEXT,
     .offset = AT(weights),
     .help = "safetensors with the weights; a run's own, or initial ones, unless given"},
    {.name = "weights-as",
     .value = "array|file",
     .kind = OPTION_TEXT,
     .offset = AT(weights_as),
     .help = "weights in NAME_weights.c or in NAME.bin; a file above 100 kB unless given (cortex-m: an array)"},
    {.name = "optimize",
     .value = "size|speed",
     .kind = OPTION_TEXT,
     .offset = AT(optimize),
     .help = "short code (loops where there would be unrolled ones, -Os), or fast code; speed unless given"},
    {.name = "parallel",
     .value = "none|openmp",
     .kind = OPTION_TEXT,
     .offset = AT(parallel),
     .help = "none unless given; openmp splits loops among at most --threads threads: the same bits, a longer arena"},
    {.name = "data",
     .value = "KIND:PATH",
     .kind = OPTION_TEXT,
     .offset = AT(data),
     .help =
         "the data whose mean and deviation normalise the input, and for int8 whose training images say the ranges; "
         "a run's own unless given"},
    {.name = "dtype",
     .value = "f32|int8",
     .kind = OPTION_TEXT,
     .offset = AT(dtype),
     .help = "what the network computes in: floats, or bytes with sums of 32 bits (needs data)"},
    {.name = "calibration",
     .value = "N",
     .kind = OPTION_INT,
     .offset = AT(calibration),
     .least = 1,
     .most = UINT32_MAX,
     .help = "training images by which int8's ranges are found (256)"},
    {.name = "layout",
     .value = "nhwc|nchw",
     .kind = OPTION_TEXT,
     .offset = AT(layout),
     .help = "of the input: channels last (C's unless given), or first (ONNX's)"},
    {.name = "no-normalise",
     .kind = OPTION_FLAG,
     .offset = AT(no_normalise),
     .help = "the network takes its input as it comes"},
};

const command command_export = {
    .name = "export",
    .operands = "RUN",
    .summary = "Writes a network with its weights as standalone C, or as ONNX.",
    .details =
        "RUN is the folder of a training, or a genotype file, with --weights or initial weights by --seed.\n"
        "`make -C DIR` builds NAME_test, which checks the code on a stored image.\n"
        "An ONNX file (opset 15) takes `images`, n x c x h x w, and gives `logits`; tensors have the names that\n"
        "--weights has, batch norms are not folded.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(export_arguments),
    .run = run,
};
