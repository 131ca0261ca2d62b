/* The pass table: a net goes down it, level by level, and each level's verifier checks what the pass promises.
 *
 * A program keeps kernels and places only; what the passes made on the way dies with the pipeline's own arena. */
#include "pipeline.h"

#include "emit/emit.h"
#include "net/choices.h"
#include "net/fuse.h"
#include "net/gram.h"
#include "net/row_sums.h"
#include "net/settle.h"
#include "net/shares.h"
#include "net/strides.h"
#include "plan/plan.h"
#include "plan/recompute.h"

#include <stdio.h>
#include <string.h>

/* What stands at each stage; later fields are NULL until their pass has run. */
typedef struct pipeline {
    arena *a;
    const target *t;
    const pipeline_options *o;
    const net *built;
    net *net;
    fusion *fusion;
    program *program;
    arena *home; /* where the program goes */
} pipeline;

static bool pass_expand(pipeline *p, nasc_diag *d)
{
    p->net = net_expand(p->a, p->built, d);
    return p->net != NULL;
}

/* The loss is what stands in SLOT_LOSS: expand has renumbered the net. */
static bool pass_grad(pipeline *p, nasc_diag *d)
{
    for (int i = 0; i < p->net->outputs.count && p->o->grad; i++)
        if (p->net->outputs.at[i].slot == SLOT_LOSS)
            return net_grad(p->net, p->net->outputs.at[i].value, p->o->grad, d);
    return true;
}

static bool pass_simplify(pipeline *p, nasc_diag *d)
{
    p->net = net_simplify(p->a, p->net, d);
    return p->net != NULL;
}

static bool pass_choices(pipeline *p, nasc_diag *d)
{
    p->net = (net *)net_add_in_choices(p->a, p->net, d);
    return p->net != NULL;
}

static bool pass_gram(pipeline *p, nasc_diag *d)
{
    p->net = (net *)net_norms_by_gram(p->a, p->net, d);
    return p->net != NULL;
}

static enum fuse_kernels kernels_for(const target *t)
{
    return t->capability ? FUSE_ELEMENTS : FUSE_TILES;
}

/* A way forward alone stores no zeros; kernels of elements read each pixel where it is used. */
static bool pass_strides(pipeline *p, nasc_diag *d)
{
    if (p->o->grad && kernels_for(p->t) == FUSE_TILES)
        p->net = (net *)net_sample_strides(p->a, p->net, d);
    return p->net != NULL;
}

static bool pass_settle(pipeline *p, nasc_diag *d)
{
    p->net = net_settle(p->a, p->net, d);
    return p->net != NULL;
}

static bool pass_library(pipeline *p, nasc_diag *d)
{
    if (p->o->library)
        p->net = net_give_to_library(p->a, p->net, p->o->library, p->o->batch, d);
    return p->net != NULL;
}

static bool pass_shares(pipeline *p, nasc_diag *d)
{
    p->net = (net *)net_chain_shares(p->a, p->net, kernels_for(p->t), d);
    return p->net != NULL;
}

static bool pass_sums(pipeline *p, nasc_diag *d)
{
    if (kernels_for(p->t) == FUSE_ELEMENTS)
        p->net = net_split_sums(p->a, p->net, d);
    return p->net != NULL;
}

static bool pass_recompute(pipeline *p, nasc_diag *d)
{
    p->net = (net *)net_recompute(p->a, p->net, kernels_for(p->t), p->o->batch, p->o->memory / 4, d);
    return p->net != NULL;
}

static bool pass_fuse(pipeline *p, nasc_diag *d)
{
    (void)d;
    p->fusion = net_fuse(p->a, p->net, kernels_for(p->t));
    return true;
}

static bool pass_plan(pipeline *p, nasc_diag *d)
{
    plan_options o = {.batch = p->o->batch,
                      .sequential = p->o->sequential,
                      .lean = p->o->lean,
                      .parts = p->o->parts,
                      .lower = p->o->lower,
                      .book = p->o->book,
                      .library = p->o->library,
                      .kernels = p->o->kernels};
    p->program = plan_program(p->home, p->fusion, p->t, &o, d);
    if (!p->program)
        return false;
    int64_t bytes = p->program->arena_elements * (int64_t)sizeof(float); /* recompute knows of no workspaces */
    return p->o->memory <= 0 || p->program->convs.count == 0 || bytes <= p->o->memory ||
           diag_fail(d, DIAG_MEMORY, "--memory",
                     "%.1f MiB are too little for the tensors of a step and what cuDNN works in: together %.1f MiB",
                     (double)p->o->memory / 1048576, (double)bytes / 1048576);
}

