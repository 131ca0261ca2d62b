/* Loops that several kernels of a file have in common, so that C has them once, as functions.
 *
 * Kernels of one network differ by what follows their sums more than by the sums: a stage of depthwise convolution is the
 * same in several. A loop may become a function where all its registers are its own; integers and buffers from outside
 * are parameters. Two loops are the same where they have the same key as kernels, once names are numbered by their first
 * mention. The longest are taken first; what lies inside of those is no function of its own. */
#include "emit/c_writer.h"

#include <stdlib.h>
#include <string.h>

enum { INSTRUCTIONS_LEAST = 24 }; /* of a function */

typedef VEC(int) name_list;

/* A loop with its names numbered, as a kernel; which name each number is. */
typedef struct numbered {
    const c_writer *w;
    arena *arena;
    int begin;
    name_list regs, ints, buffers;
    bool closed; /* may be a function */
    kernel k;
} numbered;

typedef struct candidate {
    c_writer *w;
    int begin, length;
    unsigned char key[16];
} candidate;

typedef VEC(candidate) candidate_list;

/* ---- the key of a loop ------------------------------------------------------------------------------------------- */

static int number_of(arena *a, name_list *names, int name, bool *is_new)
{
    for (int i = names->count - 1; i >= 0; i--)
        if (names->at[i] == name)
            return i;
    VEC_PUSH(a, names, name);
    *is_new = true;
    return names->count - 1;
}

static int number_reg(numbered *n, int r)
{
    bool is_new = false;
    int number = number_of(n->arena, &n->regs, r, &is_new);
    n->closed &= n->w->regs[r].scope >= n->begin && n->w->regs[r].scope <= n->w->k->ins.at[n->begin].match;
    if (is_new)
        VEC_PUSH(n->arena, &n->k.regs, n->w->k->regs.at[r]);
    return number;
}

static int number_int(numbered *n, int var)
{
    bool is_new = false;
    return number_of(n->arena, &n->ints, var, &is_new);
}

/* Scratch stands as an argument that kernels have none of: how much of it there is does not matter here. */
static int number_buffer(numbered *n, int buffer)
{
    bool is_new = false;
    int number = number_of(n->arena, &n->buffers, buffer, &is_new);
    loop_buffer b = *c_buffer(n->w, buffer);
    b.elements = 0;
    if (is_new)
        VEC_PUSH(n->arena, &n->k.args, b);
    return number;
}

static loop_index number_index(numbered *n, loop_index index)
{
    for (int t = 0; t < index.count; t++)
        index.term[t].var = number_int(n, index.term[t].var);
    return index;
}

static void number_instruction(numbered *n, int at)
{
    loop_ins i = n->w->k->ins.at[at];
    for (int s = 0; s < loop_op_info[i.op].operands; s++)
        i.src[s] = number_reg(n, i.src[s]);
    i.lo = number_index(n, i.lo);
    i.hi = number_index(n, i.hi);
    if (c_has_place(&i)) {
        i.place.buffer = number_buffer(n, i.place.buffer);
        i.place.index = number_index(n, i.place.index);
    }
    if (c_is_int_def(&i)) {
        n->closed &= c_is_local_int(n->w, n->begin, i.dst);
        i.dst = number_int(n, i.dst);
    } else if (c_is_reg_def(&i)) {
        i.dst = number_reg(n, i.dst);
    }
    i.match = 0; /* what ends where follows from the order */
    VEC_PUSH(n->arena, &n->k.ins, i);
}

static void number_loop(numbered *n, int begin)
{
    n->begin = begin;
    n->closed = true;
    n->regs.count = n->ints.count = n->buffers.count = 0;
    n->k.ins.count = n->k.regs.count = n->k.args.count = 0;
    for (int at = begin; at <= n->w->k->ins.at[begin].match && n->closed; at++)
        if (!n->w->dead[at])
            number_instruction(n, at);
    n->k.ints = n->ints.count;
}

static void find_candidates(arena *a, numbered *n, c_writer *w, candidate_list *all)
{
    n->w = w;
    for (int at = 0; at < w->k->ins.count; at++) {
        const loop_ins *i = &w->k->ins.at[at];
        if (i->op != LOOP_FOR || i->match - at < INSTRUCTIONS_LEAST)
            continue;
        number_loop(n, at);
        candidate c = {.w = w, .begin = at, .length = n->k.ins.count};
        loop_key(&n->k, c.key);
        if (n->closed)
            VEC_PUSH(a, all, c);
    }
}

