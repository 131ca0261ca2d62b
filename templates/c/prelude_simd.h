/* Vectors of 2 to 16 lanes: GNU vector extensions, and intrinsics where C has no operator. Functions carry the target's
 * attribute: no -m flag is needed. What the machine's registers are too narrow for is done by halves. */
#ifndef __GNUC__
#error "vectors need gcc 12 or clang 14, or newer"
#endif
#pragma GCC diagnostic ignored "-Wpsabi" /* wide vectors are passed between inlined functions alone */
#if defined(SIMD_AVX512)
#include <immintrin.h>
#ifdef DOT_VNNI
#define DOT ",avx512vnni"
#else
#define DOT ""
#endif
#ifdef __clang__ /* keeps vectors of 512 bits whole unless told otherwise */
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw" DOT)))
#else
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512" DOT)))
#endif
#elif defined(SIMD_AVX2)
#include <immintrin.h>
#define TARGET __attribute__((target("avx2,fma")))
#elif defined(SIMD_WASM)
#include <wasm_simd128.h>
#define TARGET __attribute__((target("simd128")))
#else
#include <arm_neon.h>
#ifdef DOT_NEON
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#else
#define TARGET
#endif
#endif
#define KERNEL static TARGET
#define SIMD static inline __attribute__((unused, always_inline)) TARGET
#define LIST_2(a) a, a
#define LIST_4(a) LIST_2(a), LIST_2(a)
#define LIST_8(a) LIST_4(a), LIST_4(a)
#define LIST_16(a) LIST_8(a), LIST_8(a)

/* Names are made of N lanes and the letter F of their type, f or d; half of two lanes is one, written without a number. */
typedef float vf;
typedef double vd;

/* The halves of a vector, of floats or of integers. */
#define PARTS(N, F, H)                                                                                      \
    SIMD v##H##F lower_##H##F(v##N##F a)                                                                    \
    {                                                                                                       \
        v##H##F half;                                                                                       \
        memcpy(&half, &a, sizeof half);                                                                     \
        return half;                                                                                        \
    }                                                                                                       \
    SIMD v##H##F upper_##H##F(v##N##F a)                                                                    \
    {                                                                                                       \
        v##H##F half;                                                                                       \
        memcpy(&half, (const char *)&a + sizeof half, sizeof half);                                         \
        return half;                                                                                        \
    }                                                                                                       \
    SIMD v##N##F join_##N##F(v##H##F lower, v##H##F upper)                                                  \
    {                                                                                                       \
        v##N##F a;                                                                                          \
        memcpy(&a, &lower, sizeof lower);                                                                   \
        memcpy((char *)&a + sizeof lower, &upper, sizeof upper);                                            \
        return a;                                                                                           \
    }

