/* One lane, no library; strict C11 where the target has no fused multiply-add. */
#define KERNEL static
#ifdef ARM_FPU
#if !defined(__ARM_FEATURE_FMA) || !(__ARM_FP & 4)
#error "this needs a floating-point unit with fused multiply-add: e.g. -mcpu=cortex-m7 -mfloat-abi=hard"
#endif

INLINE float fma_f(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}
#endif

/* Digit by digit, and so exactly rounded: sqrt needs two bits of the operand for one of the result. */
INLINE double sqrt_d(double a)
{
    if (!(a > 0.0) || a - a != 0.0) /* zeros, NaN, infinity, negative numbers */
        return a == 0.0 || a > 0.0 ? a : NAN;
    int scale = 0;
    for (; a < 2.2250738585072014e-308; a *= 4503599627370496.0)
        scale -= 26;
    uint64_t bits = bits_d(a), rest = (bits & 0x000fffffffffffffu) | 0x0010000000000000u, root = 0, sum = 0;
    int exponent = (int)(bits >> 52) - 1023;
    if (exponent & 1)
        rest *= 2;
    exponent = (exponent - (exponent & 1)) / 2 + scale;
    rest *= 2;
    for (uint64_t digit = 0x0020000000000000u; digit; digit /= 2, rest *= 2) {
        if (sum + digit > rest)
            continue;
        sum += 2 * digit;
        rest -= sum - digit;
        root += digit;
    }
    root = root / 2 + (rest ? root & 1 : 0);
    return from_bits_d(root + ((uint64_t)(exponent + 1022) << 52));
}

/* The double's root has more than twice the bits of a float: rounding it again rounds the exact root. */
INLINE float sqrt_f(float a)
{
    return (float)sqrt_d((double)a);
}

/* From 2^23 (2^52) on every value is whole. A whole value is returned as it is, -0 too. */
INLINE float floor_f(float a)
{
    if (!(a < 8388608.0f && a > -8388608.0f))
        return a;
    float whole = (float)(int32_t)a;
    return whole == a ? a : whole > a ? whole - 1.0f : whole;
}

INLINE double floor_d(double a)
{
    if (!(a < 4503599627370496.0 && a > -4503599627370496.0))
        return a;
    double whole = (double)(int64_t)a;
    return whole == a ? a : whole > a ? whole - 1.0 : whole;
}
