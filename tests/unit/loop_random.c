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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_valid_and_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
