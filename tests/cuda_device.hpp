// A GPU's threads on the CPU: what stands before emitted CUDA text when a C++ compiler takes it. Blocks run one after
// the other. Threads that meet at barriers are fibers: each runs until a barrier or its end, then the next; a barrier
// that not all of them reach ends the program, but for those that have ended before: the last ones of a block whose
// kernel has fewer. Shared memory is a static of the kernel, since no two blocks run at a time; it is the block's, whose
// threads must not read what the one before has left there.
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct dim3 {
    unsigned x;
};
static dim3 threadIdx, blockIdx, blockDim;

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}

static inline double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}

static inline float __fsqrt_rn(float a)
{
    return sqrtf(a);
}

static inline double __dsqrt_rn(double a)
{
    return sqrt(a);
}

// What runs kernels is worth being fast, whatever they are compiled with.
#ifndef __clang__
#pragma GCC push_options
#pragma GCC optimize("O2")
#endif
namespace device {

enum { THREADS_MAX = 1024, STACK_BYTES = 64 << 10 };

// Its stack is entered once by swapcontext, and then by _longjmp, which makes no system call: from the end of one block's
// thread it goes on with the next one's.
struct fiber {
    jmp_buf resume;
    char *stack;
    bool done;
};

static fiber fibers[THREADS_MAX];
static jmp_buf scheduler;
static void (*body)(void **parameters);
static void **given;

template <int... I> struct numbers {
};
template <int N, int... I> struct numbers_below : numbers_below<N - 1, N - 1, I...> {
};
template <int... I> struct numbers_below<0, I...> {
    typedef numbers<I...> all;
};

template <class... P, int... I> static void call(void (*kernel)(P...), void **parameters, numbers<I...>)
{
    kernel(*static_cast<P *>(parameters[I])...);
}

// A kernel by the addresses of its parameters, as the driver is given them.
template <class... P> static void call(void (*kernel)(P...), void **parameters)
{
    call(kernel, parameters, typename numbers_below<sizeof...(P)>::all());
}

static void run_fiber()
{
    for (;;) {
        body(given);
        fibers[threadIdx.x].done = true;
        if (!_setjmp(fibers[threadIdx.x].resume))
            _longjmp(scheduler, 1);
    }
}

static void start(fiber *f)
{
    ucontext_t context, here;
    f->stack = static_cast<char *>(malloc(STACK_BYTES));
    getcontext(&context);
    context.uc_stack.ss_sp = f->stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = NULL;
    makecontext(&context, run_fiber, 0);
    swapcontext(&here, &context);
}

// The fiber of threadIdx to its next barrier or its end.
static void run(fiber *f)
{
    if (_setjmp(scheduler))
        return;
    if (f->stack)
        _longjmp(f->resume, 1);
    start(f);
}

// All of `threads` to the next barrier; true: to their end. The last ones may end before.
static bool run_phase(unsigned *threads)
{
    unsigned ended = 0, last = 0;
    for (threadIdx.x = 0; threadIdx.x < *threads; threadIdx.x++) {
        run(&fibers[threadIdx.x]);
        ended += fibers[threadIdx.x].done;
        last = fibers[threadIdx.x].done ? last : threadIdx.x + 1;
    }
    if (last != *threads - ended) {
        fprintf(stderr, "%u of %u threads end where the others wait at a barrier\n", ended, *threads);
        abort();
    }
    *threads = last;
    return last == 0;
}

static void run_block(bool barriers)
{
    unsigned threads = blockDim.x;
    for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
        if (barriers)
            fibers[threadIdx.x].done = false;
        else
            body(given);
    while (barriers && !run_phase(&threads))
        continue;
}

static void launch(void (*kernel)(void **), void **parameters, unsigned blocks, unsigned threads, bool barriers)
{
    body = kernel;
    given = parameters;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        run_block(barriers);
}

} // namespace device

static inline void __syncthreads()
{
    if (!_setjmp(device::fibers[threadIdx.x].resume))
        _longjmp(device::scheduler, 1);
}

#ifndef __clang__
#pragma GCC pop_options
#endif

// NAME_grid, which runs kernel NAME by its parameters' addresses; barriers: whether it has any.
#define GRID(name, barriers)                                                                                           \
    extern "C" void name##_grid(void **parameters, unsigned blocks, unsigned threads);                                 \
    void name##_grid(void **parameters, unsigned blocks, unsigned threads)                                             \
    {                                                                                                                  \
        device::launch([](void **given) { device::call(name, given); }, parameters, blocks, threads, barriers);        \
    }
