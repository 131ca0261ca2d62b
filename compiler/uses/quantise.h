/* Post-training quantisation: the inference network as one of bytes.
 *
 * A value is scale · (byte - zero), one scale and zero a tensor: asymmetric, since most tensors stand behind a relu and
 * a symmetric range would waste half of the bytes on values that do not occur. Weights are symmetric, a scale an output
 * channel, -127 … 127: so no zero of theirs enters the sums, and a byte times a weight fits 16 bits. Batch norm, bias
 * and the input's mean and deviation are folded into weights first. Sums are exact, in 32 bits.
 *
 * Requantisation takes a sum to the scale of the result. With S = scale of the sum / scale of the result
 *
 *     byte = clamp((clamp16((sum + 2^(s-1)) >> s) · m + zero · 2^step + 2^(step-1)) >> step)
 *
 * where >> rounds down, clamp16 is to -2^15 … 2^15 - 1, clamp to 0 … 255, and S = m · 2^-(s + step), 2^14 <= m < 2^15:
 * both shifts round to the nearest, halves up. step is 21 for most layers: then the first shift leaves six bits below
 * the result's last one, and what clamp16 cuts off is out of the result's range. Layers with S >= 2^-6 have a smaller step.
 * (Jacob et al., arXiv:1712.05877, section 2.2, take a product of 64 bits; one of 16 by 16 is what pmaddwd and smlad
 * offer, and two roundings differ from one by less than 2^-6 of the result's unit.) All of it is exact in int32_t, on
 * every machine the same.
 *
 * Ranges are the least and the largest values seen on calibration images, 0 included. What a concat joins, and what a
 * max or average pool reads and writes, share a scale. relu and relu6 cost nothing: the range ends there. */
#ifndef NASC_QUANTISE_H
#define NASC_QUANTISE_H

#include "inference.h"
#include "loop/target.h"

typedef struct quantiser quantiser;

typedef struct quantised_scale {
    double scale;
    int zero;
} quantised_scale;

/* What an exported network consists of. */
typedef struct quantised {
    net *net;           /* float images to float logits */
    net *bytes;         /* byte images to byte logits; the same between */
    int32_t *constants; /* what SLOT_WEIGHTS holds, for both; words: of four bytes */
    int64_t words;
    quantised_scale in, out;
} quantised;

/* Looks at an inference network: which of its values become bytes. What has no quantised form is refused by name. */
quantiser *quantise_plan(arena *a, const inference *of, nasc_diag *d);
/* The same network with those values as outputs in SLOT_USER, for one image at a time; their number of elements. */
net *quantise_probe(const quantiser *q, int64_t *elements, nasc_diag *d);
/* Takes note of the values of one image. */
void quantise_observe(quantiser *q, const float *values);
/* `constants`: of the inference network. Weights are packed for the target's vectors. */
bool quantise_finish(quantiser *q, const float *constants, const target *t, quantised *result, nasc_diag *d);

#endif
