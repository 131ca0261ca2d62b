/* Scratch that stages hand on: what stands in one stage's scratch is dead behind the last stage that reads it, and a later
 * stage's may lie there. So a tile of many stages needs the caches for few of them at a time.
 *
 * Stages make all of their scratch for each tile, but for what tiles carry on. Who reads it is read off the instructions
 * that the stages have become. */
#include "loop/simd.h"

#include <stdlib.h>

/* From which stage to which a scratch array is in use; and what has become of it. */
typedef struct life {
    int first, last;
    bool handed; /* of a stage, and made anew for each tile */
    int to;      /* its place among those that are left */
} life;

static bool is_handed(const simd *s, const stage *g)
{
    return simd_is_in_scratch(g) && g->made != MADE_AHEAD && !(simd_carries(s) && (g->lo || g->hi));
}

static void see_uses(const simd *s, const stage_run *run, life lives[])
{
    for (int at = run->begin; at < run->end; at++) {
        int buffer = s->pen.k->ins.at[at].place.buffer - LOOP_SCRATCH;
        if (buffer < 0)
            continue;
        life *l = &lives[buffer];
        l->first = run->stage < l->first ? run->stage : l->first;
        l->last = run->stage > l->last ? run->stage : l->last;
    }
}

/* The scratch before `i` that is dead when this one is made, and nearest in size; -1: none. */
static int vacant_for(const loop_buffer scratch[], const life lives[], int i)
{
    int best = -1;
    for (int k = 0; k < i; k++) {
        if (!lives[k].handed || lives[k].last >= lives[i].first || lives[k].to != k)
            continue;
        int64_t off = llabs(scratch[k].elements - scratch[i].elements);
        if (best < 0 || off < llabs(scratch[best].elements - scratch[i].elements))
            best = k;
    }
    return best;
}

static void hand_on(loop_buffer scratch[], life lives[], int count)
{
    for (int i = 0; i < count; i++) {
        int place = lives[i].handed ? vacant_for(scratch, lives, i) : -1;
        lives[i].to = i;
        if (place < 0)
            continue;
        lives[i].to = place;
        lives[place].last = lives[i].last;
        if (scratch[i].elements > scratch[place].elements)
            scratch[place].elements = scratch[i].elements;
    }
}

/* Those that are left move together. */
static void renumber(kernel *k, life lives[])
{
    int left = 0;
    for (int i = 0; i < k->scratch.count; i++) {
        bool stays = lives[i].to == i;
        lives[i].to = stays ? left : lives[lives[i].to].to;
        if (stays)
            k->scratch.at[left++] = k->scratch.at[i];
    }
    k->scratch.count = left;
    for (int at = 0; at < k->ins.count; at++) {
        loop_place *place = &k->ins.at[at].place;
        if (place->buffer >= LOOP_SCRATCH)
            place->buffer = LOOP_SCRATCH + lives[place->buffer - LOOP_SCRATCH].to;
    }
}

void simd_hand_on_scratch(simd *s)
{
    kernel *k = s->pen.k;
    life *lives = NEW_ARRAY(s->a, life, k->scratch.count + 1);
    for (int i = 0; i < k->scratch.count; i++)
        lives[i] = (life){.first = s->stages.count, .last = -1};
    for (int i = 0; i < s->stages.count; i++)
        if (is_handed(s, &s->stages.at[i]))
            lives[s->stages.at[i].scratch - LOOP_SCRATCH].handed = true;
    for (int i = 0; i < s->stage_runs.count; i++)
        see_uses(s, &s->stage_runs.at[i], lives);
    hand_on(k->scratch.at, lives, k->scratch.count);
    renumber(k, lives);
}
