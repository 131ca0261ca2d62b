/* Lowers groups, shares equal kernels, orders launches and lays tensors out in the arena.
 *
 * A tensor lives from the launch that writes it to the last that reads it; tensors whose lives do not meet may share
 * memory. Large ones are placed first, each at the lowest offset that is free for its whole life. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 16 }; /* elements: 64 bytes */

/* A stored value's memory: its own, or a part of the concat (or select) that it fills. */
typedef struct home {
    int owner;                /* the value whose object it lies in */
    int64_t channel;          /* elements from the object's start */
    const net_output *output; /* bound to a slot; of owners */
} home;

typedef struct object {
    int value;
    int64_t elements, offset;
    int first, last; /* launches */
} object;

typedef struct planner {
    arena *a, *scratch; /* scratch: of one lowering */
    const fusion *f;
    const net *n;
    const target *t;
    const plan_options *o;
    program *p;
    home *home;
    int *stride;
    int *launch_of; /* of each group */
    int *object_of; /* of each owner; -1 */
    VEC(object) objects;
    VEC(struct kernel_entry {
        unsigned char key[16];
        int kernel;
    })
    known;
    nasc_diag *d;
} planner;

/* ---- homes
 * ------------------------------------------------------------------------------------------------------------ */

static int64_t rows_of(const planner *p, const net_type *t)
{
    return t->n != NET_BATCH ? t->n : t->chunked ? (p->o->batch + NET_CHUNK - 1) / NET_CHUNK : p->o->batch;
}

static int64_t elements_of(const planner *p, const net_type *t)
{
    return rows_of(p, t) * t->h * t->w * t->c;
}

static void find_homes(planner *p)
{
    int count = p->n->nodes.count;
    p->home = NEW_ARRAY(p->a, home, count + 1);
    p->stride = NEW_ARRAY(p->a, int, count + 1);
    for (int i = 0; i < count; i++)
        p->home[i].owner = i;
    for (int i = count - 1; i >= 0; i--) { /* owners before their parts */
        const net_node *v = &p->n->nodes.at[i];
        int64_t channel = 0;
        for (int k = 0; k < v->count && (v->prim == NET_concat || v->prim == NET_select); k++) {
            home *part = &p->home[v->operand[k]];
            part->owner = p->home[i].owner;
            part->channel = p->home[i].channel + channel;
            if (v->prim == NET_concat)
                channel += p->n->nodes.at[v->operand[k]].type.c;
        }
    }
    for (int i = 0; i < count; i++)
        p->stride[i] = p->n->nodes.at[p->home[i].owner].type.c;
    for (int i = 0; i < p->n->outputs.count; i++)
        p->home[p->n->outputs.at[i].value].output = &p->n->outputs.at[i];
}

/* ---- launches
 * ----------------------------------------------------------------------------------------------------------- */

static bool moves_stats(const planner *p, int group)
{
    return p->n->nodes.at[p->f->groups.at[group].roots.at[0]].prim == NET_bn_move;
}

static const net_region *region_of(const planner *p, int group)
{
    int region = p->n->nodes.at[p->f->groups.at[group].roots.at[0]].region;
    return region ? &p->n->regions.at[region] : NULL;
}

static bool same_launch(const planner *p, int a, int b)
{
    const net_region *x = region_of(p, a), *y = region_of(p, b);
    if (moves_stats(p, a) != moves_stats(p, b) || !x != !y)
        return false;
    return !x || (x->select == y->select && x->candidate == y->candidate);
}

/* The earliest level at which everything that a group reads has been written. */
static int *find_levels(planner *p)
{
    int count = p->f->groups.count, last = 0, *level = NEW_ARRAY(p->a, int, count + 1);
    for (int g = 0; g < count; g++) {
        const group *of = &p->f->groups.at[g];
        if (p->o->sequential) {
            level[g] = g;
            continue;
        }
        for (int r = 0; r < of->roots.count; r++) {
            node_list reads = {0};
            fusion_reads(p->a, p->f, of->roots.at[r], &reads);
            for (int i = 0; i < reads.count; i++) {
                int from = p->f->group_of[reads.at[i]];
                if (from >= 0 && from != g && level[from] >= level[g])
                    level[g] = level[from] + 1;
            }
        }
        last = level[g] > last ? level[g] : last;
    }
    for (int g = 0; g < count; g++)
        if (moves_stats(p, g))
            level[g] = last + count + 1; /* after everything that reads the old ones */
    return level;
}

typedef struct ordered {
    int level, group;
} ordered;

static int by_level(const void *x, const void *y)
{
    const ordered *a = x, *b = y;
    return a->level != b->level ? (a->level > b->level) - (a->level < b->level)
                                : (a->group > b->group) - (a->group < b->group);
}

