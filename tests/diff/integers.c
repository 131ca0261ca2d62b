/* Operations on integer registers: the interpreter against emitted C, bit for bit, on random bytes and on those at the
 * ends of their ranges, for every width that each target of this machine has; and requantise against its definition.
 * NASC_SEED repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emit/emit.h"
#include "runtime/rng.h"

enum { LANES = 16, BYTES = 4 * LANES, RESULTS = 12, WORDS = RESULTS * LANES };

static uint64_t seed_of_run(void)
{
    const char *given = getenv("NASC_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("seed %llu (NASC_SEED)\n", (unsigned long long)seed);
    return seed;
}

typedef struct data {
    uint8_t a[BYTES], b[BYTES];
    int8_t w[BYTES];
    int32_t sum[LANES], shift[LANES], multiplier[LANES], zero[LANES];
} data;

/* Arguments: a, b, w, sum, shift, multiplier, zero; words; bytes (u8) as requantise, and quads as max, have them. */
static kernel *make_kernel(arena *a, int lanes, int step)
{
    kernel *k = NEW(a, kernel);
    loop_pen p = {.arena = a, .k = k};
    int from[7], words, bytes;
    for (int i = 0; i < 7; i++)
        from[i] = loop_arg(&p, i < 2 ? DT_U8 : i == 2 ? DT_I8 : DT_I32, LOOP_IN);
    words = loop_arg(&p, DT_I32, LOOP_OUT);
    bytes = loop_arg(&p, DT_U8, LOOP_OUT);
    loop_parallel(&p);
    int x = loop_load(&p, DT_QUAD, lanes, from[0], loop_at(0)), y = loop_load(&p, DT_QUAD, lanes, from[1], loop_at(0));
    int w = loop_load(&p, DT_QUAD, lanes, from[2], loop_at(0)),
        every = loop_bcast(&p, DT_QUAD, lanes, from[1], loop_at(4));
    int sum = loop_load(&p, DT_I32, lanes, from[3], loop_at(0)), result[RESULTS], count = 0;
    for (int i = 0; i < 4; i++) {
        result[count] = loop_math(&p, LOOP_MOVE, sum, -1, -1, -1);
        loop_dot4_to(&p, result[count++], i < 2 ? x : every, w, i % 2);
    }
    int flipped = loop_math(&p, LOOP_FLIP, x, -1, -1, -1),
        small = loop_load(&p, DT_I32, lanes, from[0], loop_at(lanes));
    result[count] = loop_math(&p, LOOP_MOVE, sum, -1, -1, -1);
    loop_dot4_to(&p, result[count++], flipped, w, true);
    int tiny = loop_load(&p, DT_I32, lanes, from[2], loop_at(0));
    result[count++] = loop_math(&p, LOOP_MUL, small, tiny, -1, -1);
    result[count++] = loop_math(&p, LOOP_SUB, small, tiny, -1, -1);
    result[count++] = loop_math(&p, LOOP_MAX, tiny, loop_const(&p, DT_I32, lanes, -3), -1, -1);
    result[count++] = loop_math(&p, LOOP_MIN, tiny, small, -1, -1);
    int coefficient[3];
    for (int i = 0; i < 3; i++)
        coefficient[i] = loop_load(&p, DT_I32, lanes, from[4 + i], loop_at(0));
    int byte = loop_requantise(&p, sum, coefficient[0], coefficient[1], coefficient[2], step);
    result[count++] = byte;
    for (int i = 0; i < count; i++)
        loop_store(&p, words, loop_at(i * LANES), result[i]);
    loop_store(&p, bytes, loop_at(0), byte);
    loop_store(&p, bytes, loop_at(BYTES), loop_math(&p, LOOP_MAX, x, y, -1, -1));
    loop_store(&p, bytes, loop_at(2 * BYTES), loop_math(&p, LOOP_MIN, flipped, y, -1, -1));
    if (lanes >= 4) {
        int row[4];
        for (int i = 0; i < 4; i++)
            row[i] = loop_load(&p, DT_QUAD, lanes / 4, from[i % 2], loop_at(i * lanes));
        loop_store(&p, bytes, loop_at(3 * BYTES), loop_quads(&p, row[0], row[1], row[2], row[3]));
        loop_store(&p, bytes, loop_at(4 * BYTES), loop_half(&p, x, 1));
    }
    loop_end(&p);
    return k;
}

