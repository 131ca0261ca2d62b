/* Arenas: blocks of memory that die together. */
#include "base.h"

#include <stdio.h>
#include <string.h>

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(16) unsigned char bytes[];
};

enum { BLOCK_BYTES = 64 * 1024 };

static void out_of_memory(arena *a)
{
    if (a->unwind)
        longjmp(*a->unwind, 1);
    BUG("out of memory in an arena without a guard");
}

void *arena_alloc(arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        out_of_memory(a);
    bytes = (bytes + 15) & ~(size_t)15;
    if (!a->blocks || bytes > a->blocks->size - a->used) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        struct arena_block *block = mem_alloc(sizeof *block + size);
        if (!block)
            out_of_memory(a);
        *block = (struct arena_block){.older = a->blocks, .size = size};
        a->blocks = block;
        a->used = 0;
        a->total += size;
    }
    void *p = a->blocks->bytes + a->used;
    a->used += bytes;
    return memset(p, 0, bytes);
}

void *arena_copy(arena *a, const void *from, size_t bytes)
{
    void *to = arena_alloc(a, bytes);
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

void *vec_grow(arena *a, void *at, int *capacity, int count, size_t item)
{
    int wider = *capacity ? *capacity * 2 : 8;
    void *to = arena_alloc(a, (size_t)wider * item);
    if (count)
        memcpy(to, at, (size_t)count * item);
    *capacity = wider;
    return to;
}