/* ---- kernels
 * -------------------------------------------------------------------------------------------------------------- */

static kernel *keep_kernel(planner *p, const kernel *k)
{
    kernel *copy = NEW(p->a, kernel);
    *copy = *k;
    copy->ins.at = arena_copy(p->a, k->ins.at, (size_t)k->ins.count * sizeof *k->ins.at);
    copy->regs.at = arena_copy(p->a, k->regs.at, (size_t)k->regs.count * sizeof *k->regs.at);
    copy->args.at = arena_copy(p->a, k->args.at, (size_t)k->args.count * sizeof *k->args.at);
    copy->scratch.at = arena_copy(p->a, k->scratch.at, (size_t)k->scratch.count * sizeof *k->scratch.at);
    copy->ins.capacity = k->ins.count;
    copy->regs.capacity = k->regs.count;
    copy->args.capacity = k->args.count;
    copy->scratch.capacity = k->scratch.count;
    return copy;
}

/* The number of an equal kernel, or of this one, kept. */
static int share_kernel(planner *p, const kernel *raw)
{
    nasc_diag d = {0};
    if (!loop_verify(raw, &d)) {
        if (d.kind == DIAG_MEMORY)
            longjmp(*p->scratch->unwind, 1);
        BUG("the lowering wrote a kernel that does not verify: %s", d.message);
    }
    const kernel *k = loop_expand_math(p->scratch, raw, p->t->fma);
    struct kernel_entry e;
    loop_key(k, e.key);
    for (int i = 0; i < p->known.count; i++)
        if (memcmp(p->known.at[i].key, e.key, sizeof e.key) == 0)
            return p->known.at[i].kernel;
    e.kernel = p->p->kernels.count;
    VEC_PUSH(p->a, &p->known, e);
    const kernel *kept = keep_kernel(p, k);
    VEC_PUSH(p->a, &p->p->kernels, kept);
    int64_t bytes = loop_scratch_offset(kept, kept->scratch.count);
    p->p->scratch_bytes = bytes > p->p->scratch_bytes ? bytes : p->p->scratch_bytes;
    return e.kernel;
}

/* Argument lists name values, and elements in them, until offsets are known. */
static void add_instance(planner *p, const group *g)
{
    lower_layout layout = {.stride = p->stride};
    lowered *l = simd_lower(p->scratch, p->f, g, &layout, p->t, &p->o->lower);
    program_instance i = {.kernel = share_kernel(p, l->k),
                          .first_arg = p->p->args.count,
                          .args = l->args.count,
                          .unit_images = l->unit_images,
                          .unit_tiles = l->unit_tiles,
                          .flops_image = l->flops_image,
                          .bytes_image = l->bytes_image};
    for (int r = 0; r < g->roots.count && !i.name; r++)
        i.name = p->n->nodes.at[g->roots.at[r]].name;
    for (int k = 0; k < l->args.count; k++) {
        program_arg arg = {.offset = l->args.at[k].value, .elements = l->args.at[k].offset};
        VEC_PUSH(p->a, &p->p->args, arg);
    }
    VEC_PUSH(p->a, &p->p->instances, i);
    arena_free(p->scratch);
}

static void add_launches(planner *p)
{
    int count = p->f->groups.count, *level = find_levels(p);
    ordered *order = NEW_ARRAY(p->a, ordered, count + 1);
    for (int g = 0; g < count; g++)
        order[g] = (ordered){level[g], g};
    qsort(order, (size_t)count, sizeof *order, by_level);
    p->launch_of = NEW_ARRAY(p->a, int, count + 1);
    bool *done = NEW_ARRAY(p->a, bool, count + 1);
    for (int i = 0; i < count; i++) {
        if (done[i])
            continue;
        const net_region *region = region_of(p, order[i].group);
        program_launch l = {.first = p->p->instances.count,
                            .flags = moves_stats(p, order[i].group) ? LAUNCH_MOVES_STATS : 0,
                            .select = region ? region->select : -1,
                            .candidate = region ? region->candidate : -1};
        for (int j = i; j < count && order[j].level == order[i].level; j++) {
            if (done[j] || !same_launch(p, order[i].group, order[j].group))
                continue;
            done[j] = true;
            p->launch_of[order[j].group] = p->p->launches.count;
            add_instance(p, &p->f->groups.at[order[j].group]);
            l.count++;
        }
        VEC_PUSH(p->a, &p->p->launches, l);
    }
}

/* ---- the arena
 * -------------------------------------------------------------------------------------------------------------- */

