/* The arithmetic of methods, as nets: what happens to weights and alphas between passes through the network. The
 * runtime only says what is bound and writes the step's scalars (enum method_binding, enum method_scalar in program.h).
 *
 * P is the flat vector of weights, A that of alphas; alpha has one part (1,1,rows,K) for each kind of cell, and so have
 * the candidate weights p. An output may lie in other memory than the input that it follows: nothing here needs to be
 * in place. */
#ifndef NASC_METHODS_H
#define NASC_METHODS_H

#include "net/net.h"

/* The methods (enum net_method), what they read and write:
 * softmax     p = softmax(α), each row: VALUE α → VALUE_OUT p
 * alpha       dL/dα = p·(g - Σ g·p) a row, g = dL/dp: VALUE p, GRAD g → VALUE_OUT
 * alpha_2nd   the same of g = dL_val/dp - lr·(g⁺ - g⁻)/(2ε), g± = dL_train/dp at w±:
 *             VALUE p, GRAD dL_val/dp, PLUS g⁺, MINUS g⁻, EPSILON → VALUE_OUT; scalars LR
 * reinforce   g - (R - b)·∇α log Π p[o] = g + (p - o)·(R - b), o the sampled one-hot rows, g what other samples gave:
 *             VALUE p, SAMPLE o, GRAD g → VALUE_OUT; scalars ADVANTAGE
 * gates       dL/dα_i = Σ_j g_j·q_j·(δ_ij - q_i), q the softmax of α over the marked candidates, g = a·dL/dgate + b·cost:
 *             VALUE α, GRAD dL/dgate, SAMPLE marks, COST → VALUE_OUT; scalars LOSS_SCALE a, COST_SCALE b
 * rescale     α'' = α' - log(Σ exp α' / Σ exp α) for the marked candidates, sums over them: those that are not marked
 *             keep their probability; VALUE α, GRAD α', SAMPLE marks → VALUE_OUT
 * sgd         g' = min(1, clip/(‖g‖ + 1e-6))·g + decay·w; b' = momentum·b + g'; w' = w - lr·b'
 *             (Nesterov: w' = w - lr·(g' + momentum·b')); of candidates' own weights only those that are active, and w', b'
 *             may lie where w, b do:
 *             VALUE w, GRAD g, FIRST b → VALUE_OUT w', FIRST_OUT b'; scalars LR, MOMENTUM, DECAY, CLIP
 * unroll      w' = w - lr·(momentum·b + g + decay·w): VALUE w, GRAD g, FIRST b → VALUE_OUT; scalars LR, MOMENTUM, DECAY
 * perturb     ε = radius/‖d‖, w± = w ± ε·d: VALUE w, GRAD d → PLUS, MINUS, EPSILON; scalars RADIUS
 * adam        g' = g + decay·α; m' = β1·m + (1-β1)·g'; v' = β2·v + (1-β2)·g'²;
 *             α' = α - lr/(1-β1^t) · m'/(√v'/√(1-β2^t) + eps):
 *             VALUE α, GRAD g, FIRST m, SECOND v → VALUE_OUT, FIRST_OUT, SECOND_OUT; scalars BETA…, ADAM_… */

/* What alphas a search has: the parameters of SLOT_MIX. */
typedef struct method_rows {
    int64_t offset;
    int rows, columns;
} method_rows;

typedef struct method_shape {
    int64_t weights;          /* elements of P */
    int64_t alphas;           /* of A */
    const method_rows *kinds; /* parts of A */
    int kind_count;
    bool nesterov;
    const net_paths *paths;   /* of P */
    const net_region *region; /* that the paths stand in: [0] is the top */
    int regions;
} method_shape;

/* The parts of A and the stretches of P, from a space's net as built; lives in `a`. */
method_shape method_shape_of(arena *a, const net *n);
net *method_build(arena *a, enum net_method method, const method_shape *shape, nasc_diag *d);

#endif
