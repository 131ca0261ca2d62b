/* Every stored value's place in the arena. A tensor lives from the launch that writes it to the last that reads it;
 * tensors whose lives do not meet may share memory. Large ones are placed first, each at the lowest offset that is free
 * for its whole life. */
#include "net/settle.h"
#include "plan/schedule.h"

#include <stdlib.h>
#include <string.h>

enum {
    ARENA_ALIGN = 16, /* elements: 64 bytes */
    QUAD = 1          /* of bytes four are read at once: words beyond the last that are */
};

typedef struct object {
    int value; /* -1: a launch's scratch */
    int64_t elements, offset;
    int first, last; /* launches */
    int gate,
        back; /* the last stretch whose gates touch it; the one that touches it first, and not by a gate; 0: none */
} object;

typedef struct planner {
    arena *a;
    const fusion *f;
    const net *n;
    int batch;
    home *home;
    int *object_of; /* of each owner; -1 */
    VEC(object) objects;
    object **placed; /* in the order of their offsets */
} planner;

int64_t memory_elements(const net *n, int value, int batch)
{
    const net_type *t = &n->nodes.at[value].type;
    int64_t rows = t->n != NET_BATCH ? t->n : t->chunked ? (batch + t->chunked - 1) / t->chunked : batch;
    int64_t elements = rows * t->h * t->w * t->c;
    bool bytes = dtype_info[t->dtype].bytes == 1;
    return bytes ? (elements + 3) / 4 + QUAD : elements;
}

static void find_homes(planner *p, int *stride)
{
    int count = p->n->nodes.count, *owner = net_owners(p->a, p->n);
    for (int i = 0; i < count; i++)
        p->home[i].owner = owner[i];
    for (int i = count - 1; i >= 0; i--) { /* owners before their parts */
        const net_node *v = &p->n->nodes.at[i];
        int64_t channel = 0;
        for (int k = 0; k < v->count && (v->prim == NET_concat || v->prim == NET_select); k++) {
            home *part = &p->home[v->operand[k]];
            part->channel = p->home[i].channel + channel;
            if (v->prim == NET_concat)
                channel += p->n->nodes.at[v->operand[k]].type.c;
        }
    }
    for (int i = 0; i < count; i++)
        stride[i] = p->n->nodes.at[p->home[i].owner].type.c;
    for (int i = 0; i < p->n->outputs.count; i++)
        p->home[p->n->outputs.at[i].value].output = &p->n->outputs.at[i];
}

static void extend(planner *p, int value, int launch, int gate, int back)
{
    int owner = p->home[value].owner;
    if (p->f->place[value] != PLACE_MEMORY || p->home[owner].output)
        return;
    if (p->object_of[owner] < 0) {
        p->object_of[owner] = p->objects.count;
        object o = {
            .value = owner, .elements = memory_elements(p->n, owner, p->batch), .first = launch, .last = launch};
        o.back = back; /* launches come in order: this one writes it */
        VEC_PUSH(p->a, &p->objects, o);
    }
    object *o = &p->objects.at[p->object_of[owner]];
    o->first = launch < o->first ? launch : o->first;
    o->last = launch > o->last ? launch : o->last;
    o->gate = gate > o->gate ? gate : o->gate;
}

static void find_lives(planner *p, const schedule *s)
{
    for (int i = 0; i < p->f->groups.count; i++) {
        int g = s->order[i], launch = s->launch_of[g], beside = s->beside[launch];
        bool gate = p->n->regions.at[p->n->nodes.at[p->f->groups.at[g].roots.at[0]].region].gate;
        node_list touched = {0};
        for (int r = 0; r < p->f->groups.at[g].roots.count; r++) {
            VEC_PUSH(p->a, &touched, p->f->groups.at[g].roots.at[r]);
            fusion_reads(p->a, p->f, p->f->groups.at[g].roots.at[r], &touched);
        }
        for (int k = 0; k < touched.count; k++)
            extend(p, touched.at[k], launch, gate ? beside : 0, gate ? 0 : beside);
    }
}

/* Of two candidates of a choice one is active. Gates are not exclusive: they run one after the other. */
static bool exclusive(const planner *p, const object *a, const object *b)
{
    if (a->value < 0 || b->value < 0)
        return false;
    int x = p->n->nodes.at[a->value].region, y = p->n->nodes.at[b->value].region;
    const net_region *r = &p->n->regions.at[x], *q = &p->n->regions.at[y];
    return x && y && r->select == q->select && r->candidate != q->candidate && !r->gate && !q->gate;
}

static int by_size(const void *x, const void *y)
{
    const object *a = *(object *const *)x, *b = *(object *const *)y;
    if (a->elements != b->elements)
        return a->elements < b->elements ? 1 : -1;
    return (a->value > b->value) - (a->value < b->value);
}