/* A vector type, with what needs no intrinsic. */
#define VECTOR(N, F, FLOAT, INT, UINT, H)                                                                   \
    typedef FLOAT v##N##F __attribute__((vector_size(N * sizeof(FLOAT))));                                  \
    typedef INT v##N##F##_mask __attribute__((vector_size(N * sizeof(FLOAT))));                             \
    typedef UINT v##N##F##_bits __attribute__((vector_size(N * sizeof(FLOAT))));                            \
    SIMD v##N##F load_##N##F(const FLOAT *from)                                                             \
    {                                                                                                       \
        v##N##F a;                                                                                          \
        memcpy(&a, from, sizeof a);                                                                         \
        return a;                                                                                           \
    }                                                                                                       \
    SIMD void store_##N##F(FLOAT *to, v##N##F a)                                                            \
    {                                                                                                       \
        memcpy(to, &a, sizeof a);                                                                           \
    }                                                                                                       \
    SIMD v##N##F splat_##N##F(FLOAT a)                                                                      \
    {                                                                                                       \
        return (v##N##F){LIST_##N(a)};                                                                      \
    }                                                                                                       \
    PARTS(N, F, H)                                                                                          \
    SIMD v##N##F choose_##N##F(v##N##F##_mask mask, v##N##F c, v##N##F d)                                   \
    {                                                                                                       \
        return (v##N##F)((mask & (v##N##F##_mask)c) | (~mask & (v##N##F##_mask)d));                         \
    }                                                                                                       \
    SIMD v##N##F select_lt_##N##F(v##N##F a, v##N##F b, v##N##F c, v##N##F d)                               \
    {                                                                                                       \
        return choose_##N##F(a < b, c, d);                                                                  \
    }                                                                                                       \
    SIMD v##N##F select_eq_##N##F(v##N##F a, v##N##F b, v##N##F c, v##N##F d)                               \
    {                                                                                                       \
        return choose_##N##F(a == b, c, d);                                                                 \
    }

/* Powers of two by bits, as the one-lane functions above. */
#define BITWISE(N, F, FLOAT, SHIFT, BIAS, WHOLE, FRACTION)                                                  \
    SIMD v##N##F pow2_##N##F(v##N##F a)                                                                     \
    {                                                                                                       \
        return (v##N##F)((v##N##F##_bits)(a + splat_##N##F((FLOAT)(1.5 * WHOLE + BIAS))) << SHIFT);         \
    }                                                                                                       \
    SIMD v##N##F exponent_##N##F(v##N##F a)                                                                 \
    {                                                                                                       \
        v##N##F##_bits exponent = (v##N##F##_bits)a >> SHIFT;                                               \
        return (v##N##F)(exponent | (v##N##F##_bits)splat_##N##F((FLOAT)WHOLE)) - splat_##N##F((FLOAT)(WHOLE + BIAS));\
    }                                                                                                       \
    SIMD v##N##F mantissa_##N##F(v##N##F a)                                                                 \
    {                                                                                                       \
        return (v##N##F)(((v##N##F##_bits)a & FRACTION) | (v##N##F##_bits)splat_##N##F((FLOAT)1));          \
    }

SIMD uint16_t to_bf16_d(double a)
{
    return to_bf16((float)a);
}

/* Other types in memory. */
#define ELEMENTS(N, F, FLOAT, NAME, ELEMENT, LOADED, STORED)                                                \
    SIMD v##N##F load_##N##F##_##NAME(const ELEMENT *from)                                                  \
    {                                                                                                       \
        v##N##F a = {0};                                                                                    \
        for (int lane = 0; lane < N; lane++)                                                                \
            a[lane] = (FLOAT)LOADED(from[lane]);                                                            \
        return a;                                                                                           \
    }                                                                                                       \
    SIMD void store_##N##F##_##NAME(ELEMENT *to, v##N##F a)                                                 \
    {                                                                                                       \
        for (int lane = 0; lane < N; lane++)                                                                \
            to[lane] = STORED(a[lane]);                                                                     \
    }

#define WIDTH(N, H)                                                                                         \
    VECTOR(N, f, float, int32_t, uint32_t, H)                                                               \
    VECTOR(N, d, double, int64_t, uint64_t, H)                                                              \
    BITWISE(N, f, float, 23, 127, 8388608.0, 0x007fffffu)                                                   \
    BITWISE(N, d, double, 52, 1023, 4503599627370496.0, 0x000fffffffffffffu)                                \
    ELEMENTS(N, f, float, i8, int8_t, (float), (int8_t))                                                    \
    ELEMENTS(N, d, double, i8, int8_t, (double), (int8_t))                                                  \
    ELEMENTS(N, f, float, u8, uint8_t, (float), (uint8_t))                                                  \
    ELEMENTS(N, f, float, i32, int32_t, (float), (int32_t))                                                 \
    ELEMENTS(N, d, double, i32, int32_t, (double), (int32_t))                                               \
    ELEMENTS(N, f, float, bf16, uint16_t, from_bf16, to_bf16)                                               \
    ELEMENTS(N, d, double, bf16, uint16_t, from_bf16, to_bf16_d)                                            \
    SIMD v##N##f to_##N##f(v##N##d a)                                                                       \
    {                                                                                                       \
        return __builtin_convertvector(a, v##N##f);                                                         \
    }                                                                                                       \
    SIMD v##N##d to_##N##d(v##N##f a)                                                                       \
    {                                                                                                       \
        return __builtin_convertvector(a, v##N##d);                                                         \
    }
WIDTH(2, )
WIDTH(4, 2)
WIDTH(8, 4)
WIDTH(16, 8)

/* Operations that the registers are too narrow for. */
#define HALVES_1(op, N, F, H)                                                                               \
    SIMD v##N##F op##_##N##F(v##N##F a)                                                                     \
    {                                                                                                       \
        return join_##N##F(op##_##H##F(lower_##H##F(a)), op##_##H##F(upper_##H##F(a)));                     \
    }
#define HALVES_2(op, N, F, H)                                                                               \
    SIMD v##N##F op##_##N##F(v##N##F a, v##N##F b)                                                          \
    {                                                                                                       \
        v##H##F lower = op##_##H##F(lower_##H##F(a), lower_##H##F(b));                                      \
        return join_##N##F(lower, op##_##H##F(upper_##H##F(a), upper_##H##F(b)));                           \
    }
#ifdef SIMD_WASM
#define HALVES_FMA(N, F, H)
#else
SIMD float fma_f(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

SIMD double fma_d(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}

#define HALVES_FMA(N, F, H)                                                                                 \
    SIMD v##N##F fma_##N##F(v##N##F a, v##N##F b, v##N##F c)                                                \
    {                                                                                                       \
        v##H##F lower = fma_##H##F(lower_##H##F(a), lower_##H##F(b), lower_##H##F(c));                      \
        return join_##N##F(lower, fma_##H##F(upper_##H##F(a), upper_##H##F(b), upper_##H##F(c)));           \
    }
#endif

#define HALVES(N, F, H)                                                                                     \
    HALVES_2(max, N, F, H)                                                                                  \
    HALVES_2(min, N, F, H)                                                                                  \
    HALVES_1(sqrt, N, F, H)                                                                                 \
    HALVES_1(floor, N, F, H)                                                                                \
    HALVES_FMA(N, F, H)

#if defined(SIMD_AVX2) || defined(SIMD_AVX512)
SIMD float sqrt_f(float a)
{
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a)));
}

SIMD double sqrt_d(double a)
{
    return _mm_cvtsd_f64(_mm_sqrt_pd(_mm_set1_pd(a)));
}

SIMD float floor_f(float a)
{
    return _mm_cvtss_f32(_mm_floor_ps(_mm_set_ss(a)));
}

SIMD double floor_d(double a)
{
    return _mm_cvtsd_f64(_mm_floor_pd(_mm_set1_pd(a)));
}

/* maxps returns its second operand where a > b does not hold: max_f's meaning. */
#define X86(N, F, MM, TYPE)                                                                                 \
    SIMD v##N##F max_##N##F(v##N##F a, v##N##F b)                                                           \
    {                                                                                                       \
        return MM##_max_##TYPE(a, b);                                                                       \
    }                                                                                                       \
    SIMD v##N##F min_##N##F(v##N##F a, v##N##F b)                                                           \
    {                                                                                                       \
        return MM##_min_##TYPE(a, b);                                                                       \
    }                                                                                                       \
    SIMD v##N##F fma_##N##F(v##N##F a, v##N##F b, v##N##F c)                                                \
    {                                                                                                       \
        return MM##_fmadd_##TYPE(a, b, c);                                                                  \
    }                                                                                                       \
    SIMD v##N##F sqrt_##N##F(v##N##F a)                                                                     \
    {                                                                                                       \
        return MM##_sqrt_##TYPE(a);                                                                         \
    }                                                                                                       \
    SIMD v##N##F floor_##N##F(v##N##F a)                                                                    \
    {                                                                                                       \
        return MM##_floor_##TYPE(a);                                                                        \
    }
HALVES(2, f, )
X86(2, d, _mm, pd)
X86(4, f, _mm, ps)
X86(4, d, _mm256, pd)
X86(8, f, _mm256, ps)
#ifdef SIMD_AVX512
X86(8, d, _mm512, pd)
X86(16, f, _mm512, ps)
#else
HALVES(8, d, 4)
HALVES(16, f, 8)
#endif
HALVES(16, d, 8)
#elif defined(SIMD_WASM)
SIMD float sqrt_f(float a)
{
    return wasm_f32x4_extract_lane(wasm_f32x4_sqrt(wasm_f32x4_splat(a)), 0);
}

SIMD double sqrt_d(double a)
{
    return wasm_f64x2_extract_lane(wasm_f64x2_sqrt(wasm_f64x2_splat(a)), 0);
}

SIMD float floor_f(float a)
{
    return wasm_f32x4_extract_lane(wasm_f32x4_floor(wasm_f32x4_splat(a)), 0);
}

SIMD double floor_d(double a)
{
    return wasm_f64x2_extract_lane(wasm_f64x2_floor(wasm_f64x2_splat(a)), 0);
}

/* pmax(a, b) is a < b ? b : a, and pmin(a, b) is b < a ? b : a: max_f and min_f with the operands exchanged. */
#define WASM(N, F, SHAPE)                                                                                   \
    SIMD v##N##F max_##N##F(v##N##F a, v##N##F b)                                                           \
    {                                                                                                       \
        return (v##N##F)wasm_##SHAPE##_pmax((v128_t)b, (v128_t)a);                                          \
    }                                                                                                       \
    SIMD v##N##F min_##N##F(v##N##F a, v##N##F b)                                                           \
    {                                                                                                       \
        return (v##N##F)wasm_##SHAPE##_pmin((v128_t)b, (v128_t)a);                                          \
    }                                                                                                       \
    SIMD v##N##F sqrt_##N##F(v##N##F a)                                                                     \
    {                                                                                                       \
        return (v##N##F)wasm_##SHAPE##_sqrt((v128_t)a);                                                     \
    }                                                                                                       \
    SIMD v##N##F floor_##N##F(v##N##F a)                                                                    \
    {                                                                                                       \
        return (v##N##F)wasm_##SHAPE##_floor((v128_t)a);                                                    \
    }
HALVES(2, f, )
WASM(2, d, f64x2)
WASM(4, f, f32x4)
HALVES(4, d, 2)
HALVES(8, f, 4)
HALVES(8, d, 4)
HALVES(16, f, 8)
HALVES(16, d, 8)
#else
SIMD float sqrt_f(float a)
{
    return vget_lane_f32(vsqrt_f32(vdup_n_f32(a)), 0);
}

SIMD double sqrt_d(double a)
{
    return vget_lane_f64(vsqrt_f64(vdup_n_f64(a)), 0);
}

SIMD float floor_f(float a)
{
    return vget_lane_f32(vrndm_f32(vdup_n_f32(a)), 0);
}

SIMD double floor_d(double a)
{
    return vget_lane_f64(vrndm_f64(vdup_n_f64(a)), 0);
}

/* fmax differs from max_f on zeros and NaN: compare and choose. */
#define NEON(N, F, FMA, SQRT, FLOOR)                                                                        \
    SIMD v##N##F max_##N##F(v##N##F a, v##N##F b)                                                           \
    {                                                                                                       \
        return choose_##N##F(a > b, a, b);                                                                  \
    }                                                                                                       \
    SIMD v##N##F min_##N##F(v##N##F a, v##N##F b)                                                           \
    {                                                                                                       \
        return choose_##N##F(a < b, a, b);                                                                  \
    }                                                                                                       \
    SIMD v##N##F fma_##N##F(v##N##F a, v##N##F b, v##N##F c)                                                \
    {                                                                                                       \
        return (v##N##F)FMA(c, a, b);                                                                       \
    }                                                                                                       \
    SIMD v##N##F sqrt_##N##F(v##N##F a)                                                                     \
    {                                                                                                       \
        return (v##N##F)SQRT(a);                                                                            \
    }                                                                                                       \
    SIMD v##N##F floor_##N##F(v##N##F a)                                                                    \
    {                                                                                                       \
        return (v##N##F)FLOOR(a);                                                                           \
    }
NEON(2, f, vfma_f32, vsqrt_f32, vrndm_f32)
NEON(2, d, vfmaq_f64, vsqrtq_f64, vrndmq_f64)
NEON(4, f, vfmaq_f32, vsqrtq_f32, vrndmq_f32)
HALVES(4, d, 2)
HALVES(8, f, 4)
HALVES(8, d, 4)
HALVES(16, f, 8)
HALVES(16, d, 8)
#endif
