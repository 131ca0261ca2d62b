/* Where the names of a kernel live in C: which are dead, which block declares each, which values fold into their use.
 *
 * The loop IR's registers are global to the kernel and mutable. C that declares them all at the top is correct and
 * unreadable; here each name moves to the innermost block that holds all its mentions. That is sound because the
 * verifier promises a definition before each use on every path: within that block, no value survives from one iteration
 * to the next. */
#include "emit/c_writer.h"

#include <string.h>

bool c_is_int_def(const loop_ins *i)
{
    return loop_op_info[i->op].kind == LOOP_INT || i->op == LOOP_FOR || i->op == LOOP_PARALLEL || i->op == LOOP_THREADS;
}

bool c_is_reg_def(const loop_ins *i)
{
    enum loop_kind kind = loop_op_info[i->op].kind;
    return kind == LOOP_MATH || kind == LOOP_MISC || i->op == LOOP_LOAD || i->op == LOOP_BCAST;
}

bool c_has_place(const loop_ins *i)
{
    enum loop_kind kind = loop_op_info[i->op].kind;
    return kind == LOOP_MEM || kind == LOOP_HINT || i->op == LOOP_INT_LOAD;
}

bool c_is_local_int(const c_writer *w, int begin, int var)
{
    const loop_ins *opener = &w->k->ins.at[begin];
    int scope = w->ints[var].scope;
    return var == opener->dst || (w->ints[var].defs > 0 && scope >= begin && scope <= opener->match);
}

static void find_parents(c_writer *w)
{
    int open = -1;
    for (int at = 0; at < w->k->ins.count; at++) {
        const loop_ins *i = &w->k->ins.at[at];
        if (i->op == LOOP_ELSE)
            open = w->parent[open];
        if (i->op == LOOP_END)
            open = w->parent[open];
        w->parent[at] = open;
        if (loop_op_info[i->op].kind == LOOP_STRUCT && i->op != LOOP_END)
            open = at;
    }
}

typedef void visit(c_writer *w, c_name *name, int at, bool is_def);

static void visit_index(c_writer *w, const loop_index *index, int at, visit *f)
{
    for (int t = 0; t < index->count; t++)
        f(w, &w->ints[index->term[t].var], at, false);
}

/* Calls f for every name that instruction `at` mentions: operands first, then what it defines. */
static void visit_names(c_writer *w, int at, visit *f)
{
    const loop_ins *i = &w->k->ins.at[at];
    for (int s = 0; s < loop_op_info[i->op].operands; s++)
        f(w, &w->regs[i->src[s]], at, false);
    visit_index(w, &i->lo, at, f);
    visit_index(w, &i->hi, at, f);
    if (c_has_place(i))
        visit_index(w, &i->place.index, at, f);
    if (c_is_reg_def(i))
        f(w, &w->regs[i->dst], at, true);
    if (c_is_int_def(i))
        f(w, &w->ints[i->dst], at, true);
}

static const c_name *defined_by(const c_writer *w, int at)
{
    const loop_ins *i = &w->k->ins.at[at];
    if (c_is_reg_def(i))
        return &w->regs[i->dst];
    return c_is_int_def(i) ? &w->ints[i->dst] : NULL;
}

static void count_mention(c_writer *w, c_name *name, int at, bool is_def)
{
    if (is_def) {
        name->defs++;
        name->def = at;
        return;
    }
    name->uses++;
    name->use = at;
    if (defined_by(w, at) != name)
        name->used++;
}

static void uncount_mention(c_writer *w, c_name *name, int at, bool is_def)
{
    if (is_def) {
        name->defs--;
        return;
    }
    name->uses--;
    if (defined_by(w, at) != name)
        name->used--;
}

/* A pass backward kills whole chains of straight-line code; values that loop round take another. */
static void kill_unused(c_writer *w)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int at = w->k->ins.count - 1; at >= 0; at--) {
            const loop_ins *i = &w->k->ins.at[at];
            const c_name *name = defined_by(w, at);
            if (w->dead[at] || !name || name->used > 0 || loop_op_info[i->op].kind == LOOP_STRUCT)
                continue;
            visit_names(w, at, uncount_mention);
            w->dead[at] = changed = true;
        }
    }
}

static int block_depth(const c_writer *w, int block)
{
    int depth = 0;
    for (; block >= 0; block = w->parent[block])
        depth++;
    return depth;
}

static int common_block(const c_writer *w, int a, int b)
{
    int da = block_depth(w, a), db = block_depth(w, b);
    for (; da > db; da--)
        a = w->parent[a];
    for (; db > da; db--)
        b = w->parent[b];
    for (; a != b; a = w->parent[a])
        b = w->parent[b];
    return a;
}

