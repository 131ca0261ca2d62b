/* ---- whole numbers: one lane; i is int32_t, q four bytes, the first the lowest ---- */

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

INLINE uint32_t load_q_u8(const uint8_t *from)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t a;
    memcpy(&a, from, sizeof a);
    return a;
#else
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
#endif
}

INLINE uint32_t load_q_i8(const int8_t *from)
{
    return load_q_u8((const uint8_t *)from);
}

INLINE void store_q_u8(uint8_t *to, uint32_t a)
{
    to[0] = (uint8_t)(a & 255);
    to[1] = (uint8_t)(a >> 8 & 255);
    to[2] = (uint8_t)(a >> 16 & 255);
    to[3] = (uint8_t)(a >> 24);
}

INLINE int32_t max_i(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

INLINE int32_t min_i(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Byte by byte, unsigned. */
INLINE uint32_t max_q(uint32_t a, uint32_t b)
{
    uint32_t most = 0;
    for (int at = 0; at < 32; at += 8)
        most |= ((a >> at & 255) > (b >> at & 255) ? a >> at & 255 : b >> at & 255) << at;
    return most;
}

INLINE uint32_t min_q(uint32_t a, uint32_t b)
{
    return ~max_q(~a, ~b);
}

INLINE uint32_t flip_q(uint32_t a)
{
    return a ^ 0x80808080u;
}

INLINE int32_t byte_i(uint32_t a, int at)
{
    return (int32_t)(a >> 8 * at & 255);
}

INLINE int32_t signed_byte_i(uint32_t a, int at)
{
    return (byte_i(a, at) ^ 128) - 128;
}

/* c + the bytes of a, unsigned (in dots: signed), times those of b, signed. */
INLINE int32_t dot4_i(uint32_t a, uint32_t b, int32_t c)
{
#if defined(__ARM_FEATURE_DSP) /* bytes widened to 16 bits; smlad does not saturate */
    c = __smlad((int16x2_t)__uxtb16((uint8x4_t)a), __sxtb16((int8x4_t)b), c);
    return __smlad((int16x2_t)__uxtb16((uint8x4_t)(a >> 8)), __sxtb16((int8x4_t)(b >> 8)), c);
#else
    return c + byte_i(a, 0) * signed_byte_i(b, 0) + byte_i(a, 1) * signed_byte_i(b, 1) +
           byte_i(a, 2) * signed_byte_i(b, 2) + byte_i(a, 3) * signed_byte_i(b, 3);
#endif
}

INLINE int32_t dots_i(uint32_t a, uint32_t b, int32_t c)
{
    return c + signed_byte_i(a, 0) * signed_byte_i(b, 0) + signed_byte_i(a, 1) * signed_byte_i(b, 1) +
           signed_byte_i(a, 2) * signed_byte_i(b, 2) + signed_byte_i(a, 3) * signed_byte_i(b, 3);
}

/* Rounds down. */
INLINE int32_t shift_down(int32_t a, int32_t by)
{
    return a >= 0 ? a >> by : ~(~a >> by);
}

/* A sum to the scale of what it becomes: shifted to 16 bits, times a multiplier of 15, shifted to 8. What rounds to
 * nearest, 2^(s - 1) and 2^(step - 1), is in a and z already. */
INLINE int32_t requant_i(int32_t a, int32_t s, int32_t m, int32_t z, int step)
{
    int32_t narrow = min_i(max_i(shift_down(a, s), -32768), 32767);
    return min_i(max_i(shift_down(narrow * m + z, step), 0), 255);
}
