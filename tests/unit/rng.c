/* Random numbers: Philox as published, streams that do not depend on each other, and distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "runtime/elementary.h"
#include "runtime/rng.h"

/* Random123's known answers for philox4x32-10: counter and key all ones, and digits of pi. */
static void philox_gives_the_published_words(void **state)
{
    (void)state;
    uint32_t bits[4];
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    rng_bits(UINT64_MAX, (enum rng_purpose)0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, bits);
    assert_memory_equal(bits, ones, sizeof bits);
    rng_bits(0x299f31d0a4093822u, (enum rng_purpose)0x03707344u, 0x13198a2eu, 0x85a308d3u, 0x243f6a88u, bits);
    assert_memory_equal(bits, pi, sizeof bits);
}

static void streams_are_addresses_not_histories(void **state)
{
    (void)state;
    uint32_t bits[4];
    rng r = rng_open(7, RNG_CROP, 3, 11);
    for (int i = 0; i < 9; i++)
        rng_word(&r);
    rng_bits(7, RNG_CROP, 3, 11, 2, bits);
    assert_int_equal(rng_word(&r), bits[1]);
    rng other[] = {rng_open(8, RNG_CROP, 3, 11), rng_open(7, RNG_FLIP, 3, 11), rng_open(7, RNG_CROP, 4, 11),
                   rng_open(7, RNG_CROP, 3, 12)};
    for (int i = 0; i < 4; i++) {
        rng same = rng_open(7, RNG_CROP, 3, 11);
        assert_true(rng_word(&other[i]) != rng_word(&same) || rng_word(&other[i]) != rng_word(&same));
    }
}

/* Pearson's statistic of `cells` equally likely outcomes lies within 5 deviations of its mean. */
static void assert_uniform(const int *counts, int cells, int draws)
{
    double expected = (double)draws / cells, sum = 0;
    for (int i = 0; i < cells; i++)
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    assert_true(fabs(sum - (cells - 1)) < 5 * sqrt(2.0 * (cells - 1)));
}

static void integers_are_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    const uint32_t limits[] = {2, 3, 10, 97, 256};
    for (int l = 0; l < 5; l++) {
        int counts[256] = {0};
        rng r = rng_open(1, RNG_TEST, 0, limits[l]);
        for (int i = 0; i < DRAWS; i++)
            counts[rng_below(&r, limits[l])]++;
        assert_uniform(counts, (int)limits[l], DRAWS);
    }
    /* k just above 2^31: nearly half of the words must be rejected, and thirds stay thirds. */
    int thirds[3] = {0};
    const uint32_t k = 0xc0000000u;
    rng r = rng_open(1, RNG_TEST, 1, 0);
    for (int i = 0; i < DRAWS; i++)
        thirds[rng_below(&r, k) / 0x40000000u]++;
    assert_uniform(thirds, 3, DRAWS);
}

static void units_and_normals_have_their_moments(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    double sum = 0, normal = 0, squares = 0, fourth = 0, reach = 0;
    rng r = rng_open(2, RNG_TEST, 0, 0);
    for (int i = 0; i < DRAWS; i++) {
        double u = rng_unit(&r), z = rng_normal(&r);
        float f = rng_unit_float(&r);
        assert_true(u >= 0 && u < 1 && f >= 0 && f < 1);
        sum += u + f;
        normal += z;
        squares += z * z;
        fourth += z * z * z * z;
        reach = fmax(reach, fabs(z));
    }
    assert_true(fabs(sum / DRAWS - 1) < 0.005);
    assert_true(fabs(normal / DRAWS) < 0.012 && fabs(squares / DRAWS - 1) < 0.016);
    assert_true(fabs(fourth / DRAWS - 3) < 0.12 && reach > 3.9 && reach < 9);
}

static void shuffles_reach_every_order(void **state)
{
    (void)state;
    int counts[24] = {0};
    for (uint32_t seed = 0; seed < 24000; seed++) {
        uint32_t at[4] = {0, 1, 2, 3};
        rng r = rng_open(seed, RNG_SHUFFLE, 0, 0);
        rng_shuffle(&r, at, 4);
        int rank = 0;
        for (int i = 0; i < 4; i++) {
            int smaller = 0;
            for (int j = i + 1; j < 4; j++)
                smaller += at[j] < at[i];
            rank = rank * (4 - i) + smaller;
        }
        counts[rank]++;
    }
    assert_uniform(counts, 24, 24000);
}

static void logarithm_and_cosine_are_right(void **state)
{
    (void)state;
    rng r = rng_open(3, RNG_TEST, 0, 0);
    for (int i = 0; i < 100000; i++) {
        double x = ldexp(1 + rng_unit(&r), (int)rng_below(&r, 120) - 60), turns = 8 * rng_unit(&r) - 4;
        assert_true(fabs(exact_log(x) - log(x)) <= 4e-16 * fabs(log(x)) + 1e-300);
        assert_true(fabs(exact_exp(x) - exp(x)) <= 6e-16 * exp(x) || x >= 700);
        assert_true(fabs(exact_cos_turns(turns) - (double)cosl(6.283185307179586476925286766559L * turns)) < 4e-16);
    }
    assert_true(exact_exp(0) == 1 && fabs(exact_exp(-3) / exp(-3) - 1) < 6e-16);
    assert_true(fabs(exact_power(2, 0.5) - sqrt(2)) < 1e-15 && exact_power(7, 0) == 1);
    assert_true(exact_log(1) == 0 && exact_cos_turns(0) == 1 && exact_cos_turns(0.5) == -1);
    assert_true(exact_cos_turns(0.25) == 0 && exact_cos_turns(-0.25) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_words),
        cmocka_unit_test(streams_are_addresses_not_histories),
        cmocka_unit_test(integers_are_uniform),
        cmocka_unit_test(units_and_normals_have_their_moments),
        cmocka_unit_test(shuffles_reach_every_order),
        cmocka_unit_test(logarithm_and_cosine_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
