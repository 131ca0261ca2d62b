/* From alphas to a genotype. What was decided is gathered in a small JSON object, `decisions`, which import fills as
 * well; genotype.c then writes the genotype:
 *   {"cells": {KIND: {"nodes": …, "output": …}}, "own": {SECTION: [{"kind", "nodes", "reduction"}, …]},
 *    "made": {SECTION: {STAGE: [OP, …]}}, "blocks": {BLOCK: OP}} */
#include "space/genotype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The strongest op of a row that may be chosen, and its softmax weight. */
typedef struct best {
    int edge, candidate;
    double weight;
} best;

bool space_allows(const space *s, const space_choice *c, int k)
{
    for (int i = 0; i < s->never_count; i++)
        if (strcmp(s->never[i], c->candidates[k]) == 0)
            return false;
    return true;
}

static best best_of_row(const space *s, const space_choice *c, const float *alpha, int row)
{
    const float *a = alpha + (size_t)row * (size_t)c->columns;
    best b = {row, -1, 0};
    double highest = a[0], sum = 0;
    for (int k = 1; k < c->columns; k++)
        highest = a[k] > highest ? a[k] : highest;
    for (int k = 0; k < c->columns; k++) {
        sum += exp(a[k] - highest);
        if (space_allows(s, c, k) && (b.candidate < 0 || a[k] > a[b.candidate]))
            b.candidate = k;
    }
    if (b.candidate >= 0)
        b.weight = exp(a[b.candidate] - highest) / sum;
    return b;
}

int space_strongest(const space *s, const space_choice *c, const float *alpha, int row)
{
    return best_of_row(s, c, alpha, row).candidate;
}

static int by_weight(const void *left, const void *right)
{
    const best *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return a->edge - b->edge;
}

/* The nodes of one cell, as genotypes write them: [[[op, from], …], …]. */
static json_t *derive_nodes(making *m, const space *s, const space_choice *c, const float *alpha, nasc_diag *d)
{
    json_t *nodes = json_array();
    best edges[SPACE_INPUTS_MAX + SPACE_NODES_MAX];
    for (int i = 0; i < c->nodes; i++) {
        int to = c->cell->input_count + i, count = 0;
        for (int e = 0; e < c->rows && count < (int)COUNT(edges); e++)
            if (c->edges[e].to == to) {
                edges[count] = best_of_row(s, c, alpha, e);
                if (edges[count++].candidate < 0)
                    diag_fail(d, DIAG_INPUT, c->cell->choice.where,
                              "found no candidate that \"never\" leaves, expected at least one");
            }
        if (s->edges_per_node && d->kind == DIAG_NONE)
            qsort(edges, (size_t)count, sizeof *edges, by_weight);
        json_t *pairs = json_array();
        make_append(m, nodes, pairs);
        for (int e = 0; e < count && d->kind == DIAG_NONE && (!s->edges_per_node || e < s->edges_per_node); e++)
            make_append(m, pairs, json_pack("[si]", c->candidates[edges[e].candidate], c->edges[edges[e].edge].from));
    }
    return nodes;
}

/* object[key], made an object or a list where it does not stand yet. */
static json_t *inside(making *m, json_t *object, const char *key, bool list)
{
    if (!json_object_get(object, key))
        make_put(m, object, key, list ? json_array() : json_object());
    return json_object_get(object, key);
}

static void decide_cell(const space *s, const space_choice *c, const float *alpha, making *m, nasc_diag *d)
{
    json_t *nodes = derive_nodes(m, s, c, alpha, d);
    if (c->instance < 0) {
        make_put(m, inside(m, m->root, "cells", false), c->cell->name, json_pack("{so}", "nodes", nodes));
        return;
    }
    char section[16];
    snprintf(section, sizeof section, "%d", c->section);
    make_append(m, inside(m, inside(m, m->root, "own", false), section, true),
                json_pack("{sssosb}", "kind", c->cell->name, "nodes", nodes, "reduction", c->reduction));
}

static void decide_block(const space *s, const space_choice *c, const float *alpha, making *m, nasc_diag *d)
{
    best b = best_of_row(s, c, alpha, 0);
    const stage *st = &s->sections[c->section].stages[c->stage];
    if (b.candidate < 0) {
        diag_fail(d, DIAG_INPUT, st->block->choice.where,
                  "found no candidate that \"never\" leaves, expected at least one");
        return;
    }
    json_t *op = json_string(c->candidates[b.candidate]);
    if (c->instance < 0) {
        make_put(m, inside(m, m->root, "blocks", false), st->block->name, op);
        return;
    }
    char section[16], number[16];
    snprintf(section, sizeof section, "%d", c->section);
    snprintf(number, sizeof number, "%d", c->stage);
    make_append(m, inside(m, inside(m, inside(m, m->root, "made", false), section, false), number, true), op);
}

char *space_derive(const space *s, const space_net *built, const float *const *alpha, const char *name, arena *a,
                   nasc_diag *d)
{
    making decisions = {.root = json_object()};
    for (int i = 0; i < built->choice_count && d->kind == DIAG_NONE; i++) {
        if (built->choices[i].cell)
            decide_cell(s, &built->choices[i], alpha[i], &decisions, d);
        else
            decide_block(s, &built->choices[i], alpha[i], &decisions, d);
    }
    return genotype_text(s, name, &decisions, a, d);
}
