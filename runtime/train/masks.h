/* Drop-path and dropout masks: 0, or 1/(1 - p) for what stays, drawn for each step, mask and image. */
#ifndef NASC_MASKS_H
#define NASC_MASKS_H

#include "plan/program.h"

/* Fills the masks of a program for n images. Masks of one channel are drop-path, whose probability is `drop_path` times
 * the mask's rate; the others are dropout, whose probability is the rate itself. */
void masks_fill(const program *p, float *masks, int n, double drop_path, uint64_t seed, uint32_t step);
/* Elements that the masks of a program take, for its largest batch. */
int64_t masks_elements(const program *p);

#endif
