/* Counting by a dry run: 32 threads step together, as a warp does, through control flow and addresses, which depend on
 * no data. Floats are never computed. Each access is split into the transactions that the warp makes of it; which of
 * them the block, or the run of blocks, has made before is known from a table of all that were touched.
 *
 * How long a block takes by itself is found by the way, for the first: an instruction waits for its operands, but loads
 * go ahead of what stands before them, as compilers place them, and at barriers all warps wait for the slowest. */
#include "count.h"

#include <string.h>

enum {
    WORK = 60000,     /* instructions of warps after which no further block begins */
    BLOCKS_MOST = 64, /* of a run */
    AHEAD = 48,       /* instructions that a load goes ahead, at most */
    DIVISION = 10,    /* instructions that a division or a root becomes, in float; in double twice as many */
};

typedef struct touched {
    uint64_t key; /* 0: free */
    int64_t block;
} touched;

typedef struct counter {
    arena *a;
    const kernel *k;
    const loop_latency *latency;
    loop_counts c; /* of the run */
    int64_t (*ints)[WARP];
    int64_t first, block, work, units; /* units: those of the run, where they are threads */
    touched *table;
    int64_t slots, used;
    int64_t *once[2], *first_once[2]; /* of each argument: sectors read, written; those of the first block */
    /* the first block's time: of each stretch between barriers, its slowest warp's */
    bool timed;
    VEC(int64_t) stretch;
    int stretches; /* that the present warp has behind it */
    int64_t now, barrier, *ready, ring[AHEAD], steps;
} counter;

/* ---- what was touched -------------------------------------------------------------------------------------------- */

static touched *slot_of(touched *table, int64_t slots, uint64_t key)
{
    uint64_t at = key * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    while (table[at & (uint64_t)(slots - 1)].key != 0 && table[at & (uint64_t)(slots - 1)].key != key)
        at++;
    return &table[at & (uint64_t)(slots - 1)];
}

static void grow(counter *q)
{
    int64_t slots = q->slots ? 2 * q->slots : 1 << 12;
    touched *table = NEW_ARRAY(q->a, touched, slots);
    for (int64_t i = 0; i < q->slots; i++)
        if (q->table[i].key)
            *slot_of(table, slots, q->table[i].key) = q->table[i];
    q->table = table;
    q->slots = slots;
}

/* How far away the sector was: since this block, or one before it, has touched it. */
static int touch(counter *q, int arg, bool write, int64_t sector)
{
    if (2 * q->used >= q->slots)
        grow(q);
    uint64_t key = (uint64_t)sector << 12 | (uint64_t)arg << 2 | (uint64_t)write << 1 | 1;
    touched *t = slot_of(q->table, q->slots, key);
    if (!t->key) {
        t->key = key;
        t->block = -1;
        q->used++;
        q->once[write][arg]++;
    }
    int64_t before = t->block;
    q->c.sectors_block += before != q->block;
    t->block = q->block;
    return before == q->block ? q->latency->l1 : before >= 0 ? q->latency->l2 : q->latency->memory;
}

/* ---- indices ----------------------------------------------------------------------------------------------------- */

static void evaluate(const counter *q, const loop_index *i, int64_t out[WARP])
{
    for (int lane = 0; lane < WARP; lane++)
        out[lane] = i->base;
    for (int t = 0; t < i->count; t++) {
        const int64_t *of = q->ints[i->term[t].var], coef = i->term[t].coef;
        for (int lane = 0; lane < WARP; lane++)
            out[lane] += coef * of[lane];
    }
}

static uint32_t below(const counter *q, const loop_ins *i, uint32_t mask)
{
    int64_t lo[WARP], hi[WARP];
    uint32_t yes = 0;
    evaluate(q, &i->lo, lo);
    evaluate(q, &i->hi, hi);
    for (int lane = 0; lane < WARP; lane++)
        yes |= (uint32_t)(lo[lane] < hi[lane]) << lane;
    return yes & mask;
}

