/* Lowers groups, shares equal kernels, and binds their arguments to places. */
#include "plan/plan.h"
#include "net/settle.h"
#include "plan/grids.h"
#include "plan/schedule.h"

#include <string.h>

enum { LEAN_PART = 12 }; /* of what lives at once, what a lean arena may be longer: one in so many */

/* Kernels by their keys. */
typedef VEC(struct known {
    unsigned char key[16];
    int kernel;
}) known_list;

typedef struct planner {
    arena *a, *own, *scratch; /* own: dies with the planner; scratch: of one lowering */
    arena *kernels;           /* what they consist of */
    const fusion *f;
    const net *n;
    const target *t;
    const plan_options *o;
    program *p;
    const memory *memory;
    const int *owner;   /* net_owners */
    int64_t workspaces; /* of the last launch, elements */
    lower_room room;
    lower_layout layout;
    known_list raw, known; /* as lowered, and as kept */
} planner;

/* ---- kernels ---- */

static kernel *keep_kernel(planner *p, const kernel *k)
{
    kernel *copy = NEW(p->a, kernel);
    *copy = *k;
    copy->ins.at = arena_copy(p->kernels, k->ins.at, (size_t)k->ins.count * sizeof *k->ins.at);
    copy->regs.at = arena_copy(p->kernels, k->regs.at, (size_t)k->regs.count * sizeof *k->regs.at);
    copy->args.at = arena_copy(p->kernels, k->args.at, (size_t)k->args.count * sizeof *k->args.at);
    copy->scratch.at = arena_copy(p->kernels, k->scratch.at, (size_t)k->scratch.count * sizeof *k->scratch.at);
    copy->ins.capacity = k->ins.count;
    copy->regs.capacity = k->regs.count;
    copy->args.capacity = k->args.count;
    copy->scratch.capacity = k->scratch.count;
    return copy;
}

/* The number of the kernel with `key`, or -1. */
static int find_kernel(const known_list *known, const unsigned char key[16])
{
    for (int i = 0; i < known->count; i++)
        if (memcmp(known->at[i].key, key, sizeof known->at[i].key) == 0)
            return known->at[i].kernel;
    return -1;
}

static int note_kernel(planner *p, known_list *known, const unsigned char key[16], int kernel)
{
    struct known k = {.kernel = kernel};
    memcpy(k.key, key, sizeof k.key);
    VEC_PUSH(p->own, known, k);
    return kernel;
}

/* The number of a kernel that equals what `raw` becomes, or of that, kept. */
static int finish_kernel(planner *p, const kernel *raw)
{
    nasc_diag d = {0};
    unsigned char key[16];
    if (!loop_verify(raw, &d)) {
        if (d.kind == DIAG_MEMORY)
            arena_unwind(p->scratch);
        BUG("the lowering wrote a kernel that does not verify: %s", d.message);
    }
    const kernel *k = loop_expand_math(p->scratch, raw, p->t->fma);
    loop_key(k, key);
    int known = find_kernel(&p->known, key);
    if (known >= 0)
        return known;
    const kernel *kept = keep_kernel(p, k);
    VEC_PUSH(p->a, &p->p->kernels, kept);
    int64_t bytes = loop_scratch_offset(kept, kept->scratch.count);
    p->p->scratch_bytes = bytes > p->p->scratch_bytes ? bytes : p->p->scratch_bytes;
    return note_kernel(p, &p->known, key, p->p->kernels.count - 1);
}

/* Most instances are lowered to what an earlier one was: they are known by that, and neither verified nor finished. */
static int share_kernel(planner *p, const kernel *raw, const unsigned char key[16])
{
    int known = find_kernel(&p->raw, key);
    return known >= 0 ? known : note_kernel(p, &p->raw, key, finish_kernel(p, raw));
}

/* ---- launches ---- */