static uint8_t byte_by_chance(rng *r)
{
    static const uint8_t ends[] = {0, 1, 127, 128, 255};
    return rng_below(r, 3) ? (uint8_t)rng_below(r, 256) : ends[rng_below(r, 5)];
}

/* Weights are no less than -127, as quantise makes them. */
static void fill(data *d, rng *r, int step)
{
    for (int i = 0; i < BYTES; i++) {
        d->a[i] = byte_by_chance(r);
        d->b[i] = byte_by_chance(r);
        int w = (int)byte_by_chance(r) - 128;
        d->w[i] = (int8_t)(w < -127 ? -127 : w);
    }
    for (int i = 0; i < LANES; i++) {
        d->shift[i] = (int32_t)rng_below(r, 24);
        d->sum[i] = (int32_t)rng_below(r, 1 << 30) - (1 << 29);
        d->sum[i] >>= rng_below(r, 24);
        d->multiplier[i] = (1 << 14) + (int32_t)rng_below(r, 1 << 14);
        d->zero[i] = (int32_t)rng_below(r, 256) * (1 << step) + (1 << (step - 1));
    }
}

/* As quantise.h has it, in real numbers: floor of a quotient. */
static int defined(const data *d, int lane, int step)
{
    int64_t down = (int64_t)1 << d->shift[lane], a = d->sum[lane], unit = (int64_t)1 << step;
    int64_t narrow = a >= 0 ? a / down : -((-a + down - 1) / down);
    narrow = narrow < -32768 ? -32768 : narrow > 32767 ? 32767 : narrow;
    int64_t scaled = narrow * d->multiplier[lane] + d->zero[lane];
    int64_t byte = scaled >= 0 ? scaled / unit : -1;
    return byte < 0 ? 0 : byte > 255 ? 255 : (int)byte;
}

static void compare(const target *t, int lanes, int step, rng *r)
{
    arena a = {0};
    nasc_diag d = {0};
    kernel *k = make_kernel(&a, lanes, step);
    text printed = {.arena = &a};
    loop_print(&printed, k);
    unsigned char key[16], again[16];
    loop_key(k, key);
    const kernel *read = loop_parse(&a, printed.at, "printed", &d);
    assert_non_null(read);
    loop_key(read, again);
    assert_memory_equal(key, again, sizeof key);
    if (!loop_verify(k, &d))
        fail_msg("%s: %s", d.where, d.message);
    kernel_fn *entry;
    cc_library *l = cc_open((const kernel *const[]){k}, 1, t, &entry, &d);
    if (!l)
        fail_msg("%s: %s", d.where, d.message);
    for (int round = 0; round < 50; round++) {
        data in;
        static int32_t words[2][WORDS];
        static uint8_t bytes[2][5 * BYTES];
        fill(&in, r, step);
        memset(words, 0, sizeof words);
        memset(bytes, 0, sizeof bytes);
        int64_t sizes[] = {BYTES, BYTES, BYTES, LANES, LANES, LANES, LANES, WORDS, 5 * BYTES};
        for (int engine = 0; engine < 2; engine++) {
            void *buffer[] = {in.a, in.b, in.w, in.sum, in.shift, in.multiplier, in.zero, words[engine], bytes[engine]};
            loop_call call = {buffer, sizes, 1, 0, 1, false};
            if (engine)
                entry(buffer, 1, 0, 1, NULL);
            else if (!loop_interpret(k, &call, &d))
                fail_msg("%s: %s", d.where, d.message);
        }
        if (memcmp(words[0], words[1], sizeof words[0]) != 0 || memcmp(bytes[0], bytes[1], sizeof bytes[0]) != 0)
            fail_msg("%s, %d lanes, step %d: results differ\n%s", t->name, lanes, step, printed.at);
        for (int i = 0; i < lanes; i++)
            assert_int_equal(bytes[0][i], defined(&in, i, step));
    }
    cc_close(l);
    arena_free(&a);
}

