/* The cache of compiled kernels on disk: a folder of small files, each an object under its key.
 *
 * A cache is never needed: where it cannot be used (no home, a full or read-only disk, a folder that others may write)
 * everything is compiled anew, and nothing is said. */
#ifndef NASC_EMIT_CACHE_H
#define NASC_EMIT_CACHE_H

#include "base/base.h"

enum { CACHE_KEY_BYTES = 16, CACHE_PATH_MAX = 4096 };
enum { CACHE_BYTES_MAX = 256 << 20 }; /* what cache_trim leaves at most */

typedef struct cache {
    char folder[CACHE_PATH_MAX - 64]; /* empty: there is no cache */
} cache;

/* $NASC_CACHE, else $XDG_CACHE_HOME/nasc, else ~/.cache/nasc; made if missing, mode 0700. */
void cache_open(cache *c);
/* The object under `key`, to be freed with mem_free, and marked as used now. NULL: there is none, or a damaged one. */
void *cache_load(const cache *c, const unsigned char key[CACHE_KEY_BYTES], size_t *size);
/* Puts an object under `key`; other processes see all of it or nothing. */
void cache_store(const cache *c, const unsigned char key[CACHE_KEY_BYTES], const void *object, size_t size);
/* Removes the entries longest unused until those left take `most` bytes of disk at most, in blocks of 4 kB. */
void cache_trim(const cache *c, int64_t most);

#endif
