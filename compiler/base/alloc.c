/* The one gate through which nasc allocates outside libraries. It stands in a file of its own, so that a test can
 * put itself before it (ld --wrap=mem_alloc) and make the Nth allocation fail without a switch in the library. */
#include "base.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, HUGE_LEAST = 4 /* pages */ };

void *mem_alloc(size_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

void *mem_resize(void *old, size_t bytes)
{
    return realloc(old, bytes ? bytes : 1);
}

void mem_free(void *p)
{
    free(p);
}

void mem_spread(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t first = ((uintptr_t)p + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, end = (uintptr_t)p + bytes;
    if (bytes >= (size_t)HUGE_LEAST * HUGE_PAGE)
        (void)madvise((void *)first, (end - first) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#else
    (void)p;
    (void)bytes;
#endif
}