static void widen_scope(c_writer *w, c_name *name, int at, bool is_def)
{
    (void)is_def;
    if (name->first < 0) {
        name->first = at;
        name->scope = w->parent[at];
    } else {
        name->scope = common_block(w, name->scope, w->parent[at]);
    }
}

/* The IF of an ELSE. */
static int else_if(const kernel *k, int at)
{
    int match = at;
    for (at--; k->ins.at[at].op != LOOP_IF || k->ins.at[at].match != match; at--)
        CHECK(at > 0);
    return at;
}

/* A name is declared at the instruction of its block in which (or at which) its first mention stands. */
static void find_declaration(const c_writer *w, c_name *name)
{
    if (name->first < 0)
        return;
    int at = name->first;
    while (w->parent[at] != name->scope)
        at = w->parent[at];
    if (w->k->ins.at[at].op == LOOP_ELSE)
        at = else_if(w->k, at);
    name->declare = at;
    if (at != name->first) {
        name->next = w->before[at];
        w->before[at] = name;
    }
}

void c_scope(c_writer *w)
{
    const kernel *k = w->k;
    w->regs = NEW_ARRAY(w->arena, c_name, k->regs.count);
    w->ints = NEW_ARRAY(w->arena, c_name, k->ints);
    w->dead = NEW_ARRAY(w->arena, bool, k->ins.count);
    w->parent = NEW_ARRAY(w->arena, int, k->ins.count);
    w->before = NEW_ARRAY(w->arena, c_name *, k->ins.count);
    w->part_of = NEW_ARRAY(w->arena, const c_part *, k->ins.count);
    for (int r = 0; r < k->regs.count; r++)
        w->regs[r].first = w->regs[r].declare = -1;
    for (int v = 0; v < k->ints; v++)
        w->ints[v].first = w->ints[v].declare = -1;
    find_parents(w);
    for (int at = 0; at < k->ins.count; at++)
        visit_names(w, at, count_mention);
    kill_unused(w);
    for (int at = 0; at < k->ins.count; at++) {
        const loop_ins *i = &k->ins.at[at];
        if (w->dead[at])
            continue;
        visit_names(w, at, widen_scope);
        if (!c_has_place(i))
            continue;
        bool scratch = i->place.buffer >= LOOP_SCRATCH;
        bool *uses = scratch ? w->uses_scratch : w->uses_arg;
        uses[scratch ? i->place.buffer - LOOP_SCRATCH : i->place.buffer] = true;
    }
    for (int r = 0; r < k->regs.count; r++)
        find_declaration(w, &w->regs[r]);
    for (int v = 0; v < k->ints; v++)
        find_declaration(w, &w->ints[v]);
}

/* ---- folding ---- */

static bool reads_int(const loop_index *index, int var)
{
    for (int t = 0; t < index->count; t++)
        if (index->term[t].var == var)
            return true;
    return false;
}

/* Would executing `other` change what the value of instruction `at`, with all that is folded into it, is? */
static bool clobbers(const c_writer *w, const loop_ins *other, int at)
{
    const loop_ins *i = &w->k->ins.at[at];
    bool loads = i->op == LOOP_LOAD || i->op == LOOP_BCAST;
    if ((other->op == LOOP_STORE || other->op == LOOP_BARRIER) && loads)
        return true;
    if (c_is_int_def(other) && ((loads && reads_int(&i->place.index, other->dst)) || reads_int(&i->lo, other->dst)))
        return true;
    for (int s = 0; s < loop_op_info[i->op].operands; s++) {
        if (c_is_reg_def(other) && other->dst == i->src[s])
            return true;
        const c_name *operand = &w->regs[i->src[s]];
        if (operand->folded && clobbers(w, other, operand->def))
            return true;
    }
    return false;
}

/* How far a value may move: far enough for unrolled code that loads first, near enough to keep the scan linear. */
enum { FOLD_DISTANCE = 64 };

bool c_may_fold(const c_writer *w, int def)
{
    const c_name *name = &w->regs[w->k->ins.at[def].dst];
    if (name->defs != 1 || name->uses != 1 || name->use <= def || name->use - def > FOLD_DISTANCE)
        return false;
    if (w->k->ins.at[name->use].op == LOOP_LANE) /* subscripts a name */
        return false;
    for (int at = def + 1; at < name->use; at++) {
        const loop_ins *other = &w->k->ins.at[at];
        if (loop_op_info[other->op].kind == LOOP_STRUCT)
            return false;
        if (!w->dead[at] && clobbers(w, other, def))
            return false;
    }
    return true;
}
