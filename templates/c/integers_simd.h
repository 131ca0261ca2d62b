/* ---- whole numbers: vectors ---- */

typedef int32_t vi;
typedef uint32_t vq;

#define INTEGER_LOADS(N, F, TYPE)                                                                           \
    typedef TYPE v##N##F __attribute__((vector_size(N * 4)));                                               \
    SIMD v##N##F splat_##N##F(TYPE a)                                                                       \
    {                                                                                                       \
        return (v##N##F){LIST_##N(a)};                                                                      \
    }
#define INTEGERS(N, H)                                                                                      \
    typedef uint8_t v##N##_bytes __attribute__((vector_size(N)));                                           \
    typedef int8_t v##N##_signed_bytes __attribute__((vector_size(N)));                                     \
    typedef uint8_t v##N##q_bytes __attribute__((vector_size(N * 4)));                                      \
    INTEGER_LOADS(N, i, int32_t)                                                                            \
    INTEGER_LOADS(N, q, uint32_t)                                                                           \
    PARTS(N, i, H)                                                                                          \
    PARTS(N, q, H)                                                                                          \
    SIMD v##N##i load_##N##i(const int32_t *from)                                                           \
    {                                                                                                       \
        v##N##i a;                                                                                          \
        memcpy(&a, from, sizeof a);                                                                         \
        return a;                                                                                           \
    }                                                                                                       \
    SIMD v##N##i load_##N##i_u8(const uint8_t *from)                                                        \
    {                                                                                                       \
        v##N##_bytes a;                                                                                     \
        memcpy(&a, from, sizeof a);                                                                         \
        return __builtin_convertvector(a, v##N##i);                                                         \
    }                                                                                                       \
    SIMD v##N##i load_##N##i_i8(const int8_t *from)                                                         \
    {                                                                                                       \
        v##N##_signed_bytes a;                                                                              \
        memcpy(&a, from, sizeof a);                                                                         \
        return __builtin_convertvector(a, v##N##i);                                                         \
    }                                                                                                       \
    SIMD void store_##N##i_i32(int32_t *to, v##N##i a)                                                      \
    {                                                                                                       \
        memcpy(to, &a, sizeof a);                                                                           \
    }                                                                                                       \
    SIMD void store_##N##i_u8(uint8_t *to, v##N##i a)                                                       \
    {                                                                                                       \
        v##N##_bytes bytes = __builtin_convertvector(a, v##N##_bytes);                                      \
        memcpy(to, &bytes, sizeof bytes);                                                                   \
    }                                                                                                       \
    SIMD v##N##q load_##N##q_u8(const uint8_t *from)                                                        \
    {                                                                                                       \
        v##N##q a;                                                                                          \
        memcpy(&a, from, sizeof a);                                                                         \
        return a;                                                                                           \
    }                                                                                                       \
    SIMD v##N##q load_##N##q_i8(const int8_t *from)                                                         \
    {                                                                                                       \
        v##N##q a;                                                                                          \
        memcpy(&a, from, sizeof a);                                                                         \
        return a;                                                                                           \
    }                                                                                                       \
    SIMD void store_##N##q_u8(uint8_t *to, v##N##q a)                                                       \
    {                                                                                                       \
        memcpy(to, &a, sizeof a);                                                                           \
    }                                                                                                       \
    SIMD v##N##q flip_##N##q(v##N##q a)                                                                     \
    {                                                                                                       \
        return a ^ splat_##N##q(0x80808080u);                                                               \
    }                                                                                                       \
    SIMD v##N##q choose_##N##q(v##N##q_bytes mask, v##N##q a, v##N##q b)                                    \
    {                                                                                                       \
        return (a & (v##N##q)mask) | (b & ~(v##N##q)mask);                                                  \
    }                                                                                                       \
    SIMD v##N##q max_##N##q(v##N##q a, v##N##q b)                                                           \
    {                                                                                                       \
        return choose_##N##q((v##N##q_bytes)((v##N##q_bytes)a > (v##N##q_bytes)b), a, b);                   \
    }                                                                                                       \
    SIMD v##N##q min_##N##q(v##N##q a, v##N##q b)                                                           \
    {                                                                                                       \
        return choose_##N##q((v##N##q_bytes)((v##N##q_bytes)a < (v##N##q_bytes)b), a, b);                   \
    }
INTEGERS(2, )
INTEGERS(4, 2)
INTEGERS(8, 4)
INTEGERS(16, 8)

/* What the registers are too narrow for. */
#define INTEGER_PARTS(N, H)                                                                                 \
    SIMD v##N##i max_##N##i(v##N##i a, v##N##i b)                                                           \
    {                                                                                                       \
        return join_##N##i(max_##H##i(lower_##H##i(a), lower_##H##i(b)), max_##H##i(upper_##H##i(a), upper_##H##i(b)));\
    }                                                                                                       \
    SIMD v##N##i min_##N##i(v##N##i a, v##N##i b)                                                           \
    {                                                                                                       \
        return join_##N##i(min_##H##i(lower_##H##i(a), lower_##H##i(b)), min_##H##i(upper_##H##i(a), upper_##H##i(b)));\
    }                                                                                                       \
    SIMD v##N##i dot4_##N##i(v##N##q a, v##N##q b, v##N##i c)                                               \
    {                                                                                                       \
        v##H##i lower = dot4_##H##i(lower_##H##q(a), lower_##H##q(b), lower_##H##i(c));                     \
        return join_##N##i(lower, dot4_##H##i(upper_##H##q(a), upper_##H##q(b), upper_##H##i(c)));          \
    }                                                                                                       \
    SIMD v##N##i dots_##N##i(v##N##q a, v##N##q b, v##N##i c)                                               \
    {                                                                                                       \
        v##H##i lower = dots_##H##i(lower_##H##q(a), lower_##H##q(b), lower_##H##i(c));                     \
        return join_##N##i(lower, dots_##H##i(upper_##H##q(a), upper_##H##q(b), upper_##H##i(c)));          \
    }                                                                                                       \
    SIMD v##N##i narrow_times_##N##i(v##N##i a, v##N##i b)                                                  \
    {                                                                                                       \
        return a * b;                                                                                       \
    }

#if defined(SIMD_AVX2) || defined(SIMD_AVX512)
#define X86_INTEGERS(N, MM, SI)                                                                             \
    SIMD v##N##i max_##N##i(v##N##i a, v##N##i b)                                                           \
    {                                                                                                       \
        return (v##N##i)MM##_max_epi32((SI)a, (SI)b);                                                       \
    }                                                                                                       \
    SIMD v##N##i min_##N##i(v##N##i a, v##N##i b)                                                           \
    {                                                                                                       \
        return (v##N##i)MM##_min_epi32((SI)a, (SI)b);                                                       \
    }                                                                                                       \
    SIMD v##N##i narrow_times_##N##i(v##N##i a, v##N##i b) /* a of 16 bits, b of 15: its upper half is 0 */ \
    {                                                                                                       \
        return (v##N##i)MM##_madd_epi16((SI)a, (SI)b);                                                      \
    }                                                                                                       \
    SIMD v##N##i dot16_##N##i(SI even, SI odd, v##N##q b, v##N##i c) /* bytes as 16 bits */                 \
    {                                                                                                       \
        SI first = MM##_madd_epi16(even, MM##_srai_epi16(MM##_slli_epi16((SI)b, 8), 8));                    \
        return c + (v##N##i)first + (v##N##i)MM##_madd_epi16(odd, MM##_srai_epi16((SI)b, 8));               \
    }                                                                                                       \
    SIMD v##N##i dots_##N##i(v##N##q a, v##N##q b, v##N##i c)                                               \
    {                                                                                                       \
        SI even = MM##_srai_epi16(MM##_slli_epi16((SI)a, 8), 8);                                            \
        return dot16_##N##i(even, MM##_srai_epi16((SI)a, 8), b, c);                                         \
    }
#define X86_DOT(N, MM, SI)                                                                                  \
    SIMD v##N##i dot4_##N##i(v##N##q a, v##N##q b, v##N##i c)                                               \
    {                                                                                                       \
        SI even = MM##_srli_epi16(MM##_slli_epi16((SI)a, 8), 8);                                            \
        return dot16_##N##i(even, MM##_srli_epi16((SI)a, 8), b, c);                                         \
    }
#define X86_VNNI(N, MM, SI)                                                                                 \
    SIMD v##N##i dot4_##N##i(v##N##q a, v##N##q b, v##N##i c)                                               \
    {                                                                                                       \
        return (v##N##i)MM##_dpbusd_epi32((SI)c, (SI)a, (SI)b);                                             \
    }
#ifdef DOT_VNNI
#define X86_DOT4 X86_VNNI
#else
#define X86_DOT4 X86_DOT
#endif
INTEGER_PARTS(2, )
SIMD int32_t narrow_times_i(int32_t a, int32_t b)
{
    return a * b;
}
X86_INTEGERS(4, _mm, __m128i)
X86_DOT4(4, _mm, __m128i)
X86_INTEGERS(8, _mm256, __m256i)
X86_DOT4(8, _mm256, __m256i)
#ifdef SIMD_AVX512
X86_INTEGERS(16, _mm512, __m512i)
X86_DOT4(16, _mm512, __m512i)
#else
INTEGER_PARTS(16, 8)
#endif
#elif defined(SIMD_WASM)
INTEGER_PARTS(2, )
SIMD v4i max_4i(v4i a, v4i b)
{
    return (v4i)wasm_i32x4_max((v128_t)a, (v128_t)b);
}

SIMD v4i min_4i(v4i a, v4i b)
{
    return (v4i)wasm_i32x4_min((v128_t)a, (v128_t)b);
}

SIMD v4i narrow_times_4i(v4i a, v4i b)
{
    return a * b;
}

SIMD v4i dot16_4i(v128_t even, v128_t odd, v4q b, v4i c)
{
    v4i first = (v4i)wasm_i32x4_dot_i16x8(even, wasm_i16x8_shr(wasm_i16x8_shl((v128_t)b, 8), 8));
    return c + first + (v4i)wasm_i32x4_dot_i16x8(odd, wasm_i16x8_shr((v128_t)b, 8));
}

SIMD v4i dot4_4i(v4q a, v4q b, v4i c)
{
    v128_t even = wasm_u16x8_shr(wasm_i16x8_shl((v128_t)a, 8), 8);
    return dot16_4i(even, wasm_u16x8_shr((v128_t)a, 8), b, c);
}

SIMD v4i dots_4i(v4q a, v4q b, v4i c)
{
    v128_t even = wasm_i16x8_shr(wasm_i16x8_shl((v128_t)a, 8), 8);
    return dot16_4i(even, wasm_i16x8_shr((v128_t)a, 8), b, c);
}
INTEGER_PARTS(8, 4)
INTEGER_PARTS(16, 8)
#else
INTEGER_PARTS(2, )
SIMD v4i max_4i(v4i a, v4i b)
{
    return (v4i)vmaxq_s32((int32x4_t)a, (int32x4_t)b);
}

SIMD v4i min_4i(v4i a, v4i b)
{
    return (v4i)vminq_s32((int32x4_t)a, (int32x4_t)b);
}

SIMD v4i narrow_times_4i(v4i a, v4i b)
{
    return a * b;
}

/* A byte, signed or not, times a signed one fits 16 bits: weights are no less than -127. */
SIMD v4i dot16_4i(int16x8_t even, int16x8_t odd, v4q b, v4i c)
{
    int16x8_t first = vmulq_s16(even, vshrq_n_s16(vshlq_n_s16((int16x8_t)b, 8), 8));
    return (v4i)vpadalq_s16(vpadalq_s16((int32x4_t)c, first), vmulq_s16(odd, vshrq_n_s16((int16x8_t)b, 8)));
}

SIMD v4i dot4_4i(v4q a, v4q b, v4i c)
{
    int16x8_t even = (int16x8_t)vshrq_n_u16(vshlq_n_u16((uint16x8_t)a, 8), 8);
    return dot16_4i(even, (int16x8_t)vshrq_n_u16((uint16x8_t)a, 8), b, c);
}

SIMD v4i dots_4i(v4q a, v4q b, v4i c)
{
#ifdef DOT_NEON
    return (v4i)vdotq_s32((int32x4_t)c, (int8x16_t)a, (int8x16_t)b);
#else
    int16x8_t even = vshrq_n_s16(vshlq_n_s16((int16x8_t)a, 8), 8);
    return dot16_4i(even, vshrq_n_s16((int16x8_t)a, 8), b, c);
#endif
}
INTEGER_PARTS(8, 4)
INTEGER_PARTS(16, 8)
#endif

/* See requant_i. */
#define REQUANT(N)                                                                                          \
    SIMD v##N##i requant_##N##i(v##N##i a, v##N##i s, v##N##i m, v##N##i z, int step)                       \
    {                                                                                                       \
        v##N##i narrow = min_##N##i(max_##N##i(a >> s, splat_##N##i(-32768)), splat_##N##i(32767));         \
        v##N##i scaled = (narrow_times_##N##i(narrow, m) + z) >> splat_##N##i(step);                        \
        return min_##N##i(max_##N##i(scaled, splat_##N##i(0)), splat_##N##i(255));                          \
    }
REQUANT(2)
REQUANT(4)
REQUANT(8)
REQUANT(16)

/* Bytes l of four rows, side by side in lane l. */
SIMD v4q quads_4q(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    v4q rows = {a, b, c, d};
    v4q_bytes bytes = (v4q_bytes)rows;
#if defined(__clang__) || __GNUC__ >= 12
    return (v4q)__builtin_shufflevector(bytes, bytes, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#else
#error "vectors need gcc 12 or clang 14, or newer"
#endif
}

SIMD v8q quads_8q(v2q a, v2q b, v2q c, v2q d)
{
    return join_8q(quads_4q(a[0], b[0], c[0], d[0]), quads_4q(a[1], b[1], c[1], d[1]));
}

SIMD v16q quads_16q(v4q a, v4q b, v4q c, v4q d)
{
#ifdef SIMD_AVX512
    __m512i rows = _mm512_inserti32x4(_mm512_castsi128_si512((__m128i)a), (__m128i)b, 1);
    rows = _mm512_inserti32x4(_mm512_inserti32x4(rows, (__m128i)c, 2), (__m128i)d, 3);
    const __m512i words = (__m512i)(v16i){0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const v4q turn = {0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703};
    const __m512i bytes = _mm512_broadcast_i32x4((__m128i)turn);
    return (v16q)_mm512_shuffle_epi8(_mm512_permutexvar_epi32(words, rows), bytes);
#else
    v8q lower = quads_8q(lower_2q(a), lower_2q(b), lower_2q(c), lower_2q(d));
    return join_16q(lower, quads_8q(upper_2q(a), upper_2q(b), upper_2q(c), upper_2q(d)));
#endif
}
