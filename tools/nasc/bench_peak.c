/* The machine's peaks, by kernels that go the way of all others: loop IR, engine, device. What they reach is what a
 * perfect kernel of ours could reach. */
#include "bench.h"

enum {
    ROUNDS = 4,        /* of all chains, in the loop's body */
    ITERATIONS = 4000, /* of the loop, a unit */
    SLICE = 1 << 18,   /* floats that a unit reads or copies: 1 MiB */
    SLICES = 256,      /* far beyond any cache */
    STREAMS = 8,       /* loads in flight in the loop's body */
    REPEATS = 5        /* at least: the best of them counts, for others use the machine, too */
};

/* A program of one instance. */
typedef struct single {
    program program;
    program_code code;
} single;

static loop_pen pen_open(session *s, const char *name)
{
    loop_pen pen = {.arena = s->arena, .k = NEW(s->arena, kernel)};
    pen.k->ints = 1;
    snprintf(pen.k->name, sizeof pen.k->name, "%s", name);
    return pen;
}

static int chains_of(const target *t)
{
    return t->registers >= 32 ? 24 : 12;
}

/* Chains of multiply-adds that do not wait for each other; their sum is stored, so that they are needed. */
static kernel *multiply_adds(session *s)
{
    loop_pen pen = pen_open(s, "peak_multiply_adds"), *p = &pen;
    const target *t = &s->target;
    int chains = chains_of(t), acc[24];
    int in = loop_arg(p, DT_F32, LOOP_IN), out = loop_arg(p, DT_F32, LOOP_OUT), unit = loop_parallel(p);
    int factor = loop_bcast(p, DT_F32, t->lanes, in, loop_at(0));
    int term = loop_bcast(p, DT_F32, t->lanes, in, loop_at(1));
    for (int i = 0; i < chains; i++)
        acc[i] = loop_bcast(p, DT_F32, t->lanes, in, loop_at(2 + i));
    loop_for(p, loop_at(0), loop_at(ITERATIONS), 1);
    for (int i = 0; i < ROUNDS * chains; i++) {
        int to = acc[i % chains];
        if (t->fma)
            loop_math_to(p, to, LOOP_FMA, to, factor, term, -1);
        else
            loop_math_to(p, to, LOOP_ADD, loop_math(p, LOOP_MUL, to, factor, -1, -1), term, -1, -1);
    }
    loop_end(p);
    for (int i = 1; i < chains; i++)
        loop_math_to(p, acc[0], LOOP_ADD, acc[0], acc[i], -1, -1);
    loop_store(p, out, loop_plus(loop_at(0), unit, LOOP_LANES_MAX), acc[0]);
    loop_end(p);
    return pen.k;
}

/* Loads a slice; copies it to `out`, or adds it up. */
static kernel *stream(session *s, bool copy)
{
    loop_pen pen = pen_open(s, copy ? "peak_copy" : "peak_read"), *p = &pen;
    int lanes = s->target.lanes, acc[STREAMS], in = loop_arg(p, DT_F32, LOOP_IN), out = loop_arg(p, DT_F32, LOOP_OUT);
    int unit = loop_parallel(p);
    for (int i = 0; !copy && i < STREAMS; i++)
        acc[i] = loop_math(p, LOOP_MOVE, loop_const(p, DT_F32, lanes, 0), -1, -1, -1);
    int at = loop_for(p, loop_at(0), loop_at(SLICE), STREAMS * lanes);
    loop_index first = loop_plus(loop_plus(loop_at(0), unit, SLICE), at, 1);
    for (int i = 0; i < STREAMS; i++) {
        loop_index element = loop_offset(first, (int64_t)i * lanes);
        int value = loop_load(p, DT_F32, lanes, in, element);
        if (copy)
            loop_store(p, out, element, value);
        else
            loop_math_to(p, acc[i], LOOP_ADD, acc[i], value, -1, -1);
    }
    loop_end(p);
    for (int i = 1; !copy && i < STREAMS; i++)
        loop_math_to(p, acc[0], LOOP_ADD, acc[0], acc[i], -1, -1);
    if (!copy)
        loop_store(p, out, loop_plus(loop_at(0), unit, LOOP_LANES_MAX), acc[0]);
    loop_end(p);
    return pen.k;
}