static program_arg bind(const planner *p, const lower_arg *arg)
{
    const net_node *v = &p->n->nodes.at[arg->value];
    bool written = (arg->access & LOOP_OUT) != 0;
    if (p->f->place[arg->value] == PLACE_LEAF) {
        int64_t offset = v->attr.slot == SLOT_MASKS ? v->attr.offset * p->o->batch : v->attr.offset;
        return (program_arg){v->attr.slot, offset + arg->offset,
                             memory_elements(p->n, arg->value, p->o->batch) - arg->offset, written};
    }
    const home *at = &p->memory->home[arg->value];
    bool bytes = dtype_info[v->type.dtype].bytes == 1; /* kernels know their channels' place: it may be within a word */
    const net_output *output = p->memory->home[at->owner].output;
    int64_t from = bytes ? 0 : at->channel + arg->offset;
    int64_t elements = memory_elements(p->n, at->owner, p->o->batch) - from;
    if (output)
        return (program_arg){output->slot, output->offset + from, elements, written};
    CHECK(p->memory->offset[at->owner] >= 0); /* what a kernel names is stored: nothing inline, nothing dead */
    return (program_arg){SLOT_NONE, p->memory->offset[at->owner] + from, elements, written};
}

/* Streams and fetches ahead are for tensors that overflow their half of the last cache: weights take room there too, and so
 * does whoever else runs on the machine. */
static lower_layout describe_layout(const planner *p)
{
    bool large = p->memory->elements * (int64_t)sizeof(float) > p->t->l3_bytes / 2;
    return (lower_layout){.batch = p->o->batch,
                          .stride = p->memory->stride,
                          .channel = p->memory->channel,
                          .large = large,
                          .lines = large ? p->memory->lines : NULL,
                          .row_lines = large ? p->memory->row_lines : NULL};
}

/* A group's kernel, by the best schedule that is known and keeps to so much scratch; both keys are that kernel's, and
 * what its schedule is known by. */
static lowered *lower_best(planner *p, const group *g, int64_t scratch_most, unsigned char key[16],
                           unsigned char schedule[16])
{
    lower_options asked = p->o->lower, better;
    asked.scratch_most = scratch_most;
    lowered *l = lower_group(p->scratch, p->f, g, &p->layout, p->t, &asked, &p->room);
    loop_key(l->k, schedule);
    memcpy(key, schedule, 16);
    if (p->o->book && p->o->book->find(p->o->book->user, schedule, &better)) {
        better.scratch_most = scratch_most;
        better.rolled = asked.rolled;
        l = lower_group(p->scratch, p->f, g, &p->layout, p->t, &better, &p->room);
        loop_key(l->k, key);
    }
    return l;
}

/* Of all parts that run at once. */
static int64_t scratch_elements(const planner *p, const lowered *l)
{
    int parts = l->unit_tiles > 1 && p->o->parts > 1 ? p->o->parts : 1;
    return parts * ((loop_scratch_offset(l->k, l->k->scratch.count) + 3) / 4);
}

/* One thread's scratch may lie where no tensor lives at the time. Where that would make a lean arena longer than
 * it may be, the kernel makes do with what there is. */
static lowered *lower_and_place(planner *p, const group *g, program_instance *i)
{
    int launch = p->p->launches.count - 1;
    int64_t most = p->memory->alive + p->memory->alive / LEAN_PART;
    lowered *l = lower_best(p, g, 0, i->code, i->schedule);
    i->scratch = memory_scratch(p->memory, launch, scratch_elements(p, l));
    if (p->o->lean && i->scratch + scratch_elements(p, l) > most) {
        int64_t part = memory_gap(p->memory, launch, most) / (p->o->parts > 1 ? p->o->parts : 1);
        l = lower_best(p, g, 4 * part, i->code, i->schedule);
        i->scratch = memory_scratch(p->memory, launch, scratch_elements(p, l));
    }
    int64_t end = i->scratch + scratch_elements(p, l);
    if (scratch_elements(p, l) && end > p->p->single_elements)
        p->p->single_elements = end;
    return l;
}

/* ---- convolutions of a library ---- */

enum { WORKSPACE_ALIGN = 64 }; /* elements */

/* Memory that no tensor has while the last launch runs, nor another convolution of it: each begins where those before it
 * would end if they lay at the same place, which is no further up. */
static int64_t place_workspace(planner *p, int64_t elements)
{
    int launch = p->p->launches.count - 1;
    int64_t room = p->workspaces + elements + WORKSPACE_ALIGN;
    int64_t at = memory_scratch(p->memory, launch, room) + p->workspaces;
    p->workspaces = room;
    p->p->arena_elements =
        at + elements + WORKSPACE_ALIGN > p->p->arena_elements ? at + elements + WORKSPACE_ALIGN : p->p->arena_elements;
    return (at + WORKSPACE_ALIGN - 1) / WORKSPACE_ALIGN * WORKSPACE_ALIGN;
}

