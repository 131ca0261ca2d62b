// A device for emitted CUDA text, on the CPU: what stands before the text when a C++ compiler takes it. Blocks run one
// after the other. Threads that meet at barriers are fibers: each runs until a barrier or its end, then the next; a
// barrier that not all of them reach ends the program. Shared memory is a function's own and is the block's, since no
// two blocks run at a time.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>
#include <ucontext.h>

struct dim3 {
    unsigned x;
};
static dim3 threadIdx, blockIdx, blockDim;

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

static inline float __fmaf_rn(float a, float b, float c)
{
    return std::fma(a, b, c);
}

static inline double __fma_rn(double a, double b, double c)
{
    return std::fma(a, b, c);
}

static inline float __fsqrt_rn(float a)
{
    return std::sqrt(a);
}

static inline double __dsqrt_rn(double a)
{
    return std::sqrt(a);
}

namespace device {

enum { STACK_BYTES = 64 << 10 };

struct fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool done;
};

struct arguments {
    void *const *buffer;
    int n, units;
};

static std::vector<fiber> fibers;
static ucontext_t scheduler;
static void (*body)(const arguments &);
static arguments given;

/* A kernel's parameter: a buffer, or of the last two the batch and the units. */
template <class T> struct parameter {
    static T from(const arguments &a, size_t i, size_t)
    {
        return static_cast<T>(a.buffer[i]);
    }
};
template <> struct parameter<int> {
    static int from(const arguments &a, size_t i, size_t count)
    {
        return i == count - 2 ? a.n : a.units;
    }
};

template <class... P, size_t... I>
static void call(void (*kernel)(P...), const arguments &a, std::index_sequence<I...>)
{
    kernel(parameter<P>::from(a, I, sizeof...(P))...);
}

template <class... P> static void call(void (*kernel)(P...), const arguments &a)
{
    call(kernel, a, std::index_sequence_for<P...>());
}

static void run_fiber()
{
    body(given);
    fibers[threadIdx.x].done = true;
}

static void start(unsigned thread)
{
    fiber &f = fibers[thread];
    f.stack.resize(STACK_BYTES);
    f.done = false;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = &scheduler;
    makecontext(&f.context, run_fiber, 0);
}

/* All threads to the next barrier; true: to their end. */
static bool run_phase()
{
    unsigned ended = 0;
    for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++) {
        swapcontext(&scheduler, &fibers[threadIdx.x].context);
        ended += fibers[threadIdx.x].done;
    }
    if (ended != 0 && ended != blockDim.x) {
        std::fprintf(stderr, "%u of %u threads end where the others wait at a barrier\n", ended, blockDim.x);
        std::abort();
    }
    return ended != 0;
}

static void run_block_with_barriers()
{
    fibers.resize(blockDim.x);
    for (unsigned thread = 0; thread < blockDim.x; thread++)
        start(thread);
    while (!run_phase())
        continue;
}

/* All units of a kernel: blocks of `threads`, one a unit or as many as give each unit a thread. */
static void launch(void (*kernel)(const arguments &), void *const *buffer, int n, int units, int threads, bool blocks)
{
    given = {buffer, n, units};
    body = kernel;
    blockDim.x = (unsigned)threads;
    unsigned count = blocks ? (unsigned)units : (unsigned)((units + threads - 1) / threads);
    for (blockIdx.x = 0; blockIdx.x < count; blockIdx.x++) {
        if (blocks) {
            run_block_with_barriers();
            continue;
        }
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
            kernel(given);
    }
}

} // namespace device

static inline void __syncthreads()
{
    swapcontext(&device::fibers[threadIdx.x].context, &device::scheduler);
}

// A function of the runtime's kind that runs kernel NAME, of so many threads a block.
#define ENTRY(name, threads, blocks)                                                                                   \
    static void run_##name(void *const *buffer, int64_t n, int64_t begin, int64_t end, void *)                         \
    {                                                                                                                  \
        if (begin != 0)                                                                                                \
            std::abort(); /* a grid is all units */                                                                    \
        device::launch([](const device::arguments &a) { device::call(name, a); }, buffer, (int)n, (int)end, threads,   \
                       blocks);                                                                                        \
    }
