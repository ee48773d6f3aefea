#include "base/fp.h"

#include <float.h>
#include <string.h>

static int64_t bits_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(int64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

double bfi_gamma(double k, double u) {
    if (k <= 0) return 0;
    double ku = bfi_mul_up(k, u);
    if (!(ku < 0.5)) return (double)INFINITY;
    return bfi_up(ku / bfi_down(1 - ku));
}

/* Nearest integer of |x| <= 2^51 by pushing the fraction out of the significand. */
static double round_to_integer(double x) {
    const double push = 0x1.8p52;
    return (x + push) - push;
}

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) */
static double polynomial(const double *c, int n, double x) {
    double sum = c[n - 1];
    for (int i = n - 2; i >= 0; i--) sum = fma(sum, x, c[i]);
    return sum;
}

/* 2^n for -1022 <= n <= 1023 */
static double power_of_two(int64_t n) { return from_bits((n + 1023) << 52); }

#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HI 0x1.62e42fefa39efp-1
#define LN2_LO 0x1.abc9e3b39803fp-56

/* Taylor series of (e^r - 1) / r; on |r| <= ln(2)/2 the first omitted term is below 2^-57. */
static double expm1_over(double r) {
    static const double c[] = {1.0,
                               1.0 / 2,
                               1.0 / 6,
                               1.0 / 24,
                               1.0 / 120,
                               1.0 / 720,
                               1.0 / 5040,
                               1.0 / 40320,
                               1.0 / 362880,
                               1.0 / 3628800,
                               1.0 / 39916800,
                               1.0 / 479001600,
                               1.0 / 6227020800.0};
    return polynomial(c, 13, r);
}

double bfi_exp(double x) {
    if (x != x) return x;
    if (x > 709.8) return (double)INFINITY;
    if (x < -745.2) return 0;
    double n = round_to_integer(x * LOG2_E);
    double r = fma(-n, LN2_LO, fma(-n, LN2_HI, x));
    double e = fma(r, expm1_over(r), 1.0);
    int64_t whole = (int64_t)n, half = whole / 2; /* in two steps: 2^n itself may leave the range */
    return e * power_of_two(half) * power_of_two(whole - half);
}

double bfi_sigmoid(double x) {
    if (x >= 0) return 1 / (1 + bfi_exp(-x));
    double e = bfi_exp(x);
    return e / (1 + e);
}

double bfi_tanh(double x) {
    double a = x < 0 ? -x : x, t;
    if (a <= 0.17) { /* e^2a - 1 without cancellation */
        double m = 2 * a * expm1_over(2 * a);
        t = m / (2 + m);
        if (a == 0) return x;
    } else {
        double e = bfi_exp(-2 * a);
        t = (1 - e) / (1 + e);
    }
    return x < 0 ? -t : t;
}

/* pi/2 in three parts; the products of an integer up to 2^20 with the first two (33 bits) are
 * exact. */
#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define PI_2_A 0x1.921fb544p+0
#define PI_2_B 0x1.0b4611a6p-34
#define PI_2_C 0x1.3198a2e037073p-69

/* Taylor series on |r| <= pi/4 (first omitted terms below 2^-62 and 2^-58). */
static double sin_near(double r) {
    static const double c[] = {-1.0 / 6,
                               1.0 / 120,
                               -1.0 / 5040,
                               1.0 / 362880,
                               -1.0 / 39916800,
                               1.0 / 6227020800.0,
                               -1.0 / 1307674368000.0,
                               1.0 / 355687428096000.0};
    double z = r * r;
    return fma(r * z, polynomial(c, 8, z), r);
}

static double cos_near(double r) {
    static const double c[] = {1.0,
                               -1.0 / 2,
                               1.0 / 24,
                               -1.0 / 720,
                               1.0 / 40320,
                               -1.0 / 3628800,
                               1.0 / 479001600,
                               -1.0 / 87178291200.0,
                               1.0 / 20922789888000.0};
    return polynomial(c, 9, r * r);
}

/* sin(x + quarter_turns * pi/2) */
static double sin_shifted(double x, int64_t quarter_turns) {
    if (!(x >= -0x1p20 && x <= 0x1p20)) return (double)NAN;
    double n = round_to_integer(x * TWO_OVER_PI);
    double r = fma(-n, PI_2_C, fma(-n, PI_2_B, fma(-n, PI_2_A, x)));
    uint64_t quarter = (uint64_t)((int64_t)n + quarter_turns) & 3;
    double y = quarter & 1 ? cos_near(r) : sin_near(r);
    return quarter & 2 ? -y : y;
}

double bfi_sin(double x) { return x == 0 ? x : sin_shifted(x, 0); }

double bfi_cos(double x) { return sin_shifted(x, 1); }

double bfi_log(double x) {
    /* log m = 2 atanh(f) with f = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)]: |f| <= 0.1716 */
    static const double c[] = {2.0,      2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                               2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
    if (x != x || x == (double)INFINITY) return x;
    if (x == 0) return -(double)INFINITY;
    if (x < 0) return (double)NAN;
    int64_t e = 0;
    if (x < DBL_MIN) {
        x *= 0x1p54;
        e = -54;
    }
    int64_t bits = bits_of(x);
    e += (bits >> 52) - 1023;
    double m = from_bits((bits & 0xfffffffffffff) | bits_of(1.0));
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        e++;
    }
    double f = (m - 1) / (m + 1), n = (double)e;
    return fma(n, LN2_HI, fma(n, LN2_LO, f * polynomial(c, 12, f * f)));
}
