/* A window of a picture at another size. */
#ifndef NASC_DATA_RESAMPLE_H
#define NASC_DATA_RESAMPLE_H

#include "runtime/data/image.h"
#include "runtime/rng.h"

/* A part of a picture, in its pixels; edges may lie within pixels. */
typedef struct window {
    double y, x, h, w;
} window;

/* The largest window of the shape to_h : to_w, about the picture's centre, of which `part` is kept each way. */
window window_centre(int h, int w, int to_h, int to_w, double part);
/* A window of `least` to 1 of the picture's area and 3/4 to 4/3 as wide as high, both drawn (the shape's logarithm is
 * uniform); where ten of them do not fit, the largest about the centre whose shape does. */
window window_random(int h, int w, double least, rng *r);

/* The window of `from` [h][w][c] as `to` [to_h][to_w][c], linearly; where pixels are fewer than in the window, each is
 * the mean of all that it covers, weighted by a triangle. Integer arithmetic throughout: the same bytes everywhere.
 * `work` is for what lies between. False: memory has run out. */
bool resample(const uint8_t *from, int h, int w, int c, const window *of, int to_h, int to_w, image_room *work,
              uint8_t *to);

#endif
