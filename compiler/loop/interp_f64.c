/* The interpreter's handlers for f64 registers, and for all registers of a wide run; here alone exp and its kin exist.
 */
#define T             double
#define OTHER         float
#define BITS          uint64_t
#define DTYPE         DT_F64
#define FRACTION      52
#define BIAS          1023
#define POISON        POISON_F64
#define BUILTIN(name) __builtin_##name
#define TABLE(suffix) interp_f64_##suffix
#define ALL(X)        COMMON(X) X(EXP) X(LOG) X(TANH) X(SIGMOID)

#define EXTRA_MATH                                                                                                     \
    MATH(do_EXP, exp(a[l]))                                                                                            \
    MATH(do_LOG, log(a[l]))                                                                                            \
    MATH(do_TANH, tanh(a[l]))                                                                                          \
    MATH(do_SIGMOID, 1 / (1 + exp(-a[l])))

#include "interp_ops.inc"
