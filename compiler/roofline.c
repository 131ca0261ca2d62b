/* Bounds of a grid's time. None of them is reached on a real machine, so the greatest is a time that a kernel is not
 * below; which one it is says what to work on. */
#include "roofline.h"

#include <math.h>
#include <string.h>

/* Sizes and rates: NVIDIA's H100 and Ada architecture papers, and the tuning guides of compute capability 9.0 and 8.9
 * for what a multiprocessor holds. Not published, hence as published measurements have them, rounded: the second cache's
 * bandwidth, latencies, and the time between two kernels. */
static const gpu gpus[] = {
    {.name = "h100",
     .title = "H100 SXM",
     .target = "sm_90",
     .sms = 132,
     .clock = 1.98e9,
     .f32 = 128,
     .f64 = 64,
     .alu = 64,
     .memory = 3.35e12,
     .l2 = 5.5e12,
     .memory_bytes = 80e9,
     .l2_bytes = 50e6,
     .shared_bytes = 228 << 10,
     .threads = 2048,
     .blocks = 32,
     .registers = 65536,
     .launch = 1.5e-6,
     .latency = {.f32 = 4, .f64 = 8, .shared = 30, .l1 = 40, .l2 = 270, .memory = 600}},
    {.name = "rtx4090",
     .title = "RTX 4090",
     .target = "sm_89",
     .sms = 128,
     .clock = 2.52e9,
     .f32 = 128,
     .f64 = 2,
     .alu = 64,
     .memory = 1.008e12,
     .l2 = 5e12,
     .memory_bytes = 24e9,
     .l2_bytes = 72e6,
     .shared_bytes = 100 << 10,
     .threads = 1536,
     .blocks = 24,
     .registers = 65536,
     .launch = 1.5e-6,
     .latency = {.f32 = 4, .f64 = 40, .shared = 30, .l1 = 40, .l2 = 280, .memory = 550}},
};

const char *const roof_names[ROOF_COUNT] = {
#define X(name, words) words,
    ROOFS(X)
#undef X
};

const gpu *gpu_find(const char *name, const char **names)
{
    for (size_t i = 0; i < COUNT(gpus); i++)
        if (strcmp(gpus[i].name, name) == 0)
            return &gpus[i];
    if (names)
        *names = "h100 or rtx4090";
    return NULL;
}

enum {
    REGISTERS = 64,       /* of a thread, where nobody says */
    REGISTERS_EACH = 256, /* that a warp gets a multiple of */
    SHARED_RESERVED = 1024,
    ISSUED = 4, /* instructions a cycle */
    LINE = 128, /* bytes a cycle of the first cache */
    WAVES_FEW = 4
};

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int resident_blocks(const gpu *g, const roofline *r)
{
    int warps = (r->counts.threads + WARP - 1) / WARP, registers = r->use.registers ? r->use.registers : REGISTERS;
    int warp_registers = (registers * WARP + REGISTERS_EACH - 1) / REGISTERS_EACH * REGISTERS_EACH;
    int blocks = least(g->blocks, g->threads / (warps * WARP));
    blocks = least(blocks, g->registers / (warp_registers * warps));
    return least(blocks, g->shared_bytes / (r->use.shared_bytes + SHARED_RESERVED));
}

/* Blocks by multiprocessor, for all of which as long as for the fullest. */
static double evenness(const gpu *g, double blocks)
{
    double each = blocks / g->sms;
    return each > 0 ? ceil(each) / each : 1;
}

/* Blocks follow each other where there is room; a grid of few waves lasts as long as all of them, were they full. */
static double latency_of(const gpu *g, const roofline *r, double cycles)
{
    double rooms = (double)g->sms * r->resident, waves = (double)r->counts.blocks / rooms;
    double all = cycles / rooms * (waves > 0 && waves < WAVES_FEW ? ceil(waves) / waves : 1);
    return (all > r->counts.serial ? all : r->counts.serial) / g->clock;
}

/* cycles: of all blocks, one after the other. */
static void find_roofs(const gpu *g, roofline *r, double cycles)
{
    const loop_counts *c = &r->counts;
    double second = g->sms * g->clock;
    r->roof[ROOF_memory] = c->bytes / g->memory;
    r->roof[ROOF_flops] = c->flops / (2.0 * g->f32 * g->sms * g->clock);
    r->roof[ROOF_l2] = c->sectors_block * SECTOR / g->l2;
    r->roof[ROOF_l1] = c->sectors * SECTOR / LINE / second;
    r->roof[ROOF_shared] = c->shared / second;
    r->roof[ROOF_issue] = c->issued / ISSUED / second;
    r->roof[ROOF_f32] = c->f32 * WARP / g->f32 / second;
    r->roof[ROOF_f64] = c->f64 * WARP / g->f64 / second;
    r->roof[ROOF_alu] = c->alu * WARP / g->alu / second;
    r->roof[ROOF_latency] = latency_of(g, r, cycles);
}

static void add_counts(loop_counts *to, const loop_counts *more, double times)
{
    double *const sum[] = {&to->flops,   &to->issued,        &to->f32,   &to->f64,    &to->alu,
                           &to->sectors, &to->sectors_block, &to->bytes, &to->shared, &to->conflicts};
    const double each[] = {more->flops,   more->issued,        more->f32,   more->f64,    more->alu,
                           more->sectors, more->sectors_block, more->bytes, more->shared, more->conflicts};
    for (size_t i = 0; i < COUNT(sum); i++)
        *sum[i] += times * each[i];
    to->blocks += (int64_t)times * more->blocks;
    to->serial = more->serial > to->serial ? more->serial : to->serial;
}

roofline roofline_of(const gpu *g, const roofline_part *parts, int count, int threads, const struct cubin_use *use)
{
    roofline r = {.use = *use};
    double cycles = 0;
    r.counts.threads = threads;
    for (int i = 0; i < count; i++) {
        const roofline_part *p = &parts[i];
        add_counts(&r.counts, &p->counts, p->instances);
        cycles += (double)p->instances * (double)p->counts.blocks * p->counts.serial;
        if (!use->shared_bytes && p->shared_bytes > r.use.shared_bytes)
            r.use.shared_bytes = (int32_t)p->shared_bytes;
    }
    r.resident = resident_blocks(g, &r);
    r.resident = r.resident > 0 ? r.resident : 1;
    r.occupancy = (double)(r.resident * r.counts.threads) / g->threads;
    find_roofs(g, &r, cycles);
    for (int i = 0; i < ROOF_COUNT; i++) {
        bool shared = i == ROOF_memory || i == ROOF_flops || i == ROOF_l2 || i == ROOF_latency;
        double alone = r.roof[i] * (shared ? 1 : evenness(g, (double)r.counts.blocks));
        if (alone > r.seconds) {
            r.seconds = alone;
            r.limit = (enum roof)i;
        }
    }
    r.bound = r.roof[ROOF_memory] > r.roof[ROOF_flops] ? r.roof[ROOF_memory] : r.roof[ROOF_flops];
    return r;
}
