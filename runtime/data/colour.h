/* Colours of pictures, in integer arithmetic. */
#ifndef NASC_DATA_COLOUR_H
#define NASC_DATA_COLOUR_H

#include "runtime/rng.h"

#include <stddef.h>
#include <stdint.h>

/* How far colours are shifted at random; 0: not at all. Each is a factor drawn from [1 - it, 1 + it], never negative.
 */
struct colour_jitter {
    float brightness; /* times the factor */
    float contrast;   /* about the picture's mean grey */
    float saturation; /* about each pixel's grey; of three channels only */
};

/* The shifts in an order that is drawn, on `image` [pixels][c], c 1 or 3 (others stay as they are); each rounds to
 * bytes, as the transforms do that published networks were trained with. */
void colour_shift(uint8_t *image, size_t pixels, int c, const struct colour_jitter *by, rng *r);
/* [pixels][3] to [pixels], which may be the same memory: 0.299 R + 0.587 G + 0.114 B. */
void colour_to_grey(const uint8_t *rgb, size_t pixels, uint8_t *to);

#endif
