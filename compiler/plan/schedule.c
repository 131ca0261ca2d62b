/* Levels: a group runs as soon as everything that it reads has been written, so that one launch holds all that is
 * ready. What is computed again to save memory waits until its first reader is next. */
#include "plan/schedule.h"

#include <stdlib.h>
#include <string.h>

typedef struct scheduler {
    arena *a;
    const fusion *f;
    int *level;         /* of each group */
    node_list *sources; /* of each group: groups that it reads */
} scheduler;

static const net_node *first_root(const fusion *f, int group)
{
    return &f->n->nodes.at[f->groups.at[group].roots.at[0]];
}

static bool moves_stats(const fusion *f, int group)
{
    return first_root(f, group)->prim == NET_bn_move;
}

static void find_sources(scheduler *s)
{
    s->sources = NEW_ARRAY(s->a, node_list, s->f->groups.count + 1);
    for (int g = 0; g < s->f->groups.count; g++) {
        node_list reads = {0};
        for (int r = 0; r < s->f->groups.at[g].roots.count; r++)
            fusion_reads(s->a, s->f, s->f->groups.at[g].roots.at[r], &reads);
        for (int i = 0; i < reads.count; i++) {
            int from = s->f->group_of[reads.at[i]];
            if (from >= 0 && from != g)
                VEC_PUSH(s->a, &s->sources[g], from);
        }
    }
}

/* Groups come in an order in which each follows its sources. */
static void find_levels(scheduler *s, bool sequential)
{
    int count = s->f->groups.count, last = 0;
    for (int g = 0; g < count; g++) {
        s->level[g] = sequential ? g : 0;
        for (int i = 0; i < s->sources[g].count && !sequential; i++)
            if (s->level[s->sources[g].at[i]] >= s->level[g])
                s->level[g] = s->level[s->sources[g].at[i]] + 1;
        last = s->level[g] > last ? s->level[g] : last;
    }
    for (int g = 0; g < count; g++)
        if (moves_stats(s->f, g))
            s->level[g] = last + count + 1; /* after everything that reads the old ones */
}

/* Moves what is computed again to just before its first reader. */
static void delay_again(scheduler *s)
{
    int count = s->f->groups.count, *first = NEW_ARRAY(s->a, int, count + 1);
    for (int g = count - 1; g >= 0; g--) { /* readers before what they read */
        if (first_root(s->f, g)->attr.again && first[g] > s->level[g] + 1)
            s->level[g] = first[g] - 1;
        for (int i = 0; i < s->sources[g].count; i++) {
            int *of = &first[s->sources[g].at[i]];
            *of = *of == 0 || s->level[g] < *of ? s->level[g] : *of;
        }
    }
}

static bool same_launch(const fusion *f, int a, int b)
{
    int x = first_root(f, a)->region, y = first_root(f, b)->region;
    if (moves_stats(f, a) != moves_stats(f, b))
        return false;
    const net_region *p = &f->n->regions.at[x], *q = &f->n->regions.at[y];
    return x == y || (x && y && p->select == q->select && p->candidate == q->candidate && p->gate == q->gate);
}

typedef struct ordered {
    int level, group;
} ordered;

static int by_level(const void *x, const void *y)
{
    const ordered *a = x, *b = y;
    return a->level != b->level ? (a->level > b->level) - (a->level < b->level)
                                : (a->group > b->group) - (a->group < b->group);
}

/* Does the group read what the last launch computes? */
static bool reads_last(const scheduler *s, const schedule *made, int group)
{
    for (int i = 0; i < s->sources[group].count; i++)
        if (made->launch_of[s->sources[group].at[i]] == made->launches - 1)
            return true;
    return false;
}

/* The groups in the order `by`; one joins the launch before it where it may run beside what is there. */
static void pack(const scheduler *s, const ordered *by, schedule *made)
{
    memset(made->launch_of, -1, (size_t)s->f->groups.count * sizeof *made->launch_of);
    for (int i = 0; i < s->f->groups.count; i++) {
        int g = by[i].group;
        if (i == 0 || !same_launch(s->f, by[i - 1].group, g) || reads_last(s, made, g))
            made->launches++;
        made->launch_of[g] = made->launches - 1;
        made->order[i] = g;
    }
}

/* Stretches of launches that begin with a choice's gates and hold the rest of it. */
static void find_stretches(arena *a, const fusion *f, schedule *made)
{
    const net_region **of = NEW_ARRAY(a, const net_region *, made->launches + 1);
    int stretches = 0;
    for (int g = 0; g < f->groups.count; g++) {
        int region = first_root(f, g)->region;
        of[made->launch_of[g]] = region ? &f->n->regions.at[region] : NULL;
    }
    for (int l = 0, end; l < made->launches; l = end) {
        bool gates = of[l] && of[l]->gate, others = false;
        for (end = l + 1; gates && end < made->launches && of[end] && of[end]->select == of[l]->select; end++)
            others |= !of[end]->gate;
        stretches += others;
        for (int i = l; i < end && others; i++)
            made->beside[i] = stretches;
    }
}

/* Where choices are, the net's own order holds: gates, which need their inputs alone, would otherwise run long before
 * what they are for, and be kept. */
schedule *schedule_groups(arena *a, const fusion *f, bool sequential)
{
    int count = f->groups.count, placed = 0;
    bool choices = f->n->regions.count > 1 && !sequential;
    sequential = sequential || choices;
    scheduler s = {.a = a, .f = f, .level = NEW_ARRAY(a, int, count + 1)};
    find_sources(&s);
    find_levels(&s, sequential);
    if (!sequential)
        delay_again(&s);
    ordered *by = NEW_ARRAY(a, ordered, count + 1);
    for (int g = 0; g < count; g++)
        by[g] = (ordered){s.level[g], g};
    qsort(by, (size_t)count, sizeof *by, by_level);
    schedule *result = NEW(a, schedule);
    result->launch_of = NEW_ARRAY(a, int, count + 1);
    result->order = NEW_ARRAY(a, int, count + 1);
    result->beside = NEW_ARRAY(a, int, count + 1);
    if (choices) {
        pack(&s, by, result);
        find_stretches(a, f, result);
        return result;
    }
    bool *done = NEW_ARRAY(a, bool, count + 1);
    for (int i = 0; i < count; i++) {
        if (done[i])
            continue;
        for (int j = i; j < count && by[j].level == by[i].level; j++) {
            if (done[j] || !same_launch(f, by[i].group, by[j].group))
                continue;
            done[j] = true;
            result->launch_of[by[j].group] = result->launches;
            result->order[placed++] = by[j].group;
        }
        result->launches++;
    }
    return result;
}
