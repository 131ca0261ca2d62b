/* Arithmetic of the kernels below, one lane: IEEE single and double, rounded to nearest, nothing contracted.
 * Build with -ffp-contract=off (gcc contracts by default unless -std=c11 is given). */
#include <float.h>
#include <math.h> /* INFINITY and NAN alone */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "-ffast-math changes results: build without it"
#endif
#if FLT_EVAL_METHOD != 0
#error "floats must be computed as floats (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif
#ifdef __GNUC__
#define INLINE static inline __attribute__((unused, always_inline))
#define PREFETCH(place) __builtin_prefetch(place, 0, 2)
#else
#define INLINE static inline
#define PREFETCH(place) ((void)(place))
#endif

typedef ptrdiff_t integer; /* of places in memory: as wide as the machine has them */
