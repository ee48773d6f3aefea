/* Affine forms: every element of a value as an affine function of the network's input, with a
 * remainder. Affine arithmetic (de Figueiredo and Stolfi 2004, Numer. Algorithms 37) with the
 * inputs as its symbols and one interval for all others:
 *
 *     y = middle + sum_i slope_i d_i + rest,  |rest| <= remainder,  d_i = x_i - m_i,  |d_i| <= r_i
 *
 * m and r are the box's middle and radius as bfi_form_middle and bfi_form_radius compute them. The
 * second-order terms of a product follow from its operands' forms:
 *
 *     x y = y0 x + x0 y - x0 y0 + (x - x0)(y - y0)
 *     (x - x0)(y - y0) = sum_{i <= j} q_ij d_i d_j + rest
 *
 * Float64, with all roundings in the remainder when rounding is outward. Forms hold for the
 * network's real numbers. */
#ifndef BFI_EXEC_FORMS_H
#define BFI_EXEC_FORMS_H

#include "exec/curves.h"
#include "exec/forward_internal.h"

/* A box without ends has no middle: forms do not depend on such an input (d_i counts as 0). */
static inline double bfi_form_middle(double lo, double hi) {
    double middle = lo / 2 + hi / 2;
    return isfinite(lo) && isfinite(hi) ? middle : 0;
}
static inline double bfi_form_radius(double lo, double hi) {
    double middle = bfi_form_middle(lo, hi), radius = fmax(hi - middle, middle - lo);
    return isfinite(lo) && isfinite(hi) && radius > 0 ? bfi_up(radius) : 0;
}

/* Makes the forms of the node's elements from its operands' forms and intervals, which are final;
 * those of node 0 from its interval. Requires plan->formed[id]. */
void bfi_form_node(const bfi_transfer *t);

/* The plane of element |j| of a curved product in the middle of its operands' forms, with what the
 * second-order terms leave between t_pos and t_neg; stores their coefficients. False, with no
 * terms stored, where planes without them are better: over [a, b] x [c, d] McCormick's are as far
 * apart as the rest, or nearly. */
bool bfi_form_plane(const bfi_transfer *t, int64_t j, double a, double b, double c, double d,
                    bfi_plane *p);

#endif
