/* Random kernels: the verifier accepts them, the text form keeps them, the interpreter runs them to finite values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include "random_kernel.h"

static uint64_t first_seed(void)
{
    const char *given = getenv("NASC_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
    print_message("NASC_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static random_options options(uint64_t seed)
{
    return (random_options){
        .lanes = 1 << seed % 5, .fma = seed & 1, .expand = seed & 2, .narrow = seed & 4, .wide = seed & 8};
}

static void are_valid_and_finite(void **state)
{
    (void)state;
    uint64_t seed = first_seed();
    for (int i = 0; i < 300; i++, seed++) {
        arena a = {0};
        random_kernel r = random_kernel_make(&a, seed, options(seed));
        nasc_diag d = {0};
        if (!loop_verify(r.k, &d))
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
        void **buffer = random_kernel_buffers(&a, &r, seed, true);
        loop_call call = {.buffer = buffer, .sizes = r.sizes, .n = r.n, .end = r.units, .wide = true};
        if (!loop_interpret(r.k, &call, &d))
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
        for (int64_t e = 0; e < r.sizes[1]; e++)
            assert_true(fabs(((double *)buffer[1])[e]) < 4.5);
        arena_free(&a);
    }
}

static void text_keeps_every_field(void **state)
{
    (void)state;
    uint64_t seed = first_seed();
    for (int i = 0; i < 300; i++, seed++) {
        arena a = {0};
        random_kernel r = random_kernel_make(&a, seed, options(seed));
        kernel *k = i % 2 ? loop_expand_math(&a, r.k, seed & 1) : r.k;
        loop_reg unused = {DT_F64, 4};
        VEC_PUSH(&a, &k->regs, unused);
        k->ints += i % 3;
        text t = {.arena = &a};
        loop_print(&t, k);
        nasc_diag d = {0};
        kernel *back = loop_parse(&a, t.at, "random.loop", &d);
        if (!back)
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
        unsigned char key[2][16];
        loop_key(k, key[0]);
        loop_key(back, key[1]);
        if (memcmp(key[0], key[1], 16))
            fail_msg("seed %llu: the text is another kernel", (unsigned long long)seed);
        arena_free(&a);
    }
}

/* Damaged text is refused with a place, or it is a kernel that the verifier judges; nothing reads out of bounds. */
static void damaged_text_is_judged(void **state)
{
    (void)state;
    uint64_t seed = first_seed();
    int parsed = 0, valid = 0;
    for (int i = 0; i < 1000; i++, seed++) {
        arena a = {0};
        random_kernel r = random_kernel_make(&a, seed, options(seed));
        text t = {.arena = &a};
        loop_print(&t, r.k);
        uint64_t where = seed;
        for (int64_t edits = random_between(&where, 1, 3); edits > 0; edits--) {
            char *from = t.at + random_between(&where, 0, (int64_t)t.length - 1);
            char *to = t.at + random_between(&where, 0, (int64_t)t.length - 1);
            static const char characters[] = "0123456789irasn{}[]*+-=,<fx \n";
            if (random_between(&where, 0, 1))
                *to = characters[random_between(&where, 0, (int64_t)sizeof characters - 2)];
            else
                memmove(to, from, (size_t)random_between(&where, 0, t.at + t.length - (to > from ? to : from)) % 20);
        }
        nasc_diag d = {0};
        kernel *k = loop_parse(&a, t.at, "damaged.loop", &d);
        parsed += k != NULL;
        valid += k && loop_verify(k, &d);
        assert_true(k || !strncmp(d.where, "damaged.loop:", 13));
        arena_free(&a);
    }
    print_message("%d of 1000 parsed, %d valid\n", parsed, valid);
}

/* Expanded, in float32, against the float64 run that calls libm. Floor, exponent and comparisons may fall the other way:
 * in most kernels that is so for few values, in one of some thousands for most of them. */
static void expansion_changes_little(void **state)
{
    (void)state;
    enum { KERNELS_OFF_MOST = 1 };
    uint64_t seed = first_seed();
    int kernels_off = 0;
    for (int i = 0; i < 200; i++, seed++) {
        arena a = {0};
        random_kernel r = random_kernel_make(&a, seed, (random_options){.lanes = 16, .fma = true, .expand = true});
        const kernel *expanded = loop_expand_math(&a, r.k, true);
        nasc_diag d = {0};
        if (!loop_verify(expanded, &d))
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, d.where, d.message);
        void **exact = random_kernel_buffers(&a, &r, seed, true), **single = random_kernel_buffers(&a, &r, seed, false);
        loop_call call = {.buffer = exact, .sizes = r.sizes, .n = r.n, .end = r.units, .wide = true};
        assert_true(loop_interpret(r.k, &call, &d));
        call.buffer = single;
        call.wide = false;
        assert_true(loop_interpret(expanded, &call, &d));
        int off = 0;
        for (int64_t e = 0; e < r.sizes[1]; e++)
            off += fabs(((double *)exact[1])[e] - (double)((float *)single[1])[e]) > 1e-4;
        if (off > r.sizes[1] / 2) {
            print_message("seed %llu: %d of %d values differ\n", (unsigned long long)seed, off, (int)r.sizes[1]);
            kernels_off++;
        }
        arena_free(&a);
    }
    assert_in_range(kernels_off, 0, KERNELS_OFF_MOST);
}

/* Every field that compilation sees changes the key; the name does not. */
static void key_sees_every_field(void **state)
{
    (void)state;
    arena a = {0};
    random_kernel r = random_kernel_make(&a, 7, options(15));
    kernel *k = r.k;
    unsigned char base[16], key[16];
    loop_key(k, base);
    loop_ins *ins = &k->ins.at[k->ins.count / 2];
    int32_t *fields[] = {&ins->op,
                         &ins->dst,
                         &ins->src[0],
                         &ins->src[3],
                         &ins->match,
                         &ins->step,
                         &ins->place.buffer,
                         &k->regs.at[3].lanes,
                         &k->regs.at[3].dtype,
                         &k->args.at[0].access,
                         &k->args.at[1].dtype,
                         &k->ints};
    for (int i = 0; i < (int)COUNT(fields); i++) {
        ++*fields[i];
        loop_key(k, key);
        assert_memory_not_equal(key, base, 16);
        --*fields[i];
    }
    int64_t *bases[] = {&ins->lo.base, &ins->hi.base, &ins->place.index.base};
    for (int i = 0; i < (int)COUNT(bases); i++) {
        ++*bases[i];
        loop_key(k, key);
        assert_memory_not_equal(key, base, 16);
        --*bases[i];
    }
    ins->value += 1;
    loop_key(k, key);
    assert_memory_not_equal(key, base, 16);
    ins->value -= 1;
    strcpy(k->name, "another");
    loop_key(k, key);
    assert_memory_equal(key, base, 16);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_valid_and_finite),     cmocka_unit_test(text_keeps_every_field),
        cmocka_unit_test(expansion_changes_little), cmocka_unit_test(damaged_text_is_judged),
        cmocka_unit_test(key_sees_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