/* x, the filter, y. */
static void order_operands(const net_node *v, int node, int value[3])
{
    bool back = v->prim == NET_lib_conv_dx, rows = v->prim == NET_lib_conv_dw;
    value[0] = back ? node : v->operand[0];
    value[1] = rows ? node : v->operand[1];
    value[2] = back ? v->operand[0] : rows ? v->operand[1] : node;
}

static bool add_conv(planner *p, int node, nasc_diag *d)
{
    const net_node *v = &p->n->nodes.at[node];
    program_conv conv = net_library_conv(p->n, node, p->owner);
    program_instance i = {
        .kernel = -1, .conv = p->p->convs.count, .first_arg = p->p->args.count, .args = 3, .name = v->name};
    net_cost cost = net_prim_info[v->prim].cost(p->n, v);
    int64_t bytes = 0;
    int value[3];
    if (!p->o->library->takes(p->o->library->user, &conv, p->o->batch, &bytes))
        return diag_fail(d, DIAG_DEVICE, v->name ? v->name : "a convolution",
                         "cuDNN takes it where it stands dense in memory, but not where it stands now");
    order_operands(v, node, value);
    for (int k = 0; k < 3; k++) {
        lower_arg arg = {.value = value[k], .access = value[k] == node ? LOOP_OUT : LOOP_IN};
        VEC_PUSH(p->a, &p->p->args, bind(p, &arg));
    }
    int64_t elements = (bytes + 3) / 4;
    if (elements) {
        program_arg workspace = {SLOT_NONE, place_workspace(p, elements), elements, true};
        VEC_PUSH(p->a, &p->p->args, workspace);
        i.args++;
    }
    i.unit_images = i.unit_tiles = 1;
    i.flops_image = cost.flops;
    i.bytes_image = cost.bytes;
    VEC_PUSH(p->a, &p->p->convs, conv);
    VEC_PUSH(p->a, &p->p->instances, i);
    return true;
}

/* ---- launches, one after the other ---- */

static void add_instance(planner *p, const group *g)
{
    program_instance i = {.conv = -1};
    lowered *l = lower_and_place(p, g, &i);
    i.kernel = share_kernel(p, l->k, i.code);
    i.first_arg = p->p->args.count;
    i.args = l->args.count;
    i.unit_images = l->unit_images;
    i.unit_tiles = l->unit_tiles;
    i.flops_image = l->flops_image;
    i.bytes_image = l->bytes_image;
    for (int r = 0; r < g->roots.count && !i.name; r++)
        i.name = p->n->nodes.at[g->roots.at[r]].name;
    for (int k = 0; k < l->args.count; k++)
        VEC_PUSH(p->a, &p->p->args, bind(p, &l->args.at[k]));
    VEC_PUSH(p->a, &p->p->instances, i);
    arena_reset(p->scratch);
}

static void open_launch(planner *p, int group, int beside)
{
    const net_node *root = &p->n->nodes.at[p->f->groups.at[group].roots.at[0]];
    const net_region *region = &p->n->regions.at[root->region];
    program_launch l = {.first = p->p->instances.count,
                        .flags =
                            (root->prim == NET_bn_move ? LAUNCH_MOVES_STATS : 0u) | (region->gate ? LAUNCH_GATE : 0u),
                        .select = root->region ? region->select : -1,
                        .candidate = root->region ? region->candidate : -1,
                        .beside = beside};
    VEC_PUSH(p->a, &p->p->launches, l);
    p->workspaces = 0;
}

static bool add_group(planner *p, const group *g, nasc_diag *d)
{
    int root = g->roots.at[0];
    if (net_prim_info[p->n->nodes.at[root].prim].class == NET_LIBRARY)
        return add_conv(p, root, d);
    add_instance(p, g);
    return true;
}

/* Forms the grids of a launch, which the last `count` groups of those in `order` are. */
static void close_launch(planner *p, grids *g, const int *order, int count)
{
    grid_touches *touches = NEW_ARRAY(p->scratch, grid_touches, count + 1);
    for (int i = 0; i < count; i++) {
        const group *of = &p->f->groups.at[order[i]];
        node_list reads = {0};
        for (int r = 0; r < of->roots.count; r++)
            fusion_reads(p->scratch, p->f, of->roots.at[r], &reads);
        touches[i] = (grid_touches){reads.at, of->roots.at, reads.count, of->roots.count};
    }
    grids_form(g, touches);
    arena_reset(p->scratch);
}

