/* Logarithm, exponential and cosine made of IEEE operations alone. The C library's differ between machines in the last
 * bit; initial weights, learning rates and rewards must not. Within 2 ulp of the true value. */
#ifndef NASC_ELEMENTARY_H
#define NASC_ELEMENTARY_H

double exact_log(double x);             /* natural logarithm of a normal number x > 0 */
double exact_exp(double x);             /* |x| < 700 */
double exact_power(double x, double y); /* x^y of a normal number x > 0, within the range of exact_exp */
double exact_cos_turns(double turns);   /* cos(2π · turns), |turns| < 2^31 */

#endif
