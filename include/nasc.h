/* The public C interface of nasc, a compiler for neural architecture search. Nothing else of the library is visible. */
#ifndef NASC_H
#define NASC_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NASC_API __attribute__((visibility("default")))
#else
#define NASC_API
#endif

/* The library's version, as in "0.1.0". */
NASC_API const char *nasc_version(void);

/* The version of the LLVM library that compiles kernels: major, minor, patch. 0 and nothing written where this nasc was
 * built without it, else 1. */
NASC_API int nasc_llvm_version(unsigned version[3]);

#ifdef __cplusplus
}
#endif

#endif
