/* nasc dump: any level of the pipeline as text, from the net as built to assembly. */
#include "cli.h"
#include "model.h"
#include "output.h"
#include "session.h"

#include "uses/objective.h"
#include "engine.h"
#include "pipeline.h"

#include <string.h>

typedef struct dump_arguments {
    arguments common;
    const char *stage, *use, *target;
} dump_arguments;

static const struct use_name {
    const char *name;
    enum objective_use use;
} uses[] = {
    {"eval", USE_EVAL}, {"weights", USE_WEIGHTS}, {"mix", USE_MIX}, {"both", USE_BOTH}, {"forward", USE_FORWARD},
};

/* --cudnn: as it answers for a GPU that is not here. */
static bool open_library(const arguments *a, const target *t, cudnn **c, nasc_diag *d)
{
    *c = NULL;
    if (!a->cudnn)
        return true;
    if (!t->capability)
        return diag_fail(d, DIAG_USAGE, "--cudnn", "is for GPUs: it goes with --target sm_90");
    const cudnn_gpu *gpu = cudnn_gpu_of(t->capability, d);
    return gpu && (*c = cudnn_open(gpu, strcmp(a->cudnn, "tf32") == 0, d)) != NULL;
}

static bool show(const dump_arguments *a, const net *n, const target *t, pipeline_options *o, nasc_diag *d)
{
    cudnn *c;
    text out = {.arena = a->common.arena};
    if (!open_library(&a->common, t, &c, d))
        return false;
    net_library library = cudnn_as_library(c);
    o->library = c ? &library : NULL;
    bool ok = pipeline_dump(&out, n, t, o, a->stage, d);
    cudnn_close(c);
    return ok && output_text(NULL, out.at, out.length, d);
}

static bool dump(const dump_arguments *a, model *m, nasc_diag *d)
{
    objective o;
    target t;
    enum objective_use use = USE_EVAL;
    for (size_t i = 0; i < COUNT(uses); i++)
        if (a->use && strcmp(a->use, uses[i].name) == 0)
            use = uses[i].use;
    if (!session_target(a->common.arena, a->target, true, &t, d) ||
        !model_open(m, &a->common, a->common.operand[0], d) ||
        !objective_build(m->space, &m->settings, use, a->common.arena, &o, d))
        return false;
    pipeline_options options = {
        .batch = (int)settings_int(&m->settings, SETTING_batch), .grad = o.grad, .sequential = use == USE_EVAL};
    return show(a, o.built.net, &t, &options, d);
}

static enum exit_code run(void *arguments, nasc_diag *d)
{
    model m = {0};
    bool ok = dump(arguments, &m, d);
    model_close(&m);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const option_row options[] = {
    {.name = "stage",
     .value = "NAME",
     .kind = OPTION_TEXT,
     .offset = offsetof(dump_arguments, stage),
     .help = "the level: net, expand, grad, simplify, choices, gram, strides, settle, library, shares, sums, "
             "recompute, fuse, plan, loop, c, cuda, llvm, asm, or all",
     .required = true},
    {.name = "use",
     .value = "eval|weights|mix|both|forward",
     .kind = OPTION_TEXT,
     .offset = offsetof(dump_arguments, use),
     .help = "what the network is for: evaluation, or a gradient (eval)"},
    {.name = "target",
     .value = "NAME",
     .kind = OPTION_TEXT,
     .offset = offsetof(dump_arguments, target),
     .help = "the machine that code is made for: native, generic, x86-64-v3 …, or a GPU: sm_75 … (native)"},
};

const command command_dump = {
    .name = "dump",
    .operands = "FILE",
    .summary = "Prints a level of the pipeline: the net after a pass, groups, launches, kernels, assembly.",
    .options = options,
    .option_count = COUNT(options),
    .settings = true,
    .bytes = sizeof(dump_arguments),
    .run = run,
};
