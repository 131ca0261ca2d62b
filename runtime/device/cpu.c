/* The CPU. A run is one OpenMP region: its threads walk through the launches together, a barrier after each, and take
 * blocks of units off the launch's counter. Gates and what may run beside them share launches, one of each: where one is but
 * a thread's work, the other keeps the rest busy. Which thread runs which block is chance; results do not depend on it,
 * because units share nothing. Blocks are sized by the cost that the instance declares, so that a launch of many small
 * instances is not all counter and one of few large ones is not all waiting. Instances next to each other that are about
 * alike take turns, image by image: they are often readers of the same maps. */
#include "device_kind.h"

#include <omp.h>
#include <stdatomic.h>
#include <string.h>

enum {
    ALIGN = 64,
    HUGE_PAGE = 2 << 20,
    BLOCKS_A_THREAD = 8,       /* of a launch, about: what balances threads of unequal speed */
    BLOCK_COST_LEAST = 200000, /* in bytes moved: some ten microseconds */
    FLOPS_A_BYTE = 8           /* arithmetic that takes as long as moving a byte */
};

/* An aligned piece of memory. */
typedef struct region {
    void *taken;
    char *at;
    int64_t bytes;
} region;

/* What one run does, laid out before its threads start. */
typedef struct work {
    int first, count;     /* in device.blocks */
    _Atomic int64_t next; /* block to be taken */
} work;

/* The blocks of instances of one launch that stand next to each other and are alike: the same units of each in turn, so
 * that what one has read is still in a cache for the others. */
typedef struct block_range {
    int instance, count;  /* the first one's number in the program; instances */
    int64_t first;        /* number of the first block */
    int64_t units, grain; /* of an instance; units a block */
} block_range;

typedef struct cpu {
    device base;
    int threads;
    region arena, scratch; /* scratch: scratch_stride bytes a thread */
    int64_t scratch_stride;
    void **buffers;      /* of every argument of the program that runs */
    int64_t *sizes;      /* elements likewise, for the interpreter */
    block_range *blocks; /* at most one an instance, and one more a launch: the end */
    work *works;
    int *waiting; /* launches of gates that no other launch has taken along yet */
    int args_room, instances_room, launches_room;
} cpu;

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void region_drop(region *r)
{
    mem_free(r->taken);
    *r = (region){0};
}

/* Contents are lost. Large regions begin on a huge page, of which all of it may consist. */
static bool region_grow(region *r, int64_t bytes, nasc_diag *d)
{
    if (bytes <= r->bytes)
        return true;
    region_drop(r);
    size_t align = bytes >= 4 * (int64_t)HUGE_PAGE ? HUGE_PAGE : ALIGN;
    r->taken = mem_alloc((size_t)bytes + align);
    if (!r->taken)
        return diag_fail(d, DIAG_MEMORY, "device", "%.1f MiB are needed and cannot be had", (double)bytes / 1048576);
    r->at = (char *)(((uintptr_t)r->taken + align - 1) / align * align);
    r->bytes = bytes;
    mem_spread(r->at, (size_t)bytes);
    return true;
}

static bool table_grow(void *table, int *room, int wanted, size_t item, nasc_diag *d)
{
    void **at = table;
    if (wanted <= *room && *at)
        return true;
    void *more = mem_resize(*at, (size_t)wanted * item);
    if (!more)
        return diag_memory(d);
    *at = more;
    *room = wanted;
    return true;
}

static void cpu_close(device *base)
{
    cpu *v = (cpu *)base;
    region_drop(&v->arena);
    region_drop(&v->scratch);
    mem_free(v->buffers);
    mem_free(v->sizes);
    mem_free(v->blocks);
    mem_free(v->works);
    mem_free(v->waiting);
    mem_free(v);
}

static bool interpreted(const program_code *c)
{
    CHECK(!c->image);
    return c->entry == NULL;
}

static int64_t element_bytes(const program_code *c)
{
    return c->wide ? 8 : 4;
}