static void assign(const counter *q, int var, const int64_t value[WARP], uint32_t mask)
{
    for (int lane = 0; lane < WARP; lane++)
        if (mask >> lane & 1)
            q->ints[var][lane] = value[lane];
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void issue(counter *q, int count, double *pipe)
{
    q->c.issued += count;
    q->work += count;
    if (pipe)
        *pipe += count;
    q->now += q->timed ? count : 0;
}

static void wait_for(counter *q, const loop_ins *i, int operands)
{
    for (int k = 0; k < operands && q->timed; k++)
        if (q->ready[i->src[k]] > q->now)
            q->now = q->ready[i->src[k]];
}

static void done_after(counter *q, const loop_ins *i, int cycles)
{
    if (q->timed)
        q->ready[i->dst] = q->now - 1 + cycles; /* it has been issued by now */
}

/* A load begins up to AHEAD instructions before its place, but behind the last barrier. */
static void loaded_after(counter *q, const loop_ins *i, int cycles)
{
    if (!q->timed)
        return;
    int64_t begin = q->steps >= AHEAD ? q->ring[q->steps % AHEAD] : 0;
    begin = begin > q->barrier ? begin : q->barrier;
    q->ready[i->dst] = begin + cycles > q->now ? begin + cycles : q->now;
}

/* The warp has come to a barrier, or to its end. */
static void end_stretch(counter *q)
{
    int64_t took = q->now - q->barrier;
    if (q->stretches == q->stretch.count)
        VEC_PUSH(q->a, &q->stretch, took);
    else if (q->stretch.at[q->stretches] < took)
        q->stretch.at[q->stretches] = took;
    q->stretches++;
    q->barrier = q->now;
}

static void begin_warp(counter *q)
{
    q->now = q->barrier = q->steps = 0;
    q->stretches = 0;
    memset(q->ready, 0, (size_t)(q->k->regs.count + 1) * sizeof *q->ready);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static const loop_buffer *buffer_of(const counter *q, const loop_ins *i)
{
    int b = i->place.buffer;
    return b >= LOOP_SCRATCH ? &q->k->scratch.at[b - LOOP_SCRATCH] : &q->k->args.at[b];
}

/* Distinct sectors of an access, in no order. */
static int sectors_of(const int64_t at[WARP], uint32_t mask, int64_t bytes, int64_t sector[])
{
    int count = 0;
    for (int lane = 0; lane < WARP; lane++) {
        if (!(mask >> lane & 1))
            continue;
        for (int64_t s = at[lane] / SECTOR; s <= (at[lane] + bytes - 1) / SECTOR; s++) {
            int j = count - 1;
            while (j >= 0 && sector[j] != s)
                j--;
            if (j < 0)
                sector[count++] = s;
        }
    }
    return count;
}

/* Cycles until what is loaded is there. */
static int global_access(counter *q, const loop_ins *i, const int64_t at[WARP], uint32_t mask, int64_t bytes)
{
    int64_t sector[WARP * 4];
    int most = 0;
    int count = sectors_of(at, mask, bytes, sector);
    q->c.sectors += count;
    for (int s = 0; s < count; s++) {
        int cycles = touch(q, i->place.buffer, i->op == LOOP_STORE, sector[s]);
        most = cycles > most ? cycles : most;
    }
    return most;
}

/* Lanes whose words fill a row of banks go together; how many rows their words need. */
static int rows_of_banks(const int64_t at[WARP], uint32_t mask, int first, int lanes, int64_t bytes)
{
    int64_t word[WARP * 4];
    int count = 0, most = 0, bank[SHARED_BANKS] = {0};
    for (int lane = first; lane < first + lanes; lane++)
        for (int64_t w = at[lane] / 4; mask >> lane & 1 && w < (at[lane] + bytes + 3) / 4; w++) {
            int j = count - 1;
            while (j >= 0 && word[j] != w)
                j--;
            if (j >= 0)
                continue;
            word[count++] = w;
            int in = ++bank[w % SHARED_BANKS];
            most = in > most ? in : most;
        }
    return most;
}

static int shared_access(counter *q, const int64_t at[WARP], uint32_t mask, int64_t bytes)
{
    int together = bytes > 8 ? WARP / 4 : bytes > 4 ? WARP / 2 : WARP;
    for (int first = 0; first < WARP; first += together) {
        int rows = rows_of_banks(at, mask, first, together, bytes);
        q->c.shared += rows;
        q->c.conflicts += rows > 1 ? rows - 1 : 0;
    }
    return q->latency->shared;
}

static void access(counter *q, const loop_ins *i, uint32_t mask)
{
    const loop_buffer *b = buffer_of(q, i);
    bool scratch = i->place.buffer >= LOOP_SCRATCH, write = i->op == LOOP_STORE;
    int typed = write ? i->src[0] : i->dst;
    int lanes = i->op == LOOP_LOAD || write ? q->k->regs.at[typed].lanes : 1;
    int64_t at[WARP], bytes = (int64_t)lanes * dtype_info[b->dtype].bytes;
    evaluate(q, &i->place.index, at);
    for (int lane = 0; lane < WARP; lane++)
        at[lane] *= dtype_info[b->dtype].bytes;
    bool local = scratch && !loop_threads_of(q->k);
    if (write)
        wait_for(q, i, 1);
    issue(q, 1, NULL);
    int cycles = local     ? q->latency->f32
                 : scratch ? shared_access(q, at, mask, bytes)
                           : global_access(q, i, at, mask, bytes);
    if (!write && i->op != LOOP_INT_LOAD)
        loaded_after(q, i, cycles);
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

static void arithmetic(counter *q, const loop_ins *i, uint32_t mask)
{
    bool wide = q->k->regs.at[i->dst].dtype == DT_F64;
    int lanes = q->k->regs.at[i->dst].lanes, count = lanes, operands = loop_op_info[i->op].operands;
    double *pipe = wide ? &q->c.f64 : &q->c.f32;
    int flops = i->op == LOOP_FMA ? 2 : 1;
    switch (i->op) {
    case LOOP_MOVE:
    case LOOP_CONST:
    case LOOP_LANE:
    case LOOP_HALF:
        if (q->timed && operands)
            q->ready[i->dst] = q->ready[i->src[0]];
        else
            done_after(q, i, 0);
        return; /* a name for a register */
    case LOOP_DIV:
    case LOOP_SQRT:
        count *= wide ? 2 * DIVISION : DIVISION;
        break;
    case LOOP_FROM_INT:
    case LOOP_MAX:
    case LOOP_MIN:
    case LOOP_SELECT_LT:
    case LOOP_SELECT_EQ:
    case LOOP_POW2:
    case LOOP_EXPONENT:
    case LOOP_MANTISSA:
        pipe = wide ? &q->c.f64 : &q->c.alu;
        break;
    case LOOP_CONVERT:
        pipe = &q->c.f64;
        flops = 0;
        break;
    default:
        break;
    }
    wait_for(q, i, operands);
    issue(q, count, pipe);
    q->c.flops += (double)flops * lanes * __builtin_popcount(mask);
    done_after(q, i, (pipe == &q->c.f64 ? q->latency->f64 : q->latency->f32) * (count > lanes ? 4 : 1));
}

static void integers(counter *q, const loop_ins *i, uint32_t mask)
{
    int64_t lo[WARP], hi[WARP];
    evaluate(q, &i->lo, lo);
    evaluate(q, &i->hi, hi);
    bool divides = i->op == LOOP_INT_DIV || i->op == LOOP_INT_MOD;
    for (int lane = 0; lane < WARP; lane++) {
        int64_t quotient = divides ? lo[lane] / i->step - (lo[lane] % i->step < 0) : 0;
        if (i->op == LOOP_INT_MIN ? hi[lane] < lo[lane] : i->op == LOOP_INT_MAX && hi[lane] > lo[lane])
            lo[lane] = hi[lane];
        else if (divides)
            lo[lane] = i->op == LOOP_INT_DIV ? quotient : lo[lane] - i->step * quotient;
        else if (i->op == LOOP_INT_LOAD)
            lo[lane] = 0;
    }
    assign(q, i->dst, lo, mask);
    if (i->op == LOOP_INT_LOAD)
        access(q, i, mask);
    else
        issue(q, divides ? (i->step & (i->step - 1) ? 4 : 2) : 1, &q->c.alu);
}

/* ---- control ----------------------------------------------------------------------------------------------------- */

static void run(counter *q, int from, int to, uint32_t mask);

/* A loop of few steps is unrolled by compilers: its counting costs nothing. */
static bool unrolled(const loop_ins *i)
{
    enum { STEPS = 32 };
    return i->lo.count == 0 && i->hi.count == 0 && (i->hi.base - i->lo.base) / i->step <= STEPS;
}

static void run_for(counter *q, const loop_ins *i, int at, uint32_t mask)
{
    int64_t lo[WARP];
    evaluate(q, &i->lo, lo);
    assign(q, i->dst, lo, mask);
    for (uint32_t live = mask;;) {
        int64_t hi[WARP];
        uint32_t yes = 0;
        evaluate(q, &i->hi, hi);
        for (int lane = 0; lane < WARP; lane++)
            yes |= (uint32_t)(q->ints[i->dst][lane] < hi[lane]) << lane;
        live &= yes;
        if (!live)
            return;
        issue(q, unrolled(i) ? 0 : 2, &q->c.alu);
        run(q, at + 1, i->match, live);
        for (int lane = 0; lane < WARP; lane++)
            q->ints[i->dst][lane] += live >> lane & 1 ? i->step : 0;
    }
}

/* Returns the end of the branch. */
static int run_if(counter *q, const loop_ins *i, int at, uint32_t mask)
{
    uint32_t yes = below(q, i, mask);
    const loop_ins *match = &q->k->ins.at[i->match];
    issue(q, 1, &q->c.alu);
    if (yes)
        run(q, at + 1, i->match, yes);
    if (match->op != LOOP_ELSE)
        return i->match;
    if (mask & ~yes)
        run(q, i->match + 1, match->match, mask & ~yes);
    return match->match;
}

static void step(counter *q, const loop_ins *i, uint32_t mask)
{
    switch (loop_op_info[i->op].kind) {
    case LOOP_INT:
        integers(q, i, mask);
        break;
    case LOOP_MEM:
        access(q, i, mask);
        break;
    case LOOP_SYNC:
        issue(q, 1, NULL);
        q->now += q->timed ? q->latency->shared : 0;
        if (q->timed)
            end_stretch(q);
        break;
    case LOOP_HINT:
        break;
    default:
        arithmetic(q, i, mask);
    }
    if (q->timed)
        q->ring[q->steps++ % AHEAD] = q->now;
}

/* Instructions [from, to) by the lanes of `mask`. */
static void run(counter *q, int from, int to, uint32_t mask)
{
    for (int at = from; at < to; at++) {
        const loop_ins *i = &q->k->ins.at[at];
        if (i->op == LOOP_FOR) {
            run_for(q, i, at, mask);
            at = i->match;
        } else if (i->op == LOOP_IF) {
            at = run_if(q, i, at, mask);
        } else if (i->op != LOOP_END) {
            step(q, i, mask);
        }
    }
}

/* ---- a run of blocks --------------------------------------------------------------------------------------------- */

/* The warp whose first thread has number `first` among the block's. */
static void run_warp(counter *q, const loop_grid *g, int64_t block, int first)
{
    const kernel *k = q->k;
    int threads = loop_threads_of(k);
    int64_t before = block * g->threads + first;
    uint32_t mask = 0;
    for (int lane = 0; lane < WARP; lane++) {
        q->ints[0][lane] = g->n;
        q->ints[k->ins.at[0].dst][lane] = threads ? block : before + lane;
        if (threads)
            q->ints[k->ins.at[1].dst][lane] = first + lane;
        bool there = threads ? first + lane < threads : before + lane < g->units;
        mask |= (uint32_t)there << lane;
    }
    q->units += __builtin_popcount(mask);
    q->timed = q->block == q->first && (threads || first == 0);
    begin_warp(q);
    if (mask)
        run(q, threads ? 2 : 1, k->ins.count, mask);
    if (q->timed)
        end_stretch(q);
}

static counter open_counter(arena *a, const kernel *k, const loop_latency *latency)
{
    counter q = {.a = a, .k = k, .latency = latency};
    q.ints = arena_alloc(a, (size_t)k->ints * sizeof *q.ints);
    memset(q.ints, 0, (size_t)k->ints * sizeof *q.ints);
    q.ready = NEW_ARRAY(a, int64_t, k->regs.count + 1);
    for (int write = 0; write < 2; write++)
        q.once[write] = q.first_once[write] = NEW_ARRAY(a, int64_t, k->args.count + 1);
    return q;
}

/* Each block touches as much more as those of the run did on average after the first; no argument more than whole. */
static double bytes_touched(const counter *q, const loop_grid *g, double blocks, double done)
{
    double bytes = 0;
    for (int arg = 0; arg < q->k->args.count; arg++)
        for (int write = 0; write < 2; write++) {
            double whole = (double)g->elements[arg] * dtype_info[q->k->args.at[arg].dtype].bytes;
            double first = done > 1 ? (double)q->first_once[write][arg] : 0, all = (double)q->once[write][arg];
            double run = done > 1 ? first + (all - first) / (done - 1) * (blocks - 1) : all * blocks / done;
            bytes += run * SECTOR < whole ? run * SECTOR : whole;
        }
    return bytes;
}

static void scale_all(loop_counts *c, double by)
{
    double *const all[] = {&c->flops,   &c->issued,        &c->f32,    &c->f64,      &c->alu,
                           &c->sectors, &c->sectors_block, &c->shared, &c->conflicts};
    for (size_t i = 0; i < COUNT(all); i++)
        *all[i] *= by;
}

loop_counts loop_count(arena *at, const kernel *k, const loop_grid *g, const loop_latency *latency)
{
    counter q = open_counter(at, k, latency);
    int own = loop_threads_of(k), threads = own ? own : g->threads;
    int64_t blocks = own ? g->units : (g->units + threads - 1) / threads, first = blocks / 3, done = 0;
    q.first = first;
    for (q.block = first; q.block < blocks && done < BLOCKS_MOST && q.work < WORK; q.block++, done++) {
        for (int warp = 0; warp < threads && (own || done > 0 || q.work < WORK); warp += WARP)
            run_warp(&q, g, q.block, warp);
        for (int write = 0; write < 2 && done == 0; write++)
            q.first_once[write] = arena_copy(at, q.once[write], (size_t)(k->args.count + 1) * sizeof(int64_t));
    }
    double run = own ? (double)done : (double)q.units / threads,
           all = own ? (double)blocks : (double)g->units / threads;
    double scale = run > 0 ? all / run : 0;
    if (run > 0)
        q.c.bytes = bytes_touched(&q, g, all, run);
    scale_all(&q.c, scale);
    for (int i = 0; i < q.stretch.count; i++)
        q.c.serial += (double)q.stretch.at[i];
    q.c.blocks = blocks;
    q.c.threads = threads;
    return q.c;
}
