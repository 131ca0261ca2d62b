/* Series on a reduced argument; built without contraction (-ffp-contract=off), so every step rounds alike everywhere.
 */
#include "runtime/elementary.h"

#include <math.h>

double exact_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    /* log m = 2 atanh s, |s| <= 0.172 */
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 23; k >= 3; k -= 2)
        sum = (sum + 1.0 / k) * s2;
    const double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
    return exponent * ln2_high + (2 * s + (2 * s * sum + exponent * ln2_low));
}

double exact_exp(double x)
{
    const double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
    double whole = floor(x / ln2_high + 0.5), rest = (x - whole * ln2_high) - whole * ln2_low, sum = 1;
    for (int k = 16; k >= 1; k--) /* |rest| <= 0.35 */
        sum = 1 + sum * rest / k;
    return ldexp(sum, (int)whole);
}

double exact_power(double x, double y)
{
    return exact_exp(y * exact_log(x));
}

/* Σ (-1)^k a^(2k) · first! / (first + 2k)!, |a| <= π/4: cos a for first = 0, sin a / a for first = 1. */
static double alternating_series(double a, int first)
{
    double a2 = a * a, sum = 1;
    for (int k = 18 + first; k > first; k -= 2)
        sum = 1 - sum * a2 / (k * (k - 1));
    return sum;
}

double exact_cos_turns(double turns)
{
    double quarters = 4 * (turns - floor(turns));
    int quadrant = (int)(quarters + 0.5);
    double a = (quarters - quadrant) * 1.5707963267948966;
    switch (quadrant & 3) {
    case 0:
        return alternating_series(a, 0);
    case 1:
        return -a * alternating_series(a, 1);
    case 2:
        return -alternating_series(a, 0);
    default:
        return a * alternating_series(a, 1);
    }
}
