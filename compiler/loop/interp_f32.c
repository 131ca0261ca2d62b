/* The interpreter's handlers for f32 registers. */
#define T             float
#define OTHER         double
#define BITS          uint32_t
#define DTYPE         DT_F32
#define FRACTION      23
#define BIAS          127
#define POISON        POISON_F32
#define BUILTIN(name) __builtin_##name##f
#define TABLE(suffix) interp_f32_##suffix
#define ALL(X)        COMMON(X)

#include "interp_ops.inc"
