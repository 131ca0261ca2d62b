/* @NAME@: a network as standalone C, written by nasc @VERSION@. What nasc writes belongs to you.
 *
@FACTS@ */
#ifndef @NAME@_H
#define @NAME@_H

#include <stddef.h>
@if STDINT
#include <stdint.h>
@end

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_API_VERSION 1
#define @NAME@_TARGET "@TARGET@"
#define @NAME@_INPUT_H @H@
#define @NAME@_INPUT_W @W@
#define @NAME@_INPUT_C @C@
#define @NAME@_CLASSES @CLASSES@
#define @NAME@_ARENA_BYTES @ARENA_BYTES@ /* memory that a run works in; @ALIVE_BYTES@ is what lives at once, the least there can be */
#define @NAME@_ARENA_ALIGN @ARENA_ALIGN@
@if PARTS
#define @NAME@_THREADS @PARTS@ /* most that a run uses, where it is compiled with -fopenmp */
@end
#define @NAME@_WEIGHTS_BYTES @WEIGHTS_BYTES@
@if BYTES

/* Bytes stand for (byte - ZERO) * SCALE. */
#define @NAME@_INPUT_SCALE @IN_SCALE@
#define @NAME@_INPUT_ZERO @IN_ZERO@
#define @NAME@_OUTPUT_SCALE @OUT_SCALE@
#define @NAME@_OUTPUT_ZERO @OUT_ZERO@
@end

/* What the functions return. */
enum {
    @NAME@_OK = 0,
    @NAME@_WEIGHTS_MISALIGNED = 1, /* weights must be aligned as floats are */
    @NAME@_WEIGHTS_SIZE = 2,       /* too few or too many bytes */
    @NAME@_WEIGHTS_MAGIC = 3,      /* not weights that nasc wrote, or of another byte order */
    @NAME@_WEIGHTS_FORMAT = 4,     /* of a version of the format that this code does not read */
    @NAME@_WEIGHTS_MODEL = 5,      /* of another network, or laid out for another target */
    @NAME@_WEIGHTS_CHECKSUM = 6,   /* damaged */
    @NAME@_CPU = 7,                /* this processor lacks what the target needs */
    @NAME@_ARENA_MISALIGNED = 8,
    @NAME@_NULL = 9 /* an argument is a null pointer */
};

typedef struct @NAME@ {
    const @ELEMENT@ *weights;
} @NAME@;
@if ARRAY

/* The weights, for @NAME@_init(&model, &@NAME@_weights, sizeof @NAME@_weights). */
struct @NAME@_weights {
    uint32_t header[@HEADER_WORDS@];
    @ELEMENT@ value[@CONSTANTS@];
};
extern const struct @NAME@_weights @NAME@_weights;
@end

@if FILE
/* Checks the contents of @NAME@.bin, `size` bytes at `weights`, which must stay where they are while `model` is used. */
@end
@if ARRAY
/* Checks `size` bytes at `weights`, which must stay where they are while `model` is used. */
@end
int @NAME@_init(@NAME@ *model, const void *weights, size_t size);

@if NHWC
/* `in`: an image, @NAME@_INPUT_H x _W x _C, channels last, @RANGE@; `out`: @NAME@_CLASSES logits;
@end
@if NCHW
/* `in`: an image, @NAME@_INPUT_C x _H x _W, channels first, @RANGE@; `out`: @NAME@_CLASSES logits;
@end
 * `arena`: @NAME@_ARENA_BYTES, aligned to @NAME@_ARENA_ALIGN, contents do not matter. Runs at the same time need an arena
 * each; they may share the model. */
int @NAME@_run(const @NAME@ *model, const float *in, float *out, void *arena);
@if BYTES
/* The same of bytes, in and out; what @NAME@_run is made of. */
int @NAME@_run_u8(const @NAME@ *model, const uint8_t *in, uint8_t *out, void *arena);
@end

#ifdef __cplusplus
}
#endif

#endif
