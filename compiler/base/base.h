/* clang-format off */ /* tables and the comments beside them are laid out by hand */
/* What every level stands on: memory that has an owner, errors that are values, growing arrays.
 *
 * A compilation unit (a space, a net, a program, …) lives in one arena and dies with it. When memory runs out the
 * arena unwinds (longjmp) to the entry point that guards it, so code inside a level never tests an allocation;
 * arena_guard at the entry point turns the unwinding into an ordinary error. Nothing in an arena holds
 * a resource that freeing the arena does not free. */
#ifndef NASC_BASE_H
#define NASC_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF(f, a)
#define NORETURN
#endif

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* USAGE: the command line, whatever the files that it names hold. */
enum diag_kind { DIAG_NONE, DIAG_INPUT, DIAG_MEMORY, DIAG_IO, DIAG_DEVICE, DIAG_USAGE };

/* The first error wins; later ones are consequences. `where` is a file with line and column, or file and JSON pointer. */
typedef struct nasc_diag {
    enum diag_kind kind;
    char where[320];
    char message[640];
} nasc_diag;

/* Records an error unless one stands already. Always returns false, so that `return diag_fail(…)` reads well. */
bool diag_fail(nasc_diag *d, enum diag_kind kind, const char *where, const char *format, ...) PRINTF(4, 5);

/* A broken promise of our own: prints file, line and what, then aborts. Never for bad input. */
void bug(const char *file, int line, const char *format, ...) PRINTF(3, 4) NORETURN;
#define BUG(...) bug(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) ((condition) ? (void)0 : BUG("%s", #condition))

/* ---- memory ------------------------------------------------------------------------------------------------- */

typedef struct arena arena;

struct arena {
    struct arena_block *blocks;
    size_t used;      /* bytes used of the newest block */
    size_t total;     /* bytes taken from the system */
    jmp_buf *unwind;  /* where to go when memory runs out; NULL: abort */
};

/* Zeroed, aligned to 16 bytes. Does not return when memory has run out (see arena_guard). */
void *arena_alloc(arena *a, size_t bytes);
/* The same for `count` items; more bytes than can be counted are more than there are. */
void *arena_array(arena *a, size_t count, size_t item);
void *arena_copy(arena *a, const void *from, size_t bytes);
char *arena_strdup(arena *a, const char *s);
char *arena_printf(arena *a, const char *format, ...) PRINTF(2, 3);
void arena_free(arena *a);
/* Everything in it dies, but the memory is kept for what comes next, which is of the same kind. */
void arena_reset(arena *a);

#define NEW(a, T) ((T *)arena_alloc(a, sizeof(T)))
#define NEW_ARRAY(a, T, n) ((T *)arena_array(a, (size_t)(n), sizeof(T)))

/* What may run out of memory: it is left at any allocation then, so what it holds outside of arenas, and arenas of its
 * own (which unwind where `a` does), belong in *user, for the caller of arena_guard to free. */
typedef bool arena_work(void *user, arena *a, nasc_diag *d);
/* work(user, a, d); where memory runs out in it, an error in place of its result. Guards nest. */
bool arena_guard(arena *a, arena_work *work, void *user, nasc_diag *d);
/* The same in an arena that lives as long as the call. */
bool arena_within(arena_work *work, void *user, nasc_diag *d);
/* As an allocation that fails. */
void arena_unwind(arena *a) NORETURN;
bool diag_memory(nasc_diag *d);

/* Every allocation of nasc's own goes through these; tests wrap them to make the Nth fail (see alloc.c). */
void *mem_alloc(size_t bytes); /* NULL when memory has run out */
void *mem_resize(void *old, size_t bytes);
void mem_free(void *p);
/* Large memory asks for huge pages, before it is used: kernels wait for address translation otherwise. */
void mem_spread(void *p, size_t bytes);

/* ---- growing arrays, owned by an arena ----------------------------------------------------------------------- */

#define VEC(T)         \
    struct {           \
        T *at;         \
        int count;     \
        int capacity;  \
    }
/* Appends x. The old storage stays in the arena: fine for arrays that double. */
#define VEC_PUSH(a, v, x)                                                                             \
    do {                                                                                              \
        if (!(v)->at || (v)->count == (v)->capacity)                                                  \
            (v)->at = vec_grow(a, (v)->at, &(v)->capacity, (v)->count, sizeof(*(v)->at));             \
        (v)->at[(v)->count++] = (x);                                                                  \
    } while (0)
void *vec_grow(arena *a, void *at, int *capacity, int count, size_t item);

/* ---- text ---------------------------------------------------------------------------------------------------- */

/* A string that grows; `text` is always terminated. Owned by an arena. */
typedef struct text {
    arena *arena;
    char *at;
    size_t length, capacity;
} text;

void text_add(text *t, const char *format, ...) PRINTF(2, 3);
void text_bytes(text *t, const char *bytes, size_t count);

/* As a string of JSON: quotes around it, and escapes for quotes, backslashes and control characters. */
void text_quoted(text *t, const char *bytes, size_t count);
/* A number in the fewest digits that read back as the same one. */
void text_real(text *t, double value);
/* The same as a real of JSON, which stays one when it is read back (1.0). */
void text_json_real(text *t, double value);

/* Of `count` known words the one nearest to `word` (edit distance ≤ a third of its length), or NULL. */
const char *text_suggest(const char *word, const char *const *known, int count);

/* ---- files --------------------------------------------------------------------------------------------------- */

/* Reads a whole file; terminated by a zero byte that `size` does not count. NULL with a diagnostic otherwise. */
char *file_read(arena *a, const char *path, size_t *size, nasc_diag *d);
/* Replaces a file atomically: write beside it, fsync, rename, fsync the folder. */
bool file_replace(const char *path, const void *bytes, size_t size, nasc_diag *d);
/* Makes a folder with its parents. */
bool folder_make(const char *path, nasc_diag *d);

#endif
