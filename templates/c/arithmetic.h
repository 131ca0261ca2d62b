/* Operations on integers and on one lane, in C and in CUDA. */
INLINE integer int_min(integer a, integer b)
{
    return a < b ? a : b;
}

INLINE integer int_max(integer a, integer b)
{
    return a > b ? a : b;
}

/* Rounds down; b > 0. */
INLINE integer int_div(integer a, integer b)
{
    return a / b - (a % b < 0);
}

INLINE integer int_mod(integer a, integer b)
{
    return a % b < 0 ? a % b + b : a % b;
}

INLINE uint32_t bits_f(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

INLINE float from_bits_f(uint32_t bits)
{
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

INLINE uint64_t bits_d(double a)
{
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

INLINE double from_bits_d(uint64_t bits)
{
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* max(a, b) is b where a > b does not hold, NaN and zeros included. */
INLINE float max_f(float a, float b)
{
    return a > b ? a : b;
}

INLINE double max_d(double a, double b)
{
    return a > b ? a : b;
}

INLINE float min_f(float a, float b)
{
    return a < b ? a : b;
}

INLINE double min_d(double a, double b)
{
    return a < b ? a : b;
}

INLINE float select_lt_f(float a, float b, float c, float d)
{
    return a < b ? c : d;
}

INLINE double select_lt_d(double a, double b, double c, double d)
{
    return a < b ? c : d;
}

INLINE float select_eq_f(float a, float b, float c, float d)
{
    return a == b ? c : d;
}

INLINE double select_eq_d(double a, double b, double c, double d)
{
    return a == b ? c : d;
}

/* 2^a for an integral a: adding 1.5 * 2^23 (2^52) leaves the integer in the low bits, the bias makes it an exponent. */
INLINE float pow2_f(float a)
{
    return from_bits_f(bits_f(a + (12582912.0f + 127.0f)) << 23);
}

INLINE double pow2_d(double a)
{
    return from_bits_d(bits_d(a + (6755399441055744.0 + 1023.0)) << 52);
}

/* a = mantissa * 2^exponent, 1 <= mantissa < 2; a normal and positive. */
INLINE float exponent_f(float a)
{
    return from_bits_f(bits_f(a) >> 23 | 0x4b000000u) - (8388608.0f + 127.0f);
}

INLINE double exponent_d(double a)
{
    return from_bits_d(bits_d(a) >> 52 | 0x4330000000000000u) - (4503599627370496.0 + 1023.0);
}

INLINE float mantissa_f(float a)
{
    return from_bits_f((bits_f(a) & 0x007fffffu) | 0x3f800000u);
}

INLINE double mantissa_d(double a)
{
    return from_bits_d((bits_d(a) & 0x000fffffffffffffu) | 0x3ff0000000000000u);
}

INLINE float from_bf16(uint16_t a)
{
    return from_bits_f((uint32_t)a << 16);
}

/* To nearest even; a NaN stays one. */
INLINE uint16_t to_bf16(float a)
{
    uint32_t bits = bits_f(a);
    if (a != a)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