/* `in`, `out`: elements into the arena; -1: SLOT_USER. */
static bool single_load(session *s, single *to, kernel *k, int units, int64_t in, int64_t out, nasc_diag *d)
{
    int64_t size = (int64_t)SLICE * SLICES;
    program_instance instance = {.args = 2, .unit_tiles = units, .bytes_image = 2 * size * 4, .name = k->name};
    program_arg args[] = {{in < 0 ? SLOT_USER : SLOT_NONE, in < 0 ? 0 : in, size, false},
                          {out < 0 ? SLOT_USER + 1 : SLOT_NONE, out < 0 ? 0 : out, size, true}};
    program_launch launch = {.count = 1, .select = -1};
    program *p = &to->program;
    if (!loop_verify(k, d))
        return false;
    *p = (program){.batch = 1, .arena_elements = in < 0 ? 0 : 2 * size};
    VEC_PUSH(s->arena, &p->kernels, k);
    VEC_PUSH(s->arena, &p->instances, instance);
    VEC_PUSH(s->arena, &p->args, args[0]);
    VEC_PUSH(s->arena, &p->args, args[1]);
    VEC_PUSH(s->arena, &p->launches, launch);
    return engine_load(s->engine, p, &to->code, d);
}

/* Seconds of the fastest of several runs, which take as long together as it takes to find a quiet moment. */
static bool fastest(device *v, const single *one, float *in, float *out, double *seconds, nasc_diag *d)
{
    device_run r = {.program = &one->program, .code = &one->code, .n = 1};
    r.slot[SLOT_USER] = in;
    r.slot[SLOT_USER + 1] = out;
    *seconds = 1e30;
    double begun = clock_seconds();
    for (int i = 0; i < REPEATS || clock_seconds() - begun < 0.3; i++) {
        double start = clock_seconds();
        if (!device_execute(v, &r, d))
            return false;
        double taken = clock_seconds() - start;
        *seconds = taken < *seconds ? taken : *seconds;
    }
    return true;
}

static bool measure_flops(session *s, device *v, int threads, double *flops, nasc_diag *d)
{
    single one;
    int units = 64 * threads, chains = chains_of(&s->target);
    float in[2 + 24], *out = NEW_ARRAY(s->arena, float, (int64_t)units *LOOP_LANES_MAX);
    for (int i = 0; i < 2 + chains; i++)
        in[i] = 0.5F; /* x·½ + ½ stays at 1: nothing becomes subnormal */
    double seconds;
    if (!single_load(s, &one, multiply_adds(s), units, -1, -1, d) || !device_prepare(v, &one.program, &one.code, d) ||
        !fastest(v, &one, in, out, &seconds, d))
        return false;
    *flops = 2.0 * units * ITERATIONS * ROUNDS * chains * s->target.lanes / seconds;
    return true;
}

/* Copies forth and back first: memory that was never written is no memory yet. */
static bool measure_bandwidth(session *s, device *v, peaks *p, nasc_diag *d)
{
    int64_t size = (int64_t)SLICE * SLICES;
    single read, copy, back;
    double seconds = 1, bytes = (double)size * 4;
    bool ok = single_load(s, &read, stream(s, false), SLICES, 0, size, d) &&
              single_load(s, &copy, stream(s, true), SLICES, 0, size, d) &&
              single_load(s, &back, stream(s, true), SLICES, size, 0, d) &&
              device_prepare(v, &copy.program, &copy.code, d) && fastest(v, &copy, NULL, NULL, &seconds, d) &&
              fastest(v, &back, NULL, NULL, &seconds, d);
    p->copy = 2 * bytes / seconds;
    ok = ok && fastest(v, &read, NULL, NULL, &seconds, d);
    p->read = bytes / seconds;
    return ok;
}

bool peaks_measure(session *s, int threads, peaks *p, nasc_diag *d)
{
    *p = (peaks){.threads = threads};
    device *v = device_open_cpu(threads, d);
    bool ok = v && measure_flops(s, v, threads, &p->flops, d) && measure_bandwidth(s, v, p, d);
    device_close(v);
    return ok;
}