static void extend(planner *p, int value, int launch)
{
    int owner = p->home[value].owner;
    if (p->f->place[value] != PLACE_MEMORY || p->home[owner].output)
        return;
    if (p->object_of[owner] < 0) {
        p->object_of[owner] = p->objects.count;
        object o = {
            .value = owner, .elements = elements_of(p, &p->n->nodes.at[owner].type), .first = launch, .last = launch};
        VEC_PUSH(p->a, &p->objects, o);
    }
    object *o = &p->objects.at[p->object_of[owner]];
    o->first = launch < o->first ? launch : o->first;
    o->last = launch > o->last ? launch : o->last;
}

static void find_lives(planner *p)
{
    p->object_of = NEW_ARRAY(p->a, int, p->n->nodes.count + 1);
    memset(p->object_of, -1, (size_t)p->n->nodes.count * sizeof(int));
    for (int l = 0; l < p->p->launches.count; l++) {
        const program_launch *launch = &p->p->launches.at[l];
        for (int i = launch->first; i < launch->first + launch->count; i++) {
            const program_instance *instance = &p->p->instances.at[i];
            for (int k = 0; k < instance->args; k++)
                extend(p, (int)p->p->args.at[instance->first_arg + k].offset, l);
        }
    }
}

static bool exclusive(const planner *p, const object *a, const object *b)
{
    int x = p->n->nodes.at[a->value].region, y = p->n->nodes.at[b->value].region;
    return x && y && p->n->regions.at[x].select == p->n->regions.at[y].select &&
           p->n->regions.at[x].candidate != p->n->regions.at[y].candidate;
}

static int by_size(const void *x, const void *y)
{
    const object *a = *(object *const *)x, *b = *(object *const *)y;
    if (a->elements != b->elements)
        return a->elements < b->elements ? 1 : -1;
    return (a->value > b->value) - (a->value < b->value);
}

static int by_offset(const void *x, const void *y)
{
    const object *a = *(object *const *)x, *b = *(object *const *)y;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static void place_objects(planner *p)
{
    int count = p->objects.count;
    object **order = NEW_ARRAY(p->a, object *, count + 1), **meets = NEW_ARRAY(p->a, object *, count + 1);
    for (int i = 0; i < count; i++)
        order[i] = &p->objects.at[i];
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++) {
        object *o = order[i];
        int met = 0;
        for (int j = 0; j < i; j++)
            if (order[j]->first <= o->last && o->first <= order[j]->last && !exclusive(p, o, order[j]))
                meets[met++] = order[j];
        qsort(meets, (size_t)met, sizeof *meets, by_offset);
        int64_t size = (o->elements + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN, at = 0;
        for (int j = 0; j < met && meets[j]->offset < at + size; j++) {
            int64_t end = meets[j]->offset + (meets[j]->elements + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
            at = end > at ? end : at;
        }
        o->offset = at;
        if (at + size > p->p->arena_elements)
            p->p->arena_elements = at + size;
    }
}

static program_arg bind(const planner *p, int value)
{
    const net_node *v = &p->n->nodes.at[value];
    int64_t elements = elements_of(p, &v->type);
    if (p->f->place[value] == PLACE_LEAF) {
        int64_t offset = v->attr.slot == SLOT_MASKS ? v->attr.offset * p->o->batch : v->attr.offset;
        return (program_arg){v->attr.slot, offset, elements};
    }
    const home *at = &p->home[value];
    const net_output *output = p->home[at->owner].output;
    int64_t whole = elements_of(p, &p->n->nodes.at[at->owner].type) - at->channel;
    if (output)
        return (program_arg){output->slot, output->offset + at->channel, whole};
    return (program_arg){SLOT_NONE, p->objects.at[p->object_of[at->owner]].offset + at->channel, whole};
}

/* ---- the program
 * -------------------------------------------------------------------------------------------------------------- */

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

program *plan_program(arena *a, const fusion *f, const target *t, const plan_options *o, nasc_diag *d)
{
    program *result = NEW(a, program);
    arena *scratch = NEW(a, arena);
    jmp_buf out_of_memory, *outer = a->unwind;
    if (setjmp(out_of_memory)) {
        arena_free(scratch);
        a->unwind = outer;
        diag_memory(d);
        return NULL;
    }
    a->unwind = scratch->unwind = &out_of_memory;
    planner p = {.a = a, .scratch = scratch, .f = f, .n = f->n, .t = t, .o = o, .p = result, .d = d};
    result->batch = o->batch;
    find_homes(&p);
    add_launches(&p);
    find_lives(&p);
    place_objects(&p);
    for (int i = 0; i < result->args.count; i++) {
        int64_t from = result->args.at[i].elements;
        result->args.at[i] = bind(&p, (int)result->args.at[i].offset);
        result->args.at[i].offset += from;
        result->args.at[i].elements -= from;
    }
    describe_slots(&p);
    a->unwind = outer;
    return result;
}
