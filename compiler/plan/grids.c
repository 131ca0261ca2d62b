/* A GPU takes some microseconds from a launch to the next that waits for it, and small kernels leave most of it idle. So
 * what a launch of the program holds becomes few grids: instances of one kernel are blocks of one grid, which find by
 * their number what they are; small kernels come along. A block has the registers and the shared memory of the greediest
 * kernel of its function: so that others do not suffer, they join only where half as many of their threads find room as
 * without it, or where there are too few of them to fill a GPU anyway. */
#include "plan/grids.h"
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

/* Of a multiprocessor, as most GPUs have it. */
enum { SM_THREADS = 2048, SM_REGISTERS = 65536, SM_SHARED = 128 << 10, SM_BLOCKS = 32, WARP_THREADS = 32 };
enum {
    FEW_BLOCKS = 132,                      /* fill no large GPU */
    REGISTERS_MOST = SM_REGISTERS / 4 * 3, /* of a block, as kernels are taken to want them: some want more */
    SHARED_MOST = 48 << 10,                /* of a block */
    THREADS_MOST =
        512, /* of a block: it leaves threads 128 registers; of 85, compilers spilled some for what a grid wants */
    ELEMENTS_LEAST = 128, /* threads of a block, where units are threads */
    REGISTERS_LEAST = 32, /* compilers use as many, to load ahead */
    IDLE_MOST = 2,        /* of a block's threads by those at work, for a kernel that wants more registers */
    ROOMS_OF = 2,         /* one of so many threads that find room alone does so in a grid, at least */
};

/* What a block of a kernel takes of a multiprocessor. */
typedef struct need {
    int threads; /* of a unit that is a block; 0: no unit is */
    int registers;
    int64_t shared;
    bool elements; /* units are threads, of which a block may have any number */
    bool known;
} need;

/* Instances of a launch with one kernel and as many units each. */
typedef struct section {
    int kernel, unit_images, unit_tiles;
    int64_t blocks; /* of all instances, roughly */
    VEC(int) instances;
} section;

/* A grid that is being filled. */
typedef struct filling {
    int parts;
    struct part {
        int section; /* of the launch that is being formed */
        int kernel;
        int64_t blocks;     /* of all instances of the section */
        VEC(int) instances; /* by their numbers in the launch */
    } part[GRID_KERNELS];
    int args, first, count; /* first, count: instances, once they have their place */
} filling;

struct grids {
    arena *a, *own;
    program *p;
    need *needs; /* of kernels */
    int need_count;
    int *writer; /* of each value: 1 + the instance of this launch that writes it; 0: none does */
    const grid_touches *touches;
    VEC(section) sections;
    VEC(filling) fillings;
};

grids *grids_open(arena *a, arena *own, program *p, int values)
{
    grids *g = NEW(own, grids);
    *g = (grids){.a = a, .own = own, .p = p, .writer = NEW_ARRAY(own, int, values + 1)};
    return g;
}

/* ---- what kernels need ------------------------------------------------------------------------------------------- */

static int rounded_up(int64_t number, int to)
{
    return (int)((number + to - 1) / to * to);
}

static const need *need_of(grids *g, int kernel)
{
    const struct kernel *k = g->p->kernels.at[kernel];
    if (kernel >= g->need_count) {
        need *more = NEW_ARRAY(g->own, need, 2 * kernel + 16);
        if (g->need_count)
            memcpy(more, g->needs, (size_t)g->need_count * sizeof *more);
        g->needs = more;
        g->need_count = 2 * kernel + 16;
    }
    need *n = &g->needs[kernel];
    if (n->known)
        return n;
    int pressure = loop_pressure(g->own, k);
    int registers = pressure <= REGISTERS_LEAST ? REGISTERS_LEAST : rounded_up((int64_t)pressure * 4 / 3, 8);
    int threads = loop_threads_of(k);
    *n = (need){threads, registers, loop_shared_bytes(k), threads == 0, true};
    return n;
}

