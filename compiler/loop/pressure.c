/* How many registers a thread of a GPU will want at once, about: what lives between its first and its last mention, or to
 * the end of a loop that it crosses into. Compilers do better by computing again and worse by loading ahead; it is good
 * enough to tell kernels of tiles from those of elements before any compiler is asked. */
#include "loop.h"

enum { ALWAYS = 10 /* registers that hold addresses, and what the machine needs itself */, LOOPS_MOST = 64 };

typedef struct life {
    int first, last; /* instructions; first -1: it is never mentioned */
} life;

typedef struct pressure {
    const kernel *k;
    life *regs, *ints;
    int loop[LOOPS_MOST], depth; /* loops that are open */
    int at;
} pressure;

/* What a loop uses of the time before it, it keeps to its end. */
static void mention(const pressure *p, life *l)
{
    if (l->first < 0)
        l->first = p->at;
    int last = p->at;
    for (int i = p->depth - 1; i >= 0 && p->loop[i] > l->first; i--)
        last = p->k->ins.at[p->loop[i]].match;
    l->last = last > l->last ? last : l->last;
}

static void mention_index(const pressure *p, const loop_index *i)
{
    for (int t = 0; t < i->count; t++)
        mention(p, &p->ints[i->term[t].var]);
}

static void mention_all(const pressure *p, const loop_ins *i)
{
    enum loop_kind kind = loop_op_info[i->op].kind;
    bool loop = i->op == LOOP_PARALLEL || i->op == LOOP_THREADS || i->op == LOOP_FOR;
    mention_index(p, &i->lo);
    mention_index(p, &i->hi);
    mention_index(p, &i->place.index);
    for (int s = 0; s < loop_op_info[i->op].operands; s++)
        mention(p, &p->regs[i->src[s]]);
    if (kind == LOOP_INT || loop)
        mention(p, &p->ints[i->dst]);
    else if (kind == LOOP_MATH || kind == LOOP_MISC || i->op == LOOP_LOAD || i->op == LOOP_BCAST)
        mention(p, &p->regs[i->dst]);
}

static void walk(pressure *p)
{
    for (p->at = 0; p->at < p->k->ins.count; p->at++) {
        const loop_ins *i = &p->k->ins.at[p->at];
        if (i->op == LOOP_END && p->depth > 0 && p->k->ins.at[p->loop[p->depth - 1]].match == p->at)
            p->depth--;
        mention_all(p, i);
        if (i->op == LOOP_FOR && p->depth < LOOPS_MOST)
            p->loop[p->depth++] = p->at;
    }
}

static life *lives(arena *a, int count)
{
    life *l = NEW_ARRAY(a, life, count + 1);
    for (int i = 0; i < count; i++)
        l[i] = (life){-1, -1};
    return l;
}

static void add_life(int *change, const life *l, int registers)
{
    if (l->first < 0)
        return;
    change[l->first] += registers;
    change[l->last + 1] -= registers;
}

int loop_pressure(arena *at, const kernel *k)
{
    pressure p = {.k = k, .regs = lives(at, k->regs.count), .ints = lives(at, k->ints)};
    int *change = NEW_ARRAY(at, int, k->ins.count + 2), now = 0, most = 0;
    walk(&p);
    for (int r = 0; r < k->regs.count; r++)
        add_life(change, &p.regs[r], k->regs.at[r].lanes * (k->regs.at[r].dtype == DT_F64 ? 2 : 1));
    for (int i = 0; i < k->ints; i++)
        add_life(change, &p.ints[i], 1);
    for (int i = 0; i <= k->ins.count; i++) {
        now += change[i];
        most = now > most ? now : most;
    }
    return ALWAYS + most;
}
