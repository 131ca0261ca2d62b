/* Arithmetic of the kernels below, on a GPU: IEEE single and double, rounded to nearest, subnormals kept, nothing
 * contracted. Build with --fmad=false (and without --use_fast_math). */
#ifdef __CUDACC_RTC__ /* there are no headers */
typedef signed char int8_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
#endif
#define INLINE static __device__ inline
#define INLINE_ALWAYS static __device__ __forceinline__
#if __CUDACC_VER_MAJOR__ > 11 || (__CUDACC_VER_MAJOR__ == 11 && __CUDACC_VER_MINOR__ >= 7)
#define TABLE const __grid_constant__ /* it is read where it lies */
#else
#define TABLE const
#endif
/* Most threads of a block. Compilers may keep registers for a second block, and spill some for it; ALONE: they may not. */
#ifdef ALONE
#define BLOCK(threads) __launch_bounds__(threads, 1)
#else
#define BLOCK(threads) __launch_bounds__(threads)
#endif
#define PREFETCH(place) ((void)0) /* other threads run while one waits */

typedef int integer; /* of places in memory: no buffer has more elements */

INLINE float fma_f(float a, float b, float c)
{
    return __fmaf_rn(a, b, c);
}

INLINE double fma_d(double a, double b, double c)
{
    return __fma_rn(a, b, c);
}

INLINE float sqrt_f(float a)
{
    return __fsqrt_rn(a);
}

INLINE double sqrt_d(double a)
{
    return __dsqrt_rn(a);
}

INLINE float floor_f(float a)
{
    return floorf(a);
}

INLINE double floor_d(double a)
{
    return floor(a);
}

/* Floats side by side in shared memory, loaded at once: from a multiple of their size. */
struct __align__(8) v2f {
    float at[2];
    __device__ float operator[](int i) const
    {
        return at[i];
    }
};

struct __align__(16) v4f {
    float at[4];
    __device__ float operator[](int i) const
    {
        return at[i];
    }
};

INLINE v2f load_2f(const float *p)
{
    return *(const v2f *)p;
}

INLINE v4f load_4f(const float *p)
{
    return *(const v4f *)p;
}
