/* Logarithm and cosine made of IEEE operations alone. The C library's differ between machines in the last bit;
 * initial weights and learning rates must not. Within 2 ulp of the true value. */
#ifndef NASC_ELEMENTARY_H
#define NASC_ELEMENTARY_H

double exact_log(double x);           /* natural logarithm of a normal number x > 0 */
double exact_cos_turns(double turns); /* cos(2π · turns), |turns| < 2^31 */

#endif
