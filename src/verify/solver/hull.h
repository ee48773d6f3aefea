/* Cuts from the convex hull of one kink over the box of what its input sums: tighter than the
 * triangle over the input's interval wherever several numbers are summed, and exact at the corners
 * of their box (Anderson et al. 2020, arXiv:1811.01988; Tjandraatmadja et al. 2020,
 * arXiv:2006.14076, section 2).
 *
 * For y = f(w x + b), f convex and rising, x in a box, let t_i in [0, 1] be how far x_i has gone
 * from the end of its interval that makes the sum least. f is supermodular in t, so its concave
 * hull is its Lovász extension: the t_i in descending order, each adding the rise of f while it
 * goes from 0 to 1 after those before it. That order gives the facet above a point:
 *
 *     y  <=  f(s_0) + sum_i (f(s_i) - f(s_{i-1})) t_i,    s_i = s_{i-1} + |w_i| (u_i - l_i).
 *
 * It holds for all of the box, so a cut that is found at a node holds for every other one. */
#ifndef BFI_VERIFY_SOLVER_HULL_H
#define BFI_VERIFY_SOLVER_HULL_H

#include "verify/store/encode.h"

typedef struct bfi_hull bfi_hull;

/* sum of value[k] * column index[k] <= hi for everything that the encoding allows. */
typedef struct bfi_hull_cut {
    int32_t kink, count;
    const int32_t *index; /* until the next call */
    const double *value;
    double hi;
} bfi_hull_cut;

/* |encoding| is borrowed. NULL without memory. */
bfi_hull *bfi_hull_create(const bfi_encoding *encoding);
void bfi_hull_free(bfi_hull *hull);

/* The cut of kink |kink| at values |x| of the columns; false when they do not violate it by more
 * than |least| of what the triangle is above the kink at most, or when there is none (the kink is
 * of one sign, falls, is concave, or its input is no sum). */
bool bfi_hull_cut_at(bfi_hull *hull, int32_t kink, const double *x, double least,
                     bfi_hull_cut *out);

#endif
