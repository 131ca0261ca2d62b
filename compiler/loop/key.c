/* The key of a kernel: a hash of every field that compilation sees, taken field by field, so that neither padding nor
 * the kernel's name can enter. Records are chained: each is hashed together with the key of all before it. */
#include "loop.h"

#include <string.h>
#include <xxhash.h>

/* A record's fields as 64-bit words; the first two words hold the key so far. */
typedef struct record {
    uint64_t word[2 + 16 + 3 * (2 + LOOP_TERMS_MAX)];
    int count;
} record;

static void put(record *r, int64_t word)
{
    r->word[r->count++] = (uint64_t)word;
}

static void put_index(record *r, const loop_index *i)
{
    put(r, i->base);
    put(r, i->count);
    for (int t = 0; t < i->count; t++)
        put(r, ((int64_t)i->term[t].var << 32) | (uint32_t)i->term[t].coef);
}

static void seal(record *r)
{
    XXH128_hash_t hash = XXH3_128bits(r->word, (size_t)r->count * sizeof r->word[0]);
    r->word[0] = hash.low64;
    r->word[1] = hash.high64;
    r->count = 2;
}

static void put_ins(record *r, const loop_ins *ins)
{
    put(r, ins->op);
    put(r, ins->dst);
    for (int i = 0; i < 4; i++)
        put(r, ins->src[i]);
    put(r, ins->match);
    put(r, ins->step);
    int64_t value;
    memcpy(&value, &ins->value, sizeof value);
    put(r, value);
    put_index(r, &ins->lo);
    put_index(r, &ins->hi);
    put(r, ins->place.buffer);
    put_index(r, &ins->place.index);
    seal(r);
}

static void put_buffer(record *r, const loop_buffer *b)
{
    put(r, b->dtype);
    put(r, b->access);
    put(r, b->elements);
    seal(r);
}

void loop_key(const kernel *k, unsigned char key[16])
{
    record r = {.count = 2};
    put(&r, k->ins.count);
    put(&r, k->regs.count);
    put(&r, k->ints);
    put(&r, k->args.count);
    put(&r, k->scratch.count);
    seal(&r);
    for (int i = 0; i < k->args.count; i++)
        put_buffer(&r, &k->args.at[i]);
    for (int i = 0; i < k->scratch.count; i++)
        put_buffer(&r, &k->scratch.at[i]);
    for (int i = 0; i < k->regs.count; i++) {
        put(&r, k->regs.at[i].dtype);
        put(&r, k->regs.at[i].lanes);
        seal(&r);
    }
    for (int i = 0; i < k->ins.count; i++)
        put_ins(&r, &k->ins.at[i]);
    memcpy(key, r.word, 16);
}