static void show_net(const pipeline *p, text *out)
{
    net_print(out, p->net);
}

static void show_groups(const pipeline *p, text *out)
{
    fusion_print(out, p->fusion);
}

static const char *slot_name(enum net_slot slot)
{
    static const char *const names[] = {"arena",  "images", "labels",  "weights",     "stats",
                                        "mix",    "masks",  "scalars", "weight_grad", "mix_grad",
                                        "logits", "loss",   "correct", "aux_logits"};
    return slot < SLOT_USER ? names[slot] : "user";
}

static void show_grid(const program *q, int grid, text *out)
{
    const program_grid *g = &q->grids.at[grid];
    text_add(out, " grid %d", grid);
    if (g->function >= 0)
        text_add(out, " function %d: %s", g->function, program_grid_name(out->arena, q, g));
    text_add(out, "\n");
}

static void show_program(const pipeline *p, text *out)
{
    const program *q = p->program;
    text_add(out, "program batch=%d arena=%lld scratch=%lld kernels=%d\n", q->batch, (long long)q->arena_elements * 4,
             (long long)q->scratch_bytes, q->kernels.count);
    for (int l = 0; l < q->launches.count; l++) {
        const program_launch *launch = &q->launches.at[l];
        text_add(out, "launch %d%s\n", l, launch->flags & LAUNCH_MOVES_STATS ? " moves statistics" : "");
        int grid = launch->first_grid;
        for (int i = launch->first; i < launch->first + launch->count; i++) {
            const program_instance *in = &q->instances.at[i];
            if (launch->grids && i == q->grids.at[grid].first)
                show_grid(q, grid++, out);
            if (in->kernel >= 0)
                text_add(out, "  kernel %d %s units %d/%d \"%s\":", in->kernel, q->kernels.at[in->kernel]->name,
                         in->unit_images, in->unit_tiles, in->name ? in->name : "");
            else
                text_add(out, "  %s \"%s\":", program_conv_name[q->convs.at[in->conv].kind], in->name ? in->name : "");
            for (int k = 0; k < in->args; k++) {
                const program_arg *arg = &q->args.at[in->first_arg + k];
                text_add(out, " %s+%lld", slot_name(arg->slot), (long long)arg->offset);
            }
            text_add(out, "\n");
        }
    }
}

static void show_kernels(const pipeline *p, text *out)
{
    for (int k = 0; k < p->program->kernels.count; k++)
        loop_print(out, p->program->kernels.at[k]);
}

static bool emit_c(const pipeline *p, text *out, nasc_diag *d)
{
    const program *q = p->program;
    emit_c_prelude(out, p->t);
    for (int k = 0; k < q->kernels.count; k++) {
        text_add(out, "\n");
        const char *name = arena_printf(out->arena, "%s_%d", q->kernels.at[k]->name, k);
        if (!emit_c_kernel(out, q->kernels.at[k], p->t, name, d))
            return false;
    }
    return true;
}

/* Of a function: its kernel and its number. */
static const char *function_name(arena *a, const program *q, int i)
{
    const program_function *f = &q->functions.at[i];
    return f->kernels == 1 ? arena_printf(a, "%s_%d", q->kernels.at[f->part[0].kernel]->name, i)
                           : arena_printf(a, "grid_%d", i);
}

static bool emit_cuda(const pipeline *p, text *out, nasc_diag *d)
{
    const program *q = p->program;
    if (!p->t->capability)
        return diag_fail(d, DIAG_INPUT, p->t->name, "is no GPU: CUDA is not written for it");
    emit_cuda_prelude(out);
    for (int i = 0; i < q->functions.count; i++) {
        text_add(out, "\n");
        if (!emit_cuda_function(out, &q->functions.at[i], q->kernels.at, p->t, function_name(out->arena, q, i), d))
            return false;
    }
    return true;
}

static bool emit_by_llvm(const pipeline *p, text *out, bool assembly, nasc_diag *d)
{
    for (int k = 0; k < p->program->kernels.count; k++)
        if (!emit_llvm_text(out, p->program->kernels.at[k], p->t, assembly, d))
            return false;
    return true;
}

static bool emit_llvm(const pipeline *p, text *out, nasc_diag *d)
{
    return emit_by_llvm(p, out, false, d);
}

static bool emit_assembly(const pipeline *p, text *out, nasc_diag *d)
{
    return emit_by_llvm(p, out, true, d);
}

/* One row a stage: the pass that makes it (NULL: the one before has) and how it is shown, by printing or by emitting.
 */