static int64_t aligned(int64_t elements)
{
    return (elements + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* Does one live, or may it, while the other does? What gates have read for the last time they may still be reading while the
 * launches beside them write. */
static bool meet(const planner *p, const object *a, const object *b)
{
    bool beside = (a->gate && a->gate == b->back) || (b->gate && b->gate == a->back);
    return (beside || (a->first <= b->last && b->first <= a->last)) && !exclusive(p, a, b);
}

/* The lowest offset at which `o` meets none of the `count` that are placed. */
static int64_t lowest_offset(const planner *p, int count, const object *o)
{
    object *const *placed = p->placed;
    int64_t size = aligned(o->elements), at = 0;
    for (int j = 0; j < count && placed[j]->offset < at + size; j++) {
        int64_t end = placed[j]->offset + aligned(placed[j]->elements);
        if (end > at && meet(p, o, placed[j]))
            at = end;
    }
    return at;
}

static void insert(object **placed, int count, object *o)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (placed[middle]->offset <= o->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (size_t)(count - low) * sizeof *placed);
    placed[low] = o;
}

/* The elements that the arena must have. */
static int64_t place_objects(planner *p)
{
    int count = p->objects.count;
    int64_t total = 0;
    object **order = NEW_ARRAY(p->a, object *, count + 1);
    p->placed = NEW_ARRAY(p->a, object *, count + 1);
    for (int i = 0; i < count; i++)
        order[i] = &p->objects.at[i];
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++) {
        object *o = order[i];
        o->offset = lowest_offset(p, i, o);
        insert(p->placed, i, o);
        int64_t end = o->offset + aligned(o->elements);
        total = end > total ? end : total;
    }
    return total;
}

/* The most that lives at once, which no placing can do without. */
static int64_t most_alive(const planner *p, int launches)
{
    int64_t *change = NEW_ARRAY(p->a, int64_t, launches + 1), alive = 0, most = 0;
    for (int i = 0; i < p->objects.count; i++) {
        const object *o = &p->objects.at[i];
        change[o->first] += o->elements;
        change[o->last + 1] -= o->elements;
    }
    for (int l = 0; l < launches; l++) {
        alive += change[l];
        most = alive > most ? alive : most;
    }
    return most;
}

static bool on_lines(const planner *p, const int *stride, int value)
{
    const home *at = &p->home[value];
    return p->f->place[value] == PLACE_MEMORY && net_is_map_sized(&p->n->nodes.at[value].type) &&
           p->object_of[at->owner] >= 0 && at->channel % ARENA_ALIGN == 0 && stride[value] % ARENA_ALIGN == 0;
}

static bool rows_on_lines(const planner *p, const int *stride, int value)
{
    const home *at = &p->home[value];
    const net_type *t = &p->n->nodes.at[value].type;
    return p->f->place[value] == PLACE_MEMORY && net_is_map_sized(t) && p->object_of[at->owner] >= 0 &&
           at->channel % ARENA_ALIGN == 0 && stride[value] == t->c && (int64_t)t->w * t->c % ARENA_ALIGN == 0;
}

memory *memory_layout(arena *a, const fusion *f, const schedule *s, int batch)
{
    int count = f->n->nodes.count, *stride = NEW_ARRAY(a, int, count + 1);
    planner *q = NEW(a, planner), p = {.a = a, .f = f, .n = f->n, .batch = batch};
    p.home = NEW_ARRAY(a, home, count + 1);
    p.object_of = NEW_ARRAY(a, int, count + 1);
    memset(p.object_of, -1, (size_t)count * sizeof(int));
    find_homes(&p, stride);
    find_lives(&p, s);
    memory *m = NEW(a, memory);
    m->elements = place_objects(&p);
    m->alive = most_alive(&p, s->launches);
    int64_t *offset = NEW_ARRAY(a, int64_t, count + 1);
    for (int i = 0; i < count; i++)
        offset[i] = p.object_of[i] < 0 ? -1 : p.objects.at[p.object_of[i]].offset;
    m->home = p.home;
    m->stride = stride;
    int *channel = NEW_ARRAY(a, int, count + 1);
    for (int i = 0; i < count; i++)
        channel[i] = (int)p.home[i].channel;
    m->channel = channel;
    m->offset = offset;
    bool *lines = NEW_ARRAY(a, bool, count + 1), *row_lines = NEW_ARRAY(a, bool, count + 1);
    for (int i = 0; i < count; i++) {
        lines[i] = on_lines(&p, stride, i);
        row_lines[i] = !lines[i] && rows_on_lines(&p, stride, i);
    }
    m->lines = lines;
    m->row_lines = row_lines;
    *q = p;
    m->planner = q;
    return m;
}

int64_t memory_gap(const memory *m, int launch, int64_t below)
{
    const planner *p = m->planner;
    object during = {.value = -1, .first = launch, .last = launch};
    int64_t at = 0, most = 0;
    for (int i = 0; i < p->objects.count; i++) {
        const object *o = p->placed[i];
        if (!meet(p, &during, o))
            continue;
        most = o->offset - at > most ? o->offset - at : most;
        int64_t end = o->offset + aligned(o->elements);
        at = end > at ? end : at;
    }
    return below - at > most ? below - at : most;
}

int64_t memory_scratch(const memory *m, int launch, int64_t elements)
{
    object scratch = {.value = -1, .elements = elements, .first = launch, .last = launch};
    return lowest_offset(m->planner, m->planner->objects.count, &scratch);
}
