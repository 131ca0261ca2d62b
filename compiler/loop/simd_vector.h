/* Inside the lowering of small tensors: the kernel's one value, its operands, arithmetic in float64. */
#ifndef NASC_SIMD_VECTOR_H
#define NASC_SIMD_VECTOR_H

#include "loop/simt.h"

static inline int math(simd *s, enum loop_op op, int a, int b)
{
    return loop_math(&s->pen, op, a, b, -1, -1);
}

static inline int wide(simd *s, int lanes, double value)
{
    return loop_const(&s->pen, DT_F64, lanes, value);
}

/* The group's; sums that a norm adds up come before it. */
static inline int root_of(const simd *s)
{
    return s->g->roots.at[s->g->roots.count - 1];
}

static inline int operand(const simd *s, int k)
{
    return s->n->nodes.at[root_of(s)].operand[k];
}

static inline int in(simd *s, int k)
{
    return simd_arg(s, operand(s, k), LOOP_IN);
}

static inline int out(simd *s)
{
    return simd_arg(s, root_of(s), LOOP_OUT);
}

static inline void store_narrow(simd *s, int buffer, loop_index at, int value)
{
    loop_store(&s->pen, buffer, at, loop_convert(&s->pen, DT_F32, value));
}

/* Vectors of float64 are half as many lanes. */
static inline int wide_lanes(const simd *s)
{
    return s->t->lanes > 1 ? s->t->lanes / 2 : 1;
}

/* simd_vector.c: runs of channels for float64 work */
void simd_each_channel(simd *s, int channels, void (*body)(simd *s, loop_index c, int lanes));
/* A candidate's weight, in float64; 1 where the node has no operand k. */
int simd_candidate_weight(simd *s, int k, int lanes);
/* simd_norms.c: the rows of norms, their coefficients, and what these are to a convolution under them */
void simd_lower_norm(simd *s, int root);

#endif
