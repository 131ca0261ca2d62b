/* nasc bench step --predict: what the step takes on a GPU at least, on paper. Nothing runs: its kernels are counted,
 * and the grids that cost most are compiled for what they take of registers, where NVRTC is at hand. */
#include "bench.h"
#include "output.h"
#include "roofline.h"

#include <stdlib.h>

enum { COMPILE_SHARE = 200, SHOWN = 30 }; /* one part of so many of the whole is worth compiling for */

/* An instance of a kernel, as it is counted. */
typedef struct counted {
    const kernel *k;
    int64_t units;
    int threads; /* of a block */
    loop_counts counts;
} counted;

/* Grids of the same instances. */
typedef struct row {
    const program *of_program;
    program_grid grid; /* the first of them */
    const char *kernels, *where;
    roofline_part part[GRID_KERNELS];
    roofline r;
    double calls, of; /* seconds of all calls */
} row;

typedef struct prediction {
    const gpu *gpu;
    const target *target;
    arena *arena;
    VEC(counted) counted;
    VEC(row) rows;
    double instances, calls, serial, beside, bytes, flops,
        arena_bytes; /* serial: grid after grid; beside: launch after launch */
    int launches;
    bool compiled; /* NVRTC has said what kernels take */
} prediction;

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static const loop_counts *count_instance(prediction *p, const program *q, const program_instance *i, int threads)
{
    const kernel *k = q->kernels.at[i->kernel];
    int64_t images = i->unit_images ? (q->batch + i->unit_images - 1) / i->unit_images : 1;
    loop_grid g = {.n = q->batch, .units = images * i->unit_tiles, .threads = threads};
    for (int c = 0; c < p->counted.count; c++) {
        const counted *old = &p->counted.at[c];
        if (old->k == k && old->units == g.units && old->threads == threads)
            return &old->counts;
    }
    int64_t *elements = NEW_ARRAY(p->arena, int64_t, i->args + 1);
    for (int a = 0; a < i->args; a++)
        elements[a] = q->args.at[i->first_arg + a].elements;
    g.elements = elements;
    arena own = {.unwind = p->arena->unwind};
    counted new = {k, g.units, threads, loop_count(&own, k, &g, &p->gpu->latency)};
    arena_free(&own);
    VEC_PUSH(p->arena, &p->counted, new);
    return &p->counted.at[p->counted.count - 1].counts;
}

static bool same_grid(const program *q, const program_grid *a, const program_grid *b)
{
    const program_instance *x = &q->instances.at[a->first], *y = &q->instances.at[b->first];
    bool same = a->function == b->function;
    for (int k = 0; same && k < q->functions.at[a->function].kernels; x += a->of[k], y += b->of[k], k++)
        same = a->of[k] == b->of[k] && x->unit_images == y->unit_images && x->unit_tiles == y->unit_tiles;
    return same;
}

static roofline row_roofline(const prediction *p, const row *r, const struct cubin_use *use)
{
    const program_function *f = &r->of_program->functions.at[r->grid.function];
    return roofline_of(p->gpu, r->part, f->kernels, f->threads, use);
}

static row *row_of(prediction *p, const program *q, const program_grid *g)
{
    const program_function *f = &q->functions.at[g->function];
    const program_instance *i = &q->instances.at[g->first];
    for (int r = 0; r < p->rows.count; r++)
        if (p->rows.at[r].of_program == q && same_grid(q, &p->rows.at[r].grid, g))
            return &p->rows.at[r];
    row new = {.of_program = q, .grid = *g, .where = i->name ? i->name : ""};
    new.kernels = program_grid_name(p->arena, q, g);
    for (int k = 0; k < f->kernels; i += g->of[k], k++) {
        const kernel *of = q->kernels.at[f->part[k].kernel];
        new.part[k] = (roofline_part){*count_instance(p, q, i, f->threads), g->of[k],
                                      f->part[k].threads ? loop_scratch_offset(of, of->scratch.count) : 0};
    }
    new.r = row_roofline(p, &new, &(struct cubin_use){0});
    VEC_PUSH(p->arena, &p->rows, new);
    return &p->rows.at[p->rows.count - 1];
}

static void count_program(prediction *p, const program *q)
{
    double bytes = (double)q->arena_elements * 4;
    p->launches += q->launches.count;
    p->instances += q->instances.count;
    p->arena_bytes = bytes > p->arena_bytes ? bytes : p->arena_bytes;
    for (int g = 0; g < q->grids.count; g++)
        row_of(p, q, &q->grids.at[g])->calls++;
}