static bool runs_here(const target *t)
{
    target host = target_host_integers();
    return t->lanes == 1 ? !t->prelude
                         : t->place == ON_SYSTEM && t->machine && host.machine && !strcmp(t->machine, host.machine) &&
                               t->lanes <= host.lanes && (!t->dot || (host.dot && !strcmp(t->dot, host.dot)));
}

static void all_targets(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run();
    rng r = rng_open(seed, RNG_TEST, 0, 0);
    for (int i = 0; i < target_count; i++)
        for (int lanes = 1; lanes <= target_table[i].lanes && runs_here(&target_table[i]); lanes *= 2)
            compare(&target_table[i], lanes, 15 + (int)rng_below(&r, 7), &r);
}

/* What the interpreter and the verifier refuse. */
static const struct refusal {
    const char *text, *message;
} refusals[] = {
    {"kernel { arg 0 out i32\n parallel i1 {\n i32 r0 = const 2147483647\n i32 r1 = add r0, r0\n store a0[0] = r1\n "
     "}\n }",
     "does not fit"},
    {"kernel { arg 0 out u8\n parallel i1 {\n i32 r0 = const 256\n store a0[0] = r0\n }\n }", "cannot hold"},
    {"kernel { arg 0 out i32\n parallel i1 {\n i32 r0 = const 1\n i32 r1 = requant r0, r0, r0, r0, 14\n store a0[0] = "
     "r1\n "
     "}\n }",
     "expected 15 to 21"},
    {"kernel { arg 0 out i32\n parallel i1 {\n i32 r0 = const 40\n i32 r1 = requant r0, r0, r0, r0, 15\n store a0[0] = "
     "r1\n "
     "}\n }",
     "a shift of 40"},
    {"kernel { arg 0 out u8\n parallel i1 {\n quad r0 = const 1\n quad r1 = add r0, r0\n store a0[0] = r1\n }\n }",
     "have not this operation"},
    {"kernel { arg 0 out f32\n parallel i1 {\n i32 r0 = const 1\n store a0[0] = r0\n }\n }", "i32 in a buffer of f32"},
    {"kernel { arg 0 in u8\n arg 1 out i32\n parallel i1 {\n quad r0 = load a0[0]\n i32 r1 = const 0\n i32 r1 = dot4 "
     "r1, r0, "
     "r1\n store a1[0] = r1\n }\n }",
     "its types are not"},
    {"kernel { arg 0 in u8\n arg 1 out u8\n parallel i1 {\n quad r0 = load a0[0]\n quadx2 r1 = quads r0, r0, r0, r0\n "
     "store "
     "a1[0] = r1\n }\n }",
     "a quarter"},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        arena a = {0};
        nasc_diag d = {0};
        int32_t out[16];
        const kernel *k = loop_parse(&a, refusals[i].text, "text", &d);
        if (!k)
            fail_msg("%zu: %s: %s", i, d.where, d.message);
        loop_call call = {(void *[]){out, out}, (int64_t[]){16, 16}, 1, 0, 1, false};
        if (loop_verify(k, &d) && loop_interpret(k, &call, &d))
            fail_msg("not refused: %s", refusals[i].text);
        if (!strstr(d.message, refusals[i].message))
            fail_msg("%zu: '%s', expected '%s'", i, d.message, refusals[i].message);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_targets), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