static bool add_launches(planner *p, const schedule *s, nasc_diag *d)
{
    grids *g = p->t->capability ? grids_open(p->a, p->own, p->p, p->n->nodes.count) : NULL;
    for (int i = 0; i < p->f->groups.count; i++) {
        if (s->launch_of[s->order[i]] == p->p->launches.count)
            open_launch(p, s->order[i], s->beside[p->p->launches.count]);
        if (!add_group(p, &p->f->groups.at[s->order[i]], d))
            return false;
        int count = ++p->p->launches.at[p->p->launches.count - 1].count;
        bool last = i + 1 == p->f->groups.count || s->launch_of[s->order[i + 1]] == p->p->launches.count;
        if (g && last)
            close_launch(p, g, s->order + i + 1 - count, count);
    }
    if (g)
        grids_close(g);
    return true;
}

/* ---- the program ---- */

static void describe_slots(planner *p)
{
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        p->p->slot_size[slot] = p->n->slot_size[slot];
    for (int i = 0; i < p->n->nodes.count; i++) {
        const net_node *v = &p->n->nodes.at[i];
        if (v->prim == NET_input && v->attr.slot == SLOT_IMAGES)
            p->p->slot_size[SLOT_IMAGES] = net_elements(&v->type);
    }
    for (int i = 0; i < p->n->outputs.count; i++) {
        const net_output *o = &p->n->outputs.at[i];
        if (o->slot == SLOT_LOGITS || o->slot == SLOT_AUX_LOGITS)
            p->p->slot_size[o->slot] = net_elements(&p->n->nodes.at[o->value].type);
    }
    for (int i = 0; i < p->n->mask_list.count; i++) {
        struct program_mask m = {p->n->mask_list.at[i].rate_scale, p->n->mask_list.at[i].channels,
                                 p->n->mask_list.at[i].offset * p->o->batch};
        VEC_PUSH(p->a, &p->p->masks, m);
    }
    for (int i = 1; i < p->n->regions.count; i++)
        if (p->n->regions.at[i].select >= p->p->selects)
            p->p->selects = p->n->regions.at[i].select + 1;
}

const char *const program_conv_name[] = {"cudnn_conv", "cudnn_conv_dx", "cudnn_conv_dw"};

void program_forget_kernels(program *p)
{
    for (int i = 0; i < p->kernels.count; i++) {
        kernel only_named = {0};
        memcpy(only_named.name, p->kernels.at[i]->name, sizeof only_named.name);
        *(kernel *)p->kernels.at[i] = only_named;
    }
}

static bool plan_all(void *user, arena *a, nasc_diag *d)
{
    planner *p = user;
    const plan_options *o = p->o;
    p->own->unwind = p->scratch->unwind = p->kernels->unwind = a->unwind;
    p->p = NEW(a, program);
    const schedule *s = schedule_groups(p->own, p->f, o->sequential);
    p->room = lower_room_new(p->own, p->n);
    p->memory = memory_layout(p->own, p->f, s, o->batch);
    p->layout = describe_layout(p);
    p->p->batch = o->batch;
    p->p->arena_elements = p->memory->elements;
    p->p->alive_elements = p->memory->alive;
    p->p->single_elements = p->memory->elements;
    p->owner = net_owners(p->own, p->n);
    bool ok = add_launches(p, s, d);
    describe_slots(p);
    return ok;
}

program *plan_program(arena *a, const fusion *f, const target *t, const plan_options *o, nasc_diag *d)
{
    arena own = {0}, scratch = {0}, *kernels = o->kernels ? o->kernels : a;
    planner p = {.a = a, .own = &own, .scratch = &scratch, .kernels = kernels, .f = f, .n = f->n, .t = t, .o = o};
    jmp_buf *outer = kernels->unwind;
    bool ok = arena_guard(a, plan_all, &p, d);
    kernels->unwind = outer;
    arena_free(&own);
    arena_free(&scratch);
    return ok ? p.p : NULL;
}