/* A launch's grids share the machine: it lasts as long as all they ask for, and as the slowest of them alone. */
static void add_launches(prediction *p, const program *q)
{
    for (int l = 0; l < q->launches.count; l++) {
        const program_launch *launch = &q->launches.at[l];
        double roof[ROOF_COUNT] = {0}, most = 0;
        for (int g = launch->first_grid; g < launch->first_grid + launch->grids; g++) {
            const row *r = row_of(p, q, &q->grids.at[g]);
            double alone = r->r.seconds;
            most = alone > most ? alone : most;
            for (int k = 0; k < ROOF_latency; k++)
                roof[k] += r->r.roof[k];
        }
        for (int k = 0; k < ROOF_latency; k++)
            most = roof[k] > most ? roof[k] : most;
        p->beside += launch->grids > 0 ? most + p->gpu->launch : 0;
    }
}

static double seconds_of(const prediction *p, const row *r)
{
    return r->calls * (r->r.seconds + p->gpu->launch);
}

static void add_up(prediction *p)
{
    p->serial = p->bytes = p->flops = p->calls = 0;
    for (int i = 0; i < p->rows.count; i++) {
        row *r = &p->rows.at[i];
        r->of = seconds_of(p, r);
        p->serial += r->of;
        p->calls += r->calls;
        p->bytes += r->calls * r->r.counts.bytes;
        p->flops += r->calls * r->r.counts.flops;
    }
}