static int block_threads(const need *n)
{
    int least = n->threads == 0 ? GRID_THREADS : n->elements ? ELEMENTS_LEAST : 0;
    return n->threads > least ? n->threads : least;
}

/* Blocks that a multiprocessor has room for. */
static int64_t rooms(const need *n)
{
    int64_t threads = rounded_up(block_threads(n), WARP_THREADS);
    CHECK(threads > 0 && n->registers > 0);
    int64_t most = SM_THREADS / threads, by_registers = SM_REGISTERS / (threads * n->registers);
    int64_t by_shared = n->shared ? SM_SHARED / n->shared : SM_BLOCKS;
    most = most < SM_BLOCKS ? most : SM_BLOCKS;
    most = by_registers < most ? by_registers : most;
    return by_shared < most ? by_shared : most;
}

static need greater(const need *a, const need *b)
{
    return (need){.threads = a->threads > b->threads ? a->threads : b->threads,
                  .registers = a->registers > b->registers ? a->registers : b->registers,
                  .shared = a->shared > b->shared ? a->shared : b->shared,
                  .elements = a->elements || b->elements};
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static int64_t blocks_of(grids *g, const program_instance *i)
{
    int64_t images = i->unit_images ? (g->p->batch + i->unit_images - 1) / i->unit_images : 1;
    int64_t units = images * i->unit_tiles;
    return need_of(g, i->kernel)->threads ? units : (units + GRID_THREADS - 1) / GRID_THREADS;
}

static section *section_of(grids *g, const program_instance *i)
{
    section new = {.kernel = i->kernel, .unit_images = i->unit_images, .unit_tiles = i->unit_tiles};
    for (int s = 0; s < g->sections.count; s++) {
        section *old = &g->sections.at[s];
        if (old->kernel == i->kernel && old->unit_images == i->unit_images && old->unit_tiles == i->unit_tiles)
            return old;
    }
    VEC_PUSH(g->own, &g->sections, new);
    return &g->sections.at[g->sections.count - 1];
}

/* Threads of a block and what they hold: the greediest come first, others join them. */
static int64_t greed(const need *n)
{
    return (int64_t)block_threads(n) * n->registers + n->shared;
}

static void sort_sections(grids *g)
{
    for (int i = 1; i < g->sections.count; i++) { /* few; equal ones keep their order */
        section s = g->sections.at[i];
        int64_t size = greed(need_of(g, s.kernel));
        int at = i;
        for (; at > 0 && greed(need_of(g, g->sections.at[at - 1].kernel)) < size; at--)
            g->sections.at[at] = g->sections.at[at - 1];
        g->sections.at[at] = s;
    }
}

static void find_sections(grids *g, const program_launch *l)
{
    g->sections.count = 0;
    for (int i = 0; i < l->count; i++) {
        const program_instance *in = &g->p->instances.at[l->first + i];
        if (in->kernel < 0)
            continue;
        section *s = section_of(g, in);
        VEC_PUSH(g->own, &s->instances, i);
        s->blocks += blocks_of(g, in);
    }
    sort_sections(g);
}

/* ---- filling grids ----------------------------------------------------------------------------------------------- */

/* Does a kernel of this need find its room where blocks take `all`? */
static bool finds_room(const need *own, int64_t blocks, const need *all)
{
    int64_t threads = own->threads ? own->threads : block_threads(all);
    if (own->registers > REGISTERS_LEAST && IDLE_MOST * threads < block_threads(all))
        return false;
    return blocks <= FEW_BLOCKS || ROOMS_OF * rooms(all) * threads >= rooms(own) * block_threads(own);
}

static need need_of_all(grids *g, const filling *f)
{
    need all = {0};
    for (int k = 0; k < f->parts; k++)
        all = greater(&all, need_of(g, f->part[k].kernel));
    return all;
}

/* Has a block so many threads that they have no register to spare, not even for finding what they are? */
static bool crowded(const need *n)
{
    return block_threads(n) > THREADS_MOST;
}

static bool all_find_room(grids *g, const filling *f, const need *all)
{
    bool room = all->shared <= SHARED_MOST && !crowded(all) && block_threads(all) * all->registers <= REGISTERS_MOST;
    for (int k = 0; k < f->parts && room; k++)
        room = finds_room(need_of(g, f->part[k].kernel), f->part[k].blocks, all);
    return room;
}

static bool suits(grids *g, const filling *f, const section *s)
{
    if (f->parts == 0 || f->parts == GRID_KERNELS)
        return f->parts == 0;
    const need *own = need_of(g, s->kernel);
    need others = need_of_all(g, f), all = greater(&others, own);
    return finds_room(own, s->blocks, &all) && all_find_room(g, f, &all);
}

/* Does either of two instances of the launch write what the other touches? */
static bool depends(const grids *g, int a, int b)
{
    const grid_touches *x = &g->touches[a], *y = &g->touches[b];
    for (int i = 0; i < x->read_count; i++)
        if (g->writer[x->reads[i]] == b + 1)
            return true;
    for (int i = 0; i < y->read_count; i++)
        if (g->writer[y->reads[i]] == a + 1)
            return true;
    for (int i = 0; i < x->write_count; i++)
        for (int k = 0; k < y->write_count; k++)
            if (x->writes[i] == y->writes[k])
                return true;
    return false;
}

static bool stands_apart(const grids *g, const filling *f, int instance)
{
    for (int k = 0; k < f->parts; k++)
        for (int i = 0; i < f->part[k].instances.count; i++)
            if (depends(g, f->part[k].instances.at[i], instance))
                return false;
    return true;
}

/* One instance of section `s` into a grid that suits it and has the room. */
static bool add_to(grids *g, filling *f, int s, int instance, int args)
{
    const section *of = &g->sections.at[s];
    bool begun = f->parts > 0 && f->part[f->parts - 1].section == s;
    if ((f->parts > 0 && f->args + args > GRID_ARGS) || !stands_apart(g, f, instance) || (!begun && !suits(g, f, of)))
        return false;
    if (!begun)
        f->part[f->parts++] = (struct part){.section = s, .kernel = of->kernel, .blocks = of->blocks};
    VEC_PUSH(g->own, &f->part[f->parts - 1].instances, instance);
    f->args += args;
    return true;
}

static void place_instance(grids *g, const program_launch *l, int s, int instance)
{
    int args = g->p->instances.at[l->first + instance].args;
    for (int f = 0; f < g->fillings.count; f++)
        if (add_to(g, &g->fillings.at[f], s, instance, args))
            return;
    filling new = {0};
    VEC_PUSH(g->own, &g->fillings, new);
    CHECK(add_to(g, &g->fillings.at[g->fillings.count - 1], s, instance, args));
}

/* Equal grids list their kernels alike, whichever came first. */
static void sort_parts(filling *f)
{
    for (int i = 1; i < f->parts; i++)
        for (int k = i; k > 0 && f->part[k - 1].kernel > f->part[k].kernel; k--) {
            struct part swap = f->part[k];
            f->part[k] = f->part[k - 1];
            f->part[k - 1] = swap;
        }
}

/* Puts its instances behind those of the launch that have their place. */
static void place_filling(grids *g, const program_launch *l, const program_instance *old, filling *f, int *placed)
{
    sort_parts(f);
    f->first = l->first + *placed;
    for (int k = 0; k < f->parts; k++)
        for (int i = 0; i < f->part[k].instances.count; i++, f->count++)
            g->p->instances.at[l->first + (*placed)++] = old[f->part[k].instances.at[i]];
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static bool same_function(const program_function *a, const program_function *b)
{
    bool same = a->kernels == b->kernels;
    for (int k = 0; same && k < a->kernels; k++)
        same = a->part[k].kernel == b->part[k].kernel;
    return same;
}

static int function_of(grids *g, const filling *f)
{
    program_function made = {.kernels = f->parts};
    need all = need_of_all(g, f);
    made.threads = block_threads(&all);
    for (int k = 0; k < f->parts; k++) {
        int kernel = f->part[k].kernel;
        made.part[k] = (struct program_part){kernel, g->p->kernels.at[kernel]->args.count, need_of(g, kernel)->threads};
    }
    for (int i = 0; i < g->p->functions.count; i++)
        if (same_function(&g->p->functions.at[i], &made))
            return i;
    VEC_PUSH(g->a, &g->p->functions, made);
    return g->p->functions.count - 1;
}

static void add_grid(grids *g, const filling *f)
{
    program_grid made = {.first = f->first, .count = f->count, .function = function_of(g, f)};
    program_function *of = &g->p->functions.at[made.function];
    for (int k = 0; k < f->parts; k++)
        made.of[k] = f->part[k].instances.count;
    if (made.count > 1 && f->args > of->table)
        of->table = f->args;
    VEC_PUSH(g->a, &g->p->grids, made);
}

/* ---- launches ---------------------------------------------------------------------------------------------------- */

static void add_library_grid(grids *g, const program_instance *conv, int first)
{
    program_grid made = {.first = first, .count = 1, .function = -1};
    g->p->instances.at[first] = *conv;
    VEC_PUSH(g->a, &g->p->grids, made);
}

static void note_writers(grids *g, const grid_touches *touches, int count, bool there)
{
    for (int i = 0; i < count; i++)
        for (int w = 0; w < touches[i].write_count; w++)
            g->writer[touches[i].writes[w]] = there ? i + 1 : 0;
}

void grids_form(grids *g, const grid_touches *touches)
{
    program_launch *l = &g->p->launches.at[g->p->launches.count - 1];
    const program_instance *old =
        arena_copy(g->own, g->p->instances.at + l->first, (size_t)l->count * sizeof(program_instance));
    int placed = 0;
    g->touches = touches;
    g->fillings.count = 0;
    note_writers(g, touches, l->count, true);
    find_sections(g, l);
    for (int s = 0; s < g->sections.count; s++)
        for (int i = 0; i < g->sections.at[s].instances.count; i++)
            place_instance(g, l, s, g->sections.at[s].instances.at[i]);
    note_writers(g, touches, l->count, false);
    l->first_grid = g->p->grids.count;
    for (int f = 0; f < g->fillings.count; f++) {
        place_filling(g, l, old, &g->fillings.at[f], &placed);
        add_grid(g, &g->fillings.at[f]);
    }
    for (int i = 0; i < l->count; i++)
        if (old[i].kernel < 0)
            add_library_grid(g, &old[i], l->first + placed++);
    l->grids = g->p->grids.count - l->first_grid;
    CHECK(placed == l->count);
}

void grids_close(grids *g)
{
    static const int sizes[] = {60, 120, 240, GRID_ARGS}; /* few, so that programs share functions */
    for (int i = 0; i < g->p->functions.count; i++) {
        program_function *f = &g->p->functions.at[i];
        if (f->table == 0 && f->kernels == 1)
            continue;
        int size = 0;
        while (sizes[size] < f->table)
            size++;
        f->table = sizes[size];
    }
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *program_function_name(arena *a, const program *p, const program_function *f)
{
    text t = {.arena = a};
    for (int k = 0; k < f->kernels; k++)
        text_add(&t, "%s%s", k ? ", " : "", p->kernels.at[f->part[k].kernel]->name);
    return t.at;
}

const char *program_grid_name(arena *a, const program *p, const program_grid *g)
{
    text t = {.arena = a};
    const program_function *f = &p->functions.at[g->function];
    for (int k = 0; k < f->kernels; k++)
        text_add(&t, "%s%d %s", k ? ", " : "", g->of[k], p->kernels.at[f->part[k].kernel]->name);
    return t.at;
}
