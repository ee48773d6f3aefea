/* Relaxations of smooth functions that are not S-shaped, and of products. */
#ifndef BFI_EXEC_CURVES_H
#define BFI_EXEC_CURVES_H

#include "exec/forward.h"

/* |x| as the dtype holds it, rounded to nearest. */
double bfi_in_dtype(bfi_dtype dtype, double x);

/* bfi_unary_lines of square, exp, abs, clip, log, sqrt, reciprocal, sin and cos: a chord on the
 * side where the function is convex (concave), the tangent in the middle on the other; for sine and
 * cosine across a turning point, and clip across its kinks, the lines of their convex and concave
 * hulls in the middle. Abs on one side of zero and clip between two kinks are exact. Where
 * the function is not finite, or the interval is longer than a period, the lines are flat. */
bfi_lines bfi_curve_lines(const bfi_node *node, bfi_dtype dtype, bool outward, double lo,
                          double hi);

/* The product x y, the quotient x / y, max(x, y) or min(x, y), from s_pos x + r_pos y + t_pos to
 * s_neg x + r_neg y + t_neg for all x in [a, b], y in [c, d]; slopes representable in |dtype|. A
 * product has McCormick's planes (McCormick 1976, Math. Prog. 10): on either side the one that
 * meets the product at its least (largest) corner, or where both do, their mean: means have the
 * same slopes below and above, so that what depends on the same inputs cancels. Max (min) is one of
 * its operands below (above), a relu's chord on the other side. Where the result is not finite,
 * slopes are 0. */
typedef struct bfi_plane {
    double s_pos, r_pos, t_pos, s_neg, r_neg, t_neg;
} bfi_plane;
bfi_plane bfi_binary_plane(bfi_op op, bfi_dtype dtype, bool outward, double a, double b, double c,
                           double d);

/* Encloses f(x) - s x. */
void bfi_unary_gap(const bfi_node *node, bool outward, double s, double x, double *lo, double *hi);

#endif
