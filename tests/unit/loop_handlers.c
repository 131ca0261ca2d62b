/* The interpreter's plain handlers and those for AVX2 with FMA give the same bits for any bits: on a machine without
 * FMA, libm rounds once too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include "loop/interp.h"
#include "random_kernel.h"

#if defined(__x86_64__)
enum { LANES = LOOP_LANES_MAX, ROUNDS = 2000 };

/* Mostly ordinary numbers near each other (so that fma cancels), sometimes any bits. */
static void fill(uint64_t *seed, int bytes, void *to)
{
    for (int l = 0; l < LANES; l++) {
        uint64_t bits = random_bits(seed);
        double x = ldexp((double)random_between(seed, -(1 << 24), 1 << 24), (int)random_between(seed, -30, -18));
        float y = (float)x;
        bool ordinary = random_between(seed, 0, 7) > 0;
        memcpy((char *)to + l * bytes, !ordinary ? (void *)&bits : bytes == 8 ? (void *)&x : (void *)&y, (size_t)bytes);
    }
}

static bool same(const char *a, const char *b, int bytes)
{
    double x, y;
    float xf, yf;
    memcpy(&xf, a, 4);
    memcpy(&yf, b, 4);
    memcpy(&x, a, (size_t)bytes);
    memcpy(&y, b, (size_t)bytes);
    bool nans = bytes == 8 ? isnan(x) && isnan(y) : isnan(xf) && isnan(yf);
    return nans || !memcmp(a, b, (size_t)bytes);
}

static void compare(const handler_row *base, const handler_row *avx2, int bytes)
{
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    _Alignas(64) char regs[2][5 * LANES * 8];
    code c = {.dst = 4 * LANES * 8, .src = {0, LANES * 8, 2 * LANES * 8, 3 * LANES * 8}};
    for (int round = 0; round < ROUNDS; round++)
        for (int op = LOOP_MOVE; op <= LOOP_MANTISSA; op++)
            for (int w = 0; w < INTERP_WIDTHS; w++) {
                for (int r = 0; r < 4; r++)
                    fill(&seed, bytes, regs[0] + r * LANES * 8);
                memcpy(regs[1], regs[0], sizeof regs[0]);
                base[op][w](&(interp){.regs = regs[0]}, &c);
                avx2[op][w](&(interp){.regs = regs[1]}, &c);
                for (int l = 0; l < 1 << w; l++)
                    if (!same(regs[0] + c.dst + l * bytes, regs[1] + c.dst + l * bytes, bytes))
                        fail_msg("%s x%d differs in lane %d", loop_op_info[op].text, 1 << w, l);
            }
}

static void plain_and_avx2_agree(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        skip();
    compare(interp_f32_base, interp_f32_avx2, 4);
    compare(interp_f64_base, interp_f64_avx2, 8);
}
#endif

int main(void)
{
#if defined(__x86_64__)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_avx2_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    return 0;
#endif
}
