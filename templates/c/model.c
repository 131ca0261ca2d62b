/* @NAME@: see @NAME@.h. Build with -ffp-contract=off: then results are equal to nasc's, bit for bit. */
#include "@NAME@.h"
@if PARTS
#ifdef _OPENMP
#include <omp.h>
#endif
@end

@PRELUDE@
/* ---- kernels: each runs units [begin, end) of its work for n images ---- */

@KERNELS@
/* ---- weights ---- */

/* What the weights begin with, in words of 32 bits: "nasc", "wts\n", format, number of floats, model (2), checksum (2),
 * and zeros up to @HEADER_WORDS@. The floats follow. */
enum { MAGIC_0 = 0x6373616e, MAGIC_1 = 0x0a737477, FORMAT = 1, HEADER_WORDS = @HEADER_WORDS@, FLOATS = @CONSTANTS@ };

static uint32_t word_at(const char *bytes, size_t i)
{
    uint32_t word;
    memcpy(&word, bytes + sizeof word * i, sizeof word);
    return word;
}

static uint64_t long_at(const char *bytes, size_t i)
{
    return word_at(bytes, i) | (uint64_t)word_at(bytes, i + 1) << 32;
}

/* 64-bit FNV-1a, word by word instead of byte by byte. */
static uint64_t checksum(const char *bytes, size_t words)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < words; i++)
        sum = (sum ^ word_at(bytes, i)) * 0x100000001b3u;
    return sum;
}

int @NAME@_init(@NAME@ *model, const void *weights, size_t size)
{
    const char *bytes = (const char *)weights;
    if (!model || !weights)
        return @NAME@_NULL;
    if ((uintptr_t)weights % sizeof(float) != 0)
        return @NAME@_WEIGHTS_MISALIGNED;
    if (size < 4 * (size_t)HEADER_WORDS)
        return @NAME@_WEIGHTS_SIZE;
    if (word_at(bytes, 0) != MAGIC_0 || word_at(bytes, 1) != MAGIC_1)
        return @NAME@_WEIGHTS_MAGIC;
    if (word_at(bytes, 2) != FORMAT)
        return @NAME@_WEIGHTS_FORMAT;
    if (word_at(bytes, 3) != FLOATS || long_at(bytes, 4) != @MODEL@u)
        return @NAME@_WEIGHTS_MODEL;
    if (size != @NAME@_WEIGHTS_BYTES)
        return @NAME@_WEIGHTS_SIZE;
    if (checksum(bytes + 4 * HEADER_WORDS, FLOATS) != long_at(bytes, 6))
        return @NAME@_WEIGHTS_CHECKSUM;
@if CPU
    if (!(@CPU@))
        return @NAME@_CPU;
@end
    model->weights = (const @ELEMENT@ *)weights + HEADER_WORDS;
    return @NAME@_OK;
}

/* ---- the network ---- */

/* Places in the weights and in the arena, in words of 32 bits. Kernels take all buffers in one table; of `weights` and
 * `in` they only read. */
#define W(place) ((void *)(weights + (place)))
#define A(place) ((void *)((float *)arena + (place)))

@if PARTS
/* Units [0, units) of a kernel, in parts that may run at once and have `bytes` of scratch each. What a unit computes
 * depends on nothing but its number: without OpenMP, and with any number of threads, results are the same. */
typedef void kernel(void *const *buffer, ptrdiff_t n, ptrdiff_t begin, ptrdiff_t end, void *scratch);

static void run_parts(kernel *run, void *const *buffer, ptrdiff_t units, void *scratch, ptrdiff_t bytes)
{
#ifdef _OPENMP
    int allowed = omp_get_max_threads(), threads = allowed < @NAME@_THREADS ? allowed : @NAME@_THREADS;
#pragma omp parallel for schedule(static) num_threads(threads)
#endif
    for (int part = 0; part < @NAME@_THREADS; part++)
        run(buffer, 1, units * part / @NAME@_THREADS, units * (part + 1) / @NAME@_THREADS,
            scratch ? (char *)scratch + bytes * part : NULL);
}

@end
@if PLAIN
int @NAME@_run(const @NAME@ *model, const float *in, float *out, void *arena)
@end
@if BYTES
int @NAME@_run_u8(const @NAME@ *model, const uint8_t *in, uint8_t *out, void *arena)
@end
{
    if (!model || !model->weights || !in || !out || !arena)
        return @NAME@_NULL;
    const @ELEMENT@ *weights = model->weights;
    if ((uintptr_t)arena % @NAME@_ARENA_ALIGN != 0)
        return @NAME@_ARENA_MISALIGNED;
@if NCHW
    @PIXEL@ *image = (@PIXEL@ *)A(@IMAGE@); /* channels last */
    for (int c = 0; c < @C@; c++)
        for (int pixel = 0; pixel < @H@ * @W@; pixel++)
            image[pixel * @C@ + c] = in[c * (@H@ * @W@) + pixel];
@end
@RUN@
    return @NAME@_OK;
}
@if BYTES

/* To the nearest byte. */
static uint8_t quantised(float x)
{
    float byte = x * @IN_INVERSE@ + (@NAME@_INPUT_ZERO + 0.5f);
    byte = byte > 0.0f ? byte : 0.0f;
    return (uint8_t)(byte < 255.0f ? byte : 255.0f);
}

int @NAME@_run(const @NAME@ *model, const float *in, float *out, void *arena)
{
    enum { PIXELS = @H@ * @W@ * @C@ };
    if (!in || !out || !arena)
        return @NAME@_NULL;
    if ((uintptr_t)arena % @NAME@_ARENA_ALIGN != 0)
        return @NAME@_ARENA_MISALIGNED;
    uint8_t *bytes = (uint8_t *)A(@BORDER@), *logits = bytes + PIXELS;
    for (int i = 0; i < PIXELS; i++)
        bytes[i] = quantised(in[i]);
    int result = @NAME@_run_u8(model, bytes, logits, arena);
    for (int k = 0; k < @NAME@_CLASSES && result == @NAME@_OK; k++)
        out[k] = ((float)logits[k] - @NAME@_OUTPUT_ZERO) * @NAME@_OUTPUT_SCALE;
    return result;
}
@end