/* ---- which become functions -------------------------------------------------------------------------------------- */

/* The longest first; the same ones together, as they stand in the file. */
static int by_length(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    int keys = memcmp(a->key, b->key, sizeof a->key);
    if (a->length != b->length)
        return a->length < b->length ? 1 : -1;
    if (keys != 0)
        return keys;
    return a->w != b->w ? (a->w < b->w ? -1 : 1) : a->begin - b->begin;
}

static bool is_taken(const candidate *c)
{
    for (int at = c->begin; at >= 0; at = c->w->parent[at])
        if (c->w->part_of[at])
            return true;
    return false;
}

static void add_part(arena *a, candidate *same, int count)
{
    c_part *part = NEW(a, c_part);
    part->w = same->w;
    part->begin = same->begin;
    part->name = arena_printf(a, "%s_%d", same->w->name, ++same->w->parts);
    for (int i = 0; i < count; i++)
        same[i].w->part_of[same[i].begin] = part;
}

/* `w`: after c_scope. */
void c_share(arena *a, c_writer *w, int count)
{
    candidate_list all = {0};
    numbered n = {.arena = a};
    for (int k = 0; k < count; k++)
        find_candidates(a, &n, &w[k], &all);
    if (all.count)
        qsort(all.at, (size_t)all.count, sizeof *all.at, by_length);
    for (int first = 0, next; first < all.count; first = next) {
        int free = first;
        for (next = first; next < all.count && memcmp(all.at[next].key, all.at[first].key, 16) == 0; next++)
            if (!is_taken(&all.at[next]))
                all.at[free++] = all.at[next];
        if (free - first > 1)
            add_part(a, &all.at[first], free - first);
    }
}

int64_t c_instructions(const c_writer *w)
{
    int64_t count = 0;
    for (int at = 0; at < w->k->ins.count; at++) {
        const c_part *part = w->part_of[at];
        if (part && (part->w != w || part->begin != at))
            at = w->k->ins.at[at].match;
        else
            count += !w->dead[at];
    }
    return count;
}

/* ---- as C -------------------------------------------------------------------------------------------------------- */

typedef void each_name(c_writer *w, text *t, int name);

/* Parameters, or what is given for them: buffers, then integers. */
static const char *listed(c_writer *w, int begin, each_name *buffer, each_name *integer)
{
    text t = {.arena = w->arena};
    numbered n = {.w = w, .arena = w->arena};
    number_loop(&n, begin);
    for (int i = 0; i < n.buffers.count; i++) {
        text_add(&t, t.length ? ", " : "");
        buffer(w, &t, n.buffers.at[i]);
    }
    for (int i = 0; i < n.ints.count; i++) {
        if (c_is_local_int(w, begin, n.ints.at[i]))
            continue;
        text_add(&t, t.length ? ", " : "");
        integer(w, &t, n.ints.at[i]);
    }
    return t.at;
}

static void give_buffer(c_writer *w, text *t, int buffer)
{
    text_add(t, "%s", c_buffer_name(w, buffer));
}

static void give_int(c_writer *w, text *t, int var)
{
    text_add(t, "%s", c_int_name(w, var));
}

static void take_buffer(c_writer *w, text *t, int buffer)
{
    const loop_buffer *b = c_buffer(w, buffer);
    bool scratch = buffer >= LOOP_SCRATCH;
    text_add(t, "%s%s *%s%s", !scratch && b->access == LOOP_IN ? "const " : "", c_type[b->dtype],
             scratch ? "restrict " : "", c_buffer_name(w, buffer));
}

static void take_int(c_writer *w, text *t, int var)
{
    text_add(t, "%s %s", w->dialect->integer, c_int_name(w, var));
}

void c_call_part(c_writer *w, int at)
{
    const char *given = listed(w, at, give_buffer, give_int);
    c_line(w, arena_printf(w->arena, "%s(%s);", w->part_of[at]->name, given));
}

void c_write_parts(c_writer *w)
{
    for (int at = 0; at < w->k->ins.count; at++) {
        const c_part *part = w->part_of[at];
        if (!part || part->w != w || part->begin != at)
            continue;
        c_line(w, arena_printf(w->arena, "KERNEL void %s(%s)", part->name, listed(w, at, take_buffer, take_int)));
        text_add(w->out, "{\n");
        w->indent = 1;
        w->part_of[at] = NULL;
        c_statements(w, at, w->k->ins.at[at].match + 1);
        w->part_of[at] = part;
        w->indent = 0;
        text_add(w->out, "}\n\n");
    }
}