static bool cpu_prepare(device *base, const program *p, const program_code *code, nasc_diag *d)
{
    cpu *v = (cpu *)base;
    int64_t stride = (p->scratch_bytes * (code->wide ? 2 : 1) / ALIGN + 1) * ALIGN;
    if (stride > v->scratch_stride) {
        if (!region_grow(&v->scratch, stride * v->threads, d))
            return false;
        v->scratch_stride = stride;
    }
    int args_room = v->args_room, launches_room = v->launches_room;
    int ends = p->instances.count + p->launches.count;
    return region_grow(&v->arena, p->arena_elements * element_bytes(code), d) &&
           table_grow(&v->buffers, &args_room, p->args.count, sizeof *v->buffers, d) &&
           table_grow(&v->sizes, &v->args_room, p->args.count, sizeof *v->sizes, d) &&
           table_grow(&v->blocks, &v->instances_room, ends, sizeof *v->blocks, d) &&
           table_grow(&v->waiting, &launches_room, p->launches.count, sizeof *v->waiting, d) &&
           table_grow(&v->works, &v->launches_room, p->launches.count, sizeof *v->works, d);
}

/* ---- laying out a run -------------------------------------------------------------------------------------------- */

static int64_t cost_of(const program_instance *i, int n)
{
    int64_t images = i->unit_images ? n : 1;
    return (i->bytes_image + i->flops_image / FLOPS_A_BYTE) * images;
}

static void bind_arguments(cpu *v, const device_run *r, const program_instance *i)
{
    int64_t bytes = element_bytes(r->code);
    for (int k = i->first_arg; k < i->first_arg + i->args; k++) {
        const program_arg *a = &r->program->args.at[k];
        char *base = a->slot == SLOT_NONE ? v->arena.at : r->slot[a->slot];
        if (!base)
            BUG("instance %s: nothing is bound to slot %d", i->name ? i->name : "?", (int)a->slot);
        v->buffers[k] = base + a->offset * (a->slot == SLOT_LABELS ? 4 : bytes);
        v->sizes[k] = a->elements;
    }
}

static int64_t launch_cost(const device_run *r, const program_launch *l)
{
    int64_t total = 0;
    for (int k = 0; k < l->count; k++)
        total += cost_of(&r->program->instances.at[l->first + k], r->n);
    return total;
}