static const struct {
    const char *name;
    bool (*run)(pipeline *p, nasc_diag *d);
    void (*show)(const pipeline *p, text *out);
    bool (*emit)(const pipeline *p, text *out, nasc_diag *d);
    bool net; /* verified as a net */
} stages[] = {
    {"expand", pass_expand, show_net, NULL, true},
    {"grad", pass_grad, show_net, NULL, true},
    {"simplify", pass_simplify, show_net, NULL, true},
    {"choices", pass_choices, show_net, NULL, true},
    {"gram", pass_gram, show_net, NULL, true},
    {"strides", pass_strides, show_net, NULL, true},
    {"settle", pass_settle, show_net, NULL, true},
    {"library", pass_library, show_net, NULL, true},
    {"shares", pass_shares, show_net, NULL, true},
    {"sums", pass_sums, show_net, NULL, true},
    {"recompute", pass_recompute, show_net, NULL, true},
    {"fuse", pass_fuse, show_groups, NULL, false},
    {"plan", pass_plan, show_program, NULL, false},
    {"loop", NULL, show_kernels, NULL, false},
    {"c", NULL, NULL, emit_c, false},
    {"cuda", NULL, NULL, emit_cuda, false},
    {"llvm", NULL, NULL, emit_llvm, false},
    {"asm", NULL, NULL, emit_assembly, false},
};

static bool run_stage(pipeline *p, int i, nasc_diag *d)
{
    if (stages[i].run && !stages[i].run(p, d))
        return false;
    return !stages[i].net || net_verify(p->net, d);
}

static bool run_all(void *user, arena *home, nasc_diag *d)
{
    pipeline *p = user;
    p->a->unwind = home->unwind;
    bool ok = net_verify(p->built, d);
    for (int i = 0; i < (int)COUNT(stages) && ok; i++)
        ok = run_stage(p, i, d);
    for (int i = 0; ok && i < p->program->instances.count; i++)
        if (p->program->instances.at[i].name)
            p->program->instances.at[i].name = arena_strdup(home, p->program->instances.at[i].name);
    return ok;
}

program *pipeline_compile(arena *a, const net *n, const target *t, const pipeline_options *o, nasc_diag *d)
{
    arena own = {0};
    pipeline p = {.a = &own, .t = t, .o = o, .built = n, .home = a};
    bool ok = arena_guard(a, run_all, &p, d);
    arena_free(&own);
    return ok ? p.program : NULL;
}

static bool stage_known(const char *stage, nasc_diag *d)
{
    const char *names[COUNT(stages) + 2] = {"net"};
    int count = 1;
    for (int i = 0; i < (int)COUNT(stages); i++)
        names[count++] = stages[i].name;
    names[count++] = "all";
    char list[160] = "";
    for (int i = 0; i < count; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", names[i]);
        if (strcmp(stage, names[i]) == 0)
            return true;
    }
    const char *near = text_suggest(stage, names, count);
    return diag_fail(d, DIAG_USAGE, "--stage", "no stage \"%s\"%s%s; expected %s", stage, near ? "; did you mean " : "",
                     near ? near : "", list);
}

/* Of all stages one may have nothing to show: a target without LLVM, or a nasc without it. */
static bool show_stage(const pipeline *p, int i, bool all, text *out, nasc_diag *d)
{
    nasc_diag missing = {0};
    if (all)
        text_add(out, "; ---- %s\n", stages[i].name);
    if (stages[i].show)
        stages[i].show(p, out);
    else if (!stages[i].emit(p, out, &missing) && all)
        text_add(out, "; %s: %s\n", missing.where, missing.message);
    return all || !missing.kind || diag_fail(d, missing.kind, missing.where, "%s", missing.message);
}

bool pipeline_dump(text *out, const net *n, const target *t, const pipeline_options *o, const char *stage, nasc_diag *d)
{
    bool all = strcmp(stage, "all") == 0;
    if (!stage_known(stage, d))
        return false;
    pipeline p = {.a = out->arena, .t = t, .o = o, .built = n, .home = out->arena};
    if (all)
        text_add(out, "; ---- net\n");
    if (all || strcmp(stage, "net") == 0)
        net_print(out, n);
    for (int i = 0; i < (int)COUNT(stages) && strcmp(stage, "net") != 0; i++) {
        bool last = strcmp(stage, stages[i].name) == 0;
        if (!run_stage(&p, i, d) || ((all || last) && !show_stage(&p, i, all, out, d)))
            return false;
        if (last)
            break;
    }
    return true;
}