/* Asks NVRTC about the grids that matter. Where it is not there, or refuses one, what was taken of them stays. */
static void compile_rows(prediction *p)
{
    nasc_diag none = {0};
    nvrtc *n = nvrtc_open(&none);
    p->compiled = n != NULL;
    for (int i = 0; n && i < p->rows.count && !session_interrupted(); i++) {
        row *r = &p->rows.at[i];
        cubin made;
        const program *q = r->of_program;
        const program_function *f = &q->functions.at[r->grid.function];
        if (r->of * COMPILE_SHARE >= p->serial && nvrtc_compile(n, p->arena, f, q->kernels.at, p->target, &made, &none))
            r->r = row_roofline(p, r, &made.use);
    }
    nvrtc_close(n);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

typedef struct programs {
    const program *at[3 + METHOD_COUNT];
    int count;
} programs;

static bool add_program(prediction *p, programs *all, const net *n, const pipeline_options *o, nasc_diag *d)
{
    const program *q = n ? pipeline_compile(p->arena, n, p->target, o, d) : NULL;
    if (q)
        all->at[all->count++] = q;
    return q != NULL;
}

static bool add_pass(prediction *p, programs *all, const model *m, const bench_arguments *a, enum objective_use use,
                     objective *built, nasc_diag *d)
{
    if (!objective_build(m->space, &m->settings, use, p->arena, built, d))
        return false;
    pipeline_options o = {
        .batch = (int)settings_int(&m->settings, SETTING_batch), .grad = built->grad, .memory = a->memory};
    return add_program(p, all, built->built.net, &o, d);
}

static bool add_method(prediction *p, programs *all, const model *m, const net *n, enum net_method method, nasc_diag *d)
{
    method_shape shape = method_shape_of(p->arena, n);
    shape.nesterov = settings_int(&m->settings, SETTING_nesterov) != 0;
    pipeline_options o = {.batch = 1};
    return add_program(p, all, method_build(p->arena, method, &shape, d), &o, d);
}

/* What a step runs, each once. */
static bool add_step(prediction *p, programs *all, const model *m, const bench_arguments *a, nasc_diag *d)
{
    static const enum net_method pass[] = {METHOD_softmax, METHOD_alpha},
                                 search[] = {METHOD_softmax, METHOD_alpha, METHOD_adam, METHOD_sgd},
                                 train[] = {METHOD_sgd};
    objective one, other;
    int order = a->order ? a->order[0] - '0' : 0;
    const enum net_method *methods = m->genotype ? train : order ? search : pass;
    int count = m->genotype ? (int)COUNT(train) : order ? (int)COUNT(search) : (int)COUNT(pass);
    if (order > 1)
        return diag_fail(d, DIAG_USAGE, "--predict", "is for steps of order 0 and 1");
    bool ok = add_pass(p, all, m, a, order || m->genotype ? USE_WEIGHTS : USE_BOTH, &one, d) &&
              (!order || add_pass(p, all, m, a, USE_MIX, &other, d));
    for (int i = 0; ok && i < count; i++)
        ok = add_method(p, all, m, one.built.net, methods[i], d);
    return ok;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const row *x = a, *y = b;
    return (x->of < y->of) - (x->of > y->of);
}

static void print_row(const prediction *p, const row *r)
{
    const loop_counts *c = &r->r.counts;
    char registers[16] = "?";
    if (r->r.use.registers)
        snprintf(registers, sizeof registers, "%d", r->r.use.registers);
    printf("%9.3f %5.1f%% %6.0f %8.1f %9.2f %9.2f %9.2f %5.0f%% %5s %5.0f%% %-9s %7.1f  %s; %s\n", r->of * 1e3,
           100 * r->of / p->serial, r->calls, r->r.seconds * 1e6, c->flops * 1e-6, c->bytes / 1048576,
           c->sectors * SECTOR / 1048576, c->shared > 0 ? 100 * c->conflicts / c->shared : 0, registers,
           100 * r->r.occupancy, roof_names[r->r.limit], r->r.bound > 0 ? r->r.seconds / r->r.bound : 0, r->kernels,
           r->where);
}

static void print_text(const prediction *p)
{
    const gpu *g = p->gpu;
    printf("%s, on paper: %d multiprocessors at %.2f GHz, %.1f TFLOP/s, %.0f GB/s\n", g->title, g->sms, g->clock * 1e-9,
           2e-12 * g->f32 * g->sms * g->clock, g->memory * 1e-9);
    printf("%9s %6s %6s %8s %9s %9s %9s %6s %5s %6s %-9s %7s  %s\n", "ms", "share", "grids", "us each", "MFLOP", "MiB",
           "by warps", "confl.", "regs", "occup.", "limit", "x bound", "instances; where the first is");
    for (int i = 0; i < p->rows.count && i < SHOWN; i++)
        print_row(p, &p->rows.at[i]);
    printf("predicted: %.2f ms grid after grid, %.2f ms where a launch's grids run beside each other\n",
           p->serial * 1e3, p->beside * 1e3);
    printf("%.0f kernels in %.0f grids of %d launches; %.1f GFLOP, %.2f GiB of memory touched, arena %.1f MiB\n",
           p->instances, p->calls, p->launches, p->flops * 1e-9, p->bytes / 1073741824, p->arena_bytes / 1048576);
    if (!p->compiled)
        printf("NVRTC is not installed: every kernel is taken to use 64 registers\n");
}

static bool print_json(const prediction *p, nasc_diag *d)
{
    json_t *rows = json_array();
    for (int i = 0; i < p->rows.count; i++) {
        const row *r = &p->rows.at[i];
        const loop_counts *c = &r->r.counts;
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:f, s:s, s:f}", "grid",
                                        r->kernels, "where", r->where, "s", r->of, "calls", r->calls, "flops", c->flops,
                                        "bytes", c->bytes, "transactions", c->sectors, "shared", c->shared, "conflicts",
                                        c->conflicts, "registers", (int)r->r.use.registers, "occupancy", r->r.occupancy,
                                        "limit", roof_names[r->r.limit], "bound_s", r->calls * r->r.bound));
    }
    json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:i, s:f, s:f, s:f, s:b, s:o}", "gpu", p->gpu->name, "serial_s",
                          p->serial, "beside_s", p->beside, "kernels", p->instances, "grids", p->calls, "launches",
                          p->launches, "flops", p->flops, "bytes", p->bytes, "arena_mib", p->arena_bytes / 1048576,
                          "compiled", p->compiled, "rows", rows);
    return output_json(o, JSON_COMPACT | JSON_REAL_PRECISION(6), d);
}

bool bench_predict(const model *m, const bench_arguments *a, nasc_diag *d)
{
    const char *names;
    prediction p = {.gpu = gpu_find(a->predict, &names), .arena = a->common.arena};
    programs all = {0};
    if (!p.gpu)
        return diag_fail(d, DIAG_USAGE, "--predict", "there is no table of the GPU '%s', expected %s", a->predict,
                         names);
    if (!m->genotype && space_selects(m->space))
        return diag_fail(d, DIAG_INPUT, "--predict",
                         "is for mixtures: which kernels a space that selects runs is drawn");
    p.target = target_find_gpu(p.gpu->target);
    if (!add_step(&p, &all, m, a, d))
        return false;
    for (int i = 0; i < all.count; i++)
        count_program(&p, all.at[i]);
    add_up(&p);
    compile_rows(&p);
    add_up(&p);
    for (int i = 0; i < all.count; i++)
        add_launches(&p, all.at[i]);
    if (p.rows.count > 0)
        qsort(p.rows.at, (size_t)p.rows.count, sizeof *p.rows.at, by_time);
    if (a->common.json)
        return print_json(&p, d);
    print_text(&p);
    return true;
}