/* Do two instances have as many units, of about the same cost? */
static bool are_alike(const device_run *r, int a, int b)
{
    enum { ABOUT = 4 };
    const program_instance *i = &r->program->instances.at[a], *k = &r->program->instances.at[b];
    int64_t one = cost_of(i, r->n), other = cost_of(k, r->n);
    return device_units(i, r->n) == device_units(k, r->n) && one <= ABOUT * other && other <= ABOUT * one;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Blocks of a launch's instances, numbered from `number` on; the number behind them. A block of an instance by itself costs
 * `wanted` or more, those of instances that take turns do so together. One thread runs an instance in one go. */
static int64_t layout_launch(cpu *v, const device_run *r, const program_launch *l, int64_t wanted, work *w,
                             int64_t number)
{
    CHECK(l);
    int end = l->first + l->count;
    for (int k = l->first, count; k < end; k += count) {
        int64_t units = device_units(&r->program->instances.at[k], r->n), cost = 0, pieces = 1;
        count = 0;
        do {
            const program_instance *i = &r->program->instances.at[k + count];
            bind_arguments(v, r, i);
            cost += cost_of(i, r->n);
            if (r->instance_runs)
                r->instance_runs[k + count]++;
            count++;
        } while (k + count < end && are_alike(r, k, k + count));
        if (v->threads > 1)
            pieces += least(cost / wanted, cost / count / BLOCK_COST_LEAST);
        int64_t grain = units > pieces ? (units + pieces - 1) / pieces : 1;
        v->blocks[w->first + w->count++] = (block_range){k, count, number, units, grain};
        number += (units + grain - 1) / grain * count;
    }
    return number;
}

/* What threads do between two barriers: a launch, or two (the second may be NULL), the dearer first. Answers where the next
 * one's blocks begin. */
static int layout_work(cpu *v, const device_run *r, const program_launch *a, const program_launch *b, work *w,
                       int first)
{
    int64_t cost = launch_cost(r, a), other = b ? launch_cost(r, b) : 0;
    int64_t wanted = (cost + other) / ((int64_t)v->threads * BLOCKS_A_THREAD);
    if (wanted < BLOCK_COST_LEAST)
        wanted = BLOCK_COST_LEAST;
    w->first = first;
    w->count = 0;
    atomic_init(&w->next, 0);
    int64_t number = layout_launch(v, r, other > cost ? b : a, wanted, w, 0);
    if (b)
        number = layout_launch(v, r, other > cost ? a : b, wanted, w, number);
    v->blocks[first + w->count] = (block_range){.first = number};
    return first + w->count + 1;
}

/* The launches that this run needs, by the works that they are done in; the number of these. Each launch beside gates takes
 * one of those that wait along. */
static int layout_run(cpu *v, const device_run *r)
{
    const program_launch *at = r->program->launches.at;
    int works = 0, blocks = 0, taken = 0, waiting = 0;
    for (int l = 0; l <= r->program->launches.count; l++) {
        bool last = l == r->program->launches.count;
        if (!last && !device_runs(r, &at[l]))
            continue;
        int stretch = taken < waiting ? at[v->waiting[taken]].beside : 0;
        while (taken < waiting && (last || at[l].beside != stretch))
            blocks = layout_work(v, r, &at[v->waiting[taken++]], NULL, &v->works[works++], blocks);
        if (last)
            break;
        if (at[l].beside && at[l].flags & LAUNCH_GATE) {
            v->waiting[waiting++] = l;
            continue;
        }
        const program_launch *gate = taken < waiting ? &at[v->waiting[taken++]] : NULL;
        blocks = layout_work(v, r, &at[l], gate, &v->works[works++], blocks);
    }
    return works;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static bool run_units(cpu *v, const device_run *r, int instance, int64_t begin, int64_t end, void *scratch,
                      nasc_diag *d)
{
    const program_instance *i = &r->program->instances.at[instance];
    void *const *buffers = v->buffers + i->first_arg;
    if (!interpreted(r->code)) {
        r->code->entry[i->kernel](buffers, r->n, begin, end, scratch);
        return true;
    }
    return r->code->interpret(r->program->kernels.at[i->kernel], buffers, v->sizes + i->first_arg, r->n, begin, end,
                              r->code->wide, d);
}

static bool run_work(cpu *v, const device_run *r, work *w, void *scratch, nasc_diag *d)
{
    const block_range *blocks = v->blocks + w->first;
    int k = 0;
    for (;;) {
        int64_t b = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed);
        if (b >= blocks[w->count].first)
            return true;
        while (b >= blocks[k + 1].first)
            k++;
        int64_t at = b - blocks[k].first, begin = at / blocks[k].count * blocks[k].grain;
        int64_t end = least(begin + blocks[k].grain, blocks[k].units);
        int instance = blocks[k].instance + (int)(at % blocks[k].count);
        double start = r->instance_seconds ? omp_get_wtime() : 0;
        if (!run_units(v, r, instance, begin, end, scratch, d))
            return false;
        if (r->instance_seconds) {
            double seconds = omp_get_wtime() - start;
#pragma omp atomic
            r->instance_seconds[instance] += seconds;
        }
    }
}

static bool cpu_execute(device *base, const device_run *r, nasc_diag *d)
{
    cpu *v = (cpu *)base;
    CHECK(r->n >= 1 && r->n <= r->program->batch);
    CHECK(r->program->args.count <= v->args_room && r->program->launches.count <= v->launches_room);
    int works = layout_run(v, r);
    atomic_bool failed = false, told = false;
#pragma omp parallel num_threads(v->threads) default(none) shared(v, r, d, works, failed, told)
    {
        void *scratch = v->scratch.at + omp_get_thread_num() * v->scratch_stride;
        nasc_diag mine = {0};
        for (int w = 0; w < works; w++) {
            if (!atomic_load_explicit(&failed, memory_order_relaxed) && !run_work(v, r, &v->works[w], scratch, &mine))
                atomic_store(&failed, true);
            atomic_thread_fence(memory_order_seq_cst); /* streamed stores are in no order but that */
#pragma omp barrier
        }
        if (mine.kind != DIAG_NONE && !atomic_exchange(&told, true))
            diag_fail(d, mine.kind, mine.where, "%s", mine.message);
    }
    return !failed;
}

static const device_kind cpu_kind = {.close = cpu_close, .prepare = cpu_prepare, .execute = cpu_execute};

device *device_open_cpu(int threads, nasc_diag *d)
{
    cpu *v = mem_alloc(sizeof *v);
    if (!v) {
        diag_memory(d);
        return NULL;
    }
    memset(v, 0, sizeof *v);
    v->base.kind = &cpu_kind;
    v->threads = threads > 0 ? threads : omp_get_num_procs();
    return &v->base;
}
