/* Numbers of a property: the exact value lies in [lo, hi], |near| is a double close to it. Sums and
 * products are rounded outward by looking at the sign of the exact error (TwoSum; fma residual). */
#ifndef BFI_FRONTEND_VNNLIB_NUMBER_H
#define BFI_FRONTEND_VNNLIB_NUMBER_H

#include <math.h>
#include <stdbool.h>

typedef struct bfi_number {
    double lo, hi, near;
} bfi_number;

static inline bfi_number bfi_number_exact(double x) { return (bfi_number){x, x, x}; }

static inline bool bfi_number_is(bfi_number a, double x) { return a.lo == x && a.hi == x; }

static inline bool bfi_number_is_finite(bfi_number a) {
    return isfinite(a.lo) && isfinite(a.hi) && isfinite(a.near);
}

/* |x| moved one double when the exact value lies on that side of it. */
static inline double bfi_number_down(double x, bool below) { return below ? nextafter(x, -INFINITY) : x; }
static inline double bfi_number_up(double x, bool above) { return above ? nextafter(x, INFINITY) : x; }

static inline bfi_number bfi_number_negate(bfi_number a) {
    return (bfi_number){-a.hi, -a.lo, -a.near};
}

/* Exact a + b minus its rounding |s|. */
static inline double bfi_number_sum_error(double a, double b, double s) {
    double part = s - a;
    return (a - (s - part)) + (b - part);
}

static inline bfi_number bfi_number_add(bfi_number a, bfi_number b) {
    double lo = a.lo + b.lo, hi = a.hi + b.hi;
    return (bfi_number){bfi_number_down(lo, bfi_number_sum_error(a.lo, b.lo, lo) < 0),
                        bfi_number_up(hi, bfi_number_sum_error(a.hi, b.hi, hi) > 0), a.near + b.near};
}

/* Enclosure of a result rounded to |p|; |e| has the sign of exact - p unless the numbers are so |tiny|
 * that the residual may have underflowed. */
static inline bfi_number bfi_number_rounded(double p, double e, bool tiny) {
    return (bfi_number){bfi_number_down(p, tiny || e < 0), bfi_number_up(p, tiny || e > 0), p};
}

static inline bfi_number bfi_number_times(double a, double b) {
    if (a == 0 || b == 0) return bfi_number_exact(0);
    double p = a * b;
    return bfi_number_rounded(p, fma(a, b, -p), fabs(p) < 0x1p-960);
}

static inline bfi_number bfi_number_over(double a, double b) {
    if (a == 0) return bfi_number_exact(0);
    double q = a / b;
    bool tiny = fabs(q) < 0x1p-960 || fabs(a) < 0x1p-900;
    return bfi_number_rounded(q, -fma(q, b, -a) * copysign(1, b), tiny);
}

/* Hull of four products or quotients of end points; |near| comes from the caller. */
static inline bfi_number bfi_number_hull(bfi_number p, bfi_number q, bfi_number r, bfi_number s,
                                         double near) {
    return (bfi_number){fmin(fmin(p.lo, q.lo), fmin(r.lo, s.lo)),
                        fmax(fmax(p.hi, q.hi), fmax(r.hi, s.hi)), near};
}

static inline bfi_number bfi_number_multiply(bfi_number a, bfi_number b) {
    if (bfi_number_is(b, 1)) return a;
    if (bfi_number_is(a, 1)) return b;
    return bfi_number_hull(bfi_number_times(a.lo, b.lo), bfi_number_times(a.lo, b.hi),
                           bfi_number_times(a.hi, b.lo), bfi_number_times(a.hi, b.hi),
                           a.near * b.near);
}

/* For 0 outside [b.lo, b.hi]. */
static inline bfi_number bfi_number_divide(bfi_number a, bfi_number b) {
    if (bfi_number_is(b, 1)) return a;
    if (bfi_number_is(b, -1)) return bfi_number_negate(a);
    return bfi_number_hull(bfi_number_over(a.lo, b.lo), bfi_number_over(a.lo, b.hi),
                           bfi_number_over(a.hi, b.lo), bfi_number_over(a.hi, b.hi),
                           a.near / b.near);
}

#endif
