/* Arenas: blocks of memory that die together. */
#include "base.h"

#include <stdio.h>
#include <string.h>

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(16) unsigned char bytes[];
};

enum {
    BLOCK_BYTES = 64 * 1024,
    LINE = 64,         /* bytes of a cache line, on which whatever takes many begins */
    LINES_LEAST = 4096 /* bytes that are many lines */
};

void arena_unwind(arena *a)
{
    if (a->unwind)
        longjmp(*a->unwind, 1);
    BUG("out of memory in an arena without a guard");
}

static bool block_add(arena *a, size_t size)
{
    struct arena_block *block = mem_alloc(sizeof *block + size);
    if (!block)
        return false;
    mem_spread(block, size);
    *block = (struct arena_block){.older = a->blocks, .size = size};
    a->blocks = block;
    a->used = 0;
    a->total += size;
    return true;
}

/* Not zeroed. */
static void *take(arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        arena_unwind(a);
    size_t align = bytes >= LINES_LEAST ? LINE : 16, most = bytes + align;
    if ((!a->blocks || most > a->blocks->size - a->used) && !block_add(a, most > BLOCK_BYTES ? most : BLOCK_BYTES))
        arena_unwind(a);
    uintptr_t next = (uintptr_t)a->blocks->bytes + a->used, at = (next + align - 1) & ~(uintptr_t)(align - 1);
    a->used += at - next + ((bytes + 15) & ~(size_t)15);
    return (void *)at;
}

void *arena_alloc(arena *a, size_t bytes)
{
    return memset(take(a, bytes), 0, bytes);
}

void *arena_array(arena *a, size_t count, size_t item)
{
    if (count > SIZE_MAX / item)
        arena_unwind(a);
    return arena_alloc(a, count * item);
}

void *arena_copy(arena *a, const void *from, size_t bytes)
{
    void *to = take(a, bytes);
    if (bytes)
        memcpy(to, from, bytes);
    return to;
}

char *arena_strdup(arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s) + 1);
}

char *arena_printf(arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);
    char *s = arena_alloc(a, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(s, (size_t)length + 1, format, args);
    va_end(args);
    return s;
}

void arena_free(arena *a)
{
    for (struct arena_block *b = a->blocks, *older; b; b = older) {
        older = b->older;
        mem_free(b);
    }
    *a = (arena){.unwind = a->unwind};
}

/* Many blocks become one that would have held it all. */
void arena_reset(arena *a)
{
    size_t total = a->total;
    a->used = 0;
    if (!a->blocks || !a->blocks->older)
        return;
    arena_free(a);
    (void)block_add(a, total); /* if not now, then when it is needed */
}

bool arena_guard(arena *a, arena_work *work, void *user, nasc_diag *d)
{
    jmp_buf *outer = a->unwind, here;
    volatile bool ok = false;
    if (setjmp(here) == 0) {
        a->unwind = &here;
        ok = work(user, a, d);
    } else {
        diag_memory(d);
    }
    a->unwind = outer;
    return ok;
}

bool arena_within(arena_work *work, void *user, nasc_diag *d)
{
    arena own = {0};
    bool ok = arena_guard(&own, work, user, d);
    arena_free(&own);
    return ok;
}

void *vec_grow(arena *a, void *at, int *capacity, int count, size_t item)
{
    if (*capacity > INT32_MAX / 2)
        arena_unwind(a);
    int wider = *capacity ? *capacity * 2 : 8;
    size_t old = (size_t)count * item, bytes = (size_t)wider * item;
    char *to = take(a, bytes);
    if (count)
        memcpy(to, at, old);
    memset(to + old, 0, bytes - old);
    *capacity = wider;
    return to;
}
