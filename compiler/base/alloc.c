/* The one gate through which nasc allocates outside libraries. It stands in a file of its own, so that a test can
 * put itself before it (ld --wrap=mem_alloc) and make the Nth allocation fail without a switch in the library. */
#include "base.h"

#include <stdlib.h>

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
