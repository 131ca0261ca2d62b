/* The Nth allocation fails, once: ours by the linker's --wrap, Jansson's by json_set_alloc_funcs(failing_jansson,
 * free). A program that includes this names mem_alloc and mem_resize in its NAME.wrap. */
#ifndef NASC_FAILING_H
#define NASC_FAILING_H

#include <stdbool.h>
#include <stdlib.h>

enum allocator { ALLOCATOR_OURS = 1, ALLOCATOR_JANSSON = 2 };

static long failing_left = -1; /* allocations until one fails; negative: none does */
static unsigned failing_of = ALLOCATOR_OURS | ALLOCATOR_JANSSON, failing_failed; /* whose count; whose failed */

static inline bool failing_now(enum allocator whose)
{
    if (failing_left < 0 || !(failing_of & whose))
        return false;
    if (failing_left-- > 0)
        return false;
    failing_failed |= whose;
    return true;
}

void *__real_mem_alloc(size_t bytes);
void *__real_mem_resize(void *old, size_t bytes);
void *__wrap_mem_alloc(size_t bytes);
void *__wrap_mem_resize(void *old, size_t bytes);

void *__wrap_mem_alloc(size_t bytes)
{
    return failing_now(ALLOCATOR_OURS) ? NULL : __real_mem_alloc(bytes);
}

void *__wrap_mem_resize(void *old, size_t bytes)
{
    return failing_now(ALLOCATOR_OURS) ? NULL : __real_mem_resize(old, bytes);
}

static inline void *failing_jansson(size_t bytes)
{
    return failing_now(ALLOCATOR_JANSSON) ? NULL : malloc(bytes);
}

#endif
