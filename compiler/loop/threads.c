/* Where threads of a block may part. A variable varies if what it is set to may differ between threads: the thread's
 * number, what is computed from it, what is read from memory that is written or at a place that varies, and all that is
 * set where threads have parted. That is found without regard to order: a variable that varies anywhere varies
 * everywhere. */
#include "threads.h"

enum { DEPTH_MAX = 64 };

typedef struct walk {
    const kernel *k;
    bool *varies; /* of each variable */
    bool parted[DEPTH_MAX];
    int depth;
} walk;

static bool index_varies(const walk *w, const loop_index *index)
{
    for (int t = 0; t < index->count; t++)
        if (w->varies[index->term[t].var])
            return true;
    return false;
}

static bool load_varies(const walk *w, const loop_ins *ins)
{
    bool constant = ins->place.buffer < LOOP_SCRATCH && w->k->args.at[ins->place.buffer].access == LOOP_IN;
    return !constant || index_varies(w, &ins->place.index);
}

static bool parted(const walk *w)
{
    return w->depth > 0 && w->parted[w->depth - 1];
}

static bool bounds_vary(const walk *w, const loop_ins *ins)
{
    return index_varies(w, &ins->lo) || index_varies(w, &ins->hi);
}

/* Enters or leaves a block. Of a branch the second half has parted as the first. */
static void nest(walk *w, const loop_ins *ins)
{
    if (ins->op == LOOP_END) {
        w->depth--;
    } else if (ins->op != LOOP_ELSE) {
        bool apart = parted(w) || bounds_vary(w, ins);
        w->parted[w->depth++] = apart;
    }
}

/* Does the instruction set its variable to something that varies? */
static bool sets_varying(const walk *w, const loop_ins *ins)
{
    if (ins->op == LOOP_THREADS)
        return true;
    if (ins->op != LOOP_FOR && loop_op_info[ins->op].kind != LOOP_INT)
        return false;
    return parted(w) || bounds_vary(w, ins) || (ins->op == LOOP_INT_LOAD && load_varies(w, ins));
}

static void find_varying(walk *w)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < w->k->ins.count; i++) {
            const loop_ins *ins = &w->k->ins.at[i];
            if (sets_varying(w, ins) && !w->varies[ins->dst])
                w->varies[ins->dst] = changed = true;
            if (loop_op_info[ins->op].kind == LOOP_STRUCT)
                nest(w, ins);
        }
    }
}

static bool has_barrier(const kernel *k)
{
    for (int i = 0; i < k->ins.count; i++)
        if (k->ins.at[i].op == LOOP_BARRIER)
            return true;
    return false;
}

int loop_lone_barrier(arena *a, const kernel *k)
{
    if (!has_barrier(k))
        return -1;
    walk w = {.k = k, .varies = NEW_ARRAY(a, bool, k->ints)};
    find_varying(&w);
    for (int i = 0; i < k->ins.count; i++) {
        const loop_ins *ins = &k->ins.at[i];
        if (ins->op == LOOP_BARRIER && (parted(&w) || !loop_threads_of(k)))
            return i;
        if (loop_op_info[ins->op].kind == LOOP_STRUCT)
            nest(&w, ins);
    }
    return -1;
}
